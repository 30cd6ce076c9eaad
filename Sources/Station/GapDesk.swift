import AlarmEngine
import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Telemetry

/// Puts on record what a start could not see again, and keeps the alarms that nothing watches since.
///
/// The journal may lose records that the ledger has entries of: a disk that went bad before the first snapshot. What
/// stood by them stands in the ledger, but engine and desks know nothing of it: it would never return, and an act on it
/// would be refused. After such a start (`Recovery`) the journal gets an input that names the gaps and these alarms,
/// so that every later start and replay knows the same. Each of them is told in its own history, and is a person's to
/// close: acknowledging or resetting it ends it, with reason. Whether its condition still holds is judged anew from the
/// next readings, as an occurrence of its own.
///
/// What people had silenced before a gap may have been ended in it; that a start ends itself (`DoubtedSilences`).
///
/// The other way round, what the engine raised behind a gap may stand there under another onset than in the ledger, whose
/// entries of that time are not written again: it is recorded now, or closing the one would hide that the other stands.
///
/// | verb | entries |
/// |---|---|
/// | `unseen` | `system` `journal.gap` for each gap, `alarm.unwatched` for each alarm that nothing watches, with the alarm as its subject; `alarm` for each that the ledger does not have |
final class GapDesk: Desk {
  static let name = "gap"

  /// What a start found, as the journal has it.
  struct Unseen: Codable {
    /// Records that the journal cannot give back.
    struct Gap: Codable, Hashable {
      var after: UInt64
      var through: UInt64
    }
    /// An alarm as the ledger had it.
    struct Alarm: Codable {
      var alarm: String
      var priority: Int
      var state: String
      var isKnown: Bool?
    }

    /// Those of which the ledger has no entry yet.
    var gaps: [Gap]
    /// Those that nothing watches.
    var alarms: [Alarm] = []
    /// Those that the engine has and the ledger has not; `isKnown` where it had them, and takes them for over.
    var unrecorded: [Alarm] = []
  }

  private var unwatched: [String: Unseen.Alarm] = [:]
  private var version = ""

  var name: String { Self.name }
  var nextDeadline: Timestamp? { nil }

  func adopt(_ catalog: Catalog, by record: JournalRecord?, into output: inout CoreOutput) {
    version = catalog.version
  }

  func take(_ record: JournalRecord, verb: Substring, into output: inout CoreOutput) -> ActError? {
    guard verb == "unseen", record.input.kind == .external else {
      return .incomplete("gaps have no record \(verb) of this kind")
    }
    let unseen: Unseen
    do {
      unseen = try JSONDecoder().decode(Unseen.self, from: Data(record.input.payload))
    } catch {
      return .incomplete("the record cannot be read: \(error)")
    }
    for gap in unseen.gaps {
      output.drafts.append(EventDraft.journalGap(gap, record: record))
    }
    for alarm in unseen.alarms where AlarmName(alarm.alarm)?.onset != nil {
      unwatched[alarm.alarm] = alarm
      output.drafts.append(EventDraft.unwatched(alarm.alarm, record: record))
    }
    for alarm in unseen.unrecorded {
      guard let name = AlarmName(alarm.alarm),
        let step = step(
          alarm.isKnown == true ? .reAlarmed : .raised,
          of: name,
          from: .normal,
          to: AlarmBody.State(rawValue: alarm.state) ?? .unacknowledged,
          priority: alarm.priority,
          record: record
        )
      else { continue }
      // The desks have seen it be raised when the journal was replayed.
      output.drafts.append(LedgerDraft(alarm: step, time: step.received, origin: record.sequence))
    }
    return nil
  }

  /// A step by whoever watches it: then somebody does.
  func follow(_ step: AlarmBody, of record: JournalRecord, into output: inout CoreOutput) {
    guard !unwatched.isEmpty else { return }
    unwatched[step.alarm] = nil
  }

  func owns(_ alarm: AlarmName) -> Bool { !unwatched.isEmpty && unwatched[alarm.text] != nil }

  func perform(
    _ act: OperatorAct,
    on alarm: AlarmName,
    of record: JournalRecord,
    into output: inout CoreOutput
  ) -> ActError? {
    guard let known = unwatched[alarm.text] else { return .unknownAlarm(act.alarm) }
    let event: AlarmBody.Event
    switch act.kind {
    case .acknowledge: event = .acknowledged
    case .reset: event = .reset
    case .note: return act.reason.isEmpty ? .incomplete("a note needs its text") : nil
    case .shelve, .shelveOnce, .unshelve, .removeFromService, .returnToService:
      return .notApplicable(act.alarm)
    }
    guard
      let step = step(
        event,
        of: alarm,
        from: AlarmBody.State(rawValue: known.state) ?? .unacknowledged,
        to: .normal,
        priority: known.priority,
        by: act,
        record: record
      )
    else { return .unknownAlarm(act.alarm) }
    unwatched[alarm.text] = nil
    output.drafts.append(LedgerDraft(alarm: step, time: step.received, origin: record.sequence))
    output.deskSteps.append(
      CoreOutput.DeskStep(body: step, draftIndex: output.drafts.count - 1)
    )
    return nil
  }

  private func step(
    _ event: AlarmBody.Event,
    of alarm: AlarmName,
    from previous: AlarmBody.State,
    to state: AlarmBody.State,
    priority: Int,
    by act: OperatorAct? = nil,
    record: JournalRecord
  ) -> AlarmBody? {
    guard let onset = alarm.onset else { return nil }
    return AlarmBody(
      point: alarm.point,
      rule: alarm.rule,
      onset: onset,
      event: event,
      state: state,
      previous: previous,
      priority: priority,
      received: Timestamp(milliseconds: record.input.received),
      cause: record.sequence,
      catalog: version,
      actor: act?.actor ?? "",
      reason: act?.reason ?? "found standing behind a gap in the journal"
    )
  }

  func advance(_ record: JournalRecord, into output: inout CoreOutput) {}

  /// Empty where nothing is unwatched, as in snapshots of before there was this desk.
  func snapshot() -> [UInt8] {
    guard !unwatched.isEmpty else { return [] }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let alarms = unwatched.values.sorted { $0.alarm < $1.alarm }
    // Strings and numbers: nothing in it can fail to be encoded.
    guard let data = try? encoder.encode(Unseen(gaps: [], alarms: alarms)) else {
      preconditionFailure("unwatched alarms cannot be written")
    }
    return Array(data)
  }

  func restore(_ bytes: [UInt8]) throws {
    unwatched = [:]
    guard !bytes.isEmpty else { return }
    for alarm in try JSONDecoder().decode(Unseen.self, from: Data(bytes)).alarms {
      unwatched[alarm.alarm] = alarm
    }
  }
}

extension StationCore {
  /// How the alarms that stand in a ledger differ from those that engine and desks know: what nothing watches, and what
  /// the engine has beside them.
  func compare(with standing: [AlarmView]) -> (
    unwatched: [GapDesk.Unseen.Alarm], unrecorded: [GapDesk.Unseen.Alarm]
  ) {
    var known: Set<String> = []
    // A rule that is inhibited without an alarm of its own stands in the ledger under the occurrence that was.
    var inhibited: Set<String> = []
    var unrecorded: [GapDesk.Unseen.Alarm] = []
    let recorded = Set(standing.map(\.id))
    for lane in lanes.all {
      lane.standing { alarm in
        guard let catalog else { return }
        let point = catalog.channels[Int(alarm.channel.rawValue)].path
        let rule = catalog.rules[Int(alarm.rule.rawValue)].id
        let id = AlarmBody.alarmID(point: point, rule: rule, onset: alarm.onset)
        let state = AlarmDraft.state(alarm.state)
        known.insert(id)
        if Self.isInhibited(state) {
          inhibited.insert(point + "#" + rule)
        } else if !recorded.contains(id) {
          unrecorded.append(
            GapDesk.Unseen.Alarm(
              alarm: id,
              priority: Int(alarm.priority.rawValue),
              state: state.rawValue
            )
          )
        }
      }
    }
    let unwatched = standing.filter { alarm in
      guard !known.contains(alarm.id), let name = AlarmName(alarm.id) else { return false }
      return !(Self.isInhibited(alarm.state) && inhibited.contains(alarm.point + "#" + alarm.rule))
        && !desks.all.contains { $0.stands(name) }
    }
    return (
      unwatched.map {
        GapDesk.Unseen.Alarm(alarm: $0.id, priority: $0.priority, state: $0.state.rawValue)
      }, unrecorded
    )
  }

  private static func isInhibited(_ state: AlarmBody.State) -> Bool {
    switch state {
    case .shelved, .suppressedByDesign, .outOfService: true
    case .normal, .unacknowledged, .acknowledged, .returnedUnacknowledged, .latchedUnacknowledged,
      .latchedAcknowledged:
      false
    }
  }
}

extension StationCore {
  /// Rules that do not annunciate, as `point#rule`.
  var inhibitedByName: [String: InhibitedRule] {
    guard let catalog else { return [:] }
    var named: [String: InhibitedRule] = [:]
    for inhibition in inhibited {
      named[catalog.rules[Int(inhibition.rule)].fullName] = inhibition
    }
    return named
  }

  /// The act that ends a silence of a rule, `point#rule`, so that what stands is annunciated; nil where there is none.
  func act(ending kind: DoubtedSilences.Kind, of rule: String, at received: Int64) -> OperatorAct? {
    guard let inhibition = inhibitedByName[rule], let catalog else { return nil }
    switch kind {
    case .outOfService:
      guard inhibition.state == AlarmBody.State.outOfService.rawValue else { return nil }
      return OperatorAct(kind: .returnToService, alarm: rule, actor: "davy", reason: "")
    case .shelf:
      guard inhibition.state == AlarmBody.State.shelved.rawValue || inhibition.until != nil else {
        return nil
      }
      let channel = catalog.enginePlan.rules[Int(inhibition.rule)].channel
      // A replay source's shelves run out by its own time.
      let time = lanes.lane(of: channel)?.time.milliseconds ?? received
      let now = lanes.isLive(channel) ? max(time, received) : time
      return OperatorAct(
        kind: .shelve,
        alarm: rule,
        actor: "davy",
        reason: "",
        until: Timestamp(milliseconds: now + 1)
      )
    }
  }
}
