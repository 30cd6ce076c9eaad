import Foundation
import Glibc
import Logging
import ServiceLifecycle
import Station

/// The service manager that started the process, where there is one: systemd's notification protocol, sd_notify(3).
struct ServiceManager: Sendable {
  private let address: [UInt8]
  /// How often the manager wants to hear from the service; nil when it keeps no watch.
  let watchdog: Duration?

  /// Finds the manager by the environment that it set; nil when the service was started by hand.
  init?(environment: [String: String] = ProcessInfo.processInfo.environment) {
    guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@") else {
      return nil
    }
    // A leading @ stands for the zero byte of an abstract name.
    address = path.hasPrefix("@") ? [0] + Array(path.utf8.dropFirst()) : Array(path.utf8)
    watchdog = environment["WATCHDOG_USEC"].flatMap(Int64.init).map { .microseconds($0) }
  }

  /// Tells the manager, in its own words: `READY=1`, `STATUS=…`, `WATCHDOG=1`.
  ///
  /// - Throws: what the socket says.
  func tell(_ state: String) throws(NotificationError) {
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw NotificationError(code: errno) }
    defer { close(descriptor) }
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    guard address.count < MemoryLayout.size(ofValue: name.sun_path) else {
      throw NotificationError(code: ENAMETOOLONG)
    }
    unsafe withUnsafeMutableBytes(of: &name.sun_path) { path in
      for (index, byte) in address.enumerated() { unsafe path[index] = byte }
    }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + address.count)
    let bytes = Array(state.utf8)
    let sent = unsafe withUnsafePointer(to: name) { name in
      unsafe name.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
        unsafe sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), name, length)
      }
    }
    guard sent == bytes.count else { throw NotificationError(code: errno) }
  }
}

/// Why the service manager could not be told something.
struct NotificationError: Error, CustomStringConvertible {
  let code: Int32

  var description: String { unsafe String(cString: strerror(code)) }
}

/// Keeps the service manager's watch: tells it that the station is alive as long as it is.
///
/// A station whose intake or engine stands still is not vouched for; the manager then starts it again, and nothing that
/// was acknowledged is lost by that.
struct Watchdog: Service {
  let manager: ServiceManager
  let station: LiveStation
  let logger: Logger

  func run() async throws {
    guard let watchdog = manager.watchdog else {
      try await gracefulShutdown()
      return
    }
    let pause = watchdog / 3
    let patience = watchdog.components.seconds * 1_000
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        let still = station.stillMilliseconds
        if still < patience {
          do { try manager.tell("WATCHDOG=1") } catch {
            logger.error("service manager not told", metadata: ["error": "\(error)"])
          }
        } else {
          logger.critical(
            "intake or engine stands still; the service manager is no longer told that all is well",
            metadata: ["milliseconds": "\(still)"]
          )
        }
        try? await Task.sleep(for: pause)
      }
    }
  }
}
