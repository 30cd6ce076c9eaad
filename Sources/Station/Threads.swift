import Foundation
import Journal
import MQTTTransport
import Synchronization

/// The clocks of a station: the only place where time enters.
public protocol StationClocks: Sendable {
  /// Wall clock, milliseconds since the Unix epoch.
  func wall() -> Int64
  /// A clock that never goes back, milliseconds since some start.
  func monotonic() -> Int64
}

/// The machine's clocks.
public struct SystemClocks: StationClocks {
  private let start = ContinuousClock.now

  /// Makes them.
  public init() {}

  /// Wall clock, milliseconds since the Unix epoch.
  public func wall() -> Int64 {
    Int64((Date().timeIntervalSince1970 * 1000).rounded(.down))
  }

  /// Milliseconds since these clocks were made.
  public func monotonic() -> Int64 {
    let passed = (ContinuousClock.now - start).components
    return passed.seconds * 1000 + passed.attoseconds / 1_000_000_000_000_000
  }
}

/// Batches on their way from one thread to another, bounded by their inputs and bytes.
final class BatchQueue: Sendable {
  private struct State {
    var batches: [InputBatch] = []
    var inputs = 0
    var bytes = 0
    var isClosed = false
  }

  private let state = Mutex(State())
  private let filled = DispatchSemaphore(value: 0)
  private let limits: StationLimits
  private let keepsAtClose: Bool
  private let onTaken: @Sendable () -> Void

  /// Makes a queue.
  ///
  /// - Parameters:
  ///   - limits: how much may wait.
  ///   - keepsAtClose: whether what waits when it is closed is still handed out.
  ///   - onTaken: is called when a batch has been taken out.
  init(
    limits: StationLimits,
    keepsAtClose: Bool,
    onTaken: @escaping @Sendable () -> Void
  ) {
    self.limits = limits
    self.keepsAtClose = keepsAtClose
    self.onTaken = onTaken
  }

  /// Whether another batch may be pushed; only the pushing thread can make it false.
  var hasRoom: Bool {
    state.withLock { $0.inputs < limits.waitingInputs && $0.bytes < limits.waitingBytes }
  }

  /// Whether so much waits that more would only make the memory cold that the popping thread is to read.
  var isDeep: Bool {
    state.withLock { $0.inputs >= limits.deepInputs || $0.bytes >= limits.deepBytes }
  }

  /// Whether all that waits goes into one commit.
  var fitsOneCommit: Bool { state.withLock { $0.bytes < limits.batchBytesSlow } }

  /// How many inputs wait, and their bytes.
  var waiting: (inputs: Int, bytes: Int) { state.withLock { ($0.inputs, $0.bytes) } }

  /// Whether nothing waits.
  var isEmpty: Bool { state.withLock { $0.batches.isEmpty } }

  func push(_ batch: InputBatch) {
    state.withLock {
      $0.batches.append(batch)
      $0.inputs += batch.inputs.count
      $0.bytes += batch.inputs.byteCount
    }
    filled.signal()
  }

  /// Waits for the next batch; nil once the queue is closed.
  func pop() -> InputBatch? {
    filled.wait()
    return take()
  }

  /// The next batch, if one waits.
  func popWaiting() -> InputBatch? {
    guard filled.wait(timeout: .now()) == .success else { return nil }
    guard let batch = take() else {
      // That was the word of the end, which whoever waits is still to have.
      filled.signal()
      return nil
    }
    return batch
  }

  private func take() -> InputBatch? {
    defer { onTaken() }
    return state.withLock { state in
      guard !state.batches.isEmpty, keepsAtClose || !state.isClosed else { return nil }
      let batch = state.batches.removeFirst()
      state.inputs -= batch.inputs.count
      state.bytes -= batch.inputs.byteCount
      return batch
    }
  }

  /// Ends the wait of the popping thread, after what is still queued where that is kept.
  func close() {
    state.withLock { $0.isClosed = true }
    filled.signal()
  }
}

/// Named threads that can be waited for.
final class ThreadGroup: Sendable {
  private let group = DispatchGroup()

  func run(_ name: String, _ body: @escaping @Sendable () -> Void) {
    group.enter()
    let group = group
    let thread = Thread {
      // What Foundation calls a thread stays in the process.
      nameThread(name)
      body()
      group.leave()
    }
    thread.name = name
    thread.stackSize = 8 << 20
    thread.start()
  }

  func join() {
    group.wait()
  }

  /// Waits so long at most; false when a thread still runs.
  func join(milliseconds: Int) -> Bool {
    group.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
  }
}
