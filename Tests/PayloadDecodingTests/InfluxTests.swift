import PayloadDecoding
import Telemetry
import Testing

/// InfluxDB line protocol: escapes, types, precision, and lines that are none.
@Suite struct InfluxTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var payload: String
    var expected: String
    var options = InfluxOptions()
    var topic = "influx/acme/gw-1"
    var testDescription: String { payload }
  }

  static let devices = [
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "pump 1,a=b",
      aliases: ["cpu", "p1"],
      points: [
        PointEntry(name: "v", channel: ChannelIndex(rawValue: 1), aliases: ["cpu.v", "m x.v"]),
        PointEntry(name: "field key,=", channel: ChannelIndex(rawValue: 2)),
        PointEntry(name: "ch4", channel: ChannelIndex(rawValue: 3), unit: "%LEL"),
      ],
      statusCodes: ["3": .lineBroken]
    )
  ]

  static let cases: [Case] = [
    Case(payload: "cpu v=1.5 1795451234567000000", expected: "1=1.5@1795451234567"),
    Case(payload: "m,device=p1,zone=a v=1.5", expected: "1=1.5"),
    Case(payload: "m,device=pump\\ 1\\,a\\=b v=1", expected: "1=1.0"),
    Case(payload: "m,device=p1 field\\ key\\,\\==7", expected: "2=7.0"),
    Case(
      payload: "m\\ x,device=p1 v=1",
      expected: "1=1.0",
      options: InfluxOptions(pointName: .measurementAndField)
    ),
    Case(
      payload: String(repeating: "m", count: 513) + ",device=p1 v=1,w=2\nm\\ x,device=p1 v=1",
      expected: "1=1.0 !unknownPoint line 1",
      options: InfluxOptions(pointName: .measurementAndField)
    ),
    Case(
      payload: "m,device=p1 v=42i\nm,device=p1 v=-42i\nm,device=p1 v=42u",
      expected: "1=42.0 1=-42.0 1=42.0"
    ),
    Case(payload: "m,device=p1 v=18446744073709551615u", expected: "1=1.8446744073709552e+19"),
    Case(payload: "m,device=p1 v=-1u", expected: "!malformedPayload line 1, byte 14"),
    Case(
      payload: "m,device=p1 v=9223372036854775808i",
      expected: "!malformedPayload line 1, byte 14"
    ),
    Case(payload: "m,device=p1 v=1.5i", expected: "!malformedPayload line 1, byte 14"),
    Case(payload: "m,device=p1 v=1e2i", expected: "!malformedPayload line 1, byte 14"),
    Case(
      payload:
        "m,device=p1 v=1e3\nm,device=p1 v=-.5\nm,device=p1 v=+1\nm,device=p1 v=007\nm,device=p1 v=1.",
      expected: "1=1000.0 1=-0.5 1=1.0 1=7.0 1=1.0"
    ),
    Case(
      payload: "m,device=p1 v=t\nm,device=p1 v=F\nm,device=p1 v=True\nm,device=p1 v=FALSE",
      expected: "1=1.0 1=0.0 1=1.0 1=0.0"
    ),
    Case(
      payload: "m,device=p1 ch4=f,v=1\nm,device=p1,status=3 ch4=F",
      expected: "1=1.0 3=0.0/lineBroken !wrongType line 1, field ch4"
    ),
    Case(payload: "m,device=p1 v=tRUE", expected: "!malformedPayload line 1, byte 14"),
    Case(payload: "m,device=p1 v=NaN", expected: "!notFinite line 1, field v"),
    Case(payload: "m,device=p1 v=\"text\"", expected: "!wrongType line 1, field v"),
    Case(payload: "m,device=p1 v=1,status=\"报警\"", expected: "1=1.0/alarm"),
    Case(payload: "m,device=p1,status=3 v=nan", expected: "1=0.0/lineBroken"),
    Case(payload: "m,device=p1,status=overRange v=nan", expected: "1=nan/overRange"),
    Case(payload: "m,device=p1 status=3i,v=1", expected: "1=1.0/lineBroken"),
    Case(payload: "m,device=p1 status=77i,v=1", expected: "1=1.0/unknown ?unmappedStatus"),
    Case(
      payload: "m,device=p1 note=\"a \\\"b\\\\\n, c=d\",v=1",
      expected: "1=1.0 !unknownPoint line 1, field note"
    ),
    Case(
      payload: "# comment\n\n  \r\nm,device=p1 v=1 \r\nm,device=p1 v=2",
      expected: "1=1.0 1=2.0"
    ),
    Case(
      payload: "m,device=p1 v=1 1795451234567",
      expected: "1=1.0@1795451234567",
      options: InfluxOptions(precision: .milliseconds)
    ),
    Case(
      payload: "m,device=p1 v=1 1795451234",
      expected: "1=1.0@1795451234000",
      options: InfluxOptions(precision: .seconds)
    ),
    Case(
      payload: "m,device=p1 v=1 1795451234567890",
      expected: "1=1.0@1795451234567",
      options: InfluxOptions(precision: .microseconds)
    ),
    Case(
      payload: "m,device=p1 v=1 9223372036854775807",
      expected: "!timeOutOfRange line 1",
      options: InfluxOptions(precision: .seconds)
    ),
    Case(payload: "m,device=p1 v=1 1.5", expected: "!malformedPayload line 1, byte 16"),
    Case(payload: "m,device=p1 v=1 1 1", expected: "!malformedPayload line 1, byte 18"),
    Case(
      payload: "m,device=p1 v=1\nbad\nm,device=p1 v=3",
      expected: "1=1.0 1=3.0 !malformedPayload line 2, byte 19"
    ),
    Case(payload: "m,device= v=1", expected: "!malformedPayload line 1, byte 9"),
    Case(payload: "m,device v=1", expected: "!malformedPayload line 1, byte 8"),
    Case(payload: "m,device=p1", expected: "!malformedPayload line 1, byte 11"),
    Case(payload: "m,device=p1 v=", expected: "!malformedPayload line 1, byte 14"),
    Case(payload: "m,device=p1 v=\"open", expected: "!malformedPayload line 1, byte 14"),
    Case(payload: ",device=p1 v=1", expected: "!malformedPayload line 1, byte 0"),
    Case(payload: "m,device=p9 v=1", expected: "!unknownDevice line 1"),
    Case(payload: "m v=1", expected: "1=1.0", topic: "influx/acme/gw-1/p1"),
    Case(payload: "", expected: ""),
  ]

  @Test("a payload and what it becomes", arguments: cases)
  func table(_ item: Case) throws {
    var bench = Bench(
      [
        TopicRoute(
          id: "influx",
          template: try TopicTemplate("influx/{enterprise}/{gateway}"),
          format: .influxLine(item.options)
        ),
        TopicRoute(
          id: "influx-device",
          template: try TopicTemplate("influx/{enterprise}/{gateway}/{device}"),
          format: .influxLine(item.options)
        ),
      ],
      devices: Self.devices
    )
    #expect(bench.send(item.topic, item.payload).description == item.expected)
  }

  @Test("text that is not UTF-8 is refused with its place")
  func invalidUTF8() throws {
    var bench = Bench(
      [
        TopicRoute(
          id: "influx",
          template: try TopicTemplate("influx/{enterprise}/{gateway}"),
          format: .influxLine(InfluxOptions())
        )
      ],
      devices: Self.devices
    )
    #expect(
      bench.send("influx/acme/gw-1", Array("cpu v=1 ".utf8) + [0xC4, 0xE3]).description
        == "!invalidUTF8 byte 8"
    )
  }
}
