import Journal

/// Why a snapshot cannot be used.
public enum SnapshotFault: Error, Hashable, Sendable {
  /// Not a snapshot of this format version.
  case wrongFormat
  /// The checksum does not match.
  case damaged
  /// It ends before everything is read.
  case truncated
  /// The engine state of this lane is missing.
  case missingLane(String)
  /// The state of this desk is missing.
  case missingDesk(String)
}

/// Writes a station snapshot: magic and version, fields, CRC-32C of all before it; integers little endian.
struct SnapshotWriter {
  static let magic: [UInt8] = Array("DAVYST02".utf8)
  private var bytes = magic

  mutating func put<Value: FixedWidthInteger>(_ value: Value) {
    for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
    }
  }

  mutating func put(_ value: [UInt8]) {
    put(UInt64(value.count))
    bytes.append(contentsOf: value)
  }

  mutating func put(_ value: String) {
    put(Array(value.utf8))
  }

  mutating func put(_ sources: [(path: String, text: String)]) {
    put(UInt32(sources.count))
    for source in sources {
      put(source.path)
      put(source.text)
    }
  }

  consuming func finish() -> [UInt8] {
    let checksum = CRC32C.checksum(bytes.span)
    put(checksum)
    return bytes
  }
}

/// Reads what ``SnapshotWriter`` wrote; never traps on other bytes.
struct SnapshotReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) throws(SnapshotFault) {
    guard bytes.starts(with: SnapshotWriter.magic) else { throw .wrongFormat }
    guard bytes.count >= SnapshotWriter.magic.count + 4 else { throw .truncated }
    let body = bytes.dropLast(4)
    rest = bytes.suffix(4)
    let expected: UInt32 = try integer()
    guard CRC32C.checksum(body.span) == expected else { throw .damaged }
    rest = body.dropFirst(SnapshotWriter.magic.count)
  }

  mutating func integer<Value: FixedWidthInteger>() throws(SnapshotFault) -> Value {
    let width = Value.bitWidth / 8
    guard rest.count >= width else { throw .truncated }
    var value: Value = 0
    for byte in rest.prefix(width).reversed() {
      value = (value << 8) | Value(truncatingIfNeeded: byte)
    }
    rest = rest.dropFirst(width)
    return value
  }

  mutating func block() throws(SnapshotFault) -> [UInt8] {
    let count: UInt64 = try integer()
    guard count <= UInt64(rest.count) else { throw .truncated }
    defer { rest = rest.dropFirst(Int(count)) }
    return Array(rest.prefix(Int(count)))
  }

  mutating func text() throws(SnapshotFault) -> String {
    String(decoding: try block(), as: UTF8.self)
  }

  mutating func sources() throws(SnapshotFault) -> [(path: String, text: String)] {
    let count: UInt32 = try integer()
    var sources: [(path: String, text: String)] = []
    for _ in 0..<count {
      sources.append((path: try text(), text: try text()))
    }
    return sources
  }
}
