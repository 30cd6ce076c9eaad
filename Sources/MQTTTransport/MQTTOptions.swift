/// Quality of service of a publication or a subscription.
public enum QoS: UInt8, Sendable, Comparable, CaseIterable {
  /// Fire and forget.
  case atMostOnce = 0
  /// Delivered until acknowledged; may arrive twice.
  case atLeastOnce = 1
  /// Delivered by the four-step handshake.
  case exactlyOnce = 2

  /// Orders by strength.
  public static func < (left: QoS, right: QoS) -> Bool { left.rawValue < right.rawValue }
}

/// A version of the MQTT protocol.
public enum MQTTVersion: UInt8, Sendable {
  /// MQTT 3.1.1.
  case v311 = 4
  /// MQTT 5.0.
  case v5 = 5
}

/// Which protocol versions may be spoken.
public enum ProtocolPreference: Sendable {
  /// MQTT 5; MQTT 3.1.1 with a broker that does not know it.
  case v5ThenV311
  /// MQTT 5 only.
  case v5
  /// MQTT 3.1.1 only.
  case v311
}

/// A topic filter to subscribe to.
public struct Subscription: Sendable, Equatable {
  /// The filter, as MQTT writes it (`+`, `#`, `$share/group/…`).
  public var filter: String
  /// The quality of service wanted.
  ///
  /// `exactlyOnce` is asked of the broker as `atLeastOnce`: libmosquitto sends PUBREC, after which
  /// the broker forgets the message, *before* it hands the message over, so that a crash in between
  /// would lose it. What was published at QoS 2 then arrives at least once, acknowledged after the
  /// commit.
  public var qos: QoS

  /// Creates a subscription.
  public init(filter: String, qos: QoS = .atLeastOnce) {
    self.filter = filter
    self.qos = qos
  }

  /// The quality of service that is asked of the broker.
  var requestedQoS: QoS { min(qos, .atLeastOnce) }
}

/// A message that the broker publishes when the client vanishes.
public struct LastWill: Sendable, Equatable {
  /// The topic name.
  public var topic: String
  /// The payload.
  public var payload: [UInt8]
  /// The quality of service.
  public var qos: QoS
  /// Whether the broker keeps it for later subscribers.
  public var retain: Bool

  /// Creates a will.
  public init(topic: String, payload: [UInt8], qos: QoS = .atLeastOnce, retain: Bool = true) {
    self.topic = topic
    self.payload = payload
    self.qos = qos
    self.retain = retain
  }
}

/// How long to wait between two attempts to connect: doubled each time, up to a limit, for ever.
public struct BackOff: Sendable, Equatable {
  /// The delay after the first failure.
  public var first: Duration
  /// The longest delay.
  public var maximum: Duration

  /// Creates a back-off.
  public init(first: Duration = .seconds(1), maximum: Duration = .seconds(30)) {
    self.first = first
    self.maximum = maximum
  }

  /// The delay after so many failures in a row.
  public func delay(afterFailures failures: Int) -> Duration {
    guard failures > 1 else { return min(first, maximum) }
    guard failures < 32 else { return maximum }
    return min(first * (1 << (failures - 1)), maximum)
  }
}

/// Transport security.
public struct TLSOptions: Sendable, Equatable {
  /// The oldest version accepted.
  public enum Version: String, Sendable {
    /// TLS 1.2.
    case v12 = "1.2"
    /// TLS 1.3.
    case v13 = "1.3"
  }

  /// File with the trusted certificates, PEM.
  public var caFile: String?
  /// Folder with the trusted certificates, hashed names.
  public var caPath: String?
  /// File with the client's certificate chain, PEM.
  public var certificateFile: String?
  /// File with the client's private key, PEM.
  public var keyFile: String?
  /// The oldest version accepted.
  public var minimumVersion: Version
  /// The name that the broker's certificate must carry, when it is not the host connected to.
  public var serverName: String?

  /// Creates the options.
  ///
  /// Without a CA file or path the system's trusted certificates count.
  public init(
    caFile: String? = nil,
    caPath: String? = nil,
    certificateFile: String? = nil,
    keyFile: String? = nil,
    minimumVersion: Version = .v12,
    serverName: String? = nil
  ) {
    self.caFile = caFile
    self.caPath = caPath
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.minimumVersion = minimumVersion
    self.serverName = serverName
  }
}

/// How a client reaches its broker and what it asks for.
public struct MQTTOptions: Sendable, Equatable {
  /// The broker's name or address.
  public var host: String
  /// The broker's port: usually 1883, or 8883 with TLS.
  public var port: UInt16
  /// The client identifier; fixed, because the session belongs to it.
  public var clientID: String
  /// What to subscribe to.
  public var subscriptions: [Subscription]
  /// Who the client says it is.
  public var credentials: MQTTCredentials?
  /// Transport security; none when nil.
  public var tls: TLSOptions?
  /// Which protocol versions may be spoken.
  public var protocolPreference: ProtocolPreference
  /// How long the broker keeps the session, and with it what was not acknowledged, without us (MQTT 5).
  public var sessionExpiry: Duration
  /// Whether an earlier process has received under this client identifier: the broker should have its session at the
  /// first connection, too.
  public var hasEarlierSession: Bool
  /// How many messages the broker may have sent that are not acknowledged (MQTT 5).
  public var receiveMaximum: UInt16
  /// The longest silence before a sign of life; 5 s to 18 h.
  public var keepAlive: Duration
  /// How long opening the connection may take, the broker's answer included.
  public var connectTimeout: Duration
  /// What the broker says when the client vanishes.
  public var will: LastWill?
  /// Delays between attempts to connect.
  public var backOff: BackOff
  /// Payloads above this are kept cut to `oversizeSample` bytes and marked, never stored whole.
  public var maximumPayload: Int
  /// How much of an oversize payload is kept.
  public var oversizeSample: Int

  /// Creates options with defaults for a service that must not lose messages.
  public init(
    host: String,
    port: UInt16 = 1883,
    clientID: String,
    subscriptions: [Subscription] = [],
    credentials: MQTTCredentials? = nil,
    tls: TLSOptions? = nil,
    protocolPreference: ProtocolPreference = .v5ThenV311,
    sessionExpiry: Duration = .seconds(7 * 86_400),
    hasEarlierSession: Bool = false,
    receiveMaximum: UInt16 = 65_535,
    keepAlive: Duration = .seconds(30),
    connectTimeout: Duration = .seconds(15),
    will: LastWill? = nil,
    backOff: BackOff = BackOff(),
    maximumPayload: Int = 16 << 20,
    oversizeSample: Int = 1_024
  ) {
    self.host = host
    self.port = port
    self.clientID = clientID
    self.subscriptions = subscriptions
    self.credentials = credentials
    self.tls = tls
    self.protocolPreference = protocolPreference
    self.sessionExpiry = sessionExpiry
    self.hasEarlierSession = hasEarlierSession
    self.receiveMaximum = receiveMaximum
    self.keepAlive = keepAlive
    self.connectTimeout = connectTimeout
    self.will = will
    self.backOff = backOff
    self.maximumPayload = maximumPayload
    self.oversizeSample = oversizeSample
  }
}

/// One thing wrong with the options: where, what, and what to do about it.
public struct MQTTOptionProblem: Error, Sendable, Equatable, CustomStringConvertible {
  /// The option or file concerned.
  public var place: String
  /// What is wrong.
  public var message: String
  /// What to do about it.
  public var remedy: String

  /// Creates a problem.
  public init(place: String, message: String, remedy: String) {
    self.place = place
    self.message = message
    self.remedy = remedy
  }

  /// One line for a person.
  public var description: String { "\(place): \(message) (\(remedy))" }
}

/// All that is wrong with the options.
public struct MQTTOptionsError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Every problem found, at least one.
  public var problems: [MQTTOptionProblem]

  /// Creates the error.
  public init(problems: [MQTTOptionProblem]) { self.problems = problems }

  /// One line a problem.
  public var description: String { problems.map(\.description).joined(separator: "\n") }
}

extension MQTTOptions {
  /// Everything wrong with the options, files and environment included, at once.
  public func problems() -> [MQTTOptionProblem] {
    var found: [MQTTOptionProblem] = []
    func report(_ place: String, _ message: String, _ remedy: String) {
      found.append(MQTTOptionProblem(place: place, message: message, remedy: remedy))
    }
    if host.isEmpty || host.utf8.contains(0) {
      report("host", "is empty", "name the broker's host or address")
    }
    if port == 0 { report("port", "is 0", "use the broker's port, usually 1883 or 8883 with TLS") }
    if clientID.isEmpty || clientID.utf8.count > 65_535 || clientID.utf8.contains(0) {
      report("client id", "is empty or no MQTT string", "give each client its own fixed identifier")
    }
    if !(Duration.seconds(5)...Duration.seconds(65_535)).contains(keepAlive) {
      report("keep alive", "\(keepAlive) is outside 5 s to 65535 s", "use 30 s")
    }
    if !(Duration.seconds(1)...Duration.seconds(Int64(UInt32.max))).contains(sessionExpiry) {
      report(
        "session expiry",
        "\(sessionExpiry) is outside 1 s to \(UInt32.max) s",
        "use as long as the service may be away without losing messages"
      )
    }
    if receiveMaximum == 0 { report("receive maximum", "is 0", "use 65535") }
    if backOff.first <= .zero || backOff.maximum < backOff.first {
      report("back-off", "is not 0 < first ≤ maximum", "use 1 s and 30 s")
    }
    if connectTimeout <= .zero { report("connect timeout", "is not above 0", "use 15 s") }
    if maximumPayload < 1 || oversizeSample < 0 || oversizeSample > maximumPayload {
      report("maximum payload", "is below 1 or below its sample", "use 16 MiB and 1 KiB")
    }
    var seen: Set<String> = []
    for subscription in subscriptions {
      if let reason = TopicFilter.problem(subscription.filter) {
        report("topic filter '\(subscription.filter)'", reason, "correct the filter")
      } else if !seen.insert(subscription.filter).inserted {
        report("topic filter '\(subscription.filter)'", "is given twice", "give it once")
      }
    }
    if let will, let reason = TopicName.problem(will.topic) {
      report("will topic '\(will.topic)'", reason, "correct the topic")
    }
    if let will, will.payload.count > 65_535 {
      report("will payload", "is longer than 65535 bytes", "shorten it")
    }
    if let credentials {
      do throws(MQTTOptionProblem) { _ = try credentials.load() } catch { found.append(error) }
    }
    if let tls {
      do throws(MQTTOptionProblem) { _ = try TLSContext(tls, host: host) } catch {
        found.append(error)
      }
    }
    return found
  }

  /// Throws all problems at once, if there are any.
  public func validate() throws(MQTTOptionsError) {
    let found = problems()
    guard found.isEmpty else { throw MQTTOptionsError(problems: found) }
  }
}
