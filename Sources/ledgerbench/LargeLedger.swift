import Foundation
import HazardLedger
import Telemetry

/// A ledger as years of a county would leave it, to measure what readers wait for: `--make PATH --entries N --station NAME`.
///
/// 40 enterprises of which each has a fortieth of the alarms, and one, `rare`, that has one in 50,000; a rule that is as
/// rare; one alarm in 10,000 still stands.
enum LargeLedger {
  static func make(path: String, station: String, entries: Int) throws {
    let ledger = try SQLiteLedger(path: path, station: station)
    let batch = 4_000
    var made = 0
    while made < entries {
      try ledger.append(drafts(from: made, count: batch), position: UInt64(made + batch))
      made += batch
      if made.isMultiple(of: 1_000_000) { print("\(made) entries") }
    }
    try ledger.close()
  }

  private static func drafts(from first: Int, count: Int) -> [LedgerDraft] {
    (first..<first + count).compactMap { number in
      let occurrence = number / 4
      let step = number % 4
      let stands = occurrence % 10_000 == 9_999
      if stands, step > 0 { return note(number) }
      return alarm(number, occurrence, step)
    }
  }

  private static func alarm(_ number: Int, _ occurrence: Int, _ step: Int) -> LedgerDraft {
    let steps: [(AlarmBody.Event, AlarmBody.State, AlarmBody.State)] = [
      (.raised, .unacknowledged, .normal), (.acknowledged, .acknowledged, .unacknowledged),
      (.reAlarmed, .acknowledged, .acknowledged), (.returned, .normal, .acknowledged),
    ]
    let enterprise = occurrence % 50_000 == 77 ? "rare" : "ent-\(occurrence % 40)"
    let time = Timestamp(milliseconds: 1_700_000_000_000 + Int64(number) * 10_000)
    let body = AlarmBody(
      point: "\(enterprise)/site-1/area-3/GD-\(occurrence % 9_973)/ch1",
      rule: occurrence % 50_000 == 99 ? "stuck" : "high",
      onset: Timestamp(milliseconds: 1_700_000_000_000 + Int64(occurrence) * 40_000),
      event: steps[step].0,
      state: steps[step].1,
      previous: steps[step].2,
      priority: 1 + occurrence % 4,
      value: 51.25,
      limit: 50,
      unit: "%LEL",
      received: time,
      cause: UInt64(number + 1),
      catalog: String(repeating: "ab", count: 32),
      actor: step == 1 ? "li.wei" : ""
    )
    return LedgerDraft(alarm: body, time: time, origin: UInt64(number + 1))
  }

  /// In place of a step that has not come yet, an entry of the station's own.
  private static func note(_ number: Int) -> LedgerDraft {
    LedgerDraft(
      time: Timestamp(milliseconds: 1_700_000_000_000 + Int64(number) * 10_000),
      kind: .system,
      subject: "",
      actor: "engine",
      body: JSONValue.object(["event": "bench.note"]).canonicalBytes(),
      origin: UInt64(number + 1)
    )
  }
}
