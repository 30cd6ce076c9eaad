import DeviceCatalog
import HazardLedger
import Journal
import Synchronization
import Telemetry

/// Welding, 赋码加芯: who may weld with what, where and when; scans answered, broken rules locked and alarmed.
final class WeldingDesk: Desk {
  let name = "welding"
  /// The state, where others may look at it; this desk alone changes it.
  let board = WeldingBoard()

  var nextDeadline: Timestamp? {
    board.state.withLock { $0.nextDeadline }.map(Timestamp.init(milliseconds:))
  }

  func adopt(_ catalog: Catalog, by record: JournalRecord?, into output: inout CoreOutput) {
    board.state.withLock { state in
      guard let record else { return state.adopt(catalog) }
      let received = record.input.received
      let moment = DeskMoment(
        time: received,
        received: received,
        sequence: record.sequence,
        catalog: catalog.version
      )
      state.adopt(catalog, at: moment, into: &output)
    }
  }

  func take(
    _ record: JournalRecord,
    verb: Substring,
    into output: inout CoreOutput
  ) -> ActError? {
    board.state.withLock { $0.take(record, verb: verb, into: &output) }
  }

  /// Whether a message on this MQTT topic is for this desk and not for the decoder.
  func claims(topic: Span<UInt8>) -> Bool {
    // Six levels, the fifth "welding": told from the end, because every reading passes here.
    guard topic.count > 20,
      topic[topic.count - 1] == UInt8(ascii: "n") || topic[topic.count - 1] == UInt8(ascii: "t")
    else { return false }
    return WeldingTopic((0..<topic.count).map { topic[$0] }) != nil
  }

  /// Takes a message that the desk has claimed.
  func receive(_ record: JournalRecord, into output: inout CoreOutput) {
    guard let topic = WeldingTopic(record.input.topic) else { return }
    board.state.withLock { state in
      if topic.verb == "scan" {
        state.scan(record, topic, into: &output)
      } else {
        state.report(record, topic, into: &output)
      }
    }
  }

  /// Sees the readings of the message with this sequence and receive time, after the engine has judged them.
  ///
  /// On the way of every reading: where no welding place is watched it is quick to say so.
  func observe(
    _ readings: borrowing ReadingBatch,
    sequence: UInt64,
    received: Timestamp,
    into output: inout CoreOutput
  ) {
    board.state.withLock { state in
      guard !state.frame.places.isEmpty else { return }
      state.observe(
        readings,
        sequence: sequence,
        received: received.milliseconds,
        into: &output
      )
    }
  }

  func follow(_ step: AlarmBody, of record: JournalRecord, into output: inout CoreOutput) {
    board.state.withLock { state in
      let moment = state.moment(
        record.input.received,
        received: record.input.received,
        sequence: record.sequence
      )
      state.follow(step, at: moment, into: &output)
    }
  }

  func advance(_ record: JournalRecord, into output: inout CoreOutput) {
    board.state.withLock {
      $0.advance(to: record.input.received, sequence: record.sequence, into: &output)
    }
  }

  func owns(_ alarm: AlarmName) -> Bool { board.state.withLock { $0.alarms.has(alarm) } }

  func stands(_ alarm: AlarmName) -> Bool { board.state.withLock { $0.alarms.stands(alarm) } }

  func perform(
    _ act: OperatorAct,
    on alarm: AlarmName,
    of record: JournalRecord,
    into output: inout CoreOutput
  ) -> ActError? {
    board.state.withLock { state in
      let received = record.input.received
      let moment = state.moment(received, received: received, sequence: record.sequence)
      let (refusal, steps) = state.alarms.perform(act, on: alarm, at: moment)
      state.emit(steps, at: moment, into: &output)
      return refusal
    }
  }

  func snapshot() -> [UInt8] { board.state.withLock { $0.snapshot() } }

  func restore(_ bytes: [UInt8]) throws {
    try board.state.withLock { try $0.restore(bytes) }
  }
}
