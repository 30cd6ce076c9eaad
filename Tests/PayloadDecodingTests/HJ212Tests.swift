import PayloadDecoding
import Telemetry
import Testing

/// HJ 212: framing, its own check sum, flags, parts in every order, answers.
@Suite struct HJ212Tests {
  static let number = "010000A8900016F000169DC0"
  static let devices = [
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: number,
      points: [
        PointEntry(name: "a21026", channel: ChannelIndex(rawValue: 1)),
        PointEntry(name: "a34013", channel: ChannelIndex(rawValue: 2)),
        PointEntry(name: "a34013-Avg", channel: ChannelIndex(rawValue: 3)),
        PointEntry(name: "a01001", channel: ChannelIndex(rawValue: 4)),
      ],
      statusCodes: ["9": .feedAbnormal]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-2",
      id: "OTHER",
      points: [PointEntry(name: "a21026", channel: ChannelIndex(rawValue: 9))]
    ),
  ]

  static func bench(
    _ options: HJ212Options = HJ212Options(replyTopic: "hj212/{gateway}/{device}/down"),
    limits: DecodingLimits = DecodingLimits()
  ) throws -> Bench {
    Bench(
      [
        TopicRoute(
          id: "hj212",
          template: try TopicTemplate("hj212/{enterprise}/{gateway}"),
          format: .hj212(options)
        )
      ],
      devices: devices,
      limits: limits
    )
  }

  /// The standard's check sum, written a second way: by its table-free definition on bits.
  static func checksum(_ bytes: [UInt8]) -> UInt16 {
    var register = 0xFFFF
    for byte in bytes {
      register = (register / 256) ^ Int(byte)
      for _ in 0..<8 { register = register % 2 == 1 ? (register / 2) ^ 0xA001 : register / 2 }
    }
    return UInt16(register)
  }

  static func modbus(_ bytes: [UInt8]) -> UInt16 {
    var register = 0xFFFF
    for byte in bytes {
      register ^= Int(byte)
      for _ in 0..<8 { register = register % 2 == 1 ? (register / 2) ^ 0xA001 : register / 2 }
    }
    return UInt16(register)
  }

  static func padded(_ number: Int, _ width: Int, _ radix: Int = 10) -> String {
    let text = String(number, radix: radix, uppercase: true)
    return String(repeating: "0", count: max(width - text.count, 0)) + text
  }

  static func frame(_ data: String, checksum sum: UInt16? = nil, length: Int? = nil) -> String {
    let bytes = Array(data.utf8)
    let value = sum ?? checksum(bytes)
    return "##" + padded(length ?? bytes.count, 4) + data + padded(Int(value), 4, 16) + "\r\n"
  }

  static func data(
    _ parameters: String,
    command: Int = 2011,
    flag: Int = 4,
    more: String = "",
    device: String = number,
    request: String = "20160801085857223"
  ) -> String {
    "QN=\(request);ST=32;CN=\(command);PW=100000;MN=\(device);Flag=\(flag);\(more)CP=&&\(parameters)&&"
  }

  static let vector =
    "QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
  static let time = "DataTime=20261123171204;"
  static let at = "@1795425124000"

  @Test("the standard's vector: length 0101, check sum 1C80; Modbus would be 0759")
  func vector() throws {
    #expect(Self.frame(Self.vector) == "##0101\(Self.vector)1C80\r\n")
    #expect(Self.modbus(Array(Self.vector.utf8)) == 0x0759)
    var bench = try Self.bench()
    let topic = "hj212/acme/gw-1"
    let answer = ">hj212/gw-1/\(Self.number)/down"
    #expect(bench.send(topic, "##0101\(Self.vector)1C80\r\n").description == "\(answer) ?control")
    #expect(bench.send(topic, "##0101\(Self.vector)1c80\r\n").description == "\(answer) ?control")
    let modbus = bench.send(topic, "##0101\(Self.vector)0759\r\n")
    #expect(modbus.description == "!modbusChecksum byte 0")
    #expect(modbus.notes[0].reject?.detail == "0759 sent, 1C80 computed")
    #expect(modbus.notes[0].reject?.remedy.contains("Modbus") == true)
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var payload: String
    var expected: String
    var testDescription: String { payload }
  }

  static let cases: [Case] = [
    Case(
      payload: frame(data(time + "a21026-Rtd=1.5,a21026-Flag=N;a34013-Rtd=0.25,a34013-Flag=N")),
      expected: "1=1.5\(at) 2=0.25\(at)"
    ),
    Case(payload: frame(data(time + "a21026-Rtd=1.5")), expected: "1=1.5\(at)"),
    Case(
      payload: frame(
        data(
          time + "a34013-Min=1,a34013-Avg=2,a34013-Max=3,a34013-Cou=9,a34013-Flag=N",
          command: 2051
        )
      ),
      expected: "3=2.0\(at)"
    ),
    Case(
      payload: frame(data(time + "a21026-SampleTime=20261123171300,a21026-Rtd=1.5")),
      expected: "1=1.5@1795425180000"
    ),
    Case(
      payload: frame(data("a21026-Rtd=1.5", request: "20261123171204567")),
      expected: "1=1.5@1795425124567"
    ),
    // Data flags.
    Case(
      payload: frame(
        data(
          time + "a21026-Rtd=1,a21026-Flag=T;a34013-Rtd=2,a34013-Flag=C;a01001-Rtd=3,a01001-Flag=m"
        )
      ),
      expected: "1=1.0\(at)/overRange 2=2.0\(at)/calibration 4=3.0\(at)/maintenance"
    ),
    // Factors, and the time before them, parted by commas only.
    Case(
      payload: frame(
        data(
          time + "a21026-Rtd=1,a21026-Flag=D,a34013-Rtd=2,a34013-SampleTime=20261123171300,"
            + "a34013-Flag=N,a01001-Rtd=3,a01001-SampleTime=20261123171205"
        )
      ),
      expected: "1=1.0\(at)/sensorFault 2=2.0@1795425180000 4=3.0@1795425125000"
    ),
    Case(
      payload: frame(data("DataTime=20261123171204,a21026-Rtd=1.5,a21026-Flag=T;a34013-Rtd=2")),
      expected: "1=1.5\(at)/overRange 2=2.0\(at)"
    ),
    Case(
      payload: frame(
        data(
          time + "a21026-Rtd=,a21026-Flag=D;a34013-Rtd=--,a34013-Flag=B;a01001-Rtd=3,a01001-Flag=F"
        )
      ),
      expected: "1=0.0\(at)/sensorFault 4=3.0\(at)/outOfUse !wrongType a34013-Rtd"
    ),
    Case(
      payload: frame(data(time + "a21026-Rtd=,a21026-Flag=T;a34013-Rtd=,a34013-Flag=N")),
      expected: "1=nan\(at)/overRange !wrongType a34013-Rtd"
    ),
    Case(
      payload: frame(data(time + "a21026-Rtd=1,a21026-Flag=Q;a34013-Rtd=2,a34013-Flag=9")),
      expected: "1=1.0\(at)/unknown 2=2.0\(at)/feedAbnormal ?unmappedStatus"
    ),
    Case(
      payload: frame(data(time + "a21026-Rtd=1,a21026-Flag=P", flag: 0)),
      expected: "1=1.0\(at)/substationFault"
    ),
    Case(
      payload: frame(data(time + "a21026-Rtd=1,a21026-Flag=P")),
      expected: "1=1.0\(at)/unknown ?unmappedStatus"
    ),
    // What is refused.
    Case(
      payload: frame(data(time + "zz-Rtd=1;a21026-Rtd=2")),
      expected: "1=2.0\(at) !unknownPoint zz-Rtd"
    ),
    Case(
      payload: frame(data(time + "a21026-Rtd=abc;a34013-Rtd=2")),
      expected: "2=2.0\(at) !wrongType a21026-Rtd"
    ),
    Case(
      payload: frame(data(time + "nothing;a34013-Rtd=2")),
      expected: "2=2.0\(at) !malformedPayload CP byte 24"
    ),
    Case(payload: frame(data("DataTime=2026;a34013-Rtd=2")), expected: "!timeMalformed DataTime"),
    Case(payload: frame(data(time + "a21026-Rtd=1", device: "OTHER")), expected: "!notOwner MN"),
    Case(
      payload: frame(data(time + "a21026-Rtd=1", device: "NOBODY")),
      expected: "!unknownDevice MN"
    ),
    Case(payload: frame(data(time + "a21026-Rtd=1", flag: 8)), expected: "!unsupportedFormat Flag"),
    Case(payload: frame("QN=1;CN=2011;CP=&&&&"), expected: "!missingField byte 6"),
    Case(payload: frame("MN=1;CP=&&&&"), expected: "!missingField byte 6"),
    Case(payload: frame("MN=1;CN=2011"), expected: "!missingField byte 6"),
    Case(payload: frame("MN=1;CN=2011;CP=a"), expected: "!malformedPayload byte 22"),
    Case(payload: frame("MN=1;CN=x;CP=&&&&"), expected: "!wrongType byte 14"),
    Case(payload: frame("MN;CN=x;CP=&&&&"), expected: "!malformedPayload byte 6"),
    Case(payload: frame(data(time), checksum: 0x1234), expected: "!checksumMismatch byte 0"),
    Case(payload: frame(data(time), length: 90), expected: "!lengthMismatch byte 0"),
    Case(payload: frame(data(time), length: 9999), expected: "!lengthMismatch byte 0"),
    Case(payload: "#", expected: "!malformedPayload byte 0"),
    Case(payload: "##12", expected: "!malformedPayload byte 0"),
    Case(payload: "", expected: "!malformedPayload byte 0"),
    // Several frames; a bad one costs only itself.
    Case(
      payload: frame(data(time + "a21026-Rtd=1")) + frame(data(time), checksum: 0) + "noise"
        + frame(data(time + "a21026-Rtd=2")),
      expected: "1=1.0\(at) 1=2.0\(at) !checksumMismatch byte 119 !malformedPayload byte 120"
    ),
  ]

  @Test("a frame and what it becomes", arguments: cases)
  func table(_ item: Case) throws {
    var bench = try Self.bench()
    let outcome = bench.send("hj212/acme/gw-1", item.payload).description
    if item.payload.contains("noise") {
      #expect(outcome.hasPrefix("1=1.0\(Self.at) 1=2.0\(Self.at) !checksumMismatch byte "))
    } else {
      #expect(outcome == item.expected)
    }
  }

  @Test("frames nested on purpose are summed up a few times only, and what follows them is read")
  func nested() throws {
    var bench = try Self.bench()
    let nested = String(repeating: "##9999\n", count: 3_000)
    let good = Self.frame(Self.data(Self.time + "a21026-Rtd=2"))
    let outcome = bench.send("hj212/acme/gw-1", nested + good)
    #expect(outcome.readings.count == 1)
    let sums = outcome.notes.compactMap(\.reject).filter { $0.reason == .checksumMismatch }
    #expect(sums.reduce(0) { $0 + $1.count } == 18)
  }

  @Test("the answer to an upload carries its request number and a right check sum")
  func answer() throws {
    var bench = try Self.bench()
    let outcome = bench.send(
      "hj212/acme/gw-1",
      Self.frame(Self.data(Self.time + "a21026-Rtd=1", flag: 5))
    )
    guard case .publish(let message) = outcome.notes.first else {
      Issue.record("no answer")
      return
    }
    let data = "QN=20160801085857223;ST=91;CN=9014;PW=100000;MN=\(Self.number);Flag=4;CP=&&&&"
    #expect(String(decoding: message.payload, as: UTF8.self) == Self.frame(data))
    #expect(String(decoding: message.topic, as: UTF8.self) == "hj212/gw-1/\(Self.number)/down")
    var silent = try Self.bench(HJ212Options())
    #expect(silent.send("hj212/acme/gw-1", Self.frame(Self.data(Self.time, flag: 5))).notes.isEmpty)
  }

  @Test("a later version of the standard is read when the source is declared to follow it")
  func edition() throws {
    var bench = try Self.bench(HJ212Options(edition: .year2025))
    let payload = Self.frame(Self.data(Self.time + "a21026-Rtd=1", flag: 8))
    #expect(bench.send("hj212/acme/gw-1", payload).description == "1=1.0\(Self.at)")
  }

  static func permutations(_ count: Int) -> [[Int]] {
    guard count > 1 else { return [Array(0..<count)] }
    return permutations(count - 1).flatMap { rest in
      (0...rest.count).map { place in rest[..<place] + [count - 1] + rest[place...] }
    }
  }

  @Test("parts in every order, cut at groups or anywhere, give the whole", arguments: 2...5)
  func parts(count: Int) throws {
    let whole =
      Self.time + "a21026-Rtd=1.5,a21026-Flag=N;a34013-Rtd=0.25,a34013-Flag=T;a01001-Rtd=7"
    let groups = whole.split(separator: ";").map(String.init)
    var cuts: [[String]] = []
    // Anywhere, into pieces of equal length.
    let size = (whole.count + count - 1) / count
    cuts.append(
      (0..<count).map { index in
        String(whole.dropFirst(index * size).prefix(size))
      }
    )
    if count <= groups.count {
      // At groups, with and without the time repeated.
      let last = groups[(count - 1)...].joined(separator: ";")
      let pieces = Array(groups[..<(count - 1)]) + [last]
      cuts.append(pieces)
      cuts.append(pieces.enumerated().map { $0 == 0 ? $1 : Self.time + $1 })
    }
    let expected = "1=1.5\(Self.at) 2=0.25\(Self.at)/overRange 4=7.0\(Self.at)"
    for pieces in cuts {
      for order in Self.permutations(count) {
        var bench = try Self.bench()
        for (step, index) in order.enumerated() {
          let data = Self.data(pieces[index], flag: 6, more: "PNUM=\(count);PNO=\(index + 1);")
          let outcome = bench.send("hj212/acme/gw-1", Self.frame(data), after: 100)
          let isLast = step == count - 1
          #expect(outcome.description == (isLast ? expected : ""), "\(pieces) in order \(order)")
          // A part that comes twice changes nothing.
          #expect(bench.send("hj212/acme/gw-1", Self.frame(data)).description == "?duplicatePart")
        }
        #expect(bench.decoder.nextDeadline == nil)
      }
    }
  }

  @Test("parts that never come are given up, with what is missing")
  func incomplete() throws {
    var bench = try Self.bench()
    let data = Self.data(Self.time + "a21026-Rtd=1", flag: 6, more: "PNUM=3;PNO=2;")
    #expect(bench.send("hj212/acme/gw-1", Self.frame(data)).description == "")
    let deadline = try #require(bench.decoder.nextDeadline)
    #expect(deadline == bench.now.advanced(byMilliseconds: 30_000))
    var notes: [DecodingNote] = []
    bench.decoder.advance(to: deadline.advanced(byMilliseconds: -1), notes: &notes)
    #expect(notes.isEmpty)
    bench.decoder.advance(to: deadline, notes: &notes)
    #expect(notes.first?.reject?.reason == .incompleteParts)
    #expect(notes.first?.reject?.detail == "parts 1, 3 of 3 are missing")
    #expect(bench.decoder.nextDeadline == nil)
  }

  @Test("awaited parts are bounded; the oldest give way")
  func bounded() throws {
    var bench = try Self.bench(limits: DecodingLimits(openAssemblies: 2, assemblyBytes: 4_000))
    func part(_ request: Int, _ text: String = "a21026-Rtd=1") -> String {
      Self.frame(Self.data(text, flag: 6, more: "PNUM=2;PNO=1;", request: "\(request)"))
    }
    #expect(bench.send("hj212/acme/gw-1", part(1)).description == "")
    #expect(bench.send("hj212/acme/gw-1", part(2)).description == "")
    #expect(
      bench.send("hj212/acme/gw-1", part(3)).lines.map { $0.prefix(16) } == ["!incompleteParts"]
    )
    #expect(
      bench.send("hj212/acme/gw-1", part(4, String(repeating: "x", count: 3_950))).lines.count == 2
    )
    #expect(
      bench.send("hj212/acme/gw-1", part(5, String(repeating: "x", count: 4_100))).description
        == "!stateLimit PNO"
    )
  }

  @Test("awaited parts survive a restart")
  func snapshot() throws {
    var bench = try Self.bench()
    let pieces = [Self.time + "a21026-Rtd=1", "a34013-Rtd=2"]
    func part(_ index: Int) -> String {
      Self.frame(Self.data(pieces[index], flag: 6, more: "PNUM=2;PNO=\(index + 1);"))
    }
    _ = bench.send("hj212/acme/gw-1", part(0))
    let saved = bench.decoder.snapshot()
    var other = try Self.bench()
    try other.decoder.restore(saved)
    #expect(other.decoder.snapshot() == saved)
    #expect(other.send("hj212/acme/gw-1", part(1)).description == "1=1.0\(Self.at) 2=2.0\(Self.at)")
    // Any damage is an error, never a trap, and leaves the state as it was.
    for length in 0..<saved.count {
      #expect(throws: DecoderSnapshotError.self) {
        try other.decoder.restore(Array(saved[..<length]))
      }
    }
  }
}
