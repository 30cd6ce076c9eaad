import AlarmEngine
import Glibc
import Telemetry

/// The generated workload in memory: readings as batches, levels as a plan.
struct Workload {
  var batches: [ReadingBatch] = []
  var plan = EnginePlan()
  /// Event time of each channel's last reading: what falls due later is not counted.
  var lastTime: [Int64] = []
  var count = 0

  /// What one channel's rules are called, in the order in which they are in the plan.
  static let ruleNames = ["hihi", "hi", "lo", "rate", "ewma"]

  /// Loads columns and cuts them into batches of at most `batchSize` readings.
  init(directory: String, batchSize: Int) {
    let ids: [UInt32] = load("\(directory)/id.u32", zero: 0)
    let times: [Int64] = load("\(directory)/time.i64", zero: 0)
    let values: [Double] = load("\(directory)/value.f64", zero: 0)
    self.init(levels: load("\(directory)/mu.f64", zero: 0))
    add(ids, times, values, batchSize: batchSize)
  }

  /// Makes the plan for sensors with these levels, without any reading.
  init(levels: [Double]) {
    lastTime = [Int64](repeating: .min, count: levels.count)
    plan = makePlan(levels)
  }

  /// Adds whole seconds, cut into batches.
  ///
  /// Every second is cut at the same places, so that each sensor's way to the engine takes the same
  /// time in every second: the C program knows no receive time, and a delay that ends while a reading
  /// is on its way would be counted differently.
  mutating func add(_ ids: [UInt32], _ times: [Int64], _ values: [Double], batchSize: Int) {
    let sensors = lastTime.count
    let parts = (sensors + batchSize - 1) / batchSize
    let batchSize = (sensors + parts - 1) / parts
    var first = 0
    while first < values.count {
      let endOfSecond = (first / sensors + 1) * sensors
      let last = min(first + batchSize, endOfSecond, values.count) - 1
      var batch = ReadingBatch(
        received: Timestamp(milliseconds: times[last]),
        baseSequence: UInt64(count + first)
      )
      for row in first...last {
        batch.append(
          Reading(
            channel: ChannelIndex(rawValue: ids[row]),
            time: Timestamp(milliseconds: times[row]),
            value: values[row]
          ),
          sequence: UInt64(count + row)
        )
        lastTime[Int(ids[row])] = times[row]
      }
      batches.append(batch)
      first = last + 1
    }
    count += values.count
  }
}

private func makePlan(_ levels: [Double]) -> EnginePlan {
  var plan = EnginePlan()
  for (row, level) in levels.enumerated() {
    plan.devices.append(DevicePlan(id: StableID(rawValue: UInt64(row))))
    let channel = ChannelIndex(rawValue: UInt32(row))
    plan.channels.append(
      ChannelPlan(
        id: StableID(rawValue: UInt64(row)),
        device: UInt32(row),
        window: ChannelWindow(lengthMilliseconds: 60_000, capacity: 64)
      )
    )
    let limits = [
      (LimitParameters.Comparison.above, level + 8, level + 7), (.above, level + 5, level + 4),
      (.below, level - 5, level - 4),
    ]
    var detectors: [Detector] = limits.map {
      .limit(LimitParameters(comparison: $0.0, setpoint: $0.1, restore: $0.2))
    }
    detectors.append(.successiveChange(perSecond: 4))
    detectors.append(.ewma(alpha: 0.05, deviations: 6, warmUp: 30))
    for (number, detector) in detectors.enumerated() {
      plan.rules.append(
        RulePlan(
          id: StableID(rawValue: UInt64(row * 8 + number)),
          channel: channel,
          detector: detector,
          priority: .yellow,
          onDelayMilliseconds: number < 3 ? 3000 : 0
        )
      )
    }
  }
  return plan
}

private func load<Element: BitwiseCopyable>(_ path: String, zero: Element) -> [Element] {
  guard let file = unsafe fopen(path, "rb") else {
    unsafe perror(path)
    exit(1)
  }
  defer { unsafe fclose(file) }
  unsafe fseek(file, 0, SEEK_END)
  let count = unsafe ftell(file) / MemoryLayout<Element>.stride
  unsafe rewind(file)
  return unsafe [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
    initialized = unsafe fread(buffer.baseAddress, MemoryLayout<Element>.stride, count, file)
  }
}

/// What another program writes to this one's input.
struct Input {
  /// The other program has ended too early.
  struct Ended: Error {}

  func read<Element: BitwiseCopyable>(_ count: Int, of zero: Element) throws -> [Element] {
    let elements = readUpTo(count, of: zero)
    guard elements.count == count else { throw Ended() }
    return elements
  }

  /// Fewer than `count` only at the end of the input.
  func readUpTo<Element: BitwiseCopyable>(_ count: Int, of zero: Element) -> [Element] {
    unsafe [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      var have = 0
      while have < bytes.count {
        let got = unsafe Glibc.read(
          STDIN_FILENO,
          bytes.baseAddress?.advanced(by: have),
          bytes.count - have
        )
        guard got > 0 else { break }
        have += got
      }
      initialized = have / MemoryLayout<Element>.stride
    }
  }
}
