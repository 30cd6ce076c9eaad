import Glibc

/// A process of the test's own, started and awaited without a run loop.
///
/// Foundation's `Process` passes the blocked signals of the threads that tests run on to the child.
final class ChildProcess: Sendable {
  let identifier: pid_t

  /// Starts a program with its output discarded.
  init(_ program: String, _ arguments: [String]) throws {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    for descriptor in 0...2 as ClosedRange<Int32> {
      unsafe posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
    }
    // The threads that tests run on may block signals, which a child would inherit: SIGTERM must reach it.
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let words = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var identifier: pid_t = 0
    let code = unsafe posix_spawn(&identifier, program, &actions, &attributes, words, environ)
    guard code == 0 else { throw TestFailure("\(program) does not start: error \(code)") }
    self.identifier = identifier
  }

  /// Sends a signal.
  func signal(_ number: Int32) { kill(identifier, number) }

  /// Sends a signal until the process has ended.
  ///
  /// Once is not enough: mosquitto listens before its loop begins, and a SIGTERM in between is forgotten.
  func end(_ number: Int32) {
    var status: Int32 = 0
    repeat {
      signal(number)
      _ = poll(nil, 0, 20)
    } while unsafe waitpid(identifier, &status, WNOHANG) == 0
  }

  /// Waits for the end; the exit status, or nil when a signal ended it.
  @discardableResult
  func wait() -> Int32? {
    var status: Int32 = 0
    while unsafe waitpid(identifier, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7f == 0 ? (status >> 8) & 0xff : nil
  }

  /// Runs a program to its end.
  static func run(_ program: String, _ arguments: [String]) throws {
    guard try ChildProcess(program, arguments).wait() == 0 else {
      throw TestFailure("\(program) failed")
    }
  }
}
