import Callout
import Console
import DeviceCatalog
import Foundation
import HazardLedger
import Logging
import MQTTTransport
import Station
import Synchronization
import Telemetry

/// The channels of a service file, ready to send.
struct CalloutChannels: Sendable {
  let setups: [ChannelSetup]
  /// What the service file sets, by channel, without what is secret.
  let settings: [String: HazardLedger.JSONValue]
  private let sender: HTTPSender
  private let publisher: BrokerPublisher?

  /// Makes the channels that the section names.
  ///
  /// - Throws: what cannot be had now: an authority's file, a broker's options.
  ///
  /// - Parameters:
  ///   - section: the section.
  ///   - loaded: the service file that it stands in.
  ///   - file: that file's path.
  init(
    _ section: ServiceConfiguration.CalloutSection,
    loaded: LoadedConfiguration,
    file: String
  ) throws {
    let sender = try HTTPSender(authorities: section.authorities)
    let clock: @Sendable () -> Int64 = { SystemClocks().wall() }
    let needsBroker = section.channels.contains { $0.kind == .mqtt }
    let publisher =
      needsBroker ? try BrokerPublisher(options: loaded.mqttOptions(role: "callout")) : nil
    self.sender = sender
    self.publisher = publisher
    let heartbeat = section.heartbeatMinute.map { minute in
      let offset = TimeZone(identifier: section.timeZone)?.secondsFromGMT() ?? 0
      return ((minute - offset / 60) % 1_440 + 1_440) % 1_440
    }
    let setups = section.channels.map { channel in
      let keys = Self.addressKeys[channel.kind] ?? []
      let operators = section.operators.compactMap { person in
        ([channel.name] + keys).lazy.compactMap { person.addresses[$0] }.first
          .map { Notice.Recipient(name: person.name, address: $0) }
      }
      var policy = ChannelPolicy(rates: Self.rates(channel))
      if let group = channel.groupMilliseconds { policy.groupMilliseconds = group }
      if let attempts = channel.attempts { policy.attempts = attempts }
      return ChannelSetup(
        name: channel.name,
        kind: channel.kind.rawValue,
        addressKeys: keys,
        policy: policy,
        channel: Self.make(channel, section, sender, publisher, clock),
        operators: operators,
        heartbeatMinute: channel.hasHeartbeat ? heartbeat : nil
      )
    }
    self.setups = setups
    settings = Dictionary(
      zip(section.channels, setups).map { channel, setup in
        (channel.name, Self.settings(channel, of: setup, in: section, file: file))
      },
      uniquingKeysWith: { first, _ in first }
    )
  }

  /// What the console shows of a channel: where it is set, and as what.
  private static func settings(
    _ channel: ServiceConfiguration.CalloutSection.Channel,
    of setup: ChannelSetup,
    in section: ServiceConfiguration.CalloutSection,
    file: String
  ) -> HazardLedger.JSONValue {
    let target: String? =
      switch channel.kind {
      // A robot's address is its secret, and what stands behind a host may hold one.
      case .dingtalk, .wecom, .feishu: nil
      case .webhook, .http: URL(string: channel.url)?.host()
      case .smtp: "\(channel.host):\(channel.port)"
      case .mqtt: channel.topic
      }
    let heartbeat = channel.hasHeartbeat ? section.heartbeatMinute : nil
    let clock = heartbeat.map { minute in
      let digits = [minute / 60, minute % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
      return digits.joined(separator: ":") + " " + section.timeZone
    }
    return .object([
      "file": .string(file), "section": .string("callout.channels.\(channel.name)"),
      "target": target.map { .string($0) } ?? .null,
      "rates": .array(
        setup.policy.rates.map { .string("\($0.count) / \($0.milliseconds / 1_000) s") }
      ),
      "groupMilliseconds": .integer(setup.policy.groupMilliseconds),
      "attempts": .integer(Int64(setup.policy.attempts)),
      "operators": .array(setup.operators.map { .string($0.name) }),
      "heartbeat": clock.map { .string($0) } ?? .null,
    ])
  }

  /// Ends connections.
  func shutdown() async {
    publisher?.stop()
    do {
      try await sender.shutdown()
    } catch {
      Logger(label: "davy.callout").warning(
        "the HTTP client did not end in good order",
        metadata: ["error": "\(error)"]
      )
    }
  }

  /// What else of a contact's addresses serves a kind of channel.
  private static let addressKeys: [ServiceConfiguration.CalloutSection.Kind: [String]] = [
    .webhook: ["phone", "mail"], .dingtalk: ["phone"], .wecom: ["phone"], .feishu: [],
    .smtp: ["mail", "email"], .http: ["phone"], .mqtt: ["phone"],
  ]

  /// The rates of the service file, or else those that the kind is known to bear.
  private static func rates(_ channel: ServiceConfiguration.CalloutSection.Channel) -> [RateLimit] {
    guard channel.rates.isEmpty else {
      return channel.rates.map { RateLimit($0.count, per: $0.milliseconds) }
    }
    return switch channel.kind {
    case .dingtalk, .wecom: [RateLimit(20, per: 60_000)]
    case .feishu: [RateLimit(100, per: 60_000), RateLimit(5, per: 1_000)]
    case .smtp: [RateLimit(60, per: 60_000)]
    case .webhook, .http, .mqtt: []
    }
  }

  private static func make(
    _ channel: ServiceConfiguration.CalloutSection.Channel,
    _ section: ServiceConfiguration.CalloutSection,
    _ sender: HTTPSender,
    _ publisher: BrokerPublisher?,
    _ clock: @escaping @Sendable () -> Int64
  ) -> any NotificationChannel {
    let secret = channel.secret.map(ChannelSecret.init)
    let robot = channel.robot.map(ChannelSecret.init) ?? .file("")
    switch channel.kind {
    case .webhook:
      return WebhookChannel(url: channel.url, secret: secret, sender: sender, clock: clock)
    case .dingtalk:
      return DingTalkChannel(url: robot, secret: secret, sender: sender, clock: clock)
    case .wecom: return WeComChannel(url: robot, sender: sender)
    case .feishu: return FeishuChannel(url: robot, secret: secret, sender: sender, clock: clock)
    case .smtp:
      return MailChannel(
        server: MailChannel.Server(
          host: channel.host,
          port: channel.port,
          security: MailChannel.Security(rawValue: channel.security.rawValue) ?? .starttls,
          authorities: section.authorities,
          userName: channel.userName,
          password: secret,
          from: channel.from
        )
      )
    case .http:
      return TemplateChannel(
        method: channel.method,
        url: channel.url,
        headers: channel.headers,
        body: channel.body,
        success: TemplateChannel.Success(
          member: channel.successMember,
          equals: channel.successEquals,
          retries: channel.successRetries
        ),
        secret: secret,
        sender: sender
      )
    case .mqtt:
      guard let publisher else { preconditionFailure("a channel of kind mqtt without a publisher") }
      return MQTTChannel(topic: channel.topic, publisher: publisher)
    }
  }
}

extension ChannelSecret {
  /// The place that a service file names.
  init(_ secret: ServiceConfiguration.CalloutSection.Secret) {
    self =
      switch secret {
      case .file(let path): .file(path)
      case .environment(let name): .environment(name)
      }
  }
}

/// Publishes call-out messages over a connection of its own.
final class BrokerPublisher: NoticePublishing {
  private struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private final class Pending: Sendable {
    let waiting: Mutex<(next: UInt64, by: [UInt64: CheckedContinuation<Void, any Error>])> =
      Mutex((0, [:]))

    func settle(_ token: UInt64, _ result: Result<Void, any Error>) {
      waiting.withLock { $0.by.removeValue(forKey: token) }?.resume(with: result)
    }
  }

  private let pending = Pending()
  private let client: PublishClient

  init(options: MQTTOptions) throws {
    client = try PublishClient(options: options, logger: Logger(label: "davy.callout")) {
      [pending] outcome in
      switch outcome {
      case .confirmed(let token): pending.settle(token, .success(()))
      case .refused(let token, let refusal):
        pending.settle(token, .failure(Failure(description: "the broker refuses it: \(refusal)")))
      }
    }
  }

  func publish(topic: String, payload: [UInt8]) async throws {
    let token = pending.waiting.withLock { waiting in
      waiting.next += 1
      return waiting.next
    }
    let timeout = Task { [pending] in
      try await Task.sleep(for: .seconds(15))
      pending.settle(token, .failure(Failure(description: "no answer from the broker in 15 s")))
    }
    defer { timeout.cancel() }
    try await withCheckedThrowingContinuation { continuation in
      pending.waiting.withLock { $0.by[token] = continuation }
      let admission = client.publish(
        Publication(token: token, topic: topic, payload: payload, qos: .atLeastOnce)
      )
      if admission != .queued {
        pending.settle(token, .failure(Failure(description: "not taken in: \(admission)")))
      }
    }
  }

  func stop() { client.stop(grace: .seconds(2)) }
}

/// The dispatcher as the console sees it.
struct DispatcherAccess: ChannelAccess {
  let dispatcher: Dispatcher
  /// By channel.
  let settings: [String: HazardLedger.JSONValue]

  func channels() async -> HazardLedger.JSONValue {
    .array(
      await dispatcher.channels().map { status in
        var members = status.members
        members["settings"] = settings[status.name]
        return .object(members)
      }
    )
  }

  func deadLetters() async -> HazardLedger.JSONValue {
    .array(
      await dispatcher.deadLetters().map { letter in
        .object([
          "dispatch": .string(letter.dispatch.id), "callout": .string(letter.dispatch.callout),
          "person": .string(letter.dispatch.contact.name), "channel": .string(letter.channel),
          "reason": .string(letter.reason), "tries": .integer(Int64(letter.tries)),
          "time": .integer(letter.time.milliseconds),
          "title": .string(letter.dispatch.title.zh),
        ])
      }
    )
  }

  func deliveries() async -> HazardLedger.JSONValue {
    .array(
      await dispatcher.deliveries().map { record in
        .object([
          "id": .string(record.notice), "kind": .string(record.kind.rawValue),
          "channel": .string(record.channel), "outcome": .string(record.outcome),
          "detail": .string(record.detail), "time": .integer(record.time.milliseconds),
          "dispatches": .array(record.dispatches.map { .string($0) }),
          "recipients": .array(record.recipients.map { .string($0) }),
        ])
      }
    )
  }

  func test(_ channel: String, by person: String) async -> HazardLedger.JSONValue? {
    guard let (name, detail) = await dispatcher.test(channel, by: person)?.words else { return nil }
    return .object(["outcome": .string(name), "detail": .string(detail)])
  }
}

extension ChannelStatus {
  fileprivate var members: [String: HazardLedger.JSONValue] {
    func time(_ moment: Timestamp?) -> HazardLedger.JSONValue {
      moment.map { .integer($0.milliseconds) } ?? .null
    }
    return [
      "name": .string(name), "kind": .string(kind), "waiting": .integer(Int64(waiting)),
      "delivered": .integer(Int64(figures.delivered)),
      "unavailable": .integer(Int64(figures.unavailable)),
      "refused": .integer(Int64(figures.refused)), "deadLetters": .integer(Int64(figures.dead)),
      "withdrawn": .integer(Int64(figures.withdrawn)),
      "stateFaults": .integer(Int64(figures.stateFaults)),
      "lastDelivery": time(figures.lastDelivery), "lastFailure": time(figures.lastFailure),
      "lastFailureDetail": .string(figures.lastFailureDetail),
      "lastHeartbeat": time(lastHeartbeat), "heartbeatMissing": .bool(isHeartbeatMissing),
    ]
  }
}
