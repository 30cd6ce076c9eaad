import Logging

/// Tells that the server's clock is behind the receive times that it has given, and when that is over; and that it has gone
/// ahead at once.
package struct ClockWatch {
  /// From so many milliseconds on: less is what keeping the time by network does.
  static let limit: Int64 = 10_000
  private var isTold = false
  private var last: (wall: Int64, monotonic: Int64)?

  package init() {}

  /// Takes in by how many milliseconds the clock is behind.
  mutating func note(_ behind: Int64, _ logger: Logger) {
    if behind >= Self.limit, !isTold {
      isTold = true
      logger.critical("\(Self.text(behind))")
    } else if behind <= 0, isTold {
      isTold = false
      logger.notice("the server's clock is where the newest receive time was")
    }
  }

  /// By how many milliseconds the server's clock has gone ahead of the time that has passed since the last look; nil where that
  /// is no more than keeping the time by network does.
  ///
  /// Receive times follow it all the same: nobody can say here which time was the wrong one, and with times held back devices
  /// whose clocks are right would come from the future.
  package mutating func leap(wall: Int64, monotonic: Int64) -> Int64? {
    defer { last = (wall, monotonic) }
    guard let last else { return nil }
    let ahead = (wall - last.wall) - (monotonic - last.monotonic)
    return ahead >= Self.limit ? ahead : nil
  }

  /// What a clock that has gone ahead means, and the remedy.
  static func text(leap: Int64) -> String {
    """
    the server's clock has gone ahead by \(leap / 1_000) s at once (it was set, or the machine stood still): what falls due in \
    between does so now, points that do report may be told stale, and devices' clocks may look wrong; compare it with another \
    clock, and let NTP keep it from before the service starts
    """
  }

  /// What is the matter, and the remedy.
  static func text(_ behind: Int64) -> String {
    """
    the server's clock is \(behind / 1_000) s behind the newest receive time (it was ahead, or has been set back): devices' \
    clocks look wrong and times are given a tenth too slowly until it is there; set the clock by NTP
    """
  }
}
