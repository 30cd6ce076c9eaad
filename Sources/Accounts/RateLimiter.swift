import Synchronization

/// Token buckets, one a caller: `burst` at once, then `perSecond`.
public final class RateLimiter: Sendable {
  private struct Bucket {
    var tokens: Double
    var time: Int64
  }

  private let perSecond: Double
  private let burst: Double
  private let capacity: Int
  private let buckets: Mutex<[String: Bucket]> = Mutex([:])

  /// Makes a limiter that remembers at most `capacity` callers.
  public init(perSecond: Double, burst: Double, capacity: Int = 20_000) {
    self.perSecond = perSecond
    self.burst = burst
    self.capacity = capacity
  }

  /// Takes a token at `now` (milliseconds).
  ///
  /// - Returns: nil when it was there, else after how many milliseconds there will be one.
  public func take(_ caller: String, now: Int64) -> Int64? {
    buckets.withLock { buckets in
      if buckets.count >= capacity, buckets[caller] == nil {
        // A bucket that is full again says no more than none.
        buckets = buckets.filter { refilled($0.value, now) < burst }
        if buckets.count >= capacity { buckets.removeAll() }
      }
      var bucket = buckets[caller] ?? Bucket(tokens: burst, time: now)
      bucket.tokens = refilled(bucket, now)
      bucket.time = max(bucket.time, now)
      guard bucket.tokens >= 1 else {
        buckets[caller] = bucket
        return Int64(((1 - bucket.tokens) / perSecond * 1_000).rounded(.up))
      }
      bucket.tokens -= 1
      buckets[caller] = bucket
      return nil
    }
  }

  private func refilled(_ bucket: Bucket, _ now: Int64) -> Double {
    min(burst, bucket.tokens + Double(max(0, now - bucket.time)) / 1_000 * perSecond)
  }
}
