import Foundation
import HazardLedger

/// How a robot's answer is to be read.
struct RobotCodes {
  /// The member that holds the code; 0 is success.
  var member: String
  /// Its message.
  var message: String
  /// Codes after which another try is worth while, with the time to wait: too fast, busy.
  var transient: [String: Duration?]

  func judge(_ reply: HTTPReply) -> DeliveryOutcome {
    guard (200..<300).contains(reply.status) else { return reply.outcome }
    guard let code = reply.member(member) else {
      return .unavailable("an answer without \(member): \(reply.brief)", retryAfter: nil)
    }
    if code == "0" { return .delivered("\(member) 0") }
    let words = "\(member) \(code): \(reply.member(message) ?? reply.brief)"
    if let wait = transient[code] { return .unavailable(words, retryAfter: wait) }
    return .refused(words)
  }
}

/// A robot of a DingTalk group (钉钉自定义机器人).
public struct DingTalkChannel: NotificationChannel {
  /// Address of the API with its access token.
  public var url: ChannelSecret
  /// Key of the 加签 setting; nil where the robot is held to keywords or addresses.
  public var secret: ChannelSecret?
  /// Makes the calls.
  public var sender: HTTPSender
  /// Milliseconds since the Unix epoch.
  public var clock: @Sendable () -> Int64
  /// One message reaches the whole group.
  public var isShared: Bool { true }

  /// Makes a channel.
  public init(
    url: ChannelSecret,
    secret: ChannelSecret?,
    sender: HTTPSender,
    clock: @escaping @Sendable () -> Int64
  ) {
    self.url = url
    self.secret = secret
    self.sender = sender
    self.clock = clock
  }

  /// Over 20 messages a minute the robot is blocked for about ten minutes.
  static let codes = RobotCodes(
    member: "errcode",
    message: "errmsg",
    transient: ["130101": .seconds(600), "410100": .seconds(60), "-1": .seconds(5)]
  )

  /// The request for a message.
  package static func call(_ notice: Notice, url: String, secret: String?, at now: Int64)
    -> HTTPCall
  {
    var address = url
    if let secret {
      let sign = Signing.dingTalk(secret: secret, milliseconds: now)
        .addingPercentEncoding(withAllowedCharacters: .alphanumerics)
      address += (url.contains("?") ? "&" : "?") + "timestamp=\(now)&sign=\(sign ?? "")"
    }
    let phones = notice.recipients.map(\.address).filter { !$0.isEmpty }
    let mentions = phones.map { " @\($0)" }.joined()
    return .json(
      address,
      JSONText(
        .object([
          "msgtype": "markdown",
          "markdown": .object([
            "title": .string(notice.title.zh),
            "text": .string(
              "### \(notice.title.zh)\n\(Markdown.lines(notice.text.zh))\n\n"
                + "\(notice.title.en)\n\n\(Markdown.lines(notice.text.en))\n\n\(mentions)"
            ),
          ]),
          "at": .object([
            "atMobiles": .array(phones.map { .string($0) }), "isAtAll": .bool(false),
          ]),
        ])
      )
    )
  }

  /// Sends a message.
  public func send(_ notice: Notice) async -> DeliveryOutcome {
    await sender.send(judging: Self.codes.judge) { () throws(SecretError) in
      Self.call(notice, url: try url.read(), secret: try secret?.read(), at: clock())
    }
  }
}

/// A robot of a WeCom group (企业微信群机器人).
public struct WeComChannel: NotificationChannel {
  /// Address of the API with its key.
  public var url: ChannelSecret
  /// Makes the calls.
  public var sender: HTTPSender
  /// One message reaches the whole group.
  public var isShared: Bool { true }

  /// Makes a channel.
  public init(url: ChannelSecret, sender: HTTPSender) {
    self.url = url
    self.sender = sender
  }

  /// 20 messages a minute.
  static let codes = RobotCodes(
    member: "errcode",
    message: "errmsg",
    transient: ["45009": .seconds(60), "-1": .seconds(5)]
  )

  /// Bytes of a text message; longer ones are refused with 45002.
  package static let limit = 2_048

  /// The request for a message.
  package static func call(_ notice: Notice, url: String) -> HTTPCall {
    // Text, not markdown: only a text can mention persons by telephone number.
    let phones = notice.recipients.map(\.address).filter { !$0.isEmpty }
    let words = """
      \(Markdown.mark(notice.priority))\(notice.title.zh)
      \(notice.text.zh)
      \(notice.title.en)
      \(notice.text.en)
      """
    return .json(
      url,
      JSONText(
        .object([
          "msgtype": "text",
          "text": .object([
            "content": .string(Markdown.cut(words, bytes: limit)),
            "mentioned_mobile_list": .array(phones.map { .string($0) }),
          ]),
        ])
      )
    )
  }

  /// Sends a message.
  public func send(_ notice: Notice) async -> DeliveryOutcome {
    await sender.send(judging: Self.codes.judge) { () throws(SecretError) in
      Self.call(notice, url: try url.read())
    }
  }
}

/// A robot of a Feishu or Lark group (飞书自定义机器人).
public struct FeishuChannel: NotificationChannel {
  /// Address of the robot.
  public var url: ChannelSecret
  /// Key of the 签名校验 setting; nil where the robot is held to keywords or addresses.
  public var secret: ChannelSecret?
  /// Makes the calls.
  public var sender: HTTPSender
  /// Milliseconds since the Unix epoch.
  public var clock: @Sendable () -> Int64
  /// One message reaches the whole group.
  public var isShared: Bool { true }

  /// Makes a channel.
  public init(
    url: ChannelSecret,
    secret: ChannelSecret?,
    sender: HTTPSender,
    clock: @escaping @Sendable () -> Int64
  ) {
    self.url = url
    self.secret = secret
    self.sender = sender
    self.clock = clock
  }

  /// 100 messages a minute, 5 a second.
  static let codes = RobotCodes(
    member: "code",
    message: "msg",
    transient: ["11232": .seconds(30), "11233": .seconds(30)]
  )

  /// Bytes of a whole request are held under 20 KB.
  package static let limit = 12_000

  /// The request for a message.
  package static func call(_ notice: Notice, url: String, secret: String?, at now: Int64)
    -> HTTPCall
  {
    let colours = ["blue", "blue", "yellow", "orange", "red"]
    let words = """
      \(Markdown.lines(notice.text.zh))

      **\(notice.title.en)**
      \(Markdown.lines(notice.text.en))
      """
    let mentions = notice.recipients.map(\.address).filter { $0.hasPrefix("ou_") }
      .map { "<at id=\($0)></at>" }.joined()
    var members: [String: JSONValue] = [
      "msg_type": "interactive",
      "card": .object([
        "header": .object([
          "title": .object(["tag": "plain_text", "content": .string(notice.title.zh)]),
          "template": .string(colours[min(max(notice.priority, 0), 4)]),
        ]),
        "elements": .array([
          .object([
            "tag": "markdown",
            "content": .string(Markdown.cut(words + mentions, bytes: limit)),
          ])
        ]),
      ]),
    ]
    if let secret {
      let seconds = now / 1_000
      members["timestamp"] = .string("\(seconds)")
      members["sign"] = .string(Signing.feishu(secret: secret, seconds: seconds))
    }
    return .json(url, JSONText(.object(members)))
  }

  /// Sends a message.
  public func send(_ notice: Notice) async -> DeliveryOutcome {
    await sender.send(judging: Self.codes.judge) { () throws(SecretError) in
      Self.call(notice, url: try url.read(), secret: try secret?.read(), at: clock())
    }
  }
}

/// Words for robots.
enum Markdown {
  /// Lines that stay lines.
  static func lines(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "  \n")
  }

  /// The colour of a priority in words.
  static func mark(_ priority: Int) -> String {
    ["", "【蓝】", "【黄】", "【橙】", "【红】"][min(max(priority, 0), 4)]
  }

  /// As much of a text as fits, whole characters.
  static func cut(_ text: String, bytes limit: Int) -> String {
    guard text.utf8.count > limit else { return text }
    var kept = ""
    var used = 3
    for character in text {
      used += character.utf8.count
      if used > limit { break }
      kept.append(character)
    }
    return kept + "…"
  }
}
