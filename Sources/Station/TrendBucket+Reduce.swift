import Telemetry

extension TrendBucket {
  /// Reduces readings, ascending by event time, to buckets of equal event-time width.
  ///
  /// Empty buckets are left out, so that a gap stays a gap.
  static func reduce(
    _ readings: [LatestReading],
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) -> [TrendBucket] {
    guard from < to, buckets > 0 else { return [] }
    let width = max(1, (to.milliseconds(since: from) + Int64(buckets) - 1) / Int64(buckets))
    var reduced: [TrendBucket] = []
    var current: Int64 = -1
    for reading in readings where reading.time >= from && reading.time < to {
      let bucket = reading.time.milliseconds(since: from) / width
      if bucket == current {
        reduced[reduced.count - 1].add(time: reading.time, value: reading.value)
      } else {
        current = bucket
        reduced.append(TrendBucket(time: reading.time, value: reading.value))
      }
    }
    return reduced
  }
}
