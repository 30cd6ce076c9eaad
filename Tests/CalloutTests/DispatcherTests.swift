import Foundation
import HazardLedger
import Logging
import Synchronization
import Telemetry
import Testing

import Callout

/// The dispatcher with channels that answer by script: what goes where, what is reported, what stops.
@Suite("Call-out dispatcher")
struct DispatcherTests {
  /// A channel that answers from a list, the last answer for ever.
  final class Scripted: NotificationChannel {
    let isShared: Bool
    private let state: Mutex<(sent: [Notice], answers: [DeliveryOutcome])>

    init(_ answers: [DeliveryOutcome] = [.delivered("ok")], shared: Bool = true) {
      isShared = shared
      state = Mutex(([], answers))
    }

    var sent: [Notice] { state.withLock { $0.sent } }

    func send(_ notice: Notice) async -> DeliveryOutcome {
      state.withLock { state in
        state.sent.append(notice)
        return state.answers.count > 1 ? state.answers.removeFirst() : state.answers[0]
      }
    }
  }

  final class Station: Sendable {
    let reports: Mutex<[CalloutReport]> = Mutex([])
    let answered: Mutex<Set<String>> = Mutex([])
    let clock: Mutex<Int64> = Mutex(1_700_000_000_000)
  }

  let station = Station()

  func dispatcher(
    _ channels: [(name: String, channel: Scripted, policy: ChannelPolicy)],
    heartbeat: Int? = nil,
    stateFile: String? = nil,
    hasHadChannels: Bool = false
  ) throws -> Dispatcher {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return try Dispatcher(
      channels: channels.map {
        ChannelSetup(
          name: $0.name,
          kind: "test",
          addressKeys: ["phone"],
          policy: $0.policy,
          channel: $0.channel,
          operators: [.init(name: "o", address: "1")],
          heartbeatMinute: heartbeat
        )
      },
      hasHadChannels: hasHadChannels,
      wiring: Dispatcher.Wiring(
        clock: { [station] in station.clock.withLock { $0 } },
        report: { [station] report in station.reports.withLock { $0.append(report) } },
        isAnswered: { [station] id in station.answered.withLock { $0.contains(id) } },
        stateFile: stateFile
      ),
      logger: logger
    )
  }

  /// Runs a dispatcher until something has come true.
  func run(
    _ dispatcher: Dispatcher,
    _ dispatches: [CalloutDispatch],
    until what: String,
    _ condition: @Sendable @escaping () async -> Bool
  ) async throws {
    let inbox = DispatcherInbox()
    inbox.deliver(dispatches)
    let running = Task { await inbox.run(dispatcher) }
    let limit = ContinuousClock.now + .seconds(600)
    while await !condition() {
      guard ContinuousClock.now < limit else {
        running.cancel()
        Issue.record("waited in vain until \(what)")
        return
      }
      try await Task.sleep(for: .milliseconds(2))
    }
    running.cancel()
    await running.value
  }

  static let quick = ChannelPolicy(groupMilliseconds: 0, attempts: 3, backOffMilliseconds: 1)

  @Test("all channels that reach the person are used, and the first that takes it is reported")
  func channels() async throws {
    let (sms, group, mail) = (Scripted(shared: false), Scripted(), Scripted())
    let dispatcher = try dispatcher([
      ("sms", sms, Self.quick), ("group", group, Self.quick), ("mail", mail, Self.quick),
    ])
    let calls = [
      dispatch(1), dispatch(2, addresses: ["sms": "139"]),
      dispatch(3, addresses: [:], channels: ["mail", "sms"]), dispatch(4, addresses: [:]),
    ]
    try await run(dispatcher, calls, until: "all are settled") { [station] in
      station.reports.withLock { $0.count } == 4
    }
    #expect(Set(sms.sent.flatMap(\.dispatches).map(\.number)) == [1, 2])
    #expect(sms.sent.contains { $0.recipients.map(\.address) == ["139"] })
    #expect(Set(group.sent.flatMap(\.dispatches).map(\.number)) == [1])
    // A chain that names a shared channel reaches the group without an address; sms cannot.
    #expect(Set(mail.sent.flatMap(\.dispatches).map(\.number)) == [1, 3])
    let reports = station.reports.withLock { $0 }
    #expect(
      reports.contains {
        if case .failed("callout/1#4", _, let why) = $0 { why.contains("王工") } else { false }
      }
    )
    #expect(await dispatcher.deadLetters().map(\.dispatch.number) == [4])
  }

  @Test("one channel's failure is no failure while another reaches the person")
  func failover() async throws {
    let (bad, good) = (Scripted([.refused("310000")]), Scripted())
    let dispatcher = try dispatcher([("bad", bad, Self.quick), ("good", good, Self.quick)])
    try await run(dispatcher, [dispatch(1)], until: "both have answered") { [station] in
      let letters = await dispatcher.deadLetters().count
      return letters == 1 && station.reports.withLock { $0.count } == 1
    }
    #expect(
      station.reports.withLock { $0 }
        == [.delivered(dispatch: "callout/1#1", channel: "good", detail: "ok")]
    )
    let status = await dispatcher.channels()
    #expect(status.map(\.figures.refused) == [1, 0])
    #expect(status.map(\.figures.dead) == [1, 0])
    #expect(status[0].figures.lastFailureDetail == "310000")
  }

  @Test("a change while messages wait: they go by the channel as it is then, and nothing is lost")
  func changed() async throws {
    let never = ChannelPolicy(groupMilliseconds: 0, attempts: 50, backOffMilliseconds: 1)
    let (dead, alive, group) = (
      Scripted([.unavailable("down", retryAfter: nil)]), Scripted(shared: false), Scripted()
    )
    let dispatcher = try dispatcher([("sms", dead, never), ("gone", dead, never)])
    @Sendable func setup(_ name: String, _ channel: Scripted, _ keys: [String]) -> ChannelSetup {
      ChannelSetup(
        name: name,
        kind: "test",
        addressKeys: keys,
        policy: Self.quick,
        channel: channel,
        revision: "2"
      )
    }
    let calls = [
      dispatch(1, channels: ["sms"]), dispatch(2, channels: ["gone"]),
      dispatch(3, addresses: ["phone": "139"], channels: ["sms"]),
    ]
    try await run(dispatcher, calls, until: "all are settled") { [station] in
      if await dispatcher.channels().map(\.waiting).reduce(0, +) > 0, !dead.sent.isEmpty {
        // Mail only: who has but a telephone cannot be reached by it any more.
        await dispatcher.adopt([setup("sms", alive, ["mail"]), setup("group", group, ["phone"])])
      }
      return station.reports.withLock { $0.count } == 3
    }
    #expect(alive.sent.flatMap(\.recipients).map(\.address) == ["wang@example.org"])
    let reports = station.reports.withLock { $0 }
    #expect(reports.contains(.delivered(dispatch: "callout/1#1", channel: "sms", detail: "ok")))
    let letters = await dispatcher.deadLetters()
    #expect(Set(letters.map(\.dispatch.number)) == [2, 3])
    #expect(letters.allSatisfy { $0.reason.contains("removed") || $0.reason.contains("changed") })
    #expect(await dispatcher.channels().map(\.name) == ["sms", "group"])
    #expect(await dispatcher.test("gone", by: "x") == nil)
    #expect(await dispatcher.test("group", by: "x") == .delivered("ok"))
  }

  @Test("a station whose last channel is taken away says of each call that nobody is reached")
  func lastOneGone() async throws {
    let sms = Scripted(shared: false)
    let dispatcher = try dispatcher([])
    await dispatcher.adopt([
      ChannelSetup(
        name: "sms",
        kind: "test",
        addressKeys: ["phone"],
        policy: Self.quick,
        channel: sms
      )
    ])
    try await run(dispatcher, [dispatch(2)], until: "it is delivered") { !sms.sent.isEmpty }
    #expect(sms.sent.flatMap(\.dispatches).map(\.number) == [2])
    // The same after a restart that finds none it can use.
    let again = try self.dispatcher([], hasHadChannels: true)
    await dispatcher.adopt([])
    for (number, bare) in [dispatcher, again].enumerated() {
      await bare.accept([dispatch(3 + number)])
      #expect(await bare.deadLetters().map(\.dispatch.number) == [3 + number])
    }
    let never = try self.dispatcher([])
    await never.accept([dispatch(9)])
    #expect(await never.deadLetters().isEmpty)
  }

  @Test("a call by a channel that there is none is a failure, in a station that never had another")
  func namedButGone() async throws {
    let never = try dispatcher([])
    let calls = [dispatch(1, channels: ["sms"]), dispatch(2)]
    try await run(never, calls, until: "it is told") { [station] in
      station.reports.withLock { !$0.isEmpty }
    }
    let why = "there is no channel sms, which the chain names"
    #expect(
      station.reports.withLock { $0 }
        == [.failed(dispatch: "callout/1#1", channel: "", detail: why)]
    )
    #expect(await never.deadLetters().map(\.reason) == [why])
  }

  @Test(
    "a channel that there is none beside one that takes the call is a dead letter, and no failure"
  )
  func oneGone() async throws {
    let dispatcher = try dispatcher([("sms", Scripted(), Self.quick)])
    try await run(dispatcher, [dispatch(1, channels: ["voice", "sms"])], until: "it is taken") {
      [station] in station.reports.withLock { !$0.isEmpty }
    }
    let reports = station.reports.withLock { $0 }
    guard case .delivered(dispatch: "callout/1#1", channel: "sms", detail: _)? = reports.first,
      reports.count == 1
    else {
      Issue.record("\(reports)")
      return
    }
    await dispatcher.accept([dispatch(2, channels: ["voice", "voice", "sms"])])
    let letters = await dispatcher.deadLetters()
    #expect(letters.map(\.channel) == ["voice"], "said once, not at every call")
    #expect(letters.map(\.reason) == ["there is no channel voice, which the chain names"])
  }

  @Test("a station whose service file has lost its channels remembers that there were any")
  func sectionGone() async throws {
    let file = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-book-\(UUID().uuidString).json").path
    defer { try? FileManager.default.removeItem(atPath: file) }
    _ = try dispatcher([("sms", Scripted(), Self.quick)], stateFile: file)
    let bare = try dispatcher([], stateFile: file)
    await bare.accept([dispatch(1)])
    #expect(await bare.deadLetters().map(\.reason) == ["there is no channel any more"])
  }

  @Test("a failure everywhere is reported once, after all tries")
  func exhausted() async throws {
    let bad = Scripted([.unavailable("HTTP 503", retryAfter: nil)])
    let dispatcher = try dispatcher([("bad", bad, Self.quick)])
    try await run(dispatcher, [dispatch(1)], until: "it is given up") { [station] in
      // Every look is a little later, so that the pauses between tries end.
      station.clock.withLock { $0 += 5 }
      return !station.reports.withLock { $0.isEmpty }
    }
    #expect(bad.sent.count == 3)
    #expect(Set(bad.sent.map(\.id)).count == 1, "every try carries the same idempotency key")
    #expect(
      station.reports.withLock { $0 }
        == [.failed(dispatch: "callout/1#1", channel: "bad", detail: "HTTP 503")]
    )
  }

  @Test("once somebody has answered, nothing that waits goes out; questions still do")
  func answered() async throws {
    let channel = Scripted()
    let dispatcher = try dispatcher([("c", channel, ChannelPolicy(groupMilliseconds: 0))])
    station.answered.withLock { _ = $0.insert("callout/1") }
    let calls = [
      dispatch(1), dispatch(2), dispatch(1, callout: "callout/2"),
      dispatch(3, purpose: .feedback),
    ]
    try await run(dispatcher, calls, until: "the rest is settled") { [station] in
      station.reports.withLock { $0.count } == 2
    }
    #expect(
      Set(channel.sent.flatMap(\.dispatches).map(\.id)) == ["callout/2#1", "callout/1#3"]
    )
    #expect(await dispatcher.channels().map(\.figures.withdrawn) == [2])
  }

  @Test("a heartbeat goes out once a day, survives a restart, and its absence shows")
  func heartbeat() async throws {
    let file = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-book-\(UUID().uuidString).json").path
    defer { try? FileManager.default.removeItem(atPath: file) }
    let channel = Scripted()
    func make() throws -> Dispatcher {
      try self.dispatcher([("c", channel, ChannelPolicy())], heartbeat: 480, stateFile: file)
    }
    // 22:13 UTC: the first one is due at 08:00.
    var dispatcher = try make()
    #expect(await dispatcher.channels().map(\.isHeartbeatMissing) == [false])
    station.clock.withLock { $0 += 11 * 3_600_000 }
    #expect(await dispatcher.channels().map(\.isHeartbeatMissing) == [true])
    try await run(dispatcher, [], until: "the heartbeat is out") { [dispatcher] in
      await dispatcher.channels()[0].lastHeartbeat != nil
    }
    #expect(channel.sent.map(\.kind) == [.heartbeat])
    // After a restart it is known; the next is due tomorrow.
    dispatcher = try make()
    #expect(await dispatcher.channels().map(\.isHeartbeatMissing) == [false])
    station.clock.withLock { $0 += 24 * 3_600_000 }
    #expect(await dispatcher.channels().map(\.isHeartbeatMissing) == [true])
  }

  @Test("a test message goes past the queue and answers with the channel's words")
  func test() async throws {
    let channel = Scripted(
      [.refused("93000 invalid webhook url"), .delivered("ok")],
      shared: false
    )
    let dispatcher = try dispatcher([
      ("c", channel, ChannelPolicy(rates: [RateLimit(2, per: 60_000)]))
    ])
    #expect(await dispatcher.test("nobody", by: "me") == nil)
    #expect(await dispatcher.test("c", by: "李") == .refused("93000 invalid webhook url"))
    #expect(await dispatcher.test("c", by: "李") == .delivered("ok"))
    guard case .unavailable = await dispatcher.test("c", by: "李") else {
      Issue.record("a test must keep the channel's rate")
      return
    }
    #expect(channel.sent.allSatisfy { $0.kind == .test && $0.text.zh.contains("李") })
    #expect(await dispatcher.deliveries().map(\.outcome) == ["delivered", "refused"])
  }
}
