import Foundation
import HazardLedger
import Journal
import Telemetry

/// Hazards that the ledger has open and the desk does not know, or not as far: records of the journal are lost.
///
/// They go on as the ledger has them, by an input of the start: else nobody could act on them again, and their deadlines would
/// pass without a word.
extension HazardDesk {
  private struct Unseen: Codable {
    var hazards: [Hazard]
  }

  /// Whether every step of a hazard is known here.
  func knows(_ hazard: Hazard) -> Bool {
    state.hazards[hazard.registration.id].map { $0.steps >= hazard.steps } ?? false
  }

  /// The input that makes hazards known.
  static func unseen(_ hazards: [Hazard]) throws -> DeskInput {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let payload = Array(try encoder.encode(Unseen(hazards: hazards)))
    return DeskInput(kind: .external, desk: HazardDeskName.text, verb: "unseen", payload: payload)
  }

  /// `hazards/unseen`, of a start.
  func takeUp(_ record: JournalRecord, into output: inout CoreOutput) throws(ActError) {
    let unseen: Unseen
    do {
      unseen = try JSONDecoder().decode(Unseen.self, from: Data(record.input.payload))
    } catch {
      throw .incomplete("hazards: cannot be read: \(error)")
    }
    let now = Timestamp(milliseconds: record.input.received)
    for hazard in unseen.hazards where !knows(hazard) {
      let id = hazard.registration.id
      state.hazards[id] = hazard
      state.finished.removeAll { $0 == id }
      for alarm in hazard.registration.alarms {
        guard let name = AlarmName(alarm) else { continue }
        state.intake.reopened(hazard: id, point: name.point, rule: name.rule)
      }
      output.drafts.append(
        LedgerDraft(
          time: now,
          kind: .system,
          subject: id,
          actor: "engine",
          body: LedgerJSON.object([
            "event": "hazard.resumed", "place": .string(hazard.registration.place),
            "state": .string(hazard.state.rawValue),
          ]).canonicalBytes(),
          origin: record.sequence
        )
      )
      let resumed = HazardInput(.attach, by: "engine", as: .engine, at: now)
      runDeadlines(of: hazard, after: resumed, record, into: &output)
      scheduleLadder(id)
    }
  }
}
