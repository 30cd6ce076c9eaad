import Foundation
import Telemetry

/// The server's clock, which the console uses to limit shelving and to date heartbeats; no rule sees it.
enum WallClock {
  static func now() -> Timestamp {
    Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
  }
}
