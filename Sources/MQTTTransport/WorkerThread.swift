import Glibc

/// A POSIX thread, without Foundation.
struct WorkerThread: @unchecked Sendable {
  // `@unchecked`: pthread_t is a plain identifier.
  private let thread: pthread_t

  /// Starts a thread that runs the body; throws the error number when there is none to be had.
  ///
  /// A thread that is not going to be joined is `detached`.
  @discardableResult
  init(detached: Bool, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
    let argument = unsafe Unmanaged.passRetained(ThreadBody(body)).toOpaque()
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
