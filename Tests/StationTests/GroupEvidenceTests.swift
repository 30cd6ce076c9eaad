import AlarmEngine
import DeviceCatalog
import HazardLedger
import Journal
import Station
import Testing

/// The raise of a group's alarm says in the ledger what it was raised on.
@Suite("Evidence of a group's alarm")
struct GroupEvidenceTests {
  static let start: Int64 = 1_760_000_000_000

  /// Two points that go together, and a rule on their relation.
  static func catalog(statistic: String) throws -> Catalog {
    var rows: [[Double]] = []
    var seed: UInt64 = 7
    func noise() -> Double {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(seed >> 40) / Double(1 << 24) - 0.5
    }
    for _ in 0..<400 {
      let level = 50 + 20 * noise()
      rows.append([level, level + noise()])
    }
    let model = try MultivariateModel.learn(
      rows: rows,
      parameters: MultivariateModel.Parameters(lags: 1, components: .count(1))
    )
    let file = ModelFile(id: "pair", points: ["a", "b"], model: model)
    let profile = """
      profile: test/thing
      name: {zh: 物, en: Thing}
      about: {zh: 物, en: Thing}
      points:
        a: {name: {zh: 甲, en: A}, kind: level, unit: m, range: [0, 100], stale: never}
        b:
          name: {zh: 乙, en: B}
          kind: level
          unit: m
          range: [0, 100]
          stale: never
          rules:
            r:
              text: {zh: 报, en: Alarm}
              detect: {kind: multivariate, points: [a, b], model: pair, statistic: \(statistic)}
              level: pattern
              priority: yellow
              source: design
              response: {zh: 看, en: Look}
      """
    let site = """
      enterprise: {id: e, name: {zh: 企, en: E}}
      time-zone: UTC
      gateways: {g: {name: {zh: 关, en: G}}}
      sites:
        s:
          name: {zh: 场, en: S}
          areas:
            a:
              name: {zh: 区, en: A}
              devices: {D: {profile: test/thing}}
      """
    let result = Catalog.load(sources: [
      ("devices/standards.yaml", "standards: {}"), ("devices/test/thing.yaml", profile),
      ("devices/models/pair.yaml", file.text(comment: ["learnt in a test"])),
      ("sites/e.yaml", site),
    ])
    return try #require(result.catalog, "\(result.findings.filter { $0.severity == .error })")
  }

  /// The two go together, then they do not.
  static func inputs(_ statistic: String, _ level: RulesLevel) throws -> [JournalInput] {
    var inputs = [
      try StationCoreTests.catalogInput(try catalog(statistic: statistic), at: start, level: level)
    ]
    for second in Int64(1)...12 {
      let time = start + second * 1_000
      let (a, b) = second <= 6 ? (50, 50) : (60, 40)
      inputs.append(
        JournalInput(
          received: time,
          topic: Array("davy/v1/e/g/readings".utf8),
          payload: Array(#"{"device":"D","t":\#(time),"values":{"a":\#(a),"b":\#(b)}}"#.utf8),
          qos: 1
        )
      )
    }
    return inputs
  }

  static func bodies(_ inputs: [JournalInput], page: Int = .max, cut: Int? = nil) throws
    -> [AlarmBody]
  {
    try Fixture.drafts(of: inputs, page: page, cut: cut).filter { $0.kind == .alarm }
      .map { try AlarmBody(decoding: $0.body) }
  }

  @Test(
    "statistics, limits and who contributes, by the statistic that decides",
    arguments: ["spe", "distance"]
  )
  func evidence(statistic: String) throws {
    let inputs = try Self.inputs(statistic, .newest)
    let bodies = try Self.bodies(inputs)
    let raise = try #require(bodies.first { $0.event == .raised })
    let evidence = try #require(raise.evidence)
    #expect(evidence.decided == statistic)
    #expect(Set(evidence.statistics.keys) == ["t2", "spe", "distance"])
    let decided = try #require(evidence.statistics[statistic])
    #expect(decided.value > decided.limit)
    #expect(Set(evidence.contributions.map(\.point)) == ["e/s/a/D/a", "e/s/a/D/b"])
    let shares = evidence.contributions.map(\.share)
    #expect(abs(shares.reduce(0, +) - 1) < 1e-9)
    #expect(shares == shares.sorted(by: >))
    #expect(bodies.allSatisfy { ($0.event == .raised) == ($0.evidence != nil) })
    #expect(try AlarmBody(decoding: raise.encoded()) == raise)
    #expect(try Self.bodies(inputs, page: 1) == bodies)
    for cut in 1..<inputs.count { #expect(try Self.bodies(inputs, cut: cut) == bodies) }
  }

  @Test("T² says nothing of a relation that breaks; a journal of the rules before has no evidence")
  func others() throws {
    #expect(try Self.bodies(try Self.inputs("t2", .newest)).isEmpty)
    let former = try Self.bodies(try Self.inputs("distance", .notices))
    #expect(former.contains { $0.event == .raised })
    #expect(former.allSatisfy { $0.evidence == nil })
  }
}
