import AlarmEngine
import Telemetry
import Testing

@Suite("Acts on alarms")
struct CommandTests {
  private func bench(
    latching: Bool = false,
    reAlarm: Int64 = 0,
    stale: Bool = false
  ) throws -> Bench {
    var builder = PlanBuilder()
    builder.add("x", .high(10), latching: latching, reAlarm: reAlarm)
    if stale { builder.add("stale", .stale(afterMilliseconds: 5000)) }
    return try Bench(builder)
  }

  private let rule = RuleIndex(rawValue: 0)

  /// OPC UA Part 9, annex B.1.2: one alarm without history, the rows in the order of the table.
  @Test("OPC UA Part 9 annex B: the single-state example")
  func annexB1() throws {
    var bench = try bench()
    bench.read(1000, 11)  // 2: alarm goes active
    bench.act(.acknowledge, rule, at: 2000)  // 3: condition acknowledged
    bench.read(3000, 9)  // 4: alarm goes inactive
    bench.read(5000, 11)  // 6: alarm goes active
    bench.read(6000, 9)  // 7: alarm goes inactive
    bench.act(.acknowledge, rule, at: 7000)  // 8: condition acknowledged
    #expect(
      bench.take() == [
        "raised r0 1000 unacknowledged", "acknowledged r0 2000 acknowledged",
        "returned r0 3000 normal", "raised r0 5000 unacknowledged",
        "returned r0 6000 returnedUnacknowledged", "acknowledged r0 7000 normal",
      ]
    )
    #expect(bench.standing().isEmpty)
  }

  /// Annex B.1.3: a new excursion before the last was acknowledged keeps both, each with its identity.
  @Test("OPC UA Part 9 annex B: earlier occurrences stay to be acknowledged")
  func annexB2() throws {
    var bench = try bench()
    bench.read(1000, 11)
    bench.read(2000, 9)
    bench.read(3000, 11)
    bench.read(4000, 9)
    bench.read(5000, 11)
    #expect(bench.standing().map(\.onset) == [at(1000), at(3000), at(5000)])
    #expect(
      bench.standing().map(\.state) == [
        .returnedUnacknowledged, .returnedUnacknowledged, .unacknowledged,
      ]
    )
    _ = bench.take()
    #expect(bench.act(.acknowledge, rule, at: 6000, onset: at(3000)) == nil)
    #expect(bench.out.map(\.onset) == [at(3000)])
    #expect(bench.out.map(\.previous) == [.returnedUnacknowledged])
    #expect(bench.act(.acknowledge, rule, at: 6000, onset: at(3000)) == .unknownOccurrence)
    #expect(bench.act(.acknowledge, rule, at: 6000) == nil)
    #expect(bench.standing().map(\.state) == [.acknowledged])
    #expect(bench.out.map(\.onset) == [at(3000), at(1000), at(5000)])
  }

  @Test("more occurrences than are kept close the oldest, told and counted")
  func boundedOccurrences() throws {
    var bench = try bench()
    for index in 0..<Int64(Engine.owedPerRule + 3) {
      bench.read(index * 2000, 11)
      bench.read(index * 2000 + 1000, 9)
    }
    #expect(bench.engine.counters.supersededOccurrences == 2)
    #expect(bench.out.filter { $0.kind == .reset }.map(\.onset) == [at(0), at(2000)])
    #expect(bench.standing().count == Engine.owedPerRule + 1)
  }

  @Test("a latched alarm stays until reset; a new excursion tells what becomes of the old")
  func latching() throws {
    var bench = try bench(latching: true)
    bench.read(1000, 11)
    bench.read(2000, 9)
    #expect(bench.act(.reset, rule, at: 2500) == nil)
    #expect(bench.act(.acknowledge, rule, at: 2600) == nil)
    bench.read(3000, 11)
    #expect(bench.act(.reset, rule, at: 3100) == .notApplicable)
    bench.act(.acknowledge, rule, at: 3200)
    bench.read(4000, 9)
    bench.read(5000, 11)
    bench.read(6000, 9)
    #expect(
      bench.take() == [
        "raised r0 1000 unacknowledged", "returned r0 2000 latchedUnacknowledged",
        "reset r0 2500 returnedUnacknowledged", "acknowledged r0 2600 normal",
        "raised r0 3000 unacknowledged", "acknowledged r0 3200 acknowledged",
        "returned r0 4000 latchedAcknowledged", "reset r0 5000 normal",
        "raised r0 5000 unacknowledged", "returned r0 6000 latchedUnacknowledged",
      ]
    )
  }

  @Test("what nobody hears resets no latch")
  func latchUnderSuppression() throws {
    var bench = try bench(latching: true)
    bench.read(1000, 11)
    bench.act(.acknowledge, rule, at: 2000)
    bench.read(3000, 9)
    #expect(bench.standing().map(\.state) == [.latchedAcknowledged])
    bench.act(.suppress, rule, at: 4000)
    bench.read(5000, 11)
    bench.read(6000, 9)
    bench.act(.unsuppress, rule, at: 7000)
    #expect(bench.standing().map(\.onset) == [at(1000)])
    #expect(bench.standing().map(\.state) == [.returnedUnacknowledged])
    #expect(bench.act(.acknowledge, rule, at: 8000, onset: at(1000)) == nil)
    #expect(bench.standing().isEmpty)
  }

  @Test("a shelf that runs out brings an active alarm back unacknowledged, by hand acknowledged")
  func shelving() throws {
    var bench = try bench()
    bench.read(1000, 11)
    bench.act(.shelve(until: at(10_000)), rule, at: 2000)
    bench.tick(20_000)
    bench.act(.shelve(until: at(40_000)), rule, at: 30_000)
    bench.act(.unshelve, rule, at: 31_000)
    bench.tick(50_000)
    #expect(
      bench.take() == [
        "raised r0 1000 unacknowledged", "shelved r0 2000 shelved",
        "unshelved r0 10000 unacknowledged", "shelved r0 30000 shelved",
        "unshelved r0 31000 acknowledged",
      ]
    )
    #expect(bench.act(.shelve(until: at(50_000)), rule, at: 50_000) == .notApplicable)
    #expect(bench.act(.unshelve, rule, at: 50_000) == .notApplicable)
  }

  @Test("a shelf can be cut short and drawn out")
  func shelfMoved() throws {
    var bench = try bench()
    bench.act(.shelve(until: at(10_000)), rule, at: 0)
    bench.act(.shelve(until: at(5000)), rule, at: 1000)
    bench.act(.shelve(until: at(7000)), rule, at: 2000)
    bench.tick(60_000)
    #expect(
      bench.take() == [
        "shelved r0 0 shelved", "shelved r0 1000 shelved", "shelved r0 2000 shelved",
        "unshelved r0 7000 normal",
      ]
    )
  }

  @Test("a one-shot shelf lasts through one excursion")
  func oneShot() throws {
    var bench = try bench()
    bench.act(.shelveOnce, rule, at: 0)
    bench.read(1000, 11)
    bench.read(2000, 9)
    bench.read(3000, 11)
    #expect(
      bench.take() == [
        "shelved r0 0 shelved", "raised r0 1000 shelved", "returned r0 2000 shelved",
        "unshelved r0 2000 normal", "raised r0 3000 unacknowledged",
      ]
    )
  }

  @Test("a suppressed alarm is tracked and annunciates when suppression ends")
  func suppression() throws {
    var bench = try bench()
    bench.act(.suppress, rule, at: 0)
    #expect(bench.act(.suppress, rule, at: 0) == .notApplicable)
    bench.read(1000, 11)
    bench.read(2000, 9)
    bench.read(3000, 11)
    bench.act(.unsuppress, rule, at: 4000)
    #expect(
      bench.take() == [
        "suppressed r0 0 suppressedByDesign", "raised r0 1000 suppressedByDesign",
        "returned r0 2000 suppressedByDesign", "raised r0 3000 suppressedByDesign",
        "unsuppressed r0 4000 unacknowledged",
      ]
    )
    #expect(bench.standing().map(\.onset) == [at(3000)])
  }

  @Test("out of service hides shelving until it is back")
  func service() throws {
    var bench = try bench()
    bench.act(.shelve(until: at(5000)), rule, at: 0)
    bench.act(.removeFromService, rule, at: 1000)
    bench.read(2000, 11)
    bench.tick(6000)
    bench.act(.returnToService, rule, at: 7000)
    #expect(
      bench.take() == [
        "shelved r0 0 shelved", "removedFromService r0 1000 outOfService",
        "raised r0 2000 outOfService", "unshelved r0 5000 outOfService",
        "returnedToService r0 7000 unacknowledged",
      ]
    )
  }

  @Test(
    "an alarm that nobody has seen is not set aside by the name of an earlier one",
    arguments: [.shelve(until: at(900_000)), .shelveOnce, .removeFromService] as [Command.Act]
  )
  func earlierName(act: Command.Act) throws {
    var bench = try bench()
    bench.read(0, 11)
    bench.read(10_000, 9)
    bench.read(20_000, 11)
    _ = bench.take()
    #expect(bench.act(act, rule, at: 25_000, onset: at(0)) == .unknownOccurrence)
    #expect(bench.take() == [])
    #expect(bench.standing().map(\.state) == [.returnedUnacknowledged, .unacknowledged])
    // Nor while it waits, returned, to be seen; by its own name, and by none, it is.
    bench.read(30_000, 9)
    #expect(bench.act(act, rule, at: 31_000, onset: at(0)) == .unknownOccurrence)
    #expect(bench.act(act, rule, at: 32_000, onset: at(20_000)) == nil)
    bench = try self.bench()
    bench.read(0, 11)
    #expect(bench.act(act, rule, at: 1000) == nil)
    // What is over may name the rule that is to be quiet from now on.
    bench = try self.bench()
    bench.read(0, 11)
    bench.read(10_000, 9)
    bench.act(.acknowledge, rule, at: 11_000)
    #expect(bench.act(act, rule, at: 12_000, onset: at(0)) == nil)
  }

  @Test("an alarm that still stands annunciates again, again and again")
  func reAlarm() throws {
    var bench = try bench(reAlarm: 10_000)
    bench.read(1000, 11)
    bench.act(.acknowledge, rule, at: 2000)
    bench.tick(25_000)
    bench.read(26_000, 9)
    bench.tick(99_000)
    #expect(
      bench.take() == [
        "raised r0 1000 unacknowledged", "acknowledged r0 2000 acknowledged",
        "reAlarmed r0 11000 unacknowledged", "reAlarmed r0 21000 unacknowledged",
        "returned r0 26000 returnedUnacknowledged",
      ]
    )
  }

  @Test("acts on what is not there are refused")
  func refusals() throws {
    var bench = try bench()
    #expect(bench.act(.acknowledge, RuleIndex(rawValue: 9), at: 0) == .unknownRule)
    #expect(bench.act(.acknowledge, rule, at: 0) == .notApplicable)
    #expect(bench.act(.acknowledge, rule, at: 0, onset: at(5)) == .unknownOccurrence)
    #expect(bench.act(.reset, rule, at: 0) == .notApplicable)
    #expect(bench.act(.returnToService, rule, at: 0) == .notApplicable)
    #expect(bench.take() == [])
  }
}
