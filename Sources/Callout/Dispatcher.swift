import Foundation
public import HazardLedger
public import Logging
import Synchronization
import Telemetry

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

  struct Line {
    var setup: ChannelSetup
    var queue: ChannelQueue
    var figures = ChannelFigures()
    var wake: AsyncStream<Void>.Continuation
    /// Rises when the channel is changed: who serves it as it was ends.
    var generation: Int
  }

  /// A channel to be served from now on.
  private struct Begun: Sendable {
    var name: String
    var generation: Int
    var wakes: AsyncStream<Void>
  }

  private let wiring: Wiring
  private let logger: Logger
  var lines: [String: Line] = [:]
  private var order: [String] = []
  private var generations = 0
  private let begun: AsyncStream<Begun>
  private let beginning: AsyncStream<Begun>.Continuation
  /// A station that has never had a channel, and is asked for none by name, calls nobody, and that is no failure; one
  /// that has lost its last does.
  private var hasHadChannels = false
  /// Channels that have not yet said a word on a dispatch.
  private var open: [String: Set<String>] = [:]
  private var taken: Set<String> = []
  private var log: [DeliveryRecord] = []
  var book: DispatcherBook
  private let reports: AsyncStream<CalloutReport>
  private let reporting: AsyncStream<CalloutReport>.Continuation

  /// Deliveries that the log keeps.
  static let logLimit = 1_000

  /// Makes a dispatcher; nothing is sent before ``run()``.
  ///
  /// - Parameters:
  ///   - channels: the channels that can be used now.
  ///   - hasHadChannels: there have been others, which cannot be used now: then a call that reaches nobody is a failure.
  ///   - wiring: clock, reports, state.
  ///   - logger: takes what is worth telling.
  /// - Throws: why the state file cannot be read.
  public init(
    channels: [ChannelSetup],
    hasHadChannels: Bool = false,
    wiring: Wiring,
    logger: Logger
  ) throws {
    self.wiring = wiring
    self.logger = logger
    (reports, reporting) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    (begun, beginning) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    var book = try DispatcherBook(path: wiring.stateFile)
    let now = Timestamp(milliseconds: wiring.clock())
    for setup in channels { book.begin(setup.name, at: now) }
    if !channels.isEmpty {
      do {
        try book.save()
      } catch {
        Self.tellUnsaved(error, logger)
      }
    }
    // A service file that has lost its section says nothing of the channels that it had: the book does.
    self.hasHadChannels = hasHadChannels || book.hasHadChannels
    self.book = book
    for setup in channels {
      generations += 1
      let (line, begun) = Self.line(setup, generation: generations)
      lines[setup.name] = line
      order.append(setup.name)
      beginning.yield(begun)
    }
  }

  // MARK: - Changing channels

  /// Puts other channels in force, while messages wait and are on their way.
  ///
  /// What waits for a changed channel goes by it as it is now; what waits for one that is gone, or that can no longer reach
  /// the person, is a dead letter there, and its call is made again by whoever asked for it.
  public func adopt(_ channels: [ChannelSetup]) {
    let kept = Set(channels.map(\.name))
    for name in order where !kept.contains(name) {
      guard let line = lines.removeValue(forKey: name) else { continue }
      line.wake.finish()
      var queue = line.queue
      for dispatch in queue.withdraw({ _ in true }) {
        settle(dead(dispatch, "the channel was removed while the message waited"), on: name)
      }
      logger.notice("a call-out channel is gone", metadata: ["channel": "\(name)"])
    }
    order = channels.map(\.name)
    hasHadChannels = hasHadChannels || !channels.isEmpty
    for setup in channels where lines[setup.name]?.setup.revision != setup.revision {
      begin(setup)
    }
  }

  private static func line(_ setup: ChannelSetup, generation: Int) -> (Line, Begun) {
    let (wakes, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let line = Line(
      setup: setup,
      queue: ChannelQueue(policy: setup.policy, isShared: setup.channel.isShared),
      wake: wake,
      generation: generation
    )
    return (line, Begun(name: setup.name, generation: generation, wakes: wakes))
  }

  /// Puts the channels in force that there are at the moment of doing so: of two changes the later one stays.
  ///
  /// - Throws: what `make` throws; the channels are as they were then.
  public func adopt(from make: @Sendable () throws -> [ChannelSetup]) rethrows {
    adopt(try make())
  }

  /// Serves a channel from now on, in place of the one of that name.
  private func begin(_ setup: ChannelSetup) {
    let former = lines[setup.name]
    former?.wake.finish()
    generations += 1
    var (line, begun) = Self.line(setup, generation: generations)
    var stranded: [CalloutDispatch] = []
    if let former {
      line.figures = former.figures
      line.figures.isSending = false
      stranded = line.queue.takeOver(former.queue) { recipient(of: $0, on: setup) }
    }
    lines[setup.name] = line
    for dispatch in stranded {
      settle(
        dead(dispatch, "the channel was changed and has no address for the person any more"),
        on: setup.name
      )
    }
    book.begin(setup.name, at: now)
    saveBook()
    beginning.yield(begun)
    line.wake.yield()
    logger.notice(
      former == nil ? "a call-out channel is added" : "a call-out channel is changed",
      metadata: ["channel": "\(setup.name)", "kind": "\(setup.kind)"]
    )
  }

  var now: Timestamp { Timestamp(milliseconds: wiring.clock()) }

  // MARK: - Taking in

  /// Takes dispatches over.
  package func accept(_ dispatches: [CalloutDispatch]) {
    for dispatch in dispatches where hasHadChannels || !dispatch.channels.isEmpty {
      let names = channels(for: dispatch)
      guard !names.isEmpty else {
        settle(dead(dispatch, whyNobody(dispatch)), on: "")
        continue
      }
      let missing = Set(dispatch.channels.filter { lines[$0] == nil })
      open[dispatch.id] = Set(names).union(missing)
      for name in names {
        guard let recipient = recipient(of: dispatch, on: name) else { continue }
        let refused = lines[name]?.queue.add(dispatch, to: recipient, at: now)
        if let refused { settle(refused, on: name) }
        lines[name]?.wake.yield()
      }
      for name in missing.sorted() { tellMissing(name, of: dispatch) }
    }
  }

  /// A channel that a chain names and that there is none, beside others that reach the person.
  private func tellMissing(_ name: String, of dispatch: CalloutDispatch) {
    let why = "there is no channel \(name), which the chain names"
    // One letter says it: one a call would push out those of calls that reached nobody.
    let isKnown = book.deadLetters.contains { $0.channel == name && $0.reason == why }
    settle(dead(dispatch, why), on: name, keepsLetter: !isKnown)
  }

  /// Why no channel reaches the person.
  private func whyNobody(_ dispatch: CalloutDispatch) -> String {
    let missing = dispatch.channels.filter { lines[$0] == nil }
    guard missing.isEmpty else {
      return "there is no channel \(missing.joined(separator: ", ")), which the chain names"
    }
    return lines.isEmpty
      ? "there is no channel any more" : "no channel has an address for \(dispatch.contact.name)"
  }

  /// Channels that exist and can reach the person; those asked for, or else all.
  private func channels(for dispatch: CalloutDispatch) -> [String] {
    var seen: Set<String> = []
    let asked =
      dispatch.channels.isEmpty ? order : dispatch.channels.filter { seen.insert($0).inserted }
    for name in dispatch.channels where lines[name] == nil {
      logger.error(
        "a chain names a channel that there is none",
        metadata: ["channel": "\(name)", "dispatch": "\(dispatch.id)"]
      )
    }
    return asked.filter { recipient(of: dispatch, on: $0) != nil }
  }

  /// Whom the dispatch is for on a channel; nil when the channel cannot reach the person.
  ///
  /// A shared channel that a chain names reaches its group even if the person has no address there.
  private func recipient(of dispatch: CalloutDispatch, on name: String) -> Notice.Recipient? {
    lines[name].flatMap { recipient(of: dispatch, on: $0.setup) }
  }

  private func recipient(of dispatch: CalloutDispatch, on setup: ChannelSetup) -> Notice.Recipient?
  {
    let addresses = dispatch.contact.addresses
    let address = ([setup.name] + setup.addressKeys).lazy.compactMap { addresses[$0] }.first
    if address == nil, !(setup.channel.isShared && dispatch.channels.contains(setup.name)) {
      return nil
    }
    return Notice.Recipient(name: dispatch.contact.name, address: address ?? "")
  }

  private func dead(_ dispatch: CalloutDispatch, _ why: String) -> ChannelQueue.Settled {
    ChannelQueue.Settled(dispatch: dispatch, isDelivered: false, detail: why, tries: 0)
  }

  // MARK: - Sending

  /// Sends until it is cancelled.
  public func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.passOnReports() }
      for await begun in begun {
        group.addTask { await self.serve(begun) }
        group.addTask { await self.beat(begun.name, begun.generation) }
      }
    }
  }

  private func serve(_ begun: Begun) async {
    let name = begun.name
    for await _ in begun.wakes {
      while !Task.isCancelled, lines[name]?.generation == begun.generation {
        for expired in lines[name]?.queue.expire(at: now) ?? [] { settle(expired, on: name) }
        await withdrawAnswered(on: name)
        guard lines[name]?.generation == begun.generation,
          let sending = lines[name]?.queue.next(at: now), let setup = lines[name]?.setup
        else { break }
        lines[name]?.figures.isSending = true
        let outcome = await setup.channel.send(sending.notice)
        note(sending.notice, outcome, on: name)
        guard lines[name]?.generation == begun.generation else {
          settleChanged(sending, outcome, on: name)
          return
        }
        lines[name]?.figures.isSending = false
        for settled in lines[name]?.queue.settle(sending, outcome, at: now) ?? [] {
          settle(settled, on: name)
        }
      }
      guard let next = lines[name]?.queue.nextTime else { continue }
      wake(name, at: next)
    }
  }

  /// What became of a message whose channel was changed or removed while it was on its way: what was not taken goes by
  /// the channel as it is now.
  private func settleChanged(
    _ sending: ChannelQueue.Sending,
    _ outcome: DeliveryOutcome,
    on name: String
  ) {
    for dispatch in sending.notice.dispatches {
      if case .delivered(let words) = outcome {
        settle(
          ChannelQueue.Settled(dispatch: dispatch, isDelivered: true, detail: words, tries: 1),
          on: name
        )
      } else if let recipient = recipient(of: dispatch, on: name) {
        let refused = lines[name]?.queue.add(dispatch, to: recipient, at: now)
        if let refused { settle(refused, on: name) }
        lines[name]?.wake.yield()
      } else {
        let why = "the channel was removed or changed while the message was on its way"
        settle(dead(dispatch, why), on: name)
      }
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

  private func settle(
    _ settled: ChannelQueue.Settled,
    on name: String,
    keepsLetter: Bool = true
  ) {
    let id = settled.dispatch.id
    let isLast = forget(id, name)
    if settled.isDelivered {
      // The first channel's word is the call's outcome; the others' stand among the deliveries.
      if taken.insert(id).inserted {
        report(.delivered(dispatch: id, channel: name, detail: settled.detail))
      }
    } else {
      if keepsLetter { bury(settled, on: name) }
      // One channel's failure is no failure while another may yet reach the person.
      if isLast, !taken.contains(id) {
        report(.failed(dispatch: id, channel: name, detail: settled.detail))
      }
    }
    if isLast { taken.remove(id) }
  }

  private func bury(_ settled: ChannelQueue.Settled, on name: String) {
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
        "dispatch": "\(settled.dispatch.id)", "channel": "\(name)", "reason": "\(settled.detail)",
        "tries": "\(settled.tries)",
      ]
    )
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

  func note(_ notice: Notice, _ outcome: DeliveryOutcome, on name: String) {
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

  func saveBook() {
    do {
      try book.save()
    } catch {
      lines.keys.forEach { lines[$0]?.figures.stateFaults += 1 }
      Self.tellUnsaved(error, logger)
    }
  }

  private static func tellUnsaved(_ error: any Error, _ logger: Logger) {
    logger.error("the call-out state file is not written", metadata: ["error": "\(error)"])
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
