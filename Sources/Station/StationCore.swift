import AlarmEngine
public import DeviceCatalog
import HazardLedger
public import Journal
import PayloadDecoding
public import Telemetry

/// The deterministic heart of a station: journal records in, ledger drafts out.
///
/// Live service, replay and simulation run this one type, so they cannot differ. It sees no clock,
/// no network and no disk; what it puts out depends on the records' order and contents alone, not on
/// how they are cut into calls of ``process(_:firstSequence:)``.
///
/// The way of a reading is told here: decoder, engine (``Lanes``), drafts, desks (``Desks``). What people do, how
/// catalogs change, what edges see and the snapshot stand in files beside it.
///
/// Not `Sendable`: one thread owns it.
public final class StationCore {
  /// The MQTT user property with which a replay source sends the recorded receive time, in milliseconds
  /// since the Unix epoch.
  public static let receivedProperty = "davy-received"
  /// The topic of a tick that begins a catch-up: the link was down, and what comes first is what waited meanwhile.
  static let catchUpTopic = Array("catch-up".utf8)
  /// The journal property under which a message that was cut because it exceeds the size limit keeps its true
  /// length.
  static let cutProperty = "davy-cut-from"
  /// The journal property that keeps a message's MQTT 5 response topic.
  static let responseTopicProperty = "davy-response-topic"
  /// The journal property that keeps a message's MQTT 5 correlation data, base64.
  static let correlationProperty = "davy-correlation"

  /// The catalog in force; nil until the first catalog record.
  public internal(set) var catalog: Catalog?
  /// Sequence of the newest record processed.
  public internal(set) var position: UInt64 = 0
  /// Messages decoded since this core was made.
  public private(set) var messageCount: UInt64 = 0
  /// Readings evaluated since this core was made.
  public private(set) var readingCount: UInt64 = 0

  /// Set from a catch-up tick to the next ordinary one: messages are backlog and fire no deadlines.
  var isCatchingUp = false
  var decoder = Decoder(plan: DecodingPlan())
  let lanes: Lanes
  /// What lives on the same inputs beside the engine.
  let desks = Desks()
  var inhibitions = Inhibitions()
  private var rejects = RejectBook()
  /// Reused from call to call.
  private var room = ReadingBatch()
  private var notes: [DecodingNote] = []
  /// Room for the readings of the next output.
  private var emptied: [CoreOutput.ChannelReading] = []
  /// What counts of retained readings under the catalog in force; made when first asked for.
  private var retained: RetainedReadings?
  /// Alarm steps of the record at hand, until they are drafts.
  var transitions: [Transition] = []

  /// Makes a core that has seen nothing; its first record has sequence 1 and is a catalog.
  ///
  /// - Parameter shards: over how many engines the devices of a lane are spread.
  public init(shards: EngineShards = .one) {
    lanes = Lanes(shards: shards)
  }

  /// Engine time at which something falls due without any further message.
  public var nextDeadline: Timestamp? {
    [lanes.nextDeadline, decoder.nextDeadline, desks.nextDeadline].compactMap { $0 }.min()
  }

  /// What the desks have to take up again after a restart.
  var resumptions: [DeskInput] { desks.resumptions }

  /// The rules that the desks go by.
  var level: RulesLevel { desks.hazards.level }

  /// Works through the inputs in order and returns what follows from them.
  ///
  /// - Precondition: `firstSequence` follows on ``position``.
  public func process(_ inputs: JournalBatch, firstSequence: UInt64) -> CoreOutput {
    precondition(firstSequence == position + 1, "journal records must be dense and in order")
    var output = CoreOutput(position: position)
    swap(&output.latest, &emptied)
    // Taken out for the call: handed on from where it lies, a batch would be copied for every message.
    var batch = ReadingBatch()
    swap(&batch, &room)
    defer { swap(&batch, &room) }
    for index in 0..<inputs.count {
      position += 1
      switch inputs.records[index].kind {
      case .message: processMessage(inputs, index, &batch, into: &output)
      case .tick: processTick(record(inputs, index), into: &output)
      case .command, .register, .external: processAct(record(inputs, index), into: &output)
      case .catalog: processCatalog(record(inputs, index), into: &output)
      }
      if output.hasNewsOfDesks { desks.spread(record(inputs, index), into: &output) }
    }
    output.position = position
    // One line of a kind, also where a desk has some of its own.
    output.rejects =
      output.rejects.isEmpty ? rejects.take() : RejectTally.merged(output.rejects + rejects.take())
    return output
  }

  /// Takes back the readings of an output that nobody will ask for again: the next one uses their memory.
  func reuse(_ output: inout CoreOutput) {
    emptied = []
    swap(&output.latest, &emptied)
    if emptied.capacity > Self.reusedReadings {
      emptied = []
    } else {
      emptied.removeAll(keepingCapacity: true)
    }
  }

  /// Readings whose memory is kept at most; more come from a burst that is an exception.
  private static let reusedReadings = 100_000

  /// Passes over inputs that the journal has lost, up to `sequence`, and says so in the ledger.
  ///
  /// - Parameters:
  ///   - sequence: the last one lost.
  ///   - received: receive time of the newest input before the gap, milliseconds since the Unix epoch.
  /// - Returns: the entry that tells of it.
  public func passGap(through sequence: UInt64, received: Int64) -> CoreOutput {
    precondition(sequence > position, "a gap lies ahead")
    var output = CoreOutput(position: sequence)
    let record = JournalRecord(
      sequence: sequence,
      input: JournalInput(kind: .tick, received: max(received, 0))
    )
    output.drafts.append(
      EventDraft.journalGap(
        GapDesk.Unseen.Gap(after: position, through: sequence),
        record: record
      )
    )
    // Of what was before nothing is known, and the ledger may have all of it.
    if position == 0 { desks.hazards.number(beyond: sequence) }
    position = sequence
    return output
  }

  /// The input at `index`, which is the one at ``position``, as a value of its own.
  private func record(_ inputs: borrowing JournalBatch, _ index: Int) -> JournalRecord {
    JournalRecord(sequence: position, input: inputs.input(at: index))
  }

  // MARK: - Messages

  private func processMessage(
    _ inputs: borrowing JournalBatch,
    _ index: Int,
    _ batch: inout ReadingBatch,
    into output: inout CoreOutput
  ) {
    messageCount += 1
    let header = inputs.records[index]
    let bytes = inputs.bytes.span
    let properties = header.encodedProperties.isEmpty ? [] : inputs.properties(at: index)
    if let cut = properties.first(where: { $0.0 == Self.cutProperty }) {
      rejects.add(
        reason: RejectReason.oversize.rawValue,
        device: "",
        detail: "\(cut.1) bytes, of which \(header.payload.count) were kept",
        count: 1,
        record: record(inputs, index)
      )
      return
    }
    if let desk = desks.claiming(topic: bytes.extracting(header.topic)) {
      desk.receive(record(inputs, index), into: &output)
      return
    }
    let recorded = lanes.recordedReceiveTime(
      topic: bytes.extracting(header.topic),
      properties,
      owner: { catalog?.owner(ofTopic: $0) }
    )
    let evaluated = recorded ?? Timestamp(milliseconds: header.received)
    batch.reset(received: evaluated, baseSequence: position)
    notes.removeAll(keepingCapacity: true)
    decoder.decode(
      topic: bytes.extracting(header.topic),
      payload: bytes.extracting(header.payload),
      sequence: position,
      received: evaluated,
      into: &batch,
      notes: &notes
    )
    if !notes.isEmpty { takeNotes(of: record(inputs, index), into: &output) }
    if level < .areas { refuseByOlderRules(&batch, of: inputs, index) }
    if header.retain, recorded == nil, level >= .areas {
      refuseRetained(&batch, of: record(inputs, index))
    }
    guard !batch.isEmpty else { return }
    // Gateways that pack list a minute of one point, then one of the next: together they are one story.
    if level >= .areas { batch.sortByTime() }
    readingCount += UInt64(batch.count)
    output.latest.append(addingCapacity: batch.count) { latest in
      for row in 0..<batch.count {
        let reading = batch.reading(at: row)
        latest.append(
          CoreOutput.ChannelReading(
            channel: Int(reading.channel.rawValue),
            reading: LatestReading(
              time: reading.time,
              received: evaluated,
              value: reading.value,
              status: reading.status
            )
          )
        )
      }
    }
    transitions.removeAll(keepingCapacity: true)
    lanes.apply(&batch, isBacklog: isCatchingUp, into: &transitions)
    if !transitions.isEmpty { appendDrafts(of: record(inputs, index), to: &output) }
    desks.observe(
      batch,
      sequence: position,
      received: Timestamp(milliseconds: header.received),
      into: &output
    )
  }

  /// Refuses what was no reading by older rules: what has no number, and what is from before 2000.
  private func refuseByOlderRules(
    _ batch: inout ReadingBatch,
    of inputs: borrowing JournalBatch,
    _ index: Int
  ) {
    let readings = (0..<batch.count).map { batch.reading(at: $0) }
    guard let catalog, readings.contains(where: { Self.olderReason(against: $0) != nil }) else {
      return
    }
    batch.truncate(to: 0)
    for reading in readings {
      guard let reason = Self.olderReason(against: reading) else {
        batch.append(reading, sequence: position)
        continue
      }
      let channel = catalog.channels[Int(reading.channel.rawValue)]
      rejects.add(
        reason: reason.rawValue,
        device: channel.device,
        detail: "\(channel.point) \(reading.value) \(reading.time.milliseconds) ms since 1970",
        count: 1,
        record: record(inputs, index)
      )
    }
  }

  /// Why older rules take a reading for none; nil where they do not.
  private static func olderReason(against reading: Reading) -> RejectReason? {
    if !reading.value.isFinite { return .missingField }
    return reading.time.milliseconds < olderEarliest ? .timeOutOfRange : nil
  }

  /// The beginning of 2000, milliseconds since the Unix epoch.
  private static let olderEarliest: Int64 = 946_684_800_000

  /// Leaves of a retained message's readings those that count (``RetainedReadings``).
  private func refuseRetained(_ batch: inout ReadingBatch, of record: JournalRecord) {
    guard let catalog, !batch.isEmpty else { return }
    if retained?.version != catalog.version { retained = nil }
    let rule = retained ?? RetainedReadings(of: catalog)
    retained = rule
    let readings = (0..<batch.count).map { batch.reading(at: $0) }
    var kept = ReadingBatch(received: batch.received, baseSequence: batch.baseSequence)
    var refused: [(channel: ChannelDescription, value: Double)] = []
    for reading in readings {
      if !RetainedReadings.isOfUnknownAge(reading.flags, isRetained: record.input.retain)
        || rule.counts(reading, isActive: { lanes.isActive($0, on: reading.channel) })
      {
        kept.append(reading, sequence: record.sequence)
      } else {
        refused.append((catalog.channels[Int(reading.channel.rawValue)], reading.value))
      }
    }
    guard !refused.isEmpty else { return }
    for (channel, value) in refused {
      rejects.add(
        reason: RejectReason.retainedUntimed.rawValue,
        device: channel.device,
        detail: "\(channel.point) \(value): retained by the broker since when is not known",
        count: 1,
        record: record
      )
    }
    batch = kept
  }

  /// Takes what decoding a message left beside its readings; statuses that no table explains together.
  private func takeNotes(of record: JournalRecord, into output: inout CoreOutput) {
    var unmapped = UnmappedStatuses()
    for (row, note) in notes.enumerated() {
      guard case .event(var event) = note else {
        take(note, of: record, into: &output)
        continue
      }
      if level >= .areas {
        if event.kind == .unmappedStatus {
          unmapped.add(event)
          continue
        }
      } else {
        // By the older rules each of a message's first events is an entry, and the others are not told.
        if row >= Self.olderEventLimit { continue }
        event.count = 1
      }
      take(.event(event), of: record, into: &output)
    }
    for line in unmapped.lines {
      output.drafts.append(EventDraft.unmappedStatus(line, record: record))
      rejects.add(
        reason: RejectReason.unmappedStatus.rawValue,
        device: line.device,
        detail: "\(line.points.joined(separator: ", ")) \(line.found)",
        count: line.count,
        record: record
      )
    }
  }

  /// Notes of a message behind which the older rules told no event.
  private static let olderEventLimit = 64

  private func take(
    _ note: DecodingNote,
    of record: JournalRecord,
    into output: inout CoreOutput
  ) {
    switch note {
    case .reject(let reject):
      rejects.add(reject, record: record)
    case .event(let event):
      output.drafts.append(EventDraft.decoding(event, record: record))
    case .publish(let message):
      output.replies.append(message)
    case .stale(let channels, let at):
      output.drafts.append(
        EventDraft.sourceDeath(
          channels: channels,
          at: at,
          record: record,
          catalog: catalog
        )
      )
    }
  }

  // MARK: - Ticks

  private func processTick(_ record: JournalRecord, into output: inout CoreOutput) {
    isCatchingUp = record.input.topic == Self.catchUpTopic
    guard !isCatchingUp else { return }
    let now = Timestamp(milliseconds: record.input.received)
    notes.removeAll(keepingCapacity: true)
    decoder.advance(to: now, notes: &notes)
    for note in notes { take(note, of: record, into: &output) }
    transitions.removeAll(keepingCapacity: true)
    lanes.advance(to: now, into: &transitions)
    appendDrafts(of: record, to: &output)
    desks.advance(record, into: &output)
  }

  // MARK: - Drafts

  /// Drafts an entry for each of the ``transitions``, which `act` may have brought about, and shows it to flood control
  /// and the desks.
  func appendDrafts(
    of record: JournalRecord,
    by act: OperatorAct? = nil,
    to output: inout CoreOutput
  ) {
    guard !transitions.isEmpty, let catalog else { return }
    for transition in transitions {
      var body = AlarmDraft.body(transition, act: act, catalog: catalog, record: record)
      if transition.evidence != nil, level >= .areas {
        body.evidence = AlarmDraft.evidence(of: transition, in: catalog)
      }
      if lanes.isLive(transition.channel) {
        body.flood = desks.flood.take(body, record: record, into: &output)
      }
      inhibitions.note(transition, until: act?.until)
      output.drafts.append(LedgerDraft(alarm: body, time: transition.time, origin: record.sequence))
      desks.follow(body, of: record, into: &output)
    }
  }
}
