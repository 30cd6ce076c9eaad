import ArgumentParser
import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import MQTTTransport
import Station
import Synchronization
import Telemetry

/// `davy replay`.
struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract:
      "Run a recording through the same pipeline into a scratch ledger, or publish it to a broker.",
    discussion: """
      A recording is a journal folder (what `davy serve` wrote under DATA/journal) or one of its segment files, or \
      what `davy import readings` made of a CSV file.

        davy replay DATA/journal                         with the catalog it was recorded with
        davy replay DATA/journal --rules new.yaml        what would other rules have done?
        davy replay REC --publish 127.0.0.1:1883 --speed 60

      Published messages carry their recorded receive time; a site file must name the gateway a replay source for \
      Davy to believe it, so that old data trip neither clock guard nor staleness.
      """
  )

  @Argument(help: "The recording.", completion: .directory)
  var recording: String

  @Option(
    help: "A service file whose devices and sites take the place of the recorded catalog.",
    completion: .file()
  )
  var rules: String?

  @Option(help: "Write the ledger to this new file and keep it.", completion: .file())
  var ledger: String?

  @Option(help: "Name of the ledger's station; give the live one's to compare hashes.")
  var station: String = "replay"

  @Flag(help: "Print the figures of ISA-18.2 over the recording's span as one JSON object.")
  var kpis = false

  @Option(help: "With --kpis: only alarms at or below this path.")
  var path: String = ""

  @Option(help: "Publish the messages to this broker, HOST:PORT, instead of evaluating them.")
  var publish: String?

  @Option(help: "With --publish: times real time, or 'max' for as fast as acknowledged.")
  var speed: String = "1"

  func run() async throws {
    let source = try Recording(path: recording)
    guard source.lastSequence > 0 else {
      throw ValidationError("\(recording) holds no records")
    }
    if let publish {
      try await ReplayPublisher(recording: source, broker: publish, speed: speed).run()
    } else {
      try evaluate(source)
    }
    for damage in source.damage { Terminal.error("damaged: \(damage)") }
  }

  private func evaluate(_ source: Recording) throws {
    let catalog = try rules.map { try LoadedConfiguration(serviceFile: $0).catalog }
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-replay-\(ProcessInfo.processInfo.processIdentifier)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let path: String
    if let ledger {
      guard !FileManager.default.fileExists(atPath: ledger) else {
        throw ValidationError("\(ledger) exists; a replay writes a new ledger")
      }
      path = ledger
    } else {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      path = folder.appendingPathComponent("ledger.sqlite").path
    }
    let store = try SQLiteLedger(path: path, station: station)
    var replay = Replay(into: store, catalog: catalog)
    let total = source.lastSequence
    let summary = try replay.run(source) { records, received in
      Terminal.progress("\(records * 100 / max(total, 1)) %  \(TimeText.utc(received))")
    }
    Terminal.progress("")
    let head = try store.head
    let counters = try store.counters()
    Terminal.line("messages   \(summary.messages)")
    Terminal.line("readings   \(summary.readings)")
    Terminal.line("refused    \(summary.rejects)")
    Terminal.line(
      "alarms     \(counters["alarm.raised"] ?? 0) raised, \(counters["alarm.returned"] ?? 0) returned"
    )
    if let span = summary.span {
      Terminal.line(
        "event time \(TimeText.utc(span.lowerBound.milliseconds)) to \(TimeText.utc(span.upperBound.milliseconds))"
      )
    }
    Terminal.line("ledger     \(head.sequence) entries, head \(head.hash.hexText)")
    if kpis, let span = summary.span {
      let report = try IndicatorReport(
        of: store,
        from: span.lowerBound,
        to: span.upperBound.advanced(byMilliseconds: 1),
        path: self.path
      )
      Terminal.line(String(decoding: report.json.canonicalBytes(), as: UTF8.self))
    }
  }
}

/// Publishes a recording in its own rhythm, faster, or as fast as the broker acknowledges.
struct ReplayPublisher {
  private let recording: Recording
  private let client: PublishClient
  private let settled = SettledCount()
  private let speed: Double?
  private static let window = 1_000

  init(recording: Recording, broker: String, speed: String) throws {
    self.recording = recording
    let address = try BrokerAddress(broker)
    if speed == "max" {
      self.speed = nil
    } else {
      guard let factor = Double(speed), factor > 0, factor.isFinite else {
        throw ValidationError("'\(speed)' is neither a number above 0 nor 'max'")
      }
      self.speed = factor
    }
    let settled = settled
    client = try PublishClient(
      options: MQTTOptions(
        host: address.host,
        port: address.port,
        clientID: "davy-replay-\(ProcessInfo.processInfo.processIdentifier)"
      ),
      queueLimit: 2 * Self.window
    ) { outcome in settled.add(outcome) }
  }

  func run() async throws {
    let start = ContinuousClock.now
    var firstReceived: Int64?
    var sent = 0
    var cursor = recording.cursor(from: max(1, recording.firstSequence))
    var batch = JournalBatch()
    while try cursor.next(into: &batch) != nil {
      for index in 0..<batch.count where batch.records[index].kind == .message {
        let input = batch.input(at: index)
        let offset = input.received - (firstReceived ?? input.received)
        firstReceived = firstReceived ?? input.received
        if let speed {
          let due = start + .milliseconds(Int64(Double(offset) / speed))
          if due > .now { try await Task.sleep(until: due, clock: .continuous) }
        }
        try await send(input)
        sent += 1
        if sent % 100 == 0 {
          Terminal.progress("\(sent) messages  \(TimeText.utc(input.received))")
        }
      }
    }
    while settled.count < sent { try await Task.sleep(for: .milliseconds(5)) }
    Terminal.progress("")
    client.stop(grace: .seconds(5))
    Terminal.line("published \(sent) messages, \(settled.refused) refused by the broker")
    if settled.refused > 0 { throw ExitCode(1) }
  }

  private func send(_ input: JournalInput) async throws {
    let publication = Publication(
      topic: String(decoding: input.topic, as: UTF8.self),
      payload: input.payload,
      qos: .atLeastOnce,
      userProperties: [(StationCore.receivedProperty, "\(input.received)")]
    )
    while true {
      switch client.publish(publication) {
      case .queued: return
      case .full: try await Task.sleep(for: .milliseconds(1))
      case .stopped: throw ValidationError("the connection to the broker was closed")
      }
    }
  }
}
