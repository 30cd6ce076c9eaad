import DeviceCatalog
import Foundation
package import Journal
package import MQTTTransport
import Station
import Synchronization

/// Publishes a recording in its own rhythm, faster, or as fast as the broker acknowledges.
package struct ReplayPublisher {
  /// What became of the messages.
  package struct Tally: Sendable {
    /// Handed to the broker.
    package var sent = 0
    /// Of these, refused by the broker.
    package var refused = 0
    /// Left out: the journal holds a part only.
    package var cut = 0
    /// Left out: the topic is not UTF-8.
    package var unnamed = 0

    /// Nothing yet.
    package init() {}

    /// How many messages of the recording the broker does not have.
    package var missing: Int { refused + cut + unnamed }

    /// What was published, in one line.
    package var summary: String {
      "published \(sent - refused) of \(sent + cut + unnamed) messages, \(missing) not"
    }

    /// Why some were not, and what to do about it, a line each.
    package var complaints: [String] {
      var lines: [String] = []
      if cut > 0 {
        lines.append(
          "\(cut) messages were not published: they exceeded the size limit, and the journal holds their beginning only"
            + " / \(cut) 条消息未发布：超过大小上限，日志只存有开头部分"
        )
      }
      if unnamed > 0 {
        lines.append(
          "\(unnamed) messages were not published: their topics are not UTF-8"
            + " / \(unnamed) 条消息未发布：主题不是 UTF-8"
        )
      }
      if refused > 0 {
        lines.append(
          "\(refused) messages were refused by the broker, or are larger than it takes"
            + " / \(refused) 条消息被 broker 拒绝，或超过其大小上限"
        )
        lines.append(
          "remedy: let this user publish to the recorded topics in the broker's access list, and raise its packet size limit"
            + " / 在 broker 的访问控制中允许该用户发布这些主题，并提高其报文大小上限"
        )
      }
      return lines
    }
  }

  private let recording: Recording
  private let place: String
  private let client: PublishClient
  private let settled: SettledCount
  private let failure: LastFailure
  private let speed: Double?
  private let patience: Duration
  private static let window = 1_000

  /// Begins to connect.
  ///
  /// - Parameters:
  ///   - recording: what to publish.
  ///   - options: how to reach the broker, which has to speak MQTT 5.
  ///   - speed: times real time; nil for as fast as acknowledged.
  ///   - patience: how long the first connection is waited for.
  /// - Throws: what is wrong with the options.
  package init(
    recording: Recording,
    options: MQTTOptions,
    speed: Double?,
    patience: Duration = .seconds(30)
  ) throws {
    self.recording = recording
    self.speed = speed
    self.patience = patience
    place = "\(options.host):\(options.port)"
    let settled = SettledCount()
    let failure = LastFailure()
    self.settled = settled
    self.failure = failure
    // The receive time goes as a user property, which MQTT 3.1.1 does not have: there it would be lost in silence.
    var options = options
    options.protocolPreference = .v5
    client = try PublishClient(
      options: options,
      queueLimit: 2 * Self.window,
      onOutcome: { outcome in settled.add(outcome) },
      onStateChange: { state in
        if case .waiting(let reason, _, _) = state { failure.set(reason) }
      }
    )
  }

  /// Publishes everything and waits until the broker has settled it.
  ///
  /// - Returns: what became of the messages.
  /// - Throws: ``NoBrokerError`` when there is no connection in time, what the recording throws.
  package func run() async throws -> Tally {
    defer { client.stop(grace: .seconds(5)) }
    try await connect()
    let start = ContinuousClock.now
    let first = max(1, recording.firstSequence)
    let total = max(1, recording.lastSequence + 1 - first)
    var tally = Tally()
    var progress = ProgressLine()
    var firstReceived: Int64?
    var cursor = recording.cursor(from: first)
    var batch = JournalBatch()
    while let sequence = try cursor.next(into: &batch) {
      for index in 0..<batch.count where batch.records[index].kind == .message {
        let input = batch.input(at: index)
        let done = sequence + UInt64(index) - first
        let sent = tally.sent
        progress.show(
          "\(done * 100 / total) %  \(sent) messages, record \(done) of \(total)  \(TimeText.utc(input.received))"
        )
        let offset = input.received - (firstReceived ?? input.received)
        firstReceived = firstReceived ?? input.received
        if let speed {
          let due = start + .milliseconds(Int64(Double(offset) / speed))
          if due > .now { try await Task.sleep(until: due, clock: .continuous) }
        }
        switch ReplayedMessage(input) {
        case .publication(let publication):
          try await send(publication, &progress)
          tally.sent += 1
        case .cut: tally.cut += 1
        case .unnamed: tally.unnamed += 1
        }
      }
    }
    while settled.count < tally.sent {
      let open = tally.sent - settled.count
      progress.show("\(open) messages are not confirmed yet; broker \(client.state)")
      try await Task.sleep(for: .milliseconds(5))
    }
    progress.end()
    tally.refused = settled.refused
    return tally
  }

  private func connect() async throws {
    let deadline = ContinuousClock.now + patience
    var isTold = false
    while !client.state.isConnected {
      guard ContinuousClock.now < deadline else {
        throw NoBrokerError(place: place, patience: patience, failure: failure.value)
      }
      if !isTold, let reason = failure.value {
        isTold = true
        Terminal.error("\(place): \(reason); trying for \(patience.components.seconds) s")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  private func send(_ publication: Publication, _ progress: inout ProgressLine) async throws {
    while true {
      switch client.publish(publication) {
      case .queued: return
      case .full:
        progress.show("waiting for confirmations; broker \(client.state)")
        try await Task.sleep(for: .milliseconds(1))
      case .stopped:
        throw NoBrokerError(place: place, patience: .zero, failure: failure.value)
      }
    }
  }
}

/// A recorded message on its way to a broker again.
package enum ReplayedMessage: Sendable {
  /// As it came, with the recorded receive time.
  case publication(Publication)
  /// The journal holds the beginning of the payload only, which is not what was sent.
  case cut
  /// The topic is not UTF-8.
  case unnamed

  /// The names under which a station's journal keeps more of a message than its user properties (`StationCore`, `MQTTLink`).
  private static let cutProperty = "davy-cut-from"
  // A request is not asked again: its answer would go to a machine that may act on it.
  private static let ownProperties = [
    "davy-response-topic", "davy-correlation", StationCore.receivedProperty,
  ]

  /// Looks at what the journal holds.
  package init(_ input: JournalInput) {
    guard !input.properties.contains(where: { $0.0 == Self.cutProperty }) else {
      self = .cut
      return
    }
    guard let topic = String(validating: input.topic, as: UTF8.self) else {
      self = .unnamed
      return
    }
    let properties = input.properties.filter { !Self.ownProperties.contains($0.0) }
    self = .publication(
      Publication(
        topic: topic,
        payload: input.payload,
        qos: QoS(rawValue: input.qos) ?? .atLeastOnce,
        retain: input.retain,
        userProperties: properties + [(StationCore.receivedProperty, "\(input.received)")]
      )
    )
  }
}

/// No connection to a broker within the time that was given.
package struct NoBrokerError: Error, CustomStringConvertible {
  let place: String
  let patience: Duration
  let failure: LinkFailure?

  /// Place, reason and remedy.
  package var description: String {
    let reason = failure.map { ": \($0)" } ?? ""
    let remedy = remedy
    let seconds = patience.components.seconds
    return """
      \(place): no connection to the broker within \(seconds) s\(reason)
          \(seconds) 秒内未能连接 broker
          remedy: \(remedy.en) / \(remedy.zh)
      """
  }
}

extension NoBrokerError {
  private var remedy: LocalizedText {
    switch failure {
    case .unsupportedVersion:
      LocalizedText(
        zh: "使用支持 MQTT 5 的 broker：接收时间作为用户属性发送，MQTT 3.1.1 没有该属性",
        en:
          "use a broker that speaks MQTT 5: the receive time goes as a user property, which MQTT 3.1.1 does not have"
      )
    case .closed(nil), .unanswered:
      LocalizedText(
        zh: "查看 broker 的日志；broker 必须支持 MQTT 5",
        en: "see the broker's log; it has to speak MQTT 5"
      )
    default:
      failure?.remedy
        ?? LocalizedText(
          zh: "检查地址、端口以及 broker 是否在运行",
          en: "check host, port and whether the broker runs"
        )
    }
  }
}

/// Why there is no connection, as it was last said.
private final class LastFailure: Sendable {
  private let failure: Mutex<LinkFailure?> = Mutex(nil)

  func set(_ reason: LinkFailure) { failure.withLock { $0 = reason } }

  var value: LinkFailure? { failure.withLock { $0 } }
}
