import Foundation
import Journal

/// A directory of a test's own, removed with the object.
final class Scratch {
  let path: String

  init() {
    path =
      FileManager.default.temporaryDirectory.path + "/davy-journal-" + UUID().uuidString
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      fatalError("no temporary directory: \(error)")
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func callAsFunction(_ name: String) -> String { path + "/" + name }

  func files(_ directory: String = "") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path + "/" + directory).sorted()
  }
}

/// SplitMix64: small, seeded, the same everywhere.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }

  /// An input of any shape, also shapes that no broker sends.
  mutating func input(received: Int64) -> JournalInput {
    let kinds = JournalInput.Kind.allCases
    var properties: [(String, String)] = []
    if below(4) == 0 {
      for _ in 0..<below(4) { properties.append((text(), text())) }
    }
    return JournalInput(
      kind: kinds[below(kinds.count)],
      received: received,
      topic: bytes(below(30)),
      payload: below(3) == 0 ? bytes(below(3000)) : Array(repeating: 0x61, count: below(300)),
      qos: UInt8(below(3)),
      retain: below(2) == 0,
      duplicate: below(2) == 0,
      properties: properties
    )
  }

  private mutating func text() -> String {
    let texts = ["", "davy-received", "1795451234567", "甲烷", "\u{0}", "e\u{301}", "🪔"]
    return texts[below(texts.count)]
  }
}

/// A message that tells its own sequence, so that a wrong record cannot pass for the right one.
func message(_ sequence: UInt64, received: Int64? = nil, size: Int = 0) -> JournalInput {
  var payload = Array("{\"n\":\(sequence),\"v\":\(sequence % 97)}".utf8)
  // Not compressible, so that blocks fill pages.
  var random = SplitMix(sequence)
  payload += random.bytes(size)
  return JournalInput(
    received: received ?? Int64(sequence) * 10,
    topic: Array("davy/v1/a/gw-\(sequence % 7)".utf8),
    payload: payload,
    qos: 1
  )
}

func messages(_ range: ClosedRange<UInt64>, size: Int = 0) -> [JournalInput] {
  range.map { message($0, size: size) }
}

extension SegmentJournal {
  /// Appends messages up to a sequence, so many a group commit.
  func fill(to last: UInt64, batch: UInt64, size: Int = 0) throws {
    while lastSequence < last {
      let first = lastSequence + 1
      try append(messages(first...min(last, first + batch - 1), size: size), firstSequence: first)
    }
  }
}

extension Recording {
  /// All records that can be read.
  func everything() throws -> [JournalRecord] { try read(from: 1, limit: .max) }
}
