package import HTTPTypes
package import Hummingbird
package import NIOCore
import Synchronization

/// Ends streams whose reader has stopped reading.
///
/// What is written for a reader that takes nothing waits in its socket, and the stream's task with it, for as long as the
/// other side keeps the connection: hours, with a laptop that sleeps. Such a reader is closed instead, counted and told
/// of; one that comes back resumes at its cursor and misses nothing.
package final class StreamWatch: Sendable {
  /// One stream's socket, and since when a write to it has been waiting.
  package final class Pulse: Sendable {
    private let channel: any Channel
    private let waiting: Mutex<ContinuousClock.Instant?> = Mutex(nil)

    init(_ channel: any Channel) {
      self.channel = channel
    }

    func begin() { waiting.withLock { $0 = .now } }

    func end() { waiting.withLock { $0 = nil } }

    /// Closes the socket when a write to it has waited since before a moment; the write then fails.
    fileprivate func close(ifWaitingSince moment: ContinuousClock.Instant) -> Bool {
      let isStalled = waiting.withLock { waiting in
        guard let since = waiting, since < moment else { return false }
        waiting = nil
        return true
      }
      if isStalled { channel.close(promise: nil) }
      return isStalled
    }
  }

  private let pulses: Mutex<[UInt64: Pulse]> = Mutex([:])

  package init() {}

  package func add(_ stream: UInt64, on channel: any Channel) -> Pulse {
    let pulse = Pulse(channel)
    pulses.withLock { $0[stream] = pulse }
    return pulse
  }

  func remove(_ stream: UInt64) {
    pulses.withLock { _ = $0.removeValue(forKey: stream) }
  }

  /// Closes those that have waited for longer than `limit` at a moment; returns how many that were.
  package func closeStalled(
    after limit: Duration,
    at now: ContinuousClock.Instant = .now
  ) -> Int {
    let pulses = pulses.withLock { Array($0.values) }
    let moment = now - limit
    return pulses.count { $0.close(ifWaitingSince: moment) }
  }
}

/// A stream's writer under watch.
package struct WatchedWriter: ResponseBodyWriter {
  private var base: any ResponseBodyWriter
  private let pulse: StreamWatch.Pulse

  package init(_ base: any ResponseBodyWriter, _ pulse: StreamWatch.Pulse) {
    self.base = base
    self.pulse = pulse
  }

  /// In pieces, each under its own watch: who reads slowly, but reads, is given the time.
  @concurrent package mutating func write(_ buffer: ByteBuffer) async throws {
    var rest = buffer
    while let piece = rest.readSlice(length: min(Self.pieceSize, rest.readableBytes)),
      piece.readableBytes > 0
    {
      pulse.begin()
      defer { pulse.end() }
      try await base.write(piece)
    }
  }

  private static let pieceSize = 16_384

  @concurrent package consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
    pulse.begin()
    defer { pulse.end() }
    try await base.finish(trailingHeaders)
  }
}
