import AlarmEngine
import Testing

/// The alarm state table as data: every state against every event.
///
/// Cells: the state after, `.` for nothing happens, `x` for refused. Bases are N normal,
/// U unacknowledged, A acknowledged, R returned unacknowledged, LU and LA latched, Q active but never
/// annunciated; after the slash stand the inhibitions: t shelved for a time, o shelved once,
/// s suppressed by design, m out of service, - none. A cell without a slash keeps them.
@Suite("Alarm life cycle")
struct LifeCycleTests {
  static let events: [LifeCycle.Event] = [
    .conditionTrue, .conditionFalse, .acknowledge, .reset, .shelveTimed, .shelveOnce, .unshelve,
    .shelfExpired, .suppress, .unsuppress, .removeFromService, .returnToService, .priorityRose,
    .priorityFell, .reAlarmDue,
  ]

  static let free = """
    N   U   .   x   x   N/t   N/o   x     .     N/s   x     N/m   x     .   .   .
    U   .   R   A   x   A/t   A/o   x     .     U/s   x     U/m   x     U   U   U
    A   .   N   x   x   A/t   A/o   x     .     A/s   x     A/m   x     U   A   U
    R   U   .   N   x   N/t   N/o   x     .     R/s   x     R/m   x     R   R   .
    LU  U   .   LA  R   LA/t  LA/o  x     .     LU/s  x     LU/m  x     LU  LU  .
    LA  U   .   x   N   LA/t  LA/o  x     .     LA/s  x     LA/m  x     LU  LA  .
    """
  static let shelvedForATime = """
    N   Q   .   x   x   N/t   N/o   N/-   N/-   N/ts  x     N/tm  x     .     .   .
    U   .   R   A   x   A/t   A/o   U/-   U/-   U/ts  x     U/tm  x     U/-   U   .
    A   .   N   x   x   A/t   A/o   A/-   U/-   A/ts  x     A/tm  x     U/-   A   .
    R   Q   .   N   x   N/t   N/o   R/-   R/-   R/ts  x     R/tm  x     R/-   R   .
    LU  Q   .   LA  R   LA/t  LA/o  LU/-  LU/-  LU/ts x     LU/tm x     LU/-  LU  .
    LA  Q   .   x   N   LA/t  LA/o  LA/-  LU/-  LA/ts x     LA/tm x     LU/-  LA  .
    Q   .   N   A   x   A/t   A/o   A/-   U/-   Q/ts  x     Q/tm  x     U/-   Q   .
    """
  static let shelvedOnce = """
    N   Q   .   x   x   N/t   N/o   N/-   .     N/os  x     N/om  x     .     .   .
    U   .   R/- A   x   A/t   A/o   U/-   .     U/os  x     U/om  x     U/-   U   .
    A   .   N/- x   x   A/t   A/o   A/-   .     A/os  x     A/om  x     U/-   A   .
    R   Q   .   N   x   N/t   N/o   R/-   .     R/os  x     R/om  x     R/-   R   .
    LU  Q   .   LA  R   LA/t  LA/o  LU/-  .     LU/os x     LU/om x     LU/-  LU  .
    LA  Q   .   x   N   LA/t  LA/o  LA/-  .     LA/os x     LA/om x     LU/-  LA  .
    Q   .   N/- A   x   A/t   A/o   A/-   .     Q/os  x     Q/om  x     U/-   Q   .
    """
  static let suppressed = """
    N   Q   .   x   x   N/ts  N/os  x     .     x     N/-   N/sm  x     .   .   .
    U   .   R   A   x   A/ts  A/os  x     .     x     U/-   U/sm  x     U   U   .
    A   .   N   x   x   A/ts  A/os  x     .     x     A/-   A/sm  x     Q   A   .
    R   Q   .   N   x   N/ts  N/os  x     .     x     R/-   R/sm  x     R   R   .
    LU  Q   .   LA  R   LA/ts LA/os x     .     x     LU/-  LU/sm x     LU  LU  .
    LA  Q   .   x   N   LA/ts LA/os x     .     x     LA/-  LA/sm x     LU  LA  .
    Q   .   N   A   x   A/ts  A/os  x     .     x     U/-   Q/sm  x     Q   Q   .
    """
  static let outOfService = """
    N   Q   .   x   x   N/tm  N/om  x     .     N/sm  x     x     N/-   .   .   .
    U   .   R   A   x   A/tm  A/om  x     .     U/sm  x     x     U/-   U   U   .
    A   .   N   x   x   A/tm  A/om  x     .     A/sm  x     x     A/-   Q   A   .
    R   Q   .   N   x   N/tm  N/om  x     .     R/sm  x     x     R/-   R   R   .
    LU  Q   .   LA  R   LA/tm LA/om x     .     LU/sm x     x     LU/-  LU  LU  .
    LA  Q   .   x   N   LA/tm LA/om x     .     LA/sm x     x     LA/-  LU  LA  .
    Q   .   N   A   x   A/tm  A/om  x     .     Q/sm  x     x     U/-   Q   Q   .
    """

  static let bases: [String: LifeCycle.Base] = [
    "N": .normal, "U": .unacknowledged, "A": .acknowledged, "R": .returnedUnacknowledged,
    "LU": .latchedUnacknowledged, "LA": .latchedAcknowledged, "Q": .quiet,
  ]

  static let kinds: [LifeCycle.Event: TransitionKind] = [
    .conditionTrue: .raised, .conditionFalse: .returned, .acknowledge: .acknowledged,
    .reset: .reset, .shelveTimed: .shelved, .shelveOnce: .shelved, .unshelve: .unshelved,
    .shelfExpired: .unshelved, .suppress: .suppressed, .unsuppress: .unsuppressed,
    .removeFromService: .removedFromService, .returnToService: .returnedToService,
    .priorityRose: .priorityChanged, .priorityFell: .priorityChanged, .reAlarmDue: .reAlarmed,
  ]

  static func state(_ base: String, _ inhibitions: String) throws -> LifeCycle {
    LifeCycle(
      base: try #require(bases[base]),
      shelving: inhibitions.contains("t") ? .timed : inhibitions.contains("o") ? .once : .none,
      isSuppressed: inhibitions.contains("s"),
      isOutOfService: inhibitions.contains("m")
    )
  }

  @Test(
    "the state table, cell by cell",
    arguments: [
      (free, "-"), (shelvedForATime, "t"), (shelvedOnce, "o"), (suppressed, "s"),
      (outOfService, "m"),
    ]
  )
  func table(grid: String, inhibitions: String) throws {
    var cells = 0
    for line in grid.split(separator: "\n") {
      let columns = line.split(separator: " ").map(String.init)
      try #require(columns.count == Self.events.count + 1)
      let before = try Self.state(columns[0], inhibitions)
      for (event, cell) in zip(Self.events, columns.dropFirst()) {
        for isLatching in [false, true] {
          let step = before.step(event, isLatching: isLatching)
          let place: Comment = "\(columns[0])/\(inhibitions) on \(event), latching \(isLatching)"
          cells += 1
          guard cell != "x" && cell != "." else {
            #expect(step.next == before && step.told == nil && step.toldAlso == nil, place)
            #expect(step.isRefused == (cell == "x"), place)
            continue
          }
          let parts = cell.split(separator: "/").map(String.init)
          var expected = try Self.state(parts[0], parts.count > 1 ? parts[1] : inhibitions)
          // A latching alarm is held where another returns, if it had annunciated.
          if isLatching && event == .conditionFalse && before.base != .quiet {
            expected.base =
              before.base == .acknowledged ? .latchedAcknowledged : .latchedUnacknowledged
          }
          #expect(step.next == expected, place)
          #expect(step.told == Self.kinds[event], place)
          let endsShelf =
            event == .conditionFalse && before.shelving == .once
            || event == .priorityRose && before.shelving != .none
          #expect(step.toldAlso == (endsShelf ? .unshelved : nil), place)
          #expect(!step.isRefused, place)
        }
      }
    }
    #expect(cells >= 6 * 15 * 2)
  }

  @Test("several inhibitions at once: each ends on its own, and nothing annunciates till the last")
  func combinations() {
    var checked = 0
    for before in LifeCycle.allStates {
      for event in LifeCycle.Event.allCases {
        for isLatching in [false, true] {
          let step = before.step(event, isLatching: isLatching)
          let after = step.next
          checked += 1
          if step.told == nil {
            #expect(after == before)
          }
          if event != .suppress && event != .unsuppress {
            #expect(after.isSuppressed == before.isSuppressed)
          }
          if event != .removeFromService && event != .returnToService {
            #expect(after.isOutOfService == before.isOutOfService)
          }
          let isShelving: Set<LifeCycle.Event> = [
            .shelveTimed, .shelveOnce, .unshelve, .shelfExpired, .conditionFalse, .priorityRose,
          ]
          if !isShelving.contains(event) {
            #expect(after.shelving == before.shelving)
          }
          // Only the condition makes an alarm active or inactive.
          if event != .conditionTrue && event != .conditionFalse {
            #expect(after.isActive == before.isActive)
          }
          // What has never annunciated does so as soon as nothing holds it back.
          if step.told != nil && !after.isInhibited {
            #expect(after.base != .quiet)
          }
          #expect(LifeCycle(packed: after.packed) == after)
        }
      }
    }
    #expect(checked == 84 * 15 * 2)
  }

  @Test("a byte that is no state is refused")
  func packedBytes() {
    let known = Set(LifeCycle.allStates.map(\.packed))
    for byte in UInt8.min...UInt8.max {
      #expect((LifeCycle(packed: byte) != nil) == known.contains(byte))
    }
  }
}
