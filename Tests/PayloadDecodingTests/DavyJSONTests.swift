import PayloadDecoding
import Telemetry
import Testing

/// Davy JSON: a payload, and what it becomes.
@Suite struct DavyJSONTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var payload: String
    var expected: String
    var topic: String
    var testDescription: String { payload }

    init(
      _ payload: String,
      _ expected: String,
      topic: String = "davy/v1/acme/gw-1/readings"
    ) {
      self.payload = payload
      self.expected = expected
      self.topic = topic
    }
  }

  static func routes() throws -> [TopicRoute] {
    [
      TopicRoute(
        id: "davy",
        template: try TopicTemplate("davy/v1/{enterprise}/{gateway}/readings"),
        format: .davyJSON
      ),
      TopicRoute(
        id: "davy-point",
        template: try TopicTemplate("davy/v1/{enterprise}/{gateway}/readings/{device}/{point}"),
        format: .davyJSON
      ),
      TopicRoute(id: "bare", template: try TopicTemplate("bare"), format: .davyJSON),
    ]
  }

  static let t = "\"t\":1795451234567"
  static let cases: [Case] = [
    // What a reading may look like.
    Case(#"{"device":"GD-07","point":"ch4",\#(t),"v":1.03}"#, "1=1.03@1795451234567"),
    Case(#"{"v":1.03,"t":1795451234567,"point":"ch4","device":"GD-07"}"#, "1=1.03@1795451234567"),
    Case(#"{"device":"GD-07","point":"ch4","v":1}"#, "1=1.0"),
    Case(#"{"device":"7","point":"温度",\#(t),"v":-3.5}"#, "2=-3.5@1795451234567"),
    Case(#"{"device":"泵房7号","point":"ch4",\#(t),"v":1}"#, "1=1.0@1795451234567"),
    Case(
      #"{"d\u0065vice":"GD\u002d07","point":"ch\u0034",\#(t),"\u0076":1}"#,
      "1=1.0@1795451234567"
    ),
    Case(
      #"{"device":"GD-07","point":"ch4","t":"2026-11-23T17:12:04.567+08:00","v":1}"#,
      "1=1.0@1795425124567"
    ),
    Case(
      #"{"device":"GD-07","point":"ch4","t":"2026-11-23t09:12:04z","v":1}"#,
      "1=1.0@1795425124000"
    ),
    Case(#"{"device":"GD-07","point":"ch4","t":1795451234567.9,"v":1}"#, "1=1.0@1795451234567"),
    // True and false are values of what has no unit, is a state or is counted; a measurement of 0 they are not.
    Case(
      #"{"device":"pump-1","values":{"runs":true,"starts":{"v":true},"note":false,"share":true}}"#,
      "8=1.0 9=1.0 10=0.0 !wrongType /values/share"
    ),
    Case(
      #"{"device":"GD-07","values":{"ch4":false,"temp":true,"level":{"v":false}}}"#,
      "!wrongType /values/ch4 !wrongType /values/temp !wrongType /values/level/v"
    ),
    Case(#"{"device":"GD-07","point":"ch4","v":false,"s":"overRange"}"#, "1=nan/overRange"),
    Case(#"{"device":"GD-07","point":"ch4","v":false,"s":"lineBroken"}"#, "1=0.0/lineBroken"),
    Case(
      #"{"device":"GD-07",\#(t),"values":{"ch4":1.5,"temp":20.25}}"#,
      "1=1.5@1795451234567 2=20.25@1795451234567"
    ),
    Case(
      #"{"device":"GD-07",\#(t),"values":{"ch4":{"v":1.5,"s":"alarm"},"temp":{"v":68,"unit":"degF"}}}"#,
      "1=1.5@1795451234567/alarm 2=20.0@1795451234567"
    ),
    Case(
      #"[{"device":"GD-07","point":"ch4",\#(t),"v":1},{"device":"shared",\#(t),"v":2}]"#,
      "1=1.0@1795451234567 7=2.0@1795451234567"
    ),
    Case(
      #"{"device":"GD-07",\#(t),"readings":[{"point":"ch4","v":1},{"point":"temp","t":1795451234000,"v":2}]}"#,
      "1=1.0@1795451234567 2=2.0@1795451234000"
    ),
    Case(
      #"{"device":"GD-07","historical":true,"readings":[{"point":"ch4",\#(t),"v":1}]}"#,
      "1=1.0@1795451234567/historical"
    ),
    // What an envelope or record says holds below it, where nothing else is said.
    Case(
      #"{"device":"GD-07","s":"calibration","readings":[{"point":"ch4","v":1},{"point":"temp","v":2,"s":"normal"},{"values":{"ch4":3}}]}"#,
      "1=1.0/calibration 2=2.0 1=3.0/calibration"
    ),
    Case(
      #"{"device":"GD-07","unit":"degF","readings":[{"point":"temp","v":68},{"point":"temp","v":20,"unit":"Cel"},{"point":"temp","v":68,"unit":null},{"point":"ch4","v":2.6}]}"#,
      "2=20.0 2=20.0 2=20.0 !unitMismatch /readings/3/unit"
    ),
    Case(#"{"device":"GD-07","unit":"%VOL","values":{"ch4":2.6}}"#, "!unitMismatch /values/ch4"),
    Case(
      #"{"device":"GD-07","unit":"m","values":{"level":2.5,"temp":{"v":20,"unit":"Cel"}}}"#,
      "3=3.5 2=20.0"
    ),
    Case(#"{"device":"GD-07","unit":"degF","values":{"temp":{"v":68,"unit":null}}}"#, "2=20.0"),
    Case(
      #"{"device":"GD-07",\#(t),"historical":true,"values":{"ch4":{"v":1,"t":1795451234000},"temp":{"v":2,"historical":false}}}"#,
      "1=1.0@1795451234000/historical 2=2.0@1795451234567"
    ),
    // A point beside readings: of the records that name none, before that of the topic; members of values name theirs.
    Case(
      #"{"device":"GD-07","point":"temp","readings":[{"v":1},{"point":"ch4","v":2},{"v":3}]}"#,
      "2=1.0 1=2.0 2=3.0"
    ),
    Case(
      #"{"readings":[{"device":"GD-07","v":1},{"device":"7","v":2}],"point":"temp"}"#,
      "2=1.0 2=2.0"
    ),
    Case(
      #"{"device":"GD-07","point":"temp","readings":[{"values":{"ch4":1}},{"v":2}]}"#,
      "1=1.0 2=2.0"
    ),
    Case(
      #"{"point":"temp","readings":[{"v":1}]}"#,
      "2=1.0",
      topic: "davy/v1/acme/gw-1/readings/GD-07/ch4"
    ),
    Case(
      #"{"device":"GD-07","point":"h2s","readings":[{"v":1},{"point":"ch4","v":2},{"device":"shared","point":"v","v":3}]}"#,
      "1=2.0 7=3.0 !unknownPoint /readings/0/point"
    ),
    Case(
      #"{"device":"GD-07","point":7,"readings":[{"v":1},{"point":"ch4","v":2}]}"#,
      "1=2.0 !wrongType /readings/0/point"
    ),
    Case(#"{"v":3}"#, "1=3.0", topic: "davy/v1/acme/gw-1/readings/GD-07/ch4"),
    Case("[]", ""),
    Case(#"{"readings":[]}"#, ""),
    Case(#"{"device":"X-1","v":3,"unit":"MPa","note":{"a":[1,2]}}"#, "5=3000.0", topic: "bare"),
    // Status, unit, scale.
    Case(#"{"device":"GD-07","point":"ch4","v":1,"s":"alarm"}"#, "1=1.0/alarm"),
    Case(#"{"device":"GD-07","point":"ch4","v":1,"s":"报警"}"#, "1=1.0/alarm"),
    Case(#"{"device":"GD-07","point":"ch4","v":1,"s":8}"#, "1=1.0/overRange"),
    Case(#"{"device":"GD-07","point":"ch4","v":1,"s":8.0}"#, "1=1.0/overRange"),
    Case(#"{"device":"GD-07","point":"ch4","v":1,"s":99}"#, "1=1.0/unknown ?unmappedStatus"),
    Case(#"{"device":"GD-07","point":"ch4","v":1,"s":null}"#, "1=1.0/unknown ?unmappedStatus"),
    Case(
      #"{"device":"GD-07","point":"ch4","v":null,"s":null}"#,
      "?unmappedStatus !missingField /v"
    ),
    Case(#"{"device":"GD-07","point":"ch4","v":null,"s":"E"}"#, "1=0.0/sensorFault"),
    Case(#"{"device":"GD-07","point":"ch4","s":"断线"}"#, "1=0.0/lineBroken"),
    // A source that reports something and has no number for it is heard.
    Case(#"{"device":"GD-07","point":"ch4","v":null,"s":"overRange"}"#, "1=nan/overRange"),
    Case(#"{"device":"GD-07","point":"ch4","s":"alarm"}"#, "1=nan/alarm"),
    Case(
      #"{"device":"GD-07","point":"level","v":null,"s":"馈电异常","unit":"m"}"#,
      "3=nan/feedAbnormal"
    ),
    Case(#"{"device":"GD-07","point":"ch4","v":null,"s":"normal"}"#, "!missingField /v"),
    Case(#"{"device":"GD-07","point":"ch4","v":null,"s":"calibration"}"#, "!missingField /v"),
    Case(#"{"device":"GD-07","point":"level","v":2500}"#, "3=3.5"),
    Case(#"{"device":"GD-07","point":"level","v":2.5,"unit":"m"}"#, "3=3.5"),
    Case(#"{"device":"GD-07","point":"temp","v":20,"unit":"℃"}"#, "2=20.0"),
    // What is refused.
    Case(#"{"device":"GD-07","point":"ch4","v":1,"unit":"ppm"}"#, "!unitMismatch /unit"),
    Case(#"{"device":"GD-07","point":"ch4","v":"1"}"#, "!wrongType /v"),
    Case(#"{"device":"GD-07","point":"ch4","v":"NaN"}"#, "!notFinite /v"),
    Case(#"{"device":"GD-07","point":"ch4","v":NaN}"#, "!malformedPayload byte 36"),
    Case(#"{"device":"GD-07","point":"ch4","v":1e999}"#, "!notFinite /v"),
    Case(#"{"device":"GD-07","point":"level","v":1e308,"unit":"m"}"#, "!notFinite /v"),
    Case(#"{"device":"GD-07","point":"ch4","v":[1]}"#, "!wrongType /v"),
    Case(#"{"device":"GD-07","point":"ch4"}"#, "!missingField /v"),
    Case(#"{"device":"GD-07","v":1}"#, "!missingField /point"),
    Case(#"{"point":"ch4","v":1}"#, "!missingField /device"),
    Case(#"{"device":7,"point":"ch4","v":1}"#, "!wrongType /device"),
    Case(#"{"device":"GD-99","point":"ch4","v":1}"#, "!unknownDevice /device"),
    Case(#"{"device":"GD-07","point":"h2s","v":1}"#, "!unknownPoint /point"),
    Case(#"{"device":"GD-08","point":"co","v":1}"#, "!notOwner /device"),
    Case(#"{"device":"X-1","point":"p","v":1}"#, "!notOwner /device"),
    Case(
      #"{"device":"GD-07","point":"ch4","v":1}"#,
      "!notOwner /device",
      topic: "davy/v1/acme/gw-2/readings"
    ),
    Case(
      #"{"device":"GD-07","point":"ch4","v":1}"#,
      "!notOwner /device",
      topic: "davy/v1/nobody/gw-2/readings"
    ),
    Case(#"{"device":"GD-07","point":"ch4","v":1}"#, "6=1.0", topic: "davy/v1/other/gw-1/readings"),
    Case(#"{"device":"GD-07","point":"ch4","v":1}"#, "!ambiguousDevice /device", topic: "bare"),
    Case(
      #"{"device":"GD-07","point":"ch4","v":1}"#,
      "!unknownTopic",
      topic: "davy/v2/acme/gw-1/readings"
    ),
    Case(#"{"device":"GD-07","point":"ch4","t":"yesterday","v":1}"#, "!timeMalformed /t"),
    Case(#"{"device":"GD-07","point":"ch4","t":"2026-11-23T17:12:04","v":1}"#, "!timeMalformed /t"),
    Case(
      #"{"device":"GD-07","point":"ch4","t":"2026-02-30T17:12:04Z","v":1}"#,
      "!timeMalformed /t"
    ),
    // A clock that begins at 1970 is the engine's to find, whatever its zone.
    Case(#"{"device":"GD-07","point":"ch4","t":3600000,"v":1}"#, "1=1.0@3600000"),
    Case(
      #"{"device":"GD-07","point":"ch4","t":"1970-01-01T00:00:00+08:00","v":1}"#,
      "1=1.0@-28800000"
    ),
    Case(#"{"device":"GD-07","point":"ch4","t":-86400001,"v":1}"#, "!timeOutOfRange /v"),
    Case(
      #"{"device":"GD-07","point":"ch4","v":null,"s":"overRange","t":-86400001}"#,
      "!timeOutOfRange /v"
    ),
    Case(#"{"device":"GD-07","point":"ch4","t":9223372036854775807,"v":1}"#, "!timeOutOfRange /v"),
    Case(#"{"device":"GD-07","point":"ch4","t":-9223372036854775808,"v":1}"#, "!timeOutOfRange /v"),
    // A clock that is a year wrong is the engine's to find.
    Case(#"{"device":"GD-07","point":"ch4","t":1895451234567,"v":1}"#, "1=1.0@1895451234567"),
    Case(#"{"device":"GD-07","values":{"ch4":1},"v":1}"#, "!unsupportedFormat /values"),
    // Members that would mean nothing where they stand.
    Case(
      #"{"device":"GD-07","point":"ch4","v":55,"readings":[{"point":"ch4","v":1}]}"#,
      "!unsupportedFormat /v"
    ),
    Case(
      #"{"device":"GD-07","readings":[{"point":"ch4","v":1}],"values":{"temp":55}}"#,
      "!unsupportedFormat /values"
    ),
    Case(#"{"device":"GD-07","point":"ch4","values":{"temp":2}}"#, "!unsupportedFormat /point"),
    Case(
      #"[{"device":"GD-07","point":"ch4","v":1,"readings":[{"point":"ch4","v":2}]},{"device":"GD-07","point":"temp","v":2}]"#,
      "2=2.0 !unsupportedFormat /0/readings"
    ),
    Case(
      #"{"device":"GD-07","values":{"ch4":{"point":"temp","v":1},"level":{"device":"7","v":2},"temp":2}}"#,
      "2=2.0 !unsupportedFormat /values/ch4/point !unsupportedFormat /values/level/device"
    ),
    Case(
      #"{"device":"GD-07","values":{"ch4":{"v":1,"values":{"temp":2}},"level":{"v":1,"readings":[]}}}"#,
      "!unsupportedFormat /values/ch4/values !unsupportedFormat /values/level/readings"
    ),
    Case(
      #"{"device":"GD-07","values":{"ch4":{"v":1,"t":"yesterday"},"temp":{"v":2,"historical":1}}}"#,
      "!timeMalformed /values/ch4/t !wrongType /values/temp/historical"
    ),
    Case("7", "!wrongType"),
    Case("", "!malformedPayload byte 0"),
    Case(#"{"device":"GD-07","point":"ch4","v":1,"v":2}"#, "!duplicateKey byte 39"),
    Case(#"{"device":"GD-07","point":"ch4","v":1"#, "!malformedPayload byte 37"),
    // The good readings beside a bad one are kept.
    Case(
      #"[{"device":"GD-07","point":"ch4","v":1},5,{"device":"GD-07","point":"no","v":1},{"device":"GD-07","point":"temp","v":2}]"#,
      "1=1.0 2=2.0 !wrongType /1 !unknownPoint /2/point"
    ),
    Case(
      #"{"device":"GD-07","values":{"ch4":1,"a/b~c":5,"temp":"x"}}"#,
      "1=1.0 !unknownPoint /values/a~1b~0c !wrongType /values/temp"
    ),
  ]

  @Test("a payload and what it becomes", arguments: cases)
  func table(_ item: Case) throws {
    var bench = Bench(try Self.routes())
    #expect(bench.send(item.topic, item.payload).description == item.expected)
  }

  @Test("limits are kept and what is over them is counted")
  func limits() throws {
    var bench = Bench(
      try Self.routes(),
      limits: DecodingLimits(
        payloadBytes: 2_000,
        depth: 4,
        readingsPerMessage: 10,
        notesPerMessage: 3
      )
    )
    let one = #"{"device":"GD-07","point":"ch4","v":1}"#
    let twelve = "[" + Array(repeating: one, count: 12).joined(separator: ",") + "]"
    let topic = "davy/v1/acme/gw-1/readings"
    let outcome = bench.send(topic, twelve)
    #expect(outcome.readings.count == 10)
    #expect(outcome.lines.suffix(2) == ["!tooManyReadings /10/v", "!tooManyReadings /11/v"])
    #expect(
      bench.send(topic, "[1,2,3,4,5,6]").description
        == "!wrongType /0 !wrongType /1 !wrongType /2 x4"
    )
    #expect(bench.send(topic, "[[[[[]]]]]").description == "!tooDeep byte 4")
    #expect(bench.send(topic, String(repeating: " ", count: 2_001)).description == "!oversize")
  }

  @Test("a topic that names a gateway and no enterprise is that gateway's all the same")
  func gatewayOnly() throws {
    var bench = Bench([
      TopicRoute(
        id: "by",
        template: try TopicTemplate("by/{gateway}/readings"),
        format: .davyJSON
      )
    ])
    let payload = #"{"device":"GD-08","point":"co","v":1}"#
    #expect(bench.send("by/gw-1/readings", payload).description == "!notOwner /device")
    #expect(bench.send("by/gw-2/readings", payload).description == "4=1.0")
    #expect(
      bench.send("by/gw-9/readings", #"{"device":"shared","v":1}"#).description == "7=1.0"
    )
    let twice = #"{"device":"GD-07","point":"ch4","v":1}"#
    #expect(bench.send("by/gw-1/readings", twice).description == "!ambiguousDevice /device")
  }

  @Test("what no name, time, code or unit is as long as is refused once, not with each reading")
  func longWords() throws {
    var bench = Bench(try Self.routes())
    let records = Array(repeating: #"{"v":1}"#, count: 100).joined(separator: ",")
    let long = String(repeating: "0", count: 513)
    for member in ["device", "point", "s", "unit"] {
      let payload = #"{"\#(member)":"\#(long)","readings":[\#(records)]}"#
      let outcome = bench.send("davy/v1/acme/gw-1/readings/GD-07/ch4", payload)
      #expect(outcome.description == "!unsupportedFormat /\(member)")
    }
    let time = #"{"device":"GD-07","point":"ch4","v":1,"t":"2026-11-23T17:12:04.\#(long)Z"}"#
    #expect(bench.send("davy/v1/acme/gw-1/readings", time).description == "!timeMalformed /t")
  }

  @Test(
    "text in another encoding is told as such",
    arguments: [
      ([0xEF, 0xBB, 0xBF, 0x7B, 0x7D], "byte order mark"), ([0xFF, 0xFE, 0x7B, 0], "UTF-16"),
      ([0xFE, 0xFF, 0, 0x7B], "UTF-16"), ([0x7B, 0, 0x7D, 0], "UTF-16"),
      ([0, 0x7B, 0, 0x7D], "UTF-16"), ([0x7C, 0x7D], "no JSON value"), ([0], "no JSON value"),
    ] as [([UInt8], String)]
  )
  func encodings(payload: [UInt8], word: String) throws {
    var bench = Bench(try Self.routes())
    let outcome = bench.send("davy/v1/acme/gw-1/readings", payload)
    #expect(outcome.description.hasPrefix("!malformedPayload byte "))
    #expect(bench.notes.first?.reject?.detail.contains(word) == true, "\(bench.notes)")
  }

  @Test("every reason has a stable name and a remedy in two languages")
  func remedies() {
    for reason in RejectReason.allCases {
      #expect(!reason.remedy.isEmpty && !reason.remedyChinese.isEmpty)
      #expect(reason.remedyChinese.unicodeScalars.contains { $0.value > 0x4E00 })
    }
    #expect(Set(RejectReason.allCases.map(\.remedy)).count == RejectReason.allCases.count)
  }

  @Test("explains each field without changing the decoder")
  func explain() throws {
    let bench = Bench(try Self.routes())
    let fields = bench.decoder.explain(
      topic: Array("davy/v1/acme/gw-1/readings".utf8),
      payload: Array(#"{"device":"GD-07","note":1,"values":{"ch4":2.5,"zz":1}}"#.utf8),
      received: Bench.received
    )
    #expect(fields.map(\.place) == ["topic", "/note", "/values/ch4", "/values/zz"])
    #expect(fields.map(\.outcome) == [.used, .ignored, .used, .rejected])
    #expect(fields[2].meaning.contains("acme/GD-07/ch4 = 2.5 %LEL"))
    let inner = bench.decoder.explain(
      topic: Array("davy/v1/acme/gw-1/readings".utf8),
      payload: Array(#"{"device":"7","values":{"ch4":{"v":1,"note":1,"point":"temp"}}}"#.utf8),
      received: Bench.received
    )
    #expect(inner.map(\.place) == ["topic", "/values/ch4/note", "/values/ch4/point"])
    #expect(inner.map(\.outcome) == [.used, .ignored, .rejected])
    let misnamed = bench.decoder.explain(
      topic: Array("davy/v1/acme/gw-1/readings".utf8),
      payload: Array(#"{"device":"GD-07","point":"ch4","v":0,"Status":"fault","note":1}"#.utf8),
      received: Bench.received
    )
    let ignored = misnamed.filter { $0.outcome == .ignored }.map(\.meaning)
    #expect(
      ignored == [
        "not a member Davy knows; if s is meant, call it so", "not a member Davy knows",
      ]
    )
  }
}
