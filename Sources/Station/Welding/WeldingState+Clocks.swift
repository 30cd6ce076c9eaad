import DeviceCatalog
import HazardLedger
import Telemetry

/// The ends of permits and certificates, as clocks of the ledger; the hazard desk keeps them.
extension WeldingState {
  /// The clocks of the register in force, by id.
  var clocksInForce: [String: ClockOrder] {
    var orders: [String: ClockOrder] = [:]
    for (enterprise, book) in books {
      for id in book.permits.keys {
        let order = clock(.permits, id, of: enterprise, by: "engine")
        orders[order?.id ?? ""] = order
      }
      for id in book.welders.keys {
        let order = clock(.welders, id, of: enterprise, by: "engine")
        orders[order?.id ?? ""] = order
      }
    }
    return orders
  }

  /// Says all clocks of the register in force, and stops those of before that are not among them.
  func orderClocks(former: [String: ClockOrder], into output: inout CoreOutput) {
    let current = clocksInForce
    for (id, order) in former.sorted(by: { $0.key < $1.key }) where current[id] == nil {
      var order = order
      order.due = nil
      output.clockOrders.append(order)
    }
    output.clockOrders += current.sorted { $0.key < $1.key }.map(\.value)
  }

  /// Says the clock of one entry of the register after a change; machines, bans and commitments have none.
  func orderClock(
    _ part: WeldingRegisterPart,
    _ id: String,
    of enterprise: String,
    by actor: String,
    into output: inout CoreOutput
  ) {
    if let order = clock(part, id, of: enterprise, by: actor) { output.clockOrders.append(order) }
  }

  /// The clock of an entry: of a permit until its end, of a certificate until it, or its review, no longer counts.
  private func clock(
    _ part: WeldingRegisterPart,
    _ id: String,
    of enterprise: String,
    by actor: String
  ) -> ClockOrder? {
    let kind: ClockKind
    let word: String
    var due: Int64?
    let book = books[enterprise]
    switch part {
    case .permits:
      kind = .permitEnd
      word = "permit"
      // Work reported finished needs no warning of its end.
      if let permit = book?.permits[id], permit.finishedAt == nil { due = permit.until }
    case .welders:
      kind = .certificateExpiry
      word = "certificate"
      if let welder = book?.welders[id], let known = frame.enterprises[enterprise] {
        let last = welder.reviewBy.map { min($0, welder.validUntil) } ?? welder.validUntil
        due = known.calendar.start(
          of: CalendarDate(
            daysSinceEpoch: last.daysSinceEpoch + 1 - Int(known.welding.policy.freezeDays)
          )
        )
      }
    case .machines, .bans, .commitments: return nil
    }
    return ClockOrder(
      id: "clock/\(word)/\(enterprise)/\(id)",
      kind: kind,
      about: "\(enterprise)/welding/\(part.rawValue)/\(id)",
      due: due.map(Timestamp.init(milliseconds:)),
      actor: actor
    )
  }
}
