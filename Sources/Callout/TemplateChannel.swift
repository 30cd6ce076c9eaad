import Foundation
import HazardLedger
import Telemetry

/// Any gateway with an HTTP interface, for SMS and voice: one request a person, made from templates.
///
/// `{{field}}` in address, headers and body is replaced and escaped for where it stands: percent-encoded in the
/// address and in a form, as part of a string in JSON.
public struct TemplateChannel: NotificationChannel {
  /// What tells success.
  public struct Success: Hashable, Sendable {
    /// Member of a JSON answer, `a.b.0`; nil judges by the status alone.
    public var member: String?
    /// What it then has to be.
    public var equals: String
    /// What it is when another try is worth while.
    public var retries: [String]

    /// Makes a test of success.
    public init(member: String? = nil, equals: String = "", retries: [String] = []) {
      self.member = member
      self.equals = equals
      self.retries = retries
    }
  }

  /// Method.
  public var method: String
  /// Address, a template.
  public var url: String
  /// Header fields, their values templates.
  public var headers: [String: String]
  /// Body, a template.
  public var body: String
  /// What tells success.
  public var success: Success
  /// What `{{secret}}` stands for.
  public var secret: ChannelSecret?
  /// Makes the calls.
  public var sender: HTTPSender
  /// Each person is reached by itself.
  public var isShared: Bool { false }

  /// Makes a channel.
  public init(
    method: String = "POST",
    url: String,
    headers: [String: String] = [:],
    body: String,
    success: Success = Success(),
    secret: ChannelSecret? = nil,
    sender: HTTPSender
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.success = success
    self.secret = secret
    self.sender = sender
  }

  private enum Part {
    case text(Substring)
    /// Nil for a name that no message has.
    case field(NoticeField?)
  }

  private static func parts(of template: String) -> [Part] {
    var parts: [Part] = []
    var rest = template[...]
    while let open = rest.range(of: "{{"),
      let close = rest[open.upperBound...].range(of: "}}")
    {
      parts.append(.text(rest[..<open.lowerBound]))
      let name = rest[open.upperBound..<close.lowerBound].trimmingCharacters(in: .whitespaces)
      parts.append(.field(NoticeField(rawValue: name)))
      rest = rest[close.upperBound...]
    }
    parts.append(.text(rest))
    return parts
  }

  private static func fill(
    _ template: String,
    _ value: (NoticeField) -> String,
    _ escape: (String) -> String
  ) -> String {
    parts(of: template).map { part in
      switch part {
      case .text(let text): String(text)
      case .field(let name): name.map { escape(value($0)) } ?? ""
      }
    }.joined()
  }

  private static func encoded(_ text: String) -> String {
    var allowed = CharacterSet.alphanumerics.intersection(
      CharacterSet(charactersIn: UnicodeScalar(0)...UnicodeScalar(127))
    )
    allowed.insert(charactersIn: "-._~")
    return text.addingPercentEncoding(withAllowedCharacters: allowed) ?? ""
  }

  /// The request for a message to one person.
  package func call(_ notice: Notice, to recipient: Notice.Recipient, secret: String?) -> HTTPCall {
    let first = notice.dispatches.first
    func value(_ field: NoticeField) -> String {
      switch field {
      case .id: notice.id
      case .kind: notice.kind.rawValue
      case .name: recipient.name
      case .address: recipient.address
      case .priority: "\(notice.priority)"
      case .title: notice.title.zh
      case .text: notice.text.zh
      case .englishTitle: notice.title.en
      case .englishText: notice.text.en
      case .time: "\(notice.time.milliseconds)"
      case .callout: first?.callout ?? ""
      case .level: first?.levelName ?? ""
      case .purpose: first?.purpose.rawValue ?? notice.kind.rawValue
      case .secret: secret ?? ""
      }
    }
    let type = headers.first { $0.key.lowercased() == "content-type" }?.value.lowercased() ?? ""
    let escape: (String) -> String
    if type.contains("json") {
      escape = JSONText.escaped
    } else if type.contains("x-www-form-urlencoded") {
      escape = Self.encoded
    } else {
      escape = { $0 }
    }
    return HTTPCall(
      method: method,
      url: Self.fill(url, value, Self.encoded),
      headers: headers.mapValues { Self.fill($0, value, HeaderText.safe) },
      body: Self.fill(body, value, escape)
    )
  }

  func judge(_ reply: HTTPReply) -> DeliveryOutcome {
    guard case .delivered = reply.outcome, let member = success.member else { return reply.outcome }
    let found = reply.member(member)
    if found == success.equals { return .delivered("\(member) \(success.equals)") }
    let words = "\(member) \((found ?? "missing").prefix(200)): \(reply.brief)"
    if let found, success.retries.contains(found) { return .unavailable(words, retryAfter: nil) }
    return .refused(words)
  }

  /// Sends a message.
  public func send(_ notice: Notice) async -> DeliveryOutcome {
    guard let recipient = notice.recipients.first else { return .refused("nobody to send it to") }
    return await sender.send(judging: judge) { () throws(SecretError) in
      call(notice, to: recipient, secret: try secret?.read())
    }
  }
}
