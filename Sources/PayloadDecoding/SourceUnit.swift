/// Units as payloads write them, and the conversions that need no further knowledge.
///
/// A gas's ppm and mg/m³ are deliberately not converted into each other: that needs the gas and a
/// molar volume, which only the catalog can state.
enum SourceUnit {
  private struct Known {
    var dimension: String
    /// Base value = value × factor + shift.
    var factor: Double
    var shift: Double = 0
    var names: [String]
  }

  private static let known: [Known] = [
    Known(dimension: "pressure", factor: 1, names: ["Pa"]),
    Known(dimension: "pressure", factor: 1_000, names: ["kPa", "KPa", "KPA"]),
    Known(dimension: "pressure", factor: 1_000_000, names: ["MPa", "Mpa", "MPA"]),
    Known(dimension: "pressure", factor: 100, names: ["hPa", "mbar"]),
    Known(dimension: "pressure", factor: 100_000, names: ["bar"]),
    Known(
      dimension: "temperature",
      factor: 1,
      names: ["Cel", "°C", "℃", "degC", "C", "摄氏度"]
    ),
    Known(dimension: "temperature", factor: 1, shift: -273.15, names: ["K"]),
    Known(
      dimension: "temperature",
      factor: 5.0 / 9.0,
      shift: -160.0 / 9.0,
      names: ["degF", "°F", "℉", "[degF]"]
    ),
    Known(dimension: "length", factor: 1, names: ["m", "米"]),
    Known(dimension: "length", factor: 0.01, names: ["cm"]),
    Known(dimension: "length", factor: 0.001, names: ["mm", "毫米"]),
    Known(dimension: "time", factor: 1, names: ["s"]),
    Known(dimension: "time", factor: 60, names: ["min"]),
    Known(dimension: "time", factor: 3_600, names: ["h"]),
    Known(dimension: "speed", factor: 1, names: ["m/s"]),
    Known(dimension: "current", factor: 1, names: ["A"]),
    Known(dimension: "current", factor: 0.001, names: ["mA"]),
    Known(dimension: "voltage", factor: 1, names: ["V"]),
    Known(dimension: "voltage", factor: 0.001, names: ["mV"]),
    Known(dimension: "voltage", factor: 1_000, names: ["kV"]),
    Known(dimension: "power", factor: 1, names: ["W"]),
    Known(dimension: "power", factor: 1_000, names: ["kW"]),
    Known(dimension: "massConcentration", factor: 1, names: ["mg/m3", "mg/m³", "mg/m^3"]),
    Known(
      dimension: "massConcentration",
      factor: 0.001,
      names: ["ug/m3", "µg/m³", "μg/m³", "ug/m³"]
    ),
    Known(dimension: "massConcentration", factor: 1_000, names: ["g/m3", "g/m³"]),
    Known(dimension: "lowerExplosiveLimit", factor: 1, names: ["%LEL", "LEL%", "%lel"]),
    Known(
      dimension: "volumeFraction",
      factor: 1,
      names: ["%VOL", "%vol", "%Vol", "VOL%", "vol%", "%CH4", "%O2"]
    ),
    Known(
      dimension: "volumeFraction",
      factor: 1e-4,
      names: ["ppm", "PPM", "umol/mol", "μmol/mol"]
    ),
    Known(dimension: "volumeFraction", factor: 1e-7, names: ["ppb", "PPB"]),
    Known(dimension: "flow", factor: 1, names: ["m3/h", "m³/h"]),
    Known(dimension: "flow", factor: 3_600, names: ["m3/s", "m³/s"]),
    Known(dimension: "flow", factor: 0.06, names: ["L/min", "l/min"]),
    Known(dimension: "humidity", factor: 1, names: ["%RH", "RH%"]),
  ]

  /// The linear conversion from one unit to another; nil when there is none.
  static func conversion(from: String, to: String) -> (scale: Double, offset: Double)? {
    if from == to { return (1, 0) }
    guard let source = known.first(where: { $0.names.contains(from) }),
      let target = known.first(where: { $0.names.contains(to) }),
      source.dimension == target.dimension
    else { return nil }
    if source.factor == target.factor && source.shift == target.shift { return (1, 0) }
    return (source.factor / target.factor, (source.shift - target.shift) / target.factor)
  }
}
