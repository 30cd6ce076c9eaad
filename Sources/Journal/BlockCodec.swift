import CZstd

/// A block's row: what the columns say of it, without its bytes.
package struct BlockHeader: Equatable, Sendable {
  /// Sequence of the first record.
  package var first: UInt64
  /// How many records.
  package var count: Int
  /// Earliest receive time of its records.
  package var earliestReceived: Int64
  /// Latest receive time of its records.
  package var latestReceived: Int64
  /// How the stored bytes become records.
  package var codec: Int64
  /// Size of the records before compression.
  package var rawSize: Int
  /// CRC-32C of all of the above and the stored bytes.
  package var checksum: UInt32

  package init(
    first: UInt64,
    count: Int,
    earliestReceived: Int64,
    latestReceived: Int64,
    codec: Int64,
    rawSize: Int,
    checksum: UInt32
  ) {
    self.first = first
    self.count = count
    self.earliestReceived = earliestReceived
    self.latestReceived = latestReceived
    self.codec = codec
    self.rawSize = rawSize
    self.checksum = checksum
  }

  /// Sequence of the last record.
  var last: UInt64 { first + UInt64(count) - 1 }

  /// The checksum that the columns and these stored bytes give.
  ///
  /// It covers the columns too, so that a row whose number or times were changed is found out.
  func checksum(of stored: Span<UInt8>) -> UInt32 {
    var crc = CRC32C()
    crc.add(first)
    crc.add(UInt64(count))
    crc.add(UInt64(bitPattern: earliestReceived))
    crc.add(UInt64(bitPattern: latestReceived))
    crc.add(UInt64(bitPattern: codec))
    crc.add(UInt64(rawSize))
    crc.add(stored)
    return crc.value
  }
}

/// Why a row is not a block.
package enum BlockFault: Error, Equatable {
  case checksum
  case content(String)

  var cause: JournalDamage.Cause {
    switch self {
    case .checksum: .checksum
    case .content(let message): .content(message)
    }
  }
}

/// Turns records into stored bytes; keeps zstd's context and the buffer from block to block.
@safe package struct BlockEncoder: ~Copyable {
  /// Records in format 1 (``BlockFormat``), stored as they are.
  package static let storedCodec: Int64 = 1
  /// Records in format 1 (``BlockFormat``), one zstd frame.
  package static let zstdCodec: Int64 = 2
  /// Below this zstd gains nothing: a lone message goes through without it.
  private static let smallestWorthCompressing = 256

  /// Nil where zstd had no memory for one: blocks are then stored as they are.
  private let context: OpaquePointer?
  private var stored: [UInt8] = []

  package init() {
    unsafe self.context = unsafe ZSTD_createCCtx()
    guard let context = unsafe context else { return }
    // Level 1: on telemetry it is smaller and no slower than the negative levels.
    let status = unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1)
    precondition(ZSTD_isError(status) == 0, "zstd refuses compression level 1")
  }

  deinit { _ = unsafe ZSTD_freeCCtx(context) }

  /// Hands the batch's row and stored bytes to `body`.
  package mutating func encode<Result>(
    _ batch: borrowing JournalBatch,
    first: UInt64,
    _ body: (BlockHeader, UnsafeMutableRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    var header = BlockHeader(
      first: first,
      count: batch.count,
      earliestReceived: batch.earliestReceived,
      latestReceived: batch.latestReceived,
      codec: Self.storedCodec,
      rawSize: batch.byteCount,
      checksum: 0
    )
    let size = compress(batch)
    if let size {
      header.codec = Self.zstdCodec
      header.checksum = header.checksum(of: stored.span.extracting(0..<size))
      return try unsafe stored.withUnsafeMutableBytes { bytes in
        try unsafe body(header, UnsafeMutableRawBufferPointer(rebasing: bytes[..<size]))
      }
    }
    header.checksum = header.checksum(of: batch.bytes.span.extracting(0..<batch.byteCount))
    return try unsafe batch.bytes.withUnsafeBytes { bytes in
      try unsafe body(
        header,
        UnsafeMutableRawBufferPointer(
          mutating: UnsafeRawBufferPointer(rebasing: bytes[..<batch.byteCount])
        )
      )
    }
  }

  /// Compresses into `stored`; nil when that makes the block no smaller, or cannot be done.
  private mutating func compress(_ batch: borrowing JournalBatch) -> Int? {
    guard batch.byteCount >= Self.smallestWorthCompressing, let context = unsafe context else {
      return nil
    }
    let bound = ZSTD_compressBound(batch.byteCount)
    if stored.count < bound {
      stored.append(contentsOf: repeatElement(0, count: bound - stored.count))
    }
    let size = unsafe stored.withUnsafeMutableBytes { target in
      unsafe batch.bytes.withUnsafeBytes { source in
        unsafe ZSTD_compress2(
          context,
          target.baseAddress,
          target.count,
          source.baseAddress,
          batch.byteCount
        )
      }
    }
    guard ZSTD_isError(size) == 0, size < batch.byteCount else { return nil }
    return size
  }
}

/// Turns stored bytes back into records, trusting none of them.
@safe package struct BlockDecoder: ~Copyable {
  private let context: OpaquePointer

  package init() {
    // Whoever reads would take blocks for damaged that are whole, and pass them over: better to stop, and start again.
    guard let context = unsafe ZSTD_createDCtx() else {
      fatalError("zstd has no memory to read journal blocks with")
    }
    unsafe self.context = unsafe context
  }

  deinit { _ = unsafe ZSTD_freeDCtx(context) }

  /// Replaces the batch by the block's records.
  package func decode(
    _ header: BlockHeader,
    _ stored: Span<UInt8>,
    into batch: inout JournalBatch
  ) throws(BlockFault) {
    guard header.checksum(of: stored) == header.checksum else { throw .checksum }
    try decodeUnchecked(header, stored, into: &batch)
    guard
      batch.earliestReceived == header.earliestReceived,
      batch.latestReceived == header.latestReceived
    else { throw .content("the records' receive times are not those of the block") }
  }

  /// As `decode`, without the checksum: what a fuzzer drives.
  package func decodeUnchecked(
    _ header: BlockHeader,
    _ stored: Span<UInt8>,
    into batch: inout JournalBatch
  ) throws(BlockFault) {
    guard header.rawSize >= 0, header.rawSize <= BlockFormat.maximumBlockSize else {
      throw .content("a block of \(header.rawSize) bytes is larger than any that is written")
    }
    guard header.count > 0, header.count <= header.rawSize else {
      throw .content("\(header.count) records in \(header.rawSize) bytes")
    }
    let size =
      switch header.codec {
      case BlockEncoder.storedCodec: store(stored, expected: header.rawSize, into: &batch)
      case BlockEncoder.zstdCodec: decompress(stored, expected: header.rawSize, into: &batch)
      default:
        throw .content("codec \(header.codec) is unknown: read it with a later version")
      }
    guard let size, size == header.rawSize else {
      throw .content("the block does not have the size before compression that its row says")
    }
    do {
      try BlockFormat.index(&batch, byteCount: size, count: header.count)
    } catch {
      throw .content("\(error)")
    }
  }

  private func store(
    _ stored: Span<UInt8>,
    expected: Int,
    into batch: inout JournalBatch
  ) -> Int? {
    guard stored.count == expected else { return nil }
    batch.makeRoom(for: expected)
    var arena = batch.bytes.mutableSpan
    for index in 0..<expected { arena[index] = stored[index] }
    return expected
  }

  private func decompress(
    _ stored: Span<UInt8>,
    expected: Int,
    into batch: inout JournalBatch
  ) -> Int? {
    // Ask the frame first: a row that lies about the size must not make us reserve memory.
    let announced = unsafe stored.withUnsafeBytes { source in
      unsafe ZSTD_getFrameContentSize(source.baseAddress, source.count)
    }
    guard announced == UInt64(expected) else { return nil }
    batch.makeRoom(for: expected)
    let size = unsafe stored.withUnsafeBytes { source in
      unsafe batch.bytes.withUnsafeMutableBytes { target in
        unsafe ZSTD_decompressDCtx(
          context,
          target.baseAddress,
          expected,
          source.baseAddress,
          source.count
        )
      }
    }
    return ZSTD_isError(size) == 0 ? size : nil
  }
}
