import Foundation
import HazardLedger
import Telemetry

/// A folder of its own for each test, gone with the test.
final class Scratch: Sendable {
  let folder: String
  var path: String { folder + "/ledger.sqlite" }

  init(under parent: String = FileManager.default.temporaryDirectory.path) throws {
    folder = parent + "/davy-ledger-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: folder,
      withIntermediateDirectories: true
    )
  }

  deinit {
    do {
      try FileManager.default.removeItem(atPath: folder)
    } catch {
      print("could not remove \(folder): \(error)")
    }
  }
}

/// SplitMix64: the tests' only randomness, always from a seed.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

/// Alarms as a plant would bring them: `count` steps of random alarms in a legal order.
struct AlarmStory {
  private var random: SplitMix64
  private var clock: Int64 = 1_795_000_000_000
  private var standing: [AlarmBody] = []
  private(set) var position: UInt64 = 0

  init(seed: UInt64, after shift: Int64 = 0) {
    random = SplitMix64(seed: seed)
    clock += shift
  }

  mutating func step() -> LedgerDraft {
    clock += Int64.random(in: 0...2_000, using: &random)
    position += UInt64.random(in: 0...3, using: &random)
    if position == 0 { position = 1 }
    let now = Timestamp(milliseconds: clock)
    if standing.isEmpty || standing.count < 50 && Bool.random(using: &random) {
      let point = "ent-\(Int.random(in: 0..<9, using: &random))/site/area/GD-\(clock % 97)/ch"
      let body = AlarmBody(
        point: point,
        rule: ["high", "highhigh", "stale"].randomElement(using: &random) ?? "",
        onset: now,
        event: .raised,
        state: .unacknowledged,
        previous: .normal,
        priority: Int.random(in: 1...4, using: &random),
        value: Double.random(in: 0..<100, using: &random),
        limit: 25,
        unit: "%LEL",
        received: now,
        cause: position,
        catalog: "7e9a"
      )
      guard !standing.contains(where: { $0.alarm == body.alarm }) else { return step() }
      standing.append(body)
      return LedgerDraft(alarm: body, time: now, origin: position)
    }
    let index = standing.indices.randomElement(using: &random) ?? 0
    var body = standing[index]
    body.previous = body.state
    body.received = now
    body.cause = position
    body.value = Double.random(in: 0..<100, using: &random)
    body.actor = ""
    body.reason = ""
    switch (body.state, Bool.random(using: &random)) {
    case (.unacknowledged, true), (.returnedUnacknowledged, _):
      body.state = body.state == .unacknowledged ? .acknowledged : .normal
      body.event = .acknowledged
      body.actor = "李班长"
      body.reason = "现场已确认 \"valve\" closed\n"
    case (.unacknowledged, false):
      body.state = .returnedUnacknowledged
      body.event = .returned
    default:
      body.state = .normal
      body.event = .returned
    }
    if body.state == .normal {
      standing.remove(at: index)
    } else {
      standing[index] = body
    }
    return LedgerDraft(alarm: body, time: now, origin: position)
  }

  mutating func steps(_ count: Int) -> [LedgerDraft] {
    (0..<count).map { _ in step() }
  }
}

extension LedgerStore {
  /// Fills the ledger with a story, `batch` entries at a time; `after` shifts it in time.
  func fill(seed: UInt64, entries: Int, batch: Int = 50, after shift: Int64 = 0) throws {
    var story = AlarmStory(seed: seed, after: shift)
    var left = entries
    var position = try self.position
    while left > 0 {
      let drafts = story.steps(min(batch, left))
      position = max(story.position, position + 1)
      try append(drafts, rejects: [], position: position)
      left -= drafts.count
    }
  }
}
