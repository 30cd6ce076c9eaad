import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Telemetry
import Testing

/// A simulated fleet through the production core: every incident's alarms come, and no others.
@Suite struct FleetTests {
  static let devices = Fixture.root.appendingPathComponent("devices").path
  static let start: Int64 = 1_780_000_000_000

  static func catalog(_ options: FleetOptions) throws -> Catalog {
    let scratch = try Scratch()
    let file = scratch.file("site.yaml")
    try FleetSite.text(options, examples: Catalog.deviceExamples(devices: devices))
      .write(toFile: file, atomically: true, encoding: .utf8)
    let result = Catalog.load(devices: devices, site: [file])
    return try #require(result.catalog, "\(result.findings.filter { $0.severity == .error })")
  }

  struct Run {
    var fleet: Fleet
    var limits: Set<String> = []
    var alarms: Set<String> = []
    var rejects: [String: Int64] = [:]
    var readings: UInt64 = 0
    var replies = 0
  }

  static func run(_ options: FleetOptions) throws -> Run {
    let catalog = try catalog(options)
    let limitRules = Set(catalog.rules.filter { $0.setpoint != nil }.map(\.fullName))
    var run = Run(fleet: Fleet(options: options, catalog: catalog))
    let core = StationCore()
    var next: UInt64 = 1
    func process(_ inputs: [JournalInput]) throws {
      let output = core.process(JournalBatch(inputs), firstSequence: next)
      next += UInt64(inputs.count)
      run.replies += output.replies.count
      for reject in output.rejects { run.rejects[reject.reason, default: 0] += reject.count }
      for draft in output.drafts where draft.kind == .alarm {
        let body = try AlarmBody(decoding: draft.body)
        let line = "\(body.point)#\(body.rule) \(body.event.rawValue) \(draft.time.milliseconds)"
        run.alarms.insert(line)
        if limitRules.contains("\(body.point)#\(body.rule)") { run.limits.insert(line) }
      }
    }
    try process([StationCoreTests.catalogInput(catalog)])
    while let messages = run.fleet.next() {
      guard !messages.isEmpty else { continue }
      try process(messages.map(\.arrival))
    }
    run.readings = core.readingCount
    return run
  }

  static func expected(_ fleet: Fleet) -> Set<String> {
    Set(
      fleet.incidents.flatMap { incident in
        incident.alarms.flatMap {
          ["\($0.rule) raised \($0.raised)", "\($0.rule) returned \($0.returned)"]
        }
      }
    )
  }

  @Test("every incident of every family in every format raises its alarms, no other limit speaks")
  func everyFamily() throws {
    let examples = Catalog.deviceExamples(devices: Self.devices)
    let options = FleetOptions(
      seed: 3,
      devices: examples.count * FleetFormat.allCases.count,
      start: Self.start,
      seconds: 14,
      incidents: .max
    )
    let run = try Self.run(options)
    #expect(run.fleet.leftOut.isEmpty)
    #expect(run.rejects.isEmpty)
    #expect(run.readings == UInt64(run.fleet.readings))
    let expected = Self.expected(run.fleet)
    #expect(run.limits.subtracting(expected).sorted() == [], "alarms that nobody simulated")
    #expect(expected.subtracting(run.limits).sorted() == [], "alarms that did not come")
    let families = Set(examples.map { $0.profile.prefix { $0 != "/" } }.map(String.init))
    #expect(families.count >= 13)
    // Air doors have no limit of their own, and a device may draw none that speaks at once.
    #expect(run.fleet.incidents.count > run.fleet.deviceCount * 9 / 10)
    #expect(Set(run.fleet.incidents.map(\.family)) == families)
    #expect(Set(run.fleet.incidents.map(\.format)) == Set(FleetFormat.allCases.map(\.rawValue)))
  }

  @Test(
    "faults on the way hide no incident; strangers and cut messages are refused",
    arguments: [11, 12] as [UInt64]
  )
  func faults(seed: UInt64) throws {
    let options = FleetOptions(
      seed: seed,
      devices: 120,
      start: Self.start,
      seconds: 60,
      interval: 2,
      incidents: 60,
      faultsOneIn: 20
    )
    let run = try Self.run(options)
    let expected = Self.expected(run.fleet)
    #expect(run.fleet.incidents.count == 60, "SEED=\(seed)")
    #expect(run.limits == expected, "SEED=\(seed)")
    let faults = run.fleet.faults
    #expect(faults.lost > 0 && faults.duplicated > 0 && faults.rebirths > 0, "SEED=\(seed)")
    // A stranger's message may hold several readings, each refused by itself.
    #expect(run.rejects["unknownDevice", default: 0] >= Int64(faults.unknownDevice))
    let broken = run.rejects.filter { $0.key != "unknownDevice" }.values.reduce(0, +)
    #expect(broken == Int64(faults.truncated), "SEED=\(seed): \(run.rejects)")
    // HJ 212 frames ask for an answer each.
    #expect(run.replies > 0)
  }

  @Test("the seed decides every byte")
  func determinism() throws {
    func bytes(_ seed: UInt64) throws -> [FleetMessage] {
      let options = FleetOptions(
        seed: seed,
        devices: 80,
        start: Self.start,
        seconds: 10,
        incidents: 20,
        faultsOneIn: 10
      )
      var fleet = Fleet(options: options, catalog: try Self.catalog(options))
      var all: [FleetMessage] = []
      while let messages = fleet.next() { all += messages }
      return all
    }
    let first = try bytes(1)
    #expect(try bytes(1) == first)
    #expect(try bytes(2) != first)
  }
}

extension FleetMessage {
  /// The message as it is received, 40 ms later.
  var arrival: JournalInput {
    JournalInput(received: time + 40, topic: Array(topic.utf8), payload: payload, qos: qos)
  }
}
