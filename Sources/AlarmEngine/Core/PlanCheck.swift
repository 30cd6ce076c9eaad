import Telemetry

/// Everything that is inconsistent in a plan.
struct PlanCheck {
  private(set) var problems: [PlanError.Problem] = []

  /// Longest delay, span or age that a rule may have: a year.
  static let longest: Int64 = 366 * 86_400_000
  /// Longest time that readings may be held back: a day.
  static let longestAllowance: Int64 = 86_400_000
  /// Longest window or staleness: what fits the channel's 32-bit positions.
  static let longestSpan = Int64(Profile.longestGap)

  init(_ plan: EnginePlan) {
    checkDevices(plan)
    checkChannels(plan)
    checkRules(plan)
  }

  private mutating func report(_ place: PlanError.Problem.Place, _ message: String) {
    problems.append(PlanError.Problem(place: place, message: message))
  }

  private mutating func checkDevices(_ plan: EnginePlan) {
    var seen: Set<StableID> = []
    for (row, device) in plan.devices.enumerated() {
      if !seen.insert(device.id).inserted {
        report(.device(row), "another device has the same identity")
      }
      if device.clockToleranceMilliseconds <= 0 {
        report(.device(row), "the clock tolerance must be positive")
      }
      if !(0...Self.longestAllowance).contains(device.reorderAllowanceMilliseconds) {
        report(.device(row), "the reorder allowance must be between 0 and a day")
      }
    }
  }

  private mutating func checkChannels(_ plan: EnginePlan) {
    var seen: Set<StableID> = []
    for (row, channel) in plan.channels.enumerated() {
      if !seen.insert(channel.id).inserted {
        report(.channel(row), "another channel has the same identity")
      }
      if Int(channel.device) >= plan.devices.count {
        report(.channel(row), "there is no device in row \(channel.device)")
      }
      if let window = channel.window {
        if !(1...Self.longestSpan).contains(window.lengthMilliseconds) {
          report(.channel(row), "the window must be 1 to \(Self.longestSpan) ms long")
        }
        if !(1...1 << 20).contains(window.capacity) {
          report(.channel(row), "the window must hold 1 to \(1 << 20) readings")
        }
      }
    }
  }

  private mutating func checkRules(_ plan: EnginePlan) {
    var seen: Set<StableID> = []
    var single: Set<[UInt32]> = []
    for (row, rule) in plan.rules.enumerated() {
      if !seen.insert(rule.id).inserted {
        report(.rule(row), "another rule has the same identity")
      }
      if Int(rule.channel.rawValue) >= plan.channels.count {
        report(.rule(row), "there is no channel in row \(rule.channel.rawValue)")
      }
      let delays = [
        ("on-delay", rule.onDelayMilliseconds), ("off-delay", rule.offDelayMilliseconds),
        ("re-alarm time", rule.reAlarmMilliseconds),
      ]
      for (name, delay) in delays where !(0...Self.longest).contains(delay) {
        report(.rule(row), "the \(name) must be between 0 and a year")
      }
      checkDetector(rule.detector, row)
      checkReactions(rule, row, plan.channels.count)
      if case .window(_, let signals) = rule.detector, signals.first != rule.channel {
        report(
          .rule(row),
          "a window holds the readings of its rule's own channel, as its first signal"
        )
      }
      switch rule.detector {
      case .successiveChange:
        if !single.insert([rule.channel.rawValue, 0]).inserted {
          report(.rule(row), "the channel has another rule on the successive change")
        }
      case .ewma:
        if !single.insert([rule.channel.rawValue, 1]).inserted {
          report(.rule(row), "the channel has another EWMA rule")
        }
      default:
        checkSignals(rule.detector, row, plan.channels.count)
      }
    }
  }

  /// Suppression and escalation.
  private mutating func checkReactions(_ rule: RulePlan, _ row: Int, _ channels: Int) {
    if let escalation = rule.escalation {
      if !(1...Self.longest).contains(escalation.afterMilliseconds) {
        report(.rule(row), "an escalation must come after 1 ms to a year")
      }
      if escalation.priority <= rule.priority {
        report(.rule(row), "an escalation must lead to a higher priority than the rule's own")
      }
    }
    guard let suppression = rule.suppression else { return }
    if suppression.expression.signals.count != suppression.signals.count {
      report(.rule(row), "the suppression has another number of signals than channels")
    }
    for channel in suppression.signals where Int(channel.rawValue) >= channels {
      report(.rule(row), "there is no channel in row \(channel.rawValue) for the suppression")
    }
  }

  private mutating func checkSignals(_ detector: Detector, _ row: Int, _ channels: Int) {
    for channel in detector.signals where Int(channel.rawValue) >= channels {
      report(.rule(row), "there is no channel in row \(channel.rawValue) for a signal")
    }
    switch detector {
    case .expression(let expression, let signals):
      if expression.signals.count != signals.count {
        report(.rule(row), "the expression has \(expression.signals.count) signals")
      }
    case .interlock(_, let cause, let response):
      if cause.expression.signals.count != cause.signals.count
        || response.expression.signals.count != response.signals.count
      {
        report(.rule(row), "cause or response has another number of signals than channels")
      }
    case .window(let parameters, let signals):
      var most = 1
      if case .state = parameters.shape { most = 2 }
      if !(1...most).contains(signals.count) {
        report(
          .rule(row),
          "a window of this kind has one signal\(most == 2 ? ", and one for the state" : "")"
        )
      }
    case .multivariate(let model, let signals):
      if model.width != signals.count {
        report(.rule(row), "the model has \(model.width) signals")
      }
    default:
      break
    }
  }

  private mutating func checkDetector(_ detector: Detector, _ row: Int) {
    switch detector {
    case .limit(let limit):
      guard limit.setpoint.isFinite && limit.restore.isFinite else {
        report(.rule(row), "set-point and restore value must be finite numbers")
        return
      }
      switch limit.comparison {
      case .atOrAbove, .above:
        if limit.restore > limit.setpoint {
          report(.rule(row), "a high limit cannot be restored above its set-point")
        }
      case .atOrBelow, .below:
        if limit.restore < limit.setpoint {
          report(.rule(row), "a low limit cannot be restored below its set-point")
        }
      }
    case .physicalRange(let low, let high):
      if !(low.isFinite && high.isFinite && low < high) {
        report(.rule(row), "the low end of a range must be less than its high end")
      }
    case .stale(let after):
      if !(1...Self.longestSpan).contains(after) {
        report(.rule(row), "staleness must set in after 1 to \(Self.longestSpan) ms")
      }
    case .clockFault, .reported:
      break
    case .cascade(let cascade):
      if cascade.points.isEmpty || cascade.points.contains(where: \.isEmpty) {
        report(.rule(row), "a cascade needs points, and every point a rule")
      }
      if cascade.points.count > CascadeParameters.largestPointCount {
        report(
          .rule(row),
          "a cascade may have \(CascadeParameters.largestPointCount) points at most"
        )
      }
      if cascade.points.joined().contains(where: { Int($0.rule.rawValue) >= row }) {
        report(.rule(row), "a cascade can only count rules that stand before it in the plan")
      }
    case .successiveChange(let perSecond):
      if !(perSecond > 0 && perSecond.isFinite) {
        report(.rule(row), "the change per second must be a positive number")
      }
    case .ewma(let alpha, let deviations, let warmUp):
      if !(alpha > 0 && alpha <= 1) {
        report(.rule(row), "alpha must be above 0 and at most 1")
      }
      if !(deviations > 0 && deviations.isFinite) {
        report(.rule(row), "the number of deviations must be positive")
      }
      if !(1...1_000_000).contains(warmUp) {
        report(.rule(row), "the warm-up must be 1 to 1,000,000 readings")
      }
    default:
      do {
        var bank = DetectorBank()
        _ = try bank.add(detector)
      } catch { report(.rule(row), "\(error)") }
    }
  }
}
