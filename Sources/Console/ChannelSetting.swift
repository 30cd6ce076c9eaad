import DeviceCatalog
import Foundation
import HazardLedger

/// A channel as people see and set it: the keys of the service file, without secrets.
enum ChannelSetting {
  typealias Channel = ServiceConfiguration.CalloutSection.Channel
  typealias Kind = ServiceConfiguration.CalloutSection.Kind
  typealias Secret = ServiceConfiguration.CalloutSection.Secret
  typealias JSON = HazardLedger.JSONValue

  /// The secrets of a kind, and whether it can be without.
  static func secrets(of kind: Kind) -> [(name: String, isRequired: Bool)] {
    switch kind {
    case .webhook, .http: [("secret", false)]
    case .dingtalk, .feishu: [("url", true), ("secret", false)]
    case .wecom: [("url", true)]
    case .smtp: [("password", false)]
    case .mqtt: []
    }
  }

  /// Where a secret of a channel lies.
  static func secret(_ name: String, of channel: Channel) -> Secret? {
    name == "url" ? channel.robot : channel.secret
  }

  /// Puts a secret's place into a channel.
  static func set(_ secret: Secret, _ name: String, of channel: inout Channel) {
    if name == "url" { channel.robot = secret } else { channel.secret = secret }
  }

  /// Where a channel's messages go, so far as its secrets go there too: for another target they have to be entered again,
  /// or whoever may change a channel could have its secrets sent to himself.
  static func target(_ channel: Channel) -> String {
    let place: String
    switch channel.kind {
    case .dingtalk, .wecom, .feishu: place = ""
    case .webhook, .http:
      let rest = channel.url.drop { $0 != ":" }.drop { ":/".contains($0) }
      place = channel.url.prefix { $0 != ":" } + "://" + rest.prefix { !"/?#".contains($0) }
    case .smtp:
      place =
        "\(channel.host):\(channel.port) \(channel.security.rawValue) "
        + (channel.userName ?? "")
    case .mqtt: place = channel.topic
    }
    return channel.kind.rawValue + " " + place
  }

  /// The channel with the keys of the service file.
  ///
  /// - Parameters:
  ///   - channel: the channel.
  ///   - showsAll: false leaves out what looks like a secret that somebody has written where none belongs.
  /// - Returns: its members.
  static func json(_ channel: Channel, showsAll: Bool) -> [String: JSON] {
    var members: [String: JSON] = ["kind": .string(channel.kind.rawValue)]
    func put(_ key: String, _ text: String?, unless isLeftOut: Bool = false) {
      if let text, !text.isEmpty, showsAll || !isLeftOut { members[key] = .string(text) }
    }
    switch channel.kind {
    case .webhook: put("url", channel.url, unless: holdsSecret(address: channel.url))
    case .http:
      put("url", channel.url, unless: holdsSecret(address: channel.url))
      put("method", channel.method)
      put("body", channel.body, unless: holdsSecret(text: channel.body))
      let headers = channel.headers.filter { showsAll || !holdsSecret(header: $0.key, $0.value) }
      if !headers.isEmpty { members["headers"] = .object(headers.mapValues { .string($0) }) }
      if let member = channel.successMember {
        members["success"] = .object([
          "member": .string(member), "equals": .string(channel.successEquals),
          "retry": .array(channel.successRetries.map { .string($0) }),
        ])
      }
    case .smtp:
      put("host", channel.host)
      members["port"] = .integer(Int64(channel.port))
      put("security", channel.security.rawValue)
      put("from", channel.from)
      put("userName", channel.userName)
    case .mqtt: put("topic", channel.topic)
    case .dingtalk, .wecom, .feishu: break
    }
    if !channel.rates.isEmpty {
      members["rates"] = .array(channel.rates.map { .string(words($0)) })
    }
    put("group", channel.groupMilliseconds.map { "\($0)ms" })
    if let attempts = channel.attempts { members["attempts"] = .integer(Int64(attempts)) }
    members["heartbeat"] = .bool(channel.hasHeartbeat)
    if !channel.operators.isEmpty {
      members["operators"] = .array(
        channel.operators.map { person in
          var fields = person.addresses.mapValues { JSON.string($0) }
          if let own = fields.removeValue(forKey: channel.name) { fields["address"] = own }
          fields["name"] = .string(person.name)
          return .object(fields)
        }
      )
    }
    return members
  }

  /// The header field of a name such as `headers.Authorization`; nil for any other.
  static func header(_ name: String) -> String? {
    name.hasPrefix("headers.") ? String(name.dropFirst("headers.".count)) : nil
  }

  /// Host and port that a channel calls, in small letters, templates as they are written; nil where it calls none that is
  /// set, as a robot's, whose address is a secret.
  static func authority(_ channel: Channel) -> String? {
    switch channel.kind {
    case .smtp: "\(channel.host):\(channel.port)".lowercased()
    case .webhook, .http: authority(of: channel.url)
    case .mqtt, .dingtalk, .wecom, .feishu: nil
    }
  }

  private static func authority(of address: String) -> String {
    let authority = address.drop { $0 != ":" }.drop { ":/".contains($0) }
      .prefix { !"/?#".contains($0) }.lowercased()
    let port = address.lowercased().hasPrefix("https") ? ":443" : ":80"
    return authority.hasSuffix(port) ? String(authority.dropLast(port.count)) : authority
  }

  /// The host that a channel calls, as it is set; of a robot, that of the address entered with the change.
  static func host(_ channel: Channel, robot: String?) -> String? {
    switch channel.kind {
    case .smtp: return channel.host
    case .mqtt: return nil
    case .webhook, .http, .dingtalk, .wecom, .feishu:
      let address = channel.kind == .webhook || channel.kind == .http ? channel.url : robot ?? ""
      let authority = authority(of: address)
      guard !authority.isEmpty else { return nil }
      return authority.contains("{{") ? authority : URL(string: "http://" + authority)?.host()
    }
  }

  /// What ``json(_:showsAll:)`` leaves out of a channel.
  static func hidden(_ channel: Channel) -> [String] {
    let all = json(channel, showsAll: true)
    let shown = json(channel, showsAll: false)
    var hidden = all.keys.filter { shown[$0] == nil && $0 != "headers" }
    let headers = all["headers"]?.members ?? [:]
    hidden += headers.keys.filter { shown["headers"]?[$0] == nil }.map { "headers.\($0)" }
    return hidden.sorted()
  }

  /// `20/min`.
  private static func words(_ rate: ServiceConfiguration.CalloutSection.Rate) -> String {
    let units: [(Int64, String)] = [
      (86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"),
    ]
    return "\(rate.count)/" + (units.first { $0.0 == rate.milliseconds }?.1 ?? "s")
  }

  // MARK: - Secrets where none belong

  private static let names =
    "(pass(word|wd|code)?|pwd|secret|token|key|api-?key|access-?key|authorization|auth|sign(ature)?)"

  /// True when an address names somebody with his password, or a key that is not `{{secret}}`.
  static func holdsSecret(address: String) -> Bool {
    let authority = address.drop { $0 != ":" }.drop { ":/".contains($0) }
      .prefix { !"/?#".contains($0) }
    return authority.contains("@")
      || matches(address, "[?&][^=&]*\(names)=(?!\\s*\\{\\{)[^&\\s]")
  }

  /// True when a header field is one of those that let somebody in, and its value is not `{{secret}}`.
  static func holdsSecret(header: String, _ value: String) -> Bool {
    matches(header, "\(names)|cookie") && !value.contains("{{secret}}") && !value.isEmpty
  }

  /// True when a text gives a value to a name that stands for a secret, and it is not `{{secret}}`.
  static func holdsSecret(text: String) -> Bool {
    // Fewer names than in an address: a message has a "sign" or a "key" of its own.
    matches(
      text,
      "(pass(word|wd)|pwd|secret|token|api-?key|access-?key)[\"']?\\s*[=:]\\s*[\"']?(?!\\s*\\{\\{)[^\\s\"'&,}]"
    )
  }

  private static func matches(_ text: String, _ pattern: String) -> Bool {
    text.range(of: pattern, options: [.regularExpression, .caseInsensitive]) != nil
  }
}
