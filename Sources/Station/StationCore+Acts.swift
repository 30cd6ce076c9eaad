import AlarmEngine
import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// Inputs that people and outside services have made: acts on alarms, and what is meant for a desk.
///
/// Every one of them leaves an entry and gets an answer, refused ones too.
extension StationCore {
  /// Takes an act, a register change or a report from outside to the desk that its topic (`desk/verb`) names, or, with
  /// the topic `act`, to the alarm that it names.
  func processAct(_ record: JournalRecord, into output: inout CoreOutput) {
    let topic = String(decoding: record.input.topic, as: UTF8.self)
    guard let slash = topic.firstIndex(of: "/"), let desk = desks.named(topic[..<slash]) else {
      if record.input.kind == .command, topic == "act" {
        processAlarmAct(record, into: &output)
      } else {
        output.drafts.append(EventDraft.unexpectedInput(record: record))
      }
      return
    }
    let draftIndex = output.drafts.count
    let verb = topic[topic.index(after: slash)...]
    let refusal = desk.take(record, verb: verb, into: &output)
    // The ledger may have what the lost records gave numbers to.
    if desk.name == GapDesk.name, level >= .areas { desks.hazards.number(beyond: record.sequence) }
    if output.drafts.count == draftIndex, refusal != nil || desk.needsTrace(verb) {
      output.drafts.append(EventDraft.deskInput(record: record, refusal: refusal))
    }
    output.acts.append(
      CoreOutput.ActOutcome(sequence: record.sequence, draftIndex: draftIndex, refusal: refusal)
    )
  }

  private func processAlarmAct(_ record: JournalRecord, into output: inout CoreOutput) {
    transitions.removeAll(keepingCapacity: true)
    let draftIndex = output.drafts.count
    let refusal: ActError?
    do throws(ActError) {
      let act = try OperatorAct(journalPayload: record.input.payload)
      if let name = AlarmName(act.alarm), let desk = desks.owning(name) {
        refusal = desk.perform(act, on: name, of: record, into: &output)
      } else {
        refusal = perform(act, record: record)
      }
      appendDrafts(of: record, by: act, to: &output)
      if refusal == nil, act.kind == .note {
        output.drafts.append(EventDraft.note(act, record: record))
      }
      if let refusal {
        output.drafts.append(EventDraft.refusedAct(act, refusal: refusal, record: record))
      }
    } catch {
      refusal = error
      output.drafts.append(EventDraft.unreadableAct(record: record, error: error))
    }
    output.acts.append(
      CoreOutput.ActOutcome(sequence: record.sequence, draftIndex: draftIndex, refusal: refusal)
    )
  }

  /// Performs an act on an alarm of the engine's.
  private func perform(_ act: OperatorAct, record: JournalRecord) -> ActError? {
    guard let catalog, let name = AlarmName(act.alarm), let rule = catalog.ruleRow(of: name) else {
      return .unknownAlarm(act.alarm)
    }
    if act.kind == .note {
      return act.reason.isEmpty ? .incomplete("a note needs its text") : nil
    }
    guard let command = act.command else {
      return .incomplete("shelving needs a moment at which it ends")
    }
    let refusal = lanes.perform(
      command,
      rule: UInt32(rule),
      on: catalog.enginePlan.rules[rule].channel,
      onset: act.kind.setsAside && level < .areas ? nil : name.onset,
      sequence: record.sequence,
      received: Timestamp(milliseconds: record.input.received),
      isBacklog: isCatchingUp && level >= .areas,
      into: &transitions
    )
    return switch refusal {
    case .none: nil
    case .unknownRule, .unknownOccurrence: .unknownAlarm(act.alarm)
    case .notApplicable: .notApplicable(act.alarm)
    }
  }
}

extension OperatorAct.Kind {
  /// Keeps the alarm from annunciating; by the rules before ``RulesLevel/areas`` whichever occurrence was named.
  fileprivate var setsAside: Bool {
    switch self {
    case .shelve, .shelveOnce, .removeFromService: true
    case .acknowledge, .reset, .unshelve, .returnToService, .note: false
    }
  }
}
