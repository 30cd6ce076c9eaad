import Accounts
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry

/// Keeps the accounts in order while the console runs: lets the first administrator in, forgets sessions that ended.
final class Doorman: Service {
  private let access: ConsoleAccess
  private let audit: AuditTrail
  private let options: ConsoleOptions
  private let logger: Logger
  private let port: Mutex<Int?> = Mutex(nil)

  init(access: ConsoleAccess, audit: AuditTrail, options: ConsoleOptions, logger: Logger) {
    self.access = access
    self.audit = audit
    self.options = options
    self.logger = logger
  }

  /// The server accepts connections: a link can be given out.
  func isListening(on port: Int) {
    self.port.withLock { $0 = port }
  }

  func run() async throws {
    guard case .accounts(let service) = access else {
      // Nothing to keep; a service that returned would take the console down with it.
      await cancelWhenGracefulShutdown { await Self.sleep(.seconds(1 << 30)) }
      return
    }
    await cancelWhenGracefulShutdown { [self] in
      var isFirst = true
      var nextSweep = ContinuousClock.now + .seconds(60)
      while !Task.isCancelled {
        do {
          if isFirst, let port = port.withLock({ $0 }) {
            try await letFirstAdministratorIn(service, port: port)
            isFirst = false
          }
          if ContinuousClock.now >= nextSweep {
            nextSweep = ContinuousClock.now + .seconds(60)
            try await BlockingWork.run { try service.sweep(now: WallClock.now().milliseconds) }
            removeDeadLink(service)
          }
        } catch {
          logger.error("accounts could not be kept in order", metadata: ["error": "\(error)"])
        }
        await Self.sleep(.milliseconds(isFirst ? 50 : 1_000))
      }
    }
  }

  /// No default password: a link that works once, for a day, is printed instead, at every start until it has been used.
  private func letFirstAdministratorIn(_ service: AccountService, port: Int) async throws {
    let now = WallClock.now().milliseconds
    let id: String
    switch try service.firstStart(now: now) {
    case .done:
      removeDeadLink(service)
      return
    case .needsLink(let account): id = account
    case .needsAccount(let account):
      _ = try await audit.change("account.created", account, by: "engine")
      try await BlockingWork.run { try service.keep(account) }
      id = account.id
    }
    let secret = try await BlockingWork.run { try service.invite(id, now: now) }
    let scheme = options.tls == nil ? "http" : "https"
    let host = options.host.contains(":") ? "[\(options.host)]" : options.host
    let link = "\(scheme)://\(host):\(port)/sign-in#link=\(secret.text)"
    if let file = options.linkFile { try write(link + "\n", to: file) }
    logger.notice(
      "nobody can sign in yet: open this link once, within a day, and set the administrator's password",
      metadata: ["account": "\(id)", "link": "\(link)"]
    )
  }

  private func write(_ text: String, to file: String) throws {
    let manager = FileManager.default
    if manager.fileExists(atPath: file) { try manager.removeItem(atPath: file) }
    let isMade = manager.createFile(
      atPath: file,
      contents: Data(text.utf8),
      attributes: [.posixPermissions: 0o600]
    )
    guard isMade else {
      throw AccountError.store(path: file, reason: "the sign-in link cannot be written")
    }
  }

  private func removeDeadLink(_ service: AccountService) {
    guard let file = options.linkFile, FileManager.default.fileExists(atPath: file),
      case .done? = try? service.firstStart(now: WallClock.now().milliseconds)
    else { return }
    do {
      try FileManager.default.removeItem(atPath: file)
    } catch {
      logger.warning("the used sign-in link stays", metadata: ["file": "\(file)"])
    }
  }

  private static func sleep(_ duration: Duration) async {
    // Cancellation ends the sleep; there is no other error.
    try? await Task.sleep(for: duration)
  }
}
