import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import PayloadDecoding
import Telemetry

/// The desk that takes what stations below this one pass on (county → city → province).
///
/// Every alarm step and hazard step becomes an entry of this station's own chain, whose body names the origin: its
/// station, its sequence, its hash. Nothing of it is judged again: an alarm is acted on where it was raised.
///
/// | verb | entry | body |
/// |---|---|---|
/// | `items` | `alarm` and `hazard` | as at the origin, with `origin` |
/// | `items` | `system` `relay.joined`, `relay.silent`, `relay.heard`, `relay.refused` | which station, and why |
///
/// An entry or a reading that cannot be read is refused alone: in the answer, in `relay.refused`, and among the rejects.
///
/// What was taken before is passed over by its sequence and counted. An entry with a gap before it is not taken: the
/// answer says where to go on.
final class RelayDesk: Desk {
  static let name = "relay"
  /// A station of which nothing has come for so long is silent: its sender gives word every minute.
  static let silence: Int64 = 5 * 60_000

  /// The state that a snapshot holds.
  private struct State: Codable {
    var version = 1
    var peers: [String: RelayBoard.Peer] = [:]
    /// Alarms that stand, and whose they are.
    var standing: [String: String] = [:]
    /// Hazards that have been registered, by the id they have here, and whose they are.
    var hazards: [String: String] = [:]
  }

  /// What others may see.
  let board = RelayBoard()
  private var state = State()
  private var ownPoints: Set<String> = []

  var name: String { Self.name }

  var nextDeadline: Timestamp? {
    state.peers.values.lazy.filter { !$0.isSilent }
      .map { $0.heard.advanced(byMilliseconds: Self.silence) }.min()
  }

  func adopt(_ catalog: Catalog, by record: JournalRecord?, into output: inout CoreOutput) {
    ownPoints = Set(catalog.channels.map(\.path))
  }

  func needsTrace(_ verb: Substring) -> Bool { verb != "items" }

  // MARK: - Batches

  func take(_ record: JournalRecord, verb: Substring, into output: inout CoreOutput) -> ActError? {
    guard verb == "items", record.input.kind == .external else {
      return .incomplete("the relay has no record \(verb) of this kind")
    }
    let batch: RelayBatch
    do throws(RelayFault) {
      batch = try RelayBatch(decoding: record.input.payload)
    } catch {
      return .incomplete(error.description)
    }
    let now = Timestamp(milliseconds: record.input.received)
    let station = batch.station
    var peer: RelayBoard.Peer
    if let known = state.peers[station] {
      peer = known
      if peer.isSilent { output.drafts.append(event("relay.heard", station, [:], record)) }
    } else {
      peer = RelayBoard.Peer(heard: now)
      output.drafts.append(event("relay.joined", station, [:], record))
    }
    peer.heard = now
    peer.isSilent = false
    var outcome = RelayOutcome(station: "", sequence: peer.sequence)
    // A gap: the sender believes that more is here than there is. The answer says where to go on.
    if batch.after <= peer.sequence {
      for item in batch.entryItems {
        switch item {
        case .good(let entry): take(entry, of: station, &peer, &outcome, record, into: &output)
        case .bad(let fault):
          guard fault.number > peer.sequence else {
            outcome.duplicates += 1
            continue
          }
          peer.sequence = fault.number
          refuse(
            fault.number,
            fault.reason,
            hash: nil,
            of: station,
            &outcome,
            record,
            into: &output
          )
          reject("entry", fault, of: station, record, into: &output)
        }
      }
      peer.sequence = max(peer.sequence, batch.through)
    }
    take(batch.readingItems, of: station, &peer, &outcome, record, into: &output)
    peer.duplicates += UInt64(outcome.duplicates)
    peer.refused += UInt64(outcome.refused.count + outcome.refusedReadings)
    outcome.sequence = peer.sequence
    outcome.newest = (peer.newest, peer.newestHash)
    outcome.reading = peer.reading
    state.peers[station] = peer
    board.set(peer, of: station)
    board.keep(outcome, of: record.sequence)
    return nil
  }

  private func take(
    _ entry: LedgerEntry,
    of station: String,
    _ peer: inout RelayBoard.Peer,
    _ outcome: inout RelayOutcome,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard entry.sequence > peer.sequence else {
      outcome.duplicates += 1
      return
    }
    do throws(RelayFault) {
      guard entry.hashHolds else {
        throw RelayFault("the hash is not that of the entry: it was changed on the way")
      }
      output.drafts.append(try draft(of: entry, from: station, record))
      peer.newest = entry.sequence
      peer.newestHash = entry.hash.hex
      peer.entries += 1
      outcome.taken += 1
    } catch {
      refuse(
        entry.sequence,
        error.description,
        hash: entry.hash.hex,
        of: station,
        &outcome,
        record,
        into: &output
      )
    }
    // A refused entry is on record and done with: it must not hold up those behind it.
    peer.sequence = entry.sequence
  }

  /// Puts on record that an entry is not taken.
  private func refuse(
    _ sequence: Int64,
    _ reason: String,
    hash: String?,
    of station: String,
    _ outcome: inout RelayOutcome,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    // The ledger keeps the whole; all of a batch have to fit into what a sender reads of an answer.
    outcome.refused.append(
      RelayOutcome.Refusal(sequence: sequence, reason: reason.bytes(atMost: 80))
    )
    var members: [String: LedgerJSON] = [
      "reason": .string(reason), "sequence": .integer(sequence),
    ]
    if let hash { members["hash"] = .string(hash) }
    output.drafts.append(event("relay.refused", station, members, record))
  }

  /// Keeps what cannot be read among the rejects, with its beginning; the journal has all of it.
  private func reject(
    _ kind: String,
    _ fault: RelayBatch.Fault,
    of station: String,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    let received = Timestamp(milliseconds: record.input.received)
    output.rejects.append(
      RejectTally(
        reason: RejectReason.malformedPayload.rawValue,
        topic: "davy/v1/relay/\(station)/items",
        firstSequence: record.sequence,
        lastSequence: record.sequence,
        firstTime: received,
        lastTime: received,
        detail: "\(kind) \(fault.number): \(fault.reason)".bytes(atMost: 500),
        sample: Array(fault.sample.prefix(512))
      )
    )
  }

  /// The entry of this ledger that an entry of another becomes.
  private func draft(
    of entry: LedgerEntry,
    from station: String,
    _ record: JournalRecord
  ) throws(RelayFault) -> LedgerDraft {
    guard let bytes = entry.body, var body = (try? LedgerJSON(parsing: bytes))?.members else {
      throw RelayFault("the body is not a JSON object")
    }
    var subject = entry.subject
    switch entry.kind {
    case .alarm:
      let step: AlarmBody
      do throws(BodyError) {
        step = try AlarmBody(decoding: bytes)
      } catch {
        throw RelayFault("\(error)")
      }
      guard step.alarm == subject else { throw RelayFault("subject and alarm differ") }
      // The door has held the subject to the account's scope; the point must not lead out of it.
      guard
        AlarmBody.alarmID(point: step.point, rule: step.rule, onset: step.onset) == subject
      else { throw RelayFault("the alarm is not that of its point, rule and onset") }
      guard RelayBatch.times.contains(step.onset.milliseconds),
        RelayBatch.times.contains(step.received.milliseconds)
      else { throw RelayFault("onset, received: times of the years 1900 to 9999") }
      guard !ownPoints.contains(step.point) else {
        throw RelayFault("\(step.point) is a point of this station itself")
      }
      if let owner = state.standing[subject], owner != station {
        throw RelayFault("the alarm stands already, of the station \(owner)")
      }
      state.standing[subject] = step.state == .normal ? nil : station
    case .hazard: subject = try hazard(entry, from: station, &body)
    case .genesis, .callout, .clock, .notice, .silence, .register, .catalog, .system, .welding,
      .redaction:
      throw RelayFault("entries of kind \(entry.kind.rawValue) are not passed on")
    }
    var origin: [String: LedgerJSON] = [
      "station": .string(station), "sequence": .integer(entry.sequence),
      "hash": .string(entry.hash.hex), "cause": .integer(Int64(clamping: entry.origin)),
    ]
    // Two levels up, the way is in the entry: province ← city ← county.
    if let before = body["origin"] { origin["origin"] = before }
    body["origin"] = .object(origin)
    return LedgerDraft(
      time: entry.time,
      kind: entry.kind,
      subject: subject,
      actor: entry.actor,
      body: LedgerJSON.object(body).canonicalBytes(),
      origin: record.sequence
    )
  }

  /// Gives a hazard the id that it has here, and holds its steps to their order.
  private func hazard(
    _ entry: LedgerEntry,
    from station: String,
    _ body: inout [String: LedgerJSON]
  ) throws(RelayFault) -> String {
    let id = Self.hazardID(entry.subject, of: station)
    let step: HazardBody
    do throws(BodyError) {
      step = try HazardBody(decoding: entry)
    } catch {
      throw RelayFault("\(error)")
    }
    switch step {
    case .registered(let registration, _):
      let paths = [registration.enterprise, registration.place] + registration.alarms
      guard paths.allSatisfy({ !$0.utf8.contains(0) && $0.utf8.count <= 2_048 }) else {
        throw RelayFault("enterprise, place, alarms: too long, or with U+0000")
      }
      // The door has held the enterprise to the account's scope; nothing else may lead out of it.
      guard
        paths.allSatisfy({ LedgerScope.enterprise(ofPath: $0) == registration.enterprise })
      else { throw RelayFault("place, alarms: not of the enterprise \(registration.enterprise)") }
      guard state.hazards.updateValue(station, forKey: id) == nil else {
        throw RelayFault("the hazard is registered already")
      }
      if !registration.parent.isEmpty {
        body["parent"] = .string(Self.hazardID(registration.parent, of: station))
      }
    case .acted:
      guard state.hazards[id] != nil else { throw RelayFault("the hazard is not registered here") }
    }
    return id
  }

  /// `hazard/x` of a station → `hazard/STATION/x`: two stations may have given the same id.
  static func hazardID(_ id: String, of station: String) -> String {
    let prefix = "hazard/"
    return prefix + station + "/" + (id.hasPrefix(prefix) ? id.dropFirst(prefix.count) : id[...])
  }

  private func take(
    _ readings: [RelayBatch.Item<RelayBatch.Reading>],
    of station: String,
    _ peer: inout RelayBoard.Peer,
    _ outcome: inout RelayOutcome,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    var foreign: [String] = []
    var unread: [RelayBatch.Fault] = []
    for item in readings {
      let number =
        switch item {
        case .good(let reading): reading.number
        case .bad(let fault): fault.number
        }
      guard number > peer.reading else {
        outcome.duplicates += 1
        continue
      }
      peer.reading = number
      let reading: RelayBatch.Reading
      switch item {
      case .good(let good): reading = good
      case .bad(let fault):
        outcome.refuse(reading: number, fault.reason)
        unread.append(fault)
        reject("reading", fault, of: station, record, into: &output)
        continue
      }
      guard !ownPoints.contains(reading.point) else {
        outcome.refuse(reading: number, "\(reading.point) is a point of this station itself")
        foreign.append(reading.point)
        continue
      }
      let received = Timestamp(milliseconds: record.input.received)
      output.relayed.append(reading)
      board.show(reading, of: station, at: received)
      peer.readings += 1
      outcome.takenReadings += 1
    }
    if !foreign.isEmpty {
      output.drafts.append(
        event(
          "relay.refused",
          station,
          [
            "reason": .string("readings of points of this station itself"),
            "readings": .integer(Int64(foreign.count)),
            "points": .array(foreign.prefix(10).map { .string($0) }),
          ],
          record
        )
      )
    }
    if let first = unread.first {
      output.drafts.append(
        event(
          "relay.refused",
          station,
          [
            "reason": .string(first.reason), "readings": .integer(Int64(unread.count)),
            "first": .integer(first.number),
          ],
          record
        )
      )
    }
  }

  private func event(
    _ event: String,
    _ station: String,
    _ members: [String: LedgerJSON],
    _ record: JournalRecord
  ) -> LedgerDraft {
    var members = members
    members["event"] = .string(event)
    members["station"] = .string(station)
    return LedgerDraft(
      time: Timestamp(milliseconds: record.input.received),
      kind: .system,
      subject: "relay:" + station,
      actor: "engine",
      body: LedgerJSON.object(members).canonicalBytes(),
      origin: record.sequence
    )
  }

  // MARK: - Time

  func advance(_ record: JournalRecord, into output: inout CoreOutput) {
    let now = Timestamp(milliseconds: record.input.received)
    for station in state.peers.keys.sorted() {
      guard var peer = state.peers[station], !peer.isSilent,
        now >= peer.heard.advanced(byMilliseconds: Self.silence)
      else { continue }
      peer.isSilent = true
      state.peers[station] = peer
      board.set(peer, of: station)
      output.drafts.append(
        event("relay.silent", station, ["heard": .integer(peer.heard.milliseconds)], record)
      )
    }
  }

  // MARK: - Acts

  func owns(_ alarm: AlarmName) -> Bool { state.standing[alarm.text] != nil }

  func perform(
    _ act: OperatorAct,
    on alarm: AlarmName,
    of record: JournalRecord,
    into output: inout CoreOutput
  ) -> ActError? {
    if act.kind == .note { return act.reason.isEmpty ? .incomplete("a note needs its text") : nil }
    let station = state.standing[alarm.text] ?? ""
    return .refused(
      "the alarm is the station \(station)'s: it is acted on there, and what is done comes up from there",
      code: "relayed"
    )
  }

  // MARK: - Snapshots

  func snapshot() -> [UInt8] {
    guard !state.peers.isEmpty else { return [] }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    do {
      return Array(try encoder.encode(state))
    } catch {
      preconditionFailure("plain values encode: \(error)")
    }
  }

  func restore(_ bytes: [UInt8]) throws {
    state = bytes.isEmpty ? State() : try JSONDecoder().decode(State.self, from: Data(bytes))
    board.restore(state.peers)
  }
}
