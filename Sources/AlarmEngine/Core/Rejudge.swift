/// One alarm of a rule as its readings in order make it.
struct JudgedOccurrence: Hashable {
  /// Identity: the onset under which it was told, or would have been.
  var onset: Int64
  /// When the condition became true.
  var start: Int64
  /// When the alarm was raised.
  var raised: Int64
  /// When it returned; `never` while it stands.
  var returned: Int64

  func overlaps(_ other: JudgedOccurrence) -> Bool {
    raised < other.returned && other.raised < returned
  }

  /// Every occurrence that stands or begins in steps that follow on a state.
  static func all(
    from initial: PhaseChange?,
    _ changes: some Sequence<PhaseChange>
  ) -> [JudgedOccurrence] {
    var all: [JudgedOccurrence] = []
    var isActive = false
    if let initial, initial.isActive {
      isActive = true
      all.append(
        JudgedOccurrence(
          onset: initial.onset,
          start: initial.start,
          raised: .min,
          returned: never
        )
      )
    }
    for change in changes where change.isActive != isActive {
      isActive = change.isActive
      if isActive {
        all.append(
          JudgedOccurrence(
            onset: change.onset,
            start: change.start,
            raised: change.time,
            returned: never
          )
        )
      } else {
        all[all.count - 1].returned = change.time
      }
    }
    return all
  }
}

/// Judges readings of a limit or a range once more, in the order of their event times: the same on-delay,
/// off-delay, gap and staleness as in the engine, without its columns and deadlines.
struct Rejudge {
  /// A reading as it counts for a limit: its value, or none.
  struct Sample {
    var time: Int64
    /// NaN for a reading without a usable value.
    var value: Double
  }

  private let rule: RuleParameters
  /// 0 when the channel never goes stale.
  private let staleAfter: Int64
  private var state: PhaseChange
  /// Event time of the reading before.
  private var newest: Int64
  private(set) var changes: [PhaseChange] = []

  init(_ rule: RuleParameters, staleAfter: Int64, from initial: PhaseChange?, at time: Int64) {
    self.rule = rule
    self.staleAfter = staleAfter
    state =
      initial
      ?? PhaseChange(time: time, phase: .idle, since: noTime, onset: noTime, start: noTime)
    newest = time
  }

  /// Where the condition stands.
  var end: PhaseChange { state }

  /// Takes the next reading.
  mutating func take(_ sample: Sample) {
    settle(before: sample.time)
    newest = sample.time
    guard !sample.value.isNaN else {
      drop(at: sample.time)
      return
    }
    let verdict = rule.verdict(sample.value)
    switch state.phase {
    case .idle:
      guard verdict.on else { return }
      state.since = sample.time
      if rule.onDelay == 0 { raise(at: sample.time) } else { move(to: .pendingOn, at: sample.time) }
    case .pendingOn:
      if !verdict.on { move(to: .idle, at: sample.time) }
    case .active:
      guard verdict.off else { return }
      state.since = sample.time
      move(to: rule.offDelay == 0 ? .idle : .pendingOff, at: sample.time)
    case .pendingOff:
      if !verdict.off { move(to: .active, at: sample.time) }
    }
  }

  /// Lets what has run out before `time` end.
  mutating func settle(before time: Int64) {
    let due: Int64
    switch state.phase {
    case .pendingOn: due = state.since + rule.onDelay
    case .pendingOff: due = state.since + rule.offDelay
    case .idle, .active: return
    }
    let silent = staleAfter > 0 ? newest + staleAfter : never
    if due < time, due <= silent {
      if state.phase == .pendingOn { raise(at: due) } else { move(to: .idle, at: due) }
    } else if silent < time {
      drop(at: silent)
    }
  }

  private mutating func drop(at time: Int64) {
    switch state.phase {
    case .pendingOn: move(to: .idle, at: time)
    case .pendingOff: move(to: .active, at: time)
    case .idle, .active: break
    }
  }

  private mutating func raise(at time: Int64) {
    state.onset = state.since
    state.start = state.since
    move(to: .active, at: time)
  }

  private mutating func move(to phase: RuleRecord.Phase, at time: Int64) {
    state.phase = phase
    state.time = time
    changes.append(state)
  }
}

/// What a channel remembers beside its window, to judge late readings.
struct ChannelPast: Sendable {
  /// Readings without a value, and late ones, by time; as many as the window holds at most.
  var extras: [Extra] = []
  /// What is older than this is not judged again.
  var floor: Int64 = noTime

  struct Extra: Hashable, Sendable {
    var time: Int64
    /// NaN for none.
    var value: Double
  }

  /// Bytes that it takes, with the room of its readings.
  var byteCount: Int {
    MemoryLayout<ChannelPast>.stride + extras.capacity * MemoryLayout<Extra>.stride
  }

  /// Adds a reading; where there are too many the oldest goes, and what is before it is not judged again.
  mutating func add(_ extra: Extra, capacity: Int) {
    var index = extras.count
    while index > 0, extras[index - 1].time > extra.time { index -= 1 }
    extras.insert(extra, at: index)
    if extras.count > capacity { floor = max(floor, extras.removeFirst().time) }
  }
}
