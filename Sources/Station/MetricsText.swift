/// Counters and gauges in the Prometheus text format, version 0.0.4.
package struct MetricsText {
  /// What a figure does.
  package enum Kind: String {
    /// It only grows.
    case counter
    /// It goes up and down.
    case gauge
  }

  /// What has been written so far.
  package private(set) var text = ""

  package init() {}

  /// Writes a figure that only grows.
  package mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
    head(name, help, .counter)
    text += "\(name) \(value)\n"
  }

  /// Writes a figure that goes up and down.
  package mutating func gauge(_ name: String, _ help: String, _ value: Int64) {
    head(name, help, .gauge)
    text += "\(name) \(value)\n"
  }

  /// Writes 1 while something is so, else 0.
  package mutating func flag(_ name: String, _ help: String, _ isSo: Bool) {
    gauge(name, help, isSo ? 1 : 0)
  }

  /// Writes a moment in seconds since the Unix epoch.
  package mutating func moment(_ name: String, _ help: String, milliseconds: Int64) {
    head(name, help, .gauge)
    text += "\(name) \(Double(milliseconds) / 1_000)\n"
  }

  /// Writes a figure of several things, told apart by one label.
  package mutating func family<Value: CustomStringConvertible>(
    _ name: String,
    _ help: String,
    _ kind: Kind,
    by label: String,
    _ figures: [(key: String, value: Value)]
  ) {
    head(name, help, kind)
    for (key, value) in figures {
      let escaped = key.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
      text += "\(name){\(label)=\"\(escaped)\"} \(value)\n"
    }
  }

  private mutating func head(_ name: String, _ help: String, _ kind: Kind) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
  }
}
