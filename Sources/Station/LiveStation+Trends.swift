import DeviceCatalog
public import Telemetry

/// Readings of the past: from memory, from the minutes, from the journal.
extension LiveStation {
  /// Readings of a point, reduced to at most `buckets` buckets: from memory where it reaches back far enough, else
  /// from the journal.
  public func trend(
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) async throws(TrendError) -> [TrendBucket] {
    let catalog = catalog
    guard let channel = catalog.channelRow(ofPoint: point) else {
      return try Self.foreign(stages.trends, point: point, from: from, to: to, buckets: buckets)
    }
    var (readings, covers) = stages.recentReadings(channel: channel)
    guard covers.map({ $0 > from }) ?? true else {
      return TrendBucket.reduce(readings, from: from, to: to, buckets: buckets)
    }
    // Where a bucket is a minute or wider, minutes say as much as readings do.
    let width = to.milliseconds(since: from) / Int64(max(1, buckets))
    if let trends = stages.trends, width >= MinuteReduction.length {
      return try Self.minutes(trends, readings, point: point, from: from, to: to, buckets: buckets)
    }
    let archive = JournalReadings(journal: stages.journal, catalog: catalog)
    let old = try await archiveReader.readings(
      archive,
      channel: channel,
      catalog: catalog.version,
      from: from,
      to: to,
      now: clocks.monotonic()
    )
    // What is in the journal already is not taken from memory again.
    let known = Set(old.map { ReadingKey($0.reading) })
    readings = (old.map(\.reading) + readings.filter { !known.contains(ReadingKey($0)) }).byTime()
    return TrendBucket.reduce(readings, from: from, to: to, buckets: buckets)
  }

  /// Minutes of a point that is not in the catalog: one of a station below, or one of before a change.
  private static func foreign(
    _ trends: TrendStore?,
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) throws(TrendError) -> [TrendBucket] {
    do {
      if let trends, try trends.knows(point: point) {
        return TrendBucket.reduce(
          try trends.minutes(of: point, from: from, to: to).map(TrendBucket.init(minute:)),
          from: from,
          to: to,
          buckets: buckets
        )
      }
    } catch {
      throw .unreadable("\(error)")
    }
    throw .unknownPoint(point)
  }

  /// What memory no longer holds comes from the minutes, up to the first whole minute that it does hold.
  private static func minutes(
    _ trends: TrendStore,
    _ recent: [LatestReading],
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) throws(TrendError) -> [TrendBucket] {
    // (Readings of a clock that begins at 1970 say nothing of how far back memory goes.)
    let seam = recent.first { $0.time >= from }.map { first in
      Timestamp(
        milliseconds: MinuteReduction.minute(of: first.time.milliseconds) &+ MinuteReduction.length
      )
    }
    do {
      let minutes = try trends.minutes(of: point, from: from, to: min(to, seam ?? to))
      return TrendBucket.reduce(
        minutes.map(TrendBucket.init(minute:))
          + recent.lazy.filter { reading in seam.map { reading.time >= $0 } ?? false }
          .map(TrendBucket.init(reading:)),
        from: from,
        to: to,
        buckets: buckets
      )
    } catch {
      throw .unreadable("\(error)")
    }
  }

  /// The newest readings of a point up to a journal sequence.
  public func readings(
    point: String,
    through sequence: UInt64,
    limit: Int
  ) async throws(TrendError) -> [RecordedReading] {
    let catalog = catalog
    guard let channel = catalog.channelRow(ofPoint: point) else { throw .unknownPoint(point) }
    let archive = JournalReadings(journal: stages.journal, catalog: catalog)
    return try await archiveReader.run { () throws(TrendError) in
      try archive.readings(channel: channel, through: sequence, limit: limit)
    }
  }
}

/// What tells one reading of a channel from another.
private struct ReadingKey: Hashable {
  var time: Timestamp
  var received: Timestamp
  var value: UInt64

  init(_ reading: LatestReading) {
    time = reading.time
    received = reading.received
    value = reading.value.bitPattern
  }
}
