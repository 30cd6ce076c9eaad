import AlarmEngine
import DeviceCatalog
import Journal
import PayloadDecoding
import Telemetry

/// A reading as the journal holds it, with the message that brought it.
public struct RecordedReading: Hashable, Sendable {
  /// The reading.
  public var reading: LatestReading
  /// Journal sequence of the message.
  public var sequence: UInt64
  /// MQTT topic of the message.
  public var topic: String

  /// Makes one.
  public init(reading: LatestReading, sequence: UInt64, topic: String) {
    self.reading = reading
    self.sequence = sequence
    self.topic = topic
  }
}

/// Finds a channel's readings in the journal by decoding again what came in.
///
/// It reads beside the stages and touches none of their state. Messages of other gateways are passed over by their
/// topic. What a format can tell only from earlier messages (a Sparkplug birth, the first parts of an HJ 212 packet)
/// is missing when those lie before the part that is read.
struct JournalReadings {
  /// The most records that one question may look at.
  static let maximumRecords: UInt64 = 4_000_000
  /// How much earlier than its reading's event time a message may have been received: clocks differ.
  static let earliness: Int64 = 10 * 60_000
  /// How much later than its reading's event time a message may have been received: gateways send after a lost link.
  static let lateness: Int64 = 6 * 3_600_000

  private let journal: any JournalStore
  private let catalog: Catalog

  init(journal: any JournalStore, catalog: Catalog) {
    self.journal = journal
    self.catalog = catalog
  }

  /// Whether a channel belongs to a replay source, whose event times say nothing about when its messages came.
  func isReplay(_ channel: Int) -> Bool { catalog.laneOfChannels[channel] >= 0 }

  /// Readings of a channel with event times in a range, as they came.
  ///
  /// - Throws: ``TrendError/unreadable(_:)`` when the journal fails or the range needs more records than allowed.
  func readings(channel: Int, from: Timestamp, to: Timestamp) throws(TrendError)
    -> [RecordedReading]
  {
    let last = journal.lastSequence
    guard last > 0, from < to else { return [] }
    var range = 1...last
    if let contents = (journal as? SegmentJournal)?.contents {
      range = max(1, contents.firstSequence)...last
      if !isReplay(channel) {
        let received = (from.milliseconds - Self.earliness)..<(to.milliseconds + Self.lateness)
        guard let found = contents.sequences(received: received) else { return [] }
        range = found
      }
    }
    guard UInt64(range.count) <= Self.maximumRecords else {
      throw .unreadable(
        "this time holds \(range.count) messages, more than the \(Self.maximumRecords) that are read for a trend: "
          + "ask for a shorter time"
      )
    }
    var found: [RecordedReading] = []
    try read(range, channel: channel) { reading in
      if reading.reading.time >= from, reading.reading.time < to { found.append(reading) }
    }
    return found
  }

  /// The newest readings of a channel up to a journal sequence, oldest first, at most `limit`.
  ///
  /// Looks back at most 256 thousand records.
  func readings(channel: Int, through sequence: UInt64, limit: Int) throws(TrendError)
    -> [RecordedReading]
  {
    let end = min(sequence, journal.lastSequence)
    guard end > 0 else { return [] }
    var reach: UInt64 = 1_000
    while true {
      let start = end > reach ? end - reach + 1 : 1
      var found: [RecordedReading] = []
      try read(start...end, channel: channel) { found.append($0) }
      if found.count >= limit || start == 1 || reach >= 256_000 { return found.suffix(limit) }
      reach *= 16
    }
  }

  /// Every reading of the newest `records` records, as they came: what a station that starts shows until more comes.
  func newest(records: UInt64, _ body: (Int, LatestReading) -> Void) throws(TrendError) {
    let last = journal.lastSequence
    guard last > 0 else { return }
    let first = last > records ? last - records + 1 : 1
    try decode(first...last, where: { _ in true }) { channel, reading in
      body(channel, reading.reading)
    }
  }

  private func read(
    _ range: ClosedRange<UInt64>,
    channel: Int,
    _ body: (RecordedReading) -> Void
  ) throws(TrendError) {
    let device = catalog.devices[Int(catalog.enginePlan.channels[channel].device)]
    let owner = "\(catalog.channels[channel].enterprise)/\(device.gateway)"
    try decode(range, where: { $0 == owner }) { found, reading in
      if found == channel { body(reading) }
    }
  }

  /// Decodes the messages of a range whose `enterprise/gateway` is asked for.
  private func decode(
    _ range: ClosedRange<UInt64>,
    where isWanted: (String?) -> Bool,
    _ body: (Int, RecordedReading) -> Void
  ) throws(TrendError) {
    let replays = Set(catalog.replaySources)
    var decoder = Decoder(plan: catalog.decodingPlan)
    let retained = RetainedReadings(of: catalog)
    var topics: [[UInt8]: (isWanted: Bool, isReplay: Bool, text: String)] = [:]
    var readings = ReadingBatch()
    var notes: [DecodingNote] = []
    // The newest value of each channel that counts, for what comes retained behind it.
    var newest: [UInt32: Double] = [:]
    try visit(range) { sequence, input in
      guard input.kind == .message else { return }
      let topic: (isWanted: Bool, isReplay: Bool, text: String)
      if let known = topics[input.topic] {
        topic = known
      } else {
        let owner = catalog.owner(ofTopic: input.topic)
        topic = (
          isWanted(owner), owner.map(replays.contains) ?? false,
          String(decoding: input.topic, as: UTF8.self)
        )
        topics[input.topic] = topic
      }
      guard topic.isWanted else { return }
      var received = Timestamp(milliseconds: input.received)
      var isRetained = input.retain
      if topic.isReplay,
        let text = input.properties.first(where: { $0.0 == StationCore.receivedProperty })?.1,
        let recorded = Int64(text)
      {
        received = Timestamp(milliseconds: recorded)
        isRetained = false
      }
      readings.reset(received: received, baseSequence: sequence)
      notes.removeAll(keepingCapacity: true)
      decoder.decode(
        topic: input.topic,
        payload: input.payload,
        sequence: sequence,
        received: received,
        into: &readings,
        notes: &notes
      )
      for row in 0..<readings.count {
        let reading = readings.reading(at: row)
        // What has counted for an alarm belongs to it; what has been refused is no reading.
        if RetainedReadings.isOfUnknownAge(reading.flags, isRetained: isRetained),
          !retained.counts(reading, after: newest[reading.channel.rawValue])
        {
          continue
        }
        if reading.status.use == .evaluate, reading.value.isFinite {
          newest[reading.channel.rawValue] = reading.value
        }
        body(
          Int(readings.channel[row]),
          RecordedReading(
            reading: LatestReading(
              time: reading.time,
              received: received,
              value: reading.value,
              status: reading.status
            ),
            sequence: sequence,
            topic: topic.text
          )
        )
      }
    }
  }

  private func visit(
    _ range: ClosedRange<UInt64>,
    _ body: (UInt64, JournalInput) -> Void
  ) throws(TrendError) {
    do {
      guard let contents = (journal as? SegmentJournal)?.contents else {
        for record in try journal.read(from: range.lowerBound, limit: range.count)
        where range.contains(record.sequence) { body(record.sequence, record.input) }
        return
      }
      var cursor = contents.cursor(from: range.lowerBound, through: range.upperBound)
      var batch = JournalBatch()
      while let first = try cursor.next(into: &batch) {
        for index in 0..<batch.count where range.contains(first + UInt64(index)) {
          body(first + UInt64(index), batch.input(at: index))
        }
      }
    } catch {
      throw .unreadable("\(error)")
    }
  }
}
