import Callout
import DeviceCatalog
import Foundation
import HTTPTestSupport
import HazardLedger
import Journal
import Relay
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// What a station above may answer that is not so: nothing is passed over because of it.
@Suite("Strange answers from above") struct StrangeAnswerTests {
  /// A line that answers as a function of the batch says.
  private struct Line: RelayLine {
    let answer: @Sendable (RelayBatch) -> RelayOutcome

    func send(_ batch: [UInt8]) async -> Result<RelayReply, RelayLineFailure> {
      do throws(RelayFault) {
        return .success(
          RelayReply(status: 200, body: answer(try RelayBatch(decoding: batch)).encoded())
        )
      } catch {
        return .failure(RelayLineFailure(cause: "\(error)"))
      }
    }

    func close() async throws {}
  }

  @Test("who has more than was ever here holds another ledger; what comes is not passed over")
  func beyondHead() async throws {
    let scratch = try Scratch()
    let lower = try Lower(scratch.file("lower.sqlite"))
    for number in 1...5 { try lower.raise(number) }
    let head = try lower.ledger.head.sequence
    for (claimed, isOwn) in [(head, true), (head + 1, false), (1 << 40, false)] {
      let relay = UpwardTests.relay(
        lower,
        by: Line { _ in RelayOutcome(station: "city", sequence: claimed) }
      )
      try await UpwardTests.run(relay) { status in
        isOwn ? status.settled >= head : status.fault?.contains("another ledger") ?? false
      }
      #expect(relay.status.settled <= head)
    }
  }

  @Test("an answer confirms no reading that has not been sent")
  func confirmation() async throws {
    let scratch = try Scratch()
    let lower = try Lower(scratch.file("lower.sqlite"))
    let outlet = ReadingOutlet(
      name: "relay",
      readings: [ReadingOutlet.Rule(points: try #require(PointPattern("#")))]
    )
    let trends = try TrendStore(path: scratch.file("trends.sqlite"), outlets: [outlet])
    let stages = try RelayTests.stages(scratch, trends: trends)
    var sequence: UInt64 = 1
    func feed(_ value: Double) throws {
      sequence += 1
      let input = OutletTests.message("ch4_n", value, at: 1_700_000_000_000 + Int64(sequence))
      let batch = InputBatch(JournalBatch([input]), firstSequence: sequence)
      try stages.commit(batch)
      stages.evaluate(batch, at: input.received)
      trends.seal()
      try trends.write(durable: stages.exchange.durable)
    }
    try feed(1)
    let seen = Mutex<[Double]>([])
    let line = Line { batch in
      seen.withLock { $0 += batch.readings.compactMap(\.value) }
      var outcome = RelayOutcome(station: "city", sequence: batch.through)
      // The question is answered truly; every later answer claims a thousand readings that were never sent.
      let isQuestion = batch.entries.isEmpty && batch.readings.isEmpty
      outcome.reading = isQuestion ? 0 : 1_000
      return outcome
    }
    let relay = UpwardTests.relay(lower, by: line, trends: trends)
    try await UpwardTests.run(relay) { _ in seen.withLock { $0.contains(1) } }
    try feed(2)
    try feed(3)
    try await UpwardTests.run(relay) { _ in seen.withLock { $0.suffix(2) == [2, 3] } }
  }

  @Test(
    "Retry-After may be any number: nobody is waited for longer than an hour, nothing traps",
    arguments: [
      ("7", 7), ("0", 0), ("-5", 0), ("3600", 3_600), ("3601", 3_600),
      ("9223372036854775807", 3_600), ("99999999999999999999", nil), ("soon", nil),
    ] as [(String, Int?)]
  )
  func retryAfter(header: String, seconds: Int?) async throws {
    try await withSender { sender in
      try await withServer { _ in
        ServerAnswer(status: 503, headers: ["Retry-After": header])
      } _: { address in
        let line = HTTPRelayLine(url: address, key: nil, sender: sender)
        let reply = try await line.send(Array("{}".utf8)).get()
        #expect(reply.status == 503 && reply.retryAfter == seconds)
      }
    }
  }
}
