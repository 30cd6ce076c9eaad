import AlarmEngine
import Testing

/// Windows that time ends before their last readings have come: against a model that keeps every reading, with late
/// readings, bursts beyond the capacity, gaps, and state read back at any point.
@Suite("Windows ended by time")
struct EndedWindowTests {
  /// What happens to a window.
  enum Step {
    case reading(Int64, Double)
    case advance(Int64)
    case restore
  }

  /// A clock that goes on, readings that are up to `lag` behind it, ticks that are right or late, long silences.
  static func steps(seed: UInt64, count: Int, lag: Int64) -> [Step] {
    var random = DetectorRandom(seed: seed)
    func below(_ bound: Int64) -> Int64 { Int64(random.below(Int(bound))) }
    var clock: Int64 = 0
    var steps: [Step] = []
    while steps.count < count {
      switch below(60) {
      case 0: clock += below(200_000)
      case 1: for _ in 0..<below(40) { steps.append(.reading(clock, Double(below(9)))) }
      case 2: steps.append(.restore)
      case 3..<15: steps.append(.advance(clock))
      default: clock += below(1500)
      }
      steps.append(.reading(clock - below(3) * below(lag), Double(below(1000)) / 10))
    }
    return steps
  }

  @Test(
    "a tumbling window is handed over once, with all that it has taken",
    arguments: 1...12 as ClosedRange<UInt64>
  )
  func tumbling(seed: UInt64) throws {
    let length = [1000, 7000, 60_000][Int(seed % 3)] as Int64
    let offset = Int64(seed % 4) * 333
    func fresh() throws -> TumblingWindow { try TumblingWindow(length: length, offset: offset) }
    var window = try fresh()
    var open: [Sample] = []
    var end = Int64.min
    var faults: [String] = []
    func take(_ summary: WindowSummary) {
      var want = oracle(open[...])
      want.start = summary.start
      want.end = summary.start + length
      if let fault = difference(summary, want) { faults.append(fault) }
      if summary.start < end { faults.append("\(summary.start) again") }
      if (summary.start - offset) % length != 0 { faults.append("edge \(summary.start)") }
      if let last = open.last, last.time >= summary.end || open[0].time < summary.start {
        faults.append("reading \(last.time) in \(summary.start)")
      }
      end = summary.end
      open = []
    }
    for step in Self.steps(seed: seed, count: 20_000, lag: length) {
      switch step {
      case .reading(let time, let value):
        let isLate = time < open.last?.time ?? end
        let isTaken = window.step(time: time, value: value, take)
        #expect(isTaken != isLate, "SEED=\(seed) \(time)")
        if isTaken { open.append(Sample(time: time, value: value)) }
      case .advance(let time):
        window.advance(to: time, take)
        #expect(open.isEmpty || window.nextEnd.map { $0 > time } == true, "SEED=\(seed) \(time)")
      case .restore: window = try restarted(window, as: fresh())
      }
    }
    #expect(faults == [], "SEED=\(seed)")
    #expect(end > 0)
  }

  @Test(
    "a hopping window is handed over once, lacks what came later and says so, and is truncated no longer than it is",
    arguments: 1...12 as ClosedRange<UInt64>
  )
  func hopping(seed: UInt64) throws {
    let hop = [1000, 7000, 20_000][Int(seed % 3)] as Int64
    let length = hop * Int64(seed % 4 + 1) - Int64(seed % 2) * hop / 3 * (seed % 4 > 0 ? 1 : 0)
    let capacity = [12, 40, 4096][Int(seed / 3 % 3)]
    func fresh() throws -> HoppingWindow {
      try HoppingWindow(length: length, hop: hop, offset: 250, capacity: capacity)
    }
    var window = try fresh()
    var taken: [Sample] = []
    var edge = Int64.min
    var edges: Set<Int64> = []
    var faults: [String] = []
    var truncated = 0
    func take(_ summary: WindowSummary) {
      taken.removeAll { $0.time < summary.start }
      let members = taken.prefix { $0.time < summary.end }
      var want = oracle(members)
      want.start = summary.end - length
      want.end = summary.end
      if summary.isTruncated != (members.count > capacity) {
        faults.append("\(members.count) of \(capacity) truncated: \(summary.isTruncated)")
      }
      if !summary.isTruncated, let fault = difference(summary, want) { faults.append(fault) }
      if summary.isTruncated { truncated += 1 }
      if summary.end <= edge { faults.append("\(summary.end) again") }
      if (summary.end - 250) % hop != 0 { faults.append("edge \(summary.end)") }
      edge = summary.end
      edges.insert(edge)
    }
    var all: [Int64] = []
    for step in Self.steps(seed: seed, count: 20_000, lag: length) {
      switch step {
      case .reading(let time, let value):
        let isTaken = window.step(time: time, value: value, take)
        #expect(window.hasMissed || time >= edge, "SEED=\(seed) \(time)")
        if isTaken {
          #expect(window.hasMissed == (time < edge), "SEED=\(seed) \(time)")
          taken.append(Sample(time: time, value: value))
          all.append(time)
        } else {
          #expect(window.hasMissed, "SEED=\(seed) \(time)")
        }
      case .advance(let time): window.advance(to: time, take)
      case .restore: window = try restarted(window, as: fresh())
      }
    }
    window.advance(to: .max / 2, take)
    #expect(faults == [], "SEED=\(seed)")
    #expect(capacity > 100 || truncated > 0, "SEED=\(seed): no burst was above the capacity")
    // Every window that a reading belongs to has been handed over.
    let missing = all.filter { time in
      var end = floorQuotient(time - 250, hop) * hop + hop + 250
      while end - length <= time {
        if !edges.contains(end) { return true }
        end += hop
      }
      return false
    }
    #expect(missing == [], "SEED=\(seed)")
  }

  @Test("after a burst a hopping window is whole again as soon as the burst has left")
  func burst() throws {
    var window = try HoppingWindow(length: 10_000, hop: 5000, capacity: 8)
    var said: [String] = []
    func take(_ summary: WindowSummary) {
      said.append("\(summary.end) \(summary.count) \(summary.isTruncated)")
    }
    for _ in 0..<20 { window.step(time: 1000, value: 1, take) }
    // One reading a second then: ten in a window of eight.
    for time in stride(from: Int64(2000), to: 40_000, by: 2000) {
      window.step(time: time, value: 1, take)
    }
    #expect(said[0] == "5000 8 true" && said[1] == "10000 8 true", "\(said)")
    #expect(said.dropFirst(2).allSatisfy { $0.hasSuffix(" 5 false") }, "\(said)")
  }

  @Test("a ring holds a window's length and no hop more")
  func capacityOfHopping() throws {
    var window = try HoppingWindow(length: 10_000, hop: 10_000, capacity: 10)
    var truncated = 0
    for second in 0..<Int64(100) {
      window.step(time: second * 1000, value: 1) { truncated += $0.isTruncated ? 1 : 0 }
    }
    #expect(truncated == 0)
  }

  @Test(
    "a session is handed over once; what would have prolonged it begins another and says so",
    arguments: 1...12 as ClosedRange<UInt64>
  )
  func session(seed: UInt64) throws {
    let gap = [999, 5000, 30_000][Int(seed % 3)] as Int64
    let longest = [60_000, 600_000][Int(seed % 2)] as Int64
    func fresh() throws -> SessionWindow { try SessionWindow(gap: gap, longest: longest) }
    var window = try fresh()
    var open: [Sample] = []
    var ended = Int64.min
    var isByTime = false
    var wasByTime = false
    var faults: [String] = []
    var splits = 0
    func take(_ summary: WindowSummary) {
      if let fault = difference(summary, oracle(open[...])) { faults.append(fault) }
      ended = summary.end
      wasByTime = isByTime
      open = []
    }
    for step in Self.steps(seed: seed, count: 20_000, lag: gap) {
      switch step {
      case .reading(let time, let value):
        isByTime = false
        let before = open
        let isLate = time < open.last?.time ?? ended
        let isSplit =
          open.isEmpty && !isLate && wasByTime && ended != .min && time - ended <= gap
        let isTaken = window.step(time: time, value: value, take)
        #expect(isTaken != isLate && window.hasSplit == isSplit, "SEED=\(seed) \(time)")
        if isSplit { splits += 1 }
        guard isTaken else { continue }
        if let first = before.first, let last = before.last {
          let isOver = time - last.time > gap || time - first.time >= longest
          #expect(open.isEmpty == isOver, "SEED=\(seed) \(time)")
        }
        open.append(Sample(time: time, value: value))
      case .advance(let time):
        isByTime = true
        // Sometimes too soon: the device is taken to be faster than it is.
        window.advance(to: time + gap / 2, take)
      case .restore: window = try restarted(window, as: fresh())
      }
    }
    #expect(faults == [], "SEED=\(seed)")
    #expect(splits > 0, "SEED=\(seed)")
  }

  @Test("more windows than thousands at once are refused")
  func hops() throws {
    #expect(throws: WindowError.hopTooShort(hop: 1, length: 315_360_000_000)) {
      try HoppingWindow(length: 315_360_000_000, hop: 1, capacity: 10)
    }
    #expect(throws: WindowError.hopTooShort(hop: 10, length: 50_001)) {
      try HoppingWindow(length: 50_001, hop: 10, capacity: 10)
    }
    _ = try HoppingWindow(length: 50_000, hop: 10, capacity: 10)
  }
}
