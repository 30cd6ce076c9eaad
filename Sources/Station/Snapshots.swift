import Foundation
import Glibc

/// When a station's next snapshot is due: after so many records, so many bytes, or so much time, whichever comes first.
struct SnapshotPace {
  /// Where the newest was taken.
  private(set) var position: UInt64
  private var bytes = 0
  /// When that was, monotonic milliseconds; the first batch of a process counts as one.
  private var taken: Int64?

  init(position: UInt64) {
    self.position = position
  }

  /// Counts a batch that the core has taken in up to `position`; true when a snapshot is due.
  mutating func isDue(
    _ position: UInt64,
    bytes added: Int,
    at now: Int64,
    _ limits: StationLimits
  ) -> Bool {
    bytes += added
    let begin = taken ?? now
    taken = begin
    return position - self.position >= limits.snapshotEvery || bytes >= limits.snapshotBytes
      || now - begin >= limits.snapshotMilliseconds
  }

  /// Counts from here on.
  mutating func restart(_ position: UInt64, at now: Int64) {
    self.position = position
    bytes = 0
    taken = now
  }
}

/// The snapshot files of a station: `snapshot-<position>.davy` in one folder, the newest few kept.
///
/// A snapshot is written only after the ledger stands at its position or beyond, under a temporary name, synced,
/// then renamed, so that a crash at any moment leaves whole files only.
public struct SnapshotFolder: Sendable {
  /// The folder.
  public let path: String
  private static let kept = 2

  /// Takes the folder and makes it where it is missing.
  public init(path: String) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  /// Positions of the snapshots there are, newest first.
  public func positions() throws -> [UInt64] {
    try FileManager.default.contentsOfDirectory(atPath: path)
      .compactMap { name in
        guard name.hasPrefix("snapshot-"), name.hasSuffix(".davy") else { return nil }
        return UInt64(name.dropFirst("snapshot-".count).dropLast(".davy".count))
      }
      .sorted(by: >)
  }

  /// Bytes of the snapshot at `position`.
  public func read(_ position: UInt64) throws -> [UInt8] {
    Array(try Data(contentsOf: file(position)))
  }

  /// Keeps `bytes` as the snapshot at `position` and deletes those that are no longer needed.
  public func write(_ bytes: [UInt8], position: UInt64) throws {
    let target = file(position)
    let temporary = target.appendingPathExtension("part")
    guard FileManager.default.createFile(atPath: temporary.path, contents: nil) else {
      throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: temporary.path])
    }
    let handle = try FileHandle(forWritingTo: temporary)
    try handle.write(contentsOf: Data(bytes))
    try handle.synchronize()
    try handle.close()
    guard unsafe rename(temporary.path, target.path) == 0 else {
      throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
    for old in try positions().dropFirst(Self.kept) {
      try FileManager.default.removeItem(at: file(old))
    }
  }

  /// Puts snapshots of positions beyond `end` aside, where the journal ends: they are of another one, and once this one is
  /// as long, a start would go on from their state.
  ///
  /// - Returns: their positions.
  func putAside(beyond end: UInt64) throws -> [UInt64] {
    let foreign = try positions().filter { $0 > end }
    for position in foreign {
      let file = file(position).path
      guard unsafe rename(file, file + ".aside") == 0 else {
        throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
      }
    }
    return foreign
  }

  private func file(_ position: UInt64) -> URL {
    URL(fileURLWithPath: path).appendingPathComponent("snapshot-\(position).davy")
  }
}
