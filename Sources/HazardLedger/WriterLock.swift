import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// Keeps a second process, or a second instance in this one, from writing the same ledger.
///
/// An advisory lock on a file beside the database; the kernel drops it with the process, so that a
/// crash leaves nothing behind to clean up.
final class WriterLock: Sendable {
  private let descriptor: Mutex<Int32>

  init(path: String) throws(LedgerError) {
    let opened = unsafe open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard opened >= 0 else {
      throw .notAccessible(path: path, detail: Self.reason(errno))
    }
    guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
      let failure = errno
      _ = Glibc.close(opened)
      if failure == EWOULDBLOCK { throw .inUse(path: path) }
      throw .notAccessible(path: path, detail: Self.reason(failure))
    }
    descriptor = Mutex(opened)
  }

  func release() {
    descriptor.withLock { descriptor in
      guard descriptor >= 0 else { return }
      // Said outright: a child that is being started has the descriptor too, until it becomes another program.
      _ = flock(descriptor, LOCK_UN)
      _ = Glibc.close(descriptor)
      descriptor = -1
    }
  }

  deinit { release() }

  private static func reason(_ code: Int32) -> String {
    unsafe String(cString: strerror(code))
  }
}
