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

  /// Sequence and hash of the newest entry, whoever's it is.
  public var newest: (sequence: Int64, hash: [UInt8]) {
    get throws(LedgerError) { try store.head }
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

  /// One hazard; nil also when it is somebody else's.
  public func hazard(id: String) throws(LedgerError) -> Hazard? {
    guard let hazard = try store.hazard(id: id),
      scope.includes(enterprise: hazard.registration.enterprise)
    else { return nil }
    return hazard
  }

  /// Hazards by filter, newest first.
  public func hazards(
    _ filter: HazardFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> [HazardView] {
    var filter = filter
    if case .enterprises(let ids) = scope {
      let asked = Set(filter.enterprises)
      filter.enterprises = (asked.isEmpty ? ids : ids.intersection(asked)).sorted()
      if filter.enterprises.isEmpty { return [] }
    }
    return try store.hazards(filter, before: cursor, limit: limit)
      .filter { scope.includes(enterprise: $0.enterprise) }
  }

  /// Call-outs, clocks, silences or register items by filter, newest first.
  public func matters(
    _ filter: MatterFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> [MatterView] {
    var filter = filter
    if case .enterprises(let ids) = scope {
      filter.places =
        filter.places.isEmpty ? ids.sorted() : filter.places.filter { scope.includes(path: $0) }
      if filter.places.isEmpty { return [] }
    }
    return try store.matters(filter, before: cursor, limit: limit)
      .filter { scope.includes(path: $0.place) }
  }

  /// One call-out, clock, silence or register item; nil also when it is somebody else's.
  public func matter(_ kind: EntryKind, id: String) throws(LedgerError) -> MatterView? {
    guard let matter = try store.matter(kind, id: id), scope.includes(path: matter.place) else {
      return nil
    }
    return matter
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
  ///
  /// - Throws: ``LedgerError/refused(reason:)`` for a body that cannot be read: whose it is, is then not known, and it
  ///   must not be taken for the station's own.
  public var namedEnterprise: String? {
    get throws(LedgerError) {
      if kind == .alarm {
        return subject.contains("/") ? LedgerScope.enterprise(ofPath: subject) : nil
      }
      // A redacted body names nobody any more; the entry is then the station's.
      guard let body else { return enterpriseOfSubject }
      let named: JSONValue
      do throws(JSONSyntaxError) {
        named = try JSONValue(parsing: body)
      } catch {
        throw .refused(reason: "entry \(sequence): \(error)")
      }
      if let enterprise = named["enterprise"]?.text { return enterprise }
      for member in ["place", "point"] {
        if let path = named[member]?.text, !path.isEmpty {
          return LedgerScope.enterprise(ofPath: path)
        }
      }
      return enterpriseOfSubject
    }
  }

  private var enterpriseOfSubject: String? {
    switch kind {
    // The subjects of these are ids of their own, no paths.
    case .hazard, .callout, .clock, .notice, .silence, .register, .redaction, .genesis, .catalog:
      return nil
    case .alarm, .system, .welding:
      return subject.contains("/") && !isAboutMatter ? LedgerScope.enterprise(ofPath: subject) : nil
    }
  }

  /// True when its subject is a hazard, call-out, clock, notice or silence by id.
  var isAboutMatter: Bool {
    ["hazard/", "callout/", "clock/", "notice/", "silence/"].contains { subject.hasPrefix($0) }
  }
}

extension LedgerEntry {
  /// The thing whose first entry tells whose this one is; nil where the entry tells it itself, or nobody's it is.
  package var ownedThrough: String? {
    get throws(LedgerError) {
      guard !subject.isEmpty, try namedEnterprise == nil else { return nil }
      return switch kind {
      case .hazard, .callout, .clock, .notice, .silence: subject
      // A refused act belongs to whom it was tried on.
      case .system: isAboutMatter ? subject : nil
      case .genesis, .alarm, .register, .catalog, .welding, .redaction: nil
      }
    }
  }
}

extension LedgerStore {
  /// The enterprise that an entry belongs to; nil where it belongs to the station itself.
  ///
  /// Later steps of a hazard or a call-out belong to whom their first entry names.
  public func enterprise(of entry: LedgerEntry) throws(LedgerError) -> String? {
    if let enterprise = try entry.namedEnterprise { return enterprise }
    guard let thing = try entry.ownedThrough else { return nil }
    return try entries(of: thing, after: 0, limit: 1).first?.namedEnterprise
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
