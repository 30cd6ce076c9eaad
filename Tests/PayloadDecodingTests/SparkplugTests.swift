import PayloadDecoding
import Telemetry
import Testing

/// Sparkplug B, host role, on payloads that pysparkplug encoded.
@Suite struct SparkplugTests {
  static let names = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f", "d", "b", "s"]
  static let devices = [
    DeviceEntry(
      enterprise: "acme",
      gateway: "edge",
      id: "dev",
      points: names.enumerated().map { index, name in
        PointEntry(name: name, channel: ChannelIndex(rawValue: UInt32(index + 1)))
      }
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "edge",
      id: "edge",
      points: [PointEntry(name: "load", channel: ChannelIndex(rawValue: 20))]
    ),
  ]
  static let at = "@1795451234567"
  static let rebirth = ">spBv1.0/acme/NCMD/edge"

  static func bench(
    limits: DecodingLimits = DecodingLimits(),
    devices: [DeviceEntry] = SparkplugTests.devices
  ) throws -> Bench {
    Bench(
      [
        TopicRoute(
          id: "spb",
          template: try TopicTemplate("spBv1.0/{enterprise}/+/{gateway}/#"),
          format: .sparkplugB(SparkplugOptions())
        )
      ],
      devices: devices,
      limits: limits
    )
  }

  typealias V = SparkplugVectors

  /// Sends a vector to the topic of its message type.
  static func send(
    _ bench: inout Bench,
    _ type: String,
    _ vector: String,
    after milliseconds: Int64 = 0
  ) throws -> String {
    let device = type.hasPrefix("D") ? "/dev" : ""
    let bytes = try #require(hex(vector))
    return bench.send("spBv1.0/acme/\(type)/edge\(device)", bytes, after: milliseconds).description
  }

  static func born() throws -> Bench {
    var bench = try bench()
    #expect(try send(&bench, "NBIRTH", V.nodeBirth) == "20=0.5\(at) ?born")
    #expect(try send(&bench, "DBIRTH", V.deviceBirth) == birth + " !wrongType metric 11")
    return bench
  }

  static func values(_ at: String) -> String {
    let values = [
      "-5.0", "-300.0", "-70000.0", "-5000000000.0", "200.0", "65000.0", "4000000000.0",
      "10000000000.0", "1.5", "0.1", "1.0",
    ]
    return values.enumerated().map { "\($0 + 1)=\($1)\(at)" }.joined(separator: " ")
  }
  static let birth = values(at) + " ?born"

  @Test("births give values; data by alias takes names and types from them")
  func session() throws {
    var bench = try Self.born()
    let data = try Self.send(&bench, "DDATA", V.deviceData)
    #expect(data == Self.values("@1795451234568") + " !wrongType metric 11")
    #expect(bench.decoder.nextDeadline == nil)
  }

  @Test(
    "data by name, historical, null",
    arguments: [
      (V.deviceDataNamed, "10=2.5@1795451234567"),
      (V.deviceDataHistorical, "10=2.5@1795451233567/historical"),
      (V.deviceDataNull, "!missingField metric 0"),
      (V.deviceDataAlias99, "!unknownAlias metric 0 >spBv1.0/acme/NCMD/edge"),
    ]
  )
  func data(vector: String, expected: String) throws {
    var bench = try Self.born()
    #expect(try Self.send(&bench, "DDATA", vector) == expected)
  }

  @Test(
    "a quality of whatever type is read, and one that cannot be is not good",
    arguments: [
      // Data type and value of the property: 0 and 192 as doubles, 500 as a float, null, a set of properties.
      ([0x08, 0x0A, 0x31] + Array(repeating: 0, count: 8), "10=2.5/sensorFault"),
      ([0x08, 0x0A, 0x31, 0, 0, 0, 0, 0, 0, 0x68, 0x40], "10=2.5"),
      ([0x08, 0x09, 0x2D, 0, 0, 0xFA, 0x43], "10=2.5/lineBroken"),
      ([0x08, 0x03, 0x10, 0x01], "10=2.5/unknown ?unmappedStatus"),
      ([0x08, 0x14, 0x4A, 0x00], "10=2.5/unknown ?unmappedStatus"),
    ] as [([UInt8], String)]
  )
  func quality(value: [UInt8], expected: String) throws {
    func field(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
      [tag, UInt8(content.count)] + content
    }
    let properties = field(0x0A, Array("Quality".utf8)) + field(0x12, value)
    // Metric "d", a double of 2.5.
    let metric =
      field(0x0A, Array("d".utf8)) + [0x20, 10, 0x69, 0, 0, 0, 0, 0, 0, 0x04, 0x40]
      + field(0x4A, properties)
    var bench = try Self.born()
    let outcome = bench.send("spBv1.0/acme/DDATA/edge/dev", field(0x12, metric) + [0x18, 2])
    #expect(outcome.description == expected)
  }

  @Test("a birth's name too long for a point's is not kept")
  func longName() throws {
    var bench = try Self.bench()
    _ = try Self.send(&bench, "NBIRTH", V.nodeBirth)
    // One metric with a name of 513 bytes, alias 99, a double; seq 1.
    let metric: [UInt8] =
      [0x0A, 0x81, 0x04] + Array(repeating: 0x61, count: 513)
      + [0x10, 99, 0x20, 10, 0x69] + Array(repeating: 0, count: 8)
    let birth: [UInt8] = [0x12, 0x91, 0x04] + metric + [0x18, 1]
    let outcome = bench.send("spBv1.0/acme/DBIRTH/edge/dev", birth)
    #expect(outcome.description == "?born !unknownPoint metric 0")
    #expect(
      try Self.send(&bench, "DDATA", V.deviceDataAlias99)
        == "!unknownAlias metric 0 " + Self.rebirth
    )
  }

  @Test("a boolean is no measurement")
  func boolean() throws {
    var devices = Self.devices
    devices[0].points[10].unit = "%LEL"
    var bench = try Self.bench(devices: devices)
    #expect(try Self.send(&bench, "NBIRTH", V.nodeBirth) == "20=0.5\(Self.at) ?born")
    #expect(
      try Self.send(&bench, "DBIRTH", V.deviceBirth)
        == Self.birth.replacing(" 11=1.0\(Self.at)", with: "")
        + " !wrongType metric 10 !wrongType metric 11"
    )
  }

  @Test("node data by alias")
  func nodeData() throws {
    var bench = try Self.born()
    #expect(try Self.send(&bench, "NDATA", V.nodeData) == "20=0.25\(Self.at)")
  }

  @Test("data before births is refused and a rebirth asked for, once per interval")
  func notBorn() throws {
    var bench = try Self.bench()
    #expect(try Self.send(&bench, "NDATA", V.nodeData) == "!notBorn \(Self.rebirth)")
    #expect(try Self.send(&bench, "DDATA", V.deviceData, after: 9_999) == "!notBorn")
    #expect(try Self.send(&bench, "DDATA", V.deviceData, after: 1) == "!notBorn \(Self.rebirth)")
    _ = try Self.send(&bench, "NBIRTH", V.nodeBirth)
    #expect(
      try Self.send(&bench, "DDATA", V.deviceData, after: 10_000)
        == "?sequenceGap !notBorn \(Self.rebirth)"
    )
  }

  @Test("the rebirth request is what pysparkplug would send")
  func request() throws {
    var bench = try Self.bench()
    bench.now = Timestamp(milliseconds: 1_795_451_234_567)
    let bytes = try #require(hex(V.nodeData))
    let outcome = bench.send("spBv1.0/acme/NDATA/edge", bytes)
    guard case .publish(let message) = outcome.notes.last else {
      Issue.record("no request")
      return
    }
    #expect(message.qos == 0)
    #expect(message.payload == hex(V.rebirthRequest))
  }

  @Test("a gap that closes in time asks for nothing")
  func reordered() throws {
    var bench = try Self.born()
    #expect(try Self.send(&bench, "DDATA", V.deviceData3) == "10=3.0\(Self.at) ?sequenceGap")
    #expect(bench.decoder.nextDeadline == bench.now.advanced(byMilliseconds: 2_000))
    #expect(try Self.send(&bench, "DDATA", V.deviceData4, after: 1_000) == "10=4.0\(Self.at)")
    #expect(try Self.send(&bench, "NDATA", V.nodeData, after: 999) == "20=0.25\(Self.at)")
    #expect(bench.decoder.nextDeadline == nil)
    #expect(try Self.send(&bench, "DDATA", V.deviceData5, after: 5_000) == "10=5.0\(Self.at)")
  }

  @Test("a gap that stays open asks for a rebirth when the reorder timeout ends")
  func gap() throws {
    var bench = try Self.born()
    _ = try Self.send(&bench, "DDATA", V.deviceData3)
    var notes: [DecodingNote] = []
    bench.decoder.advance(to: bench.now.advanced(byMilliseconds: 1_999), notes: &notes)
    #expect(notes.isEmpty)
    bench.decoder.advance(to: bench.now.advanced(byMilliseconds: 2_000), notes: &notes)
    #expect(Outcome(ReadingBatch(), notes).description == Self.rebirth)
    // It goes on from there; the next message is in order.
    #expect(try Self.send(&bench, "DDATA", V.deviceData4, after: 2_000) == "10=4.0\(Self.at)")
    #expect(bench.decoder.nextDeadline == nil)
  }

  @Test("the gap's end also shows with the next message, when nobody ticks")
  func gapWithoutTicks() throws {
    var bench = try Self.born()
    _ = try Self.send(&bench, "DDATA", V.deviceData3)
    #expect(
      try Self.send(&bench, "DDATA", V.deviceData4, after: 2_000)
        == "10=4.0\(Self.at) \(Self.rebirth)"
    )
  }

  @Test("a node's death makes all its channels stale; one of an earlier session does not")
  func nodeDeath() throws {
    var bench = try Self.born()
    #expect(try Self.send(&bench, "NDEATH", V.nodeDeath6) == "?staleDeathIgnored")
    #expect(
      try Self.send(&bench, "NDEATH", V.nodeDeath7) == "?died ~20,1,2,3,4,5,6,7,8,9,10,11,12"
    )
    #expect(try Self.send(&bench, "NDEATH", V.nodeDeath7) == "?staleDeathIgnored")
    #expect(try Self.send(&bench, "DDATA", V.deviceData) == "!notBorn \(Self.rebirth)")
    #expect(try Self.send(&bench, "NBIRTH", V.nodeBirthAgain) == "20=0.75\(Self.at) ?born")
    // The device has to be born in the new session too.
    #expect(
      try Self.send(&bench, "DDATA", V.deviceData, after: 20_000)
        == "?sequenceGap !notBorn \(Self.rebirth)"
    )
  }

  @Test("a device's death makes its own channels stale")
  func deviceDeath() throws {
    var bench = try Self.born()
    #expect(
      try Self.send(&bench, "DDEATH", V.deviceDeath) == "?died ~1,2,3,4,5,6,7,8,9,10,11,12"
    )
    #expect(try Self.send(&bench, "DDATA", V.deviceData3) == "!notBorn \(Self.rebirth)")
  }

  @Test("births survive a restart")
  func snapshot() throws {
    let bench = try Self.born()
    let saved = bench.decoder.snapshot()
    var other = try Self.bench()
    try other.decoder.restore(saved)
    #expect(other.decoder.snapshot() == saved)
    #expect(try Self.send(&other, "NDATA", V.nodeData) == "20=0.25\(Self.at)")
    for length in 0..<saved.count {
      #expect(throws: DecoderSnapshotError.self) {
        try other.decoder.restore(Array(saved[..<length]))
      }
    }
  }

  @Test(
    "topics and payloads that are none",
    arguments: [
      ("spBv1.0/acme/NBIRTH/edge/dev", V.nodeBirth, "!unsupportedFormat topic"),
      ("spBv1.0/acme/DBIRTH/edge", V.deviceBirth, "!unsupportedFormat topic"),
      ("spBv1.0/acme/XBIRTH/edge", V.nodeBirth, "!unsupportedFormat topic"),
      ("spBv1.0/acme/NCMD/edge", V.rebirthRequest, ""),
      ("spBv1.0/acme/NBIRTH/edge", "0887", "!malformedPayload byte 1"),
      ("spBv1.0/acme/NBIRTH/edge", "12ff01", "!malformedPayload byte 0"),
      ("spBv1.0/acme/NBIRTH/edge", "08ffffffffffffffffffff01", "!malformedPayload byte 1"),
      ("spBv1.0/acme/NBIRTH/edge", "0b", "!malformedPayload byte 0"),
      ("spBv1.0/acme/NBIRTH/edge", "00", "!malformedPayload byte 0"),
      ("spBv1.0/acme/NBIRTH/edge", "", "!missingField seq"),
    ]
  )
  func malformed(topic: String, payload: String, expected: String) throws {
    var bench = try Self.bench()
    #expect(bench.send(topic, try #require(hex(payload))).description == expected)
  }

  @Test("births are bounded")
  func bounded() throws {
    var bench = try Self.bench(limits: DecodingLimits(births: 1))
    _ = try Self.send(&bench, "NBIRTH", V.nodeBirth)
    #expect(try Self.send(&bench, "DBIRTH", V.deviceBirth) == "!stateLimit")
    let bytes = try #require(hex(V.nodeBirth))
    #expect(bench.send("spBv1.0/acme/NBIRTH/second", bytes).description == "!stateLimit")
  }
}
