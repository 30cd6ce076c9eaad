import Telemetry

// Rules with their histories, detectors and deadlines out of a snapshot.

extension Engine {
  /// Notes which rows are `known`; what has a state in the snapshot, and none of `revalued` channels, begins not `afresh`.
  mutating func restoreRules(
    _ reader: inout StateReader,
    _ afresh: inout Set<DetectorBank.Place>,
    _ known: inout [Bool],
    _ revalued: Set<Int>
  ) throws(StateReadError) {
    let rows = RowsByIdentity(identities.rules)
    let counts = 0...Int(UInt32.max)
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let kind = try reader.byte()
      let figures = try reader.word()
      var scratch = RuleRecord()
      if let row { scratch = rules[row] }
      try scratch.restore(from: &reader)
      guard let row else { continue }
      let rule = parameters.row(row)
      // No delay runs on what a rule of another kind has said.
      if kind != rule.it.kind.rawValue { scratch.takeBackDelay() }
      rules[row] = scratch
      known[row] = true
      if rule.it.isRevisable, figures != rule.it.figures { unjudged.insert(UInt32(row)) }
    }
    try restoreHistories(&reader, rows)
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let kind = try reader.byte()
      let form = try reader.word()
      let state = try reader.bytes(try reader.count(in: counts))
      let place = row.flatMap { restoreDetector($0, kind, form, state, revalued) }
      if let place { afresh.remove(place) }
    }
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let form = try reader.word()
      let state = try reader.bytes(try reader.count(in: counts))
      guard let row else { continue }
      let suppressor = parameters.row(row).it.suppressor
      if state.isEmpty, form == SnapshotFormat.toSuppress {
        // (The expression that says so has come before; another says so itself.)
        if suppressor != .max, !afresh.contains(places[Int(suppressor)]) {
          unsuppressed.insert(UInt32(row))
        }
        continue
      }
      // What another expression has suppressed is not suppressed until this one says so. One without a state was left so by
      // an earlier plan already.
      guard suppressor != .max, !state.isEmpty else {
        orphans.insert(UInt32(row))
        continue
      }
      let place = places[Int(suppressor)]
      guard !reads(Int(suppressor), revalued), restore(place, form, state) else {
        orphans.insert(UInt32(row))
        continue
      }
      afresh.remove(place)
    }
    for _ in 0..<(try reader.count(in: counts)) {
      if let row = rows[try reader.word()] { unjudged.insert(UInt32(row)) }
    }
    for _ in 0..<(try reader.count(in: counts)) {
      let row = rows[try reader.word()]
      let onset = try reader.integer()
      if let row { owed.insert(slot: UInt32(row), onset: onset) }
    }
    try restoreHeld(&reader, revalued)
    try restoreDeadlines(&reader, rows)
  }

  private mutating func restoreDeadlines(
    _ reader: inout StateReader,
    _ rows: RowsByIdentity
  ) throws(StateReadError) {
    let devices = RowsByIdentity(identities.devices)
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let owner = try reader.word()
      let due = try reader.integer()
      guard let kind = Deadline.Kind(rawValue: try reader.byte()) else { throw .inconsistent }
      let wait = try reader.integer()
      guard kind != .release else {
        if let device = devices[owner] { armRelease(device, at: due) }
        continue
      }
      guard let row = rows[owner], kind != .stale || parameters[row].kind == .stale
      else { continue }
      guard kind != .suppressor || parameters[row].suppressor != .max else { continue }
      guard kind != .detector || parameters[row].kind == .single || parameters[row].kind == .group
      else { continue }
      // Where the plan waits less long than it did, what waits is looked at sooner. (What a backlog has passed by is due
      // already.)
      let sooner = max(0, wait - self.wait(of: kind, row))
      let record = rules.row(row)
      let isReliedOn =
        parameters[row].kind.followsValues
        ? record.it.phase == (kind == .onDelay ? .pendingOn : .pendingOff)
        : record.it.armed & kind.bit != 0
      insert(kind, UInt32(row), due: max(due - sooner, min(due, now)))
      // A hint that no delay relies on any more stays one.
      if kind == .onDelay || kind == .offDelay, !isReliedOn { record.it.armed &= ~kind.bit }
    }
    // Where the plan lets readings wait less long than it did.
    for row in held.keys.sorted() { armRelease(row) }
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
    try channelRows.readStates(into: &pasts, from: &reader)
    try channelRows.readStates(into: &ties, from: &reader)
    try channelRows.readStates(into: &leaps, from: &reader)
    try channelRows.readStates(into: &blind, from: &reader)
    try restoreTimes(&reader, rows) { engine, slot, time in engine.shelves[slot] = time }
    try restoreTimes(&reader, rows) { engine, slot, time in
      guard engine.parameters.row(Int(slot)).it.reAlarm > 0 else { return }
      engine.reAlarms[slot] = time
    }
    try restoreTimes(&reader, rows) { engine, slot, time in
      guard engine.parameters.row(Int(slot)).it.escalateAfter > 0 else { return }
      engine.escalations[slot] = time
    }
    for _ in 0..<(try reader.count(in: counts)) {
      guard let row = rows[try reader.word()], parameters.row(row).it.escalateAfter > 0 else {
        continue
      }
      escalated.insert(UInt32(row))
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

  /// Gives a detector its state back, and returns its place; where that means nothing to it, it begins afresh, and no delay runs
  /// on what it said.
  private mutating func restoreDetector(
    _ slot: Int,
    _ kind: UInt8,
    _ form: UInt64,
    _ state: [UInt8],
    _ revalued: Set<Int>
  ) -> DetectorBank.Place? {
    let parameters = parameters[slot]
    guard parameters.kind == .single || parameters.kind == .group else { return nil }
    let place = places[Int(parameters.number)]
    let isOfOther =
      revalued.contains(Int(parameters.channel)) || reads(Int(parameters.number), revalued)
    if !isOfOther, place.kind.rawValue == kind, restore(place, form, state) { return place }
    drop(UInt32(slot), at: now)
    return nil
  }

  /// Whether the detector in a place has one of some channels among its signals.
  private func reads(_ number: Int, _ channels: Set<Int>) -> Bool {
    !channels.isEmpty && signals[number].contains { channels.contains(Int($0.rawValue)) }
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
}
