/// Decides when a tick may tell the engine that time has passed.
///
/// After a start or a lost link the broker sends what waited meanwhile. Were deadlines to fire first, on-delays would run
/// out and channels go stale over readings that are only moments away. So the first input of a new link is a
/// catch-up tick, and ordinary ticks wait until the backlog is through, or until the link has been down so
/// long that silence itself is news.
struct TickPace: Sendable {
  private enum State {
    /// No link; since when.
    case down(since: Int64)
    /// A link, but what waited may not have come yet.
    case catchingUp(CatchUp)
    /// Readings come as they are measured.
    case steady
  }

  private struct CatchUp {
    /// Since when the link stands.
    var since: Int64
    /// Since when it has stood without more waiting than is taken at once.
    var quietSince: Int64
    /// Since when hardly anything has come, although the broker could have sent all that it has.
    var idleSince: Int64?
    /// How many such times have lasted for a while.
    var idleTimes = 0
    /// The present one is among them.
    var isCounted = false
  }

  private let settle: Int64
  private let linkLoss: Int64
  private var state: State?

  init(settle: Int64, linkLoss: Int64) {
    self.settle = settle
    self.linkLoss = linkLoss
  }

  /// Notes how the link stands; true when a catch-up begins, whose mark must precede the messages.
  mutating func begin(_ report: LinkReport, at now: Int64) -> Bool {
    let isUp = report.state != "disconnected"
    switch (state, isUp) {
    case (nil, true), (.down, true):
      state = .catchingUp(CatchUp(since: now, quietSince: now))
      return true
    case (nil, false), (.catchingUp, false), (.steady, false):
      state = .down(since: now)
      return false
    case (.down, false), (.catchingUp, true), (.steady, true):
      return false
    }
  }

  /// Whether a tick goes behind the messages of this turn.
  ///
  /// - Parameters:
  ///   - look: what the turn has brought.
  ///   - deadline: when something falls due, where anything does.
  ///   - isLater: engine time has passed since the turn before.
  ///   - now: the clock.
  /// - Returns: true when time may pass.
  mutating func allowsTick(
    after look: Look,
    deadline: Int64?,
    isLater: Bool,
    at now: Int64
  ) -> Bool {
    let isDue = (deadline.map { $0 < now } ?? false) && isLater
    switch state {
    case nil:
      return false
    case .down(let since):
      return isDue && now - since >= linkLoss
    case .catchingUp(var catchUp):
      let allows = isThrough(&catchUp, after: look, at: now)
      state = allows ? .steady : .catchingUp(catchUp)
      return allows
    case .steady:
      return isDue
    }
  }

  /// Whether what waited at the broker is through.
  private func isThrough(_ catchUp: inout CatchUp, after look: Look, at now: Int64) -> Bool {
    if look == .full { catchUp.quietSince = now }
    if look != .little {
      catchUp.idleSince = nil
      catchUp.isCounted = false
    } else if let since = catchUp.idleSince {
      if !catchUp.isCounted, now - since >= settle / 4 {
        catchUp.idleTimes += 1
        catchUp.isCounted = true
      }
    } else {
      catchUp.idleSince = now
    }
    guard look != .full, look != .cut, now - catchUp.since >= settle else { return false }
    // A plant whose gateways all report on the second may never be quiet for so long, and nothing would ever go stale.
    // There the pauses tell: one may be the network's, three are the plant's.
    return now - catchUp.quietSince >= settle || catchUp.idleTimes >= 3
  }

  /// What a turn has brought.
  enum Look {
    /// As much as is taken at once: more may wait.
    case full
    /// Less than that, but more has come already.
    case cut
    /// All that had come.
    case some
    /// Nothing or hardly anything, with everything acknowledged that came before: the broker has nothing that waits.
    case little
  }
}
