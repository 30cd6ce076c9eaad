import AlarmEngine

/// A window as a profile writes it: `window: {kind: sliding, span: 10min, of: mean}`, beside `when` and `until`.
///
/// The rule's figures are then those of the statistic, in its unit: a variance in the point's unit squared, a slope in the
/// point's unit per `per`, a count without one.
struct WindowSpec: Sendable {
  enum Kind: String, CaseIterable, Sendable {
    case tumbling, hopping, sliding, count, session, state
  }

  enum Statistic: String, CaseIterable, Sendable {
    case count, sum, mean, variance, min, max, first, last, range, slope, median, mad
  }

  var kind: Kind
  var of: Statistic
  /// Shape, statistic, counts; the limit is set when its figures are known.
  var parameters: WindowedStatistic.Parameters
  /// Point of the same device whose value is the state; nil for the value itself.
  var statePoint: String?
  /// How long a window that no reading ends waits for its last ones, ms; nil for as long as the point may be silent.
  var grace: Int64?
  /// The unit that the profile says its figures are in.
  var unit: (text: String, place: Place)?
  var place: Place

  /// Whether the figures lie where the point's own values do, so that they may stand in an order with its limits.
  var isLocation: Bool {
    switch of {
    case .mean, .min, .max, .first, .last, .median: true
    case .count, .sum, .variance, .range, .slope, .mad: false
    }
  }

  /// Whether a window ends without another reading, so that it has to wait for those that are on their way.
  var endsByTime: Bool {
    switch kind {
    case .tumbling, .hopping, .session: true
    case .sliding, .count, .state: false
    }
  }

  /// The unit of the statistic of values in a unit; empty for a count.
  func unit(of point: PointUnit) -> String {
    switch of {
    case .count: ""
    case .variance: "\(point.symbol)²"
    case .slope: "\(point.symbol)/\(span(parameters.slopePer, one: true))"
    case .sum, .mean, .min, .max, .first, .last, .range, .median, .mad: point.symbol
    }
  }

  /// Where the statistic can be at all; nil where nothing bounds it.
  func reach(low: Double, high: Double) -> ClosedRange<Double>? {
    let width = high - low
    guard width >= 0 else { return nil }
    return switch of {
    case .mean, .min, .max, .first, .last, .median: low...high
    case .range, .mad: 0...width
    // Two readings at either end.
    case .variance: 0...(width * width / 2)
    case .count:
      if case .count(let size, _) = parameters.shape { 0...Double(size) } else { nil }
    case .sum, .slope: nil
    }
  }

  /// A deadband as a share of the point's range, which is on another scale.
  func shareRefused(unit: String) -> Problem {
    let shown = unit.isEmpty ? "1" : unit
    return .other(
      code: "window-deadband",
      zh: "\(of.rawValue) 的回差不能用量程的百分比表示",
      en: "the deadband of \(of.rawValue) is no share of the point's range",
      remedyZh: "以“\(shown)”写出 deadband 或恢复值",
      remedyEn: "write the deadband or the restore value in \"\(shown)\""
    )
  }

  /// In words, as `docs/profiles.md` lists them: `mean of the last 10 min`.
  var words: String {
    switch parameters.shape {
    case .sliding(let length): "\(of.rawValue) of the last \(span(length))"
    case .tumbling(let length, _): "\(of.rawValue) of each \(span(length))"
    case .hopping(let length, let hop, _): "\(of.rawValue) of \(span(length)) every \(span(hop))"
    case .count(let size, true): "\(of.rawValue) of each \(size) readings"
    case .count(let size, false): "\(of.rawValue) of the last \(size) readings"
    case .session(let gap, _): "\(of.rawValue) of a run without gaps above \(span(gap))"
    case .state(let judged):
      "\(of.rawValue) while \(statePoint ?? "the value") stays \(judged.map { "\($0)" } ?? "the same")"
    }
  }

  /// A length of time as a person writes it; `h` rather than `1 h` with `one`.
  private func span(_ milliseconds: Int64, one: Bool = false) -> String {
    let units: [(Int64, String)] = [
      (86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"),
    ]
    let (size, name) = units.first { milliseconds % $0.0 == 0 } ?? (1, "ms")
    let count = milliseconds / size
    return one && count == 1 ? name : one ? "(\(count) \(name))" : "\(count) \(name)"
  }
}

extension WindowSpec.Statistic {
  var statistic: WindowedStatistic.Statistic {
    switch self {
    case .count: .count
    case .sum: .sum
    case .mean: .mean
    case .variance: .variance
    case .min: .minimum
    case .max: .maximum
    case .first: .first
    case .last: .last
    case .range: .range
    case .slope: .slope
    case .median: .median
    case .mad: .medianAbsoluteDeviation
    }
  }
}

/// Reads the mapping under `window`.
struct WindowSpecReader {
  let map: YAMLMap

  /// Reads one; nil when something in it is wrong, which has been reported.
  func read() -> WindowSpec? {
    defer { map.finish() }
    let kind = map.required("kind")?.choice(WindowSpec.Kind.self)
    let of = map.required("of")?.choice(WindowSpec.Statistic.self)
    guard let kind, let of else {
      map.leaveOpen()
      return nil
    }
    guard let shape = shape(kind) else { return nil }
    var parameters = WindowedStatistic.Parameters(
      shape: shape,
      statistic: of.statistic,
      // Until the figures are known.
      limit: LimitParameters(comparison: .above, setpoint: 0, restore: 0)
    )
    if of == .slope {
      guard let per = map.required("per")?.milliseconds() else { return nil }
      parameters.slopePer = per
    }
    if let count = map["minimum-count"]?.integer() { parameters.minimumCount = count }
    if kind != .count, let capacity = map["capacity"]?.integer() { parameters.capacity = capacity }
    var spec = WindowSpec(kind: kind, of: of, parameters: parameters, place: map.place)
    if spec.endsByTime, let value = map["grace"] {
      guard let grace = value.milliseconds() else { return nil }
      spec.grace = grace
      spec.parameters.grace = grace
    }
    if kind == .state, let value = map["point"] {
      guard let name = value.identifier() else { return nil }
      spec.statePoint = name
    }
    if let value = map["unit"], let text = value.string() { spec.unit = (text, value.place) }
    return refuses(spec) ? nil : spec
  }

  private func shape(_ kind: WindowSpec.Kind) -> WindowedStatistic.Shape? {
    switch kind {
    case .tumbling:
      guard let span = map.required("span")?.milliseconds() else { return nil }
      return .tumbling(length: span, offset: map["offset"]?.milliseconds() ?? 0)
    case .hopping:
      let span = map.required("span")?.milliseconds()
      let hop = map.required("every")?.milliseconds()
      guard let span, let hop else { return nil }
      return .hopping(length: span, hop: hop, offset: map["offset"]?.milliseconds() ?? 0)
    case .sliding:
      guard let span = map.required("span")?.milliseconds() else { return nil }
      return .sliding(span: span)
    case .count:
      guard let size = map.required("count")?.integer() else { return nil }
      return .count(size: size, isTumbling: !(map["rolling"]?.bool() ?? false))
    case .session:
      guard let gap = map.required("gap")?.milliseconds() else { return nil }
      return .session(gap: gap, longest: map["longest"]?.milliseconds() ?? 86_400_000)
    case .state:
      guard let value = map["in"] else { return .state(judged: nil) }
      guard let state = value.integer() else { return nil }
      return .state(judged: Int64(state))
    }
  }

  /// Asks the engine whether it takes the window, so that a profile is refused where it stands.
  private func refuses(_ spec: WindowSpec) -> Bool {
    do {
      _ = try WindowedStatistic(spec.parameters)
      return false
    } catch {
      map.value.report(
        .other(
          code: "window-refused",
          zh: "窗口参数不可用：\(error)",
          en: "the window's parameters cannot be used: \(error)",
          remedyZh: "更正该处的数值",
          remedyEn: "correct the figure"
        )
      )
      return true
    }
  }
}
