import DeviceCatalog
import Foundation
import Testing

private let devices = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("devices").path

private let minute: Int64 = 60_000
private let hour = 60 * minute
private let noon: Int64 = 1_800_000_000_000

/// A scan that is allowed, and the register behind it; each test spoils one thing.
private struct Case {
  var register: WeldingRegister
  var scan: WeldingScan
  var policy: WeldingPolicy

  init() throws {
    policy = try #require(Catalog.load(devices: devices, site: []).catalog?.hotWork).policy
    policy.scanRadius = 20
    func day(_ text: String) throws -> CalendarDate { try #require(CalendarDate(text)) }
    func place(_ longitude: Double, _ latitude: Double) throws -> Coordinates {
      try #require(Coordinates(longitude: longitude, latitude: latitude))
    }
    register = WeldingRegister(
      machines: [WeldingRegister.Machine(device: "WM-1", code: "QR-1", chip: "C-1")],
      welders: [
        WeldingRegister.Welder(
          id: "w1",
          name: "焊工",
          certificate: "T1",
          category: "焊接与热切割作业",
          validFrom: try day("2024-01-01"),
          validUntil: try day("2029-12-31"),
          reviewBy: try day("2027-02-01")
        )
      ],
      permits: [
        WeldingRegister.Permit(
          id: "P-1",
          kind: .ticket,
          hotWorkClass: .first,
          machines: ["WM-1"],
          welders: ["w1"],
          fence: try [(0, 0), (0.001, 0), (0.001, 0.001), (0, 0.001)].map { try place($0.0, $0.1) },
          from: noon - hour,
          until: noon + 7 * hour,
          gasTestedAt: noon - 30 * minute,
          guardian: "g1"
        )
      ]
    )
    scan = WeldingScan(
      code: "QR-1",
      welder: "w1",
      position: try place(0.0005, 0.0005),
      machinePosition: try place(0.0005, 0.0006),
      time: noon,
      day: try day("2027-01-15")
    )
  }

  var denials: [WeldingDenial] {
    if case .deny(let denials) = register.decide(scan, policy: policy) { denials } else { [] }
  }
}

@Suite("welding register")
struct WeldingRegisterTests {
  @Test("a welder with certificate and ticket at the machine is allowed until the ticket ends")
  func allowed() throws {
    let sound = try Case()
    #expect(
      sound.register.decide(sound.scan, policy: sound.policy)
        == .allow(permit: "P-1", until: noon + 7 * hour)
    )
  }

  @Test("each thing that is wrong denies, with its reason")
  func denied() throws {
    let spoilers: [(WeldingDenial, (inout Case) throws -> Void)] = [
      (.unknownMachine, { $0.scan.code = "QR-2" }),
      (.machineBarred, { $0.register.machines[0].barred = "疑似改装" }),
      (
        .unknownWelder,
        {
          $0.scan.welder = "w2"; $0.register.permits[0].welders = ["w2"]
        }
      ),
      (.noCertificate, { $0.register.welders[0].category = "电工作业" }),
      (.certificateExpired, { $0.scan.day = try #require(CalendarDate("2027-02-02")) }),
      (.certificateExpired, { $0.scan.day = try #require(CalendarDate("2023-12-31")) }),
      (
        .certificateExpired,
        {
          $0.register.welders[0].reviewBy = nil
          $0.scan.day = try #require(CalendarDate("2030-01-01"))
        }
      ),
      (
        .specialPeriod,
        {
          $0.register.bannedPeriods = [
            WeldingRegister.BannedPeriod(reason: "五一", from: noon, until: noon + 1)
          ]
        }
      ),
      (.noPermit, { $0.register.permits[0].machines = ["WM-2"] }),
      (.outOfHours, { $0.register.permits[0].until = noon }),
      (.outOfHours, { $0.register.permits[0].from = noon + 1 }),
      (.permitTooLong, { $0.register.permits[0].until = noon + 7 * hour + 1 }),
      (.outOfArea, { $0.register.permits[0].fence.removeLast(2) }),
      (.positionUnknown, { $0.scan.position = nil }),
      (.remoteScan, { $0.policy.scanRadius = 11 }),
      (.gasTestMissing, { $0.register.permits[0].gasTestedAt = noon - 30 * minute - 1 }),
      (.gasTestMissing, { $0.register.permits[0].gasTestedAt = nil }),
      (.gasTestMissing, { $0.register.permits[0].gasTestedAt = noon + 1 }),
      (.noGuardian, { $0.register.permits[0].guardian = nil }),
      (.notUpgraded, { $0.scan.needsUpgrade = true }),
      (.gasNear, { $0.scan.hasGasNear = true }),
      (.certificateExpired, { $0.policy.freezeDays = 18 }),
      (.outOfHours, { $0.register.permits[0].finishedAt = noon }),
    ]
    for (reason, spoil) in spoilers {
      var spoiled = try Case()
      try spoil(&spoiled)
      #expect(spoiled.denials == [reason])
    }
  }

  @Test("every reason is told, not only the first")
  func allReasons() throws {
    var spoiled = try Case()
    spoiled.register.welders[0].category = "电工作业"
    spoiled.register.permits[0].guardian = nil
    spoiled.scan.position = nil
    #expect(spoiled.denials == [.noCertificate, .positionUnknown, .noGuardian])
  }

  @Test("the permit that fits is found among several")
  func several() throws {
    var mixed = try Case()
    var old = mixed.register.permits[0]
    old.id = "P-0"
    old.until = noon - 1
    mixed.register.permits.insert(old, at: 0)
    #expect(
      mixed.register.decide(mixed.scan, policy: mixed.policy)
        == .allow(permit: "P-1", until: noon + 7 * hour)
    )
  }

  @Test("classes and their times by GB 30871-2022")
  func classes() throws {
    let policy = try Case().policy
    let classes = WeldingRegister.HotWorkClass.allCases
    #expect(classes.map { policy.longestTicket($0) / hour } == [8, 8, 72])
    #expect(classes.map { policy.longestBreak($0) / minute } == [30, 30, 60])
    #expect(WeldingRegister.HotWorkClass.second.upgraded == .first)
    #expect(WeldingRegister.HotWorkClass.special.upgraded == .special)
  }

  @Test("days left count to the nearer of validity and review")
  func daysLeft() throws {
    let welder = try Case().register.welders[0]
    #expect(welder.daysLeft(on: try #require(CalendarDate("2027-01-15"))) == 17)
    #expect(welder.daysLeft(on: try #require(CalendarDate("2027-02-02"))) == -1)
  }
}
