public import Telemetry

/// A batch whose readings are sorted by shard, each under its row there.
public struct SplitBatch: Sendable {
  /// A batch for each shard; all have the same receive time.
  public private(set) var parts: [ReadingBatch]
  /// For each reading of each part its place in the undivided batch.
  private(set) var positions: [[UInt32]]

  /// Makes an empty batch for a number of shards.
  public init(shards: Int) {
    parts = [ReadingBatch](repeating: ReadingBatch(), count: shards)
    positions = [[UInt32]](repeating: [], count: shards)
  }

  mutating func reset(like batch: borrowing ReadingBatch) {
    for shard in parts.indices {
      parts[shard].reset(received: batch.received, baseSequence: batch.baseSequence)
      parts[shard].isBacklog = batch.isBacklog
      positions[shard].removeAll(keepingCapacity: true)
    }
  }

  mutating func append(_ reading: Reading, sequence: UInt64, position: UInt32, shard: Int) {
    parts[shard].append(reading, sequence: sequence)
    positions[shard].append(position)
  }
}

/// Who runs the shards of a call: in turn, or beside each other.
///
/// The engine knows no threads; whoever has some says here how they are used. The outcome is the same.
public struct ShardTeam: Sendable {
  /// Runs `work` once for each number below `count` and returns when all are done.
  let run: @Sendable (_ count: Int, _ work: @Sendable (Int) -> Void) -> Void

  /// Makes a team.
  ///
  /// - Parameter run: calls its second argument once with each number below its first, on whichever threads it
  ///   likes, and returns when all calls have; what a call has written is then visible to the caller.
  public init(run: @escaping @Sendable (_ count: Int, _ work: @Sendable (Int) -> Void) -> Void) {
    self.run = run
  }

  /// One after the other on the caller's thread.
  public static let inTurn = ShardTeam { count, work in
    for number in 0..<count { work(number) }
  }
}
