import Dispatch
import Synchronization

/// Connections for reading, made when they are needed and lent to one caller at a time.
final class ReaderPool: Sendable {
  /// A place for a connection; who has taken it from the free ones alone uses it.
  private final class Slot: Sendable {
    let connection: Mutex<PostgresConnection?> = Mutex(nil)
  }

  private let free: Mutex<[Slot]>
  private let slots: [Slot]
  private let permits: DispatchSemaphore
  private let isClosed = Mutex(false)

  init(limit: Int) {
    slots = (0..<limit).map { _ in Slot() }
    free = Mutex(slots)
    permits = DispatchSemaphore(value: limit)
  }

  /// Runs work on a connection; waits while all are lent.
  ///
  /// Work that finds its connection gone, because the server was restarted meanwhile, is tried once more on a new one.
  func use<Answer: Sendable>(
    _ connect: () throws -> sending PostgresConnection,
    _ work: (PostgresConnection) throws -> Answer
  ) throws -> Answer {
    permits.wait()
    // The newest first, so that the others may be closed by the server as idle.
    let slot = free.withLock { $0.removeLast() }
    defer {
      free.withLock { $0.append(slot) }
      permits.signal()
    }
    guard !isClosed.withLock({ $0 }) else {
      throw PostgresFailure(code: "08003", message: "closed")
    }
    return try slot.connection.withLock { held throws -> Answer in
      let isFresh = held == nil
      do {
        return try Self.run(&held, connect, work)
      } catch  where held == nil && !isFresh {
        return try Self.run(&held, connect, work)
      }
    }
  }

  private static func run<Answer>(
    _ held: inout PostgresConnection?,
    _ connect: () throws -> sending PostgresConnection,
    _ work: (PostgresConnection) throws -> Answer
  ) throws -> Answer {
    let connection = try held ?? connect()
    held = connection
    do {
      return try work(connection)
    } catch {
      if !connection.isAlive { held = nil }
      throw error
    }
  }

  /// Closes every connection, and refuses what comes later; waits for those that are lent.
  func close() {
    isClosed.withLock { $0 = true }
    for slot in slots { slot.connection.withLock { $0 = nil } }
  }
}
