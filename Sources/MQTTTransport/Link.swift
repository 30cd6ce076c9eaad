import Glibc
import Logging

/// Keeps one client connected: attempts, back-off for ever, protocol fall-back, state reports.
///
/// Used from one thread.
final class Link {
  private enum Phase {
    case idle(until: Int64)
    case running(Connection)
    case stopped
  }

  var options: MQTTOptions
  private let cleanStart: Bool
  let logger: Logger
  private let observer: (@Sendable (LinkState) -> Void)?
  private var phase = Phase.idle(until: 0)
  private var version: MQTTVersion
  private var failures = 0
  /// Times that MQTT 5 was hung up at since the last connection.
  private var silentRefusals = 0
  private(set) var reconnects = 0
  /// Times that the broker no longer had the session of the connection before, an earlier process's included.
  private(set) var sessionsLost = 0
  private var hasHadSession: Bool
  private(set) var state = LinkState.connecting(attempt: 1)

  init(
    options: MQTTOptions,
    cleanStart: Bool,
    logger: Logger,
    observer: (@Sendable (LinkState) -> Void)?
  ) {
    self.options = options
    self.cleanStart = cleanStart
    self.logger = logger
    self.observer = observer
    hasHadSession = options.hasEarlierSession
    version = options.protocolPreference == .v311 ? .v311 : .v5
  }

  /// The connection, in whatever stage it is.
  var connection: Connection? {
    guard case .running(let connection) = phase else { return nil }
    return connection
  }

  /// Works towards a connection until the deadline; the connection as soon as it is accepted.
  ///
  /// `wake` is a descriptor that ends the wait when it becomes readable.
  func established(deadline: Int64, wake: Int32? = nil) -> Connection? {
    while true {
      let now = monotonicMilliseconds()
      var until = deadline
      var descriptors: [pollfd] = []
      switch phase {
      case .stopped: return nil
      case .idle(let retry):
        if now >= retry {
          begin(now: now)
          continue
        }
        until = min(deadline, retry)
      case .running(let connection):
        if connection.isActive { return connection }
        do throws(LinkFailure) {
          if try connection.advance(now: now) {
            noteSession(of: connection)
            return connection
          }
        } catch {
          lost(error, now: now)
          continue
        }
        let limit = connection.started + options.connectTimeout.milliseconds
        guard now < limit else {
          lost(.handshakeTimeout, now: now)
          continue
        }
        until = min(deadline, limit)
        if let interest = connection.interest { descriptors.append(interest) }
      }
      guard now < deadline else { return nil }
      if let wake { descriptors.append(pollfd(fd: wake, events: Int16(POLLIN), revents: 0)) }
      waitForEvents(&descriptors, milliseconds: until - now)
      if wake != nil, descriptors.last?.revents != 0 { return nil }
    }
  }

  /// Tells of a session that is gone; a new station has none yet (``MQTTOptions/hasEarlierSession``).
  private func noteSession(of connection: Connection) {
    guard !cleanStart, let session = connection.session else { return }
    if hasHadSession, !session.sessionPresent {
      sessionsLost += 1
      logger.warning(
        """
        MQTT \(options.clientID): the broker has lost the session: messages that it acknowledged to their senders \
        meanwhile may be lost (turn its persistence on; raise sessionExpiry here and the broker's limit of it)
        """
      )
    }
    hasHadSession = true
  }

  private func begin(now: Int64) {
    report(.connecting(attempt: failures + 1))
    do throws(MQTTOptionProblem) {
      phase = .running(
        try Connection(options, version: version, cleanStart: cleanStart, now: now)
      )
    } catch {
      lost(.options(error), now: now)
    }
  }

  /// The connection is up and does what the client wants of it.
  func report(_ new: LinkState) {
    guard new != state else { return }
    state = new
    switch new {
    case .connected: logger.info("MQTT \(options.clientID): \(new)")
    case .connecting: logger.debug("MQTT \(options.clientID): \(new)")
    case .stopped: logger.info("MQTT \(options.clientID): \(new)")
    case .subscriptionRefused: logger.error("MQTT \(options.clientID): \(new)")
    case .waiting: logger.warning("MQTT \(options.clientID): \(new)")
    }
    observer?(new)
  }

  /// Drops the connection and plans the next attempt.
  func lost(_ failure: LinkFailure, now: Int64) {
    if case .running(let connection) = phase {
      let wasActive = connection.session != nil
      if wasActive {
        reconnects += 1
        silentRefusals = 0
        version = options.protocolPreference == .v311 ? .v311 : .v5
        // Only a connection that lasted shows that the trouble is over; two clients that throw each
        // other out must not do so once a second for ever.
        if now - connection.started >= options.backOff.maximum.milliseconds { failures = 0 }
      }
      connection.close()
      if !wasActive, fallBack(after: failure) { return }
    }
    failures += 1
    let delay = options.backOff.delay(afterFailures: failures)
    phase = .idle(until: now + delay.milliseconds)
    report(.waiting(failure, attempt: failures, delay: delay))
  }

  /// Chooses the protocol version of the next attempt; true when it may follow at once.
  ///
  /// Every round, after a delay or a connection, begins with MQTT 5, so that nothing that has passed keeps the link on 3.1.1:
  /// not a proxy that hung up while the broker behind it was away, nor a broker that has learnt MQTT 5 since.
  private func fallBack(after failure: LinkFailure) -> Bool {
    guard options.protocolPreference == .v5ThenV311 else { return false }
    guard version == .v5 else {
      version = .v5
      return false
    }
    switch failure {
    case .unsupportedVersion:
      logger.notice("MQTT \(options.clientID): broker does not know MQTT 5, falling back to 3.1.1")
    case .unanswered:
      // Some brokers hang up on a version they do not know. Once may have any reason.
      silentRefusals += 1
      guard silentRefusals > 1 else { return false }
      if silentRefusals == 2 {
        logger.notice("MQTT \(options.clientID): broker hangs up at MQTT 5, trying 3.1.1 after it")
      }
    case .options, .unknownHost, .unreachable, .tls, .tlsPort, .plainPort, .handshakeTimeout,
      .refused, .closed, .keepAliveTimeout, .protocolError:
      return false
    }
    version = .v311
    phase = .idle(until: 0)
    return true
  }

  /// Ends for good, saying good-bye to the broker, which keeps the session.
  func stop() {
    if case .running(let connection) = phase {
      connection.sayGoodbye()
      connection.close()
    }
    phase = .stopped
    report(.stopped)
  }
}
