import NIOPosix

/// Runs what blocks (reading the ledger) on threads that may block.
///
/// The concurrency pool has as many threads as the machine has cores; a slow disk there would stop
/// every stream and every heartbeat.
enum BlockingWork {
  static func run<Value: Sendable>(
    _ work: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await NIOThreadPool.singleton.runIfActive(work)
  }
}
