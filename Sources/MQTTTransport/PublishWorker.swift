import Glibc
import Logging

/// The sending side of a `PublishClient`; lives on its thread.
final class PublishWorker {
  private enum Sent {
    case publication(Publication)
    case status
  }

  /// So many publications are sent ahead of their confirmation; libmosquitto walks all of them at
  /// each one.
  private static let window = 100

  private let link: Link
  private let queue: PublishQueue
  private let status: StatusTopic?
  private let onOutcome: @Sendable (PublishOutcome) -> Void
  private var connection: Connection?
  private var inFlight: [Int32: (order: UInt64, sent: Sent)] = [:]
  private var again: [Publication] = []
  private static let statusPause: Int64 = 30_000
  private var order: UInt64 = 0
  /// What the status topic says.
  private var told: [UInt8]?
  /// Monotonic milliseconds before which a refused status is not sent again.
  private var statusDue = Int64.min

  init(
    link: Link,
    queue: PublishQueue,
    status: StatusTopic?,
    onOutcome: @escaping @Sendable (PublishOutcome) -> Void
  ) {
    self.link = link
    self.queue = queue
    self.status = status
    self.onOutcome = onOutcome
  }

  func run() {
    while true {
      let stopDeadline = queue.stopDeadline
      let now = monotonicMilliseconds()
      if let stopDeadline, now >= stopDeadline || !(link.connection?.isActive ?? false) { break }
      let deadline = min(now + 1_000, stopDeadline ?? .max)
      guard let connection = link.established(deadline: deadline, wake: queue.wake.descriptor)
      else {
        queue.wake.clear()
        continue
      }
      do throws(LinkFailure) {
        if connection !== self.connection { try begin(on: connection) }
        try turn(connection, deadline: deadline)
        if stopDeadline != nil, inFlight.isEmpty, again.isEmpty, queue.counters.waiting == 0 {
          break
        }
      } catch {
        lost(error)
      }
    }
    farewell()
  }

  /// Sends what can be sent, waits for an event, takes in confirmations.
  private func turn(_ connection: Connection, deadline: Int64) throws(LinkFailure) {
    var now = monotonicMilliseconds()
    try tellStatus(on: connection)
    try submit(to: connection)
    try connection.flush(now: now)
    try connection.ping(now: now)
    confirm(connection)
    let keepAlive = connection.session?.keepAlive.milliseconds ?? 0
    let pause = keepAlive > 0 ? max(100, keepAlive / 8) : 60_000
    guard let interest = connection.interest else { throw .closed(nil) }
    var descriptors = [
      interest, pollfd(fd: queue.wake.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    // Confirmations are read even while the socket is full.
    descriptors[0].events |= Int16(POLLIN)
    let mayWait = inFlight.count >= Self.window || queue.counters.waiting + again.count == 0
    waitForEvents(&descriptors, milliseconds: mayWait ? min(deadline - now, pause) : 0)
    if descriptors[1].revents != 0 { queue.wake.clear() }
    let hasNews = descriptors[0].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0
    guard hasNews || !connection.isDrained else { return }
    now = monotonicMilliseconds()
    repeat { try connection.readPacket(now: now) } while !connection.isDrained
    confirm(connection)
  }

  /// A new connection: tells that we are there, then sends again what was not confirmed.
  private func begin(on connection: Connection) throws(LinkFailure) {
    self.connection = connection
    told = nil
    statusDue = .min
    try tellStatus(on: connection)
    if let session = connection.session { link.report(.connected(session)) }
  }

  private func tellStatus(on connection: Connection) throws(LinkFailure) {
    guard let status else { return }
    let online = queue.online ?? status.online
    guard online != told, monotonicMilliseconds() >= statusDue else { return }
    told = online
    try send(statusPublication(online), as: .status, on: connection)
  }

  private func statusPublication(_ payload: [UInt8]) -> Publication {
    Publication(topic: status?.topic ?? "", payload: payload, qos: .atLeastOnce, retain: true)
  }

  private func submit(to connection: Connection) throws(LinkFailure) {
    while inFlight.count < Self.window {
      if !again.isEmpty {
        let publication = again.removeFirst()
        queue.countResent(1)
        try send(publication, as: .publication(publication), on: connection)
      } else if let publication = queue.take() {
        try send(publication, as: .publication(publication), on: connection)
      } else {
        return
      }
    }
  }

  private func send(
    _ publication: Publication,
    as sent: Sent,
    on connection: Connection
  ) throws(LinkFailure) {
    switch connection.publish(publication) {
    case .success(let packet):
      order += 1
      inFlight[packet] = (order, sent)
    case .failure(.notConnected):
      if case .publication(let publication) = sent { again.insert(publication, at: 0) }
      throw .closed(nil)
    case .failure(let refusal):
      switch sent {
      case .publication(let publication):
        settle(.refused(token: publication.token, refusal))
      case .status: statusRefused("\(refusal)")
      }
    }
  }

  private func confirm(_ connection: Connection) {
    for confirmation in connection.inbox.confirmations {
      guard let (_, sent) = inFlight.removeValue(forKey: confirmation.packet) else { continue }
      guard case .publication(let publication) = sent else {
        if confirmation.code >= 0x80 {
          statusRefused("\(PublishRefusal.refused(confirmation.code))")
        }
        continue
      }
      settle(
        confirmation.code >= 0x80
          ? .refused(token: publication.token, .refused(confirmation.code))
          : .confirmed(token: publication.token)
      )
    }
    connection.inbox.confirmations.removeAll(keepingCapacity: true)
  }

  /// What the status topic keeps is not what is so: it is sent again a while later.
  private func statusRefused(_ reason: String) {
    told = nil
    statusDue = monotonicMilliseconds() + Self.statusPause
    link.logger.error("the broker refuses the status message; it is sent again: \(reason)")
  }

  private func settle(_ outcome: PublishOutcome) {
    queue.settle(outcome)
    onOutcome(outcome)
  }

  /// Keeps what was not confirmed, in its order, for the next connection.
  private func lost(_ failure: LinkFailure) {
    if let connection { confirm(connection) }
    connection = nil
    let unconfirmed = inFlight.values.sorted { $0.order < $1.order }
    inFlight = [:]
    again.insert(
      contentsOf: unconfirmed.compactMap { entry in
        if case .publication(let publication) = entry.sent { publication } else { nil }
      },
      at: 0
    )
    link.lost(failure, now: monotonicMilliseconds())
  }

  /// Tells that we stop, waits shortly for the broker to have it, and hangs up.
  private func farewell() {
    defer { link.stop() }
    guard let status, let connection, connection.isActive else { return }
    let deadline = monotonicMilliseconds() + 1_000
    do throws(LinkFailure) {
      let unconfirmed = inFlight.count
      try send(statusPublication(status.stopped), as: .status, on: connection)
      while inFlight.count > unconfirmed, monotonicMilliseconds() < deadline {
        let now = monotonicMilliseconds()
        try connection.flush(now: now)
        guard let interest = connection.interest else { return }
        var descriptors = [interest]
        descriptors[0].events |= Int16(POLLIN)
        waitForEvents(&descriptors, milliseconds: deadline - now)
        repeat { try connection.readPacket(now: now) } while !connection.isDrained
        confirm(connection)
      }
    } catch {
      lost(error)
    }
  }
}
