import DeviceCatalog
import Foundation
import HazardLedger
import Simulation
import Station
import Telemetry
import Testing

/// The quarter's figures are those of the entries, whenever the report is asked for.
@Suite("Hazard statistics")
struct HazardStatisticsTests {
  static let day: Int64 = 86_400_000
  static let quarter = PlantReport.Period("2026-Q1", timeZone: ReportTests.shanghai)

  /// Writes a hazard's history: registration and acts at days of the quarter (negative before it).
  private final class Book {
    let ledger: SQLiteLedger
    private var position: UInt64 = 0
    private let begin: Int64

    init(_ path: String, begin: Int64) throws {
      ledger = try SQLiteLedger(path: path, station: "test")
      self.begin = begin
    }

    func time(_ day: Double) -> Timestamp {
      Timestamp(milliseconds: begin + Int64(day * Double(HazardStatisticsTests.day)))
    }

    func register(
      _ id: String,
      at day: Double,
      enterprise: String = "metec",
      basis: String = "",
      alarms: [String] = []
    ) throws {
      var registration = HazardRegistration(
        id: id,
        source: alarms.isEmpty ? .report : .monitoring,
        enterprise: enterprise,
        place: enterprise == "metec" ? "metec/metec/fence" : enterprise,
        title: id,
        alarms: alarms
      )
      registration.basis = basis
      position += 1
      try ledger.append(
        [
          LedgerDraft(
            registering: registration,
            by: "li",
            as: .county,
            at: time(day),
            origin: position
          )
        ],
        position: position
      )
    }

    func act(
      _ act: HazardAct,
      _ id: String,
      at day: Double,
      to state: HazardState,
      _ change: (inout HazardInput) -> Void = { _ in }
    ) throws {
      var input = HazardInput(act, by: "wang", as: .county, at: time(day))
      change(&input)
      position += 1
      try ledger.append(
        [LedgerDraft(input, on: id, to: state, origin: position)],
        position: position
      )
    }

    func plan(_ id: String, at day: Double, until deadline: Double) throws {
      try act(.plan, id, at: day, to: .planned) { input in
        input.plan = RectificationPlan(
          responsible: "a",
          measures: "b",
          funds: "c",
          deadline: self.time(deadline),
          contingency: "d"
        )
      }
    }
  }

  @Test("registered, closed, in time, overdue, open by age; by area, sector, clause and enterprise")
  func figures() throws {
    let period = try #require(Self.quarter)
    let scratch = try Scratch()
    let catalog = try Fixture.catalog()
    let book = try Book(scratch.file("ledger.sqlite"), begin: period.from)
    let alarm = "\(try #require(catalog.rules.first).fullName)@\(period.from)"
    // Open since before, closed in the quarter, in time.
    try book.register("hazard/a", at: -10, basis: "AQ 3035 4.2")
    try book.plan("hazard/a", at: -9, until: 20)
    try book.act(.submit, "hazard/a", at: 15, to: .submitted)
    try book.act(.close, "hazard/a", at: 30, to: .closed)
    // Registered and closed in it, submitted too late.
    try book.register("hazard/b", at: 1, alarms: [alarm])
    try book.act(.grade, "hazard/b", at: 2, to: .graded) { $0.grade = .major }
    try book.plan("hazard/b", at: 2, until: 5)
    try book.act(.submit, "hazard/b", at: 10, to: .submitted)
    try book.act(.close, "hazard/b", at: 21, to: .closed)
    // Found to be none.
    try book.register("hazard/c", at: 3)
    try book.act(.dismiss, "hazard/c", at: 4, to: .dismissed)
    // Open at the end, listed, overdue, 100 days old by then; and one of another enterprise, 5 days old.
    try book.register("hazard/d", at: -10)
    try book.act(.grade, "hazard/d", at: -8, to: .graded) { $0.grade = .major }
    try book.act(.list, "hazard/d", at: -7, to: .graded) { $0.level = .city }
    try book.plan("hazard/d", at: -6, until: 40)
    try book.register("hazard/e", at: 85, enterprise: "other")
    // Closed before, and registered after: in none of the figures.
    try book.register("hazard/f", at: -50)
    try book.act(.close, "hazard/f", at: -40, to: .closed)
    try book.register("hazard/g", at: 95)
    // What happens later changes nothing of the quarter.
    try book.act(.submit, "hazard/d", at: 100, to: .submitted)
    try book.act(.close, "hazard/d", at: 101, to: .closed)

    let statistics = try HazardStatistics(
      period,
      catalog: catalog,
      ledger: book.ledger,
      scope: .everything,
      now: book.time(200)
    )
    let all = try #require(statistics.lines.first)
    #expect(all.dimension == .all)
    #expect(all.openBefore == 2 && all.registered == 3 && all.registeredMajor == 1, "\(all)")
    #expect(all.dismissed == 1 && all.closed == 2 && all.closedInTime == 1, "\(all)")
    #expect(all.daysToClose == 30 && all.longestToClose == 40, "\(all)")
    #expect(all.open == 2 && all.openMajor == 1 && all.overdue == 1 && all.listed == 1, "\(all)")
    #expect(all.openByAge == [1, 0, 0, 1, 0] && all.oldest == 100, "\(all)")
    #expect(all.closedShare == 0.5)

    func lines(_ dimension: HazardStatistics.Dimension) -> [String: HazardStatistics.Line] {
      Dictionary(
        uniqueKeysWithValues: statistics.lines.filter { $0.dimension == dimension }
          .map { ($0.key, $0) }
      )
    }
    #expect(lines(.enterprise)["metec"]?.closed == 2 && lines(.enterprise)["other"]?.open == 1)
    let clause = try #require(catalog.rules.first).source.citation
    #expect(lines(.clause)["AQ 3035 4.2"]?.closed == 1 && lines(.clause)[clause]?.closed == 1)
    let metec = try #require(catalog.enterprises.first { $0.id == "metec" })
    #expect(lines(.area)[metec.administrativeCode ?? ""]?.closed == 2)
    let kind = metec.sites.first?.kind ?? ""
    #expect(lines(.sector)[kind]?.closed == 2)
    // Every dimension counts every hazard once.
    for dimension in HazardStatistics.Dimension.allCases {
      #expect(lines(dimension).values.reduce(0) { $0 + $1.registered } == 3, "\(dimension)")
    }

    let scoped = try HazardStatistics(
      period,
      catalog: catalog,
      ledger: book.ledger,
      scope: .enterprises(["other"]),
      now: book.time(200)
    )
    #expect(scoped.lines.first?.registered == 1 && scoped.lines.first?.open == 1)
    #expect(!scoped.lines.contains { $0.key == "metec" })
    // In the middle of the quarter, what is still to come has not happened.
    let middle = try HazardStatistics(
      period,
      catalog: catalog,
      ledger: book.ledger,
      scope: .everything,
      now: book.time(16)
    )
    #expect(middle.lines.first?.closed == 0 && middle.lines.first?.open == 3, "\(middle.lines)")

    let table = statistics.table
    #expect(table.rows.allSatisfy { $0.count == table.columns.count })
    #expect(String(decoding: table.csv.prefix(3), as: UTF8.self) == "\u{FEFF}")
    let csv = String(decoding: table.csv, as: UTF8.self)
    #expect(csv.contains("合计 All,,合计 All,2,3,1,1,2,1,50,30,40,2,1,1,1,1,0,0,1,0,100\r\n"), "\(csv)")
  }
}
