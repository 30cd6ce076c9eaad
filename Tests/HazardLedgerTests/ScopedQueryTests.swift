import Foundation
import HazardLedger
import Telemetry
import Testing

/// Scoped and filtered reading against brute force over everything.
@Suite("Scoped queries") struct ScopedQueryTests {
  static func filled(_ place: StorePlace, seed: UInt64) throws -> any ContractStore {
    let ledger = try place.open()
    try ledger.fill(seed: seed, entries: 600)
    var position = try ledger.position
    func note(_ kind: EntryKind, _ subject: String, _ body: [String: JSONValue]) throws {
      position += 1
      let draft = LedgerDraft(
        time: Timestamp(milliseconds: 1),
        kind: kind,
        subject: subject,
        actor: "engine",
        body: JSONValue.object(body).canonicalBytes(),
        origin: position
      )
      try ledger.append([draft], rejects: [], position: position)
    }
    try note(.system, "", ["event": "clock"])
    try note(.system, "ent-1/site/area/GD-1", ["event": "source.death"])
    // A call-out's first entry names the place; the steps after it name nothing.
    try note(.callout, "C-1", ["event": "started", "place": "ent-2/site"])
    try note(.callout, "C-1", ["event": "called"])
    try note(.callout, "C-2", ["event": "called"])
    // A refused act belongs to whom it was tried on.
    try note(.clock, "clock/report/1", ["event": "started", "place": "ent-1/site"])
    try note(.system, "clock/report/1", ["event": "desk.refused"])
    try note(.system, "clock/report/none", ["event": "desk.refused"])
    try note(.register, "account:li", ["event": "account.created", "account": "li"])
    return ledger
  }

  /// Registers hazards at places of which one begins like another.
  ///
  /// - Returns: place → ids at or below it, newest first.
  private static func register(in ledger: any ContractStore) throws -> [String: [String]] {
    var position = try ledger.position
    for (index, place) in ["ent-1/site/a/GD-1", "ent-1/site/a", "ent-1/site/ab", "ent-2/site"]
      .enumerated()
    {
      position += 1
      let registration = HazardRegistration(
        id: "hazard/\(index)",
        source: .report,
        enterprise: String(place.prefix(5)),
        place: place,
        title: "leak",
        alarms: []
      )
      let draft = LedgerDraft(
        registering: registration,
        by: "li",
        as: .county,
        at: Timestamp(milliseconds: 2),
        origin: position
      )
      try ledger.append([draft], rejects: [], position: position)
    }
    return [
      "ent-1/site/a": ["hazard/1", "hazard/0"], "ent-1/site/ab": ["hazard/2"],
      "ent-1": ["hazard/2", "hazard/1", "hazard/0"], "ent-2/site": ["hazard/3"], "ent-3": [],
    ]
  }

  private static func expect(_ hazards: [String: [String]], in ledger: any ContractStore) throws {
    for (place, ids) in hazards {
      var filter = HazardFilter()
      filter.place = place
      #expect(try ledger.hazards(filter, before: nil, limit: 10).map(\.id) == ids, "\(place)")
    }
  }

  @Test("an entry whose body cannot be read is an error, not the station's own")
  func unreadable() throws {
    func entry(_ kind: EntryKind, _ subject: String, _ body: String?) -> LedgerEntry {
      LedgerEntry(
        sequence: 7,
        time: Timestamp(milliseconds: 1),
        kind: kind,
        subject: subject,
        actor: "engine",
        body: body.map { Array($0.utf8) },
        origin: 1,
        previousHash: [],
        hash: []
      )
    }
    for kind in [EntryKind.hazard, .callout, .system] {
      let broken = entry(kind, "callout/1", #"{"place":"ent-1/si"#)
      let error = #expect(throws: LedgerError.self) { try broken.namedEnterprise }
      guard case .refused(let reason) = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(reason.hasPrefix("entry 7: "))
      #expect(throws: LedgerError.self) { try broken.ownedThrough }
    }
    // A pruned body is no mistake, and an alarm's subject says it all.
    #expect(try entry(.system, "ent-1/site", nil).namedEnterprise == "ent-1")
    #expect(try entry(.alarm, "ent-2/a/b#hh@1", nil).namedEnterprise == "ent-2")
    #expect(try entry(.callout, "callout/1", #"{"place":"ent-1/site"}"#).namedEnterprise == "ent-1")
  }

  @Test(
    "entries of enterprises are those that a walk over all finds, in any pages",
    arguments: StoreKind.available,
    1...3 as ClosedRange<UInt64>
  )
  func entries(kind: StoreKind, seed: UInt64) throws {
    let place = try StorePlace(kind)
    let ledger = try Self.filled(place, seed: seed)
    let all = try ledger.entries(after: 0, limit: 10_000)
    for ids in [["ent-1"], ["ent-2", "ent-3"], ["nobody"], (0..<200).map { "ent-\($0)" }] {
      let scope = Set(ids)
      var expected: [Int64] = []
      for entry in all {
        if let owner = try ledger.enterprise(of: entry), scope.contains(owner) {
          expected.append(entry.sequence)
        }
      }
      for limit in [1, 7, 1_000] {
        let reader = ScopedLedger(ledger, scope: .enterprises(scope))
        var found: [Int64] = []
        var cursor: Int64 = 0
        while true {
          let page = try reader.entries(after: cursor, limit: limit)
          guard let last = page.last else { break }
          #expect(page.count <= limit)
          found += page.map(\.sequence)
          cursor = last.sequence
        }
        #expect(found == expected, "SEED=\(seed) \(ids) by \(limit)")
      }
    }
    let second = try ScopedLedger(ledger, scope: .enterprises(["ent-2"]))
      .entries(after: 0, limit: 10_000)
    #expect(second.filter { $0.subject == "C-1" }.count == 2)
    let first = try ledger.entries(ofEnterprises: ["ent-1"], after: 0, limit: 10_000)
    #expect(first.filter { $0.subject == "clock/report/1" }.count == 2)
    #expect(!second.contains { $0.subject == "C-2" || $0.kind == .register || $0.kind == .genesis })
  }

  static let filters: [AlarmFilter] = [
    AlarmFilter(), AlarmFilter(standingOnly: true), AlarmFilter(states: [.normal]),
    AlarmFilter(minimumPriority: 3), AlarmFilter(rule: "stale"), AlarmFilter(rule: "none"),
    AlarmFilter(pointPaths: ["ent-1"]), AlarmFilter(pointPaths: ["ent-1/site/area", "ent-4"]),
    AlarmFilter(pointPaths: ["ent"]),
    AlarmFilter(
      minimumPriority: 2,
      rule: "high",
      onsetFrom: Timestamp(milliseconds: 1_795_000_050_000),
      onsetBefore: Timestamp(milliseconds: 1_795_000_300_000)
    ),
  ]

  @Test(
    "lists by scope and filter hold what a walk over all finds, newest first, in any pages",
    arguments: StoreKind.available,
    1...2 as ClosedRange<UInt64>
  )
  func alarms(kind: StoreKind, seed: UInt64) throws {
    let place = try StorePlace(kind)
    let ledger = try Self.filled(place, seed: seed)
    let all = try ledger.alarms(AlarmFilter(), before: nil, limit: 100_000).alarms
    #expect(all.count > 100)
    let scopes: [LedgerScope] = [
      .everything, .enterprises(["ent-1"]), .enterprises(["ent-2", "ent-5", "nobody"]),
      .enterprises([]), .enterprises(Set((0..<300).map { "ent-\($0)" })),
    ]
    for scope in scopes {
      for filter in Self.filters {
        let expected = all.filter { fits($0, filter) && scope.includes(path: $0.point) }.map(\.id)
        // The store itself narrows: a page is full where there is enough to fill it.
        var scoped = filter
        scoped.scope = scope
        #expect(
          try ledger.alarms(scoped, before: nil, limit: 3).alarms.map(\.id)
            == Array(expected.prefix(3)),
          "SEED=\(seed) \(scope) \(filter)"
        )
        for limit in [3, 50] {
          var found: [String] = []
          var cursor: Int64?
          repeat {
            let page = try ScopedLedger(ledger, scope: scope)
              .alarms(filter, before: cursor, limit: limit)
            #expect(page.alarms.count <= limit)
            found += page.alarms.map(\.id)
            cursor = page.next
          } while cursor != nil
          #expect(found == expected, "SEED=\(seed) \(scope) \(filter)")
        }
      }
    }
  }

  private func fits(_ alarm: AlarmView, _ filter: AlarmFilter) -> Bool {
    (!filter.standingOnly || alarm.isStanding)
      && (filter.states.isEmpty || filter.states.contains(alarm.state))
      && alarm.priority >= (filter.minimumPriority ?? 1)
      && (filter.rule == nil || filter.rule == alarm.rule)
      && (filter.onsetFrom.map { alarm.onset >= $0 } ?? true)
      && (filter.onsetBefore.map { alarm.onset < $0 } ?? true)
      && (filter.pointPaths.isEmpty
        || filter.pointPaths.contains { alarm.point == $0 || alarm.point.hasPrefix($0 + "/") })
  }

  @Test(
    "a ledger of an older schema gets its owners when it is opened, and rebuilding gives the same",
    arguments: StoreKind.available
  )
  func migration(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try Self.filled(place, seed: 9)
    let hazards = try Self.register(in: ledger)
    let ids: Set<String> = ["ent-1", "ent-2"]
    let expected = try ledger.entries(ofEnterprises: ids, after: 0, limit: 10_000)
    #expect(expected.count > 50)
    try Self.expect(hazards, in: ledger)
    try ledger.end()
    let old =
      kind == .sqlite ? "PRAGMA user_version = 2" : "UPDATE davy_schema SET version = 1"
    try place.execute(
      """
      DROP TABLE entry_owner; DROP INDEX alarm_enterprise; DROP INDEX alarm_rule;
      DROP INDEX alarm_onset; DROP INDEX IF EXISTS matter_place; DROP INDEX hazard_place; \(old);
      """
    )
    let again = try place.open()
    #expect(try again.entries(ofEnterprises: ids, after: 0, limit: 10_000) == expected)
    // SQLite refuses to list by place without the index that was dropped.
    try Self.expect(hazards, in: again)
    try again.rebuildViews()
    #expect(try again.entries(ofEnterprises: ids, after: 0, limit: 10_000) == expected)
    try Self.expect(hazards, in: again)
    try again.end()
    #expect(try place.verify().isIntact)
  }
}
