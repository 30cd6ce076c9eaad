import PayloadDecoding
import Telemetry
import Testing

/// Foreign JSON: payload forms that gateways really send, each with the mapping that reads it.
@Suite struct MappedJSONTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var mapping: JSONMapping
    var payload: String
    var expected: String
    var topic = "plant/acme/gw-1/GD-07/up"
    var testDescription: String { name }
  }

  static let thingsBoardGateway = JSONMapping(
    values: [
      MappedValue(
        value: "/*/*/values/*",
        device: .key(0),
        point: .key(2),
        time: .pointer("/*/*/ts")
      )
    ])
  static let thingsBoardDevice = JSONMapping(
    values: [
      MappedValue(
        value: "/values/*",
        device: .topic("device"),
        point: .key(0),
        time: .pointer("/ts")
      )
    ])
  static let mine = JSONMapping(
    values: [
      MappedValue(
        value: "/data/*/ssAnalogValue",
        device: .topic("device"),
        point: .pointer("/data/*/ssTransducerPoint"),
        time: .pointer("/csDataTime"),
        status: .pointer("/data/*/ssTransducerState"),
        unit: .pointer("/data/*/ssAnalogUnit")
      )
    ],
    timeFormat: .dateTime(utcOffsetMinutes: 480),
    statusCodes: ["128": .lineBroken],
    numbersInStrings: true
  )
  static let flat = JSONMapping(
    values: [
      MappedValue(
        value: "/ch4",
        device: .pointer("/dev"),
        point: .constant("ch4"),
        time: .pointer("/ts"),
        scale: 0.01,
        required: false
      ),
      MappedValue(
        value: "/data/t",
        device: .pointer("/dev"),
        point: .constant("temp"),
        time: .pointer("/ts"),
        required: false
      ),
    ],
    timeFormat: .epochSeconds
  )
  static let columns = JSONMapping(
    values: [
      MappedValue(value: "/v/*", device: .topic("device"), point: .pointer("/names/*"))
    ])
  /// Value, status and unit in three containers beside each other, of one form or another.
  static let beside = JSONMapping(
    values: [
      MappedValue(
        value: "/values/*",
        device: .topic("device"),
        point: .key(0),
        status: .pointer("/status/*"),
        unit: .pointer("/more/*/unit"),
        optional: .unit
      )
    ],
    statusCodes: ["0": .normal, "2": .powerCut]
  )
  static func status(
    _ source: FieldSource,
    optional: MappedValue.Fields = []
  ) -> JSONMapping {
    JSONMapping(
      values: [
        MappedValue(
          value: "/v/*",
          device: .topic("device"),
          point: .constant("ch4"),
          status: source,
          optional: optional
        )
      ],
      statusCodes: ["128": .lineBroken]
    )
  }
  static func unit(optional: MappedValue.Fields = []) -> JSONMapping {
    JSONMapping(
      values: [
        MappedValue(
          value: "/d/*/v",
          device: .topic("device"),
          point: .pointer("/d/*/p"),
          status: .pointer("/d/*/s"),
          unit: .pointer("/d/*/u"),
          optional: optional
        )
      ],
      statusCodes: ["0": .normal, "128": .lineBroken]
    )
  }
  static func time(_ format: TimeFormat, optional: MappedValue.Fields = []) -> JSONMapping {
    JSONMapping(
      values: [
        MappedValue(
          value: "/v",
          device: .topic("device"),
          point: .constant("ch4"),
          time: .pointer("/t"),
          optional: optional
        )
      ],
      timeFormat: format
    )
  }

  static let cases: [Case] = [
    Case(
      name: "ThingsBoard gateway: device names are keys",
      mapping: thingsBoardGateway,
      payload:
        #"{"GD-07":[{"ts":1795451234567,"values":{"ch4":1.5,"temp":20}},{"ts":1795451234568,"values":{"ch4":2}}],"GD-99":[{"ts":1,"values":{"x":1}}]}"#,
      expected:
        "1=1.5@1795451234567 2=20.0@1795451234567 1=2.0@1795451234568 !unknownDevice /GD-99/0/values/x"
    ),
    Case(
      name: "ThingsBoard device",
      mapping: thingsBoardDevice,
      payload: #"{"ts":1795451234567,"values":{"ch4":1.5,"no":2}}"#,
      expected: "1=1.5@1795451234567 !unknownPoint /values/no"
    ),
    Case(
      name: "mine platform: local time, numbers as text, numeric codes",
      mapping: mine,
      payload:
        #"{"csDataTime":"2026-11-23 17:12:04","data":[{"ssTransducerPoint":"ch4","ssAnalogValue":"0.42","ssTransducerState":0,"ssAnalogUnit":"%LEL"},{"ssTransducerPoint":"temp","ssAnalogValue":"","ssTransducerState":"128","ssAnalogUnit":"℃"},{"ssTransducerPoint":"temp","ssAnalogValue":"x","ssTransducerState":"1"},{"ssTransducerPoint":"temp","ssAnalogValue":5,"ssTransducerState":64,"ssAnalogUnit":"℃"}]}"#,
      expected:
        "1=0.42@1795425124000 2=0.0@1795425124000/lineBroken 2=nan@1795425124000/alarm 2=5.0@1795425124000/unknown ?unmappedStatus"
    ),
    Case(
      name: "flat with scale and seconds",
      mapping: flat,
      payload: #"{"dev":7,"ch4":153,"ts":1795451234,"data":{"t":21.5}}"#,
      expected: "1=1.53@1795451234000 2=21.5@1795451234000"
    ),
    Case(
      name: "seconds with a fraction",
      mapping: flat,
      payload: #"{"dev":"7","ch4":100,"ts":1795451234.567}"#,
      expected: "1=1.0@1795451234567"
    ),
    Case(
      name: "names and values in two arrays",
      mapping: columns,
      payload: #"{"names":["ch4","temp"],"v":[1,2,3]}"#,
      expected: "1=1.0 2=2.0 !missingField /names/2"
    ),
    Case(
      name: "objects beside each other: members belong together by name",
      mapping: beside,
      payload:
        #"{"values":{"ch4":55,"temp":68},"status":{"temp":"2","ch4":"0"},"more":{"x":{},"t\u0065mp":{"unit":"degF"}}}"#,
      expected: "1=55.0 2=20.0/powerCut"
    ),
    Case(
      name: "objects beside each other: a name that only one has, and one written otherwise",
      mapping: beside,
      payload: #"{"status":{"x":"2","\u6e29度":"2"},"values":{"ch4":55,"温度":20}}"#,
      expected: "1=55.0/unknown 2=20.0/powerCut ?unmappedStatus"
    ),
    Case(
      name: "an array beside an object says nothing of its members",
      mapping: beside,
      payload: #"{"values":{"ch4":55},"status":["2"],"more":[{"unit":"%VOL"}]}"#,
      expected: "1=55.0/unknown ?unmappedStatus"
    ),
    Case(
      name: "an object beside an array says nothing of its elements",
      mapping: columns,
      payload: #"{"names":{"a":"ch4"},"v":[1]}"#,
      expected: "!missingField /names/0"
    ),
    Case(
      name: "true and false are no measurements",
      mapping: time(.iso8601, optional: .time),
      payload: #"{"v":false}"#,
      expected: "!wrongType /v"
    ),
    Case(
      name: "names: escaped, numbers, of another type, absent",
      mapping: JSONMapping(
        values: [
          MappedValue(value: "/d/*/v", device: .pointer("/d/*/dev"), point: .pointer("/d/*/p"))
        ]),
      payload:
        #"{"d":[{"dev":"G\u0044-07","p":"\u6e29\u5ea6","v":1},{"dev":7,"p":"ch4","v":2},{"dev":null,"p":"ch4","v":3},{"dev":"GD-07","p":{},"v":4},{"p":"ch4","v":5},{"dev":"GD-07","v":6},{"dev":"G\u0044","p":"ch4","v":7},{"dev":"GD","v":8},{"dev":"GD-07","p":"\u0043","v":9}]}"#,
      expected:
        "2=1.0 1=2.0 !missingField /d/2/dev !missingField /d/3/p !missingField /d/4/dev !missingField /d/5/p !unknownDevice /d/6/dev !missingField /d/7/p !unknownPoint /d/8/v"
    ),
    Case(
      name: "an expansion over no container",
      mapping: columns,
      payload: #"{"v":3}"#,
      expected: "!wrongType /v/*"
    ),
    Case(
      name: "a required value is absent",
      mapping: columns,
      payload: "{}",
      expected: "!missingField /v/*"
    ),
    Case(
      name: "time: ISO 8601",
      mapping: time(.iso8601),
      payload: #"{"v":1,"t":"2026-11-23T17:12:04,567+0800"}"#,
      expected: "1=1.0@1795425124567"
    ),
    Case(
      name: "time: zone missing",
      mapping: time(.iso8601),
      payload: #"{"v":1,"t":"2026-11-23T17:12:04"}"#,
      expected: "!timeMalformed /t"
    ),
    Case(
      name: "time: compact",
      mapping: time(.compact(utcOffsetMinutes: 480)),
      payload: #"{"v":1,"t":"20261123171204567"}"#,
      expected: "1=1.0@1795425124567"
    ),
    Case(
      name: "time: compact as a number",
      mapping: time(.compact(utcOffsetMinutes: 480)),
      payload: #"{"v":1,"t":20261123171204}"#,
      expected: "1=1.0@1795425124000"
    ),
    Case(
      name: "time: slashes",
      mapping: time(.dateTime(utcOffsetMinutes: 480)),
      payload: #"{"v":1,"t":"2026/11/23 17:12:04.5"}"#,
      expected: "1=1.0@1795425124500"
    ),
    Case(
      name: "time: microseconds",
      mapping: time(.epochMicroseconds),
      payload: #"{"v":1,"t":1795451234567999}"#,
      expected: "1=1.0@1795451234567"
    ),
    Case(
      name: "time: nanoseconds as text",
      mapping: time(.epochNanoseconds),
      payload: #"{"v":1,"t":"1795451234567999999"}"#,
      expected: "1=1.0@1795451234567"
    ),
    Case(
      name: "time: the 13th month",
      mapping: time(.compact(utcOffsetMinutes: 480)),
      payload: #"{"v":1,"t":"20261323171204"}"#,
      expected: "!timeMalformed /t"
    ),
    Case(
      name: "time: absent",
      mapping: time(.iso8601),
      payload: #"{"v":1}"#,
      expected: "!missingField /t"
    ),
    Case(
      name: "time: null",
      mapping: time(.iso8601),
      payload: #"{"v":1,"t":null}"#,
      expected: "!missingField /t"
    ),
    Case(
      name: "time: absent where it may be",
      mapping: time(.iso8601, optional: .time),
      payload: #"{"v":1}"#,
      expected: "1=1.0"
    ),
    Case(
      name: "time: malformed where it may be absent",
      mapping: time(.iso8601, optional: .time),
      payload: #"{"v":1,"t":"yesterday"}"#,
      expected: "!timeMalformed /t"
    ),
    Case(
      name: "status: absent",
      mapping: status(.pointer("/s/*")),
      payload: #"{"v":[1,2],"s":["128"]}"#,
      expected: "1=1.0/lineBroken 1=2.0/unknown ?unmappedStatus"
    ),
    Case(
      name: "status: null",
      mapping: status(.pointer("/s")),
      payload: #"{"v":[1],"s":null}"#,
      expected: "1=1.0/unknown ?unmappedStatus"
    ),
    Case(
      name: "status: absent or null where it may be",
      mapping: status(.pointer("/s/*"), optional: .status),
      payload: #"{"v":[1,2,3],"s":[null,"64"]}"#,
      expected: "1=1.0 1=2.0/unknown 1=3.0 ?unmappedStatus"
    ),
    Case(
      name: "unit: absent, null and of another type; of no measurement it needs to be none",
      mapping: unit(),
      payload:
        #"{"d":[{"p":"ch4","v":2.6,"s":0},{"p":"ch4","v":2.6,"s":0,"u":null},{"p":"ch4","v":2.6,"s":0,"u":["%VOL"]},{"p":"ch4","v":null,"s":128},{"p":"temp","v":68,"s":0,"u":"degF"}]}"#,
      expected:
        "1=0.0/lineBroken 2=20.0 !missingField /d/0/u !missingField /d/1/u !wrongType /d/2/u"
    ),
    Case(
      name: "value: null where the source reports an alarm; then it needs no unit",
      mapping: unit(),
      payload: #"{"d":[{"p":"ch4","v":null,"s":1},{"p":"ch4","v":null,"s":0}]}"#,
      expected: "1=nan/alarm !missingField /d/1/v"
    ),
    Case(
      name: "unit: absent where it may be",
      mapping: unit(optional: .unit),
      payload:
        #"{"d":[{"p":"ch4","v":2.6,"s":0},{"p":"ch4","v":2.6,"s":0,"u":null},{"p":"ch4","v":2.6,"s":0,"u":"%VOL"}]}"#,
      expected: "1=2.6 1=2.6 !unitMismatch /d/2/v"
    ),
    Case(
      name: "unit: absent, of a point that has none",
      mapping: unit(),
      payload: #"{"d":[{"p":"v","v":1,"s":0}]}"#,
      expected: "7=1.0",
      topic: "plant/acme/gw-1/shared/up"
    ),
    Case(
      name: "status: from a member's name, one known and one in no table",
      mapping: status(.key(0)),
      payload: #"{"v":{"128":1,"64":2}}"#,
      expected: "1=1.0/lineBroken 1=2.0/unknown ?unmappedStatus"
    ),
    Case(
      name: "status: from the topic, in no table",
      mapping: status(.topic("gateway")),
      payload: #"{"v":{"a":1}}"#,
      expected: "1=1.0/unknown ?unmappedStatus"
    ),
    Case(
      name: "status: a constant that is in no table",
      mapping: status(.constant("64")),
      payload: #"{"v":{"a":1}}"#,
      expected: "1=1.0/unknown ?unmappedStatus"
    ),
    Case(
      name: "a status too long for a code",
      mapping: JSONMapping(
        values: status(.pointer("/s")).values,
        statusCodes: [String(repeating: "9", count: 513): .lineBroken]
      ),
      payload: "{\"v\":[1],\"s\":\"\(String(repeating: "9", count: 513))\"}",
      expected: "1=1.0/unknown ?unmappedStatus"
    ),
    Case(
      name: "another enterprise's device",
      mapping: time(.iso8601),
      payload: #"{"v":1}"#,
      expected: "!notOwner topic {device}",
      topic: "plant/acme/gw-1/X-1/up"
    ),
  ]

  @Test("a payload, its mapping and what it becomes", arguments: cases)
  func table(_ item: Case) throws {
    var bench = Bench([
      TopicRoute(
        id: "plant",
        template: try TopicTemplate("plant/{enterprise}/{gateway}/{device}/up"),
        format: .mappedJSON(item.mapping)
      )
    ])
    #expect(bench.send(item.topic, item.payload).description == item.expected)
  }

  @Test(
    "members that all readings share are not searched for with each",
    .timeLimit(.minutes(1))
  )
  func manyMembers() throws {
    let mapping = JSONMapping(values: [
      MappedValue(
        value: "/v/*",
        device: .pointer("/device"),
        point: .constant("ch4"),
        time: .pointer("/times/59999")
      )
    ])
    var bench = Bench([
      TopicRoute(
        id: "plant",
        template: try TopicTemplate("plant/{enterprise}/{gateway}"),
        format: .mappedJSON(mapping)
      )
    ])
    let others = (0..<30_000).map { "\"o\($0)\":0" }.joined(separator: ",")
    let values = Array(repeating: "1", count: 60_000).joined(separator: ",")
    let times = Array(repeating: "0", count: 59_999).joined(separator: ",") + ",1795451234567"
    let outcome = bench.send(
      "plant/acme/gw-1",
      "{\(others),\"v\":[\(values)],\"times\":[\(times)],\"device\":\"GD-07\"}"
    )
    #expect(outcome.readings.count == 60_000)
    #expect(outcome.readings.allSatisfy { $0.time.milliseconds == 1_795_451_234_567 })
    #expect(outcome.notes.isEmpty)
  }

  @Test("members have no order", arguments: 1...20 as ClosedRange<UInt64>)
  func order(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let count = 400
    let device = DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "GD-07",
      points: (0..<count).map {
        PointEntry(name: "p\($0)", channel: ChannelIndex(rawValue: UInt32($0)), unit: "kPa")
      }
    )
    var bench = Bench(
      [
        TopicRoute(
          id: "plant",
          template: try TopicTemplate("plant/{enterprise}/{gateway}/{device}/up"),
          format: .mappedJSON(Self.beside)
        )
      ],
      devices: [device]
    )
    // What is said of point n hangs on n alone; some members are left out, and some have names with an escape.
    func object(_ member: (Int) -> String, isWhole: Bool) -> String {
      let members = (0..<count).filter { isWhole || $0 % 7 != 0 }.shuffled(using: &random)
      return members.map { "\"\($0 % 5 == 0 ? "\\u0070" : "p")\($0)\":\(member($0))" }
        .joined(separator: ",")
    }
    let values = object({ "\($0)" }, isWhole: true)
    let status = object({ "\"\($0 % 3 == 0 ? 2 : 0)\"" }, isWhole: false)
    let more = object({ "{\"unit\":\"\($0 % 2 == 0 ? "kPa" : "MPa")\"}" }, isWhole: false)
    let payload = "{\"status\":{\(status)},\"values\":{\(values)},\"more\":{\(more)}}"
    let outcome = bench.send("plant/acme/gw-1/GD-07/up", payload)
    #expect(outcome.readings.count == count, "SEED=\(seed)")
    for reading in outcome.readings {
      let number = Int(reading.channel.rawValue)
      let isThere = number % 7 != 0
      let scale = isThere && number % 2 == 1 ? 1_000.0 : 1
      #expect(reading.value == Double(number) * scale, "SEED=\(seed) p\(number)")
      let said: SourceStatus = number % 3 == 0 ? .powerCut : .normal
      #expect(reading.status == (isThere ? said : .unknown), "SEED=\(seed) p\(number)")
    }
  }

  @Test("events beyond the limit are counted with those that say the same; another is still told")
  func manyEvents() throws {
    var bench = Bench(
      [
        TopicRoute(
          id: "plant",
          template: try TopicTemplate("plant/{enterprise}/{gateway}/{device}/up"),
          format: .mappedJSON(Self.status(.pointer("/s/*")))
        )
      ],
      limits: DecodingLimits(notesPerMessage: 2)
    )
    let payload = #"{"v":[1,2,3,4,5,6,7,8,9],"s":["64","64","64","64","64","64","65"]}"#
    #expect(bench.send("plant/acme/gw-1/GD-07/up", payload).readings.count == 9)
    let events = bench.notes.compactMap { note -> DecodingEvent? in
      guard case .event(let event) = note else { return nil }
      return event
    }
    #expect(events.count == 6)
    let counts = Dictionary(grouping: events, by: \.detail)
      .mapValues { $0.reduce(0) { $0 + $1.count } }
    // Both that have no status say the same.
    #expect(counts.values.sorted() == [1, 2, 6], "\(counts)")
  }

  @Test("civil dates are right for every day of 400 years")
  func calendar() throws {
    var bench = Bench(
      [
        TopicRoute(
          id: "plant",
          template: try TopicTemplate("plant/{enterprise}/{gateway}/{device}/up"),
          format: .mappedJSON(Self.time(.compact(utcOffsetMinutes: 0)))
        )
      ],
      limits: DecodingLimits(aheadMilliseconds: .max / 4)
    )
    var expected: Int64 = 946_684_800_000
    for year in 2000..<2400 {
      let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      for (month, days) in [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].enumerated()
      {
        for day in 1...days {
          let date = year * 10_000 + (month + 1) * 100 + day
          let outcome = bench.send("plant/acme/gw-1/GD-07/up", #"{"v":1,"t":\#(date)000000}"#)
          #expect(outcome.description == "1=1.0@\(expected)", "\(date)")
          expected += 86_400_000
        }
      }
    }
  }
}

/// Topic templates against the rules of MQTT topic filters.
@Suite struct TopicTemplateTests {
  @Test(
    "a template, a topic and its captures",
    arguments: [
      ("davy/v1/{enterprise}/{gateway}/readings", "davy/v1/a/b/readings", ["a", "b"]),
      ("davy/v1/{enterprise}/{gateway}/readings", "davy/v1/a/b/readings/c", nil),
      ("davy/v1/{enterprise}/{gateway}/readings", "davy/v1/a/readings", nil),
      ("davy/v1/{enterprise}/{gateway}/readings", "davy/v1//b/readings", nil),
      ("+/{device}/#", "x/d", ["d"]),
      ("+/{device}/#", "x/d/e/f", ["d"]),
      ("+/{device}/#", "$SYS/d", nil),
      ("#", "$SYS/d", nil),
      ("#", "a", []),
      ("$SYS/{x}", "$SYS/d", ["d"]),
      ("a/+", "a/", []),
    ] as [(String, String, [String]?)]
  )
  func matching(template: String, topic: String, captures: [String]?) throws {
    let found = try TopicTemplate(template).match(Array(topic.utf8))
    #expect(found?.map { String(decoding: $0, as: UTF8.self) } == captures)
  }

  @Test(
    "what is no template",
    arguments: [
      ("", TopicTemplateError.empty), ("a/{b}c", .badLevel("{b}c")), ("a/b+", .badLevel("b+")),
      ("{a}/{a}", .repeatedCapture("a")), ("#/a", .wildcardNotLast), ("a/{}", .badLevel("{}")),
    ]
  )
  func refused(template: String, error: TopicTemplateError) {
    #expect(throws: error) { try TopicTemplate(template) }
  }

  @Test("the filter to subscribe to")
  func filter() throws {
    #expect(try TopicTemplate("a/{b}/+/#").filter == "a/+/+/#")
  }
}
