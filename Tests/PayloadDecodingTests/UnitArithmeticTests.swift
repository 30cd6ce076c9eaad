import PayloadDecoding
import Telemetry
import Testing

/// A converted value that is meant to be a limit is that limit.
@Suite("Unit arithmetic")
struct UnitArithmeticTests {
  @Test("every four-decimal %VOL value is its whole number of ppm")
  func percentToPPM() throws {
    var decoder = Decoder(
      plan: DecodingPlan(
        routes: [
          TopicRoute(
            id: "t",
            template: try TopicTemplate("a/{enterprise}/{gateway}"),
            format: .davyJSON
          )
        ],
        devices: [
          DeviceEntry(
            enterprise: "e",
            gateway: "g",
            id: "d",
            points: [
              PointEntry(name: "co", channel: ChannelIndex(rawValue: 0), unit: "ppm", scale: 10_000)
            ]
          )
        ]
      )
    )
    var batch = ReadingBatch()
    var notes: [DecodingNote] = []
    for number in 1...9_999 {
      let digits = String(10_000 + number).dropFirst()
      let payload = #"{"device":"d","point":"co","v":0.\#(digits)}"#
      batch.reset(received: Timestamp(milliseconds: 1_760_000_000_000), baseSequence: 1)
      decoder.decode(
        topic: Array("a/e/g".utf8),
        payload: Array(payload.utf8),
        sequence: 1,
        received: batch.received,
        into: &batch,
        notes: &notes
      )
      try #require(batch.count == 1, "\(notes)")
      #expect(batch.value[0] == Double(number), "0.\(digits)")
    }
  }
}
