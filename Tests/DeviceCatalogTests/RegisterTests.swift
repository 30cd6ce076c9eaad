import DeviceCatalog
import Testing

private func source(people: Int, _ substances: (q: Double, critical: Double, beta: Double)...)
  -> MajorHazardSource
{
  MajorHazardSource(
    id: "x",
    name: LocalizedText(zh: "源", en: "Source"),
    exposedPeople: people,
    substances: substances.map {
      MajorHazardSource.Substance(
        name: "s",
        category: nil,
        quantity: $0.q,
        critical: $0.critical,
        beta: $0.beta
      )
    },
    guarantors: [:],
    place: Place(file: "", line: 0, column: 0, key: "")
  )
}

@Suite("register")
struct RegisterTests {
  @Test(
    "an area's code names those that it lies in",
    arguments: [
      ("360981", ["360981", "360900", "360000"]),
      ("360900", ["360900", "360000"]),
      ("360000", ["360000"]),
      ("360981000", ["360981", "360900", "360000"]),
      ("360981102", ["360981102", "360981", "360900", "360000"]),
      ("360981102203", ["360981102203", "360981102", "360981", "360900", "360000"]),
      // A county under the province itself.
      ("429004", ["429004", "429000", "420000"]),
      ("000000", ["000000"]),
      ("3609", ["3609"]),
      ("county", ["county"]),
    ]
  )
  func areas(code: String, areas: [String]) {
    #expect(Enterprise.administrativeAreas(of: code) == areas)
  }

  @Test("R value and level by GB 18218-2018")
  func level() {
    let sulfide = source(people: 40, (20, 5, 5))
    #expect(sulfide.r == 24)
    #expect(sulfide.level == .three)
    #expect(
      sulfide.arithmetic
        == "S = 20/5 = 4 ≥ 1; α = 1.2 (40); R = 1.2 × (5×20/5) = 24; level 3"
    )
    let dioxide = source(people: 120, (100, 20, 2))
    #expect(dioxide.r == 20)
    #expect(dioxide.level == .three)
    let phosgene = source(people: 60, (3, 0.3, 20))
    #expect(abs(phosgene.r - 300) < 1e-9)
    #expect(phosgene.level == .one)
    let small = source(people: 0, (1, 5, 4))
    #expect(small.level == nil)
    #expect(small.arithmetic == "S = 1/5 = 0.2 < 1")
  }

  @Test(
    "the edges of α and of the levels",
    arguments: [(0, 0.5), (1, 1), (29, 1), (30, 1.2), (49, 1.2), (50, 1.5), (99, 1.5), (100, 2)]
  )
  func alpha(people: Int, alpha: Double) {
    #expect(source(people: people, (1, 1, 1)).alpha == alpha)
  }

  @Test("levels begin at 10, 50 and 100", arguments: [(9.99, 4), (10, 3), (50, 2), (100, 1)])
  func edges(r: Double, level: Int) {
    #expect(source(people: 1, (r, 1, 1)).level?.rawValue == level)
  }

  @Test("several substances add up")
  func sum() {
    let mixed = source(people: 1, (0.5, 1, 2), (0.5, 1, 4))
    #expect(mixed.isMajor)
    #expect(mixed.r == 3)
    #expect(!source(people: 1, (0.49, 1, 2), (0.5, 1, 4)).isMajor)
  }

  @Test("fences")
  func fence() throws {
    let corners = try [(0, 0), (2, 0), (2, 2), (1, 1), (0, 2)].map {
      try #require(Coordinates(longitude: $0.0, latitude: $0.1))
    }
    let area = Area(
      id: "a",
      path: "e/s/a",
      name: LocalizedText(zh: "区", en: "Area"),
      fence: corners,
      responsible: [],
      hazardSource: nil,
      place: Place(file: "", line: 0, column: 0, key: "")
    )
    #expect(area.contains(try #require(Coordinates(longitude: 1, latitude: 0.5))) == true)
    // In the notch of the concave fence.
    #expect(area.contains(try #require(Coordinates(longitude: 1, latitude: 1.5))) == false)
    #expect(area.contains(try #require(Coordinates(longitude: 3, latitude: 1))) == false)
    #expect(Coordinates(longitude: 181, latitude: 0) == nil)
  }
}

@Suite("units and dates")
struct MeasurementTests {
  @Test(
    "ppm and mg/m³ at 22.4 L/mol",
    arguments: [
      ("CO", 30, 24.0), ("CO", 200, 160), ("Cl2", 1, 0.316), ("H2S", 10, 6.57), ("NH3", 20, 26.3),
    ]
  )
  func molarVolume(formula: String, milligrams: Double, ppm: Double) throws {
    let mass = try #require(molarMass(formula: formula))
    let from = try #require(PointUnit("mg/m3"))
    let to = try #require(PointUnit("ppm"))
    let factors = try #require(from.conversion(to: to, molarMass: mass, molarVolume: 22.4))
    #expect(abs(milligrams * factors.scale - ppm) < 0.004 * ppm)
    #expect(from.conversion(to: to) == nil, "never without a gas and a molar volume")
  }

  @Test(
    "linear conversions",
    arguments: [
      ("bar", "kPa", 2.5, 250), ("mm", "m", 8600, 8.6), ("K", "degC", 300, 26.85),
      ("degF", "degC", 212, 100), ("%VOL", "ppm", 0.5, 5000), ("℃", "K", 0, 273.15),
    ]
  )
  func linear(from: String, to: String, value: Double, expected: Double) throws {
    let target = try #require(PointUnit(to))
    let factors = try #require(PointUnit(from)?.conversion(to: target))
    #expect(abs(value * factors.scale + factors.offset - expected) < 1e-9 * max(1, expected))
  }

  @Test("what is no formula has no mass", arguments: ["", "h2s", "Xx2", "C0", "H2 O", "2H"])
  func badFormulas(text: String) {
    #expect(molarMass(formula: text) == nil)
  }

  @Test("days of the calendar")
  func days() {
    #expect(CalendarDate("1970-01-01")?.daysSinceEpoch == 0)
    #expect(CalendarDate("2000-03-01")?.daysSinceEpoch == 11_017)
    #expect(
      CalendarDate("2026-02-28").map { $0.daysSinceEpoch + 1 }
        == CalendarDate("2026-03-01")?.daysSinceEpoch
    )
    #expect(CalendarDate("2024-02-29") != nil)
    for bad in [
      "2025-02-29", "2025-13-01", "2025-1-01", "25-01-01", "2025-00-10", "2025-06-31", "+025-01-01",
    ] {
      #expect(CalendarDate(bad) == nil, "\(bad)")
    }
  }
}
