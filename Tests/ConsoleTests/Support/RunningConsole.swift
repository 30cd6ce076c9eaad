import Console
import Logging
import ServiceLifecycle
import Station

/// Runs a console on a free port of the loopback, hands the port to `body`, and stops it gracefully.
///
/// - Returns: how long the graceful stop took.
@discardableResult
func withConsole(
  _ station: any StationAccess,
  access: ConsoleAccess = .openToThisMachine,
  _ change: (inout ConsoleOptions) -> Void = { _ in },
  body: @escaping @Sendable (Int) async throws -> Void
) async throws -> Duration {
  var options = ConsoleOptions()
  options.port = 0
  change(&options)
  var logger = Logger(label: "test.console")
  logger.logLevel = .critical
  let (ports, portFound) = AsyncStream.makeStream(of: Int.self)
  let server = try ConsoleServer(
    station: station,
    access: access,
    options: options,
    logger: logger
  ) { port in
    portFound.yield(port)
  }
  let group = ServiceGroup(configuration: .init(services: [server], logger: logger))
  return try await withThrowingTaskGroup(of: Void.self) { tasks in
    tasks.addTask { try await group.run() }
    var iterator = ports.makeAsyncIterator()
    guard let port = await iterator.next() else { throw CancellationError() }
    var failure: (any Error)?
    do { try await body(port) } catch { failure = error }
    let begin = ContinuousClock.now
    await group.triggerGracefulShutdown()
    try await tasks.waitForAll()
    let took = ContinuousClock.now - begin
    if let failure { throw failure }
    return took
  }
}
