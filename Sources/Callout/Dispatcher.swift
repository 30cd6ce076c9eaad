import Foundation
public import HazardLedger
public import Logging
import Synchronization
import Telemetry

/// A channel with all that the dispatcher has to know of it.
public struct ChannelSetup: Sendable {
  /// Name, as chains and contacts use it.
  public var name: String
  /// Kind, for people.
  public var kind: String
  /// Keys of a contact's addresses that serve here, the best first.
  public var addressKeys: [String]
  /// Rates, groups, tries.
  public var policy: ChannelPolicy
  /// Sends.
  public var channel: any NotificationChannel
  /// Whom test messages and heartbeats go to; a shared channel needs nobody.
  public var operators: [Notice.Recipient]
  /// Minutes after midnight, UTC, of the daily heartbeat; nil sends none.
  public var heartbeatMinute: Int?

  /// Makes a setup.
  public init(
    name: String,
    kind: String,
    addressKeys: [String] = [],
    policy: ChannelPolicy = ChannelPolicy(),
    channel: any NotificationChannel,
    operators: [Notice.Recipient] = [],
    heartbeatMinute: Int? = nil
  ) {
    self.name = name
    self.kind = kind
    self.addressKeys = addressKeys
    self.policy = policy
    self.channel = channel
    self.operators = operators
    self.heartbeatMinute = heartbeatMinute
  }
}

/// Brings dispatches to persons: chooses channels, keeps their rates, tries again, and says what became of each.
///
/// Nothing here decides whom to call or when to stop: that is the ledger's state machine. What is lost here, in a crash,
/// is called again by it, marked in doubt. An answer in the ledger withdraws what still waits.
public actor Dispatcher {
  /// How the dispatcher is wired.
  public struct Wiring: Sendable {
    /// The wall clock, milliseconds since the Unix epoch.
    public var clock: @Sendable () -> Int64
    /// Tells the station what became of a dispatch; returns when it is on record, or will never be.
    public var report: @Sendable (CalloutReport) async -> Void
    /// Whether a call-out has been answered or cancelled meanwhile.
    public var isAnswered: @Sendable (_ callout: String) async -> Bool
    /// Where heartbeats and dead letters outlive a restart; nil keeps them in memory.
    public var stateFile: String?

    /// Makes a wiring.
    public init(
      clock: @escaping @Sendable () -> Int64,
      report: @escaping @Sendable (CalloutReport) async -> Void,
      isAnswered: @escaping @Sendable (String) async -> Bool,
      stateFile: String? = nil
    ) {
      self.clock = clock
      self.report = report
      self.isAnswered = isAnswered
      self.stateFile = stateFile
    }
  }

  private struct Line {
    var setup: ChannelSetup
    var queue: ChannelQueue
    var figures = ChannelFigures()
    var wake: AsyncStream<Void>.Continuation
  }

  private let wiring: Wiring
  private let logger: Logger
  private var lines: [String: Line] = [:]
  private let order: [String]
  private let wakes: [String: AsyncStream<Void>]
  /// Channels that have not yet said a word on a dispatch.
  private var open: [String: Set<String>] = [:]
  private var taken: Set<String> = []
  private var log: [DeliveryRecord] = []
  private var book: DispatcherBook
  private let reports: AsyncStream<CalloutReport>
  private let reporting: AsyncStream<CalloutReport>.Continuation

  /// Deliveries that the log keeps.
  static let logLimit = 1_000

  /// Makes a dispatcher; nothing is sent before ``run()``.
  ///
  /// - Throws: why the state file cannot be read.
  public init(channels: [ChannelSetup], wiring: Wiring, logger: Logger) throws {
    self.wiring = wiring
    self.logger = logger
    order = channels.map(\.name)
    var wakes: [String: AsyncStream<Void>] = [:]
    for setup in channels {
      let (stream, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
      wakes[setup.name] = stream
      lines[setup.name] = Line(
        setup: setup,
        queue: ChannelQueue(policy: setup.policy, isShared: setup.channel.isShared),
        wake: wake
      )
    }
    self.wakes = wakes
    (reports, reporting) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    book = try DispatcherBook(path: wiring.stateFile)
    for name in order { book.begin(name, at: Timestamp(milliseconds: wiring.clock())) }
  }

  private var now: Timestamp { Timestamp(milliseconds: wiring.clock()) }

  // MARK: - Taking in

  /// Takes dispatches over.
  func accept(_ dispatches: [CalloutDispatch]) {
    for dispatch in dispatches {
      let names = channels(for: dispatch)
      guard !names.isEmpty else {
        settle(dead(dispatch, "no channel has an address for \(dispatch.contact.name)"), on: "")
        continue
      }
      open[dispatch.id] = Set(names)
      for name in names {
        guard let recipient = recipient(of: dispatch, on: name) else { continue }
        let refused = lines[name]?.queue.add(dispatch, to: recipient, at: now)
        if let refused { settle(refused, on: name) }
        lines[name]?.wake.yield()
      }
    }
  }

  /// Channels that exist and can reach the person; those asked for, or else all.
  private func channels(for dispatch: CalloutDispatch) -> [String] {
    let asked = dispatch.channels.isEmpty ? order : dispatch.channels
    for name in dispatch.channels where lines[name] == nil {
      logger.error(
        "a chain names a channel that the service file does not",
        metadata: ["channel": "\(name)", "dispatch": "\(dispatch.id)"]
      )
    }
    return asked.filter { recipient(of: dispatch, on: $0) != nil }
  }

  /// Whom the dispatch is for on a channel; nil when the channel cannot reach the person.
  ///
  /// A shared channel that a chain names reaches its group even if the person has no address there.
  private func recipient(of dispatch: CalloutDispatch, on name: String) -> Notice.Recipient? {
    guard let setup = lines[name]?.setup else { return nil }
    let addresses = dispatch.contact.addresses
    let address = ([name] + setup.addressKeys).lazy.compactMap { addresses[$0] }.first
    if address == nil, !(setup.channel.isShared && dispatch.channels.contains(name)) { return nil }
    return Notice.Recipient(name: dispatch.contact.name, address: address ?? "")
  }

  private func dead(_ dispatch: CalloutDispatch, _ why: String) -> ChannelQueue.Settled {
    ChannelQueue.Settled(dispatch: dispatch, isDelivered: false, detail: why, tries: 0)
  }

  // MARK: - Sending

  /// Sends until it is cancelled.
  public func run() async {
    await withTaskGroup(of: Void.self) { group in
      for name in order {
        group.addTask { await self.serve(name) }
        group.addTask { await self.beat(name) }
      }
      group.addTask { await self.passOnReports() }
      await group.waitForAll()
    }
  }

  private func serve(_ name: String) async {
    guard let wakes = wakes[name] else { return }
    for await _ in wakes {
      while !Task.isCancelled {
        for expired in lines[name]?.queue.expire(at: now) ?? [] { settle(expired, on: name) }
        await withdrawAnswered(on: name)
        guard let sending = lines[name]?.queue.next(at: now), let setup = lines[name]?.setup
        else { break }
        lines[name]?.figures.isSending = true
        let outcome = await setup.channel.send(sending.notice)
        lines[name]?.figures.isSending = false
        note(sending.notice, outcome, on: name)
        for settled in lines[name]?.queue.settle(sending, outcome, at: now) ?? [] {
          settle(settled, on: name)
        }
      }
      guard let next = lines[name]?.queue.nextTime else { continue }
      wake(name, at: next)
    }
  }

  private func wake(_ name: String, at time: Timestamp) {
    guard let wake = lines[name]?.wake else { return }
    // Looked at again at the latest after a second, should the clock have been set.
    let wait = min(max(time.milliseconds - now.milliseconds, 1), 1_000)
    Task {
      try? await Task.sleep(for: .milliseconds(wait))
      wake.yield()
    }
  }

  /// Nobody is called about what somebody has answered.
  private func withdrawAnswered(on name: String) async {
    guard let waiting = lines[name]?.queue.callouts else { return }
    for callout in waiting where await wiring.isAnswered(callout) {
      let withdrawn =
        lines[name]?.queue.withdraw { $0.callout == callout && $0.purpose == .call } ?? []
      lines[name]?.figures.withdrawn += withdrawn.count
      for dispatch in withdrawn { forget(dispatch.id, name) }
    }
  }

  // MARK: - What became of it

  private func settle(_ settled: ChannelQueue.Settled, on name: String) {
    let id = settled.dispatch.id
    let isLast = forget(id, name)
    if settled.isDelivered {
      // The first channel's word is the call's outcome; the others' stand among the deliveries.
      if taken.insert(id).inserted {
        report(.delivered(dispatch: id, channel: name, detail: settled.detail))
      }
    } else {
      lines[name]?.figures.dead += 1
      book.add(
        DeadLetter(
          dispatch: settled.dispatch,
          channel: name,
          reason: settled.detail,
          tries: settled.tries,
          time: now
        )
      )
      saveBook()
      logger.error(
        "a message to a person is a dead letter",
        metadata: [
          "dispatch": "\(id)", "channel": "\(name)", "reason": "\(settled.detail)",
          "tries": "\(settled.tries)",
        ]
      )
      // One channel's failure is no failure while another may yet reach the person.
      if isLast, !taken.contains(id) {
        report(.failed(dispatch: id, channel: name, detail: settled.detail))
      }
    }
    if isLast { taken.remove(id) }
  }

  /// True when no other channel has the dispatch any more.
  @discardableResult
  private func forget(_ dispatch: String, _ name: String) -> Bool {
    guard var left = open[dispatch] else { return true }
    left.remove(name)
    open[dispatch] = left.isEmpty ? nil : left
    return left.isEmpty
  }

  private func report(_ report: CalloutReport) {
    reporting.yield(report)
  }

  private func passOnReports() async {
    for await report in reports { await wiring.report(report) }
  }

  private func note(_ notice: Notice, _ outcome: DeliveryOutcome, on name: String) {
    let record = DeliveryRecord(notice: notice, channel: name, outcome: outcome, time: now)
    log.append(record)
    if log.count > Self.logLimit { log.removeFirst(log.count - Self.logLimit) }
    lines[name]?.figures.count(outcome, at: now)
    if case .delivered = outcome { return }
    logger.warning(
      "a channel has not taken a message",
      metadata: ["channel": "\(name)", "notice": "\(notice.id)", "answer": "\(record.detail)"]
    )
  }

  private func saveBook() {
    do {
      try book.save()
    } catch {
      lines.keys.forEach { lines[$0]?.figures.stateFaults += 1 }
      logger.error("the call-out state file is not written", metadata: ["error": "\(error)"])
    }
  }

  // MARK: - Tests and heartbeats

  /// Sends a test message past the queue and answers what became of it; nil for a channel that there is none.
  public func test(_ name: String, by person: String) async -> DeliveryOutcome? {
    guard let setup = lines[name]?.setup else { return nil }
    let words = CalloutDispatch.Text(
      zh: "这是由 \(person) 发起的测试，无需处理。",
      en: "A test started by \(person). Nothing is to be done."
    )
    return await pass(
      Notice(
        id: "test/\(name)/\(now.milliseconds)",
        kind: .test,
        recipients: setup.operators,
        title: CalloutDispatch.Text(zh: "叫应通道测试", en: "Call-out channel test"),
        text: words,
        time: now
      ),
      setup
    )
  }

  private func pass(_ notice: Notice, _ setup: ChannelSetup) async -> DeliveryOutcome {
    guard setup.channel.isShared || !setup.operators.isEmpty else {
      return .refused("the channel has no operators: to whom the message goes")
    }
    guard lines[setup.name]?.queue.pass(at: now) == true else {
      return .unavailable("the channel's rate is used up; try again in a minute", retryAfter: nil)
    }
    // Each of them, where the channel reaches one at a time; the first failure speaks for all.
    let recipients = setup.channel.isShared ? [notice.recipients] : notice.recipients.map { [$0] }
    var outcome = DeliveryOutcome.delivered("")
    for some in recipients {
      var one = notice
      one.recipients = some
      let answer = await setup.channel.send(one)
      note(one, answer, on: setup.name)
      if case .delivered = outcome { outcome = answer }
    }
    return outcome
  }

  private func beat(_ name: String) async {
    guard let setup = lines[name]?.setup, let minute = setup.heartbeatMinute else { return }
    while !Task.isCancelled {
      let due = book.nextHeartbeat(name, minute: minute)
      if due <= now {
        let notice = Notice(
          id: "heartbeat/\(name)/\(due.milliseconds)",
          kind: .heartbeat,
          recipients: setup.operators,
          title: CalloutDispatch.Text(zh: "叫应通道每日心跳", en: "Daily call-out heartbeat"),
          text: CalloutDispatch.Text(
            zh: "通道“\(name)”工作正常。若某日未收到本消息，请检查。",
            en: "Channel \(name) works. A day without this message is a fault."
          ),
          time: now
        )
        if case .delivered = await pass(notice, setup) {
          book.beat(name, at: now)
          saveBook()
        }
      }
      // A clock that was set, and a heartbeat that failed, are looked at again within the minute.
      try? await Task.sleep(
        for: .milliseconds(min(max(due.milliseconds - now.milliseconds, 30_000), 60_000))
      )
    }
  }

  // MARK: - For people

  /// How the channels do.
  public func channels() -> [ChannelStatus] {
    order.compactMap { name in
      guard let line = lines[name] else { return nil }
      return ChannelStatus(
        name: name,
        kind: line.setup.kind,
        waiting: line.queue.count,
        figures: line.figures,
        lastHeartbeat: book.lastHeartbeat(name),
        isHeartbeatMissing: line.setup.heartbeatMinute.map {
          book.isHeartbeatMissing(name, minute: $0, at: now)
        } ?? false
      )
    }
  }

  /// Messages that no channel has taken, newest first.
  public func deadLetters() -> [DeadLetter] { book.deadLetters.reversed() }

  /// What was sent lately, newest first.
  public func deliveries() -> [DeliveryRecord] { log.reversed() }
}

/// The station's door to a ``Dispatcher``.
public final class DispatcherInbox: CalloutDispatcher, Sendable {
  private let stream: AsyncStream<[CalloutDispatch]>
  private let continuation: AsyncStream<[CalloutDispatch]>.Continuation

  /// Makes an inbox.
  public init() {
    // Unbounded by itself: the ledger's machine makes at most one call a person and interval, and each channel's
    // queue has its limit.
    (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
  }

  /// Takes dispatches over; returns at once.
  public func deliver(_ dispatches: [CalloutDispatch]) {
    continuation.yield(dispatches)
  }

  /// Hands what comes to the dispatcher, and runs it, until it is cancelled.
  public func run(_ dispatcher: Dispatcher) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await dispatcher.run() }
      group.addTask {
        for await dispatches in self.stream { await dispatcher.accept(dispatches) }
      }
      await group.waitForAll()
    }
  }
}
