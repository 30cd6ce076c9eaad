import AlarmEngine
import Telemetry

/// What becomes of a reading.
enum ReadingFate: Hashable {
  /// Its rules see it, at this time.
  case judged(at: Int64)
  /// It is older than what its channel has been judged at.
  case late
  /// It says again what was said.
  case duplicate
  /// Back-filled by the gateway.
  case historical
}

/// The clock guard and the order of a device's readings, as the documentation of the engine says them.
///
/// Nothing here remembers a lag, a streak or a newest time: all that a device has sent is kept, and looked back over.
///
/// With a reorder allowance a reading is held back until the watermark has passed its time: engine time less ``offset``. What is
/// held back when the time base changes is judged before, in order and by the old base. The clock is held against each reading
/// as it comes, by what has been judged until then.
///
/// A delay spans a change of the time base when it began before it and ends after it. Its beginning moves by the shift that all
/// times move by, and so by as much as ``offset`` moves the other way: the engine time at which it runs out stays what it was, and
/// what the clock shows then is of the new base. It is not cut off where newest times are, at the end of the old base, for it has
/// run for as long as it has. An alarm that stands keeps its onset, one that the delay ends in has the moved beginning as its onset.
struct ClockDefinition {
  /// What a reading says of the clock.
  enum Witness {
    /// Nothing: it has no stamp of its own, is a duplicate, came with a backlog, or is the one by which the time base changed.
    case none
    /// In order and in time: whatever streak there was is over.
    case timely
    /// Late, or with a lag above the tolerance.
    case outOfLine
    /// Ahead of all that is known of the clock.
    case leap
    /// Came while the device was in quarantine.
    case quarantined
  }

  struct Arrival {
    var reading: Reading
    var received: Int64
    /// Of the message that it came in.
    var sequence: UInt64
    var witness = Witness.none
    /// A streak begins anew with it.
    var beginsAnew = false
    /// Its stamp lay ahead of its device's clock, and was not believed.
    var isLeap = false
    /// It could be judged when it came, and said something new.
    var isSeen = false
    /// Its lag counts among those of which the least is the device's usual one.
    var counts = false
    /// Older than its channel's newest moment.
    var isLate = false
    /// Given a receive time.
    var isGiven = false
    /// Before which that is not: the device's newest time when the first of its message was given one by its stamp.
    var floor: Int64?
    /// When it was judged, and the moment that it belongs to; nil for a reading that was not judged.
    var judged: (time: Int64, moment: Int64)?

    var channel: UInt32 { reading.channel.rawValue }
    var stamp: Int64 { reading.time.milliseconds }
    var lag: Int64 { received - stamp }
    var usable: Double? {
      reading.status.use == .evaluate && reading.value.isFinite ? reading.value : nil
    }
  }

  /// A change of the time base, with the reading at `first`.
  struct Base {
    var first: Int
    var received: Int64
    /// What is added to all times from before it, of which none lies at `end` or after it then.
    var shift: Int64
    var end = Int64.max
    /// By how much earlier they may be.
    var spread: Int64 = 0
    /// The least lag that is known from here on.
    var low: Int64
    var isQuarantine: Bool
  }

  /// A reading that was decided on.
  struct Judgement {
    var arrival: Arrival
    var fate: ReadingFate
  }

  /// What a reading brings about.
  struct Decision {
    /// What was held back, judged because the time base changes.
    var released: [Judgement] = []
    /// What becomes of the reading itself; nil while it is held back.
    var own: Judgement?
  }

  /// Nil where the guard is off.
  let tolerance: Int64?
  /// How long readings are held back, milliseconds.
  let allowance: Int64
  let channels: Range<UInt32>
  private(set) var past: [Arrival] = []
  /// Those of the past that were judged, in this order.
  private var order: [Int] = []
  /// Those that are held back, and the times that they will be judged at.
  private var held: [(index: Int, time: Int64)] = []
  private var released: [Judgement] = []
  private(set) var bases: [Base] = []
  /// When clock faults began and ended, and by how many seconds the clock was ahead.
  private(set) var faults: [(isFault: Bool, time: Int64, ahead: Double)] = []
  private(set) var steps: UInt32 = 0

  init(tolerance: Int64?, allowance: Int64 = 0, channels: Range<UInt32>) {
    self.tolerance = tolerance
    self.allowance = allowance
    self.channels = channels
  }

  /// What has come since the time base changed last.
  private var sinceBase: ArraySlice<Arrival> { past[(bases.last?.first ?? 0)...] }

  var isQuarantined: Bool { bases.last?.isQuarantine ?? false }

  /// From a time by the device's clock to the engine time at which it has surely been judged.
  var offset: Int64 { (isQuarantined ? 0 : leastLag() ?? 0) + allowance }

  /// Takes in the next reading of the device, and what follows it in its message.
  mutating func take(
    _ reading: Reading,
    before rest: [Reading],
    sequence: UInt64,
    received: Int64,
    isBacklog: Bool
  ) -> Decision {
    var arrival = Arrival(reading: reading, received: received, sequence: sequence)
    guard !reading.flags.contains(.historical) else {
      return Decision(own: Judgement(arrival: arrival, fate: .historical))
    }
    guard !isLeapAgain(arrival) else {
      return Decision(own: Judgement(arrival: arrival, fate: .duplicate))
    }
    released = []
    let time =
      heldAgainstClock(&arrival, isBacklog: isBacklog) ?? receiveTime(&arrival, before: rest)
    past.append(arrival)
    let index = past.count - 1
    guard allowance == 0 || isQuarantined else {
      held.append((index, time))
      return Decision(released: released)
    }
    return Decision(released: released, own: judge(index, at: time))
  }

  // MARK: Order

  /// The time that the reading which is to be judged next will be judged at; nil when none is held back.
  var earliestHeld: Int64? { held.map { $0.time }.min() }

  /// Judges the earliest of the readings that are held back, of equal ones that which came first; nil when there is none.
  mutating func release() -> Judgement? {
    guard let time = earliestHeld, let place = held.firstIndex(where: { $0.time == time }) else {
      return nil
    }
    return judge(held.remove(at: place).index, at: time)
  }

  /// A channel's newest time, and the moment that it belongs to, by the time base of now.
  private func newest(of channel: UInt32) -> (time: Int64, moment: Int64, arrival: Arrival)? {
    guard let index = order.last(where: { past[$0].channel == channel }),
      let judged = past[index].judged
    else { return nil }
    var (time, moment) = judged
    for base in bases.reversed().prefix(while: { $0.first > index }).reversed() {
      time = min(time + base.shift, base.end - 1)
      moment = time - base.spread
    }
    return (time, moment, past[index])
  }

  /// A reading that is not newer than its channel's newest is of the same moment where its own time says so, and is judged after
  /// it; else it says again what was said, or is late.
  private mutating func judge(_ index: Int, at time: Int64) -> Judgement {
    let arrival = past[index]
    guard let newest = newest(of: arrival.channel), time <= newest.time else {
      return note(index, at: time, moment: time)
    }
    let isDuplicate = isDuplicate(arrival)
    guard
      arrival.reading.flags.contains(.receiveTimed) || time >= newest.moment && !isDuplicate
    else { return Judgement(arrival: arrival, fate: isDuplicate ? .duplicate : .late) }
    return note(index, at: newest.time + 1, moment: max(time, newest.moment))
  }

  private mutating func note(_ index: Int, at time: Int64, moment: Int64) -> Judgement {
    past[index].judged = (time, moment)
    order.append(index)
    return Judgement(arrival: past[index], fate: .judged(at: time))
  }

  /// Stamp, status and value are those of the channel's newest; where that had no value, this has none either.
  private func isDuplicate(_ arrival: Arrival) -> Bool {
    guard let newest = newest(of: arrival.channel) else { return false }
    return arrival.stamp == newest.moment
      && arrival.reading.status == newest.arrival.reading.status
      && arrival.usable == newest.arrival.usable
  }

  /// The time of a reading of a device in quarantine, after its channel's one before: the receive time for the youngest of its
  /// message, from the first on that is given one, and for the others as much less as their stamps are; but not before what the
  /// device had said then.
  private func receiveTime(_ arrival: inout Arrival, before rest: [Reading]) -> Int64 {
    let message = past.reversed().prefix {
      $0.sequence == arrival.sequence && $0.received == arrival.received
    }
    arrival.isGiven = true
    let given = message.reversed().drop { !$0.isGiven } + [arrival]
    var time = arrival.received
    if !arrival.reading.flags.contains(.receiveTimed) {
      let stamped = (given.map(\.reading) + rest).filter {
        $0.flags.isDisjoint(with: [.historical, .receiveTimed])
      }
      let youngest = stamped.map(\.time.milliseconds).max() ?? arrival.stamp
      let floor =
        given.compactMap(\.floor).first ?? channels.compactMap { newest(of: $0)?.time }.max()
        ?? .min
      arrival.floor = floor
      time = min(max(time - (youngest - arrival.stamp), floor), time)
    }
    return max(time, (newest(of: arrival.channel)?.time ?? .min / 2) + 1)
  }

  // MARK: Lag

  private static func epoch(_ received: Int64) -> Int64 {
    received.quotientRounded(down: 600_000)
  }

  /// The least lag of the two newest epochs of ten minutes that had a reading whose lag counts, since the time base changed; with
  /// a reading that is not among those of the past yet, if its lag counts.
  func leastLag(with newest: Arrival? = nil) -> Int64? {
    var least: Int64?
    var epochs: [Int64] = []
    func count(_ lag: Int64, _ received: Int64) -> Bool {
      let epoch = Self.epoch(received)
      if epochs.last != epoch { epochs.append(epoch) }
      guard epochs.count <= 2 else { return false }
      least = min(least ?? lag, lag)
      return true
    }
    if let newest, newest.counts { _ = count(newest.lag, newest.received) }
    for arrival in sinceBase.reversed() where arrival.counts {
      guard count(arrival.lag, arrival.received) else { return least }
    }
    if let base = bases.last { _ = count(base.low, base.received) }
    return least
  }

  /// Least lag of each of some readings' receive times, in the order of these.
  private static func lagsOfMessages(_ readings: [Arrival]) -> [Int64] {
    var lags: [Int64] = []
    var received: Int64?
    for arrival in readings {
      if arrival.received == received {
        lags[lags.count - 1] = min(lags[lags.count - 1], arrival.lag)
      } else {
        lags.append(arrival.lag)
      }
      received = arrival.received
    }
    return lags
  }

  private static func spread(_ values: some Collection<Int64>) -> Int64 {
    (values.max() ?? 0) - (values.min() ?? 0)
  }

  /// Receive time from the first to the last of some readings.
  private static func duration(_ readings: [Arrival]) -> Int64 {
    guard let first = readings.first, let last = readings.last else { return 0 }
    return last.received - first.received
  }

  private static func hasLasted(_ readings: [Arrival], _ milliseconds: Int64) -> Bool {
    readings.count >= 3 && duration(readings) >= milliseconds
  }

  private static func keepsPace(_ readings: [Arrival]) -> Bool {
    spread(lagsOfMessages(readings)) <= duration(readings) / 8
  }

  private static func standsStill(_ readings: [Arrival]) -> Bool {
    spread(readings.map(\.stamp)) <= duration(readings) / 8
  }

  // MARK: The guard

  /// The time that a reading is judged at by what is known of its clock; nil for the receive time.
  private mutating func heldAgainstClock(_ arrival: inout Arrival, isBacklog: Bool) -> Int64? {
    if arrival.reading.flags.contains(.receiveTimed) {
      arrival.isSeen = true
      return isQuarantined ? nil : arrival.stamp
    }
    if isQuarantined {
      arrival.counts = true
      arrival.witness = .quarantined
      if let right = endOfQuarantine(arrival) {
        tell(isFault: false, arrival)
        believe(right, from: 0, &arrival)
      }
      return isQuarantined ? nil : arrival.stamp
    }
    let newest = newest(of: arrival.channel)
    let isInOrder = newest.map { arrival.stamp > $0.time } ?? true
    arrival.isSeen =
      isInOrder || arrival.stamp >= newest?.moment ?? .min && !isDuplicate(arrival)
    guard let tolerance else {
      arrival.counts = isInOrder
      return arrival.stamp
    }
    let usual = leastLag() ?? 0
    if arrival.lag < -tolerance { return quarantine(&arrival) }
    if arrival.lag < min(0, usual) - 1000, !isNextInMessage(arrival) {
      return takeLeap(&arrival, usual: usual <= tolerance ? usual : 0, isBacklog: isBacklog)
    }
    arrival.counts = isInOrder
    if isInOrder, arrival.lag <= tolerance {
      arrival.witness = .timely
      return arrival.stamp
    }
    guard !isBacklog, !isDuplicate(arrival) else { return arrival.stamp }
    arrival.isLate = newest.map { arrival.stamp < $0.moment } ?? false
    if isBlind(arrival) { return quarantine(&arrival) }
    arrival.witness = .outOfLine
    let streak = streak(&arrival)
    guard Self.hasLasted(streak, 10_000) else { return arrival.stamp }
    if Self.standsStill(streak) || Self.keepsPace(streak) && arrival.lag > tolerance {
      return quarantine(&arrival)
    }
    if Self.keepsPace(streak) { follow(streak, from: usual, &arrival) }
    return arrival.stamp
  }

  /// The readings out of line, or the leaps, up to this one, of which none was in order and in time.
  private func streak(_ arrival: inout Arrival) -> [Arrival] {
    var streak: [Arrival] = []
    for earlier in sinceBase.reversed() where earlier.witness != .none {
      guard earlier.witness == arrival.witness else { break }
      streak.append(earlier)
      if earlier.beginsAnew { break }
    }
    streak = streak.reversed() + [arrival]
    // The lag of the newest message is not known before its youngest reading.
    let lags = Self.lagsOfMessages(streak)
    let high = lags.dropLast().max() ?? lags[0]
    let slack = max(tolerance ?? .max, Self.duration(streak) / 8)
    if high - (lags.min() ?? high) > slack, Self.spread(streak.map(\.stamp)) > slack {
      arrival.beginsAnew = true
      return [arrival]
    }
    return streak
  }

  /// A channel of which for ten minutes nothing could be judged, because all was late.
  private func isBlind(_ arrival: Arrival) -> Bool {
    guard arrival.isLate else { return false }
    var late = [arrival]
    for earlier in sinceBase.reversed() where earlier.channel == arrival.channel {
      if earlier.isSeen { break }
      if earlier.isLate { late.append(earlier) }
    }
    late.reverse()
    // As long as they catch up, and none goes back, the time is counted anew.
    var start = late[0]
    let goesBack = zip(late, late.dropFirst()).contains { $0.stamp > $1.stamp }
    for next in late where !goesBack {
      let passed = next.received - start.received
      let gained = next.stamp - start.stamp - passed
      if gained > 0, gained >= passed / 8 { start = next }
    }
    return late.count >= 3 && arrival.received - start.received >= 600_000
  }

  /// The readings by which a clock in quarantine is seen to be right; nil while it is not.
  private func endOfQuarantine(_ arrival: Arrival) -> [Arrival]? {
    for (part, duration) in [(2, 60_000), (1, 600_000)] as [(Int64, Int64)] {
      let limit = (tolerance ?? .max) / part
      guard arrival.lag.magnitude <= UInt64(limit) else { continue }
      var right = [arrival]
      for earlier in sinceBase.reversed() where earlier.witness == .quarantined {
        guard earlier.lag.magnitude <= UInt64(limit) else { break }
        right.append(earlier)
      }
      right.reverse()
      if Self.hasLasted(right, duration), Self.keepsPace(right) { return right }
    }
    return nil
  }

  /// Nothing is known of the clock any more.
  private mutating func quarantine(_ arrival: inout Arrival) -> Int64? {
    change(to: arrival.lag, by: leastLag(with: arrival) ?? 0, isQuarantine: true, &arrival)
    tell(isFault: true, arrival)
    return nil
  }

  private mutating func follow(_ streak: [Arrival], from former: Int64, _ arrival: inout Arrival) {
    if leastLag() != nil { steps += 1 }
    believe(streak, from: former, &arrival)
  }

  /// Moves times to the clock of some readings, to which none of these lags is late.
  private mutating func believe(_ streak: [Arrival], from former: Int64, _ arrival: inout Arrival) {
    let lags = Self.lagsOfMessages(streak)
    let (low, high) = (lags.min() ?? 0, max(lags.max() ?? 0, arrival.lag))
    let spread = (lags.max() ?? 0) - low
    change(to: low, by: former - low, end: arrival.received - high, spread: spread, &arrival)
  }

  private mutating func change(
    to low: Int64,
    by shift: Int64,
    end: Int64 = .max,
    spread: Int64 = 0,
    isQuarantine: Bool = false,
    _ arrival: inout Arrival
  ) {
    while let next = release() { released.append(next) }
    bases.append(
      Base(
        first: past.count,
        received: arrival.received,
        shift: shift,
        end: end,
        spread: spread,
        low: low,
        isQuarantine: isQuarantine
      )
    )
    arrival.witness = .none
    arrival.counts = false
    arrival.isLeap = false
    arrival.isLate = false
  }

  private mutating func tell(isFault: Bool, _ arrival: Arrival) {
    faults.append((isFault, arrival.received, Double(-arrival.lag) * 1e-3))
  }

  // MARK: Leaps

  private mutating func takeLeap(
    _ arrival: inout Arrival,
    usual: Int64,
    isBacklog: Bool
  ) -> Int64 {
    arrival.isLeap = true
    arrival.isSeen = true
    func earliest() -> Int64 { newest(of: arrival.channel)?.moment ?? .min }
    guard !isBacklog else { return max(arrival.received - usual, earliest()) }
    arrival.witness = .leap
    let streak = streak(&arrival)
    guard Self.hasLasted(streak, 10_000), Self.keepsPace(streak) else {
      return max(arrival.received - usual, earliest())
    }
    follow(streak, from: usual, &arrival)
    return arrival.stamp
  }

  /// Follows one of its channel in its message, where no leap was, by no more than a minute.
  private func isNextInMessage(_ arrival: Arrival) -> Bool {
    var moments = held.filter {
      past[$0.index].channel == arrival.channel && past[$0.index].sequence == arrival.sequence
    }.map { $0.time }
    if let newest = newest(of: arrival.channel), newest.arrival.sequence == arrival.sequence {
      moments.append(newest.moment)
    }
    guard let before = moments.max(), (0...60_000).contains(arrival.stamp - before) else {
      return false
    }
    for earlier in sinceBase.reversed()
    where earlier.channel == arrival.channel && earlier.isLeap {
      return earlier.sequence != arrival.sequence
    }
    return true
  }

  /// The channel's newest leap, come once more while its stamp still lies ahead.
  private func isLeapAgain(_ arrival: Arrival) -> Bool {
    guard arrival.stamp > arrival.received else { return false }
    for earlier in sinceBase.reversed()
    where earlier.channel == arrival.channel && earlier.isLeap {
      return earlier.stamp == arrival.stamp && earlier.reading.value == arrival.reading.value
    }
    return false
  }
}

extension Int64 {
  /// Division that rounds down.
  fileprivate func quotientRounded(down divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
