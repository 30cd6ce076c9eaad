public import Logging
import Synchronization

/// Counters of an intake; they only grow.
public struct IntakeCounters: Sendable, Equatable {
  /// Messages handed out.
  public var messages: UInt64 = 0
  /// Bytes of topics and payloads handed out.
  public var bytes: UInt64 = 0
  /// Payloads that were cut because they were too large.
  public var oversize: UInt64 = 0
  /// Times that `acknowledge` sent something.
  public var acknowledgements: UInt64 = 0
  /// Messages at QoS 1 whose connection was lost before `acknowledge`; the broker sends them again.
  public var unacknowledgedLost: UInt64 = 0
  /// Connections lost.
  public var reconnects: UInt64 = 0
  /// Connections to a broker that no longer had the session, and with it what it held for us.
  public var sessionsLost: UInt64 = 0
}

/// Receives messages and acknowledges them only when told that they are kept.
///
/// `poll` reads what is there, the caller makes it durable, then `acknowledge` lets the PUBACKs of
/// *everything* read so far leave. Nothing else does: without `acknowledge` the broker sends the
/// messages again, at the next connection, with the DUP flag. A message may therefore come twice,
/// when the connection or the process is lost between commit and acknowledgement, but it is never
/// lost. `acknowledge` after a reconnect acknowledges nothing of the connection before.
///
/// Messages at QoS 0 are gone when the process is.
///
/// `poll` and `acknowledge` belong to one thread. `keepAlive` may be called from any thread, so that
/// the connection survives while that one waits for a disk. `@unchecked`: `gate` guards all state.
public final class IntakeClient: @unchecked Sendable {
  private let gate = Mutex(())
  private let published = Mutex(
    (state: LinkState.connecting(attempt: 1), counters: IntakeCounters())
  )
  private let link: Link
  private var counted = IntakeCounters()
  private var counting: Connection?
  private var subscribing: [Int32: [Subscription]] = [:]
  private var refusals: [SubscriptionRefusal] = []
  /// What this process has asked for and got, as far as the broker's session still has it.
  private var granted: [Subscription] = []
  private var hasSubscribed = false
  private var nextSubscribe: Int64 = 0
  private var stoppedFull = false

  /// Creates a client that connects at the first `poll`.
  public init(
    options: MQTTOptions,
    logger: Logger = Logger(label: "davy.mqtt.intake"),
    onStateChange: (@Sendable (LinkState) -> Void)? = nil
  ) throws(MQTTOptionsError) {
    try options.validate()
    link = Link(options: options, cleanStart: false, logger: logger, observer: onStateChange)
  }

  /// The state of the link, from any thread; never waits for a running `poll`.
  public var state: LinkState { published.withLock { $0.state } }

  /// The counters, from any thread; never waits for a running `poll`.
  public var counters: IntakeCounters { published.withLock { $0.counters } }

  private func publish() {
    counted.reconnects = UInt64(link.reconnects)
    counted.sessionsLost = UInt64(link.sessionsLost)
    published.withLock { published in
      published.counters = counted
      if published.state != link.state { published.state = link.state }
    }
  }

  /// Appends what the broker has sent, until there is no more or the batch is full.
  ///
  /// Waits for a first message until the timeout. Connects and reconnects on the way. Never lets an
  /// acknowledgement leave. A message may make the batch exceed `maximumBytes`.
  public func poll(
    into batch: inout MessageBatch,
    timeout: Duration,
    maximumMessages: Int = 8_192,
    maximumBytes: Int = 8 << 20
  ) -> LinkState {
    gate.withLock { _ in
      defer { publish() }
      let deadline = monotonicMilliseconds() + timeout.milliseconds
      while true {
        guard let connection = link.established(deadline: deadline) else { break }
        do throws(LinkFailure) {
          try receive(
            from: connection,
            deadline: deadline,
            fullAt: maximumMessages - batch.count,
            bytes: maximumBytes - batch.bytes.count
          )
        } catch {
          forget(connection)
          take(from: connection, into: &batch)
          link.lost(error, now: monotonicMilliseconds())
        }
        take(from: connection, into: &batch)
        if !batch.isEmpty || monotonicMilliseconds() >= deadline { break }
      }
      return link.state
    }
  }

  /// Appends what the broker has sent, copied out message by message.
  public func poll(
    into messages: inout [MQTTMessage],
    timeout: Duration,
    maximumMessages: Int = 8_192,
    maximumBytes: Int = 8 << 20
  ) -> LinkState {
    var batch = MessageBatch()
    let state = poll(
      into: &batch,
      timeout: timeout,
      maximumMessages: maximumMessages,
      maximumBytes: maximumBytes
    )
    messages.append(contentsOf: batch.indices.map { batch[$0] })
    return state
  }

  /// Whether something was read whose acknowledgement has not left yet.
  public var owesAcknowledgements: Bool {
    gate.withLock { _ in (link.connection?.inbox.unacknowledged ?? 0) > 0 }
  }

  /// Lets the acknowledgements of everything read so far leave; call it when all of that is durable.
  ///
  /// Returns when they are with the operating system, or the connection is lost.
  public func acknowledge() {
    gate.withLock { _ in
      defer { publish() }
      guard let connection = link.connection, connection.isActive else { return }
      let count = connection.inbox.unacknowledged
      guard count > 0 else { return }
      do throws(LinkFailure) {
        connection.setCork(true)
        try flushAll(connection)
        connection.setCork(false)
        connection.inbox.unacknowledged = 0
        counted.acknowledgements += 1
      } catch {
        forget(connection)
        link.lost(error, now: monotonicMilliseconds())
      }
    }
  }

  /// Keeps the connection alive without letting any acknowledgement leave.
  ///
  /// Call it every second or so while a commit blocks, from any thread; it does nothing while `poll`
  /// or `acknowledge` runs.
  public func keepAlive() {
    _ = gate.withLockIfAvailable { _ in
      defer { publish() }
      guard let connection = link.connection else { return }
      let now = monotonicMilliseconds()
      do throws(LinkFailure) { try connection.ping(now: now) } catch {
        forget(connection)
        link.lost(error, now: now)
      }
    }
  }

  /// Ends the connection and keeps the session; what is not acknowledged comes again to the next client.
  public func stop() {
    gate.withLock { _ in
      defer { publish() }
      if let connection = link.connection { forget(connection) }
      link.stop()
    }
  }

  // MARK: Receiving

  private func receive(
    from connection: Connection,
    deadline: Int64,
    fullAt messages: Int,
    bytes: Int
  ) throws(LinkFailure) {
    var now = monotonicMilliseconds()
    if counting !== connection {
      counting = connection
      hasSubscribed = false
      subscribing = [:]
      nextSubscribe = 0
      stoppedFull = true
      if connection.session?.sessionPresent != true { granted = [] }
    }
    let inbox = connection.inbox
    if inbox.unacknowledged == 0 {
      if now >= nextSubscribe { try subscribe(on: connection) }
      // With nothing read since the last acknowledgement, nothing in the queue has to wait.
      try connection.flush(now: now)
    }
    try connection.ping(now: now)
    // While the queue is written halfway, the rest of it will leave as soon as it can, and with it
    // whatever is queued behind it; so nothing may be read that would queue an acknowledgement.
    if connection.isWriteBlocked || !stoppedFull {
      guard var descriptors = connection.interest.map({ [$0] }) else { throw .closed(nil) }
      waitForEvents(
        &descriptors,
        milliseconds: min(deadline - now, pause(of: connection, now: now))
      )
      now = monotonicMilliseconds()
      if connection.isWriteBlocked { return }
    }
    stoppedFull = false
    repeat {
      try connection.readPacket(now: now)
      if !inbox.grants.isEmpty { settle(connection, now: now) }
      guard inbox.batch.count < messages, inbox.batch.bytes.count < bytes else {
        stoppedFull = true
        return
      }
    } while !connection.isDrained
  }

  /// The longest wait before there is something to do: keep alive, or asking again for a subscription.
  private func pause(of connection: Connection, now: Int64) -> Int64 {
    let keepAlive = connection.session?.keepAlive.milliseconds ?? 0
    let pause = keepAlive > 0 ? max(100, keepAlive / 8) : Int64.max
    return min(pause, max(0, nextSubscribe - now))
  }

  /// Writes the whole queue, waiting for the socket as long as the keep alive allows.
  private func flushAll(_ connection: Connection) throws(LinkFailure) {
    let limit =
      monotonicMilliseconds()
      + max(5_000, connection.session?.keepAlive.milliseconds ?? 0)
    while true {
      let now = monotonicMilliseconds()
      try connection.flush(now: now)
      guard connection.wantsWrite else { return }
      guard now < limit else { throw .keepAliveTimeout }
      guard var descriptors = connection.interest.map({ [$0] }) else { throw .closed(nil) }
      waitForEvents(&descriptors, milliseconds: limit - now)
    }
  }

  /// Hands out what was read.
  private func take(from connection: Connection, into batch: inout MessageBatch) {
    let inbox = connection.inbox
    guard !inbox.batch.isEmpty else { return }
    counted.messages += UInt64(inbox.batch.count)
    counted.bytes += UInt64(inbox.batch.bytes.count)
    counted.oversize += UInt64(inbox.batch.oversizeCount)
    if batch.isEmpty {
      swap(&batch, &inbox.batch)
    } else {
      batch.append(contentsOf: inbox.batch)
    }
    inbox.batch.removeAll()
  }

  private func forget(_ connection: Connection) {
    counted.unacknowledgedLost += UInt64(connection.inbox.unacknowledged)
    connection.inbox.unacknowledged = 0
  }

  // MARK: Subscribing

  /// Sets what is subscribed to from now on, from any thread; a standing connection asks for it at once.
  ///
  /// Nothing is unsubscribed: what a filter that is gone still brings is somebody's reading, and whoever evaluates it
  /// says that it has no place any more.
  ///
  /// - Throws: ``MQTTOptionsError`` when a filter is not valid; nothing has changed then.
  public func subscribe(to subscriptions: [Subscription]) throws(MQTTOptionsError) {
    var options = gate.withLock { _ in link.options }
    options.subscriptions = subscriptions
    try options.validate()
    gate.withLock { _ in
      guard link.options.subscriptions != subscriptions else { return }
      link.options.subscriptions = subscriptions
      hasSubscribed = false
      nextSubscribe = 0
    }
  }

  /// Asks for all subscriptions, or, once they were answered, again for those refused.
  ///
  /// A broker sends what it retains to whoever subscribes, however often: values of unknown age, which must not come
  /// again as if they were new. MQTT 5 can be told to send them for a new subscription only (``Connection``); with
  /// 3.1.1 what the session has is not asked for again.
  private func subscribe(on connection: Connection) throws(LinkFailure) {
    var wanted = link.options.subscriptions
    if hasSubscribed {
      let refused = Set(refusals.map(\.filter))
      wanted = wanted.filter { refused.contains($0.filter) }
    } else {
      refusals = []
      hasSubscribed = true
      if connection.version == .v311 { wanted.removeAll { granted.contains($0) } }
    }
    nextSubscribe = .max
    for qos in QoS.allCases {
      let group = wanted.filter { $0.requestedQoS == qos }
      guard !group.isEmpty else { continue }
      let packet = try connection.subscribe(group.map(\.filter), qos: qos)
      subscribing[packet] = group
    }
    if subscribing.isEmpty { announce(connection) }
  }

  /// Takes in the broker's answers.
  private func settle(_ connection: Connection, now: Int64) {
    for grant in connection.inbox.grants {
      guard let group = subscribing.removeValue(forKey: grant.packet) else { continue }
      let filters = Set(group.map(\.filter))
      refusals.removeAll { filters.contains($0.filter) }
      for (index, subscription) in group.enumerated() {
        // An answer that is too short refuses what it does not mention.
        let code = index < grant.codes.count ? grant.codes[index] : 0x80
        if code >= 0x80 || code < subscription.requestedQoS.rawValue {
          refusals.append(SubscriptionRefusal(filter: subscription.filter, code: code))
        } else {
          granted.removeAll { $0.filter == subscription.filter }
          granted.append(subscription)
        }
      }
    }
    connection.inbox.grants.removeAll()
    guard subscribing.isEmpty else { return }
    if !refusals.isEmpty { nextSubscribe = now + link.options.backOff.maximum.milliseconds }
    announce(connection)
  }

  private func announce(_ connection: Connection) {
    guard let session = connection.session else { return }
    link.report(
      refusals.isEmpty ? .connected(session) : .subscriptionRefused(session, refusals)
    )
  }
}
