import Foundation

/// The welding section of a site file: the register to begin with, and the site's figures.
public struct EnterpriseWelding: Codable, Sendable {
  /// Machines, welders, permits, bans, commitments, holidays.
  public var register: WeldingRegister
  /// Figures: the site's, else those of `devices/hot-work.yaml`.
  public var policy: WeldingPolicy
  /// Figures that the site has set looser than their standard: name, the site's, the standard's.
  public var looser: [LooserFigure]
  /// Where it is defined.
  public var place: Place

  /// A figure that is looser than its standard's.
  public struct LooserFigure: Codable, Sendable {
    /// Name of the figure.
    public var name: String
    /// The site's, ms.
    public var value: Int64
    /// The standard's, ms.
    public var bound: Int64
    /// Where the standard says so.
    public var citation: String
    /// Where the site says so.
    public var place: Place
  }
}

/// Reads the `welding` section of a site file.
struct WeldingReader {
  let rules: HotWorkRules
  /// Fences of the enterprise's areas by `site/area`.
  let fences: [String: [Coordinates]]
  /// Ids of the enterprise's devices.
  let devices: [String]

  func read(_ map: YAMLMap) -> EnterpriseWelding {
    var welding = EnterpriseWelding(
      register: WeldingRegister(),
      policy: rules.policy,
      looser: [],
      place: map.place
    )
    if let entry = map.required("policy")?.map() { policy(entry, into: &welding) }
    for (key, keyPlace, value) in map["machines"]?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      if !devices.contains(key) {
        value.log.report(
          .unknownReference(
            kind: "device",
            kindZh: "设备",
            name: key,
            known: devices
          ),
          at: keyPlace
        )
      }
      if let machine = machine(entry, id: key) { welding.register.machines.append(machine) }
    }
    for (key, _, value) in map["welders"]?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      if let welder = welder(entry, id: key) { welding.register.welders.append(welder) }
    }
    for (key, _, value) in map["permits"]?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      guard let permit = permit(entry, id: key) else { continue }
      if let fault = welding.register.fault(of: permit, policy: welding.policy) {
        value.report(.welding(fault))
      }
      welding.register.permits.append(permit)
    }
    for (key, _, value) in map["banned-periods"]?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      defer { entry.finish() }
      guard let reason = entry.required("reason")?.string(),
        let from = entry.required("from")?.moment(), let until = entry.required("until")?.moment()
      else { continue }
      welding.register.bannedPeriods.append(
        WeldingRegister.BannedPeriod(id: key, reason: reason, from: from, until: until)
      )
    }
    for (key, _, value) in map["commitments"]?.map()?.entries() ?? [] {
      guard let entry = value.map() else { continue }
      defer { entry.finish() }
      guard let day = CalendarDate(key) else {
        value.report(.badDate(text: key))
        continue
      }
      guard let count = entry.required("hot-works")?.integer(in: 0...10_000) else { continue }
      welding.register.commitments.append(
        WeldingRegister.Commitment(day: day, hotWorks: count)
      )
    }
    welding.register.holidays = map["holidays"]?.list()?.compactMap { $0.date() } ?? []
    welding.register.workdays = map["workdays"]?.list()?.compactMap { $0.date() } ?? []
    map.finish()
    return welding
  }

  private func policy(_ map: YAMLMap, into welding: inout EnterpriseWelding) {
    welding.policy.scanRadius = map.required("scan-radius")?.number() ?? 0
    for name in WeldingPolicy.durations.keys.sorted() {
      guard let path = WeldingPolicy.durations[name], let value = map[name],
        let milliseconds = value.milliseconds()
      else { continue }
      let bound = rules.policy[keyPath: path]
      welding.policy[keyPath: path] = milliseconds
      if milliseconds > bound, let source = rules.sources[name], source.origin == .standard {
        welding.looser.append(
          EnterpriseWelding.LooserFigure(
            name: name,
            value: milliseconds,
            bound: bound,
            citation: source.citation,
            place: value.place
          )
        )
      }
    }
    for name in WeldingPolicy.numbers.keys.sorted() {
      guard let path = WeldingPolicy.numbers[name], let number = map[name]?.number() else {
        continue
      }
      welding.policy[keyPath: path] = number
    }
    if let night = map["night"]?.night() { welding.policy.night = night }
    if let weekends = map["weekends-are-rest-days"]?.bool() {
      welding.policy.weekendsAreRestDays = weekends
    }
    if let undecided = map["undecided"]?.choice(WeldingPolicy.Undecided.self) {
      welding.policy.undecided = undecided
    }
    welding.policy.answerTopics = map["answer-topics"]?.strings() ?? []
    map.finish()
  }

  private func machine(_ map: YAMLMap, id: String) -> WeldingRegister.Machine? {
    defer { map.finish() }
    let code = map.required("code")?.string()
    let chip = map.required("chip")?.string()
    let barred = map["barred"]?.string()
    let normal = map["normal-current"]?.numbers(count: 2...2)
    let topic = map["command-topic"]?.string()
    guard let code, let chip else { return nil }
    return WeldingRegister.Machine(
      device: id,
      code: code,
      chip: chip,
      barred: barred,
      normalCurrent: normal,
      commandTopic: topic
    )
  }

  private func welder(_ map: YAMLMap, id: String) -> WeldingRegister.Welder? {
    defer { map.finish() }
    let name = map.required("name")?.string()
    let certificate = map.required("certificate")?.string()
    let category = map["category"]?.string() ?? WeldingRegister.Welder.weldingCategory
    let from = map.required("from")?.date()
    let until = map.required("until")?.date()
    let review = map["review"]?.date()
    guard let name, let certificate, let from, let until else { return nil }
    return WeldingRegister.Welder(
      id: id,
      name: name,
      certificate: certificate,
      category: category,
      validFrom: from,
      validUntil: until,
      reviewBy: review
    )
  }

  private func permit(_ map: YAMLMap, id: String) -> WeldingRegister.Permit? {
    defer { map.finish() }
    let kind = map.required("kind")?.choice(WeldingRegister.Permit.Kind.self)
    let hotWorkClass = map.required("class")?.choice(WeldingRegister.HotWorkClass.self)
    let assessed = map["assessed"]?.choice(WeldingRegister.HotWorkClass.self)
    let machines = map.required("machines")?.strings() ?? []
    let welders = map.required("welders")?.strings() ?? []
    var fence = map["fence"]?.list()?.compactMap { Coordinates.read($0) } ?? []
    if let value = map["area"], let area = value.string() {
      if let found = fences[area] {
        fence = found
      } else {
        value.report(
          .unknownReference(
            kind: "area",
            kindZh: "区域",
            name: area,
            known: fences.keys.sorted()
          )
        )
      }
    }
    let isOutdoor = map["outdoor"]?.bool() ?? false
    let from = map.required("from")?.moment()
    let until = map.required("until")?.moment()
    let tested = map["gas-test"]?.moment()
    let guardian = map["guardian"]?.string()
    let video = map["video"]?.string()
    guard let kind, let hotWorkClass, let from, let until else { return nil }
    return WeldingRegister.Permit(
      id: id,
      kind: kind,
      hotWorkClass: hotWorkClass,
      assessedClass: assessed,
      machines: machines,
      welders: welders,
      fence: fence,
      isOutdoor: isOutdoor,
      from: from,
      until: until,
      gasTestedAt: tested,
      guardian: guardian,
      video: video
    )
  }
}

/// What keeps a permit from being registered.
public enum PermitFault: Error, Hashable, Sendable {
  /// Neither an area with a fence nor a fence of at least three corners.
  case noFence
  /// Ends before it begins.
  case reversed
  /// Longer than its class allows, hours.
  case tooLong(hours: Double, allowed: Double)
  /// The approved class is below the assessed one.
  case classTooLow
  /// Names a machine that is not registered.
  case unknownMachine(String)
  /// Names a welder who is not registered.
  case unknownWelder(String)

  /// In words.
  public var text: LocalizedText {
    switch self {
    case .noFence:
      LocalizedText(
        zh: "须写明有围栏的区域（area），或至少三个顶点的围栏（fence）",
        en: "it needs an area that has a fence, or a fence of at least three corners"
      )
    case .reversed: LocalizedText(zh: "结束不晚于开始", en: "it ends before it begins")
    case .tooLong(let hours, let allowed):
      LocalizedText(
        zh: "时长 \(plain(hours)) 小时，级别上限 \(plain(allowed)) 小时（GB 30871-2022 5.1.5）",
        en: "\(plain(hours)) h long, its class allows \(plain(allowed)) h (GB 30871-2022 5.1.5)"
      )
    case .classTooLow:
      LocalizedText(zh: "批准级别低于评定级别", en: "the approved class is below the assessed one")
    case .unknownMachine(let name):
      LocalizedText(zh: "未登记的焊机 \(name)", en: "machine \(name) is not registered")
    case .unknownWelder(let name):
      LocalizedText(zh: "未登记的焊工 \(name)", en: "welder \(name) is not registered")
    }
  }
}

extension WeldingRegister {
  /// What is wrong with a permit beside this register; nil when nothing is.
  public func fault(of permit: Permit, policy: WeldingPolicy) -> PermitFault? {
    if permit.fence.count < 3 { return .noFence }
    if permit.until <= permit.from { return .reversed }
    let span = permit.until - permit.from
    let allowed = policy.longestTicket(permit.hotWorkClass)
    if span > allowed {
      return .tooLong(hours: Double(span) / 3_600_000, allowed: Double(allowed) / 3_600_000)
    }
    if permit.hotWorkClass != permit.assessedClass, !permit.isUpgraded { return .classTooLow }
    for name in permit.machines where !machines.contains(where: { $0.device == name }) {
      return .unknownMachine(name)
    }
    for name in permit.welders where !welders.contains(where: { $0.id == name }) {
      return .unknownWelder(name)
    }
    return nil
  }
}

extension Problem {
  /// A permit that cannot be registered.
  static func welding(_ fault: PermitFault) -> Problem {
    .other(
      code: "welding-permit",
      zh: fault.text.zh,
      en: fault.text.en,
      remedyZh: "更正作业票或先登记所引用的焊机、焊工",
      remedyEn: "correct the permit, or register the machine or welder it names first"
    )
  }
}

extension YAMLValue {
  /// Reads a moment with its offset, `2026-11-26T08:00:00+08:00`, as milliseconds since the Unix epoch.
  func moment() -> Int64? {
    guard let text = string() else { return nil }
    guard let milliseconds = readMoment(text) else {
      report(.badDate(text: "\(text) (2026-11-26T08:00:00+08:00)"))
      return nil
    }
    return milliseconds
  }
}

/// Reads ISO 8601 with seconds and offset; nil when it is not that.
public func readMoment(_ text: String) -> Int64? {
  guard let date = try? Date(text, strategy: .iso8601) else { return nil }
  return Int64((date.timeIntervalSince1970 * 1000).rounded())
}
