/// What a store answers that keeps no views: folds of all its entries. Right, and slow.
extension LedgerStore {
  /// Nothing is at hand: the store has to be asked.
  public func entriesAtHand(after sequence: Int64, limit: Int) -> [LedgerEntry]? { nil }

  /// One hazard, folded from its entries.
  public func hazard(id: String) throws(LedgerError) -> Hazard? {
    var row: FoldedHazard?
    var cursor: Int64 = 0
    while true {
      let page = try entries(of: id, after: cursor, limit: 500)
      for entry in page where entry.kind == .hazard {
        row = try FoldedHazard(row, adding: entry)
      }
      guard page.count == 500, let last = page.last else { return row?.hazard }
      cursor = last.sequence
    }
  }

  /// Hazards by filter, newest first.
  public func hazards(
    _ filter: HazardFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> [HazardView] {
    var rows: [String: FoldedHazard] = [:]
    try forEachEntry { entry throws(LedgerError) in
      guard entry.kind == .hazard else { return }
      rows[entry.subject] = try FoldedHazard(rows[entry.subject], adding: entry)
    }
    return Array(
      rows.values.map(\.view).filter { filter.fits($0) && $0.firstSequence < cursor ?? .max }
        .sorted { $0.firstSequence > $1.firstSequence }.prefix(limit)
    )
  }

  /// Hazards that an alarm is behind.
  public func hazards(ofAlarm id: String) throws(LedgerError) -> [String] {
    var found: [String] = []
    try forEachEntry { entry throws(LedgerError) in
      guard entry.kind == .hazard else { return }
      let body: HazardBody
      do throws(BodyError) {
        body = try HazardBody(decoding: entry)
      } catch {
        throw .refused(reason: "entry \(entry.sequence): \(error)")
      }
      guard case .registered(let registration, _) = body else { return }
      if registration.alarms.contains(id) { found.append(entry.subject) }
    }
    return found.sorted()
  }

  /// Call-outs, clocks, silences or register items by filter, newest first.
  public func matters(
    _ filter: MatterFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> [MatterView] {
    var matters: [String: MatterView] = [:]
    try forEachEntry { entry throws(LedgerError) in
      guard entry.kind == filter.kind else { return }
      let body = try Self.body(of: entry)
      if matters[entry.subject] == nil {
        matters[entry.subject] = MatterView(entry, body: body)
      } else {
        matters[entry.subject]?.add(entry, body: body)
      }
    }
    return Array(
      matters.values.filter { filter.fits($0) && $0.firstSequence < cursor ?? .max }
        .sorted { $0.firstSequence > $1.firstSequence }.prefix(limit)
    )
  }

  /// One call-out, clock, silence or register item.
  public func matter(_ kind: EntryKind, id: String) throws(LedgerError) -> MatterView? {
    var matter: MatterView?
    var cursor: Int64 = 0
    while true {
      let page = try entries(of: id, after: cursor, limit: 500)
      for entry in page where entry.kind == kind {
        let body = try Self.body(of: entry)
        if matter == nil {
          matter = MatterView(entry, body: body)
        } else {
          matter?.add(entry, body: body)
        }
      }
      guard page.count == 500, let last = page.last else { return matter }
      cursor = last.sequence
    }
  }

  private static func body(of entry: LedgerEntry) throws(LedgerError) -> JSONValue {
    do throws(JSONSyntaxError) {
      return try JSONValue(parsing: entry.body ?? [])
    } catch {
      throw .refused(reason: "entry \(entry.sequence): \(error)")
    }
  }

  private func forEachEntry(
    _ body: (LedgerEntry) throws(LedgerError) -> Void
  ) throws(LedgerError) {
    var cursor: Int64 = 0
    while true {
      let page = try entries(after: cursor, limit: 1_000)
      for entry in page { try body(entry) }
      guard let last = page.last else { return }
      cursor = last.sequence
    }
  }
}
