/// A place in the ledger at which a stream can be resumed: what the `id` of an event says.
///
/// A sequence alone is a place in any ledger: one that was restored from a backup, or begun anew, has another entry there once
/// it has grown so far, and the entries before it would never be told. So a part of the entry's hash goes with it.
struct StreamPlace: Hashable, Sendable {
  /// Sequence of the newest entry told or passed over; 0 before the first.
  var sequence: Int64
  /// The first four bytes of its hash; nil before the first, and where a reader names the sequence alone.
  private(set) var mark: UInt32?

  /// The place of the entry with a hash.
  init(sequence: Int64, hash: [UInt8]) {
    self.sequence = sequence
    mark = hash.count < 4 ? nil : hash.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
  }

  /// Reads ``text``, or a sequence alone; nil when it is neither.
  init?(_ text: String) {
    let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard let sequence = Int64(parts[0]), sequence >= 0 else { return nil }
    self.sequence = sequence
    guard parts.count == 2 else { return }
    guard parts[1].utf8.count == 8, let mark = UInt32(parts[1], radix: 16) else { return nil }
    self.mark = mark
  }

  /// Sequence and, in eight hexadecimal digits, mark: `1000-0a1b2c3d`.
  var text: String {
    guard let mark else { return "\(sequence)" }
    let digits = String(mark, radix: 16)
    return "\(sequence)-" + String(repeating: "0", count: 8 - digits.utf8.count) + digits
  }

  /// Whether it may be the same place as another of the same sequence.
  func agrees(with other: StreamPlace) -> Bool {
    mark == nil || mark == other.mark
  }
}
