import AlarmEngine
import Telemetry

/// What the clock of a simulated device shows.
enum RandomClock {
  /// The right time and this.
  case ahead(Int64)
  /// Ahead by `by` at `from`, and so many parts of the time since more.
  case drifting(by: Int64, rate: Double, from: Int64)
  case standing(at: Int64)
  /// Goes on in lumps of this length.
  case stuttering(Int64)
  /// Any time of this span before the right one.
  case garbage(Int64)

  func shows(at time: Int64, _ random: inout DetectorRandom) -> Int64 {
    switch self {
    case .ahead(let offset): time + offset
    case .drifting(let offset, let rate, let start):
      time + offset + Int64(Double(time - start) * rate)
    case .standing(let shown): shown
    case .stuttering(let lump): time - time % lump
    case .garbage(let span): time - Int64(random.below(Int(span)))
    }
  }

  /// A clock that goes wrong at `time`.
  static func wrong(
    at time: Int64,
    tolerance: Int64,
    _ random: inout DetectorRandom
  ) -> RandomClock {
    let sign: Int64 = random.below(2) == 0 ? 1 : -1
    switch random.below(12) {
    case 0, 1, 2: return .ahead(sign * Int64(random.below(Int(tolerance))))
    case 3: return .ahead(sign * (tolerance + Int64(random.below(60_000))))
    case 4: return .ahead(-time)
    case 5: return .ahead(sign * 86_400_000)
    case 6: return .ahead(sign * 3_600_000)
    case 7: return .ahead(sign * Int64(random.below(5000)))
    case 8:
      let rate = [0.001, 0.02, 0.1, 0.3, 0.7, 1, 2][random.below(7)] * Double(sign)
      return .drifting(by: 0, rate: rate, from: time)
    case 9: return .standing(at: time + sign * Int64(random.below(Int(2 * tolerance))))
    case 10: return .stuttering(1000 + Int64(random.below(60_000)))
    default: return .garbage([tolerance, 3_600_000, 30 * 86_400_000][random.below(3)])
    }
  }
}

/// What one simulated device sends.
struct RandomDevice {
  /// Nil where the guard is off.
  let tolerance: Int64?
  /// How long its readings are held back, milliseconds.
  let allowance: Int64
  let channels: Range<UInt32>
  /// Time between its readings.
  let period: Int64
  /// Readings that it packs into a message.
  let packed: Int
  /// What its messages need at least, and at most so much more.
  let delay: Int64
  let jitter: Int64
  /// How many readings there are to a wrong clock.
  let calm: Int

  /// When it sends next.
  private(set) var due: Int64
  private var clock = RandomClock.ahead(0)
  private var isWrong = false
  /// One channel's stamps are off by this.
  private var odd: (channel: UInt32, offset: Int64)?
  /// Old readings that are still to be sent: of what time the next one is, how many are left, and how far they lie apart.
  private var fill: (time: Int64, left: Int, step: Int64)?
  private var hasBacklog = false
  private var values: [Double]
  private var isBusy: [Bool]
  private var sent: [Reading] = []
  private var last: [Int64]

  init(_ random: inout DetectorRandom, channels: Range<UInt32>, allowance: Int64) {
    self.channels = channels
    self.allowance = allowance
    let tolerances: [Int64?] = [300_000, 300_000, 30_000, 5000, 3_600_000, 60_000, nil]
    tolerance = tolerances[random.below(tolerances.count)]
    period = [500, 1000, 2000, 5000, 10_000, 20_000][random.below(6)]
    packed = [1, 1, 1, 2, 5, 12][random.below(6)]
    delay = [0, 40, 2000, 20_000, 140_000][random.below(5)]
    jitter = [0, 200, 5000, 20_000][random.below(4)]
    calm = [200, 1000][random.below(2)]
    due = epochOfTests + Int64(random.below(60_000))
    values = [Double](repeating: 0, count: channels.count)
    isBusy = channels.map { _ in random.below(3) > 0 }
    last = [Int64](repeating: epochOfTests, count: channels.count)
  }

  struct Message {
    var readings: [Reading]
    var isBacklog: Bool
  }

  /// The next message, received at `received`.
  mutating func send(at received: Int64, _ random: inout DetectorRandom) -> Message {
    var count = packed
    var step = period
    if hasBacklog { count = 20 + random.below(200) }
    let message = Message(readings: [], isBacklog: hasBacklog && random.below(2) == 0)
    hasBacklog = false
    var readings: [Reading] = []
    if var fill {
      let chunk = min(fill.left, 1 + random.below(60))
      for _ in 0..<chunk {
        readings.append(reading(of: fill.time, &random))
        fill.time += fill.step
      }
      fill.left -= chunk
      self.fill = fill.left > 0 ? fill : nil
      if random.below(3) > 0 { count = 0 }
      step = min(step, 1000)
    }
    let waited = delay + (jitter > 0 ? Int64(random.below(Int(jitter))) : 0)
    for place in (0..<count).reversed() {
      changeClock(received, &random)
      readings.append(reading(of: received - waited - Int64(place) * period, &random))
    }
    due = received + Int64(max(count, 1)) * step
    if random.below(300) == 0 {
      due += Int64(random.below([60_000, 3_600_000][random.below(2)]))
      hasBacklog = random.below(2) == 0
    }
    if fill == nil, random.below(2 * calm) == 0 {
      let ago = Int64(random.below(14_400_000))
      fill = (received - ago, 100 + random.below(500), period)
    }
    let spoilt = readings.map { spoil($0, received, &random) }
    return Message(readings: spoilt, isBacklog: message.isBacklog)
  }

  private mutating func changeClock(_ time: Int64, _ random: inout DetectorRandom) {
    let tolerance = tolerance ?? 300_000
    if isWrong, random.below(calm / 2) == 0 {
      isWrong = false
      clock = .ahead(0)
    } else if random.below(calm) == 0 {
      isWrong = true
      clock = .wrong(at: time, tolerance: tolerance, &random)
    }
    if odd != nil {
      if random.below(2 * calm) == 0 { odd = nil }
    } else if channels.count > 1, random.below(3 * calm) == 0 {
      let offset = [-time, -3_600_000, -86_400_000, tolerance / 2][random.below(4)]
      odd = (channels.randomElement(using: &random) ?? channels.lowerBound, offset)
    }
  }

  /// A reading of the right time `time`.
  private mutating func reading(of time: Int64, _ random: inout DetectorRandom) -> Reading {
    let place = random.below(channels.count)
    let channel = channels.lowerBound + UInt32(place)
    if isBusy[place] ? random.below(10) > 0 : random.below(40) == 0 {
      values[place] = Double((Int(values[place]) + 1 + random.below(3)) % 4)
    }
    if random.below(500) == 0 { isBusy[place].toggle() }
    var stamp = clock.shows(at: time, &random)
    if let odd, odd.channel == channel { stamp += odd.offset }
    return Reading(
      channel: ChannelIndex(rawValue: channel),
      time: Timestamp(milliseconds: stamp),
      value: values[place]
    )
  }

  private static let statuses = SourceStatus.allCases

  /// What happens to single readings.
  private mutating func spoil(
    _ whole: Reading,
    _ received: Int64,
    _ random: inout DetectorRandom
  ) -> Reading {
    var reading = whole
    let place = Int(whole.channel.rawValue - channels.lowerBound)
    let tolerance = tolerance ?? 300_000
    switch random.below(1200) {
    case 0...7: reading.time = at(received + Int64(random.below(Int(tolerance))))
    case 8: reading.time = at(received + tolerance + Int64(random.below(100_000)))
    case 9...11: reading.time = at(received - Int64(random.below(1_700_000_000)) * 1000)
    case 12...26: reading.time = at(whole.time.milliseconds - Int64(random.below(60_000)))
    case 27...36: reading.time = at(last[place])
    case 37...48:
      if let again = sent.randomElement(using: &random) { reading = again }
    case 49...58:
      reading.flags = .historical
      reading.time = at(received - Int64(random.below(7_200_000)))
    case 59...65:
      reading.flags = .receiveTimed
      reading.time = at(received)
    case 66...80: reading.status = Self.statuses[random.below(Self.statuses.count)]
    case 81...84: reading.value = .nan
    default: break
    }
    last[place] = reading.time.milliseconds
    sent.append(reading)
    if sent.count > 3 { sent.removeFirst() }
    return reading
  }

  private func at(_ time: Int64) -> Timestamp { Timestamp(milliseconds: time) }
}
