/// What the broker granted when it accepted the connection.
public struct LinkSession: Sendable, Equatable {
  /// The protocol version spoken.
  public var version: MQTTVersion
  /// Whether the broker still had our session, and with it what was not acknowledged.
  public var sessionPresent: Bool
  /// The keep alive in force; MQTT 5 lets the broker set it.
  public var keepAlive: Duration

  /// Creates a session.
  public init(version: MQTTVersion, sessionPresent: Bool, keepAlive: Duration) {
    self.version = version
    self.sessionPresent = sessionPresent
    self.keepAlive = keepAlive
  }
}

/// A subscription that the broker did not grant as asked.
public struct SubscriptionRefusal: Sendable, Equatable, CustomStringConvertible {
  /// The topic filter.
  public var filter: String
  /// The code in the SUBACK: 0x80 and above refuses, below is the QoS granted.
  public var code: UInt8

  /// Creates a refusal.
  public init(filter: String, code: UInt8) {
    self.filter = filter
    self.code = code
  }

  /// One line for a person: filter, reason and remedy.
  public var description: String {
    guard code >= 0x80 else {
      return "topic filter '\(filter)': the broker grants only QoS \(code)"
        + " (raise the broker's maximum QoS: at QoS 0 nothing is redelivered)"
    }
    let remedy =
      switch code {
      case 0x87, 0x80: "allow it for this user in the broker's access control"
      case 0x8F, 0xA2, 0x9E, 0xA1: "use a filter that this broker supports"
      case 0x97: "raise the broker's limits for this client (receive maximum, subscriptions)"
      default: "see the broker's log"
      }
    return "topic filter '\(filter)' is refused: \(ReasonCode.text(code)) (\(remedy))"
  }
}

/// Why a connection could not be had, or was lost.
public enum LinkFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// The options, a file or the environment are wrong.
  case options(MQTTOptionProblem)
  /// The host's name is unknown.
  case unknownHost(String)
  /// No connection to the port.
  case unreachable(String)
  /// TLS was not agreed on.
  case tls(String)
  /// The port at `place` speaks TLS, and we do not.
  case tlsPort(place: String)
  /// The port at `place` does not speak TLS, and we do.
  case plainPort(place: String)
  /// The broker at `place` hung up before it answered CONNECT, which came without TLS where it `isPlain`.
  case unanswered(place: String, isPlain: Bool)
  /// The broker did not answer in time.
  case handshakeTimeout
  /// The broker speaks neither version that is allowed.
  case unsupportedVersion
  /// The broker refused the connection, with its reason code.
  case refused(UInt8)
  /// The broker ended the connection, with its reason code if it gave one (MQTT 5).
  case closed(UInt8?)
  /// No sign of life from the broker for longer than the keep alive.
  case keepAliveTimeout
  /// What the broker sent breaks the protocol, or this library's idea of it.
  case protocolError(String)

  /// One line for a person: reason and, where there is one, the remedy.
  public var description: String {
    switch self {
    case .options(let problem): problem.description
    case .unknownHost(let host): "host '\(host)' is unknown (check name and DNS)"
    case .unreachable(let reason): "broker cannot be reached: \(reason)"
    case .tls(let reason): "TLS failed: \(reason) (check CA, certificate, server name and version)"
    case .tlsPort(let place):
      "\(place) speaks TLS and is spoken to without it (turn TLS on here, or name the broker's plain port, usually 1883)"
    case .plainPort(let place):
      "\(place) knows no TLS and is spoken to with it (name the broker's TLS port, usually 8883, or turn TLS off here)"
    case .unanswered(place: let place, isPlain: true):
      "\(place): broker hung up without an answer (a TLS port does that: is TLS to be turned on here? else see its log)"
    case .unanswered(place: let place, isPlain: false):
      "\(place): broker hung up without an answer (see its log)"
    case .handshakeTimeout: "broker does not answer (is this an MQTT port, with or without TLS?)"
    case .unsupportedVersion: "broker supports no MQTT version that is allowed here"
    case .refused(let code): "broker refuses the connection: \(ReasonCode.text(code))"
    case .closed(.some(0x8E)):
      "session taken over (another client uses this client id: give each its own)"
    case .closed(.some(let code)): "broker ended the connection: \(ReasonCode.text(code))"
    case .closed(nil):
      "broker ended the connection (see its log; a second client with this client id does it too)"
    case .keepAliveTimeout: "no sign of life from the broker within the keep alive"
    case .protocolError(let reason): "protocol error: \(reason)"
    }
  }
}

/// The state of the link to the broker.
public enum LinkState: Sendable, Equatable, CustomStringConvertible {
  /// Not connected yet; the number of this attempt since the last connection.
  case connecting(attempt: Int)
  /// Connected, and all subscriptions granted.
  case connected(LinkSession)
  /// Connected, but some subscriptions were refused; they are asked for again from time to time.
  case subscriptionRefused(LinkSession, [SubscriptionRefusal])
  /// Not connected; the next attempt follows after the delay.
  case waiting(LinkFailure, attempt: Int, delay: Duration)
  /// Ended on our own wish.
  case stopped

  /// Whether messages can flow.
  public var isConnected: Bool {
    switch self {
    case .connected, .subscriptionRefused: true
    case .connecting, .waiting, .stopped: false
    }
  }

  /// One line for a person.
  public var description: String {
    switch self {
    case .connecting(let attempt): "connecting, attempt \(attempt)"
    case .connected(let session):
      "connected with MQTT \(session.version == .v5 ? "5" : "3.1.1"), session "
        + (session.sessionPresent ? "resumed" : "new")
    case .subscriptionRefused(_, let refusals):
      "connected, but " + refusals.map(\.description).joined(separator: "; ")
    case .waiting(let failure, let attempt, let delay):
      "not connected: \(failure); attempt \(attempt + 1) in \(delay)"
    case .stopped: "stopped"
    }
  }
}
