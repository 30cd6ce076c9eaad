import AlarmEngine
import Foundation
import Telemetry

/// The long form of the tests is wanted.
let isSoak = ProcessInfo.processInfo.environment["DAVY_SOAK"] != nil

/// Builds small plans by name.
struct PlanBuilder {
  var plan = EnginePlan()

  init(devices: Int = 1, channelsPerDevice: Int = 1, window: ChannelWindow? = nil) {
    for device in 0..<devices {
      plan.devices.append(DevicePlan(id: StableID(name: "d\(device)")))
      for channel in 0..<channelsPerDevice {
        plan.channels.append(
          ChannelPlan(
            id: StableID(name: "d\(device)/c\(channel)"),
            device: UInt32(device),
            window: window
          )
        )
      }
    }
  }

  @discardableResult
  mutating func add(
    _ name: String,
    _ detector: Detector,
    channel: UInt32 = 0,
    priority: AlarmPriority = .yellow,
    onDelay: Int64 = 0,
    offDelay: Int64 = 0,
    latching: Bool = false,
    reAlarm: Int64 = 0
  ) -> RuleIndex {
    plan.rules.append(
      RulePlan(
        id: StableID(name: "\(channel)#\(name)"),
        channel: ChannelIndex(rawValue: channel),
        detector: detector,
        priority: priority,
        onDelayMilliseconds: onDelay,
        offDelayMilliseconds: offDelay,
        isLatching: latching,
        reAlarmMilliseconds: reAlarm
      )
    )
    return RuleIndex(rawValue: UInt32(plan.rules.count - 1))
  }

  /// Adds a rule on a window of the first channel.
  mutating func addWindow(
    _ parameters: WindowedStatistic.Parameters,
    name: String = "window",
    onDelay: Int64 = 0,
    offDelay: Int64 = 0
  ) {
    add(
      name,
      .window(parameters, signals: [ChannelIndex(rawValue: 0)]),
      onDelay: onDelay,
      offDelay: offDelay
    )
  }
}

extension PlanBuilder {
  /// One rule on an expression over `a`, `b` and `c`, the channels of one device.
  init(condition: String, suppression: String? = nil) throws {
    self.init(channelsPerDevice: 3)
    let condition = try BoundExpression(condition)
    add("e", .expression(condition.expression, signals: condition.signals))
    if let suppression { plan.rules[0].suppression = try BoundExpression(suppression) }
  }
}

extension BoundExpression {
  /// Binds an expression; the index that `resolve` gives a signal is its channel's row.
  init(_ text: String, resolve: @escaping (String) -> SignalType?) throws {
    let expression = try CompiledExpression(text, resolve: resolve)
    let signals = expression.signals.map { ChannelIndex(rawValue: UInt32($0.index)) }
    self.init(expression, signals: signals)
  }

  /// Binds an expression over the values of the first three channels, `a`, `b` and `c`.
  init(_ text: String) throws {
    try self.init(text) { name in
      ["a", "b", "c"].firstIndex(of: name).map {
        SignalType(index: $0, kind: .quantity(.number))
      }
    }
  }
}

extension Detector {
  static func high(_ setpoint: Double, restore: Double? = nil, orEqual: Bool = true) -> Detector {
    .limit(
      LimitParameters(
        comparison: orEqual ? .atOrAbove : .above,
        setpoint: setpoint,
        restore: restore ?? setpoint
      )
    )
  }

  static func low(_ setpoint: Double, restore: Double? = nil, orEqual: Bool = true) -> Detector {
    .limit(
      LimitParameters(
        comparison: orEqual ? .atOrBelow : .below,
        setpoint: setpoint,
        restore: restore ?? setpoint
      )
    )
  }
}

/// A moment of 2026 plus milliseconds, so that tests can count from zero.
let epochOfTests: Int64 = 1_767_225_600_000

func at(_ milliseconds: Int64) -> Timestamp {
  Timestamp(milliseconds: epochOfTests + milliseconds)
}

/// An engine with its output and a running sequence number.
struct Bench: ~Copyable {
  var engine: Engine
  var out: [Transition] = []
  var sequence: UInt64 = 1

  init(_ builder: PlanBuilder) throws {
    engine = try Engine(plan: builder.plan)
  }

  /// One reading in a batch of its own; `lag` is receive time less event time.
  mutating func read(
    _ time: Int64,
    _ value: Double,
    channel: UInt32 = 0,
    status: SourceStatus = .normal,
    flags: ReadingFlags = [],
    lag: Int64 = 0
  ) {
    var batch = ReadingBatch(received: at(time + lag), baseSequence: sequence)
    batch.append(
      Reading(
        channel: ChannelIndex(rawValue: channel),
        time: at(time),
        value: value,
        status: status,
        flags: flags
      ),
      sequence: sequence
    )
    sequence += 1
    engine.apply(batch, into: &out)
  }

  /// Readings of the first channel, times and values, in one batch that had waited at the broker.
  mutating func readBacklog(at received: Int64, _ readings: [(Int64, Double)] = []) {
    var batch = ReadingBatch(received: at(received), baseSequence: sequence)
    batch.isBacklog = true
    for (time, value) in readings {
      batch.append(
        Reading(channel: ChannelIndex(rawValue: 0), time: at(time), value: value),
        sequence: sequence
      )
    }
    engine.apply(batch, into: &out)
  }

  mutating func tick(_ time: Int64) {
    engine.advance(to: at(time), into: &out)
  }

  /// Puts another plan in force; returns how many steps of rules that are gone that gave.
  @discardableResult
  mutating func replacePlan(_ builder: PlanBuilder, at time: Int64) throws -> Int {
    try engine.replacePlan(builder.plan, at: at(time), into: &out).count
  }

  /// Goes on from a snapshot, as after a start.
  mutating func restart(under builder: PlanBuilder) throws {
    engine = try Engine(plan: builder.plan, restoring: engine.snapshot())
  }

  @discardableResult
  mutating func act(
    _ act: Command.Act,
    _ rule: RuleIndex,
    at time: Int64,
    onset: Timestamp? = nil
  ) -> CommandRefusal? {
    let command = Command(act: act, rule: rule, onset: onset, sequence: sequence)
    sequence += 1
    return engine.perform(command, at: at(time), into: &out)
  }

  /// What came out since last asked, one line each: kind, rule, event time less the tests' epoch, state.
  mutating func take() -> [String] {
    defer { out = [] }
    return out.map {
      "\($0.kind) r\($0.rule.rawValue) \($0.time.milliseconds - epochOfTests) \($0.state)"
    }
  }

  func standing() -> [StandingAlarm] {
    var alarms: [StandingAlarm] = []
    engine.standing { alarms.append($0) }
    return alarms
  }
}
