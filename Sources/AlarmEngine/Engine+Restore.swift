import Telemetry

extension Engine {
  /// Makes an engine for `plan` that goes on where a snapshot was taken.
  ///
  /// The plan may differ from the one saved. State is found by ``StableID``: what the plan no longer
  /// has is left behind, what it adds begins afresh, and a standing alarm is not raised again.
  ///
  /// - Throws: why the bytes, or the plan, cannot be used.
  public init(plan: EnginePlan, restoring bytes: [UInt8]) throws(SnapshotError) {
    let engine = try Engine.restored(plan, [bytes], keepsCounters: true, isShard: false)
    self.init(moving: engine)
  }

  /// Makes a shard for a part of a plan that goes on where other shards were saved, each with what it knows.
  ///
  /// - Parameters:
  ///   - plan: the part.
  ///   - parts: the snapshots of all shards that there were.
  ///   - keepsCounters: whether what all of them had counted is counted on here.
  /// - Throws: why the bytes, or the plan, cannot be used.
  init(
    part plan: EnginePlan,
    restoring parts: [[UInt8]],
    keepsCounters: Bool
  ) throws(SnapshotError) {
    let engine = try Engine.restored(plan, parts, keepsCounters: keepsCounters, isShard: true)
    self.init(moving: engine)
  }

  private init(moving engine: consuming Engine) {
    self = engine
  }

  private static func restored(
    _ plan: EnginePlan,
    _ parts: [[UInt8]],
    keepsCounters: Bool,
    isShard: Bool
  ) throws(SnapshotError) -> Engine {
    let compiled: CompiledPlan
    do { compiled = try CompiledPlan(plan) } catch { throw .plan(error) }
    var engine = Engine(compiled, isShard: isShard)
    var afresh: Set<DetectorBank.Place> = []
    for bytes in parts { try engine.restore(bytes, keepsCounters: keepsCounters, &afresh) }
    engine.tellPresent(afresh)
    engine.armNewStaleRules()
    engine.settleWindows()
    engine.needsPriorityCheck = true
    return engine
  }

  private mutating func restore(
    _ bytes: [UInt8],
    keepsCounters: Bool,
    _ afresh: inout Set<DetectorBank.Place>
  ) throws(SnapshotError) {
    try SnapshotFormat.check(bytes)
    var reader = StateReader(bytes, at: 16)
    do {
      now = try reader.integer()
      epoch = try reader.integer()
      fastKey = UInt32(truncatingIfNeeded: epoch & 0xffff) << 16
      for field in EngineCounters.fields {
        let count = try reader.word()
        if keepsCounters { tally[keyPath: field] &+= count }
      }
      try restoreDevices(&reader)
      let channels = try restoreChannels(&reader)
      let rules = try restoreRules(&reader, &afresh)
      forgetLearnt(of: channels, except: rules)
    } catch { throw .damaged }
  }

  /// What an EWMA has learnt lies in its channel's record: a rule that the snapshot did not have begins afresh all the same.
  private func forgetLearnt(of known: [Bool], except rules: [Bool]) {
    for slot in 0..<parameters.count where parameters.row(slot).it.kind == .ewma {
      let channel = Int(parameters.row(slot).it.channel)
      guard known[channel], !rules[slot] else { continue }
      channels.row(channel).it.forgetLearnt()
      channels.row(channel).it.conditions &= ~ChannelRecord.ewmaBit
    }
  }

  private mutating func restoreDevices(_ reader: inout StateReader) throws(StateReadError) {
    let rows = RowsByIdentity(identities.devices)
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let row = rows[try reader.word()]
      var record = DeviceRecord()
      var drift = DriftRecord()
      if let row { record = devices[row] }
      try record.restore(from: &reader)
      try drift.restore(from: &reader)
      guard let row else { continue }
      if timing(ofDevice: row).isUnguarded { record.isQuarantined = false }
      devices[row] = record
      drifts[row] = drift
      guard record.isQuarantined else { continue }
      quarantined += 1
      for channel in channelRows(ofDevice: row) {
        channels.row(Int(channel)).it.key |= ChannelRecord.quarantined
      }
    }
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let row = rows[try reader.word()]
      let trouble = try ClockTrouble(reading: &reader)
      if let row { troubles[row] = trouble }
    }
  }

  /// Returns which rows the snapshot had.
  private mutating func restoreChannels(
    _ reader: inout StateReader
  ) throws(StateReadError) -> [Bool] {
    var found = [Bool](repeating: false, count: channels.count)
    let rows = RowsByIdentity(identities.channels)
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let row = rows[try reader.word()]
      var scratch = ChannelRecord()
      if let row {
        try channels.row(row).it.restore(from: &reader)
        scratch = channels[row]
      } else {
        try scratch.restore(from: &reader)
      }
      let live = Int(scratch.head &- scratch.tail)
      guard try reader.count(in: 0...Int(UInt32.max)) == live else { throw .inconsistent }
      if let row {
        try restoreSamples(row, &reader)
      } else {
        for _ in 0..<2 * live { _ = try reader.word() }
      }
      if let row { found[row] = true }
    }
    return found
  }

  /// Puts window samples back in the slots they had; what does not fit a smaller ring is left out.
  private mutating func restoreSamples(
    _ row: Int,
    _ reader: inout StateReader
  ) throws(StateReadError) {
    let record = channels.row(row)
    let profile = profiles.row(Int(record.it.profile))
    let keeps = profile.it.features & Profile.window != 0
    let mask = profile.it.ringMask
    let line = Int(record.it.ring)
    var position = record.it.tail
    while position != record.it.head {
      let value = try reader.double()
      let time = UInt32(truncatingIfNeeded: try reader.word())
      if keeps {
        let slot = Int(position & mask)
        unsafe ring.doubles(at: line)[slot] = value
        unsafe ring.words(at: line, after: Int(mask) + 1)[slot] = time
      }
      position &+= 1
    }
    if !keeps {
      record.it.tail = record.it.head
    } else if record.it.head &- record.it.tail > mask &+ 1 {
      record.it.tail = record.it.head &- mask &- 1
      retakeWindow(record, profile)
    } else if record.it.head != record.it.tail {
      let oldest = unsafe ring.doubles(at: line)[Int(record.it.tail & mask)]
      record.it.oldest = record.it.keeping(oldest)
    }
  }

  /// Returns which rows the snapshot had.
  private mutating func restoreRules(
    _ reader: inout StateReader,
    _ afresh: inout Set<DetectorBank.Place>
  ) throws(StateReadError) -> [Bool] {
    var found = [Bool](repeating: false, count: rules.count)
    let rows = RowsByIdentity(identities.rules)
    let counts = 0...Int(UInt32.max)
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      var scratch = RuleRecord()
      if let row { scratch = rules[row] }
      try scratch.restore(from: &reader)
      guard let row else { continue }
      rules[row] = scratch
      found[row] = true
    }
    try restoreHistories(&reader, rows)
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let kind = try reader.byte()
      let form = try reader.word()
      let state = try reader.bytes(try reader.count(in: counts))
      if let row, let place = restoreDetector(row, kind, form, state) { afresh.insert(place) }
    }
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let form = try reader.word()
      let state = try reader.bytes(try reader.count(in: counts))
      guard let row else { continue }
      let suppressor = parameters.row(row).it.suppressor
      // What another expression has suppressed is not suppressed until this one says so. One without a state was left so by
      // an earlier plan already.
      guard suppressor != .max, !state.isEmpty else {
        orphans.insert(UInt32(row))
        continue
      }
      let place = places[Int(suppressor)]
      guard restore(place, form, state) else {
        orphans.insert(UInt32(row))
        afresh.insert(place)
        continue
      }
    }
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let onset = try reader.integer()
      if let row { owed.insert(slot: UInt32(row), onset: onset) }
    }
    try restoreHeld(&reader)
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let due = try reader.integer()
      guard let kind = Deadline.Kind(rawValue: try reader.byte()) else { throw .inconsistent }
      let wait = try reader.integer()
      guard let row, kind != .stale || parameters[row].kind == .stale else { continue }
      guard kind != .suppressor || parameters[row].suppressor != .max else { continue }
      guard kind != .detector || parameters[row].kind == .single || parameters[row].kind == .group
      else { continue }
      // Where the plan waits less long than it did, a silence or a delay that runs is looked at sooner.
      let sooner = max(0, wait - self.wait(of: kind, row))
      arm(kind, UInt32(row), atEngineTime: due - sooner, mayBeEarlier: true)
    }
    return found
  }

  private mutating func restoreHistories(
    _ reader: inout StateReader,
    _ rows: RowsByIdentity
  ) throws(StateReadError) {
    let counts = 0...Int(UInt32.max)
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let figures = try reader.word()
      let slot = row.map { UInt32($0) }
      let kept = slot.map { historyRow($0) }
      try histories.restore(kept, from: &reader)
      guard let row, let slot, let kept else { continue }
      // Steps that were made by other figures are not to be judged by these.
      if stepsKept(of: slot) == 0 || figures != parameters.row(row).it.figures {
        histories.forgetSteps(of: kept)
      }
    }
    noteStandingPhases()
    let channelRows = RowsByIdentity(identities.channels)
    for _ in 0..<(try reader.count(in: counts)) {
      let row = channelRows[try reader.word()]
      var past = ChannelPast()
      past.floor = try reader.integer()
      for _ in 0..<(try reader.count(in: counts)) {
        let time = try reader.integer()
        past.extras.append(ChannelPast.Extra(time: time, value: try reader.double()))
      }
      if let row { pasts[row] = past }
    }
    try restoreTies(&reader) { channelRows[$0] }
    try restoreLeaps(&reader) { channelRows[$0] }
    try restoreTimes(&reader, rows) { engine, slot, time in engine.shelves[slot] = time }
    try restoreTimes(&reader, rows) { engine, slot, time in
      guard engine.parameters.row(Int(slot)).it.reAlarm > 0 else { return }
      engine.reAlarms[slot] = time
    }
    try restoreTimes(&reader, rows) { engine, slot, time in
      guard engine.parameters.row(Int(slot)).it.escalateAfter > 0 else { return }
      engine.escalations[slot] = time
    }
  }

  /// Where steps are kept and a condition has moved without any, it goes on from where it stands.
  private mutating func noteStandingPhases() {
    for slot in UInt32(0)..<UInt32(rules.count) where stepsKept(of: slot) > 0 {
      let hasMoved =
        rules.row(Int(slot)).it.phase != .idle || rules.row(Int(slot)).it.history != .max
      guard hasMoved, !history(of: slot).hasSteps else { continue }
      let newest = channels.row(Int(parameters.row(Int(slot)).it.channel)).it.newest
      let state = stateNow(slot, at: newest)
      histories.restart(historyRow(slot), state)
    }
  }

  private mutating func restoreTimes(
    _ reader: inout StateReader,
    _ rows: RowsByIdentity,
    _ put: (inout Engine, UInt32, Int64) -> Void
  ) throws(StateReadError) {
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let row = rows[try reader.word()]
      let time = try reader.integer()
      if let row { put(&self, UInt32(row), time) }
    }
  }

  private mutating func restoreHeld(_ reader: inout StateReader) throws(StateReadError) {
    let rows = RowsByIdentity(identities.channels)
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let channel = rows[try reader.word()]
      var reading = Reading(
        channel: ChannelIndex(rawValue: UInt32(channel ?? 0)),
        time: Timestamp(milliseconds: try reader.integer()),
        value: try reader.double()
      )
      guard let status = SourceStatus(rawValue: try reader.byte()) else { throw .inconsistent }
      reading.status = status
      reading.flags = ReadingFlags(rawValue: try reader.byte())
      var entry = HeldReadings.Entry(reading: reading, time: 0, sequence: 0)
      entry.time = try reader.integer()
      entry.sequence = try reader.word()
      guard let channel else { continue }
      held[Int(links[channel].device), default: HeldReadings()].insert(entry)
    }
    for row in held.keys.sorted() {
      // Where the plan has no allowance any more, new readings go behind these all the same.
      for channel in channelRows(ofDevice: row) {
        channels.row(Int(channel)).it.key |= ChannelRecord.held
      }
      armRelease(row)
    }
  }

  /// Gives a detector its state back; where that means nothing to it, it begins afresh, no delay runs on what it said, and its
  /// place is returned.
  private mutating func restoreDetector(
    _ slot: Int,
    _ kind: UInt8,
    _ form: UInt64,
    _ state: [UInt8]
  ) -> DetectorBank.Place? {
    let parameters = parameters[slot]
    guard parameters.kind == .single || parameters.kind == .group else { return nil }
    let place = places[Int(parameters.number)]
    if place.kind.rawValue == kind, restore(place, form, state) { return nil }
    drop(UInt32(slot), at: now)
    return place
  }

  /// Tells expressions and references that begin afresh what their signals' values are, so that a signal that seldom reports is
  /// not unknown to them until it does; what they suppress by these stays suppressed.
  private mutating func tellPresent(_ afresh: Set<DetectorBank.Place>) {
    guard !afresh.isEmpty else { return }
    let known = (0..<channels.count).filter { channel in
      let (newest, staleAfter) = (channels.row(channel).it.newest, links[channel].staleAfter)
      return newest != noTime && channels.row(channel).it.value.isFinite
        && (staleAfter == 0
          || newest + Int64(staleAfter) + offset(of: UInt32(channel)) >= now)
    }
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
    for (slot, isSuppressing) in suppresses where isSuppressing { orphans.remove(slot) }
  }

  /// Gives a place of the bank its state back; false, and it is as new, when that is of another form.
  private mutating func restore(
    _ place: DetectorBank.Place,
    _ form: UInt64,
    _ state: [UInt8]
  ) -> Bool {
    guard bank.form(place) == form else { return false }
    var reader = StateReader(state)
    do {
      try bank.restore(place, from: &reader)
      return true
    } catch {
      return false
    }
  }

  /// Takes over what another plan says of windows.
  ///
  /// Where they begin afresh, none of them has said that a delay may run; where they wait less long for their last
  /// readings, the one that is open is looked at sooner. (Entries are hints: the later one does no harm.) Under the same
  /// plan nothing changes: what goes on from a snapshot is what would have gone on without it.
  private mutating func settleWindows() {
    let windows = (UInt32(0)..<UInt32(rules.count)).filter { isWindow($0) }
    guard !windows.isEmpty else { return }
    for slot in windows {
      let place = places[Int(parameters.row(Int(slot)).it.number)]
      if bank.isFreshWindow(place) { drop(slot, at: now) }
      guard bank.waitsLessLong(place), let end = detectorDeadline(slot) else { continue }
      arm(.detector, slot, at: end + detectorGrace(slot), mayBeEarlier: true)
    }
  }

  /// Rules on staleness that the snapshot did not know begin to wait now.
  private mutating func armNewStaleRules() {
    guard now != noTime else { return }
    for slot in 0..<rules.count where parameters.row(slot).it.kind == .stale {
      let channel = Int(parameters[slot].channel)
      guard rules.row(slot).it.phase == .idle,
        rules.row(slot).it.armed & Deadline.Kind.stale.bit == 0
      else { continue }
      if channels.row(channel).it.newest == noTime {
        armFirstStale(UInt32(slot))
      } else {
        armStale(UInt32(slot), channel)
      }
    }
  }
}

/// Finds rows by identity.
private struct RowsByIdentity {
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

extension DeviceRecord {
  func append(to bytes: inout [UInt8]) {
    bytes.appendState(previousLow)
    bytes.appendState(currentLow)
    bytes.appendState(Int64(epoch))
    bytes.append(isQuarantined ? 1 : 0)
  }

  /// Reads what was seen; what the plan says stays.
  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    previousLow = try reader.integer()
    currentLow = try reader.integer()
    epoch = Int32(truncatingIfNeeded: try reader.integer())
    isQuarantined = try reader.byte() == 1
  }
}

extension DriftRecord {
  func append(to bytes: inout [UInt8]) {
    for field in [anchorLow, anchorEpoch, nextLow, nextEpoch, closedLow, closedEpoch] {
      bytes.appendState(Int64(field))
    }
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    anchorLow = Int32(truncatingIfNeeded: try reader.integer())
    anchorEpoch = Int32(truncatingIfNeeded: try reader.integer())
    nextLow = Int32(truncatingIfNeeded: try reader.integer())
    nextEpoch = Int32(truncatingIfNeeded: try reader.integer())
    closedLow = Int32(truncatingIfNeeded: try reader.integer())
    closedEpoch = Int32(truncatingIfNeeded: try reader.integer())
  }
}

extension ClockStreak {
  func append(to bytes: inout [UInt8]) {
    for field in [start, low, high, newest, newestLag, earliest, latest] {
      bytes.appendState(field)
    }
    bytes.appendState(sequence)
    bytes.appendState(UInt64(count))
  }

  init(reading reader: inout StateReader) throws(StateReadError) {
    start = try reader.integer()
    low = try reader.integer()
    high = try reader.integer()
    newest = try reader.integer()
    newestLag = try reader.integer()
    earliest = try reader.integer()
    latest = try reader.integer()
    sequence = try reader.word()
    count = UInt32(truncatingIfNeeded: try reader.word())
  }
}

extension ClockTrouble {
  func append(to bytes: inout [UInt8]) {
    streak.append(to: &bytes)
    tolerable.append(to: &bytes)
    bytes.appendState(hasLeaps)
    bytes.appendState(UInt64(faults))
    bytes.appendState(UInt64(steps))
    bytes.appendState(bankShift)
  }

  init(reading reader: inout StateReader) throws(StateReadError) {
    streak = try ClockStreak(reading: &reader)
    tolerable = try ClockStreak(reading: &reader)
    hasLeaps = try reader.flag()
    faults = UInt32(truncatingIfNeeded: try reader.word())
    steps = UInt32(truncatingIfNeeded: try reader.word())
    bankShift = try reader.integer()
  }
}

extension ChannelRecord {
  /// Saves what a reading leaves behind; key and calm span are found again by the first reading.
  func append(to bytes: inout [UInt8]) {
    bytes.appendState(newest)
    bytes.appendState(value)
    bytes.appendState(sequence)
    bytes.appendState(UInt64(seen))
    bytes.appendState(mean)
    bytes.appendState(variance)
    bytes.appendState(sum)
    bytes.appendState(squares)
    bytes.appendState(reference)
    bytes.appendState(extremes.x)
    bytes.appendState(extremes.y)
    bytes.appendState(UInt64(head))
    bytes.appendState(UInt64(tail))
    bytes.append(conditions)
    bytes.append(status)
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    newest = try reader.integer()
    value = try reader.double()
    sequence = try reader.word()
    seen = UInt32(truncatingIfNeeded: try reader.word())
    mean = try reader.double()
    variance = try reader.double()
    // One that had learnt from a value beyond every measure would be blind for good.
    if !mean.isFinite || !(variance <= Self.greatestSquare) { forgetLearnt() }
    sum = try reader.double()
    squares = try reader.double()
    reference = try reader.double()
    extremes.x = try reader.double()
    extremes.y = try reader.double()
    head = UInt32(truncatingIfNeeded: try reader.word())
    tail = UInt32(truncatingIfNeeded: try reader.word())
    conditions = try reader.byte()
    status = try reader.byte()
  }
}

extension RuleRecord {
  func append(to bytes: inout [UInt8]) {
    bytes.appendState(since)
    bytes.appendState(sinceSequence)
    bytes.appendState(onset)
    bytes.appendState(UInt64(raises))
    bytes.appendState(UInt64(fleeting))
    bytes.append(life)
    bytes.append(phase.rawValue)
    bytes.append(priority)
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    since = try reader.integer()
    sinceSequence = try reader.word()
    onset = try reader.integer()
    raises = UInt32(truncatingIfNeeded: try reader.word())
    fleeting = UInt32(truncatingIfNeeded: try reader.word())
    life = try reader.byte()
    guard let phase = Phase(rawValue: try reader.byte()), LifeCycle(packed: life) != nil else {
      throw .inconsistent
    }
    self.phase = phase
    priority = try reader.byte()
  }
}
