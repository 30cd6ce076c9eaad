public import Station
import Telemetry

/// Readings as lines of the InfluxDB line protocol; times in milliseconds (`precision=ms`).
///
/// `davy_reading` has the fields `value` (left out where the source says that there is none) and `status`; `davy_minute`
/// has `count`, `mean`, `minimum`, `maximum`, `maximum_time`, `first` and `last` of a minute, at its begin. Tags are the
/// station and the levels of the point's path, so that a series is one point of one station. A line written twice is one
/// point of the series: measurement, tags and time are its key.
public struct LineProtocol: Sendable {
  private let station: String
  /// Tags of points that have been written before.
  private var known: [String: String] = [:]
  private static let knownLimit = 200_000
  private static let levels = ["enterprise", "site", "area", "device"]

  /// Makes a writer.
  public init(station: String) {
    self.station = Self.escaped(station, Self.tagSpecial)
  }

  /// The line of a reading, without its line end.
  public mutating func line(_ reading: RelayBatch.Reading) -> String {
    var fields = ""
    if let value = reading.value, value.isFinite { fields = "value=\(value)," }
    fields += "status=\(Self.quoted("\(reading.status)"))"
    let tags = tags(of: reading.point, unit: reading.unit)
    return "davy_reading\(tags) \(fields) \(reading.time.milliseconds)"
  }

  /// The line of a minute, without its line end.
  public mutating func line(_ minute: MinuteReduction, point: String, unit: String) -> String {
    let mean = minute.sum / Double(minute.count)
    return """
      davy_minute\(tags(of: point, unit: unit)) count=\(minute.count)i,mean=\(mean),\
      minimum=\(minute.minimum),maximum=\(minute.maximum),maximum_time=\(minute.maximumTime)i,\
      first=\(minute.first),last=\(minute.last) \(minute.minute)
      """
  }

  /// `,station=…,enterprise=…,…`; empty levels are left out, because a tag has no empty value.
  private mutating func tags(of point: String, unit: String) -> String {
    let key = point + "\u{0}" + unit
    if let tags = known[key] { return tags }
    let parts = point.split(separator: "/").map(String.init)
    var tags = ",station=\(station)"
    // Levels from the left, the point itself last: a short path lacks those between.
    for (name, part) in zip(Self.levels, parts.dropLast()) {
      tags += ",\(name)=\(Self.escaped(part, Self.tagSpecial))"
    }
    let last = parts.dropFirst(min(parts.count - 1, Self.levels.count)).joined(separator: "/")
    if !last.isEmpty { tags += ",point=\(Self.escaped(last, Self.tagSpecial))" }
    if !unit.isEmpty { tags += ",unit=\(Self.escaped(unit, Self.tagSpecial))" }
    if known.count >= Self.knownLimit { known.removeAll(keepingCapacity: true) }
    known[key] = tags
    return tags
  }

  /// What has a meaning in tag keys and values.
  private static let tagSpecial: Set<Unicode.Scalar> = [",", "=", " "]

  /// A text for a tag: comma, equals sign and space behind a backslash.
  ///
  /// A line end would end the line and cannot be escaped: it becomes a space, as other control characters do. A backslash
  /// stays as it is, but one at the end would escape what follows and cannot be written: it becomes a low line.
  package static func escaped(_ text: String, _ special: Set<Unicode.Scalar>) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      let plain = scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar
      if special.contains(plain) { escaped += "\\" }
      escaped.unicodeScalars.append(plain)
    }
    if escaped.hasSuffix("\\") {
      escaped.removeLast()
      escaped += "_"
    }
    return escaped
  }

  /// A text for a field: in quotes, with quotes and backslashes behind a backslash.
  package static func quoted(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}
