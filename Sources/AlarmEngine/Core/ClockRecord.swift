/// What the clock guard keeps of every device beside the lag in its ``DeviceRecord``: the least lags of three epochs,
/// from which the drift is taken; off the hot path.
///
/// Lags in milliseconds and epochs of ten minutes as 32 bits; a lag beyond 24 days is no clock to measure.
struct DriftRecord: BitwiseCopyable, Hashable {
  /// Least lag of an epoch one to two days ago, from which the drift is taken, and which epoch it was.
  var anchorLow: Int32 = .max
  var anchorEpoch: Int32 = .min
  /// What the anchor will be next.
  var nextLow: Int32 = .max
  var nextEpoch: Int32 = .min
  /// The newest epoch that has ended with a reading.
  var closedLow: Int32 = .max
  var closedEpoch: Int32 = .min

  /// Epochs of ten minutes in half a day.
  private static let halfDay: Int32 = 72

  /// An epoch has ended whose least lag was `low`.
  mutating func close(epoch: Int32, low: Int64) {
    guard let low = Int32(exactly: low), low != .max else {
      self = DriftRecord()
      return
    }
    if anchorLow == .max {
      anchorLow = low
      anchorEpoch = epoch
      nextLow = low
      nextEpoch = epoch
    } else if Int64(epoch) - Int64(nextEpoch) >= 2 * Int64(Self.halfDay) {
      anchorLow = nextLow
      anchorEpoch = nextEpoch
      nextLow = low
      nextEpoch = epoch
    }
    closedLow = low
    closedEpoch = epoch
  }

  /// How fast the clock gains on the server's, parts per million; nil before an hour has been seen.
  var partsPerMillion: Double? {
    guard anchorLow != .max, closedLow != .max, Int64(closedEpoch) - Int64(anchorEpoch) >= 6 else {
      return nil
    }
    let gained = Double(anchorLow) - Double(closedLow)
    let passed = (Double(closedEpoch) - Double(anchorEpoch)) * Double(Engine.epochMilliseconds)
    return gained / passed * 1e6
  }
}

/// Readings of a device one after the other, by which the clock guard tells what its clock does.
///
/// Of the readings that come together the youngest tells of the clock, the others of how long they have waited for it: a lag is
/// that of a message.
struct ClockStreak: Hashable, Sendable {
  /// Engine time of its first reading.
  var start: Int64 = noTime
  /// Least lag in it.
  var low: Int64 = never
  /// Greatest lag of a message in it, but for the newest; when that came, and its lag so far.
  var high: Int64 = -never
  var newest: Int64 = noTime
  var newestLag: Int64 = never
  /// Least and greatest event time in it.
  var earliest: Int64 = never
  var latest: Int64 = -never
  /// Readings in it.
  var count: UInt32 = 0

  /// Adds a reading with this lag.
  mutating func lengthen(lag: Int64, at now: Int64) {
    if count == 0 {
      start = now
    } else if now != newest {
      high = max(high, newestLag)
      newestLag = never
    }
    count &+= count == .max ? 0 : 1
    newest = now
    newestLag = min(newestLag, lag)
    low = min(low, lag)
    earliest = min(earliest, now - lag)
    latest = max(latest, now - lag)
  }

  /// Adds a reading with this lag, or begins anew after it where it is further from the right time than `greatest`.
  mutating func lengthen(lag: Int64, within greatest: Int64, at now: Int64) {
    if lag.magnitude <= UInt64(greatest) {
      lengthen(lag: lag, at: now)
    } else {
      self = ClockStreak()
    }
  }

  /// Adds a reading with this lag; begins anew with it where it and those before can be neither of one clock that goes nor of
  /// one that stands still, both taken to `tolerance`. (One odd reading would else hide for long what the clock does after it.)
  mutating func lengthen(lag: Int64, tolerance: Int64, at now: Int64) {
    var longer = self
    longer.lengthen(lag: lag, at: now)
    let slack = max(tolerance, (now - longer.start) / 8)
    // (The newest message may have only begun: its oldest readings say how long they have waited.)
    if longer.high - longer.low > slack, longer.latest - longer.earliest > slack {
      longer = ClockStreak()
      longer.lengthen(lag: lag, at: now)
    }
    self = longer
  }

  /// It has lasted so long, and readings enough.
  func hasLasted(_ milliseconds: Int64, at now: Int64) -> Bool {
    count >= ClockGuard.streakReadings && now - start >= milliseconds
  }

  /// Greatest lag of a message in it.
  var greatest: Int64 { max(high, newestLag) }

  /// How far the lags of messages lie apart.
  var spread: Int64 { greatest - low }

  /// Its event times go on as receive time does.
  func keepsPace(at now: Int64) -> Bool { spread <= (now - start) / 8 }

  /// Its event times do not go on.
  func standsStill(at now: Int64) -> Bool {
    latest - earliest <= (now - start) / 8
  }
}

/// The message that readings of devices in quarantine are taken from.
///
/// It lasts for no longer than its readings are judged, so no snapshot has it.
struct QuarantinedMessage: Sendable {
  /// Its journal sequence and receive time.
  var sequence: UInt64 = 0
  var received: Int64 = noTime
  /// The youngest stamp of each device in it, by device row.
  var youngest: [Int: Int64] = [:]
  /// The newest time of each device before it, as far as that has been asked for.
  var before: [Int: Int64] = [:]
}

/// A reading whose stamp lay ahead of its device's time.
struct Leap: Hashable, Sendable {
  var stamp: Int64
  var value: Double
  /// Journal sequence of its message; not kept across snapshots, which no message is in the middle of.
  var sequence: UInt64 = .max
}

/// A channel of which all that comes is late.
struct Blindness: Hashable, Sendable {
  /// Engine time since which it has not caught up, and the event time that it had come to then.
  var since: Int64
  var reached: Int64
  /// Engine time of its first late reading, event time of its newest.
  let start: Int64
  var newest: Int64
  /// Late readings.
  var count: UInt32 = 0
  /// Their event times have gone back: it has never caught up.
  var goesBack = false

  /// Begins with a late reading, which is still to be noted.
  init(start: Int64, stamp: Int64) {
    self.start = start
    since = start
    reached = stamp
    newest = stamp
  }

  /// Adds a late reading.
  mutating func note(_ stamp: Int64, at now: Int64) {
    count &+= count == .max ? 0 : 1
    if stamp < newest { goesBack = true }
    newest = stamp
    let gained = stamp - reached - (now - since)
    guard gained > 0, gained >= (now - since) / 8 else { return }
    reached = stamp
    since = now
  }

  /// It has lasted too long.
  func hasLasted(at now: Int64) -> Bool {
    count >= ClockGuard.streakReadings
      && now - (goesBack ? start : since) >= ClockGuard.longestBlindness
  }
}

/// What the clock guard remembers of a device whose readings are out of line, or have been: few have any.
struct ClockTrouble: Hashable, Sendable {
  /// Readings out of line; in quarantine those near the right time.
  var streak = ClockStreak()
  /// In quarantine, readings that are no further from the right time than the tolerance.
  var tolerable = ClockStreak()
  /// Those of the streak lie ahead of the time that is known to be right.
  var hasLeaps = false
  /// Clock faults found.
  var faults: UInt32 = 0
  /// Times that the clock was set by less than the tolerance and followed.
  var steps: UInt32 = 0
  /// Added to event time for the detectors of the bank, so that their time does not jump with the clock.
  var bankShift: Int64 = 0
}

/// What is known of a device's clock.
public struct DeviceClock: Hashable, Sendable {
  /// Device time less receive time, milliseconds: least transport delay included; nil before a reading told.
  public var skewMilliseconds: Int64?
  /// How fast the clock gains, parts per million; nil before an hour has been seen.
  public var driftPartsPerMillion: Double?
  /// The largest distance from receive time that is no fault, milliseconds; nil where the guard is off.
  public var toleranceMilliseconds: Int64?
  /// The device's time is not used; its rules run on receive time.
  public var isQuarantined: Bool
  /// Clock faults found so far.
  public var faults: UInt32
  /// Times that the clock was set, back or ahead, by less than the tolerance.
  public var steps: UInt32
}
