import Telemetry

/// The detectors that keep more than a channel's record can hold: state by kind, a row for each rule.
struct DetectorBank: Sendable {
  /// Which column a rule's detector lies in.
  enum Kind: UInt8 {
    case rateOfChange, stuck, ewmaChart, cusum, ewmaZScore, robustZScore, seasonal, limitHugging
    case replayedRun, gapAtRise, deviation, backgroundExcess
    case expression, interlock, multivariate
    case window
  }

  /// Where a rule's detector lies.
  struct Place: Hashable {
    var kind: Kind
    var row: Int
  }

  private var rates: [RateOfChange] = []
  private var stuck: [StuckDetector] = []
  private var charts: [EWMAChart] = []
  private var sums: [TabularCUSUM] = []
  private var scores: [EWMAZScore] = []
  private var robust: [RobustZScore] = []
  private var seasons: [SeasonalBaseline] = []
  private var hugging: [LimitHugging] = []
  private var replays: [ReplayedRun] = []
  private var gaps: [GapAtRise] = []
  private var backgrounds: [BackgroundExcess] = []
  private var deviations: [DeviationState] = []
  private var expressions: [ExpressionEvaluator] = []
  private var expressionForms: [UInt64] = []
  private var interlocks: [InterlockState] = []
  private var models: [ModelState] = []
  private var windows: [WindowedStatistic] = []

  private struct DeviationState {
    var detector: Deviation
    let form: UInt64
    var reference: (time: Int64, value: Double)?
  }

  private struct InterlockState {
    var detector: InterlockVerification
    var cause: ExpressionEvaluator
    var response: ExpressionEvaluator
    let form: UInt64
  }

  private struct ModelState {
    var monitor: MultivariateMonitor
    var values: [Double]
    var isFresh: [Bool]
    let form: UInt64
  }

  /// Adds a rule's detector; nil for the kinds that the engine's records hold themselves.
  ///
  /// `identities` are those of the channels that its signals are, in their order.
  mutating func add(
    _ detector: Detector,
    identities: [StableID] = []
  ) throws(DetectorError) -> Place? {
    switch detector {
    case .limit, .physicalRange, .stale, .clockFault, .reported, .successiveChange, .ewma, .cascade:
      return nil
    case .rateOfChange(let parameters):
      rates.append(try RateOfChange(parameters))
      return Place(kind: .rateOfChange, row: rates.count - 1)
    case .stuck(let parameters):
      stuck.append(try StuckDetector(parameters))
      return Place(kind: .stuck, row: stuck.count - 1)
    case .ewmaChart(let parameters):
      charts.append(try EWMAChart(parameters))
      return Place(kind: .ewmaChart, row: charts.count - 1)
    case .cusum(let parameters):
      sums.append(try TabularCUSUM(parameters))
      return Place(kind: .cusum, row: sums.count - 1)
    case .ewmaZScore(let parameters):
      scores.append(try EWMAZScore(parameters))
      return Place(kind: .ewmaZScore, row: scores.count - 1)
    case .robustZScore(let parameters):
      robust.append(try RobustZScore(parameters))
      return Place(kind: .robustZScore, row: robust.count - 1)
    case .seasonal(let parameters):
      seasons.append(try SeasonalBaseline(parameters))
      return Place(kind: .seasonal, row: seasons.count - 1)
    case .limitHugging(let parameters):
      hugging.append(try LimitHugging(parameters))
      return Place(kind: .limitHugging, row: hugging.count - 1)
    case .replayedRun(let parameters):
      replays.append(try ReplayedRun(parameters))
      return Place(kind: .replayedRun, row: replays.count - 1)
    case .gapAtRise(let parameters):
      gaps.append(try GapAtRise(parameters))
      return Place(kind: .gapAtRise, row: gaps.count - 1)
    case .backgroundExcess(let parameters):
      backgrounds.append(try BackgroundExcess(parameters))
      return Place(kind: .backgroundExcess, row: backgrounds.count - 1)
    case .deviation(let parameters, _):
      var form = StateForm()
      form.add(identities)
      deviations.append(DeviationState(detector: try Deviation(parameters), form: form.hash))
      return Place(kind: .deviation, row: deviations.count - 1)
    case .expression(let expression, _):
      expressions.append(ExpressionEvaluator(expression))
      expressionForms.append(StateForm(expression, identities).hash)
      return Place(kind: .expression, row: expressions.count - 1)
    case .interlock(let parameters, let cause, let response):
      var form = StateForm()
      form.add(cause.expression)
      form.add(response.expression)
      form.add(identities)
      interlocks.append(
        InterlockState(
          detector: try InterlockVerification(parameters),
          cause: ExpressionEvaluator(cause.expression),
          response: ExpressionEvaluator(response.expression),
          form: form.hash
        )
      )
      return Place(kind: .interlock, row: interlocks.count - 1)
    case .multivariate(let model, let signals):
      var form = StateForm()
      form.add(model)
      form.add(identities)
      models.append(
        ModelState(
          monitor: MultivariateMonitor(model),
          values: [Double](repeating: .nan, count: signals.count),
          isFresh: [Bool](repeating: false, count: signals.count),
          form: form.hash
        )
      )
      return Place(kind: .multivariate, row: models.count - 1)
    case .window(let parameters, let signals):
      windows.append(
        try WindowedStatistic(
          parameters,
          readsState: signals.count > 1,
          stateSource: identities.count > 1 ? identities[1].rawValue : 0
        )
      )
      return Place(kind: .window, row: windows.count - 1)
    }
  }

  /// Adds an expression that suppresses an alarm; `identities` are those of its signals' channels.
  mutating func add(suppression: CompiledExpression, identities: [StableID]) -> Place {
    expressions.append(ExpressionEvaluator(suppression))
    expressionForms.append(StateForm(suppression, identities).hash)
    return Place(kind: .expression, row: expressions.count - 1)
  }

  /// Hands a detector over one channel its next value; nil for detectors over several signals.
  mutating func step(
    _ place: Place,
    time: Int64,
    value: Double,
    isFrozen: Bool
  ) -> DetectorFinding? {
    let row = place.row
    switch place.kind {
    case .rateOfChange: return rates[row].step(time: time, value: value)
    case .stuck: return stuck[row].step(time: time, value: value)
    case .ewmaChart: return charts[row].step(time: time, value: value, isFrozen: isFrozen)
    case .cusum: return sums[row].step(time: time, value: value, isFrozen: isFrozen)
    case .ewmaZScore: return scores[row].step(time: time, value: value, isFrozen: isFrozen)
    case .robustZScore: return robust[row].step(time: time, value: value, isFrozen: isFrozen)
    case .seasonal: return seasons[row].step(time: time, value: value, isFrozen: isFrozen)
    case .limitHugging: return hugging[row].step(time: time, value: value)
    case .replayedRun: return replays[row].step(value: value)
    case .gapAtRise: return gaps[row].step(time: time, value: value)
    case .backgroundExcess: return backgrounds[row].step(time: time, value: value)
    case .deviation:
      let reference = deviations[row].reference
      return deviations[row].detector.step(time: time, value: value, reference: reference)
    case .expression, .interlock, .multivariate, .window: return nil
    }
  }

  /// The statistic that a rule over several signals compared last; nil where it compares none.
  func statistic(_ place: Place) -> Double? {
    place.kind == .window ? windows[place.row].finding.statistic : nil
  }

  /// With what that statistic is compared, to raise or to return; NaN where none is.
  func limit(_ place: Place, toReturn: Bool) -> Double {
    place.kind == .window ? windows[place.row].limit(toReturn: toReturn) : .nan
  }

  /// What the newest sample of a rule's group is judged by; nil for rules of other kinds.
  func evidence(_ place: Place) -> MultivariateEvidence? {
    place.kind == .multivariate ? models[place.row].monitor.evidence : nil
  }

  /// How long a rule waits beyond its detector's deadline for readings from before it.
  func grace(_ place: Place) -> Int64 {
    guard place.kind == .window, windows[place.row].endsByTime else { return 0 }
    return windows[place.row].parameters.grace
  }

  /// Whether a rule's windows have had no reading yet.
  func isFreshWindow(_ place: Place) -> Bool {
    place.kind == .window && windows[place.row].isFresh
  }

  /// Whether a rule's windows wait less long for their last readings, or its interlock for what it awaits, than when their state
  /// was written.
  func waitsLessLong(_ place: Place) -> Bool {
    place.kind == .window && windows[place.row].waitsLessLong
      || place.kind == .interlock && interlocks[place.row].detector.waitsLessLong
  }

  /// How many readings have come too late for what a rule has judged, since this was asked last.
  mutating func takeLate(_ place: Place) -> UInt64 {
    place.kind == .window ? windows[place.row].takeLate() : 0
  }

  /// Has an interlock that begins anew go on in the alarm that stands.
  mutating func doubt(_ place: Place) {
    if place.kind == .interlock { interlocks[place.row].detector.doubt() }
  }

  /// Hands a detector the newest value of one of its signals, nil when that has none any more; the
  /// condition after it, nil when it does not ask for one.
  mutating func inform(
    _ place: Place,
    signal: Int,
    time: Int64,
    value: Double?
  ) -> Truth? {
    let row = place.row
    switch place.kind {
    case .deviation:
      deviations[row].reference = value.map { (time, $0) }
      return nil
    case .expression:
      if let value {
        expressions[row].update(signal: signal, time: time, value: value)
      } else {
        expressions[row].invalidate(signal: signal)
      }
      return expressions[row].evaluate(at: time)
    case .interlock:
      let causes = interlocks[row].cause.expression.signals.count
      let isCause = signal < causes
      switch (isCause, value) {
      case (true, .some(let value)):
        interlocks[row].cause.update(signal: signal, time: time, value: value)
      case (true, .none): interlocks[row].cause.invalidate(signal: signal)
      case (false, .some(let value)):
        interlocks[row].response.update(signal: signal - causes, time: time, value: value)
      case (false, .none): interlocks[row].response.invalidate(signal: signal - causes)
      }
      return verify(row, at: time)
    case .multivariate:
      guard let value else {
        // A vector with a hole says nothing, and neither does what ran up to it.
        models[row].isFresh[signal] = false
        models[row].values[signal] = .nan
        let values = models[row].values
        return models[row].monitor.step(values).condition
      }
      models[row].values[signal] = value
      models[row].isFresh[signal] = true
      // One sample is one value of every signal; the last to come in completes it.
      guard models[row].isFresh.allSatisfy({ $0 }) else { return nil }
      for index in models[row].isFresh.indices { models[row].isFresh[index] = false }
      let values = models[row].values
      return models[row].monitor.step(values).condition
    case .window:
      // The first signal is what the windows hold, the second the state that they are of.
      if signal > 0 { return windows[row].update(state: value, time: time) }
      if let value { return windows[row].step(time: time, value: value) }
      windows[row].interrupt(at: time)
      return nil
    case .rateOfChange, .stuck, .ewmaChart, .cusum, .ewmaZScore, .robustZScore, .seasonal,
      .limitHugging, .replayedRun, .gapAtRise, .backgroundExcess:
      return nil
    }
  }

  /// Whether a detector judges by a value of one of its signals until it is told another; windows hold theirs themselves.
  func holds(_ place: Place, signal: Int) -> Bool {
    let row = place.row
    switch place.kind {
    case .expression: return expressions[row].isKnown(signal: signal)
    case .interlock:
      let causes = interlocks[row].cause.expression.signals.count
      return signal < causes
        ? interlocks[row].cause.isKnown(signal: signal)
        : interlocks[row].response.isKnown(signal: signal - causes)
    case .multivariate: return !models[row].values[signal].isNaN
    case .window, .deviation, .rateOfChange, .stuck, .ewmaChart, .cusum, .ewmaZScore,
      .robustZScore, .seasonal, .limitHugging, .replayedRun, .gapAtRise, .backgroundExcess:
      return false
    }
  }

  private mutating func verify(_ row: Int, at time: Int64) -> Truth {
    let cause = interlocks[row].cause.evaluate(at: time)
    let response = interlocks[row].response.evaluate(at: time)
    return interlocks[row].detector.step(time: time, cause: cause, response: response)
  }

  /// When a detector wants to be looked at without a reading, by event time; nil when it does not.
  func nextDeadline(_ place: Place) -> Int64? {
    switch place.kind {
    case .expression:
      return expressions[place.row].nextDeadline
    case .interlock:
      let state = interlocks[place.row]
      return [state.detector.deadline, state.cause.nextDeadline, state.response.nextDeadline]
        .compactMap { $0 }.min()
    case .window: return windows[place.row].nextDeadline
    case .rateOfChange, .stuck, .ewmaChart, .cusum, .ewmaZScore, .robustZScore, .seasonal,
      .limitHugging, .replayedRun, .gapAtRise, .backgroundExcess, .deviation,
      .multivariate:
      return nil
    }
  }

  /// Looks at a detector at its deadline.
  mutating func advance(_ place: Place, to time: Int64) -> Truth? {
    switch place.kind {
    case .expression:
      return expressions[place.row].evaluate(at: time)
    case .interlock:
      _ = verify(place.row, at: time)
      return interlocks[place.row].detector.advance(to: time)
    case .window: return windows[place.row].advance(to: time)
    case .rateOfChange, .stuck, .ewmaChart, .cusum, .ewmaZScore, .robustZScore, .seasonal,
      .limitHugging, .replayedRun, .gapAtRise, .backgroundExcess, .deviation,
      .multivariate:
      return nil
    }
  }

  // MARK: Snapshots

  /// What a detector's state means, as one number: to a detector of another form it is of no use.
  ///
  /// Set-points and delays are no part of it, so that what was learnt outlives their change.
  func form(_ place: Place) -> UInt64 {
    switch place.kind {
    case .ewmaChart: StateForm(charts[place.row].parameters.baseline).hash
    case .cusum: StateForm(sums[place.row].parameters.baseline).hash
    case .deviation: deviations[place.row].form
    case .expression: expressionForms[place.row]
    case .interlock: interlocks[place.row].form
    case .multivariate: models[place.row].form
    // (A window's state names its form itself.)
    case .rateOfChange, .stuck, .ewmaZScore, .robustZScore, .seasonal, .limitHugging, .replayedRun,
      .gapAtRise, .backgroundExcess, .window:
      0
    }
  }

  func write(_ place: Place, into bytes: inout [UInt8]) {
    let row = place.row
    switch place.kind {
    case .rateOfChange: rates[row].write(into: &bytes)
    case .stuck: stuck[row].write(into: &bytes)
    case .ewmaChart: charts[row].write(into: &bytes)
    case .cusum: sums[row].write(into: &bytes)
    case .ewmaZScore: scores[row].write(into: &bytes)
    case .robustZScore: robust[row].write(into: &bytes)
    case .seasonal: seasons[row].write(into: &bytes)
    case .limitHugging: hugging[row].write(into: &bytes)
    case .replayedRun: replays[row].write(into: &bytes)
    case .gapAtRise: gaps[row].write(into: &bytes)
    case .backgroundExcess: backgrounds[row].write(into: &bytes)
    case .deviation:
      deviations[row].detector.write(into: &bytes)
      bytes.appendState(deviations[row].reference != nil)
      bytes.appendState(deviations[row].reference?.time ?? 0)
      bytes.appendState(deviations[row].reference?.value ?? 0)
    case .expression: expressions[row].write(into: &bytes)
    case .interlock:
      interlocks[row].detector.write(into: &bytes)
      interlocks[row].cause.write(into: &bytes)
      interlocks[row].response.write(into: &bytes)
    case .multivariate:
      models[row].monitor.write(into: &bytes)
      bytes.appendState(models[row].values)
      for isFresh in models[row].isFresh { bytes.appendState(isFresh) }
    case .window: windows[row].write(into: &bytes)
    }
  }

  /// Reads a detector's state back; when that fails, it stays as it was.
  mutating func restore(
    _ place: Place,
    from reader: inout StateReader
  ) throws(StateReadError) {
    let row = place.row
    switch place.kind {
    case .rateOfChange:
      var copy = rates[row]
      try copy.restore(from: &reader)
      rates[row] = copy
    case .stuck:
      var copy = stuck[row]
      try copy.restore(from: &reader)
      stuck[row] = copy
    case .ewmaChart:
      var copy = charts[row]
      try copy.restore(from: &reader)
      charts[row] = copy
    case .cusum:
      var copy = sums[row]
      try copy.restore(from: &reader)
      sums[row] = copy
    case .ewmaZScore:
      var copy = scores[row]
      try copy.restore(from: &reader)
      scores[row] = copy
    case .robustZScore:
      var copy = robust[row]
      try copy.restore(from: &reader)
      robust[row] = copy
    case .seasonal:
      var copy = seasons[row]
      try copy.restore(from: &reader)
      seasons[row] = copy
    case .limitHugging:
      var copy = hugging[row]
      try copy.restore(from: &reader)
      hugging[row] = copy
    case .replayedRun:
      var copy = replays[row]
      try copy.restore(from: &reader)
      replays[row] = copy
    case .gapAtRise:
      var copy = gaps[row]
      try copy.restore(from: &reader)
      gaps[row] = copy
    case .backgroundExcess:
      var copy = backgrounds[row]
      try copy.restore(from: &reader)
      backgrounds[row] = copy
    case .deviation:
      var copy = deviations[row]
      try copy.detector.restore(from: &reader)
      let isKnown = try reader.flag()
      let time = try reader.integer()
      let value = try reader.double()
      copy.reference = isKnown ? (time, value) : nil
      deviations[row] = copy
    case .expression:
      var copy = expressions[row]
      try copy.restore(from: &reader)
      expressions[row] = copy
    case .interlock:
      var copy = interlocks[row]
      try copy.detector.restore(from: &reader)
      try copy.cause.restore(from: &reader)
      try copy.response.restore(from: &reader)
      interlocks[row] = copy
    case .multivariate:
      var copy = models[row]
      try copy.monitor.restore(from: &reader)
      copy.values = try reader.doubles(copy.values.count)
      for index in copy.isFresh.indices { copy.isFresh[index] = try reader.flag() }
      models[row] = copy
    case .window:
      var copy = windows[row]
      try copy.restore(from: &reader)
      windows[row] = copy
    }
  }
}

extension StateReader {
  /// Reads bytes as they are.
  mutating func bytes(_ count: Int) throws(StateReadError) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<count { bytes.append(try byte()) }
    return bytes
  }
}
