import CMosquitto
import Glibc
import Synchronization

/// The part of connecting that may block for minutes (name look-up, TCP), on a thread of its own.
///
/// The thread that drives the client waits for `ended`, so that it can do other work or give up.
/// `@unchecked`: the handle and the inbox belong to the opening thread until `result` is set, and to
/// the client afterwards; `progress` guards the hand-over.
@safe final class Opening: @unchecked Sendable {
  private enum Progress {
    case running
    case finished(code: Int32, error: Int32)
    case abandoned
  }

  /// Set when the attempt has ended.
  let ended = WakeEvent()
  private let handle: OpaquePointer
  private let inbox: Inbox
  private let host: String
  private let port: UInt16
  private let keepAlive: Int32
  private let sessionExpiry: UInt32?
  private let progress = Mutex(Progress.running)

  init(
    handle: OpaquePointer,
    inbox: Inbox,
    host: String,
    port: UInt16,
    keepAlive: Int32,
    sessionExpiry: UInt32?
  ) {
    unsafe self.handle = handle
    self.inbox = inbox
    self.host = host
    self.port = port
    self.keepAlive = keepAlive
    self.sessionExpiry = sessionExpiry
  }

  /// Starts the thread; without a thread or a descriptor to spare, the attempt has failed.
  func start() {
    guard ended.descriptor >= 0 else {
      finish(code: Int32(MOSQ_ERR_ERRNO.rawValue), error: EMFILE)
      return
    }
    do throws(ThreadError) {
      try WorkerThread("davy-mqtt-open", detached: true) { self.run() }
    } catch {
      finish(code: Int32(MOSQ_ERR_ERRNO.rawValue), error: error.number)
    }
  }

  /// The library's return code and errno, once the attempt has ended.
  var result: (code: Int32, error: Int32)? {
    progress.withLock { progress in
      guard case .finished(let code, let error) = progress else { return nil }
      return (code, error)
    }
  }

  /// Gives the attempt up.
  ///
  /// Tells whether the opening thread destroys the handle when it returns.
  func abandon() -> Bool {
    progress.withLock { progress in
      guard case .running = progress else { return false }
      progress = .abandoned
      return true
    }
  }

  private func run() {
    var properties: OpaquePointer?
    if let sessionExpiry {
      unsafe mosquitto_property_add_int32(
        &properties,
        Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue),
        sessionExpiry
      )
    }
    errno = 0
    let code = unsafe mosquitto_connect_bind_v5(
      handle,
      host,
      Int32(port),
      keepAlive,
      nil,
      properties
    )
    let error = errno
    unsafe mosquitto_property_free_all(&properties)
    finish(code: code, error: error)
  }

  private func finish(code: Int32, error: Int32) {
    let abandoned = progress.withLock { progress in
      if case .abandoned = progress { return true }
      progress = .finished(code: code, error: error)
      return false
    }
    if abandoned {
      unsafe mosquitto_destroy(handle)
    } else {
      ended.set()
    }
  }
}
