import AlarmEngine

/// The alarms of the welding desk, by the names they carry in the ledger.
public enum WeldingRule: String, Codable, CaseIterable, Comparable, Sendable {
  /// NO_CERT.
  case noCert = "no-cert"
  /// CERT_EXPIRING.
  case certExpiring = "cert-expiring"
  /// CERT_EXPIRED.
  case certExpired = "cert-expired"
  /// NO_PERMIT.
  case noPermit = "no-permit"
  /// OUT_OF_AREA.
  case outOfArea = "out-of-area"
  /// OUT_OF_HOURS.
  case outOfHours = "out-of-hours"
  /// OVERTIME.
  case overtime
  /// SPECIAL_PERIOD.
  case specialPeriod = "special-period"
  /// REMOTE_SCAN.
  case remoteScan = "remote-scan"
  /// SUSPECTED_MODIFICATION.
  case suspectedModification = "suspected-modification"
  /// ABNORMAL_WORK.
  case abnormalWork = "abnormal-work"
  /// OFFLINE.
  case offline
  /// IDLE_CURRENT.
  case idleCurrent = "idle-current"
  /// GAS/TEMP_NEAR.
  case gasNear = "gas-near"
  /// NO_GUARDIAN.
  case noGuardian = "no-guardian"
  /// A break that needs a new gas test.
  case gasTest = "gas-test"
  /// Holiday, rest day or night without the higher class.
  case notUpgraded = "not-upgraded"
  /// AFTER_CHECK.
  case afterCheck = "after-check"
  /// A lock command that the current did not obey.
  case cutFailed = "cut-failed"
  /// More hot work than the day's commitment says.
  case commitment
  /// Outdoor work in a wind that asks for the higher class.
  case highWind = "high-wind"
  /// Special-class work without continuous gas monitoring.
  case unmonitored
  /// Special-class work without video of all of it.
  case unrecorded

  /// Orders as declared in the file of names: by name.
  public static func < (lhs: WeldingRule, rhs: WeldingRule) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// What `devices/hot-work.yaml` says: the alarms of the welding desk and the figures they go by.
public struct HotWorkRules: Sendable {
  /// An alarm as the desk raises it.
  public struct Alarm: Sendable {
    /// What it says.
    public var text: LocalizedText
    /// 1 blue to 4 red.
    public var priority: Int
    /// Whether the machine is locked at once.
    public var locks: Bool
    /// Where it comes from.
    public var source: RuleSource
    /// What is to be done.
    public var response: LocalizedText
  }

  /// Figures, with the sources they come from.
  public var sources: [String: RuleSource] = [:]
  /// The alarms.
  public var alarms: [WeldingRule: Alarm] = [:]
  /// Figures that hold where a site says nothing.
  public var policy = WeldingPolicy()

  /// Reads the file.
  static func read(_ map: YAMLMap, standards: [Standard]) -> HotWorkRules {
    var rules = HotWorkRules()
    for (key, _, value) in map.required("figures")?.map()?.entries() ?? [] {
      guard let entry = value.map() else { continue }
      if let name = WeldingPolicy.durations[key] {
        if let milliseconds = entry.required("value")?.milliseconds() {
          rules.policy[keyPath: name] = milliseconds
        }
      } else {
        value.report(
          .unknownKey(key: key, known: WeldingPolicy.durations.keys.sorted())
        )
      }
      rules.sources[key] = entry.required("source").flatMap {
        RuleSource.read($0, standards: standards)
      }
      entry.finish()
    }
    for (key, _, value) in map.required("numbers")?.map()?.entries() ?? [] {
      guard let entry = value.map() else { continue }
      if let name = WeldingPolicy.numbers[key] {
        if let number = entry.required("value")?.number() { rules.policy[keyPath: name] = number }
      } else {
        value.report(
          .unknownKey(key: key, known: WeldingPolicy.numbers.keys.sorted())
        )
      }
      rules.sources[key] = entry.required("source").flatMap {
        RuleSource.read($0, standards: standards)
      }
      entry.finish()
    }
    if let night = map.required("night")?.night() { rules.policy.night = night }
    if let upgrade = map.required("upgrade")?.map() {
      rules.sources["upgrade"] = upgrade.required("source").flatMap {
        RuleSource.read($0, standards: standards)
      }
      upgrade.finish()
    }
    let alarms = map.required("alarms")?.map()
    for rule in WeldingRule.allCases {
      guard let entry = alarms?.required(rule.rawValue)?.map() else { continue }
      let text = entry.required("text")?.text()
      let priority = entry.required("priority")?.choice(Colour.self)?.priority
      let locks = entry["locks"]?.bool() ?? false
      let source = entry.required("source").flatMap { RuleSource.read($0, standards: standards) }
      let response = entry.required("response")?.text()
      entry.finish()
      guard let text, let priority, let source, let response else { continue }
      rules.alarms[rule] = Alarm(
        text: text,
        priority: priority,
        locks: locks,
        source: source,
        response: response
      )
    }
    alarms?.finish()
    map.finish()
    return rules
  }

  private enum Colour: String, CaseIterable {
    case blue, yellow, orange, red
    var priority: Int {
      switch self {
      case .blue: 1
      case .yellow: 2
      case .orange: 3
      case .red: 4
      }
    }
  }
}

/// What a site may set about welding; where it says nothing, `devices/hot-work.yaml` holds.
public struct WeldingPolicy: Codable, Hashable, Sendable {
  /// What is answered where the service cannot decide.
  public enum Undecided: String, Codable, CaseIterable, Sendable {
    /// The machine stays locked.
    case deny
    /// The machine is released, and the ledger says why it was not decided.
    case allow
  }

  /// Longest span of a ticket by class, ms.
  public var ticketSpecial: Int64 = 0
  /// Longest span of a first-class ticket, ms.
  public var ticketFirst: Int64 = 0
  /// Longest span of a second-class ticket, ms.
  public var ticketSecond: Int64 = 0
  /// How long a gas test holds before the work begins, ms.
  public var gasTest: Int64 = 0
  /// Longest break of special-class work without a new gas test, ms.
  public var breakSpecial: Int64 = 0
  /// Longest break of first-class work, ms.
  public var breakFirst: Int64 = 0
  /// Longest break of second-class work, ms.
  public var breakSecond: Int64 = 0
  /// How long after the end the work place must have been confirmed clear, ms.
  public var afterCheck: Int64 = 0
  /// How soon after a lock command the current must have stopped, ms.
  public var cutWithin: Int64 = 0
  /// Silence of a welding machine that is an alarm, ms.
  public var offlineAfter: Int64 = 0
  /// Released without an arc for this long is an alarm, ms.
  public var idleAfter: Int64 = 0
  /// Released without an arc for this long locks the machine, ms.
  public var autoOffAfter: Int64 = 0
  /// Current outside the machine's normal range for this long is an alarm, ms.
  public var abnormalFor: Int64 = 0
  /// Supply current without chip current for this long is an alarm, ms.
  public var bypassFor: Int64 = 0
  /// How long an alarm of a scan stands after the last such scan, ms.
  public var scanHold: Int64 = 0
  /// How far a scan's own time may differ from the receive time, ms.
  public var clockTolerance: Int64 = 0
  /// How old a reported position may be, ms.
  public var fixAge: Int64 = 0
  /// How old the newest combustible-gas reading of the area may be in special-class work, ms.
  public var monitorGap: Int64 = 0
  /// How old the newest wind speed may be at a scan, ms.
  public var windAge: Int64 = 0
  /// Wind speed from which outdoor work needs the higher class, m/s.
  public var windLimit = 0.0
  /// Current above this is an arc, A.
  public var idleCurrent = 0.0
  /// So many positions in a row outside the fence are an alarm.
  public var outsideFixes = 0.0
  /// Lock commands sent before nobody but the alarm repeats it.
  public var cutAttempts = 0.0
  /// Days before expiry from which a certificate is about to expire.
  public var remindDays = 0.0
  /// Days before expiry from which it no longer lets weld; 0 for the expiry itself.
  public var freezeDays = 0.0
  /// A scan further than this from the machine is remote, m; each site's own.
  public var scanRadius = 0.0
  /// Minutes of the local day between which it is night; the first may be the larger.
  public var night: [Int] = [0, 0]
  /// Whether Saturday and Sunday are rest days.
  public var weekendsAreRestDays = true
  /// What is answered without a register or with a clock that cannot be believed.
  public var undecided = Undecided.deny
  /// Topics, as prefixes, that an answer may be asked to; the gateway's own answers always may.
  public var answerTopics: [String] = []

  /// Makes a policy whose figures are all still to be set.
  public init() {}

  /// The figures that are lengths of time, by their names in files.
  static let durations: [String: any WritableKeyPath<WeldingPolicy, Int64> & Sendable] = [
    "ticket-special": \.ticketSpecial, "ticket-first": \.ticketFirst,
    "ticket-second": \.ticketSecond, "gas-test": \.gasTest, "break-special": \.breakSpecial,
    "break-first": \.breakFirst, "break-second": \.breakSecond, "after-check": \.afterCheck,
    "cut-within": \.cutWithin, "offline-after": \.offlineAfter, "idle-after": \.idleAfter,
    "auto-off-after": \.autoOffAfter, "abnormal-for": \.abnormalFor, "bypass-for": \.bypassFor,
    "scan-hold": \.scanHold, "clock-tolerance": \.clockTolerance, "fix-age": \.fixAge,
    "monitor-gap": \.monitorGap, "wind-age": \.windAge,
  ]

  /// The other figures.
  static let numbers: [String: any WritableKeyPath<WeldingPolicy, Double> & Sendable] = [
    "idle-current": \.idleCurrent, "outside-fixes": \.outsideFixes, "cut-attempts": \.cutAttempts,
    "remind-days": \.remindDays, "freeze-days": \.freezeDays, "wind-limit": \.windLimit,
  ]

  /// Longest span of a ticket of a class, ms.
  public func longestTicket(_ hotWorkClass: WeldingRegister.HotWorkClass) -> Int64 {
    switch hotWorkClass {
    case .special: ticketSpecial
    case .first: ticketFirst
    case .second: ticketSecond
    }
  }

  /// Longest break without a new gas test, ms.
  public func longestBreak(_ hotWorkClass: WeldingRegister.HotWorkClass) -> Int64 {
    switch hotWorkClass {
    case .special: breakSpecial
    case .first: breakFirst
    case .second: breakSecond
    }
  }
}

extension YAMLValue {
  /// Reads `["22:00", "06:00"]` as minutes of the day.
  func night() -> [Int]? {
    guard let items = strings() else { return nil }
    let minutes = items.compactMap { text -> Int? in
      let parts = text.split(separator: ":")
      guard parts.count == 2, let hour = Int(parts[0]), let minute = Int(parts[1]),
        (0...23).contains(hour), (0...59).contains(minute)
      else { return nil }
      return hour * 60 + minute
    }
    guard minutes.count == 2, items.count == 2 else {
      report(
        .wrongType(
          expected: "two times of day, [\"22:00\", \"06:00\"]",
          expectedZh: "两个时刻，如 [\"22:00\", \"06:00\"]",
          found: kind
        )
      )
      return nil
    }
    return minutes
  }
}
