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

/// Makes channels that can send of those that are set.
final class CalloutChannels: Sendable {
  private let sender: HTTPSender
  private let authorities: String?
  private let options: @Sendable () -> MQTTOptions
  private let publisher: Mutex<BrokerPublisher?> = Mutex(nil)

  /// Makes a maker; a connection to the broker is made when a channel first needs it.
  ///
  /// - Parameters:
  ///   - section: the service file's section; its authorities are trusted until the end.
  ///   - options: how to reach the broker.
  /// - Throws: what cannot be had now: an authority's file.
  init(
    _ section: ServiceConfiguration.CalloutSection,
    options: @escaping @Sendable () -> MQTTOptions
  ) throws {
    sender = try HTTPSender(authorities: section.authorities)
    authorities = section.authorities
    self.options = options
  }

  /// The channels, ready to send.
  ///
  /// - Parameters:
  ///   - channels: the channels in force.
  ///   - section: what the service file says of all of them.
  /// - Returns: one setup for each channel, in order.
  /// - Throws: what a channel needs and cannot be had: the broker's options.
  func setups(
    _ channels: [ServiceConfiguration.CalloutSection.Channel],
    in section: ServiceConfiguration.CalloutSection
  ) throws -> [ChannelSetup] {
    let heartbeat = section.heartbeatMinute.map { minute in
      let offset = TimeZone(identifier: section.timeZone)?.secondsFromGMT() ?? 0
      return ((minute - offset / 60) % 1_440 + 1_440) % 1_440
    }
    return try channels.map { channel in
      let keys = Self.addressKeys[channel.kind] ?? []
      let named = channel.operators.isEmpty ? section.operators : channel.operators
      let operators = named.compactMap { person in
        ([channel.name] + keys).lazy.compactMap { person.addresses[$0] }.first
          .map { Notice.Recipient(name: person.name, address: $0) }
      }
      var policy = ChannelPolicy(
        rates: channel.effectiveRates.map { RateLimit($0.count, per: $0.milliseconds) }
      )
      if let group = channel.groupMilliseconds { policy.groupMilliseconds = group }
      if let attempts = channel.attempts { policy.attempts = attempts }
      return ChannelSetup(
        name: channel.name,
        kind: channel.kind.rawValue,
        addressKeys: keys,
        policy: policy,
        channel: try make(channel),
        operators: operators,
        heartbeatMinute: channel.hasHeartbeat ? heartbeat : nil,
        // Where secrets lie is part of it, what they are is not: they are read at every use.
        revision: "\(channel) \(operators) \(heartbeat ?? -1)"
      )
    }
  }

  /// Ends connections.
  func shutdown() async {
    publisher.withLock { $0 }?.stop()
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

  private func make(
    _ channel: ServiceConfiguration.CalloutSection.Channel
  ) throws -> any NotificationChannel {
    let clock: @Sendable () -> Int64 = { SystemClocks().wall() }
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
          authorities: authorities,
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
      return MQTTChannel(topic: channel.topic, publisher: try brokerPublisher())
    }
  }
}

extension CalloutChannels {
  private func brokerPublisher() throws -> BrokerPublisher {
    try publisher.withLock { publisher in
      if let publisher { return publisher }
      let made = try BrokerPublisher(options: options())
      publisher = made
      return made
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
  let renew: @Sendable () async -> Bool

  func refresh() async -> Bool { await renew() }

  func channels() async -> HazardLedger.JSONValue {
    .array(await dispatcher.channels().map { .object($0.members) })
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
