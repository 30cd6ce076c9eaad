import Foundation

extension ServiceConfiguration {
  /// Which points' readings are chosen, and how often.
  public struct ReadingRule: Hashable, Sendable {
    /// Points by path, as MQTT filters are written.
    public var points = ""
    /// At most one reading in so many milliseconds; 0 takes every one.
    public var every: Int64 = 0
    /// A value that differs by more is taken at once.
    public var change: Double?
  }

  /// Section `relay:` of the service file: what is passed on to the level above.
  public struct RelaySection: Sendable {
    /// What of the ledger is passed on.
    public enum Kind: String, CaseIterable, Sendable {
      /// Alarm steps.
      case alarm
      /// Hazard steps.
      case hazard
    }

    /// The way to the station above.
    public enum Way: Sendable {
      /// By HTTP: scheme, host, port, without a path.
      case http(url: String)
      /// By its broker.
      case broker(Broker)
    }

    /// The way to the station above.
    public var way = Way.http(url: "")
    /// Where the key of this station's account there lies; nil where that one asks for none.
    public var key: CalloutSection.Secret?
    /// PEM file of authorities to trust beside the system's.
    public var authorities: String?
    /// What of the ledger is passed on.
    public var entries: Set<Kind> = Set(Kind.allCases)
    /// Word is given at least so often, milliseconds.
    public var heartbeat: Int64 = 60_000
    /// Chosen readings.
    public var readings: [ReadingRule] = []
    /// Readings that may wait for the level above; beyond that the oldest go.
    public var waitingReadings = 5_000_000
  }

  /// Section `historian:` of the service file: where readings are written to, by the Influx line protocol.
  public struct HistorianSection: Sendable {
    /// Address with path and query: `…/api/v2/write?org=…&bucket=…` or `…/write?db=…`.
    public var url = ""
    /// Where the token lies.
    public var token: CalloutSection.Secret?
    /// User name, where there is no token.
    public var userName: String?
    /// Where its password lies.
    public var password: CalloutSection.Secret?
    /// PEM file of authorities to trust beside the system's.
    public var authorities: String?
    /// Lines of one request.
    public var batch = 5_000
    /// Points whose one-minute reductions are written.
    public var minutes: [String] = []
    /// Points whose readings are written.
    public var readings: [ReadingRule] = []
    /// Readings and minutes that may wait, each; beyond that the oldest go.
    public var waiting = 5_000_000
  }
}

extension ServiceConfiguration.RelaySection {
  init(_ map: YAMLMap, station: String, file: (YAMLValue?) -> String?) {
    if let broker = map["broker"] {
      if let url = map["url"] {
        url.report(
          .other(
            code: "two-ways",
            zh: "既写了 url 又写了 broker：上报只走一条路",
            en: "both url and broker: there is one way up",
            remedyZh: "去掉其中一个",
            remedyEn: "leave one of them out"
          )
        )
      }
      if let section = broker.map() {
        var above = ServiceConfiguration.Broker()
        above.clientID = "davy-\(station)-relay"
        above.host = section.required("host")?.string() ?? ""
        above.readAddress(section, file: file)
        way = .broker(above)
      }
    } else if let value = map.required("url"), let text = value.httpAddress() {
      let url = text.hasSuffix("/") ? String(text.dropLast()) : text
      way = .http(url: url)
      if url.drop(while: { $0 != ":" }).dropFirst(3).contains(where: { "/?#".contains($0) }) {
        value.report(
          .wrongType(
            expected: "scheme, host and port alone, such as https://city.example:8443",
            expectedZh: "只写协议、主机和端口，如 https://city.example:8443",
            found: text
          )
        )
      }
    }
    key = map.secret("key", file: file)
    authorities = file(map["authorities"])
    if let list = map["entries"]?.list() { entries = Set(list.compactMap { $0.choice(Kind.self) }) }
    if let value = map["heartbeat"], let time = value.milliseconds() {
      if (1_000...240_000).contains(time) {
        heartbeat = time
      } else {
        // The level above takes a station for silent after five minutes.
        value.report(
          .wrongType(expected: "1s to 4min", expectedZh: "1s 到 4min", found: "\(time) ms")
        )
      }
    }
    for value in map["readings"]?.list() ?? [] {
      if let rule = value.readingRule() { readings.append(rule) }
    }
    if let value = map["waiting"]?.integer(in: 1_000...1_000_000_000) { waitingReadings = value }
    map.finish()
  }
}

extension ServiceConfiguration.HistorianSection {
  init(_ map: YAMLMap, file: (YAMLValue?) -> String?) {
    if let value = map.required("url"), let text = value.httpAddress() {
      url = text
      if text.contains("precision=") {
        value.report(
          .other(
            code: "precision-fixed",
            zh: "时间精度由本服务决定",
            en: "the precision of times is the service's own",
            remedyZh: "从 url 中去掉 precision",
            remedyEn: "leave precision out of the url"
          )
        )
      }
    }
    token = map.secret("token", file: file)
    userName = map["userName"]?.string()
    password = userName == nil ? nil : map.requiredSecret("password", file: file)
    authorities = file(map["authorities"])
    if let value = map["batch"]?.integer(in: 1...100_000) { batch = value }
    for value in map["minutes"]?.list() ?? [] {
      if let pattern = value.pointPattern() { minutes.append(pattern) }
    }
    for value in map["readings"]?.list() ?? [] {
      if let rule = value.readingRule() { readings.append(rule) }
    }
    if let value = map["waiting"]?.integer(in: 1_000...1_000_000_000) { waiting = value }
    map.finish()
    if minutes.isEmpty, readings.isEmpty {
      map.value.report(
        .other(
          code: "nothing-chosen",
          zh: "既没有 minutes 也没有 readings：什么也不会写出",
          en: "neither minutes nor readings: nothing would be written",
          remedyZh: "写 minutes: [\"#\"] 写出全部测点的分钟值",
          remedyEn: "minutes: [\"#\"] writes the one-minute reductions of all points"
        )
      )
    }
  }
}

extension YAMLValue {
  /// `{points: "+/+/+/+/level", every: 60s, change: 5}`.
  fileprivate func readingRule() -> ServiceConfiguration.ReadingRule? {
    guard let map = map() else { return nil }
    var rule = ServiceConfiguration.ReadingRule()
    rule.points = map.required("points")?.pointPattern() ?? ""
    if let every = map["every"]?.milliseconds() { rule.every = every }
    if let value = map["change"], let change = value.number() {
      if change < 0 {
        value.report(
          .wrongType(expected: "a number from 0", expectedZh: "不小于 0 的数", found: "\(change)")
        )
      }
      rule.change = change
    }
    map.finish()
    return rule.points.isEmpty ? nil : rule
  }

  /// A set of points, written as an MQTT filter.
  fileprivate func pointPattern() -> String? {
    guard let text = string() else { return nil }
    let levels = text.split(separator: "/", omittingEmptySubsequences: false)
    let isGood = levels.enumerated().allSatisfy { place, level in
      !level.isEmpty && (level != "#" || place + 1 == levels.count)
        && (level.count == 1 || !level.contains { "+#".contains($0) })
    }
    guard isGood else {
      report(
        .wrongType(
          expected:
            "points by path with + for a level and # for all below, such as acme/+/+/+/level",
          expectedZh: "测点路径，+ 代表一级，# 代表以下全部，如 acme/+/+/+/level",
          found: text
        )
      )
      return nil
    }
    return text
  }
}
