internal import Telemetry

struct SparkplugState: Sendable { var nextDeadline: Timestamp? { nil } }
struct HJ212State: Sendable { var nextDeadline: Timestamp? { nil } }
extension Decoder {
  func decodeSenMLJSON(
    _ document: JSONDocument,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) { refuse(message, .unsupportedFormat, "", "SenML", &notes) }
  func decodeSenMLCBOR(
    _ payload: ByteView,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) { refuse(message, .unsupportedFormat, "", "SenML", &notes) }
  func decodeInflux(
    _ payload: ByteView,
    _ options: InfluxOptions,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) { refuse(message, .unsupportedFormat, "", "Influx", &notes) }
  func decodeSparkplug(
    _ payload: ByteView,
    _ options: SparkplugOptions,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) { refuse(message, .unsupportedFormat, "", "Sparkplug", &notes) }
  func decodeHJ212(
    _ payload: ByteView,
    _ options: HJ212Options,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) { refuse(message, .unsupportedFormat, "", "HJ 212", &notes) }
  mutating func advanceSparkplug(to now: Timestamp, _ notes: inout [DecodingNote]) {}
  mutating func advanceHJ212(to now: Timestamp, _ notes: inout [DecodingNote]) {}
}
