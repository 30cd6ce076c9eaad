import PayloadDecoding
import Telemetry
import Testing

/// SenML: the examples of RFC 8428 resolved, and what its rules refuse.
@Suite struct SenMLTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var payload: String
    var expected: String
    var topic = "senml/acme/gw-1"
    var testDescription: String { name }
  }

  static func point(_ name: String, _ row: UInt32, _ unit: String) -> PointEntry {
    PointEntry(name: name, channel: ChannelIndex(rawValue: row), unit: unit)
  }

  static let devices = [
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "urn:dev:ow:10e2073a0108006",
      points: [point("voltage", 1, "V"), point("current", 2, "A")]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "urn:dev:ow:10e2073a01080063",
      points: [point("", 3, "")]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "2001:db8::1",
      points: [point("temperature", 4, "Cel"), point("humidity", 5, "%RH")]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "2001:db8::2",
      points: [point("temperature", 6, "Cel"), point("humidity", 7, "%RH")]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "box",
      points: [point("temp", 8, "Cel"), point("open", 9, ""), point("label", 10, "")]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-2",
      id: "other",
      points: [point("temp", 11, "Cel")]
    ),
  ]

  static func bench() throws -> Bench {
    Bench(
      [
        TopicRoute(
          id: "json",
          template: try TopicTemplate("senml/{enterprise}/{gateway}"),
          format: .senMLJSON
        ),
        TopicRoute(
          id: "json-device",
          template: try TopicTemplate("senml/{enterprise}/{gateway}/{device}"),
          format: .senMLJSON
        ),
        TopicRoute(
          id: "cbor",
          template: try TopicTemplate("cbor/{enterprise}/{gateway}"),
          format: .senMLCBOR
        ),
      ],
      devices: devices
    )
  }

  static let currents =
    "1=120.1@1276020076001 2=1.2@1276020071001 2=1.3@1276020072001 2=1.4@1276020073001 2=1.5@1276020074001 2=1.6@1276020075001 2=1.7@1276020076001"

  static let cases: [Case] = [
    Case(
      name: "RFC 8428, 5.1.1: a single datum",
      payload: #"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#,
      expected: "3=23.1"
    ),
    Case(
      name: "RFC 8428, 5.1.2: several measurements, base name",
      payload:
        #"[{"bn":"urn:dev:ow:10e2073a0108006:","n":"voltage","u":"V","v":120.1},{"n":"current","u":"A","v":1.2}]"#,
      expected: "1=120.1 2=1.2"
    ),
    Case(
      name: "RFC 8428, 5.1.2: base time, unit and version",
      payload:
        #"[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},{"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},{"n":"current","t":-3,"v":1.4},{"n":"current","t":-2,"v":1.5},{"n":"current","t":-1,"v":1.6},{"n":"current","v":1.7}]"#,
      expected: currents
    ),
    Case(
      name: "working group example 4: a record of base fields first",
      payload:
        #"[{"bn":"urn:dev:ow:10e2073a01080063","bt":1320067464,"bu":"%RH"},{"v":21.2,"t":0},{"v":21.3,"t":10},{"v":21.5,"t":92}]"#,
      expected: "3=21.2@1320067464000 3=21.3@1320067474000 3=21.5@1320067556000"
    ),
    Case(
      name: "RFC 8428, 5.1.5: other data types",
      payload:
        #"[{"bn":"box/","n":"temp","u":"Cel","v":23.1},{"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"nfc-reader","vd":"aGkgCg"}]"#,
      expected: "8=23.1 9=0.0 !wrongType /1 !wrongType /3"
    ),
    Case(
      name: "a boolean is no temperature",
      payload: #"[{"n":"box:temp","vb":false},{"n":"box:open","vb":true}]"#,
      expected: "9=1.0 !wrongType /0/vb"
    ),
    Case(
      name: "RFC 8428, 5.1.6: a collection of resources",
      payload:
        #"[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},{"n":"humidity","u":"%RH","v":30},{"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},{"n":"humidity","u":"%RH","v":67}]"#,
      expected:
        "6=25.2@1320078429000 7=30.0@1320078429000 4=12.3@1320078429000 5=67.0@1320078429000"
    ),
    Case(
      name: "base value",
      payload: #"[{"bn":"box:","bv":20,"n":"temp","v":1.5},{"n":"temp","v":-1}]"#,
      expected: "8=21.5 8=19.0"
    ),
    Case(
      name: "times below 2^28 are relative to now",
      payload: #"[{"n":"box:temp","v":1,"t":-60},{"n":"box:temp","v":2,"t":268435455}]"#,
      expected: "8=1.0 8=2.0"
    ),
    Case(
      name: "2^28 is absolute",
      payload: #"[{"n":"box:temp","v":2,"t":268435456}]"#,
      expected: "8=2.0@268435456000"
    ),
    Case(
      name: "device in the topic",
      payload: #"[{"n":"temp","v":1},{"bn":"box:","n":"temp","v":2}]"#,
      expected: "8=1.0 8=2.0",
      topic: "senml/acme/gw-1/box"
    ),
    Case(
      name: "unit converted and refused",
      payload: #"[{"n":"box:temp","u":"K","v":300},{"n":"box:temp","u":"V","v":300}]"#,
      expected: "8=26.85 !unitMismatch /1/u"
    ),
    Case(
      name: "unknown and foreign devices",
      payload: #"[{"n":"x:temp","v":1},{"n":"other:temp","v":1},{"n":"box:x","v":1}]"#,
      expected: "!unknownDevice /0/n !notOwner /1/n !unknownPoint /2/n"
    ),
    Case(
      name: "names",
      payload:
        #"[{"v":1},{"n":"-box:temp","v":1},{"n":"温度","v":1},{"n":"http://[2001:db8::3]/","v":1}]"#,
      expected:
        "!missingField /0/n !malformedPayload /1/n !malformedPayload /2/n !malformedPayload /3/n"
    ),
    Case(
      name: "exactly one value",
      payload:
        #"[{"n":"box:temp"},{"n":"box:temp","v":1,"vb":true},{"n":"box:temp","s":5},{"n":"box:temp","v":"1"},{"n":"box:temp","v":1}]"#,
      expected: "8=1.0 !missingField /0 !unsupportedFormat /1 !missingField /2 !wrongType /3/v"
    ),
    Case(
      name: "a version from the future refuses the pack",
      payload: #"[{"n":"box:temp","v":1},{"bver":11,"n":"box:temp","v":1}]"#,
      expected: "!unsupportedFormat /1"
    ),
    Case(
      name: "a mandatory extension refuses the pack",
      payload: #"[{"n":"box:temp","v":1},{"n":"box:temp","v":1,"must_":1}]"#,
      expected: "!unsupportedFormat /1"
    ),
    Case(
      name: "other extensions are passed over",
      payload: #"[{"n":"box:temp","v":1,"may":[1,{}]}]"#,
      expected: "8=1.0"
    ),
    Case(
      name: "a bad base field refuses the pack",
      payload: #"[{"n":"box:temp","v":1},{"bt":"now","n":"box:temp","v":1}]"#,
      expected: "!wrongType /1"
    ),
    // A label is all of its bytes: one that ends with U+0000 is another, unknown one (time and value would be made up).
    Case(
      name: "labels that end with U+0000",
      payload:
        #"[{"n":"box:temp","v":1,"t\u0000":-60},{"n":"box:temp","v\u0000":1},{"n\u0000":"box:temp","v":1},{"\u0000":1,"n":"box:temp","v":2}]"#,
      expected: "8=1.0 8=2.0 !missingField /1 !missingField /2/n"
    ),
    Case(
      name: "a base name that nothing has",
      payload: "[{\"bn\":\"\(String(repeating: "b", count: 513))\"},{\"v\":1},{\"v\":2}]",
      expected: "!unsupportedFormat /0"
    ),
    Case(
      name: "a base unit that nothing has",
      payload:
        "[{\"n\":\"box:temp\",\"v\":1},{\"bu\":\"\(String(repeating: "b", count: 513))\"}]",
      expected: "!unsupportedFormat /1"
    ),
    Case(name: "not a pack", payload: #"{"n":"box:temp","v":1}"#, expected: "!wrongType"),
    Case(name: "not a record", payload: "[1]", expected: "!wrongType /0"),
    Case(name: "an empty pack", payload: "[]", expected: ""),
  ]

  @Test("a pack and what it becomes", arguments: cases)
  func json(_ item: Case) throws {
    var bench = try Self.bench()
    #expect(bench.send(item.topic, item.payload).description == item.expected)
  }

  @Test("relative times count from the receive time")
  func relative() throws {
    var bench = try Self.bench()
    let outcome = bench.send("senml/acme/gw-1", #"[{"n":"box:temp","v":1,"t":-60.5}]"#)
    #expect(outcome.readings[0].time == Bench.received.advanced(byMilliseconds: -60_500))
    #expect(outcome.readings[0].flags == .receiveTimed)
    let ahead = bench.send("senml/acme/gw-1", #"[{"bt":86400,"n":"box:temp","v":1,"t":0.5}]"#)
    #expect(ahead.readings[0].time == Bench.received)
    #expect(ahead.readings[0].flags == .receiveTimed)
  }

  static let cborCases: [Case] = [
    Case(
      name: "RFC 8428, section 6: the example",
      payload:
        "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333",
      expected: currents
    ),
    Case(
      name: "indefinite lengths",
      payload: "9fbf007f63626f78653a74656d70ff0218c8ffff",
      expected: "8=200.0"
    ),
    Case(
      name: "decimal fraction",
      payload: "81a20068626f783a74656d7002c4822219010a",
      expected: "8=0.266"
    ),
    Case(
      name: "negative decimal fraction",
      payload: "81a20068626f783a74656d7002c48221390109",
      expected: "8=-2.66"
    ),
    Case(
      name: "decimal fraction of the least whole number",
      payload: "81a20068626f783a74656d7002c482313bffffffffffffffff",
      expected: "8=-18.446744073709553"
    ),
    Case(name: "labels as text", payload: "81a2616e68626f783a74656d70617601", expected: "8=1.0"),
    Case(name: "boolean", payload: "81a20068626f783a6f70656e04f5", expected: "9=1.0"),
    Case(
      name: "boolean for a temperature",
      payload: "81a20068626f783a74656d7004f4",
      expected: "!wrongType /0/vb"
    ),
    Case(
      name: "single precision",
      payload: "81a20068626f783a74656d7002fa3fc00000",
      expected: "8=1.5"
    ),
    Case(name: "NaN", payload: "81a20068626f783a74656d7002f97e00", expected: "!notFinite /0"),
    Case(
      name: "an unknown label with a nested value",
      payload: "81a30068626f783a74656d70020119038781a16161c24101",
      expected: "8=1.0"
    ),
    Case(
      name: "a label twice",
      payload: "81a302010068626f783a74656d700202",
      expected: "!duplicateKey byte 16"
    ),
    Case(
      name: "cut off",
      payload: "81a20068626f783a74656d70",
      expected: "!malformedPayload byte 12"
    ),
    Case(
      name: "array longer than the payload",
      payload: "9bffffffffffffffff",
      expected: "!malformedPayload byte 9"
    ),
    Case(
      name: "string longer than the payload",
      payload: "81a1007bffffffffffffffff",
      expected: "!malformedPayload byte 3"
    ),
    Case(
      name: "text that is not UTF-8",
      payload: "81a10061ff",
      expected: "!malformedPayload byte 3"
    ),
    Case(name: "something after the pack", payload: "8000", expected: "!malformedPayload byte 1"),
    Case(name: "no array", payload: "a0", expected: "!wrongType byte 1"),
    Case(name: "empty", payload: "", expected: "!malformedPayload byte 0"),
  ]

  @Test("a pack in CBOR and what it becomes", arguments: cborCases)
  func cbor(_ item: Case) throws {
    var bench = try Self.bench()
    let bytes = try #require(hex(item.payload))
    #expect(bench.send("cbor/acme/gw-1", bytes).description == item.expected)
  }
}

extension SenMLTests {
  /// RFC 8428, table 6; the numbers as CBOR writes them.
  static let labels: [(text: String, number: UInt8)] = [
    ("bver", 0x20), ("bn", 0x21), ("bt", 0x22), ("bu", 0x23), ("bv", 0x24), ("bs", 0x25), ("n", 0),
    ("u", 1), ("v", 2), ("vs", 3), ("vb", 4), ("s", 5), ("t", 6), ("ut", 7), ("vd", 8),
  ]

  @Test("a label in words is that in numbers, and nothing else is", arguments: labels)
  func label(_ text: String, _ number: UInt8) throws {
    var bench = try Self.bench()
    let value: [UInt8] =
      ["bn", "bu", "n", "u", "vs", "vd"].contains(text)
      ? [0x61, 0x31] : text == "vb" ? [0xF5] : [0x01]
    /// What comes of a record with the field by number, then by these bytes.
    func send(_ label: [UInt8]) -> String {
      bench.send(
        "cbor/acme/gw-1",
        [0x81, 0xA2, number] + value + [0x60 + UInt8(label.count)] + label + value
      ).description
    }
    let bytes = Array(text.utf8)
    #expect(send(bytes).hasPrefix("!duplicateKey"), "\(text)")
    for other in [bytes + [0], [0] + bytes, bytes + [0x20], bytes.map { $0 ^ 0x20 }] {
      #expect(!send(other).contains("duplicateKey"), "\(other)")
    }
  }
}

/// Bytes from hexadecimal text.
func hex(_ text: String) -> [UInt8]? {
  let digits = text.compactMap { $0.hexDigitValue }
  guard digits.count == text.count, digits.count % 2 == 0 else { return nil }
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}
