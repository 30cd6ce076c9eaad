import Telemetry

/// Which shard watches which channel, and under which row.
///
/// Devices that a rule ties together (it is shown at a channel of one and reads a channel, or counts a rule, of the
/// other) stay together, so no rule crosses a shard. Groups of devices go to the shard with the least work so
/// far, in the order of the plan. Rules keep their order within a shard.
struct ShardLayout {
  /// The place of a row in a shard.
  struct Place: BitwiseCopyable {
    var shard: UInt32
    var row: UInt32
  }

  /// The plan's row for each row of a shard.
  struct Rows {
    var channels: [UInt32] = []
    var rules: [UInt32] = []
    var devices: [UInt32] = []
  }

  /// By the plan's rows.
  var channels: [Place] = []
  var rules: [Place] = []
  var devices: [Place] = []
  /// The part of the plan that each shard watches.
  var plans: [EnginePlan]
  /// By shard: the plan's rows for its own.
  var rows: [Rows]

  /// Lays out a plan that has been checked.
  init(_ plan: EnginePlan, shards count: Int) {
    let group = Self.groups(plan)
    plans = [EnginePlan](repeating: EnginePlan(), count: count)
    rows = [Rows](repeating: Rows(), count: count)
    var weight = [Int](repeating: 0, count: plan.devices.count)
    for channel in plan.channels { weight[group[Int(channel.device)]] += 1 }
    for rule in plan.rules { weight[group[Self.device(of: rule.channel, plan)]] += 1 }
    var load = [Int](repeating: 0, count: count)
    var shardOfGroup = [Int](repeating: -1, count: plan.devices.count)
    var rowOfDevice = [UInt32](repeating: 0, count: plan.devices.count)
    for (device, row) in plan.devices.enumerated().map({ ($0.element, $0.offset) }) {
      if shardOfGroup[group[row]] < 0 {
        let least = load.indices.min { load[$0] < load[$1] } ?? 0
        shardOfGroup[group[row]] = least
        load[least] += weight[group[row]]
      }
      let shard = shardOfGroup[group[row]]
      rowOfDevice[row] = UInt32(plans[shard].devices.count)
      devices.append(Place(shard: UInt32(shard), row: rowOfDevice[row]))
      rows[shard].devices.append(UInt32(row))
      plans[shard].devices.append(device)
    }
    for (row, channel) in plan.channels.enumerated() {
      let shard = shardOfGroup[group[Int(channel.device)]]
      var copy = channel
      copy.device = rowOfDevice[Int(channel.device)]
      channels.append(Place(shard: UInt32(shard), row: UInt32(plans[shard].channels.count)))
      rows[shard].channels.append(UInt32(row))
      plans[shard].channels.append(copy)
    }
    for (row, rule) in plan.rules.enumerated() {
      let place = channels[Int(rule.channel.rawValue)]
      var copy = rule
      copy.channel = ChannelIndex(rawValue: place.row)
      copy.detector = rule.detector.renumbered(
        { channels[Int($0)].row },
        rule: { rules[Int($0)].row }
      )
      copy.suppression = rule.suppression?.renumbered { channels[Int($0)].row }
      rules.append(
        Place(shard: place.shard, row: UInt32(plans[Int(place.shard)].rules.count))
      )
      rows[Int(place.shard)].rules.append(UInt32(row))
      plans[Int(place.shard)].rules.append(copy)
    }
  }

  private static func device(of channel: ChannelIndex, _ plan: EnginePlan) -> Int {
    Int(plan.channels[Int(channel.rawValue)].device)
  }

  /// For each device the first device of its group.
  private static func groups(_ plan: EnginePlan) -> [Int] {
    var parent = Array(plan.devices.indices)
    func root(_ device: Int) -> Int {
      var device = device
      while parent[device] != device {
        parent[device] = parent[parent[device]]
        device = parent[device]
      }
      return device
    }
    for rule in plan.rules {
      var ties = rule.detector.signals + (rule.suppression?.signals ?? [])
      if case .cascade(let cascade) = rule.detector {
        ties += cascade.points.joined().map { plan.rules[Int($0.rule.rawValue)].channel }
      }
      for signal in ties {
        let (one, other) = (root(device(of: rule.channel, plan)), root(device(of: signal, plan)))
        parent[max(one, other)] = min(one, other)
      }
    }
    return parent.indices.map { root($0) }
  }
}

extension Detector {
  /// The detector with the channels that it reads beside its rule's own, and the rules that it counts, under other
  /// rows.
  package func renumbered(
    _ row: (UInt32) -> UInt32,
    rule: (UInt32) -> UInt32 = { $0 }
  ) -> Detector {
    func renumbered(_ channels: [ChannelIndex]) -> [ChannelIndex] {
      channels.map { ChannelIndex(rawValue: row($0.rawValue)) }
    }
    switch self {
    case .limit, .physicalRange, .stale, .clockFault, .reported, .successiveChange, .ewma,
      .rateOfChange, .stuck, .ewmaChart,
      .cusum, .ewmaZScore, .robustZScore, .seasonal, .limitHugging, .replayedRun,
      .gapAtRise, .backgroundExcess:
      return self
    case .deviation(let parameters, let reference):
      return .deviation(parameters, from: reference.map { renumbered([$0])[0] })
    case .expression(let expression, let signals):
      return .expression(expression, signals: renumbered(signals))
    case .window(let parameters, let signals):
      return .window(parameters, signals: renumbered(signals))
    case .multivariate(let model, let signals):
      return .multivariate(model, signals: renumbered(signals))
    case .interlock(let parameters, let cause, let response):
      return .interlock(
        parameters,
        cause: cause.renumbered(row),
        response: response.renumbered(row)
      )
    case .cascade(var cascade):
      cascade.points = cascade.points.map { point in
        point.map {
          CascadeParameters.Member(
            rule: RuleIndex(rawValue: rule($0.rule.rawValue)),
            grade: $0.grade
          )
        }
      }
      return .cascade(cascade)
    }
  }
}

extension BoundExpression {
  /// The expression with its signals' channels under other rows.
  func renumbered(_ row: (UInt32) -> UInt32) -> BoundExpression {
    BoundExpression(
      expression,
      signals: signals.map { ChannelIndex(rawValue: row($0.rawValue)) }
    )
  }
}
