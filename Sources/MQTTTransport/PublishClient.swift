public import Logging
import Synchronization

/// What others read about a client, retained, under one topic.
public struct StatusTopic: Sendable, Equatable {
  /// The topic name.
  public var topic: String
  /// Published when the connection is up, until ``PublishClient/setOnline(_:)`` says otherwise.
  public var online: [UInt8]
  /// The Last Will: published by the broker when the connection is lost.
  public var offline: [UInt8]
  /// Published at a stop in good order.
  public var stopped: [UInt8]

  /// Creates a status topic.
  public init(
    topic: String,
    online: [UInt8] = Array(#"{"state":"online"}"#.utf8),
    offline: [UInt8] = Array(#"{"state":"offline","reason":"connection lost"}"#.utf8),
    stopped: [UInt8] = Array(#"{"state":"offline","reason":"stopped"}"#.utf8)
  ) {
    self.topic = topic
    self.online = online
    self.offline = offline
    self.stopped = stopped
  }
}

/// Counters of a publisher; the first two are levels, the others only grow.
public struct PublishCounters: Sendable, Equatable {
  /// Publications that wait to be sent.
  public var waiting = 0
  /// Publications sent and not confirmed.
  public var inFlight = 0
  /// Publications taken in.
  public var queued: UInt64 = 0
  /// Publications that the broker confirmed (QoS 0: handed to the operating system).
  public var confirmed: UInt64 = 0
  /// Publications that the broker or the library refused.
  public var refused: UInt64 = 0
  /// Publications not taken in because the queue was full.
  public var full: UInt64 = 0
  /// Publications sent again because the connection was lost before their confirmation.
  public var resent: UInt64 = 0
  /// Connections lost.
  public var reconnects: UInt64 = 0
}

/// Publishes from a bounded queue over a connection of its own, and says what the broker has.
///
/// `publish` never blocks and may be called from any thread. A thread of the client's own sends,
/// reconnects for ever and sends again what was not confirmed: at QoS 1 a message may arrive twice.
public final class PublishClient: Sendable {
  private let queue: PublishQueue
  private let thread: Mutex<WorkerThread?>

  /// Creates the client and starts to connect.
  ///
  /// `onOutcome` and `onStateChange` are called on the client's thread and must return soon.
  public init(
    options: MQTTOptions,
    queueLimit: Int = 10_000,
    status: StatusTopic? = nil,
    logger: Logger = Logger(label: "davy.mqtt.publish"),
    onOutcome: @escaping @Sendable (PublishOutcome) -> Void = { _ in },
    onStateChange: (@Sendable (LinkState) -> Void)? = nil
  ) throws(MQTTOptionsError) {
    var options = options
    if let status {
      options.will = LastWill(topic: status.topic, payload: status.offline)
    }
    var problems = options.problems()
    if queueLimit < 1 {
      problems.append(
        MQTTOptionProblem(place: "queue limit", message: "is below 1", remedy: "use 10000")
      )
    }
    guard problems.isEmpty else { throw MQTTOptionsError(problems: problems) }
    let queue = PublishQueue(limit: queueLimit)
    self.queue = queue
    do throws(ThreadError) {
      let thread = try WorkerThread("davy-mqtt-out", detached: false) { [options] in
        let link = Link(
          options: options,
          cleanStart: true,
          logger: logger,
          observer: { state in
            queue.setState(state)
            onStateChange?(state)
          }
        )
        PublishWorker(link: link, queue: queue, status: status, onOutcome: onOutcome).run()
      }
      self.thread = Mutex(thread)
    } catch {
      throw MQTTOptionsError(problems: [
        MQTTOptionProblem(
          place: "publisher",
          message: "no thread: \(SystemError.text(error.number))",
          remedy: "raise the service's limit of tasks"
        )
      ])
    }
  }

  deinit { stop(grace: .zero) }

  /// Queues a publication; never blocks.
  public func publish(_ publication: Publication) -> PublishAdmission {
    queue.add(publication)
  }

  /// Replaces what the status topic says while the connection is up.
  public func setOnline(_ payload: [UInt8]) {
    queue.setOnline(payload)
  }

  /// The state of the link.
  public var state: LinkState { queue.state }

  /// The counters.
  public var counters: PublishCounters { queue.counters }

  /// Sends what is queued as long as the grace lasts and the broker is there, then says good-bye.
  ///
  /// Returns how many publications were not confirmed; the caller still has to deliver them.
  @discardableResult
  public func stop(grace: Duration = .seconds(5)) -> Int {
    queue.stop(deadline: monotonicMilliseconds() + grace.milliseconds)
    thread.withLock { thread in
      thread?.join()
      thread = nil
    }
    let counters = queue.counters
    return counters.waiting + counters.inFlight
  }
}

/// The queue between those who publish and the thread that sends.
final class PublishQueue: Sendable {
  private struct Content {
    var waiting: [Publication] = []
    var head = 0
    var counters = PublishCounters()
    var state = LinkState.connecting(attempt: 1)
    var stopDeadline: Int64?
    var online: [UInt8]?
  }

  let wake = WakeEvent()
  private let limit: Int
  private let content = Mutex(Content())

  init(limit: Int) { self.limit = limit }

  func add(_ publication: Publication) -> PublishAdmission {
    let (admission, wasEmpty) = content.withLock { content -> (PublishAdmission, Bool) in
      guard content.stopDeadline == nil else { return (.stopped, false) }
      guard content.counters.waiting + content.counters.inFlight < limit else {
        content.counters.full += 1
        return (.full, false)
      }
      content.waiting.append(publication)
      content.counters.waiting += 1
      content.counters.queued += 1
      return (.queued, content.counters.waiting == 1)
    }
    if wasEmpty { wake.set() }
    return admission
  }

  /// Takes the oldest publication; it counts as in flight from now on.
  func take() -> Publication? {
    content.withLock { content in
      guard content.head < content.waiting.count else { return nil }
      let publication = content.waiting[content.head]
      content.head += 1
      // Moved up rarely, so that the cost a publication stays constant.
      if content.head == content.waiting.count || content.head >= 4_096 {
        content.waiting.removeFirst(content.head)
        content.head = 0
      }
      content.counters.waiting -= 1
      content.counters.inFlight += 1
      return publication
    }
  }

  func settle(_ outcome: PublishOutcome) {
    content.withLock { content in
      content.counters.inFlight -= 1
      switch outcome {
      case .confirmed: content.counters.confirmed += 1
      case .refused: content.counters.refused += 1
      }
    }
  }

  func countResent(_ count: Int) {
    content.withLock { $0.counters.resent += UInt64(count) }
  }

  func setState(_ state: LinkState) {
    content.withLock { content in
      if content.state.isConnected, !state.isConnected { content.counters.reconnects += 1 }
      content.state = state
    }
  }

  func stop(deadline: Int64) {
    content.withLock { content in
      if content.stopDeadline == nil { content.stopDeadline = deadline }
    }
    wake.set()
  }

  func setOnline(_ payload: [UInt8]) {
    content.withLock { $0.online = payload }
    wake.set()
  }

  /// What the status topic says while the connection is up; nil for what it said at first.
  var online: [UInt8]? { content.withLock { $0.online } }
  var stopDeadline: Int64? { content.withLock { $0.stopDeadline } }
  var counters: PublishCounters { content.withLock { $0.counters } }
  var state: LinkState { content.withLock { $0.state } }
}
