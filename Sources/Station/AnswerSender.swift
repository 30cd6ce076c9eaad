import HazardLedger
public import Logging
public import MQTTTransport
import Synchronization

/// What takes the messages of desks to the broker.
public protocol AnswerPublishing: AnyObject, Sendable {
  /// Queues an answer at QoS 1; false when the queue is full, and then nothing was queued.
  func publish(topic: String, payload: [UInt8], correlation: [UInt8]) -> Bool
  /// How the connection to the broker stands.
  var state: LinkState { get }
  /// Sends what is queued as long as `grace` lasts, says good-bye, and returns when that is done.
  func stop(grace: Duration)
}

/// Sends the messages of desks, answers to scans and commands to machines, once they are recorded.
///
/// As with alarms, what has waited 200 ms for its commit goes out all the same and says that it is not recorded. The
/// connection is its own, so that a backlog of alarm messages holds up no answer. After a crash an answer is not sent
/// again: who asked asks again; a lock command whose effect was not seen is sent again by its deadline.
public final class AnswerSender: Sendable {
  private let publisher: any AnswerPublishing
  private let logger: Logger
  private let sentCount = Atomic<UInt64>(0)
  private let unrecordedCount = Atomic<UInt64>(0)
  private let droppedCount = Atomic<UInt64>(0)
  /// How many answers may wait for room in the publisher's queue.
  private static let waitingLimit = 10_000

  /// Makes a sender.
  public init(publisher: any AnswerPublishing, logger: Logger) {
    self.publisher = publisher
    self.logger = logger
  }

  /// Messages handed over; those of them that were not recorded yet; those for which there was never room.
  public var counts: (sent: UInt64, unrecorded: UInt64, dropped: UInt64) {
    (
      sentCount.load(ordering: .relaxed), unrecordedCount.load(ordering: .relaxed),
      droppedCount.load(ordering: .relaxed)
    )
  }

  /// How the publisher's connection to the broker stands.
  var linkState: LinkState { publisher.state }

  /// Waits a while for the broker to take what is queued.
  func stop() { publisher.stop(grace: Announcer.grace) }

  /// Hands over what may go out and returns how many messages that were.
  func work(exchange: Exchange, at now: Int64, limit: Int64) -> Int {
    let ready = exchange.takeAnswers(at: now, limit: limit)
    for (index, entry) in ready.enumerated() {
      guard
        publisher.publish(
          topic: entry.answer.topic,
          payload: Self.payload(of: entry.answer, sequence: entry.sequence),
          correlation: entry.answer.correlation
        )
      else {
        let rest = ready[index...]
        let dropped = max(0, rest.count - Self.waitingLimit)
        if dropped > 0 {
          droppedCount.add(UInt64(dropped), ordering: .relaxed)
          logger.error("answers dropped: the broker takes none", metadata: ["count": "\(dropped)"])
        }
        exchange.putBack(rest.dropFirst(dropped))
        return index
      }
      sentCount.add(1, ordering: .relaxed)
      if entry.sequence == nil { unrecordedCount.add(1, ordering: .relaxed) }
    }
    return ready.count
  }

  /// The message with the words that only the ledger's answer can give.
  package static func payload(of answer: CoreOutput.Answer, sequence: Int64?) -> [UInt8] {
    guard let value = try? JSONValue(parsing: answer.payload), var members = value.members else {
      return answer.payload
    }
    members["recorded"] = .bool(sequence != nil)
    if let sequence { members["sequence"] = .integer(sequence) }
    return JSONValue.object(members).canonicalBytes()
  }
}

/// A broker connection for answers.
public final class MQTTAnswers: AnswerPublishing {
  private let client: PublishClient

  /// Connects with `options`.
  public init(options: MQTTOptions, logger: Logger) throws {
    client = try PublishClient(options: options, logger: logger) { outcome in
      if case .refused(_, let refusal) = outcome {
        logger.error("the broker refuses an answer", metadata: ["refusal": "\(refusal)"])
      }
    }
  }

  /// Queues an answer at QoS 1.
  public func publish(topic: String, payload: [UInt8], correlation: [UInt8]) -> Bool {
    let publication = Publication(topic: topic, payload: payload, correlation: correlation)
    return client.publish(publication) == .queued
  }

  /// How the connection to the broker stands.
  public var state: LinkState { client.state }

  /// Sends what is queued as long as `grace` lasts and says good-bye.
  public func stop(grace: Duration) {
    client.stop(grace: grace)
  }
}
