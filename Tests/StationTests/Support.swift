import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Logging
import Station
import Testing

/// A folder of its own for one test, removed when the value goes.
final class Scratch {
  let path: String

  init() throws {
    // Memory where there is a memory file system: these tests are about order, not about the disk.
    let base =
      FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    path = base + "/davy-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }

  func file(_ name: String) -> String { path + "/" + name }
}

/// Waits for what has to come, however busy the machine is.
func wait(until what: String, _ condition: () throws -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(100)
  while try !condition() {
    guard ContinuousClock.now < end else {
      Issue.record("waited in vain until \(what)")
      throw CancellationError()
    }
    try await Task.sleep(for: .milliseconds(5))
  }
}

enum Fixture {
  static var root: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
  }

  static let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
  }()

  /// The site of the demonstration; as a live site it runs on the receive time; with a response file or without.
  static func catalog(isReplaySource: Bool = false, response: String? = nil) throws -> Catalog {
    let site = root.appendingPathComponent("config/sites/methane-demo.yaml")
    var text = try String(contentsOf: site, encoding: .utf8)
    if !isReplaySource {
      text = text.replacing("replay-source: true", with: "replay-source: false")
    }
    let scratch = try Scratch()
    let file = scratch.file("site.yaml")
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    var responses: [String] = []
    if let response {
      responses = [scratch.file("response.yaml")]
      try response.write(toFile: responses[0], atomically: true, encoding: .utf8)
    }
    let result = Catalog.load(
      devices: root.appendingPathComponent("devices").path,
      site: [file],
      response: responses
    )
    return try #require(
      result.catalog,
      "\(result.findings.filter { $0.severity == .error })"
    )
  }

  static let topic = "davy/v1/metec/gw-1/readings"

  static func message(_ payload: String, topic: String = Fixture.topic) -> JournalInput {
    JournalInput(received: 0, topic: Array(topic.utf8), payload: Array(payload.utf8), qos: 1)
  }

  /// A reading of the north sensor, received when it was taken.
  static func reading(_ value: some Numeric, at time: Int64) -> JournalInput {
    var input = message(#"{"device":"ch4_n","point":"ch4","v":\#(value),"t":\#(time)}"#)
    input.received = time
    return input
  }

  /// What a core drafts of inputs that come so many at a time; at `cut` it is put into a snapshot and goes on from that.
  static func drafts(
    of inputs: [JournalInput],
    page: Int = .max,
    cut: Int? = nil
  ) throws -> [LedgerDraft] {
    var core = StationCore()
    var drafts: [LedgerDraft] = []
    var next = 0
    while next < inputs.count {
      var end = min(inputs.count, next + min(page, inputs.count))
      if let cut, cut > next { end = min(end, cut) }
      let output = core.process(
        JournalBatch(Array(inputs[next..<end])),
        firstSequence: UInt64(next + 1)
      )
      drafts += output.drafts
      next = end
      if next == cut { core = try StationCore(snapshot: core.snapshot()) }
    }
    return drafts
  }

  static func alarms(of ledger: any LedgerStore) throws -> [String] {
    var alarms: [String] = []
    var cursor: Int64 = 0
    while true {
      let entries = try ledger.entries(after: cursor, limit: 1_000)
      guard let last = entries.last else { return alarms }
      cursor = last.sequence
      for entry in entries where entry.kind == .alarm {
        let body = try AlarmBody(decoding: try #require(entry.body))
        alarms.append("\(body.alarm) \(body.event.rawValue)")
      }
    }
  }
}

extension Stages {
  /// Takes one input the whole way, which the threads of a station go one after the other.
  func take(_ input: JournalInput, sequence: UInt64) throws {
    let batch = InputBatch(JournalBatch([input]), firstSequence: sequence)
    try commit(batch)
    evaluate(batch, at: input.received)
    _ = try record(isUrgent: true)
  }
}
