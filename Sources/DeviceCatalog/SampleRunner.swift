import AlarmEngine
import PayloadDecoding
import Telemetry

/// What came of one worked example of a profile.
public struct SampleOutcome: Sendable {
  /// Id of the profile.
  public var profile: String
  /// Name of the sample.
  public var sample: String
  /// Where it stands.
  public var place: Place
  /// How many alarm steps it expects; a profile needs a sample with some and one with none.
  public var expectedSteps: Int
  /// What differs from what the sample expects; empty when all is as it says.
  public var differences: [String]
}

extension Catalog {
  /// Runs every sample of every profile through the decoder and the engine.
  ///
  /// - Parameter devices: Folder of the profiles.
  /// - Returns: One outcome for each sample; the findings say what kept a profile from being read.
  public static func runSamples(
    devices: String
  ) -> (outcomes: [SampleOutcome], findings: [Finding]) {
    let log = FindingLog()
    let files = SourceFile.read(folder: devices, canonical: "devices", log: log)
    return run(files, log: log)
  }

  /// Runs every sample of the profiles among the texts of a catalog.
  public static func runSamples(
    sources: [(path: String, text: String)]
  ) -> (outcomes: [SampleOutcome], findings: [Finding]) {
    run(
      sources.map { SourceFile(canonical: $0.path, shown: $0.path, text: $0.text) },
      log: FindingLog()
    )
  }

  private static func run(
    _ files: [SourceFile],
    log: FindingLog
  ) -> (outcomes: [SampleOutcome], findings: [Finding]) {
    let library = ProfileLibrary.read(files, log: log)
    let outcomes = library.profiles.flatMap { profile in
      profile.samples.map { library.run($0, of: profile) }
    }
    return (outcomes, log.findings.sorted(by: Finding.order))
  }
}

extension ProfileLibrary {
  /// Puts the sample's device into a site of its own, sends what it says and compares.
  func run(_ sample: ProfileSample, of profile: DeviceProfile) -> SampleOutcome {
    var outcome = SampleOutcome(
      profile: profile.id,
      sample: sample.name,
      place: sample.place,
      expectedSteps: sample.alarms.count,
      differences: []
    )
    let log = FindingLog()
    var compiler = CatalogCompiler(library: self, log: log)
    compiler.compile([site(around: sample, of: profile)])
    guard !log.hasErrors else {
      outcome.differences = log.findings.map(\.description)
      return outcome
    }
    do throws(PlanError) {
      var run = try SampleRun(compiler: compiler)
      run.feed(sample)
      outcome.differences = run.differences(from: sample)
    } catch {
      outcome.differences = error.problems.map(\.message)
    }
    return outcome
  }

  private func site(around sample: ProfileSample, of profile: DeviceProfile) -> SiteFile {
    let name = LocalizedText(zh: "样例", en: "Sample")
    var spec = sample.device
    spec.profile = DeviceSpec.Placed(value: profile.id, place: sample.place)
    // The moment at which samples happen is invented; the payloads' own times may be of another year.
    let devices = ([spec] + sample.others).map { device in
      var device = device
      device.timing.clockTolerance = DevicePlan.unguarded
      return SiteFile.PlacedDevice(site: 0, area: 0, spec: device)
    }
    let area = Area(
      id: "area",
      path: "sample/site/area",
      name: name,
      fence: [],
      responsible: [],
      hazardSource: nil,
      place: sample.place
    )
    let site = Site(
      id: "site",
      path: "sample/site",
      name: name,
      kind: nil,
      position: nil,
      responsible: [],
      hazardSources: [],
      areas: [area],
      place: sample.place
    )
    let gateway = Gateway(
      id: "gw",
      name: name,
      statusCodes: nil,
      isReplaySource: false,
      place: sample.place
    )
    let enterprise = Enterprise(
      id: "sample",
      name: name,
      creditCode: nil,
      administrativeCode: nil,
      timeZone: "UTC",
      policies: sample.policies,
      people: [],
      gateways: [gateway],
      sites: [site],
      responsible: [],
      place: sample.place
    )
    return SiteFile(
      enterprise: enterprise,
      devices: devices,
      routes: []
    )
  }
}

/// One sample on its way through decoder and engine.
private struct SampleRun: ~Copyable {
  private static let start = Timestamp(milliseconds: 1_767_225_600_000)
  private static let topic = "davy/v1/sample/gw/readings"

  private let channels: [ChannelDescription]
  private let rules: [RuleDescription]
  private var decoder: PayloadDecoding.Decoder
  private var engine: Engine
  private var readings: [ProfileSample.Reading] = []
  private var alarms: [ProfileSample.Expected] = []
  private var rejects: [Reject] = []

  init(compiler: CatalogCompiler) throws(PlanError) {
    channels = compiler.channels
    rules = compiler.rules
    decoder = PayloadDecoding.Decoder(plan: compiler.decodingPlan)
    engine = try Engine(plan: compiler.enginePlan)
  }

  mutating func feed(_ sample: ProfileSample) {
    var messages = sample.messages
    for series in sample.series {
      for (index, value) in series.values.enumerated() {
        let status = series.status.map { ",\"s\":\"\($0)\"" } ?? ""
        messages.append(
          ProfileSample.Message(
            at: series.start + Int64(index) * series.every,
            topic: nil,
            payload: "{\"device\":\"\(series.device)\",\"point\":\"\(series.point)\","
              + "\"v\":\(value)\(status)}"
          )
        )
      }
    }
    let ordered = messages.enumerated().sorted {
      ($0.element.at, $0.offset) < ($1.element.at, $1.offset)
    }
    var transitions: [Transition] = []
    for (number, entry) in ordered.enumerated() {
      let message = entry.element
      let received = Self.start.advanced(byMilliseconds: message.at)
      var batch = ReadingBatch(received: received, baseSequence: UInt64(number + 1))
      var notes: [DecodingNote] = []
      decoder.decode(
        topic: Array((message.topic ?? Self.topic).utf8),
        payload: Array(message.payload.utf8),
        sequence: UInt64(number + 1),
        received: received,
        into: &batch,
        notes: &notes
      )
      rejects += notes.compactMap(\.reject)
      for index in 0..<batch.count { note(batch.reading(at: index)) }
      engine.apply(batch, into: &transitions)
    }
    if let until = sample.runUntil {
      engine.advance(to: Self.start.advanced(byMilliseconds: until), into: &transitions)
    }
    alarms = transitions.map { transition in
      let rule = rules[Int(transition.rule.rawValue)]
      let channel = channels[Int(rule.channel)]
      let device = channel.device == ProfileSample.deviceID ? "" : "\(channel.device)/"
      return ProfileSample.Expected(
        at: transition.time.milliseconds(since: Self.start),
        rule: "\(device)\(channel.point).\(rule.id)",
        kind: "\(transition.kind)"
      )
    }
  }

  private mutating func note(_ reading: Reading) {
    readings.append(
      ProfileSample.Reading(
        at: reading.time.milliseconds(since: Self.start),
        point: channels[Int(reading.channel.rawValue)].point,
        value: reading.value,
        status: reading.status.wireName
      )
    )
  }

  func differences(from sample: ProfileSample) -> [String] {
    var differences: [String] = []
    let order = { (a: ProfileSample.Expected, b: ProfileSample.Expected) in
      (a.at, a.rule, a.kind) < (b.at, b.rule, b.kind)
    }
    let wanted = sample.alarms.sorted(by: order)
    let found = alarms.sorted(by: order)
    for alarm in wanted where !found.contains(alarm) {
      differences.append("expected and missing: \(alarm.text)")
    }
    for alarm in found where !wanted.contains(alarm) {
      differences.append("came and was not expected: \(alarm.text)")
    }
    if differences.isEmpty, wanted.count != found.count {
      differences.append("\(wanted.count) transitions expected, \(found.count) came")
    }
    if rejects.map(\.reason.rawValue) != sample.rejects {
      differences.append(
        "rejects: "
          + rejects.map { "\($0.reason.rawValue) \($0.device)/\($0.point) \($0.detail)" }
          .joined(separator: "; ")
      )
    }
    guard let expected = sample.readings else { return differences }
    if expected.count != readings.count {
      differences.append("\(expected.count) readings expected, \(readings.count) came")
    }
    for (want, got) in zip(expected, readings) {
      let close = abs(want.value - got.value) <= 1e-7 * max(1, abs(want.value))
      let same =
        want.at == got.at && want.point == got.point && close
        && (want.status == nil || want.status == got.status)
      if !same {
        differences.append(
          "reading: expected \(want.at) ms \(want.point) \(want.value) \(want.status ?? ""), "
            + "got \(got.at) ms \(got.point) \(got.value) \(got.status ?? "")"
        )
      }
    }
    return differences
  }
}

extension ProfileSample.Expected {
  /// As a sample writes it.
  var text: String { "\(plain(Double(at) / 1000))s \(rule) \(kind)" }
}
