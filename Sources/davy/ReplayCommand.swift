import ArgumentParser
import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import MQTTTransport
import Station
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

      What was imported has no catalog of its own, nor has a journal whose beginning was pruned: they need --rules. Where \
      a part of the recording cannot be read, it is passed over and named, and the command ends with 1.

      Messages are published with topic, payload, quality of service, retain flag and user properties as they came, and \
      with their recorded receive time, which takes a broker that speaks MQTT 5; a site file must name the gateway a replay source for Davy to believe it, so \
      that old data trip neither clock guard nor staleness. A message of which the journal kept a part only is left out \
      and counted; a request is published without asking for an answer. Where any message did not reach the broker, the \
      command says how many and ends with 1.
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

  @Option(
    help: """
      Name of the ledger's station, which its first entry holds: equal hashes need equal names. That of the ledger beside the \
      journal when left out, 'replay' where there is none.
      """
  )
  var station: String?

  @Flag(help: "Print the figures of ISA-18.2 over the recording's span as one JSON object.")
  var kpis = false

  @Option(help: "With --kpis: only alarms at or below this path.")
  var path: String = ""

  @Option(help: "Publish the messages to this broker, HOST:PORT, instead of evaluating them.")
  var publish: String?

  @Option(
    help: "With --publish: times real time, or 'max' for as fast as acknowledged; 1 when left out."
  )
  var speed: String?

  @OptionGroup(title: "With --publish: how to sign in at the broker")
  var access: BrokerAccess

  func validate() throws {
    let given = [
      ("--rules", rules != nil), ("--ledger", ledger != nil), ("--kpis", kpis),
      ("--path", !path.isEmpty),
    ]
    if publish != nil {
      for (name, isGiven) in given where isGiven {
        throw ValidationError("\(name) has no meaning with --publish, which evaluates nothing")
      }
      try access.check()
      _ = try factor
      return
    }
    if speed != nil {
      throw ValidationError("--speed needs --publish: an evaluation runs as fast as it can")
    }
    if let name = access.given.first {
      throw ValidationError("\(name) needs --publish: an evaluation speaks with no broker")
    }
  }

  /// How many times real time; nil for as fast as acknowledged.
  private var factor: Double? {
    get throws {
      guard let speed else { return 1 }
      guard speed != "max" else { return nil }
      guard let factor = Double(speed), factor > 0, factor.isFinite else {
        throw ValidationError("--speed '\(speed)' is neither a number above 0 nor 'max'")
      }
      return factor
    }
  }

  func run() async throws {
    guard FileManager.default.fileExists(atPath: recording) else {
      throw GivenFileError(recording)
    }
    let source = try Recording(path: recording)
    guard source.lastSequence > 0 else {
      throw ValidationError("\(recording) holds no records")
    }
    defer { for damage in source.damage { Terminal.error("damaged: \(damage)") } }
    if let publish {
      try await send(source, to: publish)
    } else {
      try evaluate(source)
    }
    guard source.damage.isEmpty else {
      Terminal.error(
        """
        done, with gaps: what could not be read was passed over, and what would have come of it is missing above
            已完成，但有缺口：无法读取的部分被跳过，其结果不在以上内容中
            remedy: replay a backup of the recording, or name these gaps with the result / 改用录制的备份回放，或在结果中注明缺口
        """
      )
      throw ExitCode(1)
    }
  }

  private func send(_ source: Recording, to broker: String) async throws {
    let address = try BrokerAddress(broker)
    let tally = try await ReplayPublisher(
      recording: source,
      options: MQTTOptions(
        host: address.host,
        port: address.port,
        clientID: "davy-replay-\(ProcessInfo.processInfo.processIdentifier)",
        credentials: access.credentials,
        tls: access.tls
      ),
      speed: try factor
    ).run()
    for line in tally.complaints { Terminal.error(line) }
    Terminal.line(tally.summary)
    guard tally.missing == 0 else { throw ExitCode(1) }
  }

  /// The station whose ledger lies beside the journal; nil where none does, or it cannot be read: a replay is what helps then.
  private var stationBeside: String? {
    let path = URL(fileURLWithPath: recording).standardizedFileURL.deletingLastPathComponent()
      .appendingPathComponent("ledger.sqlite").path
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    return (try? LedgerGlance(path: path))?.station
  }

  private func evaluate(_ source: Recording) throws {
    let catalog = try rules.map { try LoadedConfiguration(serviceFile: $0).catalog }
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-replay-\(UUID().uuidString)")
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
    let station = self.station ?? stationBeside ?? "replay"
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
    for line in RefusalWords.lines(of: try store.rejects(limit: 1_000)) { Terminal.line(line) }
    Terminal.line(
      "alarms     \(counters["alarm.raised"] ?? 0) raised, \(counters["alarm.returned"] ?? 0) returned"
    )
    if let span = summary.span {
      Terminal.line(
        "event time \(TimeText.utc(span.lowerBound.milliseconds)) to \(TimeText.utc(span.upperBound.milliseconds))"
      )
    }
    Terminal.line("ledger     \(head.sequence) entries, head \(head.hash.hex), station \(station)")
    if kpis, let span = summary.span {
      let report = try IndicatorReport(
        of: store,
        from: span.lowerBound,
        to: span.upperBound.advanced(byMilliseconds: 1),
        path: self.path
      )
      Terminal.line(String(decoding: report.json.canonicalBytes(), as: UTF8.self))
    }
    if rules == nil, summary.readings == 0, summary.rejects > 0, try !source.holdsCatalog {
      Terminal.error(
        """
        no catalog is in force: \(recording) holds none (it was imported, or its beginning has been pruned), so every \
        message was refused
            没有生效的目录：\(recording) 不含目录（由导入生成，或开头已被清理），所有消息都被拒绝
            remedy: name a service file that knows its devices: --rules SERVICE.yaml / 用 --rules 指定含有这些设备的服务文件
        """
      )
      throw ExitCode(1)
    }
  }
}

extension Recording {
  /// Whether a catalog is among the records; reads until the first one.
  fileprivate var holdsCatalog: Bool {
    get throws {
      var cursor = cursor(from: max(1, firstSequence))
      var batch = JournalBatch()
      while try cursor.next(into: &batch) != nil {
        if batch.records.contains(where: { $0.kind == .catalog }) { return true }
      }
      return false
    }
  }
}
