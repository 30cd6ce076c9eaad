import AlarmEngine
import Telemetry

/// A detector of the engine as a profile writes it: `detect: {kind: cusum, allowance: 0.5}`.
///
/// Every parameter that is not written has the engine's default; what a parameter means, its range and its source
/// stand at the engine's type. `docs/profiles.md` has the table.
struct DetectorSpec: Sendable {
  enum Kind: String, CaseIterable, Sendable {
    case successiveChange = "successive-change"
    case ewma
    case ewmaChart = "ewma-chart"
    case cusum
    case ewmaZ = "ewma-z"
    case robustZ = "robust-z"
    case seasonal
    case deviation
    case backgroundExcess = "background-excess"
    case limitHugging = "limit-hugging"
    case replayedRun = "replayed-run"
    case gapAtRise = "gap-at-rise"
    case multivariate
  }

  var kind: Kind
  /// The figure that a site may set, where the detector has one in the point's unit.
  var limit: Quantity?
  var restore: Quantity?
  /// Point of the same device that a deviation is measured from.
  var reference: String?
  /// Points of the same device and the model of a group.
  var points: [String] = []
  var model: String?
  /// What of the group decides.
  var statistic = MultivariateModel.Statistic.distance
  /// The detector, whose limit and restore value are still to be set where ``limit`` is.
  var detector: Detector
  var place: Place

  /// What the detector is called beside an alarm.
  var condition: String { kind.rawValue }
}

/// Reads the mapping under `detect`.
struct DetectorSpecReader {
  let map: YAMLMap

  /// Reads one; nil when something in it is wrong, which has been reported.
  func read() -> DetectorSpec? {
    defer { map.finish() }
    guard let kind = map.required("kind")?.choice(DetectorSpec.Kind.self) else {
      map.leaveOpen()
      return nil
    }
    var spec = DetectorSpec(kind: kind, detector: .clockFault, place: map.place)
    var isWhole = true
    switch kind {
    case .successiveChange, .deviation, .backgroundExcess, .limitHugging, .gapAtRise:
      spec.limit = map.required("limit")?.quantity()
      spec.restore = map["restore"]?.quantity()
      isWhole = spec.limit != nil
    case .multivariate:
      spec.points = map.required("points")?.strings() ?? []
      spec.model = map.required("model")?.identifier()
      if let statistic = map["statistic"]?.choice(MultivariateModel.Statistic.self) {
        spec.statistic = statistic
      }
      isWhole = !spec.points.isEmpty && spec.model != nil
    case .ewma, .ewmaChart, .cusum, .ewmaZ, .robustZ, .seasonal, .replayedRun: break
    }
    if kind == .deviation, let value = map["point"] {
      spec.reference = value.identifier()
      isWhole = isWhole && spec.reference != nil
    }
    guard isWhole, let detector = detector(kind, hasReference: spec.reference != nil) else {
      return nil
    }
    spec.detector = detector
    return refuses(spec) ? nil : spec
  }

  private func detector(_ kind: DetectorSpec.Kind, hasReference: Bool) -> Detector? {
    switch kind {
    case .successiveChange:
      return .successiveChange(perSecond: 1)
    case .ewma:
      return .ewma(
        alpha: number("alpha") ?? 0.05,
        deviations: number("limit") ?? 6,
        warmUp: whole("warm-up") ?? 30
      )
    case .ewmaChart:
      var parameters = EWMAChart.Parameters()
      set(&parameters.lambda, "lambda")
      set(&parameters.width, "limit")
      set(&parameters.usesExactLimits, "exact-limits")
      set(&parameters.smallestDeviation, "smallest-deviation")
      set(&parameters.longestFreeze, "longest-freeze")
      set(&parameters.baseline)
      return .ewmaChart(parameters)
    case .cusum:
      var parameters = TabularCUSUM.Parameters()
      set(&parameters.allowance, "allowance")
      set(&parameters.decisionInterval, "limit")
      set(&parameters.headStart, "head-start")
      set(&parameters.ceiling, "ceiling")
      set(&parameters.smallestDeviation, "smallest-deviation")
      set(&parameters.longestFreeze, "longest-freeze")
      set(&parameters.baseline)
      return .cusum(parameters)
    case .ewmaZ:
      var parameters = EWMAZScore.Parameters()
      set(&parameters.alpha, "alpha")
      set(&parameters.limit, "limit")
      set(&parameters.warmUp, "warm-up")
      set(&parameters.smallestDeviation, "smallest-deviation")
      set(&parameters.learnsInAlarm, "learns-in-alarm")
      set(&parameters.longestFreeze, "longest-freeze")
      return .ewmaZScore(parameters)
    case .robustZ:
      guard let span = map.required("span")?.milliseconds() else { return nil }
      var parameters = RobustZScore.Parameters(span: span)
      set(&parameters.limit, "limit")
      set(&parameters.minimumCount, "minimum-count")
      set(&parameters.smallestScale, "smallest-scale")
      set(&parameters.learnsInAlarm, "learns-in-alarm")
      set(&parameters.longestFreeze, "longest-freeze")
      set(&parameters.capacity, "capacity")
      return .robustZScore(parameters)
    case .seasonal:
      var parameters = SeasonalBaseline.Parameters()
      set(&parameters.limit, "limit")
      set(&parameters.rate, "rate")
      set(&parameters.minimumWeeks, "minimum-weeks")
      set(&parameters.minimumReadings, "minimum-readings")
      set(&parameters.zoneOffset, "zone-offset")
      set(&parameters.smallestDeviation, "smallest-deviation")
      set(&parameters.longestFreeze, "longest-freeze")
      return .seasonal(parameters)
    case .deviation:
      var parameters = Deviation.Parameters(limit: 1, gain: hasReference ? 1 : 0)
      if !hasReference {
        guard let setpoint = map.required("set-point")?.number() else { return nil }
        parameters.offset = setpoint
      } else {
        set(&parameters.gain, "gain")
        set(&parameters.offset, "offset")
      }
      set(&parameters.isRelative, "relative")
      set(&parameters.longestAge, "longest-age")
      if let side = map["side"]?.choice(Side.self) { parameters.side = side.side }
      return .deviation(parameters, from: nil)
    case .backgroundExcess:
      var parameters = BackgroundExcess.Parameters(limit: 1)
      set(&parameters.span, "span")
      set(&parameters.share, "share")
      set(&parameters.minimumCount, "minimum-count")
      set(&parameters.capacity, "capacity")
      return .backgroundExcess(parameters)
    case .limitHugging:
      guard let span = map.required("span")?.milliseconds() else { return nil }
      var parameters = LimitHugging.Parameters(span: span, limit: 1)
      set(&parameters.band, "band")
      set(&parameters.share, "share")
      set(&parameters.minimumCount, "minimum-count")
      set(&parameters.capacity, "capacity")
      return .limitHugging(parameters)
    case .replayedRun:
      var parameters = ReplayedRun.Parameters()
      set(&parameters.length, "length")
      set(&parameters.changes, "changes")
      set(&parameters.history, "history")
      return .replayedRun(parameters)
    case .gapAtRise:
      var parameters = GapAtRise.Parameters(limit: 1)
      set(&parameters.share, "share")
      set(&parameters.gap, "gap")
      set(&parameters.span, "span")
      set(&parameters.capacity, "capacity")
      return .gapAtRise(parameters)
    case .multivariate:
      return .clockFault
    }
  }

  private enum Side: String, CaseIterable {
    case high, low, both

    var side: DeviationSide {
      switch self {
      case .high: .high
      case .low: .low
      case .both: .both
      }
    }
  }

  private func number(_ key: String) -> Double? { map[key]?.number() }

  private func whole(_ key: String) -> Int? { map[key]?.integer() }

  private func set(_ value: inout Double, _ key: String) {
    if let found = number(key) { value = found }
  }

  private func set(_ value: inout Int, _ key: String) {
    if let found = whole(key) { value = found }
  }

  private func set(_ value: inout Int64, _ key: String) {
    if let found = map[key]?.milliseconds() { value = found }
  }

  private func set(_ value: inout Bool, _ key: String) {
    if let found = map[key]?.bool() { value = found }
  }

  /// Reads `baseline: {readings: 200}` or `baseline: {mean: 5, deviation: 0.2}`.
  private func set(_ baseline: inout ControlBaseline) {
    guard let map = map["baseline"]?.map() else { return }
    defer { map.finish() }
    if let readings = map["readings"]?.integer() {
      baseline = .learned(readings: readings)
    } else if let mean = map.required("mean")?.number(),
      let deviation = map.required("deviation")?.number()
    {
      baseline = .given(mean: mean, standardDeviation: deviation)
    }
  }

  /// Asks the engine whether it takes the parameters, so that a profile is refused where it stands.
  private func refuses(_ spec: DetectorSpec) -> Bool {
    guard spec.kind != .multivariate else { return false }
    let plan = EnginePlan(
      devices: [DevicePlan(id: StableID(name: "device"))],
      channels: [ChannelPlan(id: StableID(name: "channel"), device: 0)],
      rules: [
        RulePlan(
          id: StableID(name: "rule"),
          channel: ChannelIndex(rawValue: 0),
          detector: spec.detector,
          priority: .blue
        )
      ]
    )
    do throws(PlanError) {
      _ = try Engine(plan: plan)
      return false
    } catch {
      for problem in error.problems {
        map.value.report(
          .other(
            code: "detector-refused",
            zh: "检测器参数不可用：\(problem.message)",
            en: "the detector's parameters cannot be used: \(problem.message)",
            remedyZh: "更正该处的数值",
            remedyEn: "correct the figure"
          )
        )
      }
      return true
    }
  }
}

extension Detector {
  /// The detector with its limit and restore value, in the point's unit, set.
  func with(limit: Double, restore: Double?) -> Detector {
    switch self {
    case .successiveChange: return .successiveChange(perSecond: limit)
    case .deviation(var parameters, let reference):
      parameters.limit = limit
      parameters.restore = restore ?? limit
      return .deviation(parameters, from: reference)
    case .backgroundExcess(var parameters):
      parameters.limit = limit
      parameters.restore = restore ?? limit
      return .backgroundExcess(parameters)
    case .limitHugging(var parameters):
      parameters.limit = limit
      return .limitHugging(parameters)
    case .gapAtRise(var parameters):
      parameters.limit = limit
      return .gapAtRise(parameters)
    case .limit, .physicalRange, .stale, .clockFault, .reported, .ewma, .rateOfChange, .stuck,
      .ewmaChart,
      .cusum, .ewmaZScore, .robustZScore, .seasonal, .replayedRun, .expression, .interlock,
      .multivariate, .window, .cascade:
      return self
    }
  }

  /// The detector with the channel that a deviation is measured from.
  func with(reference: ChannelIndex) -> Detector {
    guard case .deviation(let parameters, _) = self else { return self }
    return .deviation(parameters, from: reference)
  }
}

/// A count over the alarms of other points, as a profile writes it.
struct CascadeSpec: Sendable {
  /// Which points are counted.
  enum Members: Sendable {
    /// Those of all devices with this profile in the same site or area.
    case devices(profile: String, inArea: Bool)
    /// Points of the same device, which may be cascades themselves.
    case points([String])
  }

  var members: Members
  var grade: AlarmPriority
  var cascade: CountCascade
  var place: Place

  /// Reads the mapping under `cascade`; nil when something in it is wrong, which has been reported.
  static func read(_ map: YAMLMap) -> CascadeSpec? {
    defer { map.finish() }
    let grade = map.required("grade")?.priority()
    let blue = map["blue-per-yellow"]?.integer() ?? 4
    let yellow = map["yellow-per-orange"]?.integer() ?? 3
    let orange = map["orange-per-red"]?.integer() ?? 2
    var members: Members?
    if let value = map["points"] {
      members = value.strings().map(Members.points)
    } else if let entry = map.required("devices")?.map() {
      let profile = entry.required("profile")?.string()
      let scope = entry["within"]?.choice(Scope.self) ?? .site
      entry.finish()
      members = profile.map { .devices(profile: $0, inArea: scope == .area) }
    }
    guard let grade, let members else { return nil }
    do throws(DetectorError) {
      let cascade = try CountCascade(
        bluePerYellow: blue,
        yellowPerOrange: yellow,
        orangePerRed: orange
      )
      return CascadeSpec(members: members, grade: grade, cascade: cascade, place: map.place)
    } catch {
      map.value.report(
        .badExpression(
          text: "cascade",
          reason: "\(error)",
          reasonZh: "计数须在 2 至 1000 之间",
          remedy: LocalizedText(zh: "更正计数", en: "write counts from 2 to 1000")
        )
      )
      return nil
    }
  }

  private enum Scope: String, CaseIterable { case site, area }
}
