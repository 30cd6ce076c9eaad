import Telemetry

extension Engine {
  /// Makes an engine for `plan` that goes on where a snapshot was taken.
  ///
  /// The plan may differ from the one saved. State is found by ``StableID``: what the plan no longer
  /// has is left behind, what it adds begins afresh, and a standing alarm is not raised again. With the first input
  /// the values that stand are held against figures that are new with the plan.
  ///
  /// - Throws: why the bytes, or the plan, cannot be used.
  public init(plan: EnginePlan, restoring bytes: [UInt8]) throws(SnapshotError) {
    try self.init(plan: plan, restoring: bytes, present: .distantPast)
  }

  /// Does so with a plan that came at a time which the engine's has yet to reach.
  init(
    plan: EnginePlan,
    restoring bytes: [UInt8],
    present: Timestamp
  ) throws(SnapshotError) {
    let engine = try Engine.restored(
      plan,
      [bytes],
      present: present,
      keepsCounters: true,
      isShard: false
    )
    self.init(moving: engine)
  }

  /// Makes a shard for a part of a plan that goes on where other shards were saved, each with what it knows.
  ///
  /// - Parameters:
  ///   - plan: the part.
  ///   - parts: the snapshots of all shards that there were.
  ///   - present: when the plan came, where engine time has yet to reach it.
  ///   - keepsCounters: whether what all of them had counted is counted on here.
  /// - Throws: why the bytes, or the plan, cannot be used.
  init(
    part plan: EnginePlan,
    restoring parts: [[UInt8]],
    present: Timestamp,
    keepsCounters: Bool
  ) throws(SnapshotError) {
    let engine = try Engine.restored(
      plan,
      parts,
      present: present,
      keepsCounters: keepsCounters,
      isShard: true
    )
    self.init(moving: engine)
  }

  private init(moving engine: consuming Engine) {
    self = engine
  }

  private static func restored(
    _ plan: EnginePlan,
    _ parts: [[UInt8]],
    present: Timestamp,
    keepsCounters: Bool,
    isShard: Bool
  ) throws(SnapshotError) -> Engine {
    let compiled: CompiledPlan
    do { compiled = try CompiledPlan(plan) } catch { throw .plan(error) }
    var engine = Engine(compiled, isShard: isShard)
    var afresh = engine.placesWithSignals
    var known = [Bool](repeating: false, count: engine.rules.count)
    for bytes in parts { try engine.restore(bytes, keepsCounters: keepsCounters, &afresh, &known) }
    engine.beginRules(afresh, except: known)
    engine.tellPresent(afresh)
    engine.armNewStaleRules(present: present)
    engine.settleWaits()
    engine.needsPriorityCheck = true
    return engine
  }

  private mutating func restore(
    _ bytes: [UInt8],
    keepsCounters: Bool,
    _ afresh: inout Set<DetectorBank.Place>,
    _ known: inout [Bool]
  ) throws(SnapshotError) {
    try SnapshotFormat.check(bytes)
    var reader = StateReader(bytes, at: 16)
    do {
      now = try reader.integer()
      fired = now
      epoch = try reader.integer()
      fastKey = UInt32(truncatingIfNeeded: epoch & 0xffff) << 16
      for field in EngineCounters.fields {
        let count = try reader.word()
        if keepsCounters { tally[keyPath: field] &+= count }
      }
      var unguarded: [Int] = []
      try restoreDevices(&reader, &unguarded)
      var revalued: Set<Int> = []
      let channels = try restoreChannels(&reader, &revalued)
      try restoreRules(&reader, &afresh, &known, revalued)
      forgetValues(of: revalued)
      forgetLearnt(of: channels, except: known)
      for row in unguarded { leaveQuarantine(row) }
      armAgain()
    } catch { throw .damaged }
  }

  /// What an EWMA has learnt, and whether the last change was too fast, lies in its channel's record: a rule that the snapshot
  /// did not have begins afresh all the same.
  private func forgetLearnt(of known: [Bool], except rules: [Bool]) {
    for slot in 0..<parameters.count where !rules[slot] {
      let channel = Int(parameters.row(slot).it.channel)
      guard known[channel] else { continue }
      switch parameters.row(slot).it.kind {
      case .ewma:
        channels.row(channel).it.forgetLearnt()
        channels.row(channel).it.conditions &= ~ChannelRecord.ewmaBit
      case .rate: channels.row(channel).it.conditions &= ~ChannelRecord.rateBit
      case .limit, .physicalRange, .stale, .clock, .reported, .single, .group, .cascade: break
      }
    }
  }

  /// Expressions, interlocks and references: they hold what their signals have said.
  private var placesWithSignals: Set<DetectorBank.Place> {
    Set(
      places.filter { $0.kind == .expression || $0.kind == .interlock || $0.kind == .deviation }
    )
  }

  /// Has limits begin that no snapshot knew, and rules whose detector begins afresh: no delay runs on what another has said, and a
  /// standing alarm stands until this one says otherwise.
  private mutating func beginRules(_ afresh: Set<DetectorBank.Place>, except known: [Bool]) {
    for slot in UInt32(0)..<UInt32(rules.count) {
      let rule = parameters.row(Int(slot))
      if rule.it.isRevisable, !known[Int(slot)] { unjudged.insert(slot) }
      guard rule.it.kind == .single || rule.it.kind == .group else { continue }
      let place = places[Int(rule.it.number)]
      guard afresh.contains(place) else { continue }
      drop(slot, at: now)
      if rules.row(Int(slot)).it.isActive { bank.doubt(place) }
      if rule.it.kind == .group { unjudged.insert(slot) }
    }
  }

  /// Whether a channel has a value that still counts at an engine time.
  func hasPresentValue(_ channel: Int, at time: Int64) -> Bool {
    let (newest, staleAfter) = (channels.row(channel).it.newest, links[channel].staleAfter)
    return newest != noTime && channels.row(channel).it.value.isFinite
      && (staleAfter == 0 || newest + Int64(staleAfter) + offset(of: UInt32(channel)) >= time)
  }

  /// Tells expressions and references that begin afresh what their signals' values are, so that a signal that seldom reports is
  /// not unknown to them until it does; what they suppress by these stays suppressed, or is to be.
  private mutating func tellPresent(_ afresh: Set<DetectorBank.Place>) {
    guard !afresh.isEmpty else { return }
    let known = (0..<channels.count).filter { hasPresentValue($0, at: now) }
    let inTurn = known.sorted {
      (channels.row($0).it.newest, $0) < (channels.row($1).it.newest, $1)
    }
    var suppresses: [UInt32: Bool] = [:]
    for channel in inTurn {
      let link = links[channel]
      let (newest, value) = (channels.row(channel).it.newest, channels.row(channel).it.value)
      for index in link.firstDependent..<link.firstDependent &+ link.dependentCount {
        let dependent = dependents[Int(index)]
        let rule = parameters.row(Int(dependent.slot))
        let place = places[Int(dependent.isSuppressor ? rule.it.suppressor : rule.it.number)]
        guard afresh.contains(place) else { continue }
        switch place.kind {
        case .expression, .interlock, .deviation:
          let time = ruleTime(of: dependent.slot, at: newest, ofDevice: link.device)
          let truth = bank.inform(
            place,
            signal: Int(dependent.signal),
            time: time + bankShift(dependent.slot),
            value: value
          )
          if dependent.isSuppressor {
            suppresses[dependent.slot] = truth == .yes
            armSuppressor(dependent.slot, after: time)
          } else {
            armDetector(dependent.slot, after: time)
          }
        case .rateOfChange, .stuck, .ewmaChart, .cusum, .ewmaZScore, .robustZScore, .seasonal,
          .limitHugging, .replayedRun, .gapAtRise, .backgroundExcess, .multivariate, .window:
          break
        }
      }
    }
    for (slot, isSuppressing) in suppresses where isSuppressing {
      orphans.remove(slot)
      if !rules.row(Int(slot)).it.lifeCycle.isSuppressed { unsuppressed.insert(slot) }
    }
  }

  /// Takes over what another plan says of windows and interlocks.
  ///
  /// Where windows begin afresh, none of them has said that a delay may run; where they wait less long for their last
  /// readings, the one that is open is looked at sooner, and so is an interlock that waits less long. (Entries are hints: the
  /// later one does no harm.) Under the same plan nothing changes: what goes on from a snapshot is what would have gone on
  /// without it.
  private mutating func settleWaits() {
    for slot in UInt32(0)..<UInt32(rules.count)
    where parameters.row(Int(slot)).it.kind == .group {
      let place = places[Int(parameters.row(Int(slot)).it.number)]
      if bank.isFreshWindow(place) { drop(slot, at: now) }
      guard bank.waitsLessLong(place), let end = detectorDeadline(slot) else { continue }
      arm(.detector, slot, at: end + detectorGrace(slot), isSooner: true)
    }
  }

  /// Rules on staleness that the snapshot did not know begin to wait.
  ///
  /// For a channel that has never reported from `present` on, where that is later than now.
  private mutating func armNewStaleRules(present: Timestamp) {
    guard now != noTime else { return }
    for slot in 0..<rules.count where parameters.row(slot).it.kind == .stale {
      let channel = Int(parameters[slot].channel)
      guard rules.row(slot).it.phase == .idle,
        rules.row(slot).it.armed & Deadline.Kind.stale.bit == 0
      else { continue }
      if channels.row(channel).it.newest == noTime {
        armFirstStale(UInt32(slot), from: max(now, present.milliseconds))
      } else {
        armStale(UInt32(slot), channel)
      }
    }
  }
}

/// Finds rows by identity.
struct RowsByIdentity {
  private let rows: [UInt64: Int]

  init(_ identities: [StableID]) {
    var rows: [UInt64: Int] = [:]
    rows.reserveCapacity(identities.count)
    for (row, identity) in identities.enumerated() { rows[identity.rawValue] = row }
    self.rows = rows
  }

  subscript(identity: UInt64) -> Int? { rows[identity] }
}

extension SnapshotFormat {
  /// Looks at magic, version and checksum.
  static func check(_ bytes: [UInt8]) throws(SnapshotError) {
    guard bytes.count >= 24 else { throw .notASnapshot }
    var head = StateReader(bytes)
    var trailer = StateReader(bytes, at: bytes.count - 8)
    guard (try? head.word()) == magic else { throw .notASnapshot }
    let written = try? head.word()
    guard let written, written == version else { throw .unknownVersion(written ?? 0) }
    guard (try? trailer.word()) == checksum(bytes, count: bytes.count - 8) else { throw .damaged }
  }
}
