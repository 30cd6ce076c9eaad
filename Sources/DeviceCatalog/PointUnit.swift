/// A unit that a point may be measured in.
///
/// Conversions are never silent: two units of one dimension convert by a fixed factor; ppm and mg/m³
/// convert only with a molar mass and a *stated* molar volume, because Chinese ppm set-points were made
/// with 22.4 L/mol (0 °C) and instruments often use 24.45 L/mol (25 °C).
public struct PointUnit: Hashable, Sendable {
  /// What is measured.
  public enum Dimension: String, Sendable {
    /// Share of the lower explosive limit.
    case explosiveLimit
    /// Explosive limit times path length, of open-path detectors.
    case explosiveLimitPath
    /// Share of volume.
    case volumeFraction
    /// Mass in a volume of air.
    case massConcentration
    case length, temperature, pressure, massFlow, volumeFlow, speed, current, voltage, power
    case time, angle, ratio, mass, volume, state, count, humidity, rainfall, rainfallRate
    case displacementRate, frequency, acceleration, energy, acidity
  }

  /// As it is written in profiles and payloads.
  public let symbol: String
  /// What is measured.
  public let dimension: Dimension
  /// Value in the dimension's base unit = `factor` × value + `offset`.
  public let factor: Double
  /// See ``factor``.
  public let offset: Double

  private init(_ symbol: String, _ dimension: Dimension, _ factor: Double = 1, _ offset: Double = 0)
  {
    self.symbol = symbol
    self.dimension = dimension
    self.factor = factor
    self.offset = offset
  }

  /// Finds a unit by its symbol or one of its other spellings; nil when there is none such.
  public init?(_ text: String) {
    let symbol = Self.spellings.first { $0.0 == text }?.1 ?? text
    guard let unit = Self.all.first(where: { $0.symbol == symbol }) else { return nil }
    self = unit
  }

  /// Every unit that a profile may use.
  public static let all: [PointUnit] = [
    PointUnit("%LEL", .explosiveLimit), PointUnit("LEL.m", .explosiveLimitPath),
    PointUnit("%VOL", .volumeFraction, 10_000), PointUnit("ppm", .volumeFraction),
    PointUnit("ppb", .volumeFraction, 0.001),
    PointUnit("mg/m3", .massConcentration),
    PointUnit("ug/m3", .massConcentration, 0.001),
    PointUnit("g/m3", .massConcentration, 1000),
    PointUnit("m", .length), PointUnit("cm", .length, 0.01),
    PointUnit("mm", .length, 0.001), PointUnit("km", .length, 1000),
    PointUnit("degC", .temperature), PointUnit("K", .temperature, 1, -273.15),
    PointUnit("degF", .temperature, 5.0 / 9, -160.0 / 9),
    PointUnit("Pa", .pressure), PointUnit("kPa", .pressure, 1000),
    PointUnit("MPa", .pressure, 1_000_000), PointUnit("bar", .pressure, 100_000),
    PointUnit("mbar", .pressure, 100),
    PointUnit("kg/h", .massFlow), PointUnit("t/h", .massFlow, 1000),
    PointUnit("m3/h", .volumeFlow), PointUnit("L/min", .volumeFlow, 0.06),
    PointUnit("m3/min", .volumeFlow, 60), PointUnit("m3/s", .volumeFlow, 3600),
    PointUnit("m/s", .speed), PointUnit("km/h", .speed, 1 / 3.6),
    PointUnit("A", .current), PointUnit("mA", .current, 0.001),
    PointUnit("V", .voltage), PointUnit("kV", .voltage, 1000),
    PointUnit("W", .power), PointUnit("kW", .power, 1000),
    PointUnit("kWh", .energy), PointUnit("s", .time), PointUnit("min", .time, 60),
    PointUnit("h", .time, 3600), PointUnit("deg", .angle),
    PointUnit("%", .ratio, 0.01), PointUnit("1", .ratio),
    PointUnit("kg", .mass), PointUnit("t", .mass, 1000),
    PointUnit("L", .volume), PointUnit("m3", .volume, 1000),
    PointUnit("state", .state), PointUnit("count", .count),
    PointUnit("%RH", .humidity), PointUnit("mm/24h", .rainfall),
    PointUnit("mm/h", .rainfallRate), PointUnit("mm/d", .displacementRate),
    PointUnit("Hz", .frequency), PointUnit("rpm", .frequency, 1.0 / 60),
    PointUnit("m/s2", .acceleration), PointUnit("pH", .acidity),
  ]

  /// The symbols of all units, as configuration writes them.
  static let symbols = all.map(\.symbol)

  /// Other spellings seen in payloads and point lists.
  private static let spellings: [(String, String)] = [
    ("℃", "degC"), ("°C", "degC"), ("C", "degC"), ("Cel", "degC"), ("℉", "degF"),
    ("mg/m³", "mg/m3"),
    ("μg/m3", "ug/m3"), ("µg/m3", "ug/m3"), ("μg/m³", "ug/m3"), ("µg/m³", "ug/m3"),
    ("%vol", "%VOL"), ("%Vol", "%VOL"), ("VOL%", "%VOL"), ("vol%", "%VOL"), ("%CH4", "%VOL"),
    ("%lel", "%LEL"), ("LEL%", "%LEL"), ("LEL·m", "LEL.m"), ("PPM", "ppm"), ("PPB", "ppb"),
    ("m³/h", "m3/h"), ("m³/min", "m3/min"), ("m³", "m3"), ("Nm3/h", "m3/h"), ("米", "m"),
    ("毫米", "mm"),
    ("安", "A"), ("伏", "V"), ("吨", "t"), ("kPa(g)", "kPa"), ("MPa(g)", "MPa"), ("°", "deg"),
    ("r/min", "rpm"), ("", "1"),
  ]

  /// How a value in this unit becomes one in `target`: scale and offset; nil when the dimensions differ.
  public func conversion(to target: PointUnit) -> (scale: Double, offset: Double)? {
    guard dimension == target.dimension else { return nil }
    if self == target { return (1, 0) }
    return (factor / target.factor, (offset - target.offset) / target.factor)
  }

  /// How a value in this unit becomes one in `target`, also across volume and mass fractions of a gas.
  ///
  /// - Parameters:
  ///   - target: The unit wanted.
  ///   - molarMass: Of the gas, in g/mol.
  ///   - molarVolume: The volume of a mole that was agreed on, in L/mol.
  /// - Returns: Scale and offset; nil when the dimensions differ otherwise.
  public func conversion(
    to target: PointUnit,
    molarMass: Double,
    molarVolume: Double
  ) -> (scale: Double, offset: Double)? {
    switch (dimension, target.dimension) {
    case (.volumeFraction, .massConcentration):
      (factor * molarMass / molarVolume / target.factor, 0)
    case (.massConcentration, .volumeFraction):
      (factor * molarVolume / molarMass / target.factor, 0)
    default: conversion(to: target)
    }
  }
}

/// Molar mass of a gas from its formula, such as `H2S` or `C2H3Cl`, in g/mol; nil when it is not one.
///
/// Computed from the abridged IUPAC standard atomic weights, so that no table of masses can hold a slip.
public func molarMass(formula: String) -> Double? {
  let weights: [String: Double] = [
    "H": 1.008, "B": 10.81, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998, "Si": 28.085,
    "P": 30.974, "S": 32.06, "Cl": 35.45, "As": 74.922, "Br": 79.904, "I": 126.90,
  ]
  var total = 0.0
  var rest = Substring(formula)
  while let first = rest.first, first.isASCII, first.isUppercase {
    rest.removeFirst()
    var element = String(first)
    if let second = rest.first, second.isASCII, second.isLowercase {
      element.append(second)
      rest.removeFirst()
    }
    let digits = rest.prefix { $0.isASCII && $0.isNumber }
    rest.removeFirst(digits.count)
    guard let weight = weights[element], let count = digits.isEmpty ? 1 : Int(digits), count > 0
    else { return nil }
    total += weight * Double(count)
  }
  return rest.isEmpty && total > 0 ? total : nil
}

extension YAMLValue {
  /// Reads a unit's symbol.
  func unit() -> PointUnit? {
    guard let text = scalarText else {
      report(.wrongType(expected: "a unit", expectedZh: "单位", found: kind))
      return nil
    }
    guard let unit = PointUnit(text) else {
      report(.unknownUnit(text: text))
      return nil
    }
    return unit
  }
}
