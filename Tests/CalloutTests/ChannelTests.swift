import Crypto
import Foundation
import HTTPTestSupport
import HazardLedger
import Telemetry
import Testing

import Callout

/// Each channel against a server that answers as the real one does.
@Suite("Call-out channels")
struct ChannelTests {
  @Test("signatures are those of the published examples")
  func signatures() {
    #expect(
      Signing.dingTalk(secret: "SECtest", milliseconds: 1_700_000_000_000)
        == "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g="
    )
    #expect(
      Signing.feishu(secret: "testsecret", seconds: 1_700_000_000)
        == "AOc8oJ7//5OlQlfWC3nRL0R+IkuzcD1FKcAyibRK9Q8="
    )
    // RFC 4231, test case 2.
    #expect(
      Data(Signing.hmac("what do ya want for nothing?", key: "Jefe")).map {
        String($0, radix: 16).count == 1 ? "0" + String($0, radix: 16) : String($0, radix: 16)
      }.joined() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
  }

  enum Expected: Sendable {
    case delivered, refused
    case unavailable(after: Duration?)

    func holds(_ outcome: DeliveryOutcome) -> Bool {
      switch (self, outcome) {
      case (.delivered, .delivered), (.refused, .refused): true
      case (.unavailable(let expected), .unavailable(_, let found)): expected == found
      case (.delivered, _), (.refused, _), (.unavailable, _): false
      }
    }
  }

  /// Answers that the services document, and what follows from each.
  static let answers: [(kind: String, answer: ServerAnswer, expected: Expected)] = [
    ("dingtalk", ServerAnswer(body: #"{"errcode":0,"errmsg":"ok"}"#), .delivered),
    (
      "dingtalk",
      ServerAnswer(
        body: #"{"errcode":310000,"errmsg":"sign not match, more: [https://open.dingtalk.com]"}"#
      ),
      .refused
    ),
    (
      "dingtalk", ServerAnswer(body: #"{"errcode":310000,"errmsg":"keywords not in content"}"#),
      .refused
    ),
    (
      "dingtalk",
      ServerAnswer(
        body: #"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#
      ),
      .unavailable(after: .seconds(600))
    ),
    (
      "dingtalk", ServerAnswer(body: #"{"errcode":-1,"errmsg":"系统繁忙"}"#),
      .unavailable(after: .seconds(5))
    ),
    (
      "dingtalk", ServerAnswer(body: #"{"errcode":300001,"errmsg":"token is not exist"}"#), .refused
    ),
    ("dingtalk", ServerAnswer(status: 502, body: "Bad Gateway"), .unavailable(after: nil)),
    ("dingtalk", ServerAnswer(body: "<html>captive portal</html>"), .unavailable(after: nil)),
    ("wecom", ServerAnswer(body: #"{"errcode":0,"errmsg":"ok"}"#), .delivered),
    (
      "wecom", ServerAnswer(body: #"{"errcode":45009,"errmsg":"api freq out of limit"}"#),
      .unavailable(after: .seconds(60))
    ),
    ("wecom", ServerAnswer(body: #"{"errcode":93000,"errmsg":"invalid webhook url"}"#), .refused),
    (
      "wecom", ServerAnswer(body: #"{"errcode":45002,"errmsg":"content size out of limit"}"#),
      .refused
    ),
    ("feishu", ServerAnswer(body: #"{"code":0,"msg":"success","data":{}}"#), .delivered),
    (
      "feishu",
      ServerAnswer(
        body: #"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#
      ), .delivered
    ),
    (
      "feishu", ServerAnswer(body: #"{"code":11232,"msg":"frequency limited psm"}"#),
      .unavailable(after: .seconds(30))
    ),
    ("feishu", ServerAnswer(body: #"{"code":19024,"msg":"Key Words Not Found"}"#), .refused),
    (
      "feishu",
      ServerAnswer(
        body:
          #"{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}"#
      ),
      .refused
    ),
    ("feishu", ServerAnswer(status: 400, body: #"{"code":9499,"msg":"Bad Request"}"#), .refused),
    ("webhook", ServerAnswer(status: 204), .delivered),
    (
      "webhook", ServerAnswer(status: 429, headers: ["Retry-After": "7"]),
      .unavailable(after: .seconds(7))
    ),
    ("webhook", ServerAnswer(status: 503), .unavailable(after: nil)),
    ("webhook", ServerAnswer(status: 401, body: "bad signature"), .refused),
    ("webhook", ServerAnswer(status: 301, headers: ["Location": "http://127.0.0.1:9/"]), .refused),
    ("http", ServerAnswer(body: #"{"Code":"OK","BizId":"9006"}"#), .delivered),
    (
      "http", ServerAnswer(body: #"{"Code":"isv.BUSINESS_LIMIT_CONTROL"}"#),
      .unavailable(after: nil)
    ),
    ("http", ServerAnswer(body: #"{"Code":"isv.MOBILE_NUMBER_ILLEGAL"}"#), .refused),
    ("http", ServerAnswer(body: "no json"), .refused),
  ]

  static func channel(
    _ kind: String,
    _ address: String,
    _ sender: HTTPSender,
    url: SecretFile,
    secret: SecretFile
  ) -> any NotificationChannel {
    let clock: @Sendable () -> Int64 = { 1_700_000_000_000 }
    let key = ChannelSecret.file(secret.path)
    return switch kind {
    case "dingtalk":
      DingTalkChannel(url: .file(url.path), secret: key, sender: sender, clock: clock)
    case "wecom": WeComChannel(url: .file(url.path), sender: sender)
    case "feishu": FeishuChannel(url: .file(url.path), secret: key, sender: sender, clock: clock)
    case "webhook":
      WebhookChannel(url: address + "/hook", secret: key, sender: sender, clock: clock)
    default:
      TemplateChannel(
        url: address + "/sms?to={{address}}",
        headers: ["Content-Type": "application/json", "Authorization": "Bearer {{secret}}"],
        body:
          #"{"PhoneNumbers":"{{address}}","TemplateParam":{"text":"{{text}}"},"OutId":"{{id}}"}"#,
        success: .init(
          member: "Code",
          equals: "OK",
          retries: ["isv.BUSINESS_LIMIT_CONTROL"]
        ),
        secret: key,
        sender: sender
      )
    }
  }

  @Test("each documented answer is read for what it means", arguments: answers.indices)
  func answered(index: Int) async throws {
    let (kind, answer, expected) = Self.answers[index]
    let secret = try SecretFile("SECtest\n")
    let server = AnsweringServer([answer])
    let outcome = try await server.run { address in
      let url = try SecretFile(address + "/robot/send?access_token=abc")
      return try await withSender { sender in
        await Self.channel(kind, address, sender, url: url, secret: secret).send(notice())
      }
    }
    #expect(expected.holds(outcome), "\(kind) \(answer.body): \(outcome)")
    #expect(server.seen.count == 1)
  }

  @Test(
    "what goes over is what each service asks for",
    arguments: ["dingtalk", "wecom", "feishu", "webhook", "http"]
  )
  func sent(kind: String) async throws {
    let secret = try SecretFile("SECtest\n")
    let server = AnsweringServer([ServerAnswer(body: #"{"errcode":0,"code":0,"Code":"OK"}"#)])
    let outcome = try await server.run { address in
      let url = try SecretFile(address + "/robot/send?access_token=abc")
      return try await withSender { sender in
        await Self.channel(kind, address, sender, url: url, secret: secret).send(notice())
      }
    }
    guard case .delivered = outcome else {
      Issue.record("\(outcome)")
      return
    }
    let request = try #require(server.seen.first)
    switch kind {
    case "dingtalk":
      #expect(request.parameters["access_token"] == "abc")
      #expect(request.parameters["timestamp"] == "1700000000000")
      #expect(
        request.parameters["sign"]?.removingPercentEncoding
          == "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g="
      )
      #expect(request.member("msgtype") == "markdown")
      #expect(request.member("at.atMobiles.0") == "13800000001")
      // Only a number that stands in the text is really called by name.
      #expect(request.member("markdown.text")?.contains("@13800000001") == true)
    case "wecom":
      #expect(request.member("msgtype") == "text")
      #expect(request.member("text.mentioned_mobile_list.0") == "13800000001")
      #expect(request.member("text.content")?.contains("甲烷超限") == true)
    case "feishu":
      #expect(request.member("timestamp") == "1700000000")
      #expect(
        request.member("sign") == Signing.feishu(secret: "SECtest", seconds: 1_700_000_000)
      )
      #expect(request.member("msg_type") == "interactive")
      #expect(request.member("card.header.template") == "red")
    case "webhook":
      let expected = HMAC<SHA256>.authenticationCode(
        for: Data("1700000000.\(request.body)".utf8),
        using: SymmetricKey(data: Data("SECtest".utf8))
      ).map { String(format: "%02x", $0) }.joined()
      #expect(request.headers["x-signature"] == "sha256=" + expected)
      #expect(request.headers["x-timestamp"] == "1700000000")
      #expect(request.headers["idempotency-key"] == "callout/1#1")
      #expect(request.member("dispatches.0.person") == "wang")
      #expect(request.member("dispatches.0.callout") == "callout/1")
    default:
      #expect(request.parameters["to"] == "13800000001")
      #expect(request.headers["authorization"] == "Bearer SECtest")
      #expect(request.member("PhoneNumbers") == "13800000001")
      #expect(request.member("TemplateParam.text") == dispatch().text.zh)
      #expect(request.member("OutId") == "callout/1#1")
    }
  }

  @Test("a secret that is missing is a refusal that names the place, and nothing is sent")
  func missingSecret() async throws {
    let outcome = try await withSender { sender in
      await DingTalkChannel(
        url: .file("/nowhere/dingtalk.url"),
        secret: nil,
        sender: sender,
        clock: { 0 }
      ).send(notice())
    }
    guard case .refused(let words) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(words.contains("/nowhere/dingtalk.url"))
  }

  @Test("nobody at the address is no refusal: it is tried again")
  func nobodyListens() async throws {
    let outcome = try await withSender { sender in
      await WebhookChannel(url: "http://127.0.0.1:1/", secret: nil, sender: sender, clock: { 0 })
        .send(notice())
    }
    guard case .unavailable = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  @Test("an answer that never ends is none, and it is tried again")
  func endlessAnswer() async throws {
    let server = AnsweringServer([ServerAnswer(body: "{", isEndless: true)])
    let outcome = try await server.run { address in
      let sender = try HTTPSender(patience: .milliseconds(300))
      let channel = WebhookChannel(
        url: address + "/notice",
        secret: nil,
        sender: sender,
        clock: { 0 }
      )
      let outcome = await channel.send(notice())
      try await sender.shutdown()
      return outcome
    }
    guard case .unavailable = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  @Test("words are cut where a service would refuse them, at whole characters")
  func cut() throws {
    let long = String(repeating: "甲烷超限，", count: 1_000)
    let call = WeComChannel.call(notice(dispatch(text: long)), url: "http://x")
    let content = try #require(HTTPReply(status: 200, body: call.body).member("text.content"))
    #expect(content.utf8.count <= WeComChannel.limit)
    #expect(content.hasSuffix("…"))
    let card = FeishuChannel.call(notice(dispatch(text: long)), url: "x", secret: "s", at: 0)
    #expect(card.body.utf8.count < 20_000)
  }

  @Test("fields are escaped for where they stand")
  func templates() {
    let sneaky = notice(dispatch(text: #"a"b&c=d {{secret}}"#))
    let form = TemplateChannel(
      url: "http://x/?q={{text}}",
      headers: ["Content-Type": "application/x-www-form-urlencoded", "X-Name": "{{name}}"],
      body: "to={{address}}&text={{text}}",
      sender: Self.idle
    )
    let call = form.call(sneaky, to: sneaky.recipients[0], secret: "geheim")
    #expect(call.body == "to=13800000001&text=a%22b%26c%3Dd%20%7B%7Bsecret%7D%7D")
    #expect(call.url == "http://x/?q=a%22b%26c%3Dd%20%7B%7Bsecret%7D%7D")
    #expect(call.headers["X-Name"] == "%E7%8E%8B%E5%B7%A5")
  }

  /// A sender that is never used; HTTPClient wants to be shut down, so one lives as long as the tests.
  private static let idle: HTTPSender = {
    do { return try HTTPSender() } catch { fatalError("\(error)") }
  }()

  /// A broker's client that takes what it is given, or says why not.
  private actor Broker: NoticePublishing {
    struct Away: Error {}
    var isAway = false
    private(set) var taken: [(topic: String, payload: [UInt8])] = []

    func goAway() { isAway = true }

    func publish(topic: String, payload: [UInt8]) async throws {
      if isAway { throw Away() }
      taken.append((topic, payload))
    }
  }

  @Test("by MQTT goes what the webhook gets; a broker that is away is tried again")
  func mqtt() async throws {
    let broker = Broker()
    let channel = MQTTChannel(topic: "davy/v1/callout/beacon", publisher: broker)
    #expect(channel.isShared)
    let told = notice(dispatch(callout: "notice/7", purpose: .notice))
    guard case .delivered = await channel.send(told) else {
      Issue.record("not delivered")
      return
    }
    let sent = try #require(await broker.taken.first)
    #expect(sent.topic == "davy/v1/callout/beacon")
    let json = try HazardLedger.JSONValue(parsing: sent.payload)
    #expect(json["schema"]?.text == "davy-notice/1" && json["kind"]?.text == "callout")
    let first = try #require(json["dispatches"]?.elements?.first)
    #expect(first["purpose"]?.text == "notice" && first["callout"]?.text == "notice/7")
    await broker.goAway()
    guard case .unavailable = await channel.send(told) else {
      Issue.record("a broker that is away is no refusal")
      return
    }
  }
}
