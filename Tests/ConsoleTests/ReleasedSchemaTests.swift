import Accounts
import Foundation
import HazardLedger
import Station
import Telemetry
import Testing

/// Data of every released version open with today's code, whole and with all that is in them.
@Suite("Data of released versions") struct ReleasedSchemaTests {
  static var fixtures: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures")
  }

  static var versions: [String] {
    let names = try? FileManager.default.contentsOfDirectory(atPath: fixtures.path)
    return (names ?? []).filter { $0.first?.isNumber ?? false }.sorted()
  }

  @Test("there is a fixture of the first release") func first() {
    #expect(Self.versions.contains("0.1.0"))
  }

  @Test("chain, alarms, minutes and accounts are there; new entries follow", arguments: versions)
  func opens(version: String) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("rel-\(UUID())")
    try FileManager.default.copyItem(
      at: Self.fixtures.appendingPathComponent(version),
      to: folder
    )
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("ledger.sqlite").path
    let before = try LedgerVerifier(path: path).verify()
    #expect(before.isIntact && before.entries > 5, "\(before)")

    let ledger = try SQLiteLedger(path: path, station: "trials")
    let page = try ledger.alarms(AlarmFilter(), before: nil, limit: 100)
    #expect(page.alarms.count == 4, "\(page.alarms.map(\.id))")
    #expect(page.alarms.allSatisfy { $0.point.hasPrefix("metec/") && $0.steps > 0 })
    #expect(
      page.alarms.contains { $0.acknowledgedBy == "li" && $0.acknowledgedReason == "fixture" }
    )
    // Views that a migration derives agree with those derived from nothing.
    let scope = try ledger.entries(ofEnterprises: ["metec"], after: 0, limit: 100)
    try ledger.rebuildViews()
    #expect(try ledger.alarms(AlarmFilter(), before: nil, limit: 100) == page)
    #expect(try ledger.entries(ofEnterprises: ["metec"], after: 0, limit: 100) == scope)
    #expect(scope.count { $0.kind == .alarm } == page.alarms.reduce(0) { $0 + $1.steps })
    let next = try ledger.position + 1
    try ledger.append(
      [
        LedgerDraft(
          time: Timestamp(milliseconds: 1),
          kind: .system,
          subject: "",
          actor: "engine",
          body: Array(#"{"event":"test"}"#.utf8),
          origin: next
        )
      ],
      position: next
    )
    try ledger.close()
    let after = try LedgerVerifier(path: path).verify()
    #expect(after.isIntact && after.entries == before.entries + 1, "\(after)")

    let all = try #require(PointPattern("#"))
    let trends = try TrendStore(
      path: folder.appendingPathComponent("trends.sqlite").path,
      outlets: [
        ReadingOutlet(name: "x", readings: [ReadingOutlet.Rule(points: all)], minutes: [all])
      ]
    )
    let point = try #require(page.alarms.first { $0.point.contains("/ch4_n/") }).point
    let minutes = try trends.minutes(of: point, from: .distantPast, to: .distantFuture)
    #expect(minutes.contains { $0.maximum == 60 && $0.minimum == 2 }, "\(minutes)")

    let accounts = try TestAccounts.open(folder)
    let administrator = try #require(accounts.account("administrator"))
    #expect(administrator.roles == [.administrator] && administrator.isActive)
  }
}
