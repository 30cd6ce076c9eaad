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
    /// A link, but what waited may not have come yet; since when the link stood with nothing waiting, and since when
    /// every look has left something.
    case catchingUp(quietSince: Int64, busySince: Int64?)
    /// Readings come as they are measured.
    case steady
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
      state = .catchingUp(quietSince: now, busySince: nil)
      return true
    case (nil, false), (.catchingUp, false), (.steady, false):
      state = .down(since: now)
      return false
    case (.down, false), (.catchingUp, true), (.steady, true):
      return false
    }
  }

  /// Whether a tick goes behind the messages of this turn.
  mutating func allowsTick(
    isDrained: Bool,
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
    case .catchingUp(let quietSince, let busySince):
      guard isDrained else {
        // A burst that comes at once is taken in a few looks: were every one of them a backlog, a plant whose gateways
        // all report on the second would never have come through it, and nothing would ever go stale.
        let since = busySince ?? now
        state = .catchingUp(
          quietSince: now - since >= settle / 4 ? now : quietSince,
          busySince: since
        )
        return false
      }
      state = .catchingUp(quietSince: quietSince, busySince: nil)
      guard now - quietSince >= settle else { return false }
      state = .steady
      return true
    case .steady:
      return isDue
    }
  }
}
