import PayloadDecoding
import Telemetry
import Testing

/// Davy JSON is read in one pass where it has a usual form; the parser with its nodes is the measure of it.
@Suite struct DirectJSONTests {
  /// Forms that working gateways send: all in one pass.
  static let usual = [
    #"{"device":"GD-07","point":"ch4","t":1795451234567,"v":1.03}"#,
    #"{"v":-1.03,"t":1795451234567,"s":"alarm","point":"ch4","device":"GD-07"}"#,
    #"{"device": "GD-07", "point": "ch4", "t": 1795451234567, "v": 0, "unit": "%LEL"}"#,
    " { \"device\" : \"GD-07\" ,\r\n\t\"point\":\"level\",\"v\" :\n1500 } \n",
    #"{"device":"泵房7号","point":"温度","t":"2026-11-23T17:12:04.567+08:00","v":20.5}"#,
    #"{"device":"GD-07","point":"ch4","v":1795451234567.125,"s":"E"}"#,
    #"{"device":"GD-07","point":"ch4","v":1.5e-3}"#,
    #"{"device":"GD-07","t":1795451234567,"readings":[{"point":"ch4","v":1},{"point":"temp","t":1795451234000,"v":2}]}"#,
    #"{"device":"GD-07","t":1795451234567,"s":"1","values":{"ch4":1.5,"temp":20.25,"level":3}}"#,
    #"[{"device":"GD-07","point":"ch4","v":1},{"device":"shared","point":"v","v":2},{"device":"7","values":{"temp":3}}]"#,
    #"{"device":"GD-07","values":{}}"#, #"{"readings":[]}"#, "[]      ",
    #"[{"device":"GD-07","point":"ch4","t":1795451234567,"v":1.5,"unit":"%LEL"},{"device":"GD-07","point":"ch4","t":1795451234568,"v":2,"unit":"%LEL"}]"#,
    #"[{"v":1,"s":"normal","point":"ch4","device":"GD-07"},{"v":-2.5,"s":"E","point":"temp","device":"GD-07"},{"v":3,"s":"alarm","point":"v","device":"shared"}]"#,
    #"{"device":"GD-07","readings":[{ "point" : "ch4",  "v" : 1 },{ "point" : "temp",  "v" : 2.25 }, { "point" : "level",  "v" : 3e1 }]}"#,
  ]
  /// Sound or not: the parser's work.
  static let unusual = [
    #"{"device":"GD-07","point":"ch4","t":1795451234567,"v":1.03,"v":2}"#,
    #"{"device":"GD-07","values":{"ch4":1,"ch4":2}}"#,
    #"{"device":"GD-07","values":{"temp":1,"温度":2}}"#,
    #"{"d\u0065vice":"GD-07","point":"ch4","v":1}"#,
    #"{"device":"GD-07","point":"ch\u0034","v":1}"#,
    #"{"device":"GD-07","point":"ch4","v":01}"#, #"{"device":"GD-07","point":"ch4","v":1.}"#,
    #"{"device":"GD-07","point":"ch4","v":.5}"#, #"{"device":"GD-07","point":"ch4","v":-}"#,
    #"{"device":"GD-07","point":"ch4","v":1e999}"#,
    #"{"device":"GD-07","point":"ch4","v":true}"#, #"{"device":"pump-1","point":"runs","v":true}"#,
    #"{"device":"GD-07","values":{"ch4":1,"temp":false}}"#,
    #"{"device":"GD-07","point":"ch4","v":false,"s":"lineBroken"}"#,
    #"{"device":"GD-07","point":"ch4","v":null,"s":"E"}"#,
    #"{"device":"GD-07","point":"ch4","t":0179545123456,"v":1}"#,
    #"{"device":"GD-07","point":"ch4","t":1795451234567.5,"v":1}"#,
    #"{"device":"GD-07","point":"ch4","t":1795451234567000,"v":1}"#,
    #"{"device":"GD-07","point":"ch4","t":12345678901,"v":1}"#,
    #"{"device":"GD-07","point":"ch4","v":1,"unit":"ppm"}"#,
    #"{"device":"GD-07","point":"ch4","v":1,"s":"?"}"#,
    #"{"device":"GD-07","point":"ch4","v":1,"historical":true}"#,
    #"{"device":"GD-07","point":"ch4","v":1}}"#,
    #"{"device":"GD-07","point":"ch4","v":1"#, #"{"device":"GD-07","point":"ch4","v":1,}"#,
    #"{"device":"GD-07","point":"ch4" "v":1}"#,
    #"{"readings":[{"point":"ch4","v":1}],"device":"GD-07"}"#,
    #"{"device":"GD-07","readings":[{"point":"ch4","v":1},]}"#,
    #"{"device":"GD-07","readings":[{"point":"ch4","v":1},{"point":"no","v":1}]}"#,
    #"{"device":"GD-07","values":{"ch4":1},"t":1795451234567}"#,
    #"{"device":"GD-07","s":"calibration","readings":[{"point":"ch4","v":1}]}"#,
    #"{"device":"GD-07","unit":"%LEL","values":{"ch4":1}}"#,
    #"{"device":"GD-07","point":"ch4","v":5,"readings":[{"point":"ch4","v":1}]}"#,
    #"{"device":"GD-07","point":"ch4","readings":[{"v":1},{"point":"temp","v":2}]}"#,
    #"{"device":"GD-07","readings":[{"v":1}],"point":"ch4"}"#,
    #"{"device":"GD-07","readings":[{"point":"ch4","v":1}],"v":5}"#,
    #"{"device":"GD-07","point":"ch4","values":{"temp":1}}"#,
    #"{"device":"GD-07","values":{"ch4":1},"unit":"ppm"}"#,
    #"[{"device":"GD-07","readings":[{"point":"ch4","v":1}]}]"#,
    #"{"device":"GD-08","point":"co","v":1}"#, #"{"device":"GD-07","v":1}"#, "[{}]", "{}", "[", "{",
    "", "        ", "[[1,2,3]]",
    "{\"device\":\"GD-07\",\"point\":\"ch4\",\"v\":1}\u{FEFF}",
    "{\"device\":\"GD-07\u{1}\",\"point\":\"ch4\",\"v\":1}",
  ]
  static let topics = [
    "davy/v1/acme/gw-1/readings", "davy/v1/acme/gw-1/readings/GD-07/ch4",
    "davy/v1/other/gw-1/readings", "bare",
  ]

  @Test("usual forms are read in one pass", arguments: usual)
  func direct(_ payload: String) throws {
    var bench = Bench(try DavyJSONTests.routes())
    let isDirect = bench.decoder.isReadDirectly(
      topic: Array(Self.topics[0].utf8),
      payload: Array(payload.utf8),
      received: Bench.received
    )
    #expect(isDirect)
  }

  @Test("either way gives the same readings and notes")
  func equal() throws {
    var compared = try Comparison()
    for payload in Self.usual + Self.unusual + DavyJSONTests.cases.map(\.payload) {
      for topic in Self.topics { compared.send(topic, Array(payload.utf8)) }
    }
  }

  @Test(
    "damaged messages: bytes changed, put in, taken out and cut",
    arguments: 1...8 as ClosedRange<UInt64>
  )
  func damaged(seed: UInt64) throws {
    var random = SplitMix(state: seed)
    var compared = try Comparison()
    let sound = (Self.usual + Self.unusual).map { Array($0.utf8) }
    let alphabet =
      Array(#""\:,{}[]0123456789.-+eEtrufalsvn _"#.utf8) + [0, 0x1F, 0x7F, 0x80, 0xC2, 0xE6, 0xFF]
    for _ in 0..<1_500 {
      var payload = sound[random.below(sound.count)]
      for _ in 0...random.below(3) {
        let place = random.below(payload.count + 1)
        let byte = alphabet[random.below(alphabet.count)]
        switch random.below(4) {
        case 0 where place < payload.count: payload[place] = byte
        case 1 where place < payload.count: payload.remove(at: place)
        case 2 where random.below(4) == 0: payload.removeLast(payload.count - place)
        default: payload.insert(byte, at: place)
        }
      }
      compared.send(Self.topics[random.below(2)], payload)
    }
  }

  @Test(
    "lists whose records are written alike, nearly alike and otherwise",
    arguments: 1...8 as ClosedRange<UInt64>
  )
  func lists(seed: UInt64) throws {
    var random = SplitMix(state: seed)
    var compared = try Comparison()
    var direct = 0
    let alphabet = Array(#"":,{}[]0189.-eE "#.utf8)
    for number in 0..<400 {
      // One way of writing for the list, another for a record now and then.
      let usual = Writing(&random)
      let records = (0..<(2 + random.below(6))).map { _ in
        (random.below(6) == 0 ? Writing(&random) : usual).record(
          &random,
          isSound: number % 4 != 0 || random.below(6) != 0
        )
      }
      let list = "[" + records.joined(separator: random.below(5) == 0 ? ", " : ",") + "]"
      let isBelow = random.below(2) == 0
      var payload = Array((isBelow ? #"{"device":"GD-07","readings":\#(list)}"# : list).utf8)
      if number % 4 == 1 {
        payload[random.below(payload.count)] = alphabet[random.below(alphabet.count)]
      }
      let isDirect = compared.quick.decoder.isReadDirectly(
        topic: Array(Self.topics[0].utf8),
        payload: payload,
        received: Bench.received
      )
      direct += isDirect ? 1 : 0
      compared.send(Self.topics[0], payload)
    }
    // Else two parsers would be compared that are one.
    #expect(direct > 200)
  }

  @Test("members at whatever level, in any order", arguments: 1...8 as ClosedRange<UInt64>)
  func levels(seed: UInt64) throws {
    var random = SplitMix(state: seed)
    var compared = try Comparison()
    for _ in 0..<400 {
      let payload = Self.object(&random, depth: 2)
      compared.send(Self.topics[random.below(2)], Array(payload.utf8))
    }
  }

  /// An object of members that Davy knows, each of which may have got there by mistake.
  private static func object(_ random: inout SplitMix, depth: Int) -> String {
    var members = [
      #""device":"GD-07""#, #""point":"ch4""#, #""t":1795451234567"#, #""v":1.5"#,
      #""s":"calibration""#, #""unit":"%LEL""#, #""historical":true"#,
    ].filter { _ in random.below(3) == 0 }
    if depth > 0, random.below(2) == 0 {
      members.append(#""readings":[\#(object(&random, depth: depth - 1))]"#)
    }
    if depth > 0, random.below(2) == 0 {
      let value = random.below(2) == 0 ? "1" : object(&random, depth: depth - 1)
      members.append(#""values":{"ch4":\#(value),"temp":2}"#)
    }
    for index in members.indices { members.swapAt(index, random.below(members.count)) }
    return "{" + members.joined(separator: ",") + "}"
  }

  @Test("the limits of nesting, readings and length are those of the parser")
  func limits() throws {
    for depth in 1...5 {
      for readings in [1, 2, 40] {
        let limits = DecodingLimits(payloadBytes: 600, depth: depth, readingsPerMessage: readings)
        var compared = try Comparison(limits: limits)
        for payload in Self.usual { compared.send(Self.topics[0], Array(payload.utf8)) }
        for count in [31, 32, 33, 41, 65] {
          let values = Array(repeating: #"{"point":"ch4","v":1}"#, count: count).joined(
            separator: ","
          )
          compared.send(Self.topics[0], Array(#"{"device":"GD-07","readings":[\#(values)]}"#.utf8))
        }
      }
    }
  }

  @Test("a name that an earlier point has as its other name means that point")
  func shadowed() throws {
    let device = DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "D",
      points: [
        PointEntry(name: "a", channel: ChannelIndex(rawValue: 1), aliases: ["b"]),
        PointEntry(name: "b", channel: ChannelIndex(rawValue: 2)),
      ]
    )
    var bench = Bench(try DavyJSONTests.routes(), devices: [device])
    let outcome = bench.send(Self.topics[0], #"{"device":"D","values":{"a":1,"b":2}}"#)
    #expect(outcome.description == "1=1.0 1=2.0")
  }

  @Test("names that JSON has to write with escapes are never taken as they are")
  func escapedNames() throws {
    let devices = ["x", #"a"b"#, #"c\d"#].map { id in
      DeviceEntry(
        enterprise: "acme",
        gateway: "gw-1",
        id: id,
        points: ["v", #"w""#, #"\u"#].enumerated().map { index, name in
          PointEntry(name: name, channel: ChannelIndex(rawValue: UInt32(index)))
        }
      )
    }
    for (payload, expected) in [
      (#"{"device":"a"b","point":"v","v":1}"#, ""),
      (#"{"device":"a\"b","point":"v","v":1}"#, "0=1.0"),
      (#"{"device":"c\d","point":"v","v":1}"#, ""),
      (#"{"device":"c\\d","point":"v","v":1}"#, "0=1.0"),
      (#"[{"device":"x","point":"v","v":1},{"device":"x","point":"w"","v":2}]"#, ""),
      (#"[{"device":"x","point":"v","v":1},{"device":"x","point":"w\"","v":2}]"#, "0=1.0 1=2.0"),
    ] {
      for triesDirectly in [true, false] {
        var bench = Bench(try DavyJSONTests.routes(), devices: devices)
        bench.decoder.triesDirectly = triesDirectly
        let outcome = bench.send(Self.topics[0], payload)
        let seen = outcome.readings.map { "\($0.channel.rawValue)=\($0.value)" }.joined(
          separator: " "
        )
        #expect(seen == expected, "\(payload) \(triesDirectly)")
      }
    }
  }

  /// How a program writes its records: which members in which order, and its white space.
  private struct Writing {
    private var members: [String]
    private let colon: String
    private let comma: String
    private let space: String

    init(_ random: inout SplitMix) {
      members = ["device", "point", "t", "s", "unit"].filter { member in
        member == "device" || member == "point" || random.below(3) != 0
      }
      members.append("v")
      for index in members.indices { members.swapAt(index, random.below(members.count)) }
      (colon, comma) = (random.below(3) == 0 ? ": " : ":", random.below(3) == 0 ? ", " : ",")
      space = random.below(5) == 0 ? "                   \n" : ""
    }

    func record(_ random: inout SplitMix, isSound: Bool) -> String {
      var (device, point, unit) = random.oneOf([
        ("GD-07", "ch4", "%LEL"), ("GD-07", "temp", "Cel"), ("GD-07", "温度", "Cel"),
        ("7", "temp", "Cel"), ("7", "ch4", "%LEL"),
      ])
      var value = random.oneOf(["1", "0", "-2.5", "17.125", "123456.789", "1e3"])
      if !isSound {
        switch random.below(4) {
        case 0: device = random.oneOf(["shared", "GD-08", ""])
        case 1: point = random.oneOf(["v", "no", ""])
        case 2: unit = random.oneOf(["%LEM", "ppm", ""])
        default: value = random.oneOf(["01", "1.", "-", "null", "1e999", "true", "false"])
        }
      }
      let texts = members.map { member in
        let text =
          switch member {
          case "device": "\"\(device)\""
          case "point": "\"\(point)\""
          case "unit": "\"\(unit)\""
          case "t":
            random.oneOf(["1795451234567", "1795451234999", #""2026-11-23T17:12:04+08:00""#])
          case "s": random.oneOf([#""normal""#, #""normal""#, #""alarm""#])
          default: value
          }
        return "\"\(member)\"\(colon)\(text)"
      }
      return "{\(space)" + texts.joined(separator: comma) + "\(space)}"
    }
  }

  /// Two decoders side by side, one of which reads nothing in one pass.
  private struct Comparison {
    var quick: Bench
    var thorough: Bench

    init(limits: DecodingLimits = .init()) throws {
      quick = Bench(try DavyJSONTests.routes(), limits: limits)
      thorough = quick
      thorough.decoder.triesDirectly = false
    }

    mutating func send(_ topic: String, _ payload: [UInt8]) {
      let one = quick.send(topic, payload)
      let other = thorough.send(topic, payload)
      #expect(
        one.description == other.description && quick.notes == thorough.notes,
        "\(topic) \(String(decoding: payload, as: UTF8.self))"
      )
    }
  }

  private struct SplitMix {
    var state: UInt64

    mutating func below(_ bound: Int) -> Int {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = state
      value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
      return Int((value ^ (value >> 31)) % UInt64(bound))
    }

    mutating func oneOf<Choice>(_ choices: [Choice]) -> Choice { choices[below(choices.count)] }
  }
}
