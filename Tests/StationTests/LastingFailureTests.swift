import Logging
import Station
import Synchronization
import Testing

/// What was logged, a line for each message: level, text, metadata.
struct Recorder: LogHandler {
  let lines = Lines()
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  final class Lines: Sendable {
    private let lines: Mutex<[String]> = Mutex([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
  }

  /// A logger that writes here.
  var logger: Logger { Logger(label: "test") { _ in self } }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let words = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }
    lines.add("\(event.level) \(event.message)" + words.joined())
  }
}

@Suite("A failure that lasts")
struct LastingFailureTests {
  private struct Fault: Error, CustomStringConvertible {
    var description: String
  }

  @Test("each kind is told once, then once a minute with how often, and when it is over")
  func told() {
    let recorder = Recorder()
    var failure = LastingFailure("no commit", end: "commits again", logger: recorder.logger)
    failure.succeeded()
    for tenth in 0..<1_300 as Range<Int64> {
      failure.note(Fault(description: tenth == 10 ? "busy" : "full"), at: tenth * 100)
    }
    failure.succeeded()
    failure.succeeded()
    failure.note(Fault(description: "full"), at: 130_000)
    #expect(
      recorder.lines.all == [
        "error no commit error=full times=1", "error no commit error=busy times=11",
        "error no commit error=full times=611", "error no commit error=full times=1211",
        "notice commits again times=1300", "error no commit error=full times=1",
      ]
    )
  }

  @Test("a text that changes each time does not fill the log")
  func changing() {
    let recorder = Recorder()
    var failure = LastingFailure("no commit", end: "commits again", logger: recorder.logger)
    for number in 0..<500 as Range<Int64> {
      failure.note(Fault(description: "sector \(number)"), at: number * 100)
    }
    #expect(recorder.lines.all.count == 8)
  }
}
