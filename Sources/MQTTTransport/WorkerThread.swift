import Glibc

/// A POSIX thread, without Foundation.
struct WorkerThread: @unchecked Sendable {
  // `@unchecked`: pthread_t is a plain identifier.
  private let thread: pthread_t

  /// Starts a thread that runs the body; throws the error number when there is none to be had.
  ///
  /// A thread that is not going to be joined is `detached`. The system's tools show it by its name, at most 15 characters.
  @discardableResult
  init(_ name: String, detached: Bool, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
    let argument = unsafe Unmanaged.passRetained(
      ThreadBody {
        nameThread(name)
        body()
      }
    ).toOpaque()
    var thread = pthread_t()
    let code = unsafe pthread_create(&thread, nil, runThread, argument)
    guard code == 0 else {
      unsafe Unmanaged<ThreadBody>.fromOpaque(argument).release()
      throw ThreadError(number: code)
    }
    self.thread = thread
    if detached { pthread_detach(thread) }
  }

  /// Waits for the thread's end.
  func join() { pthread_join(thread, nil) }
}

/// Gives the calling thread the name that the system's tools show (`top -H`, `perf`), 15 characters at most.
package func nameThread(_ name: String) {
  // The C library's own call is not in the module that Swift sees. Without a name the thread runs as well.
  let file = unsafe open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
  guard file >= 0 else { return }
  defer { close(file) }
  let bytes = Array(name.utf8.prefix(15))
  _ = unsafe write(file, bytes, bytes.count)
}

/// Why no thread could be started.
struct ThreadError: Error {
  var number: Int32
}

private final class ThreadBody {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let argument = unsafe argument else { return nil }
  unsafe Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
  return nil
}
