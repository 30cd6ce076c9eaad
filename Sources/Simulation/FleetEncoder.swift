/// One report of a device: all its points at one time.
struct FleetReport {
  var device: String
  /// Milliseconds since the Unix epoch, a whole second.
  var time: Int64
  var values: [(point: String, value: Double)]
}

/// Writes reports as the gateways of a fleet send them.
///
/// These writers share nothing with the decoder, so that a fleet that is understood proves something.
struct FleetEncoder {
  private let format: FleetFormat
  private let base: String
  /// Sparkplug: the sequence number of the next message and of the session.
  private var sequence: UInt8 = 0
  private var session: UInt64 = 0
  /// Sparkplug: device → its first alias; a device's points have successive ones.
  private var aliases: [String: UInt64] = [:]
  private var nextAlias: UInt64 = 1

  init(format: FleetFormat, enterprise: String) {
    self.format = format
    base = "\(enterprise)/\(format.rawValue)"
  }

  /// The topic on which a device's reports go out.
  private func topic(_ device: String) -> String {
    switch format {
    case .davyJSON: "davy/v1/\(base)/readings"
    case .mappedJSON: "fleet/\(base)/telemetry"
    case .sparkplugB: sparkplugTopic("DDATA", device)
    case .senMLJSON: "davy/v1/\(base)/senml"
    case .senMLCBOR: "davy/v1/\(base)/senml-cbor"
    case .influxLine: "davy/v1/\(base)/influx"
    case .hj212: "fleet/\(base)/up"
    }
  }

  /// The message that carries a report.
  mutating func message(_ report: FleetReport) -> FleetMessage {
    FleetMessage(
      time: report.time,
      topic: topic(report.device),
      payload: payload(report),
      qos: format == .sparkplugB ? 0 : 1
    )
  }

  private mutating func payload(_ report: FleetReport) -> [UInt8] {
    switch format {
    case .davyJSON:
      let values = report.values.map { "\"\($0.point)\":\($0.value)" }.joined(separator: ",")
      return Array(
        "{\"device\":\"\(report.device)\",\"t\":\(report.time),\"values\":{\(values)}}".utf8
      )
    case .mappedJSON:
      let values = report.values.map { "\"\($0.point)\":\($0.value)" }.joined(separator: ",")
      return Array(
        "{\"\(report.device)\":[{\"ts\":\(report.time),\"values\":{\(values)}}]}".utf8
      )
    case .senMLJSON:
      var records = report.values.map { "{\"n\":\"\($0.point)\",\"v\":\($0.value)}" }
      records[0] =
        "{\"bn\":\"\(report.device):\",\"bt\":\(report.time / 1_000),\(records[0].dropFirst())"
      return Array("[\(records.joined(separator: ","))]".utf8)
    case .senMLCBOR: return cbor(report)
    case .influxLine:
      let fields = report.values.map { "\($0.point)=\($0.value)" }.joined(separator: ",")
      return Array("reading,device=\(report.device) \(fields) \(report.time)000000".utf8)
    case .hj212: return hj212(report)
    case .sparkplugB:
      let first = aliases[report.device] ?? 0
      return sparkplug(
        report.time,
        report.values.enumerated().map { index, entry in
          metric(nil, alias: first + UInt64(index), report.time, entry.value)
        }
      )
    }
  }

  // MARK: SenML CBOR

  private func cbor(_ report: FleetReport) -> [UInt8] {
    func head(_ major: UInt8, _ count: Int) -> [UInt8] {
      switch count {
      case ..<24: [major << 5 | UInt8(count)]
      case ..<256: [major << 5 | 24, UInt8(count)]
      default: [major << 5 | 25, UInt8(count >> 8 & 255), UInt8(count & 255)]
      }
    }
    func text(_ text: String) -> [UInt8] { head(3, text.utf8.count) + Array(text.utf8) }
    func number(_ value: Double) -> [UInt8] {
      [0xFB] + (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt64(56 - $0 * 8)) }
    }
    var bytes = head(4, report.values.count)
    for (index, entry) in report.values.enumerated() {
      bytes += head(5, index == 0 ? 4 : 2)
      // Labels of RFC 8428, table 4: bn -2, bt -3, n 0, v 2.
      if index == 0 {
        bytes += [0x21] + text(report.device + ":") + [0x22] + number(Double(report.time) / 1_000)
      }
      bytes += [0x00] + text(entry.point) + [0x02] + number(entry.value)
    }
    return bytes
  }

  // MARK: HJ 212

  private func hj212(_ report: FleetReport) -> [UInt8] {
    let stamp = Self.beijing(report.time)
    let groups = report.values.map { "\($0.point)-Rtd=\($0.value),\($0.point)-Flag=N" }
    let data =
      "QN=\(stamp)000;ST=31;CN=2011;PW=123456;MN=\(report.device);Flag=5;"
      + "CP=&&DataTime=\(stamp);\(groups.joined(separator: ";"))&&"
    var register: UInt16 = 0xFFFF
    for byte in data.utf8 {
      register = (register >> 8) ^ UInt16(byte)
      for _ in 0..<8 { register = register & 1 == 1 ? (register >> 1) ^ 0xA001 : register >> 1 }
    }
    let sum = String(register, radix: 16, uppercase: true)
    return Array("##\(Self.padded(data.utf8.count, 4))\(data)".utf8)
      + Array(String(repeating: "0", count: 4 - sum.count).utf8) + Array("\(sum)\r\n".utf8)
  }

  /// `yyyyMMddHHmmss` at UTC+8.
  static func beijing(_ milliseconds: Int64) -> String {
    let seconds = milliseconds / 1_000 + 8 * 3_600
    let (days, clock) = (seconds / 86_400, seconds % 86_400)
    // Civil date of a day number: Howard Hinnant's algorithm.
    let shifted = days + 719_468
    let era = shifted / 146_097
    let ofEra = shifted - era * 146_097
    let years = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * years + years / 4 - years / 100)
    let shiftedMonth = (5 * ofYear + 2) / 153
    let day = ofYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = years + era * 400 + (month <= 2 ? 1 : 0)
    return padded(Int(year), 4) + padded(Int(month), 2) + padded(Int(day), 2)
      + padded(Int(clock / 3_600), 2) + padded(Int(clock / 60 % 60), 2)
      + padded(Int(clock % 60), 2)
  }

  private static func padded(_ number: Int, _ width: Int) -> String {
    let text = "\(number)"
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }

  // MARK: Sparkplug B

  private func sparkplugTopic(_ type: String, _ device: String?) -> String {
    let parts = base.split(separator: "/")
    return "spBv1.0/\(parts[0])/\(type)/\(parts[1])" + (device.map { "/\($0)" } ?? "")
  }

  /// Birth certificates of the node and of the devices in `reports`; nothing for other formats.
  mutating func births(_ reports: [FleetReport]) -> [FleetMessage] {
    guard format == .sparkplugB, let first = reports.first else { return [] }
    sequence = 0
    // bdSeq as INT64 (4), rebirth as Boolean (11).
    let node = sparkplug(
      first.time,
      [
        Self.field(1, "bdSeq") + [0x20, 4, 0x58] + Self.varint(session),
        Self.field(1, "Node Control/Rebirth") + [0x20, 11, 0x70, 0],
      ]
    )
    session = (session + 1) % 256
    var messages = [
      FleetMessage(time: first.time, topic: sparkplugTopic("NBIRTH", nil), payload: node, qos: 0)
    ]
    for report in reports {
      let alias = aliases[report.device] ?? nextAlias
      if aliases[report.device] == nil {
        aliases[report.device] = alias
        nextAlias += UInt64(report.values.count)
      }
      let metrics = report.values.enumerated().map { index, entry in
        metric(entry.point, alias: alias + UInt64(index), report.time, entry.value)
      }
      messages.append(
        FleetMessage(
          time: report.time,
          topic: sparkplugTopic("DBIRTH", report.device),
          payload: sparkplug(report.time, metrics),
          qos: 0
        )
      )
    }
    return messages
  }

  private mutating func sparkplug(_ time: Int64, _ metrics: [[UInt8]]) -> [UInt8] {
    defer { sequence &+= 1 }
    return [0x08] + Self.varint(UInt64(time))
      + metrics.flatMap { [0x12] + Self.varint(UInt64($0.count)) + $0 }
      + [0x18] + Self.varint(UInt64(sequence))
  }

  /// A metric of type Double (10): name only in a birth, then by alias.
  private func metric(_ name: String?, alias: UInt64, _ time: Int64, _ value: Double) -> [UInt8] {
    let bits = (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt64($0 * 8)) }
    return (name.map { Self.field(1, $0) } ?? []) + [0x10] + Self.varint(alias) + [0x18]
      + Self.varint(UInt64(time)) + [0x20, 10, 0x69] + bits
  }

  private static func field(_ number: UInt8, _ text: String) -> [UInt8] {
    [number << 3 | 2] + varint(UInt64(text.utf8.count)) + Array(text.utf8)
  }

  private static func varint(_ number: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }
}
