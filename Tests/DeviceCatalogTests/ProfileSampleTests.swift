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

  /// The example of `docs/profiles.md`: gusts are no sustained wind, ten minutes of them are.
  private static let wind = """
    profile: test/wind
    name: {zh: 风速, en: Wind}
    about: {zh: 风速, en: Wind}
    points:
      wind-speed:
        name: {zh: 风速, en: Wind speed}
        kind: speed
        unit: m/s
        range: [0, 60]
        stale: 120s
        rules:
          sustained:
            text: {zh: 十分钟平均风速达五级, en: Mean wind of ten minutes of force 5 or more}
            window: {kind: sliding, span: 10min, of: mean, minimum-count: 6}
            when: ">= 8"
            until: "< 7.5"
            level: pattern
            priority: yellow
            source: {origin: practice, mark: unverified}
            response: {zh: 停止露天动火, en: Stop outdoor hot work}
    samples:
      - name: ten minutes of gusts
        series: {point: wind-speed, every: 100s, values: [4, 12, 4, 12, 4, 10, 8, 9, 5, 5, 5, 5]}
        alarms:
          - 600s wind-speed.sustained raised
          - 900s wind-speed.sustained returned
      - name: one gust
        series: {point: wind-speed, every: 100s, values: [4, 4, 4, 4, 4, 12, 4, 4, 4, 4]}
        alarms: []
    """

  @Test("a rule on a window raises and returns as its sample says")
  func windowSample() {
    let run = Catalog.runSamples(sources: [
      (path: "devices/standards.yaml", text: "standards: {}"),
      (path: "devices/test/wind.yaml", text: Self.wind),
    ])
    #expect(run.findings.isEmpty, "\(run.findings)")
    #expect(run.outcomes.map(\.differences) == [[], []])
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
