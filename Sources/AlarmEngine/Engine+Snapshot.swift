import Telemetry

/// What a snapshot begins with, and how it is guarded.
enum SnapshotFormat {
  /// "DAVYENG1" as little-endian bytes.
  static let magic: UInt64 = 0x3147_4e45_5956_4144
  static let version: UInt64 = 6
  /// In place of a suppressing expression's form, where no state follows: what the plan has left to do about it.
  static let toRelease: UInt64 = 0
  static let toSuppress: UInt64 = 1

  /// A 64-bit checksum over the words of the bytes, FNV-1a with a fold; guards against damage, not intent.
  static func checksum(_ bytes: [UInt8], count: Int) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    let span = bytes.span
    var index = 0
    while index < count {
      var word: UInt64 = 0
      for offset in 0..<min(8, count - index) {
        word |= UInt64(span[index + offset]) << (8 * offset)
      }
      hash = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
      hash ^= hash >> 29
      index += 8
    }
    return hash ^ UInt64(count)
  }
}

extension Engine {
  /// All state as versioned bytes with a checksum; rows are named by ``StableID``.
  ///
  /// Layout, little endian: magic, version, engine time, epoch, counters; then devices, clocks in trouble, channels (with
  /// their live window samples), rules, their histories, late readings, times of rules, detectors, rules not yet judged by the
  /// figures of the plan, owed occurrences, held readings and deadlines, each list led by its count; last the checksum of
  /// everything before it.
  public func snapshot() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(
      channels.count * 160 + rules.count * 96 + devices.count * 64 + ring.byteCount + 1024
    )
    bytes.appendState(SnapshotFormat.magic)
    bytes.appendState(SnapshotFormat.version)
    bytes.appendState(now)
    bytes.appendState(epoch)
    for field in EngineCounters.fields { bytes.appendState(tally[keyPath: field]) }
    bytes.appendState(devices.count)
    for row in 0..<devices.count {
      bytes.appendState(identities.devices[row].rawValue)
      devices[row].append(to: &bytes)
      drifts[row].append(to: &bytes)
    }
    bytes.appendStates(troubles, of: identities.devices)
    bytes.appendState(channels.count)
    for row in 0..<channels.count {
      bytes.appendState(identities.channels[row].rawValue)
      bytes.appendState(identities.units[row].rawValue)
      channels[row].append(to: &bytes)
      appendSamples(of: row, to: &bytes)
    }
    bytes.appendState(rules.count)
    for slot in 0..<rules.count {
      bytes.appendState(identities.rules[slot].rawValue)
      bytes.append(parameters.row(slot).it.kind.rawValue)
      bytes.appendState(parameters.row(slot).it.figures)
      rules[slot].append(to: &bytes, kind: parameters[slot].kind)
    }
    appendHistories(to: &bytes)
    let single = (0..<rules.count).filter {
      parameters.row($0).it.kind == .single || parameters.row($0).it.kind == .group
    }
    bytes.appendState(single.count)
    for slot in single {
      let place = places[Int(parameters.row(slot).it.number)]
      var state: [UInt8] = []
      bank.write(place, into: &state)
      bytes.appendState(identities.rules[slot].rawValue)
      bytes.append(place.kind.rawValue)
      bytes.appendState(bank.form(place))
      bytes.appendState(state.count)
      bytes += state
    }
    appendSuppressors(to: &bytes)
    bytes.appendState(unjudged.count)
    for slot in unjudged.sorted() { bytes.appendState(identities.rules[Int(slot)].rawValue) }
    let occurrences = owed.entries
    bytes.appendState(occurrences.count)
    for entry in occurrences {
      bytes.appendState(identities.rules[Int(entry.slot)].rawValue)
      bytes.appendState(entry.onset)
    }
    appendHeld(to: &bytes)
    appendDeadlines(to: &bytes)
    bytes.appendState(SnapshotFormat.checksum(bytes, count: bytes.count))
    return bytes
  }

  /// Deadlines of rules, and of devices those by which held readings are let go.
  private func appendDeadlines(to bytes: inout [UInt8]) {
    var armed = heap.entries.filter {
      $0.kind != .release || held[Int($0.slot)]?.armed == $0.due
    }
    for row in rearming {
      if let release = nextRelease(ofDevice: row) { armed.append(release) }
      armed += runningDelays(ofDevice: row)
    }
    bytes.appendState(armed.count)
    for entry in armed {
      let owners = entry.kind == .release ? identities.devices : identities.rules
      bytes.appendState(owners[Int(entry.slot)].rawValue)
      bytes.appendState(entry.due)
      bytes.append(entry.kind.rawValue)
      bytes.appendState(wait(of: entry.kind, Int(entry.slot)))
    }
  }

  /// How long a rule waits from what has armed such a deadline, as far as that is the plan's to say.
  func wait(of kind: Deadline.Kind, _ slot: Int) -> Int64 {
    guard kind != .release else { return 0 }
    let rule = parameters.row(slot)
    return switch kind {
    case .onDelay: rule.it.onDelay
    case .offDelay: rule.it.offDelay
    case .stale: rule.it.staleAfter
    case .escalation: rule.it.escalateAfter
    case .reAlarm: rule.it.reAlarm
    case .shelf, .release, .detector, .suppressor: 0
    }
  }

  /// Steps of rules, with the figures that they were made by; late readings of channels; shelves, re-alarms, escalations, and
  /// which alarms have escalated.
  private func appendHistories(to bytes: inout [UInt8]) {
    let moved = (0..<rules.count).filter { rules.row($0).it.history != .max }
    bytes.appendState(moved.count)
    for slot in moved {
      bytes.appendState(identities.rules[slot].rawValue)
      bytes.appendState(parameters.row(slot).it.figures)
      histories.append(Int(rules.row(slot).it.history), to: &bytes)
    }
    bytes.appendStates(pasts, of: identities.channels)
    // Only what still tells something: of moments the channels' newest, of leaps those whose stamps lie ahead.
    bytes.appendStates(ties.filter { tie(of: $0.key) != nil }, of: identities.channels)
    bytes.appendStates(leaps.filter { $0.value.stamp > now }, of: identities.channels)
    bytes.appendStates(blind, of: identities.channels)
    for times in [shelves, reAlarms, escalations] {
      bytes.appendState(times.count)
      for (slot, time) in times.sorted(by: { $0.key < $1.key }) {
        bytes.appendState(identities.rules[Int(slot)].rawValue)
        bytes.appendState(time)
      }
    }
    bytes.appendState(escalated.count)
    for slot in escalated.sorted() { bytes.appendState(identities.rules[Int(slot)].rawValue) }
  }

  /// Suppressing expressions, and then, as ones without a state, what the plan has left suppressed by none or suppressed not yet
  /// and no input has released or suppressed since.
  private func appendSuppressors(to bytes: inout [UInt8]) {
    let suppressed = (0..<rules.count).filter { parameters.row($0).it.suppressor != .max }
    bytes.appendState(suppressed.count + orphans.count + unsuppressed.count)
    for slot in suppressed {
      let place = places[Int(parameters.row(slot).it.suppressor)]
      var state: [UInt8] = []
      bank.write(place, into: &state)
      bytes.appendState(identities.rules[slot].rawValue)
      bytes.appendState(bank.form(place))
      bytes.appendState(state.count)
      bytes += state
    }
    for (slots, task) in [
      (orphans, SnapshotFormat.toRelease), (unsuppressed, SnapshotFormat.toSuppress),
    ] {
      for slot in slots.sorted() {
        bytes.appendState(identities.rules[Int(slot)].rawValue)
        bytes.appendState(task)
        bytes.appendState(UInt64(0))
      }
    }
  }

  /// Held readings; their channels are named by identity.
  private func appendHeld(to bytes: inout [UInt8]) {
    let entries = held.keys.sorted().flatMap { held[$0]?.entries ?? [] }
    bytes.appendState(entries.count)
    for entry in entries {
      bytes.appendState(identities.channels[Int(entry.reading.channel.rawValue)].rawValue)
      bytes.appendState(entry.reading.time.milliseconds)
      bytes.appendState(entry.reading.value)
      bytes.append(entry.reading.status.rawValue)
      bytes.append(entry.reading.flags.rawValue)
      bytes.appendState(entry.time)
      bytes.appendState(entry.sequence)
    }
  }

  private func appendSamples(of channel: Int, to bytes: inout [UInt8]) {
    let record = channels.row(channel)
    let profile = profiles.row(Int(record.it.profile))
    let mask = profile.it.ringMask
    let line = Int(record.it.ring)
    bytes.appendState(Int(record.it.head &- record.it.tail))
    var position = record.it.tail
    while position != record.it.head {
      let slot = Int(position & mask)
      unsafe bytes.appendState(ring.doubles(at: line)[slot])
      unsafe bytes.appendState(UInt64(ring.words(at: line, after: Int(mask) + 1)[slot]))
      position &+= 1
    }
  }
}
