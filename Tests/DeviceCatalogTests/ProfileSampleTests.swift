import DeviceCatalog
import Testing

/// Every profile below `devices/` with its samples; a new device needs a file, not Swift.
@Suite("profile samples")
struct ProfileSampleTests {
  static let run = Catalog.runSamples(devices: "\(repository)/devices")
  static let profiles = Array(Set(run.outcomes.map(\.profile))).sorted()

  @Test("the profiles are read without a finding")
  func read() {
    #expect(Self.run.findings.isEmpty, "\(Self.run.findings)")
  }

  @Test("payloads become the readings and alarms that the profile says", arguments: profiles)
  func samples(profile: String) {
    let outcomes = Self.run.outcomes.filter { $0.profile == profile }
    #expect(outcomes.contains { $0.expectedSteps > 0 }, "no sample of \(profile) raises an alarm")
    #expect(outcomes.contains { $0.expectedSteps == 0 }, "no sample of \(profile) is calm")
    for outcome in outcomes where !outcome.differences.isEmpty {
      Issue.record(
        "\(outcome.place.file):\(outcome.place.line) \(outcome.sample)\n\(outcome.differences.joined(separator: "\n"))"
      )
    }
  }

  @Test("a sample that expects the wrong alarm is reported")
  func wrongSample() {
    let broken =
      SmallCatalog.profile + """

        samples:
          - name: wrong on purpose
            choose: {place: roof}
            limits: {gas.level-2: 50}
            series: {point: gas, every: 10s, values: [24, 25]}
            alarms: [0s gas.level-1 raised]
        """
    let outcomes = Catalog.runSamples(sources: [
      (path: "devices/standards.yaml", text: SmallCatalog.standards),
      (path: "devices/gas/detector.yaml", text: broken),
    ]).outcomes
    #expect(
      outcomes.map(\.differences) == [
        [
          "expected and missing: 0s gas.level-1 raised",
          "came and was not expected: 10s gas.level-1 raised",
        ]
      ]
    )
  }
}
