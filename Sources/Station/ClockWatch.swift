import Logging

/// Tells that the server's clock is behind the receive times that it has given, and when that is over.
struct ClockWatch {
  /// From so many milliseconds on: less is what keeping the time by network does.
  static let limit: Int64 = 10_000
  private var isTold = false

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

  /// What is the matter, and the remedy.
  static func text(_ behind: Int64) -> String {
    """
    the server's clock is \(behind / 1_000) s behind the newest receive time (it was ahead, or has been set back): devices' \
    clocks look wrong and times are given a tenth too slowly until it is there; set the clock by NTP
    """
  }
}
