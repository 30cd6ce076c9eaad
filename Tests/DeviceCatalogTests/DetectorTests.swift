import AlarmEngine
import DeviceCatalog
import Foundation
import Telemetry
import Testing

/// Every detector and every reaction of the engine can be written in a profile.
@Suite("Detectors in profiles")
struct DetectorTests {
  /// A catalog of one profile with this rule, and one device of it.
  static func load(
    rule: String,
    device: String = "",
    gateway: String = "",
    enterprise: String = "",
    first: String = "",
    stale: String = "never",
    more: [(path: String, text: String)] = []
  ) -> CatalogResult {
    let profile = """
      profile: test/thing
      name: {zh: 物, en: Thing}
      about: {zh: 物, en: Thing}
      points:
        a: {name: {zh: 甲, en: A}, kind: level, unit: m, range: [0, 100], stale: never\(first)}
        b:
          name: {zh: 乙, en: B}
          kind: level
          unit: m
          range: [0, 100]
          stale: \(stale)
          rules:
            r:
              text: {zh: 报, en: Alarm}
      \(OneDeviceSite.indent(rule, 8))
              level: pattern
              priority: yellow
              source: design
              response: {zh: 看, en: Look}
        run:
          name: {zh: 运行, en: Running}
          kind: state
          unit: "1"
          states: {0: {zh: 停, en: off}, 1: {zh: 开, en: on}}
          stale: never
      """
    let site = OneDeviceSite.text(
      device: "profile: test/thing\n\(device)",
      gateway: gateway,
      enterprise: enterprise
    )
    return Catalog.load(
      sources: [
        ("devices/standards.yaml", "standards: {}"), ("devices/test/thing.yaml", profile),
        ("sites/s.yaml", site),
      ] + more
    )
  }

  static let written: [(rule: String, kind: String)] = [
    ("detect: {kind: successive-change, limit: 3}", "successiveChange(perSecond: 3.0)"),
    ("detect: {kind: ewma, alpha: 0.1, limit: 4, warm-up: 20}", "ewma(alpha: 0.1"),
    (
      "detect: {kind: ewma-chart, lambda: 0.1, limit: 2.814, baseline: {readings: 200}}",
      "lambda: 0.1"
    ),
    ("detect: {kind: cusum, allowance: 0.25, limit: 8, head-start: 0.5}", "allowance: 0.25"),
    ("detect: {kind: cusum, baseline: {mean: 5, deviation: 0.2}}", "given(mean: 5.0"),
    ("detect: {kind: ewma-z, smallest-deviation: 0.1, longest-freeze: 2h}", "7200000"),
    ("detect: {kind: robust-z, span: 1h, minimum-count: 40}", "minimumCount: 40"),
    ("detect: {kind: seasonal, zone-offset: 480, minimum-weeks: 3}", "minimumWeeks: 3"),
    ("detect: {kind: deviation, set-point: 50, limit: 5, side: high}", "offset: 50.0"),
    ("detect: {kind: deviation, point: a, limit: 0.2, relative: true}", "isRelative: true"),
    ("detect: {kind: background-excess, limit: 2, restore: 1, span: 3h}", "restore: 1.0"),
    ("detect: {kind: limit-hugging, limit: 10, span: 8h, band: 0.95}", "band: 0.95"),
    ("detect: {kind: replayed-run, length: 60, changes: 10}", "length: 60"),
    ("detect: {kind: gap-at-rise, limit: 10, gap: 5min}", "gap: 300000"),
    ("stuck: {for: 1h, tolerance: 0, minimum-count: 5, exempt: [0, 0]}", "minimumCount: 5"),
    ("rate: {over: 1min, limit: 5, per: 1min, side: rise}", "span: 60000"),
    ("expression: a > 5 m and b < 3 m for 10 s", "expression"),
    (
      "interlock: {cause: a > 5 m, response: run, within: 2s, restore-within: 5s}", "Optional(5000)"
    ),
    ("when: \">= 5\"\ndeadband: 1", "limit"),
  ]

  /// Rules on windows, how the engine has them and how they read.
  static let windows: [(rule: String, shape: String, condition: String)] = [
    (
      "window: {kind: sliding, span: 10min, of: mean}\nwhen: \"> 80\"\nuntil: \"< 75\"",
      "sliding(span: 600000)", "mean of the last 10 min: > 80 m; returns < 75 m"
    ),
    (
      "window: {kind: tumbling, span: 1h, of: variance, unit: m²}\nwhen: \">= 4\"\nuntil: \"< 3\"",
      "tumbling(length: 3600000, offset: 0)", "variance of each 1 h: ≥ 4 m²; returns < 3 m²"
    ),
    (
      "window: {kind: hopping, span: 1h, every: 5min, of: slope, per: 1h}\nwhen: \"> 2\"\nuntil: \"< 1\"",
      "hopping(length: 3600000, hop: 300000", "slope of 1 h every 5 min: > 2 m/h; returns < 1 m/h"
    ),
    (
      "window: {kind: count, count: 20, of: range}\nwhen: \"> 5\"\nuntil: \"< 4\"",
      "count(size: 20, isTumbling: true)", "range of each 20 readings: > 5 m; returns < 4 m"
    ),
    (
      "window: {kind: count, count: 5, rolling: true, of: median}\nwhen: \"< 2\"\ndeadband: 1",
      "count(size: 5, isTumbling: false)", "median of the last 5 readings: < 2 m; returns > 3 m"
    ),
    (
      "window: {kind: session, gap: 30s, of: count}\nwhen: \">= 100\"\nuntil: \"< 50\"",
      "session(gap: 30000, longest: 86400000)",
      "count of a run without gaps above 30 s: ≥ 100; returns < 50"
    ),
    (
      "window: {kind: state, point: run, in: 1, of: max}\nwhen: \"> 9\"\nuntil: \"< 8\"",
      "judged: Optional(1)", "max while run stays 1: > 9 m; returns < 8 m"
    ),
  ]

  @Test("limits on windows: what the engine gets and what people read", arguments: windows)
  func windowed(rule: String, shape: String, condition: String) throws {
    let result = Self.load(rule: rule)
    let catalog = try #require(result.catalog, "\(rule): \(result.findings)")
    let index = try #require(catalog.rules.firstIndex { $0.id == "r" })
    let detector = "\(catalog.enginePlan.rules[index].detector)"
    #expect(detector.contains(shape), "\(detector)")
    #expect(catalog.rules[index].condition == condition)
  }

  @Test("a site sets the figure of a window like any other")
  func windowOverride() throws {
    let result = Self.load(
      rule: "window: {kind: sliding, span: 10min, of: mean}\nwhen: \"> 80\"\nuntil: \"< 75\"",
      device: "limits: {b.r: {setpoint: 70, restore: 60}}"
    )
    let catalog = try #require(result.catalog, "\(result.findings)")
    let rule = try #require(catalog.rules.first { $0.id == "r" })
    #expect(rule.condition == "mean of the last 10 min: > 70 m; returns < 60 m")
    #expect(rule.setpoint == 70)
  }

  private static let mean =
    "window: {kind: sliding, span: 10min, of: mean}\nwhen: \"> 80\"\nuntil: \"< 75\""
  private static let variance =
    "window: {kind: sliding, span: 10min, of: variance}\nwhen: \">= 4\"\nuntil: \"< 3\"\nbound: \"<= 5\""

  @Test("a condition that names the figure of a window's rule has it")
  func windowCited() throws {
    let first =
      #", rules: {c: {text: {zh: 报, en: Alarm}, expression: "b > {b.r} m", level: pattern, "#
      + "priority: yellow, source: design, response: {zh: 看, en: Look}}}"
    for (device, figure) in [("", "80"), ("limits: {b.r: {setpoint: 70, restore: 60}}", "70")] {
      let result = Self.load(rule: Self.mean, device: device, first: first)
      let catalog = try #require(result.catalog, "\(result.findings)")
      #expect(catalog.rules.first { $0.id == "c" }?.condition == "b > \(figure) m")
    }
  }

  @Test("a bound holds for every statistic, and a site beyond it needs an approval")
  func windowBound() throws {
    let within = Self.load(rule: Self.variance)
    let rule = try #require(within.catalog?.rules.first { $0.id == "r" }, "\(within.findings)")
    #expect(rule.bound == "≤ 5 m²" && !rule.isLooserThanBound && !rule.isRestoreChanged)
    #expect(rule.setpoint == nil, "not on the scale of the point's values")
    #expect(rule.restore == 3)
    let looser = "limits: {b.r: {setpoint: 6, restore: 2"
    #expect(Self.load(rule: Self.variance, device: looser + "}}").catalog == nil)
    let approved = Self.load(
      rule: Self.variance,
      device: looser + ", reason: 试, approved-by: 张, approved-on: 2026-01-05}}"
    )
    let moved = try #require(approved.catalog?.rules.first { $0.id == "r" }, "\(approved.findings)")
    #expect(moved.isLooserThanBound && moved.isRestoreChanged)
  }

  @Test("a site's deadband as a share of the range is refused where the statistic has none")
  func windowShare() throws {
    let device = "limits: {b.r: {deadband: 2 %}}"
    let refused = Self.load(rule: Self.variance, device: device)
    #expect(refused.catalog == nil)
    #expect(refused.findings.map(\.code) == ["window-deadband"], "\(refused.findings)")
    #expect(Self.load(rule: Self.mean, device: device).catalog != nil)
  }

  /// What a rule's window waits for, by its own word and by how long the point may be silent; and what the linter says.
  static let graces: [(window: String, stale: String, grace: Int64, warned: Bool)] = [
    ("kind: tumbling, span: 1h", "2min", 120_000, false),
    ("kind: hopping, span: 1h, every: 5min", "2min", 120_000, false),
    ("kind: session, gap: 30s", "2min", 120_000, false),
    ("kind: tumbling, span: 1h, grace: 5min", "2min", 300_000, false),
    ("kind: tumbling, span: 1h, grace: 30s", "2min", 30_000, true),
    ("kind: tumbling, span: 1h, grace: 0s", "2min", 0, true),
    ("kind: session, gap: 30s", "never", 0, true),
    ("kind: session, gap: 30s, grace: 2min", "never", 120_000, false),
    ("kind: sliding, span: 1h", "never", 0, false),
    ("kind: count, count: 5", "2min", 0, false),
  ]

  @Test("windows that time ends wait as long as the point may be silent", arguments: graces)
  func grace(window: String, stale: String, grace: Int64, warned: Bool) throws {
    let result = Self.load(
      rule: "window: {\(window), of: mean}\nwhen: \"> 80\"\nuntil: \"< 75\"",
      stale: stale
    )
    let catalog = try #require(result.catalog, "\(result.findings)")
    let plan = try #require(zip(catalog.rules, catalog.enginePlan.rules).first { $0.0.id == "r" })
    guard case .window(let parameters, _) = plan.1.detector else {
      Issue.record("no window: \(plan.1.detector)")
      return
    }
    #expect(parameters.grace == grace)
    let date = try #require(CalendarDate("2026-03-01"))
    #expect(catalog.lint(on: date).contains { $0.code == "window-grace" } == warned)
  }

  @Test(
    "the state of another point is linted where messages may be out of order; the point itself is no other"
  )
  func statePoint() throws {
    func load(_ window: String, gateway: String = "") throws -> (Catalog, codes: [String]) {
      let result = Self.load(
        rule: "window: {kind: state, \(window) of: mean}\nwhen: \"> 80\"\nuntil: \"< 75\"",
        gateway: gateway
      )
      let catalog = try #require(result.catalog, "\(result.findings)")
      let date = try #require(CalendarDate("2026-03-01"))
      return (catalog, catalog.lint(on: date).map(\.code))
    }
    #expect(try load("point: run,").codes.contains("window-order"))
    #expect(
      try !load("point: run,", gateway: "reorder-allowance: 5s").codes.contains("window-order")
    )
    let (own, codes) = try load("point: b,")
    #expect(!codes.contains("window-order"))
    let plan = try #require(zip(own.rules, own.enginePlan.rules).first { $0.0.id == "r" })
    #expect(plan.0.condition.hasPrefix("mean while the value stays the same: "))
    guard case .window(_, let signals) = plan.1.detector else {
      Issue.record("no window: \(plan.1.detector)")
      return
    }
    #expect(signals.count == 1)
  }

  @Test("each detector, with its parameters", arguments: written)
  func detectors(rule: String, kind: String) throws {
    let result = Self.load(rule: rule)
    let catalog = try #require(result.catalog, "\(rule): \(result.findings)")
    let index = try #require(catalog.rules.firstIndex { $0.id == "r" })
    let detector = "\(catalog.enginePlan.rules[index].detector)"
    #expect(detector.contains(kind), "\(detector)")
    #expect(!catalog.rules[index].condition.isEmpty)
  }

  @Test(
    "a point that a rule reads beside its own goes by its id, whatever the device calls it",
    arguments: [
      "window: {kind: state, point: run, of: mean}\nwhen: \"> 80\"\nuntil: \"< 75\"",
      "detect: {kind: deviation, point: a, limit: 0.2}", "expression: a > 5 m and run",
    ]
  )
  func renamed(rule: String) throws {
    let result = Self.load(
      rule: rule,
      device: "points: {a: {payload-name: P1}, run: {payload-name: P7}}"
    )
    let catalog = try #require(result.catalog, "\(rule): \(result.findings)")
    #expect(catalog.rules.contains { $0.id == "r" }, "\(rule)")
  }

  static let refused: [(rule: String, code: String)] = [
    ("detect: {kind: cusum, allowance: -1}", "detector-refused"),
    ("detect: {kind: ewma-z, alpha: 7}", "detector-refused"),
    ("detect: {kind: cusum, alowance: 1}", "unknown-key"),
    ("detect: {kind: magic}", "not-one-of"),
    ("window: {kind: slide, of: mean}\nwhen: \"> 8\"\nuntil: \"< 7\"", "not-one-of"),
    ("window: {kind: sliding, span: 1h}\nwhen: \"> 8\"\nuntil: \"< 7\"", "missing-key"),
    ("window: {kind: hopping, span: 1h, of: mean}\nwhen: \"> 8\"\nuntil: \"< 7\"", "missing-key"),
    ("window: {kind: sliding, span: 1h, of: slope}\nwhen: \"> 8\"\nuntil: \"< 7\"", "missing-key"),
    ("window: {kind: sliding, span: 1h, of: mean}\nwhen: \"> 8\"", "restore-missing"),
    (
      "window: {kind: sliding, span: 1h, of: mean, hop: 5}\nwhen: \"> 8\"\nuntil: \"< 7\"",
      "unknown-key"
    ),
    (
      "window: {kind: hopping, span: 1min, every: 1h, of: mean}\nwhen: \"> 8\"\nuntil: \"< 7\"",
      "window-refused"
    ),
    (
      "window: {kind: hopping, span: 3650d, every: 1ms, of: mean}\nwhen: \"> 8\"\nuntil: \"< 7\"",
      "window-refused"
    ),
    (
      "window: {kind: sliding, span: 1h, of: mean, grace: 1min}\nwhen: \"> 8\"\nuntil: \"< 7\"",
      "unknown-key"
    ),
    (
      "window: {kind: sliding, span: 1h, of: count, capacity: 9}\nwhen: \"> 9\"\nuntil: \"< 7\"",
      "window-refused"
    ),
    (
      "window: {kind: sliding, span: 1h, of: variance, unit: m}\nwhen: \"> 8\"\nuntil: \"< 7\"",
      "window-unit"
    ),
    (
      "window: {kind: sliding, span: 1h, of: variance}\nwhen: \"> 8\"\ndeadband: 2 %",
      "window-deadband"
    ),
    (
      "window: {kind: sliding, span: 1h, of: mean}\nwhen: \"> 200\"\nuntil: \"< 7\"",
      "setpoint-outside-range"
    ),
    (
      "window: {kind: state, point: nowhere, of: mean}\nwhen: \"> 8\"\nuntil: \"< 7\"",
      "unknown-point"
    ),
    ("detect: {kind: robust-z}", "missing-key"),
    ("detect: {kind: deviation, point: nowhere, limit: 1}", "unknown-point"),
    ("detect: {kind: multivariate, points: [a, b], model: none}", "unknown-model"),
    ("cascade: {grade: yellow, points: [a, nowhere]}", "unknown-point"),
    ("when: \">= 5\"\ndeadband: 1\nsuppress-when: not running", "bad-expression"),
    ("when: \">= 5\"\ndeadband: 1\nescalate: {after: 5min, priority: blue}", "plan-refused"),
  ]

  @Test("what cannot be is refused where it stands", arguments: refused)
  func refusals(rule: String, code: String) {
    let result = Self.load(rule: rule)
    #expect(result.catalog == nil, "\(rule)")
    #expect(result.findings.contains { $0.code == code }, "\(rule): \(result.findings)")
  }

  @Test("latching, re-alarm, delays, suppression and escalation")
  func reactions() throws {
    let result = Self.load(
      rule: """
        when: ">= 5"
        deadband: 1
        latching: true
        on-delay: 5s
        off-delay: 10s
        re-alarm: 30min
        suppress-when: not run for 1 min
        escalate: {after: 10min, priority: red}
        """
    )
    let catalog = try #require(result.catalog, "\(result.findings)")
    let rule = try #require(catalog.enginePlan.rules.first { $0.suppression != nil })
    #expect(rule.isLatching)
    #expect(rule.onDelayMilliseconds == 5000)
    #expect(rule.offDelayMilliseconds == 10_000)
    #expect(rule.reAlarmMilliseconds == 1_800_000)
    #expect(rule.escalation?.afterMilliseconds == 600_000)
    #expect(rule.escalation?.priority == .red)
    #expect(rule.suppression?.signals.count == 1)
  }

  @Test(
    "times of a source: a device's figures go before its gateway's, and these before the defaults"
  )
  func timing() throws {
    func plan(device: String, gateway: String) throws -> EnginePlan {
      let result = Self.load(rule: "when: \">= 5\"\ndeadband: 1", device: device, gateway: gateway)
      return try #require(result.catalog, "\(result.findings)").enginePlan
    }
    let standard = try plan(device: "", gateway: "")
    #expect(standard.devices[0].clockToleranceMilliseconds == 300_000)
    #expect(standard.devices[0].reorderAllowanceMilliseconds == 0)
    #expect(
      standard.channels[1].window
        == ChannelWindow(lengthMilliseconds: 600_000, capacity: 32, isBoundedByCount: true)
    )
    let gateway =
      "clock-tolerance: 1min\nreorder-allowance: 5s\nlate-window: 1h\nlate-readings: 128"
    let source = try plan(device: "", gateway: gateway)
    #expect(source.devices[0].clockToleranceMilliseconds == 60_000)
    #expect(source.devices[0].reorderAllowanceMilliseconds == 5000)
    #expect(
      source.channels[1].window
        == ChannelWindow(lengthMilliseconds: 3_600_000, capacity: 128, isBoundedByCount: true)
    )
    let device = try plan(device: "clock-tolerance: none\nlate-window: none", gateway: gateway)
    #expect(device.devices[0].clockToleranceMilliseconds == DevicePlan.unguarded)
    #expect(device.devices[0].reorderAllowanceMilliseconds == 5000)
    #expect(device.channels[1].window == nil)
  }

  @Test("every device has one rule on its clock, at its first point")
  func clockRule() throws {
    let result = Self.load(rule: "when: \">= 5\"\ndeadband: 1")
    let catalog = try #require(result.catalog)
    let clocks = catalog.rules.filter { $0.id == "clock" }
    #expect(clocks.map(\.fullName) == ["e/s/a/D/a#clock"])
    #expect(clocks.map(\.unit) == ["s"])
    let taken = Self.load(rule: "when: \">= 5\"\ndeadband: 1\n").findings
    #expect(!taken.contains { $0.severity == .error })
  }

  @Test("flood limits of an enterprise")
  func flood() throws {
    let result = Self.load(
      rule: "when: \">= 5\"\ndeadband: 1",
      enterprise: "flood: {limit: 3, area-limit: 20, end-below: 2}"
    )
    let flood = try #require(result.catalog?.enterprises.first?.flood)
    let figures: [Int] = [flood.limit, flood.areaLimit, flood.endBelow]
    #expect(figures == [3, 20, 2] as [Int])
    let wrong = Self.load(rule: "when: \">= 5\"\ndeadband: 1", enterprise: "flood: {limit: 0}")
    #expect(wrong.catalog == nil)
  }

  @Test("a model that was learnt is written, read, and finds what does not fit")
  func model() throws {
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
      parameters: MultivariateModel.Parameters(lags: 1)
    )
    let file = ModelFile(id: "pair", points: ["a", "b"], model: model)
    let text = file.text(comment: ["learnt in a test"])
    let result = Self.load(
      rule: "detect: {kind: multivariate, points: [a, b], model: pair}",
      more: [("devices/models/pair.yaml", text)]
    )
    let catalog = try #require(result.catalog, "\(result.findings)")
    let rule = try #require(
      catalog.enginePlan.rules.first { rule in
        if case .multivariate = rule.detector { true } else { false }
      }
    )
    guard case .multivariate(let read, let signals) = rule.detector else { return }
    #expect(read.parts == model.parts)
    #expect(signals.map(\.rawValue) == [0, 1])
    var monitor = MultivariateMonitor(read)
    #expect(monitor.step([50, 50]).condition == .no)
    for _ in 0..<3 { _ = monitor.step([60, 40]) }
    #expect(monitor.step([60, 40]).condition == .yes)
    #expect(read.deciding == .distance)
    for statistic in MultivariateModel.Statistic.allCases {
      let chosen = Self.load(
        rule:
          "detect: {kind: multivariate, points: [a, b], model: pair, statistic: \(statistic.rawValue)}",
        more: [("devices/models/pair.yaml", text)]
      )
      let rules = try #require(chosen.catalog, "\(chosen.findings)").enginePlan.rules
      let isDeciding = rules.contains { rule in
        if case .multivariate(let model, _) = rule.detector {
          model.deciding == statistic
        } else {
          false
        }
      }
      #expect(isDeciding, "\(statistic)")
    }
    let unknown = Self.load(
      rule: "detect: {kind: multivariate, points: [a, b], model: pair, statistic: q}",
      more: [("devices/models/pair.yaml", text)]
    )
    #expect(unknown.catalog == nil)
    let swapped = Self.load(
      rule: "detect: {kind: multivariate, points: [b, a], model: pair}",
      more: [("devices/models/pair.yaml", text)]
    )
    #expect(swapped.findings.contains { $0.code == "model-points" })
    let broken = Self.load(
      rule: "detect: {kind: multivariate, points: [a, b], model: pair}",
      more: [("devices/models/pair.yaml", text.replacing("retained: ", with: "retained: 9"))]
    )
    #expect(broken.findings.contains { $0.code == "model-unusable" })
  }

  @Test("spe is refused where a model retains every component: nothing is left over")
  func noResidual() throws {
    let rows = (0..<400).map { index -> [Double] in
      let first = Double(index % 40)
      return [first, first + Double(index % 7) * 0.1]
    }
    for (lags, retained, isRefused) in [(0, 2, true), (0, 1, false), (1, 4, true), (1, 3, false)] {
      let model = try MultivariateModel.learn(
        rows: rows,
        parameters: .init(lags: lags, components: .count(retained))
      )
      let text = ModelFile(id: "pair", points: ["a", "b"], model: model).text(comment: [])
      func result(_ statistic: String) -> CatalogResult {
        Self.load(
          rule: "detect: {kind: multivariate, points: [a, b], model: pair, statistic: "
            + "\(statistic)}",
          more: [("devices/models/pair.yaml", text)]
        )
      }
      let finding = result("spe").findings.first { $0.code == "model-spe" }
      #expect((finding != nil) == isRefused, "\(lags) lags, \(retained) retained")
      #expect((result("spe").catalog == nil) == isRefused, "\(lags) lags, \(retained) retained")
      let place = finding?.place
      #expect(place.map { $0.file == "devices/test/thing.yaml" && $0.line > 0 } ?? true)
      #expect(result("t2").catalog != nil)
      #expect(result("distance").catalog != nil)
    }
  }
}
