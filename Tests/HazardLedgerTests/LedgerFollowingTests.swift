import HazardLedger
import Telemetry
import Testing

/// Who follows a ledger is told what the file holds, wherever the store has it from.
@Suite("Ledger, followed")
struct LedgerFollowingTests {
  /// What followers at all places read, in pages of some sizes.
  static func pages(_ ledger: any ContractStore) throws -> [[LedgerEntry]] {
    let head = try ledger.head.sequence
    let cursors = (0...head).filter { $0 % 37 == 0 || $0 > head - 5 } + [head + 1, .max - 1]
    return try cursors.flatMap { cursor in
      try [1, 10, 100_000].map { try ledger.entries(after: cursor, limit: $0) }
    }
  }

  @Test(
    "pages are those of the reopened store, also after refused commits and pruned bodies",
    arguments: StoreKind.available,
    1...3 as ClosedRange<UInt64>
  )
  func reopened(kind: StoreKind, seed: UInt64) throws {
    let place = try StorePlace(kind)
    var ledger = try place.open()
    var random = SplitMix64(seed: seed)
    var story = AlarmStory(seed: seed)
    var position: UInt64 = 0
    func append(_ drafts: [LedgerDraft]) throws {
      position = max(story.position, position + 1)
      try ledger.append(drafts, rejects: [], position: position)
    }
    for round in 0..<6 {
      // More than is held in memory, less than that, and one at a time.
      for size in [Int.random(in: 1...1_500, using: &random), 40, 1, 1, 1] {
        try append(story.steps(size))
      }
      switch round % 3 {
      case 0:
        #expect(throws: LedgerError.self) {
          try ledger.append(story.steps(3), rejects: [], position: position)
        }
      case 1:
        let newest = try #require(try ledger.entries(after: 0, limit: 100_000).last)
        let rule = RedactionRule(name: "retention", before: newest.time, reason: "示例", limit: 50)
        try append([rule.order(at: newest.time, actor: "engine", origin: position)])
      default: break
      }
      let live = try Self.pages(ledger)
      try ledger.end()
      ledger = try place.open()
      #expect(try Self.pages(ledger) == live)
      try append(story.steps(5))
    }
    #expect(try ledger.entries(after: 0, limit: 100_000).count { $0.body == nil } > 50)
  }
}
