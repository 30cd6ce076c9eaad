/// Frames of HJ 212: `##`, four digits of length, data segment, four hexadecimal digits of CRC, CRLF.
enum HJ212 {
  struct Failure: Error {
    var reason: RejectReason
    var offset: Int
    var detail: String
  }

  /// The header of a data segment and its command parameters.
  struct Segment {
    var requestNumber: [UInt8] = []
    var system: [UInt8] = []
    var command = 0
    var password: [UInt8] = []
    var device: [UInt8] = []
    var flag = 0
    var parts = 1
    var part = 1
    /// What stands between `CP=&&` and `&&`.
    var parameters: Range<Int> = 0..<0

    /// Bit 0 of `Flag`: the sender wants an answer.
    var wantsAnswer: Bool { flag & 1 != 0 }
    /// Bit 1 of `Flag`: the message comes in parts.
    var isPart: Bool { flag & 2 != 0 && parts > 1 }
    /// Bits 2 to 7 of `Flag`: 0 for HJ/T 212-2005, 1 for HJ 212-2017.
    var version: Int { flag >> 2 }
  }

  /// The standard's own check sum over a data segment.
  ///
  /// It resembles Modbus's CRC-16 but shifts the register before each byte's exclusive or, so that
  /// its values differ.
  static func checksum(_ bytes: ByteView) -> UInt16 {
    var register: UInt16 = 0xFFFF
    // After the shift the register has eight bits, so that one table entry does eight steps.
    for index in 0..<bytes.count { register = table[Int((register >> 8) ^ UInt16(bytes[index]))] }
    return register
  }

  private static let table: [UInt16] = (0..<256).map { byte in
    (0..<8).reduce(UInt16(byte)) { register, _ in
      register & 1 == 0 ? register >> 1 : (register >> 1) ^ 0xA001
    }
  }

  /// Modbus's CRC-16, which gateways send by mistake.
  static func modbusChecksum(_ bytes: ByteView) -> UInt16 {
    var register: UInt16 = 0xFFFF
    for index in 0..<bytes.count {
      register ^= UInt16(bytes[index])
      for _ in 0..<8 { register = register & 1 == 0 ? register >> 1 : (register >> 1) ^ 0xA001 }
    }
    return register
  }

  /// The data segment of the frame at `position`, which is moved behind the frame, also where only its check sum is wrong.
  static func frame(_ bytes: ByteView, _ position: inout Int) throws(Failure) -> Range<Int> {
    let start = position
    func failure(_ reason: RejectReason, _ detail: String) -> Failure {
      Failure(reason: reason, offset: start, detail: detail)
    }
    guard start + 6 <= bytes.count, bytes[start] == 0x23, bytes[start + 1] == 0x23 else {
      throw failure(.malformedPayload, "a frame starts with ## and four digits")
    }
    var length = 0
    for index in start + 2..<start + 6 {
      guard bytes[index] &- 0x30 < 10 else {
        throw failure(.malformedPayload, "a frame starts with ## and four digits")
      }
      length = length * 10 + Int(bytes[index] &- 0x30)
    }
    let data = start + 6..<start + 6 + length
    guard data.upperBound + 4 <= bytes.count else {
      throw failure(
        .lengthMismatch,
        "length \(length), but only \(bytes.count - start - 6) bytes follow"
      )
    }
    var sent: UInt16 = 0
    for index in data.upperBound..<data.upperBound + 4 {
      guard let digit = bytes[index].hexValue else {
        throw failure(.lengthMismatch, "no check sum where length \(length) puts it")
      }
      sent = sent << 4 | UInt16(digit)
    }
    let end = data.upperBound + 4
    let isClosed =
      end == bytes.count || bytes[end] == 0x0A || (bytes[end] == 0x0D && end + 1 == bytes.count)
      || (bytes[end] == 0x0D && bytes[end + 1] == 0x0A)
    guard isClosed else {
      throw failure(.lengthMismatch, "no line end where length \(length) puts it")
    }
    position = end
    while position < bytes.count, bytes[position] == 0x0D || bytes[position] == 0x0A {
      position += 1
    }
    let computed = checksum(bytes[data])
    guard sent == computed else {
      let modbus = modbusChecksum(bytes[data])
      let isModbus = sent == modbus || sent == modbus.byteSwapped
      throw failure(
        isModbus ? .modbusChecksum : .checksumMismatch,
        "\(digits(sent)) sent, \(digits(computed)) computed"
      )
    }
    return data
  }

  /// Four upper-case hexadecimal digits.
  static func digits(_ value: UInt16) -> String {
    let text = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: 4 - text.count) + text
  }

  /// Takes a data segment apart.
  static func segment(_ bytes: ByteView, _ data: Range<Int>) throws(Failure) -> Segment {
    var segment = Segment()
    var index = data.lowerBound
    var hasParameters = false
    while index < data.upperBound {
      let keyStart = index
      while index < data.upperBound, bytes[index] != 0x3D, bytes[index] != 0x3B { index += 1 }
      guard index < data.upperBound, bytes[index] == 0x3D else {
        throw Failure(
          reason: .malformedPayload,
          offset: keyStart,
          detail: "a field without = and value"
        )
      }
      let key = bytes[keyStart..<index]
      index += 1
      let valueStart = index
      if key.equals("CP") {
        segment.parameters = try parameters(bytes, valueStart..<data.upperBound)
        hasParameters = true
        break
      }
      while index < data.upperBound, bytes[index] != 0x3B { index += 1 }
      let value = bytes[valueStart..<index]
      index += 1
      func number(_ limit: Int) throws(Failure) -> Int {
        guard let node = JSONNumber.parse(value), node.kind == .integer,
          node.bits <= UInt64(limit)
        else {
          throw Failure(
            reason: .wrongType,
            offset: valueStart,
            detail: "\(key.excerpt()) is not a number up to \(limit)"
          )
        }
        return Int(node.bits)
      }
      switch true {
      case key.equals("QN"): segment.requestNumber = value.array
      case key.equals("ST"): segment.system = value.array
      case key.equals("CN"): segment.command = try number(9_999)
      case key.equals("PW"): segment.password = value.array
      case key.equals("MN"): segment.device = value.array
      case key.equals("Flag"): segment.flag = try number(255)
      case key.equals("PNUM"): segment.parts = try number(9_999)
      case key.equals("PNO"): segment.part = try number(9_999)
      default: break
      }
    }
    guard hasParameters else {
      throw Failure(reason: .missingField, offset: data.lowerBound, detail: "no CP=&&…&&")
    }
    guard !segment.device.isEmpty else {
      throw Failure(reason: .missingField, offset: data.lowerBound, detail: "no MN")
    }
    guard segment.command > 0 else {
      throw Failure(reason: .missingField, offset: data.lowerBound, detail: "no CN")
    }
    if segment.isPart, segment.part < 1 || segment.part > segment.parts {
      throw Failure(
        reason: .malformedPayload,
        offset: data.lowerBound,
        detail: "part \(segment.part) of \(segment.parts)"
      )
    }
    return segment
  }

  private static func parameters(
    _ bytes: ByteView,
    _ range: Range<Int>
  ) throws(Failure) -> Range<Int> {
    let isMarked =
      range.count >= 4 && bytes[range.lowerBound] == 0x26 && bytes[range.lowerBound + 1] == 0x26
      && bytes[range.upperBound - 1] == 0x26 && bytes[range.upperBound - 2] == 0x26
    guard isMarked else {
      throw Failure(
        reason: .malformedPayload,
        offset: range.lowerBound,
        detail: "command parameters not between && and &&"
      )
    }
    return range.lowerBound + 2..<range.upperBound - 2
  }

  /// Whether a command uploads data: real-time, state, day, run time, minute, hour.
  static func isUpload(_ command: Int) -> Bool {
    switch command {
    case 2_011, 2_021, 2_031, 2_041, 2_051, 2_061: true
    default: false
    }
  }

  /// The answer 9014 (data) or 9013 (notice) to a segment.
  static func answer(to segment: Segment) -> [UInt8] {
    let command = isUpload(segment.command) ? "9014" : "9013"
    let version = min(max(segment.version, 0), 1) << 2
    var data: [UInt8] = []
    data += Array("QN=".utf8) + segment.requestNumber
    data += Array(";ST=91;CN=\(command);PW=".utf8) + segment.password
    data += Array(";MN=".utf8) + segment.device
    data += Array(";Flag=\(version);CP=&&&&".utf8)
    let length = "\(data.count)"
    let crc = data.withView { digits(checksum($0)) }
    return Array("##\(String(repeating: "0", count: max(4 - length.count, 0)))\(length)".utf8)
      + data + Array("\(crc)\r\n".utf8)
  }
}
