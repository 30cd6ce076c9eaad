/// The ledger as one caller may see it: every list, one thing or entry that comes out of it lies in the scope.
///
/// What edges read goes through here, so that no route can forget. The store narrows the query; every row is looked at
/// once more on its way out, because a store's mistake must not become a leak.
public struct ScopedLedger: Sendable {
  private let store: any LedgerStore
  private let scope: LedgerScope

  /// Narrows a store.
  public init(_ store: any LedgerStore, scope: LedgerScope) {
    self.store = store
    self.scope = scope
  }

  /// Sequence of the newest entry, whoever's it is: a cursor must be able to pass what is not shown.
  public var head: Int64 {
    get throws(LedgerError) { try store.head.sequence }
  }

  /// Entries behind a cursor, in order.
  public func entries(after sequence: Int64, limit: Int) throws(LedgerError) -> [LedgerEntry] {
    guard case .enterprises(let ids) = scope else {
      return try store.entries(after: sequence, limit: limit)
    }
    return try included(try store.entries(ofEnterprises: ids, after: sequence, limit: limit))
  }

  /// Entries of one alarm, hazard or other thing behind a cursor, in order.
  public func entries(
    of subject: String,
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    try included(try store.entries(of: subject, after: sequence, limit: limit))
  }

  /// Every alarm that is not normal, oldest first.
  public func standingAlarms() throws(LedgerError) -> [AlarmView] {
    try store.standingAlarms().filter { scope.includes(path: $0.point) }
  }

  /// Alarms by filter, newest first.
  public func alarms(
    _ filter: AlarmFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> AlarmPage {
    var filter = filter
    filter.scope = scope
    var page = try store.alarms(filter, before: cursor, limit: limit)
    page.alarms.removeAll { !scope.includes(path: $0.point) }
    return page
  }

  /// One alarm occurrence by its id; nil also when it is somebody else's.
  public func alarm(id: String) throws(LedgerError) -> AlarmView? {
    guard let alarm = try store.alarm(id: id), scope.includes(path: alarm.point) else { return nil }
    return alarm
  }

  private func included(_ entries: [LedgerEntry]) throws(LedgerError) -> [LedgerEntry] {
    guard case .enterprises(let ids) = scope else { return entries }
    var kept: [LedgerEntry] = []
    for entry in entries {
      if let owner = try store.enterprise(of: entry), ids.contains(owner) { kept.append(entry) }
    }
    return kept
  }
}

extension LedgerEntry {
  /// The enterprise that the entry itself names; nil where it names none: entries of the station, and the later steps of a
  /// hazard, whose first entry names it.
  public var namedEnterprise: String? {
    if kind == .alarm {
      return subject.contains("/") ? LedgerScope.enterprise(ofPath: subject) : nil
    }
    // A redacted body names nobody any more; the entry is then the station's.
    let named = body.flatMap { try? JSONValue(parsing: $0) }
    if let enterprise = named?["enterprise"]?.text { return enterprise }
    for member in ["place", "point"] {
      if let path = named?[member]?.text, !path.isEmpty {
        return LedgerScope.enterprise(ofPath: path)
      }
    }
    return subject.contains("/") ? LedgerScope.enterprise(ofPath: subject) : nil
  }
}

extension LedgerStore {
  /// The enterprise that an entry belongs to; nil where it belongs to the station itself.
  ///
  /// Later steps of a hazard or a call-out belong to whom their first entry names.
  public func enterprise(of entry: LedgerEntry) throws(LedgerError) -> String? {
    if let enterprise = entry.namedEnterprise { return enterprise }
    switch entry.kind {
    case .hazard, .callout, .clock, .silence:
      guard !entry.subject.isEmpty,
        let first = try entries(of: entry.subject, after: 0, limit: 1).first,
        first.sequence != entry.sequence
      else { return nil }
      return first.namedEnterprise
    case .genesis, .alarm, .register, .catalog, .system, .welding, .redaction: return nil
    }
  }

  /// Entries behind a cursor that belong to one of the enterprises, in order; a store with an index of its own knows a
  /// quicker way.
  public func entries(
    ofEnterprises ids: Set<String>,
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    var found: [LedgerEntry] = []
    var cursor = sequence
    while found.count < limit {
      let page = try entries(after: cursor, limit: 1_000)
      guard let last = page.last else { break }
      for entry in page where found.count < limit {
        if let owner = try enterprise(of: entry), ids.contains(owner) { found.append(entry) }
      }
      cursor = last.sequence
    }
    return found
  }
}
