import Console
import HTTPTypes
import Hummingbird
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

/// Who reads slowly is given the time, who does not read is closed: on the clock of the pieces, without waiting for any.
@Suite("Stream watch") struct StreamWatchTests {
  /// A reader's socket: takes a piece at a time and says what comes of a look at the watch in between.
  private final class Reader: Sendable {
    struct State {
      var taken: [ByteBuffer] = []
      var began: [ContinuousClock.Instant] = []
      var closed = 0
      var isFinished = false
    }

    let state = Mutex(State())
    let watch: StreamWatch
    /// Since when a write must not be waiting, seen from the piece with this number; nil does not look.
    let limit:
      @Sendable (_ piece: Int, _ began: [ContinuousClock.Instant]) -> ContinuousClock.Instant?

    init(
      _ watch: StreamWatch,
      limit: @escaping @Sendable (Int, [ContinuousClock.Instant]) -> ContinuousClock.Instant?
    ) {
      self.watch = watch
      self.limit = limit
    }

    func take(_ buffer: ByteBuffer) {
      state.withLock { state in
        state.taken.append(buffer)
        state.began.append(.now)
        guard let limit = limit(state.taken.count, state.began) else { return }
        // A second look finds it closed already.
        for _ in 0..<2 { state.closed += watch.closeStalled(after: .zero, at: limit) }
      }
    }
  }

  private struct Socket: ResponseBodyWriter {
    let reader: Reader

    mutating func write(_ buffer: ByteBuffer) async throws { reader.take(buffer) }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
      reader.state.withLock { $0.isFinished = true }
    }
  }

  /// A large snapshot: two megabytes and a bit.
  private static let snapshot = ByteBuffer(
    bytes: (0..<2_100_001).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
  )

  @Test(
    "a large snapshot goes out whole, in pieces, and a slow reader is not taken for a stalled one"
  )
  func slow() async throws {
    let watch = StreamWatch()
    let channel = NIOAsyncTestingChannel()
    try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
    // At every piece but the first: no write has waited since before the piece before it came, however long all take.
    let reader = Reader(watch) { piece, began in piece == 1 ? nil : began[piece - 2] }
    var writer = WatchedWriter(Socket(reader: reader), watch.add(1, on: channel))
    try await writer.write(Self.snapshot)
    // Between two writes nothing waits, however long that is.
    #expect(watch.closeStalled(after: .zero) == 0)
    try await writer.write(ByteBuffer(string: "event: heartbeat\n\n"))
    try await writer.finish(nil)
    let state = reader.state.withLock { $0 }
    #expect(state.closed == 0 && state.isFinished)
    #expect(channel.isActive)
    #expect(state.taken.allSatisfy { $0.readableBytes <= 16_384 })
    #expect(state.taken.count == 129 + 1)
    var whole = ByteBuffer()
    for piece in state.taken.dropLast() { whole.writeImmutableBuffer(piece) }
    #expect(whole == Self.snapshot)
  }

  @Test("a piece that waits for too long closes its own socket, once, and nobody else's")
  func stalled() async throws {
    let watch = StreamWatch()
    let channel = NIOAsyncTestingChannel()
    let other = NIOAsyncTestingChannel()
    try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
    try await other.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 2)).get()
    // In the middle of the snapshot no time at all is left.
    let reader = Reader(watch) { piece, _ in piece == 50 ? .now + .nanoseconds(1) : nil }
    let idle = watch.add(2, on: other)
    var writer = WatchedWriter(Socket(reader: reader), watch.add(1, on: channel))
    try await writer.write(Self.snapshot)
    try await channel.closeFuture.get()
    #expect(!channel.isActive && other.isActive)
    #expect(reader.state.withLock { $0.closed } == 1)
    withExtendedLifetime(idle) {}
  }
}
