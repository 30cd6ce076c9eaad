extension SparkplugPayload {
  /// What the reader makes of a payload, one line, for a comparison with another implementation; `!` when it refuses.
  ///
  /// Time, sequence number, then for each metric name (hexadecimal), alias, time, data type, flags and value (doubles
  /// by their bits); `-` for what is absent.
  package static func text(of payload: [UInt8]) -> String {
    payload.withView { bytes in
      let content: SparkplugPayload
      do throws(ProtobufReader.Failure) {
        content = try SparkplugPayload(bytes, metricsLimit: .max)
      } catch {
        return "!"
      }
      func number(_ value: UInt64?) -> String { value.map { "\($0)" } ?? "-" }
      let metrics = content.metrics.map { metric in
        let name =
          metric.name.map { bytes[$0].array.map { HJ212.digits(UInt16($0)) }.joined() } ?? "-"
        let flags = (metric.isHistorical ? "h" : "") + (metric.isNull ? "n" : "")
        let value =
          switch metric.value {
          case .none: "-"
          case .integer(let bits): "i\(bits)"
          case .double(let value): "d\(value.bitPattern)"
          case .bool(let value): value ? "true" : "false"
          case .other: "o"
          }
        return
          "\(name),\(number(metric.alias)),\(number(metric.timestamp)),\(metric.datatype),\(flags),\(value)"
      }
      return ([number(content.timestamp), number(content.sequence)] + metrics)
        .joined(separator: " ")
    }
  }
}
