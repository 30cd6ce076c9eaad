import Telemetry

extension [LatestReading] {
  /// The readings by event time; most come in that order and are not sorted again.
  func byTime() -> [LatestReading] {
    for index in indices.dropFirst() where self[index].time < self[index - 1].time {
      return sorted { $0.time < $1.time }
    }
    return self
  }
}

extension TrendBucket {
  /// A minute as a bucket.
  init(minute: MinuteReduction) {
    self.init(time: Timestamp(milliseconds: minute.firstTime), value: minute.first)
    end = Timestamp(milliseconds: minute.lastTime)
    minimum = minute.minimum
    maximum = minute.maximum
    last = minute.last
    count = Int(minute.count)
  }

  /// A reading as a bucket; one that is no value counts as bad.
  init(reading: LatestReading) {
    let isBad = !reading.value.isFinite || reading.status.use == .noValue
    if isBad {
      self.init(badAt: reading.time)
    } else {
      self.init(time: reading.time, value: reading.value)
    }
  }

  /// Reduces readings, ascending by event time, to buckets of equal event-time width.
  ///
  /// Empty buckets are left out, so that a gap stays a gap.
  static func reduce(
    _ readings: [LatestReading],
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) -> [TrendBucket] {
    reduce(
      readings.map(TrendBucket.init(reading:)),
      from: from,
      to: to,
      buckets: buckets
    )
  }

  /// Joins buckets, ascending by event time, to wider ones of equal width; each goes where it begins.
  static func reduce(
    _ parts: [TrendBucket],
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) -> [TrendBucket] {
    guard from < to, buckets > 0 else { return [] }
    let width = max(1, (to.milliseconds(since: from) + Int64(buckets) - 1) / Int64(buckets))
    var reduced: [TrendBucket] = []
    var current: Int64 = -1
    for part in parts where part.start >= from && part.start < to {
      let bucket = part.start.milliseconds(since: from) / width
      if bucket == current {
        reduced[reduced.count - 1].join(part)
      } else {
        current = bucket
        reduced.append(part)
      }
    }
    return reduced
  }

  /// Takes in the next bucket by event time.
  private mutating func join(_ next: TrendBucket) {
    end = next.end
    bad += next.bad
    guard next.count > 0 else { return }
    guard count > 0 else {
      (minimum, maximum, first) = (next.minimum, next.maximum, next.first)
      (last, count) = (next.last, next.count)
      return
    }
    minimum = min(minimum, next.minimum)
    maximum = max(maximum, next.maximum)
    last = next.last
    count += next.count
  }
}
