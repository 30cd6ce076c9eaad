public import Callout
import Foundation
public import Logging
public import MQTTTransport
public import Station
import Synchronization

/// The way to the station above by its broker.
///
/// The broker's confirmation of a batch says nothing about the station above, so nothing here goes by it: a batch is
/// through when the answer says so, which that station gives when its ledger has it. Without an answer it is sent again.
public final class MQTTRelayLine: RelayLine {
  private typealias Answer = Result<RelayReply, RelayLineFailure>

  private struct State {
    /// The number of the batch that is on its way, and who waits for its answer.
    var asked: (number: String, waiting: CheckedContinuation<Answer, Never>)?
    /// How long the next answer is waited for: longer each time that none came, so that a station above that is slow is
    /// not asked again before it can have answered.
    var patience: Duration
    /// The answers are listened for.
    var isListening = false
    var hasEnded = false
  }

  private let post: any RelayPost
  private let station: String
  private let key: ChannelSecret?
  private let patience: Duration
  private let longestPatience: Duration
  private let state: Mutex<State>
  private let ended = DispatchSemaphore(value: 0)

  /// Makes a line over a broker; it connects at once.
  ///
  /// - Parameters:
  ///   - options: how to reach the broker of the station above.
  ///   - station: this station's name.
  ///   - key: key of this station's account there; nil where that one asks for none.
  ///   - logger: is told of the links.
  /// - Throws: what is wrong with the options.
  public convenience init(
    options: MQTTOptions,
    station: String,
    key: ChannelSecret?,
    logger: Logger
  ) throws(MQTTOptionsError) {
    self.init(
      post: try BrokerPost(
        options: options,
        receiving: RelayTopics.outcomes(station),
        keeps: false,
        logger: logger
      ),
      station: station,
      key: key
    )
  }

  /// Makes a line over any broker.
  ///
  /// - Parameters:
  ///   - post: the broker.
  ///   - station: this station's name.
  ///   - key: key of this station's account above.
  ///   - patience: how long an answer is waited for at first.
  ///   - longestPatience: at most, after none has come for some time.
  package init(
    post: any RelayPost,
    station: String,
    key: ChannelSecret?,
    patience: Duration = .seconds(30),
    longestPatience: Duration = .seconds(120)
  ) {
    self.post = post
    self.station = station
    self.key = key
    self.patience = patience
    self.longestPatience = longestPatience
    state = Mutex(State(patience: patience))
  }

  /// Sends a batch and waits for the answer.
  public func send(_ batch: [UInt8]) async -> Result<RelayReply, RelayLineFailure> {
    listen()
    if let trouble = await readiness() {
      return .failure(RelayLineFailure(cause: "the broker of the station above: \(trouble)"))
    }
    var properties: [(String, String)] = []
    if let key {
      do throws(SecretError) {
        properties.append((RelayTopics.authorization, "Bearer " + (try key.read())))
      } catch {
        return .failure(RelayLineFailure(cause: error.description))
      }
    }
    // A number that no earlier process has used: an answer to what that one asked is none to this.
    let number = UUID().uuidString
    let patience = state.withLock { $0.patience }
    let timer = Task { [self] in
      try await Task.sleep(for: patience)
      settle(
        number,
        .failure(
          RelayLineFailure(
            cause:
              "the station above has not answered within \(patience): is it up, and does its broker let "
              + "\(station) write \(RelayTopics.items(station)) and read \(RelayTopics.outcomes(station))?"
          )
        ),
        patience: min(longestPatience, patience * 2)
      )
    }
    defer { timer.cancel() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { waiting in
        let isFree = state.withLock { state in
          guard state.asked == nil, !state.hasEnded, !Task.isCancelled else { return false }
          state.asked = (number, waiting)
          return true
        }
        guard isFree else {
          waiting.resume(returning: .failure(RelayLineFailure(cause: "the line has ended")))
          return
        }
        let refused = post.publish(
          RelayPublication(
            topic: RelayTopics.items(station),
            payload: batch,
            correlation: Array(number.utf8),
            properties: properties,
            expiry: patience
          )
        ) { [self] refusal in
          let answer: Answer =
            refusal.isTooLarge
            ? .success(RelayReply(status: 413, body: Array(refusal.reason.utf8)))
            : .failure(RelayLineFailure(cause: "the broker refuses a batch: \(refusal.reason)"))
          settle(number, answer)
        }
        if let refused { settle(number, .failure(RelayLineFailure(cause: refused))) }
      }
    } onCancel: {
      settle(number, .failure(RelayLineFailure(cause: "the line has ended")))
    }
  }

  /// Ends connections.
  public func close() async throws {
    let wasListening = state.withLock { state in
      state.hasEnded = true
      return state.isListening
    }
    try await offThread { [post, ended] in
      if wasListening { ended.wait() }
      post.stop()
    }
  }

  /// A link that is just coming up is given a moment; what keeps it from that otherwise.
  private func readiness() async -> String? {
    let limit = ContinuousClock.now + min(patience, .seconds(5))
    while let trouble = post.trouble {
      guard ContinuousClock.now < limit, !Task.isCancelled else { return trouble }
      do { try await Task.sleep(for: .milliseconds(20)) } catch { return trouble }
    }
    return nil
  }

  /// Listens for answers, on a thread of its own from the first batch on.
  private func listen() {
    let isFirst = state.withLock { state in
      defer { state.isListening = true }
      return !state.isListening && !state.hasEnded
    }
    guard isFirst else { return }
    let thread = Thread { [self] in
      while !state.withLock({ $0.hasEnded }) {
        for message in post.receive() { take(message) }
        // An answer is no more than news: who has missed one asks again.
        post.acknowledge()
      }
      ended.signal()
    }
    thread.name = "davy-relay-line"
    thread.start()
  }

  private func take(_ message: RelayMessage) {
    guard let payload = message.payload,
      let reply = RelayTopics.reply(message.properties, payload)
    else { return }
    settle(
      String(decoding: message.correlation, as: UTF8.self),
      .success(reply),
      patience: patience
    )
  }

  /// Ends the waiting for one answer.
  ///
  /// - Parameters:
  ///   - number: the batch's; an answer to one that is not waited for any more came late, and changes nothing: the next
  ///     would be given up on before it can come.
  ///   - answer: what came, or why nothing does.
  ///   - patience: how long the next answer is waited for; nil as long as this one.
  private func settle(_ number: String, _ answer: Answer, patience: Duration? = nil) {
    let waiting = state.withLock { state -> CheckedContinuation<Answer, Never>? in
      guard let asked = state.asked, asked.number == number else { return nil }
      state.asked = nil
      if let patience { state.patience = patience }
      return asked.waiting
    }
    waiting?.resume(returning: answer)
  }
}
