import Foundation
public import Logging
public import MQTTTransport
public import Station
import Synchronization

/// Takes in what stations below pass on by this station's broker.
///
/// The broker may forget a batch when this station's ledger has it, or has been told for good that it will not: until then
/// it is not acknowledged, and comes again after a stop or crash. What comes again is passed over by the ledger's rules, so
/// that nothing here has to remember anything.
public final class RelayReceiver: Sendable {
  /// Takes a batch in: the batch, nil when it was too long; the station that the topic names; the key that came with it.
  public typealias Door =
    @Sendable (_ batch: [UInt8]?, _ station: String, _ key: String) async -> RelayReply

  /// How the receiving does.
  public struct Status: Hashable, Sendable {
    /// Batches answered.
    public var batches: UInt64 = 0
    /// Batches refused for good.
    public var refused: UInt64 = 0
    /// Times that a batch was held back because the ledger did not take it yet.
    public var held: UInt64 = 0
    /// Answers that found no room on their way to the broker; the sender asks again.
    public var unanswered: UInt64 = 0
    /// Messages on a topic that names no station.
    public var strange: UInt64 = 0
  }

  private let post: any RelayPost
  private let door: Door
  private let firstPause: Duration
  private let logger: Logger
  private let state = Mutex(Status())
  private let hasEnded = Mutex(false)

  /// Makes a receiver on this station's broker; it works while ``run()`` does.
  ///
  /// - Parameters:
  ///   - options: how to reach the broker.
  ///   - door: takes a batch in, by the rules that hold over HTTP too.
  ///   - logger: takes what is worth telling.
  /// - Throws: what is wrong with the options.
  public convenience init(
    options: MQTTOptions,
    door: @escaping Door,
    logger: Logger
  ) throws(MQTTOptionsError) {
    self.init(
      post: try BrokerPost(
        options: options,
        receiving: RelayTopics.requests,
        keeps: true,
        logger: logger
      ),
      door: door,
      logger: logger
    )
  }

  /// Makes a receiver on any broker.
  package init(
    post: any RelayPost,
    door: @escaping Door,
    firstPause: Duration = .seconds(1),
    logger: Logger
  ) {
    self.post = post
    self.door = door
    self.firstPause = firstPause
    self.logger = logger
  }

  /// How the receiving does.
  public var status: Status { state.withLock { $0 } }

  /// Whether batches can come and answers go.
  public var isConnected: Bool { post.trouble == nil }

  /// Receives until it is cancelled.
  public func run() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { done in
        // A thread of its own: the connection belongs to one, and it waits.
        let thread = Thread { [self] in
          while !hasEnded.withLock({ $0 }) { receive() }
          post.stop()
          done.resume()
        }
        thread.name = "davy-relay-in"
        thread.start()
      }
    } onCancel: {
      hasEnded.withLock { $0 = true }
    }
  }

  private func receive() {
    let messages = post.receive()
    guard !messages.isEmpty else { return }
    for message in messages {
      // Ended in the middle: nothing of these is acknowledged, and all of it comes again.
      guard take(message) else { return }
    }
    post.acknowledge()
  }

  /// Works on a message until it is in the ledger or refused for good; false when the receiving ends before.
  private func take(_ message: RelayMessage) -> Bool {
    guard let station = RelayTopics.station(ofItems: message.topic) else {
      state.withLock { $0.strange += 1 }
      return true
    }
    let key = RelayTopics.key(in: message.properties)
    let outcome = Mutex<RelayReply?>(nil)
    let isDone = DispatchSemaphore(value: 0)
    Task { [self] in
      let reply = await answer(message.payload, station, key)
      outcome.withLock { $0 = reply }
      isDone.signal()
    }
    while isDone.wait(timeout: .now() + 1) == .timedOut { post.keepAlive() }
    guard let reply = outcome.withLock({ $0 }) else { return false }
    let publication = RelayPublication(
      topic: RelayTopics.outcomes(station),
      payload: reply.body,
      correlation: message.correlation,
      properties: RelayTopics.properties(of: reply),
      expiry: .seconds(120)
    )
    let refused = post.publish(publication) { [self] refusal in
      unanswered(station, refusal.reason)
    }
    if let refused { unanswered(station, refused) }
    state.withLock { state in
      state.batches += 1
      if reply.status != 200 { state.refused += 1 }
    }
    if reply.status != 200 {
      logger.warning(
        "a batch of a station below is refused",
        metadata: ["station": "\(station)", "status": "\(reply.status)", "why": "\(reply.brief)"]
      )
    }
    return true
  }

  private func unanswered(_ station: String, _ reason: String) {
    state.withLock { $0.unanswered += 1 }
    logger.warning(
      "a station below gets no answer and will ask again",
      metadata: ["station": "\(station)", "reason": "\(reason)"]
    )
  }

  /// Asks the door until it says something for good; nil when the receiving ends before that.
  private func answer(_ batch: [UInt8]?, _ station: String, _ key: String) async -> RelayReply? {
    var backoff = Backoff(base: firstPause / .seconds(1), ceiling: 30)
    var isTold = false
    while true {
      let reply = await door(batch, station, key)
      guard reply.isForNow else { return reply }
      state.withLock { $0.held += 1 }
      if !isTold {
        isTold = true
        logger.warning(
          "what comes from a station below waits with the broker: the ledger does not take it yet",
          metadata: ["station": "\(station)", "why": "\(reply.brief)"]
        )
      }
      let pause = backoff.next(atLeast: nil)
      let limit = ContinuousClock.now + pause
      while ContinuousClock.now < limit {
        guard !hasEnded.withLock({ $0 }) else { return nil }
        // Nobody cancels this task; the flag is looked at.
        do { try await Task.sleep(for: .milliseconds(50)) } catch { return nil }
      }
    }
  }
}
