import ArgumentParser
import DeviceCatalog
import Foundation
import PayloadDecoding
import Station
import Telemetry

/// `davy decode`.
struct Decode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Show what a payload becomes: each field, each reading, each refusal with its remedy.",
    discussion: """
      Example:
        davy decode config/service.yaml --topic davy/v1/xinghe/gw-tank/readings \\
          --payload '{"device":"GD-07","point":"gas","v":1.03}'
      Nothing is sent and nothing is stored.
      """
  )

  @Argument(help: "The service file.", completion: .file())
  var serviceFile: String

  @Option(help: "The topic that the payload is published to.")
  var topic: String

  @Option(help: "The payload as text.")
  var payload: String?

  @Option(help: "A file with the payload; '-' reads standard input.", completion: .file())
  var file: String?

  @Option(help: "Receive time in milliseconds since the Unix epoch; now when left out.")
  var received: Int64?

  func run() throws {
    let loaded = try LoadedConfiguration(serviceFile: serviceFile)
    let bytes = try payloadBytes()
    let received = Timestamp(milliseconds: received ?? SystemClocks().wall())
    var decoder = Decoder(plan: loaded.catalog.decodingPlan)
    for field in decoder.explain(topic: Array(topic.utf8), payload: bytes, received: received) {
      Terminal.line("\(field.outcome.rawValue)  \(field.place)  \(field.raw)  → \(field.meaning)")
    }
    var batch = ReadingBatch(received: received, baseSequence: 1)
    var notes: [DecodingNote] = []
    decoder.decode(
      topic: Array(topic.utf8),
      payload: bytes,
      sequence: 1,
      received: received,
      into: &batch,
      notes: &notes
    )
    for index in 0..<batch.count {
      let reading = batch.reading(at: index)
      let channel = loaded.catalog.channels[Int(reading.channel.rawValue)]
      Terminal.line(
        "reading  \(channel.path)  \(reading.value) \(channel.unit)  \(reading.status)  "
          + TimeText.utc(reading.time.milliseconds)
      )
      if let words = DecodedTime.warning(reading.time, received: received) {
        Terminal.line("         warning: \(words)")
      }
    }
    for note in notes {
      switch note {
      case .reject(let reject):
        Terminal.line(
          "refused  \(reject.reason.rawValue)  \(reject.device) \(reject.point) \(reject.place)  \(reject.detail)\n"
            + "         remedy: \(reject.remedy) / \(reject.remedyChinese)"
        )
      case .event(let event):
        Terminal.line(
          "event    \(event.kind.rawValue)  \(event.device) \(event.point)  \(event.detail)"
            + (event.count > 1 ? "  × \(event.count)" : "")
        )
      case .publish(let message):
        Terminal.line("reply    \(String(decoding: message.topic, as: UTF8.self))")
      case .stale(let channels, _):
        Terminal.line("stale    \(channels.count) points")
      }
    }
    Terminal.line("\(batch.count) readings, \(notes.count { $0.reject != nil }) refusals")
    if batch.isEmpty { throw ExitCode(1) }
  }

  private func payloadBytes() throws -> [UInt8] {
    switch (payload, file) {
    case (let text?, nil): return Array(text.utf8)
    case (nil, "-"): return Array(FileHandle.standardInput.readDataToEndOfFile())
    case (nil, let path?): return try GivenFile.bytes(path)
    case (nil, nil), (_?, _?):
      throw ValidationError("give the payload by --payload or by --file, one of them")
    }
  }
}
