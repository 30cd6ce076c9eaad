import Foundation
import Telemetry

extension ServiceConfiguration {
  /// Section `callout:` of the service file: the channels by which persons are reached.
  public struct CalloutSection: Sendable {
    /// Where a secret lies.
    public enum Secret: Hashable, Sendable {
      /// A file.
      case file(String)
      /// An environment variable.
      case environment(String)
    }

    /// What sort of channel.
    public enum Kind: String, CaseIterable, Sendable {
      case webhook, dingtalk, wecom, feishu, smtp, http, mqtt
    }

    /// How a mail server's connection is secured.
    public enum MailSecurity: String, CaseIterable, Sendable {
      case starttls, tls, none
    }

    /// Somebody who gets test messages and heartbeats.
    public struct Operator: Hashable, Sendable {
      /// Name.
      public var name = ""
      /// Channel, or `phone`, or `mail` → address there.
      public var addresses: [String: String] = [:]
    }

    /// A rate: so many messages in so many milliseconds.
    public struct Rate: Hashable, Sendable {
      /// Messages.
      public var count: Int
      /// Milliseconds.
      public var milliseconds: Int64
    }

    /// One channel; what its kind does not know is empty.
    public struct Channel: Sendable {
      /// Name.
      public var name = ""
      /// Kind.
      public var kind = Kind.webhook
      /// Address, of kind http a template.
      public var url = ""
      /// The address of a robot, which is a secret itself.
      public var robot: Secret?
      /// Key of signatures, or what `{{secret}}` stands for, or the mail account's password.
      public var secret: Secret?
      /// Mail server.
      public var host = ""
      /// Its port.
      public var port = 587
      /// How its connection is secured.
      public var security = MailSecurity.starttls
      /// Mail account.
      public var userName: String?
      /// Sender's address.
      public var from = ""
      /// Method of kind http.
      public var method = "POST"
      /// Header fields of kind http.
      public var headers: [String: String] = [:]
      /// Body of kind http.
      public var body = ""
      /// Member of a JSON answer that tells success.
      public var successMember: String?
      /// What it has to be.
      public var successEquals = ""
      /// What it is when another try is worth while.
      public var successRetries: [String] = []
      /// Topic of kind mqtt.
      public var topic = ""
      /// Rates, all kept.
      public var rates: [Rate] = []
      /// Group time, ms; nil takes the usual one.
      public var groupMilliseconds: Int64?
      /// Tries of one message.
      public var attempts: Int?
      /// False where no daily heartbeat is wanted.
      public var hasHeartbeat = true
      /// Who gets this channel's test messages and heartbeats; empty takes the section's.
      public var operators: [Operator] = []
    }

    /// A section without channels.
    public init() {}

    /// The channels, in order.
    public var channels: [Channel] = []
    /// Who gets test messages and heartbeats on channels that reach one person at a time.
    public var operators: [Operator] = []
    /// Minutes after midnight of ``timeZone`` of the daily heartbeat; nil sends none.
    public var heartbeatMinute: Int? = 480
    /// IANA time zone of the heartbeat.
    public var timeZone = "Asia/Shanghai"
    /// PEM file of authorities to trust beside the system's.
    public var authorities: String?
    /// Where channels may go whose address people have set.
    public var editedMayCall = CallReach()
  }
}

extension ServiceConfiguration.CalloutSection {
  init(_ map: YAMLMap, file: (YAMLValue?) -> String?) {
    authorities = file(map["authorities"])
    if let value = map["heartbeat"] {
      heartbeatMinute = value.scalarText == "none" ? nil : value.minuteOfDay()
    }
    if let value = map["timeZone"], let name = value.string() {
      if TimeZone(identifier: name) != nil {
        timeZone = name
      } else {
        value.report(
          .wrongType(
            expected: "an IANA time zone such as Asia/Shanghai",
            expectedZh: "IANA 时区名，如 Asia/Shanghai",
            found: name
          )
        )
      }
    }
    operators = (map["operators"]?.list() ?? []).compactMap { $0.calloutOperator() }
    if let value = map["editedMayCall"], let list = value.strings() {
      let (reach, fault) = CallReach.reading(list)
      if let reach { editedMayCall = reach }
      if let fault {
        value.report(
          .wrongType(
            expected:
              "host names (.example.org is all below it), addresses, networks such as 10.20.0.0/16",
            expectedZh: "主机名（.example.org 表示其下所有主机）、地址或网段，如 10.20.0.0/16",
            found: fault
          )
        )
      }
    }
    for (name, _, value) in map.required("channels")?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      channels.append(Channel(entry, name: name, file: file))
    }
    map.finish()
  }
}

extension ServiceConfiguration.CalloutSection.Channel {
  init(_ map: YAMLMap, name: String, file: (YAMLValue?) -> String?) {
    self.name = name
    if let kind = map.required("kind")?.choice(ServiceConfiguration.CalloutSection.Kind.self) {
      self.kind = kind
      read(map, file: file)
    }
    for value in map["rates"]?.list() ?? [] { if let rate = value.rate() { rates.append(rate) } }
    groupMilliseconds = map["group"]?.milliseconds()
    attempts = map["attempts"]?.integer(in: 1...100)
    if let value = map["heartbeat"]?.bool() { hasHeartbeat = value }
    operators = (map["operators"]?.list() ?? []).compactMap { value in
      guard var person = value.calloutOperator() else { return nil }
      // Written beside its channel, an address needs no channel's name.
      if let address = person.addresses.removeValue(forKey: "address") {
        person.addresses[name] = address
      }
      return person
    }
    // Of a kind that is not known, nothing else can be.
    if map["kind"]?.scalarText.flatMap(ServiceConfiguration.CalloutSection.Kind.init) != nil {
      map.finish()
    }
  }

  /// Reads one channel as the service file would have it, from JSON.
  ///
  /// - Parameters:
  ///   - json: an object with the keys of a channel of the service file; paths of secrets are absolute.
  ///   - name: the channel's name.
  /// - Returns: the channel, nil when something is wrong; and all that is wrong, at once.
  public static func load(
    json: String,
    name: String
  ) -> (channel: ServiceConfiguration.CalloutSection.Channel?, findings: [Finding]) {
    let log = FindingLog()
    // JSON is YAML.
    guard let map = parseYAML(json, file: name, log: log) else { return (nil, log.findings) }
    if !isIdentifier(name) { map.value.report(.badIdentifier(text: name)) }
    let channel = Self(map, name: name) { $0?.string() }
    let failed = log.findings.contains { $0.severity == .error }
    return (failed ? nil : channel, log.findings)
  }

  private mutating func read(_ map: YAMLMap, file: (YAMLValue?) -> String?) {
    switch kind {
    case .webhook:
      url = map.required("url")?.httpAddress() ?? ""
      secret = map.secret("secret", file: file)
    case .dingtalk, .feishu:
      robot = map.requiredSecret("url", file: file)
      secret = map.secret("secret", file: file)
    case .wecom:
      robot = map.requiredSecret("url", file: file)
    case .smtp:
      host = map.required("host")?.string() ?? ""
      if let value = map["security"]?.choice(ServiceConfiguration.CalloutSection.MailSecurity.self)
      {
        security = value
      }
      port = security == .tls ? 465 : security == .none ? 25 : 587
      if let value = map["port"]?.integer(in: 1...65_535) { port = value }
      from = map.required("from")?.string() ?? ""
      userName = map["userName"]?.string()
      secret =
        userName == nil ? nil : map.requiredSecret("password", file: file)
    case .http:
      url = map.required("url")?.httpAddress() ?? ""
      method = map["method"]?.string() ?? "POST"
      for (key, _, value) in map["headers"]?.map()?.entries() ?? [] {
        headers[key] = value.string() ?? ""
      }
      body = map["body"]?.string() ?? ""
      secret = map.secret("secret", file: file)
      for value in [map["url"], map["body"]].compactMap(\.self) { value.checkTemplate() }
      for (_, _, value) in map["headers"]?.map()?.entries() ?? [] { value.checkTemplate() }
      if let success = map["success"]?.map() {
        successMember = success.required("member")?.string()
        successEquals = success.required("equals")?.scalarText ?? ""
        successRetries = (success["retry"]?.list() ?? []).compactMap(\.scalarText)
        success.finish()
      }
    case .mqtt:
      topic = map.required("topic")?.string() ?? ""
      if topic.contains(where: { "+#".contains($0) }) {
        map["topic"]?.report(
          .wrongType(
            expected: "a topic without + and #",
            expectedZh: "不含 + 和 # 的主题",
            found: topic
          )
        )
      }
    }
  }
}

extension ServiceConfiguration.CalloutSection.Channel {
  /// The rates that are set, or else those that the kind is known to bear.
  public var effectiveRates: [ServiceConfiguration.CalloutSection.Rate] {
    typealias Rate = ServiceConfiguration.CalloutSection.Rate
    guard rates.isEmpty else { return rates }
    return switch kind {
    case .dingtalk, .wecom: [Rate(count: 20, milliseconds: 60_000)]
    case .feishu: [Rate(count: 100, milliseconds: 60_000), Rate(count: 5, milliseconds: 1_000)]
    case .smtp: [Rate(count: 60, milliseconds: 60_000)]
    case .webhook, .http, .mqtt: []
    }
  }
}

extension YAMLMap {
  /// A secret, by `<name>File` or `<name>Environment`; written out it is refused.
  func secret(
    _ name: String,
    file: (YAMLValue?) -> String?
  ) -> ServiceConfiguration.CalloutSection.Secret? {
    if let value = self[name] {
      value.report(
        .other(
          code: "secret-written-out",
          zh: "“\(name)”是机密，不得写在配置文件里",
          en: "\"\(name)\" is a secret and must not stand in a configuration file",
          remedyZh: "写入只有本服务可读的文件，并用 \(name)File 指明；或用 \(name)Environment 指明环境变量",
          remedyEn: "put it into a file that only the service can read, named by \(name)File, or "
            + "into the environment variable named by \(name)Environment"
        )
      )
    }
    if let path = file(self["\(name)File"]) {
      _ = self["\(name)Environment"]
      return .file(path)
    }
    return self["\(name)Environment"]?.string().map { .environment($0) }
  }

  func requiredSecret(
    _ name: String,
    file: (YAMLValue?) -> String?
  ) -> ServiceConfiguration.CalloutSection.Secret? {
    let found = secret(name, file: file)
    if found == nil { value.report(.missingKey(key: "\(name)File")) }
    return found
  }
}

extension YAMLValue {
  /// `{name: 张三, phone: "+86-1"}`.
  fileprivate func calloutOperator() -> ServiceConfiguration.CalloutSection.Operator? {
    guard let entry = map() else { return nil }
    var person = ServiceConfiguration.CalloutSection.Operator()
    for (key, _, field) in entry.entries() {
      guard let text = field.string() else { continue }
      if key == "name" { person.name = text } else { person.addresses[key] = text }
    }
    if person.name.isEmpty { report(.missingKey(key: "name")) }
    return person
  }

  /// `08:00` in minutes after midnight.
  fileprivate func minuteOfDay() -> Int? {
    let parts = (scalarText ?? "").split(separator: ":").compactMap { Int($0) }
    guard parts.count == 2, (0..<24).contains(parts[0]), (0..<60).contains(parts[1]) else {
      report(
        .wrongType(
          expected: "a time of day such as \"08:00\", or none",
          expectedZh: "时刻，如 \"08:00\"，或 none",
          found: kind
        )
      )
      return nil
    }
    return parts[0] * 60 + parts[1]
  }

  /// `20/min`, `5/s`.
  fileprivate func rate() -> ServiceConfiguration.CalloutSection.Rate? {
    let parts = (scalarText ?? "").split(separator: "/").map(String.init)
    let units: [String: Int64] = ["s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000]
    guard parts.count == 2, let count = Int(parts[0]), count > 0, let unit = units[parts[1]] else {
      report(
        .wrongType(
          expected: "a rate such as 20/min or 5/s",
          expectedZh: "速率，如 20/min 或 5/s",
          found: kind
        )
      )
      return nil
    }
    return ServiceConfiguration.CalloutSection.Rate(count: count, milliseconds: unit)
  }

  func httpAddress() -> String? {
    guard let text = string() else { return nil }
    guard text.hasPrefix("https://") || text.hasPrefix("http://") else {
      report(
        .wrongType(
          expected: "an address that begins with https:// or http://",
          expectedZh: "以 https:// 或 http:// 开头的地址",
          found: text
        )
      )
      return nil
    }
    return text
  }

  /// Reports `{{names}}` that no message has.
  fileprivate func checkTemplate() {
    for part in (scalarText ?? "").components(separatedBy: "{{").dropFirst() {
      guard let end = part.range(of: "}}") else { continue }
      let name = part[..<end.lowerBound].trimmingCharacters(in: .whitespaces)
      guard NoticeField(rawValue: name) == nil else { continue }
      report(
        .unknownReference(
          kind: "field",
          kindZh: "字段",
          name: name,
          known: NoticeField.allCases.map(\.rawValue)
        )
      )
    }
  }
}
