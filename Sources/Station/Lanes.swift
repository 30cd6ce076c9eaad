import AlarmEngine
import DeviceCatalog
import HazardLedger
import Telemetry

/// The lanes of a core, and which of them a message, a channel and a rule belong to.
///
/// Readings of live gateways are evaluated on one engine whose time is the receive time. A gateway that the site file
/// declares a replay source has an engine (a ``Lane``) of its own, whose time is the receive time recorded with each
/// message, so that data of another year, at any speed, trip neither the clock guard nor staleness, and disturb nobody
/// else's time.
final class Lanes {
  private let shards: EngineShards
  /// Nil until the first catalog.
  private var live: Lane?
  /// In the order of the catalog's replay sources.
  private var replays: [Lane] = []
  /// Channel row → row in `replays`, or -1 for the live lane.
  private var laneOfChannel: [Int32] = []
  /// Whether a topic belongs to a replay source, for topics already seen.
  private var replayTopics: [[UInt8]: Bool] = [:]
  private static let rememberedTopics = 4_096

  /// Makes none; the first catalog brings them.
  init(shards: EngineShards) {
    self.shards = shards
  }

  /// Live first.
  var all: [Lane] { (live.map { [$0] } ?? []) + replays }

  /// Whether readings of the channel in this row are evaluated by receive time.
  func isLive(_ channel: ChannelIndex) -> Bool { laneOfChannel[Int(channel.rawValue)] < 0 }

  /// The lane that evaluates the channel in this row.
  func lane(of channel: ChannelIndex) -> Lane? {
    let row = laneOfChannel[Int(channel.rawValue)]
    return row < 0 ? live : replays[Int(row)]
  }

  /// Whether the condition of a rule, a catalog row, stands on the lane that evaluates a channel.
  func isActive(_ rule: UInt32, on channel: ChannelIndex) -> Bool {
    lane(of: channel)?.isActive(rule) ?? false
  }

  /// Clock of a device as live readings show it; nil where the engine keeps none.
  func clock(ofDevice device: UInt32) -> DeviceClock? { live?.engine.clock(ofDevice: device) }

  // MARK: - Readings and time

  /// The receive time recorded with a message of a replay source; nil for every other message, so that a live
  /// gateway cannot set the time by sending the property.
  func recordedReceiveTime(
    topic: Span<UInt8>,
    _ properties: [(String, String)],
    owner: ([UInt8]) -> String?
  ) -> Timestamp? {
    // Whose the topic is, is asked last: a catalog handed over would be copied for every message.
    guard !replays.isEmpty,
      let text = properties.first(where: { $0.0 == StationCore.receivedProperty })?.1,
      let milliseconds = Int64(text)
    else { return nil }
    let topic = (0..<topic.count).map { topic[$0] }
    let isReplay =
      replayTopics[topic]
      ?? owner(topic).map { owner in replays.contains { $0.name == owner } } ?? false
    if replayTopics.count < Self.rememberedTopics { replayTopics[topic] = isReplay }
    return isReplay ? Timestamp(milliseconds: milliseconds) : nil
  }

  /// Hands a message's readings to their lane; a message whose readings belong to several lanes is split.
  ///
  /// - Precondition: the batch is not empty.
  func apply(
    _ batch: inout ReadingBatch,
    isBacklog: Bool,
    into transitions: inout [Transition]
  ) {
    let first = laneOfChannel[Int(batch.channel[0])]
    guard batch.channel.allSatisfy({ laneOfChannel[Int($0)] == first }) else {
      for lane in Set(batch.channel.map { laneOfChannel[Int($0)] }).sorted() {
        var part = ReadingBatch(received: batch.received, baseSequence: batch.baseSequence)
        for index in 0..<batch.count where laneOfChannel[Int(batch.channel[index])] == lane {
          part.append(batch.reading(at: index), sequence: batch.sequence(at: index))
        }
        apply(&part, lane: lane, isBacklog: isBacklog, into: &transitions)
      }
      return
    }
    apply(&batch, lane: first, isBacklog: isBacklog, into: &transitions)
  }

  private func apply(
    _ part: inout ReadingBatch,
    lane: Int32,
    isBacklog: Bool,
    into transitions: inout [Transition]
  ) {
    guard lane >= 0 else {
      part.isBacklog = isBacklog
      live?.apply(&part, into: &transitions)
      return
    }
    replays[Int(lane)].apply(&part, into: &transitions)
  }

  /// Engine time at which something falls due on the live lane without any further message.
  ///
  /// The time of a replay source goes on with its messages only.
  var nextDeadline: Timestamp? { live?.nextDeadline }

  /// Lets what has fallen due on the live lane fire.
  func advance(to now: Timestamp, into transitions: inout [Transition]) {
    live?.advance(to: now, into: &transitions)
  }

  // MARK: - Acts

  /// Performs an act on the rule in `rule`, a catalog row of a rule on `channel`; where that is live and messages are backlog, no
  /// deadline fires.
  ///
  /// - Returns: why it changed nothing; nil when it took effect.
  func perform(
    _ act: Command.Act,
    rule: UInt32,
    on channel: ChannelIndex,
    onset: Timestamp?,
    sequence: UInt64,
    received: Timestamp,
    isBacklog: Bool,
    into transitions: inout [Transition]
  ) -> CommandRefusal? {
    lane(of: channel)?.perform(
      act,
      rule: rule,
      onset: onset,
      sequence: sequence,
      // When an act was received says nothing of the time that a recording has reached.
      now: isLive(channel) ? received : nil,
      isBacklog: isBacklog && isLive(channel),
      into: &transitions
    )
  }

  // MARK: - Catalogs

  /// Goes by another catalog; a lane that is in both keeps the state of every rule that is.
  ///
  /// - Parameters:
  ///   - next: the catalog.
  ///   - level: the rules that are in force with it.
  ///   - now: when the catalog came; there the time of a new live lane begins.
  ///   - isBacklog: messages of live gateways are backlog, so that none of their deadlines fires.
  ///   - closed: takes the steps that close alarms of rules that are gone; their rows are the old catalog's.
  ///   - transitions: takes all other steps; their rows are the new catalog's.
  /// - Throws: `PlanError` when an engine refuses its plan.
  func adopt(
    _ next: Catalog,
    level: RulesLevel,
    at now: Timestamp,
    isBacklog: Bool,
    closed: inout [Transition],
    into transitions: inout [Transition]
  ) throws {
    let laneOf = next.laneOfChannels
    let plan = next.enginePlan
    let livePlan = LanePlan(of: plan, level: level, isReplay: false) { laneOf[$0] < 0 }
    if let live {
      // (Time itself goes on with what waited at the broker while the station was down.)
      let present = level >= .areas ? now : .distantPast
      try live.replacePlan(
        livePlan,
        present: present,
        isBacklog: isBacklog,
        closed: &closed,
        into: &transitions
      )
    } else {
      live = try Lane(name: "live", plan: livePlan, time: now, shards: shards)
    }
    var lanes: [Lane] = []
    for (row, source) in next.replaySources.enumerated() {
      let lanePlan = LanePlan(of: plan, level: level, isReplay: true) { laneOf[$0] == Int32(row) }
      if let lane = replays.first(where: { $0.name == source }) {
        try lane.replacePlan(lanePlan, closed: &closed, into: &transitions)
        lanes.append(lane)
      } else {
        lanes.append(
          try Lane(name: source, plan: lanePlan, time: .distantPast, shards: shards)
        )
      }
    }
    replays = lanes
    laneOfChannel = laneOf
    replayTopics = [:]
  }

  // MARK: - Snapshots

  /// A lane's state as a snapshot holds it.
  typealias Saved = (time: Timestamp, bytes: [UInt8])

  /// Writes every lane's name, time and state.
  func put(into writer: inout SnapshotWriter) {
    let lanes = all
    writer.put(UInt32(lanes.count))
    for lane in lanes {
      writer.put(lane.name)
      writer.put(lane.time.milliseconds)
      writer.put(lane.snapshot())
    }
  }

  /// Reads what ``put(into:)`` wrote, by lane name.
  static func saved(in reader: inout SnapshotReader) throws -> [String: Saved] {
    let count: UInt32 = try reader.integer()
    var saved: [String: Saved] = [:]
    for _ in 0..<count {
      let name = try reader.text()
      let time = Timestamp(milliseconds: try reader.integer())
      saved[name] = (time, try reader.block())
    }
    return saved
  }

  /// Goes on from saved lanes under the catalog and the rules that were then in force.
  func restore(_ saved: [String: Saved], under catalog: Catalog, level: RulesLevel) throws {
    let laneOf = catalog.laneOfChannels
    func lane(_ name: String, _ row: Int32) throws -> Lane {
      let plan = LanePlan(of: catalog.enginePlan, level: level, isReplay: row >= 0) {
        laneOf[$0] == row
      }
      guard let state = saved[name] else { throw SnapshotFault.missingLane(name) }
      return try Lane(
        name: name,
        plan: plan,
        restoring: state.bytes,
        time: state.time,
        shards: shards
      )
    }
    live = try lane("live", -1)
    replays = try catalog.replaySources.enumerated().map { try lane($0.element, Int32($0.offset)) }
    laneOfChannel = laneOf
    replayTopics = [:]
  }
}
