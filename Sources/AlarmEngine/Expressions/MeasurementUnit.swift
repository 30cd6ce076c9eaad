/// A physical unit: dimension, factor to the dimension's base unit, offset for temperatures.
public struct MeasurementUnit: Hashable, Sendable {
  /// What is measured: exponents of the base quantities.
  ///
  /// Percent, %LEL and volume fraction are base quantities of their own, because a level in per cent
  /// must never be compared with a gas concentration in per cent.
  ///
  /// One number, Σ exponent · 256ⁱ: adding and subtracting it adds and subtracts the exponents. (Eight
  /// `Int8` fields in an enum's payload were miscompiled by Swift 6.3.1 at -O; the random expressions of
  /// the tests found it.)
  struct Dimension: Hashable, Sendable {
    private var exponents: Int64 = 0

    init(
      length: Int64 = 0,
      mass: Int64 = 0,
      time: Int64 = 0,
      temperature: Int64 = 0,
      current: Int64 = 0,
      percent: Int64 = 0,
      explosiveLimit: Int64 = 0,
      volumeFraction: Int64 = 0
    ) {
      for exponent in [
        volumeFraction, explosiveLimit, percent, current, temperature, time, mass, length,
      ] { exponents = exponents &* 256 &+ exponent }
    }

    static let none = Dimension()

    static func * (lhs: Dimension, rhs: Dimension) -> Dimension {
      var result = lhs
      result.exponents &+= rhs.exponents
      return result
    }

    static func / (lhs: Dimension, rhs: Dimension) -> Dimension {
      var result = lhs
      result.exponents &-= rhs.exponents
      return result
    }
  }

  /// How it is written.
  public let symbol: String
  let dimension: Dimension
  /// Base = value · factor + offset.
  let factor: Double
  let offset: Double
  /// A temperature on a scale, in contrast to a difference of two.
  let isAbsolute: Bool

  init(
    symbol: String,
    dimension: Dimension,
    factor: Double,
    offset: Double = 0,
    isAbsolute: Bool = false
  ) {
    self.symbol = symbol
    self.dimension = dimension
    self.factor = factor
    self.offset = offset
    self.isAbsolute = isAbsolute
  }

  /// A plain number.
  public static let number = MeasurementUnit(symbol: "", dimension: .none, factor: 1)

  /// The unit written `symbol`; nil when it is not known.
  ///
  /// Quotients of two units of the table ("°C/min", "kPa/s") are understood; the first is then a
  /// difference.
  public init?(_ symbol: String) {
    if let known = Self.table[symbol] {
      self = known
      return
    }
    guard let slash = symbol.lastIndex(of: "/"),
      let upper = Self.table[String(symbol[..<slash])],
      let lower = Self.table[String(symbol[symbol.index(after: slash)...])],
      !lower.isAbsolute
    else { return nil }
    self.init(
      symbol: symbol,
      dimension: upper.dimension / lower.dimension,
      factor: upper.factor / lower.factor
    )
  }

  /// The same unit for a difference of two values.
  var difference: MeasurementUnit {
    isAbsolute ? MeasurementUnit(symbol: symbol, dimension: dimension, factor: factor) : self
  }

  var isNumber: Bool { dimension == .none }

  /// Symbols of units of the same dimension, for error texts.
  var siblings: String {
    let names = Self.table.filter { $0.value.dimension == dimension && $0.key != symbol }.keys
    return names.sorted().prefix(4).joined(separator: ", ")
  }

  private static func entries(
    _ dimension: Dimension,
    _ pairs: [(String, Double)]
  ) -> [(String, MeasurementUnit)] {
    pairs.map { ($0.0, MeasurementUnit(symbol: $0.0, dimension: dimension, factor: $0.1)) }
  }

  private static let table: [String: MeasurementUnit] = {
    let time = Dimension(time: 1)
    let pressure = Dimension(length: -1, mass: 1, time: -2)
    let volume = Dimension(length: 3)
    let fraction = Dimension(volumeFraction: 1)
    let flow = Dimension(length: 3, time: -1)
    let power = Dimension(length: 2, mass: 1, time: -3)
    var all: [(String, MeasurementUnit)] = []
    all += entries(time, [("ms", 0.001), ("s", 1), ("min", 60), ("h", 3600), ("d", 86_400)])
    all += entries(Dimension(percent: 1), [("%", 1), ("‰", 0.1)])
    all += entries(Dimension(explosiveLimit: 1), [("%LEL", 1)])
    all += entries(
      fraction,
      [
        ("%vol", 1), ("%CH4", 1), ("%O2", 1), ("%CO2", 1), ("%CO", 1), ("%H2", 1), ("ppm", 1e-4),
        ("ppb", 1e-7),
      ]
    )
    all += entries(Dimension(length: 1), [("m", 1), ("km", 1000), ("cm", 0.01), ("mm", 0.001)])
    all += entries(volume, [("m3", 1), ("m³", 1), ("L", 0.001)])
    all += entries(
      pressure,
      [("Pa", 1), ("hPa", 100), ("kPa", 1000), ("MPa", 1e6), ("bar", 1e5), ("mbar", 100)]
    )
    all += entries(Dimension(mass: 1), [("kg", 1), ("g", 0.001), ("mg", 1e-6), ("t", 1000)])
    all += entries(flow, [("m3/h", 1 / 3600.0), ("m³/h", 1 / 3600.0), ("L/min", 0.001 / 60)])
    all += entries(Dimension(length: -3, mass: 1), [("mg/m3", 1e-6), ("mg/m³", 1e-6), ("g/L", 1)])
    all += entries(Dimension(current: 1), [("A", 1), ("mA", 0.001)])
    all += entries(
      Dimension(length: 2, mass: 1, time: -3, current: -1),
      [("V", 1), ("kV", 1000), ("mV", 0.001)]
    )
    all += entries(power, [("W", 1), ("kW", 1000)])
    all += entries(Dimension(time: -1), [("Hz", 1), ("rpm", 1 / 60.0)])
    all += entries(Dimension(length: 1, time: -2), [("m/s2", 1), ("m/s²", 1)])
    let heat = Dimension(temperature: 1)
    for name in ["°C", "℃", "degC"] {
      all.append(
        (
          name,
          MeasurementUnit(
            symbol: name,
            dimension: heat,
            factor: 1,
            offset: 273.15,
            isAbsolute: true
          )
        )
      )
    }
    all.append(
      (
        "°F",
        MeasurementUnit(
          symbol: "°F",
          dimension: heat,
          factor: 5 / 9.0,
          offset: 459.67 * 5 / 9,
          isAbsolute: true
        )
      )
    )
    // A kelvin measures differences; as a temperature it is written °C.
    all.append(("K", MeasurementUnit(symbol: "K", dimension: heat, factor: 1)))
    return Dictionary(uniqueKeysWithValues: all)
  }()
}
