public import DeviceCatalog
import GRDB
public import Journal
import PayloadDecoding
public import Telemetry

/// Takes readings out of a station's files, beside the running station or without it.
public enum ReadingExport {
  /// Which readings.
  public struct Choice: Sendable {
    /// Points by path.
    public var points: PointPattern
    /// Begin of the event times.
    public var from: Timestamp
    /// Their end, exclusive.
    public var to: Timestamp

    /// Makes a choice.
    public init(points: PointPattern, from: Timestamp, to: Timestamp) {
      self.points = points
      self.from = from
      self.to = to
    }
  }

  /// Decodes a recording's messages again and hands over the readings that are chosen, in the order in which they came.
  ///
  /// Messages that were received ten minutes before the begin to six hours after the end are looked at. What a format can
  /// tell only from earlier messages (a Sparkplug birth) is missing when these lie before.
  ///
  /// - Parameters:
  ///   - recording: the journal.
  ///   - catalog: says what the messages mean.
  ///   - choice: which.
  ///   - body: takes a reading; its number is the place in the export.
  /// - Returns: how many.
  /// - Throws: what the journal throws, and what `body` does.
  public static func readings(
    of recording: Recording,
    catalog: Catalog,
    _ choice: Choice,
    _ body: (RelayBatch.Reading) throws -> Void
  ) throws -> Int64 {
    let first = choice.from.milliseconds - JournalReadings.earliness
    let last = choice.to.milliseconds + JournalReadings.lateness
    guard let range = recording.sequences(received: first..<last) else { return 0 }
    let isWanted = catalog.channels.map { choice.points.matches($0.path) }
    var decoder = Decoder(plan: catalog.decodingPlan)
    var readings = ReadingBatch()
    var notes: [DecodingNote] = []
    var cursor = recording.cursor(from: range.lowerBound, through: range.upperBound)
    var batch = JournalBatch()
    var count: Int64 = 0
    while let first = try cursor.next(into: &batch) {
      for index in 0..<batch.count where batch.records[index].kind == .message {
        let input = batch.input(at: index)
        readings.reset(
          received: Timestamp(milliseconds: input.received),
          baseSequence: first + UInt64(index)
        )
        notes.removeAll(keepingCapacity: true)
        decoder.decode(
          topic: input.topic,
          payload: input.payload,
          sequence: first + UInt64(index),
          received: Timestamp(milliseconds: input.received),
          into: &readings,
          notes: &notes
        )
        for row in 0..<readings.count {
          let reading = readings.reading(at: row)
          let channel = Int(reading.channel.rawValue)
          guard isWanted[channel], reading.time >= choice.from, reading.time < choice.to else {
            continue
          }
          count += 1
          let hasValue = reading.value.isFinite && reading.status.use != .noValue
          try body(
            RelayBatch.Reading(
              number: count,
              point: catalog.channels[channel].path,
              unit: catalog.channels[channel].unit,
              time: reading.time,
              value: hasValue ? reading.value : nil,
              status: reading.status
            )
          )
        }
      }
    }
    return count
  }

  /// Hands over the minutes that are chosen, point by point, oldest first; those still in a running station's memory are
  /// not among them.
  ///
  /// - Returns: how many.
  /// - Throws: what SQLite says, and what `body` does.
  public static func minutes(
    path: String,
    _ choice: Choice,
    _ body: (_ point: String, MinuteReduction) throws -> Void
  ) throws -> Int64 {
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(10)
    let file = try DatabaseQueue(path: path, configuration: configuration)
    defer { try? file.close() }
    return try file.read { db in
      var count: Int64 = 0
      let points = try Row.fetchAll(db, sql: "SELECT id, path FROM point ORDER BY path")
      for point in points where choice.points.matches(point[1]) {
        let rows = try Row.fetchCursor(
          db,
          sql:
            "SELECT * FROM minute WHERE point = ? AND minute >= ? AND minute < ? ORDER BY minute",
          arguments: [point[0] as Int64, choice.from.milliseconds, choice.to.milliseconds]
        )
        while let row = try rows.next() {
          try body(point[1], MinuteReduction(row: row))
          count += 1
        }
      }
      return count
    }
  }
}
