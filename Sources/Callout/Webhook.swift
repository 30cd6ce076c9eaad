import HazardLedger

/// A receiver of Davy's own JSON, signed (HMAC-SHA256).
public struct WebhookChannel: NotificationChannel {
  /// Where to.
  public var url: String
  /// Key of the signature; nil sends unsigned.
  public var secret: ChannelSecret?
  /// Makes the calls.
  public var sender: HTTPSender
  /// Milliseconds since the Unix epoch.
  public var clock: @Sendable () -> Int64
  /// The receiver sorts out who is meant.
  public var isShared: Bool { true }

  /// Makes a channel.
  public init(
    url: String,
    secret: ChannelSecret?,
    sender: HTTPSender,
    clock: @escaping @Sendable () -> Int64
  ) {
    self.url = url
    self.secret = secret
    self.sender = sender
    self.clock = clock
  }

  static func call(_ notice: Notice, url: String, secret: String?, at now: Int64) -> HTTPCall {
    var call = HTTPCall.json(url, JSONText(notice.json))
    let seconds = now / 1_000
    call.headers["Idempotency-Key"] = HeaderText.safe(notice.id)
    call.headers["X-Timestamp"] = "\(seconds)"
    if let secret {
      call.headers["X-Signature"] = Signing.webhook(
        secret: secret,
        seconds: seconds,
        body: call.body
      )
    }
    return call
  }

  /// Sends a message.
  public func send(_ notice: Notice) async -> DeliveryOutcome {
    await sender.send { () throws(SecretError) in
      Self.call(notice, url: url, secret: try secret?.read(), at: clock())
    }
  }
}

/// Texts for header fields, which take printable ASCII only: the rest is percent-encoded.
enum HeaderText {
  static func safe(_ text: String) -> String {
    text.utf8.map { byte in
      (0x21...0x7e).contains(byte) && byte != UInt8(ascii: "%")
        ? String(UnicodeScalar(byte))
        : "%" + String(byte >> 4, radix: 16, uppercase: true)
          + String(byte & 15, radix: 16, uppercase: true)
    }.joined()
  }
}

/// Publishes messages by MQTT; the station's own client does it.
public protocol NoticePublishing: Sendable {
  /// Publishes at QoS 1 and returns when the broker has taken it.
  ///
  /// - Throws: why it has not.
  func publish(topic: String, payload: [UInt8]) async throws
}

/// A topic of the broker: for a beacon, a loudspeaker, a call-out box.
public struct MQTTChannel: NotificationChannel {
  /// Topic.
  public var topic: String
  /// Publishes.
  public var publisher: any NoticePublishing
  /// Whoever subscribes gets it.
  public var isShared: Bool { true }

  /// Makes a channel.
  public init(topic: String, publisher: any NoticePublishing) {
    self.topic = topic
    self.publisher = publisher
  }

  /// Sends a message.
  public func send(_ notice: Notice) async -> DeliveryOutcome {
    do {
      try await publisher.publish(topic: topic, payload: notice.json.canonicalBytes())
      return .delivered("taken by the broker")
    } catch {
      return .unavailable("\(error)", retryAfter: nil)
    }
  }
}
