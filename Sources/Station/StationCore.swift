public import AlarmEngine
public import DeviceCatalog
import HazardLedger
public import Journal
import PayloadDecoding
public import Telemetry

/// The deterministic heart of a station: journal records in, ledger drafts out.
///
/// Live service, replay and simulation run this one type, so they cannot differ. It sees no clock,
/// no network and no disk; what it puts out depends on the records' order and contents alone, not on
/// how they are cut into calls of ``process(_:)``.
///
/// Readings of live gateways are evaluated on one engine whose time is the receive time. A gateway
/// that the site file declares a replay source has an engine (a *lane*) of its own, whose time is
/// the receive time recorded with each message, so that data of another year, at any speed, trip
/// neither the clock guard nor staleness, and disturb nobody else's time.
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
  public private(set) var catalog: Catalog?
  /// Sequence of the newest record processed.
  public private(set) var position: UInt64 = 0
  /// Messages decoded since this core was made.
  public private(set) var messageCount: UInt64 = 0
  /// Readings evaluated since this core was made.
  public private(set) var readingCount: UInt64 = 0

  /// Set from a catch-up tick to the next ordinary one: messages are backlog and fire no deadlines.
  private var isCatchingUp = false
  private var decoder = Decoder(plan: DecodingPlan())
  private var live: Lane?
  private var replays: [Lane] = []
  /// Channel row → row in `replays`, or -1 for the live lane.
  private var laneOfChannel: [Int32] = []
  /// Whether a topic belongs to a replay source, for topics already seen.
  private var replayTopics: [[UInt8]: Bool] = [:]
  private static let rememberedTopics = 4_096
  private var rejects = RejectBook()
  private var batch = ReadingBatch()
  private var notes: [DecodingNote] = []
  private var transitions: [Transition] = []
  /// What lives on the same inputs beside the engine.
  private let flood = FloodDesk()
  private lazy var desks: [any Desk] = [
    AccountsDesk(), WeldingDesk(), HazardDesk(), RelayDesk(), flood,
  ]

  private let shards: EngineShards

  /// Makes a core that has seen nothing; its first record has sequence 1 and is a catalog.
  ///
  /// - Parameter shards: over how many engines the devices of a lane are spread.
  public init(shards: EngineShards = .one) {
    self.shards = shards
  }

  /// Engine time at which something falls due on the live lane without any further message.
  public var nextDeadline: Timestamp? {
    ([live?.nextDeadline, decoder.nextDeadline] + desks.map(\.nextDeadline))
      .compactMap { $0 }.min()
  }

  /// What the desks have to take up again after a restart.
  var resumptions: [DeskInput] { desks.compactMap(\.resumption) }

  /// The rules that the desks go by.
  var level: RulesLevel {
    desks.lazy.compactMap { ($0 as? HazardDesk)?.level }.first ?? .first
  }

  /// What others may see of the welding desk.
  public var welding: WeldingBoard? {
    desks.lazy.compactMap { ($0 as? WeldingDesk)?.board }.first
  }

  /// What others may see of duty.
  public var duty: DutyBoard? { desks.lazy.compactMap { ($0 as? HazardDesk)?.board }.first }

  /// What people have changed of the call-out channels.
  public var channels: ChannelBoard? {
    desks.lazy.compactMap { ($0 as? HazardDesk)?.channelBoard }.first
  }

  /// What others may see of the stations below this one.
  public var relay: RelayBoard? {
    desks.lazy.compactMap { ($0 as? RelayDesk)?.board }.first
  }

  /// Counters of each engine lane, live first, with the lane's name.
  public var engineCounters: [(lane: String, counters: EngineCounters)] {
    lanes.map { ($0.name, $0.engine.counters) }
  }

  /// Works through the inputs in order and returns what follows from them.
  ///
  /// - Precondition: `firstSequence` follows on ``position``.
  public func process(_ inputs: JournalBatch, firstSequence: UInt64) -> CoreOutput {
    precondition(firstSequence == position + 1, "journal records must be dense and in order")
    var output = CoreOutput(position: position)
    for index in 0..<inputs.count {
      position += 1
      switch inputs.records[index].kind {
      case .message: processMessage(inputs, index, into: &output)
      case .tick: processTick(record(inputs, index), into: &output)
      case .command, .register, .external: processAct(record(inputs, index), into: &output)
      case .catalog: processCatalog(record(inputs, index), into: &output)
      }
      if output.hasNewsOfDesks { spread(record(inputs, index), into: &output) }
    }
    output.position = position
    // One line of a kind, also where a desk has some of its own.
    output.rejects =
      output.rejects.isEmpty ? rejects.take() : RejectTally.merged(output.rejects + rejects.take())
    return output
  }

  /// Passes over inputs that the journal has lost, up to `sequence`, and says so in the ledger.
  ///
  /// - Parameters:
  ///   - sequence: the last one lost.
  ///   - received: receive time of the newest input before the gap, milliseconds since the Unix epoch.
  /// - Returns: the entry that tells of it.
  public func passGap(through sequence: UInt64, received: Int64) -> CoreOutput {
    precondition(sequence > position, "a gap lies ahead")
    var output = CoreOutput(position: sequence)
    output.drafts.append(
      EventDraft.journalGap(after: position, through: sequence, received: received)
    )
    position = sequence
    return output
  }

  /// The input at `index`, which is the one at ``position``, as a value of its own.
  private func record(_ inputs: borrowing JournalBatch, _ index: Int) -> JournalRecord {
    JournalRecord(sequence: position, input: inputs.input(at: index))
  }

  /// Counts the alarm steps that desks have drafted among a flood's, and shows every desk them, the clocks that desks
  /// want kept, and those that follow from them.
  private func spread(_ record: JournalRecord, into output: inout CoreOutput) {
    while output.hasNewsOfDesks {
      let steps = output.deskSteps
      let clocks = output.clockOrders
      output.deskSteps.removeAll(keepingCapacity: true)
      output.clockOrders.removeAll(keepingCapacity: true)
      for step in steps {
        var body = step.body
        body.flood = flood.take(body, record: record, into: &output)
        if body.flood != nil {
          let draft = output.drafts[step.draftIndex]
          output.drafts[step.draftIndex] =
            LedgerDraft(alarm: body, time: draft.time, origin: draft.origin)
        }
        for desk in desks { desk.follow(body, of: record, into: &output) }
      }
      for order in clocks {
        for desk in desks { desk.keep(order, of: record, into: &output) }
      }
    }
  }

  private var lanes: [Lane] { (live.map { [$0] } ?? []) + replays }

  // MARK: - Messages

  private func processMessage(
    _ inputs: JournalBatch,
    _ index: Int,
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
    if let desk = desks.first(where: { $0.claims(topic: bytes.extracting(header.topic)) }) {
      desk.receive(record(inputs, index), into: &output)
      return
    }
    let evaluated =
      recordedReceiveTime(topic: bytes.extracting(header.topic), properties)
      ?? Timestamp(milliseconds: header.received)
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
    if !notes.isEmpty {
      let record = record(inputs, index)
      for note in notes { take(note, of: record, into: &output) }
    }
    guard !batch.isEmpty else { return }
    readingCount += UInt64(batch.count)
    for row in 0..<batch.count {
      let reading = batch.reading(at: row)
      output.latest.append(
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
    transitions.removeAll(keepingCapacity: true)
    evaluate()
    if !transitions.isEmpty { appendDrafts(of: record(inputs, index), to: &output) }
    let received = Timestamp(milliseconds: header.received)
    for desk in desks {
      desk.observe(batch, sequence: position, received: received, into: &output)
    }
  }

  /// Hands the batch to its lane; a message whose readings belong to several lanes is split.
  private func evaluate() {
    let first = laneOfChannel[Int(batch.channel[0])]
    guard batch.channel.allSatisfy({ laneOfChannel[Int($0)] == first }) else {
      for lane in Set(batch.channel.map { laneOfChannel[Int($0)] }).sorted() {
        var part = ReadingBatch(received: batch.received, baseSequence: batch.baseSequence)
        for index in 0..<batch.count where laneOfChannel[Int(batch.channel[index])] == lane {
          part.append(batch.reading(at: index), sequence: batch.sequence(at: index))
        }
        apply(&part, lane: lane)
      }
      return
    }
    apply(&batch, lane: first)
  }

  private func apply(_ part: inout ReadingBatch, lane: Int32) {
    guard lane >= 0 else {
      part.isBacklog = isCatchingUp
      live?.apply(&part, into: &transitions)
      return
    }
    replays[Int(lane)].apply(&part, into: &transitions)
  }

  /// The receive time recorded with a message of a replay source; nil for every other message, so that a live
  /// gateway cannot set the time by sending the property.
  private func recordedReceiveTime(
    topic: Span<UInt8>,
    _ properties: [(String, String)]
  ) -> Timestamp? {
    guard !replays.isEmpty,
      let text = properties.first(where: { $0.0 == Self.receivedProperty })?.1,
      let milliseconds = Int64(text)
    else { return nil }
    let topic = (0..<topic.count).map { topic[$0] }
    let isReplay =
      replayTopics[topic]
      ?? (catalog?.owner(ofTopic: topic)).map { owner in
        replays.contains { $0.name == owner }
      } ?? false
    if replayTopics.count < Self.rememberedTopics { replayTopics[topic] = isReplay }
    return isReplay ? Timestamp(milliseconds: milliseconds) : nil
  }

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

  // MARK: - Ticks, acts, catalogs

  private func processTick(_ record: JournalRecord, into output: inout CoreOutput) {
    isCatchingUp = record.input.topic == Self.catchUpTopic
    guard !isCatchingUp else { return }
    let now = Timestamp(milliseconds: record.input.received)
    notes.removeAll(keepingCapacity: true)
    decoder.advance(to: now, notes: &notes)
    for note in notes { take(note, of: record, into: &output) }
    transitions.removeAll(keepingCapacity: true)
    live?.advance(to: now, into: &transitions)
    appendDrafts(of: record, to: &output)
    for desk in desks {
      desk.advance(record, into: &output)
      // What one desk's alarms did is known before the next desk lets its deadlines of the same time fire.
      spread(record, into: &output)
    }
  }

  private func processAct(_ record: JournalRecord, into output: inout CoreOutput) {
    let topic = String(decoding: record.input.topic, as: UTF8.self)
    guard let slash = topic.firstIndex(of: "/"),
      let desk = desks.first(where: { $0.name == topic[..<slash] })
    else {
      return record.input.kind == .command && topic == "act"
        ? processCommand(record, into: &output) : refuseUnexpected(record, into: &output)
    }
    let draftIndex = output.drafts.count
    let verb = topic[topic.index(after: slash)...]
    let refusal = desk.take(record, verb: verb, into: &output)
    if output.drafts.count == draftIndex, refusal != nil || desk.needsTrace(verb) {
      output.drafts.append(EventDraft.deskInput(record: record, refusal: refusal))
    }
    output.acts.append(
      CoreOutput.ActOutcome(sequence: record.sequence, draftIndex: draftIndex, refusal: refusal)
    )
  }

  private func processCommand(_ record: JournalRecord, into output: inout CoreOutput) {
    transitions.removeAll(keepingCapacity: true)
    let draftIndex = output.drafts.count
    let refusal: ActError?
    do throws(ActError) {
      let act = try OperatorAct(journalPayload: record.input.payload)
      if let name = AlarmName(act.alarm), let desk = desks.first(where: { $0.owns(name) }) {
        refusal = desk.perform(act, on: name, of: record, into: &output)
      } else {
        refusal = perform(act, record: record)
      }
      appendDrafts(of: record, by: act, to: &output)
      if refusal == nil, act.kind == .note {
        output.drafts.append(EventDraft.note(act, record: record))
      }
      if let refusal {
        output.drafts.append(EventDraft.refusedAct(act, refusal: refusal, record: record))
      }
    } catch {
      refusal = error
      output.drafts.append(EventDraft.unreadableAct(record: record, error: error))
    }
    output.acts.append(
      CoreOutput.ActOutcome(sequence: record.sequence, draftIndex: draftIndex, refusal: refusal)
    )
  }

  private func perform(_ act: OperatorAct, record: JournalRecord) -> ActError? {
    guard let catalog, let name = AlarmName(act.alarm), let rule = catalog.ruleRow(of: name) else {
      return .unknownAlarm(act.alarm)
    }
    if act.kind == .note {
      return act.reason.isEmpty ? .incomplete("a note needs its text") : nil
    }
    guard let command = act.command else {
      return .incomplete("shelving needs a moment at which it ends")
    }
    let lane = laneOfChannel[Int(catalog.enginePlan.rules[rule].channel.rawValue)]
    let now = Timestamp(milliseconds: record.input.received)
    let refusal: CommandRefusal? =
      if lane >= 0 {
        replays[Int(lane)].perform(
          command,
          rule: UInt32(rule),
          onset: name.onset,
          sequence: record.sequence,
          now: nil,
          into: &transitions
        )
      } else {
        live?.perform(
          command,
          rule: UInt32(rule),
          onset: name.onset,
          sequence: record.sequence,
          now: now,
          into: &transitions
        )
      }
    return switch refusal {
    case .none: nil
    case .unknownRule, .unknownOccurrence: .unknownAlarm(act.alarm)
    case .notApplicable: .notApplicable(act.alarm)
    }
  }

  private func processCatalog(_ record: JournalRecord, into output: inout CoreOutput) {
    transitions.removeAll(keepingCapacity: true)
    let draftIndex = output.drafts.count
    var refusal: ActError?
    do {
      let journaled = try CatalogRecord(journalPayload: record.input.payload)
      let next = try journaled.load()
      var closed: [Transition] = []
      let former = catalog
      try adopt(next, at: Timestamp(milliseconds: record.input.received), closed: &closed)
      for desk in desks { desk.follow(journaled.level) }
      output.drafts.append(EventDraft.catalog(next, level: level, record: record))
      for desk in desks { desk.adopt(next, by: record, into: &output) }
      if let former {
        output.former.append(
          CoreOutput.FormerReadings(catalog: former, readings: output.latest)
        )
        output.latest = []
        for transition in closed {
          let body = AlarmDraft.body(transition, act: nil, catalog: former, record: record)
          output.drafts.append(
            LedgerDraft(alarm: body, time: transition.time, origin: record.sequence)
          )
          for desk in desks { desk.follow(body, of: record, into: &output) }
        }
      }
      appendDrafts(of: record, to: &output)
    } catch {
      // The service journals only catalogs that it has loaded, so this is another version's catalog. The old one
      // stays in force, and the ledger says so.
      output.drafts.append(EventDraft.refusedCatalog(record: record, error: error))
      refusal = .refused("the catalog does not load: \(error)", code: "catalog")
    }
    output.acts.append(
      CoreOutput.ActOutcome(sequence: record.sequence, draftIndex: draftIndex, refusal: refusal)
    )
  }

  private func refuseUnexpected(_ record: JournalRecord, into output: inout CoreOutput) {
    output.drafts.append(EventDraft.unexpectedInput(record: record))
  }

  /// Puts `next` in force: every lane keeps the state of what is the same in both.
  private func adopt(
    _ next: Catalog,
    at now: Timestamp,
    closed: inout [Transition]
  ) throws {
    let sources = next.replaySources
    let laneOf = next.laneOfChannels
    let plan = next.enginePlan
    // Sparkplug births and parts of HJ 212 telegrams go on: without them the readings after a change would be refused
    // until every gateway had introduced itself again.
    var successor = Decoder(plan: next.decodingPlan)
    try successor.restore(decoder.snapshot())
    let livePlan = LanePlan(of: plan, isReplay: false) { laneOf[$0] < 0 }
    if let live {
      try live.replacePlan(livePlan, closed: &closed, into: &transitions)
    } else {
      live = try Lane(name: "live", plan: livePlan, time: now, shards: shards)
    }
    var lanes: [Lane] = []
    for (row, source) in sources.enumerated() {
      let lanePlan = LanePlan(of: plan, isReplay: true) { laneOf[$0] == Int32(row) }
      if let lane = replays.first(where: { $0.name == source }) {
        try lane.replacePlan(lanePlan, closed: &closed, into: &transitions)
        lanes.append(lane)
      } else {
        lanes.append(
          try Lane(name: source, plan: lanePlan, time: .distantPast, shards: shards)
        )
      }
    }
    replays = lanes
    laneOfChannel = laneOf
    decoder = successor
    replayTopics = [:]
    catalog = next
    findInhibited()
  }

  // MARK: - Drafts

  private func appendDrafts(
    of record: JournalRecord,
    by act: OperatorAct? = nil,
    to output: inout CoreOutput
  ) {
    guard !transitions.isEmpty, let catalog else { return }
    for transition in transitions {
      var body = AlarmDraft.body(transition, act: act, catalog: catalog, record: record)
      if laneOfChannel[Int(transition.channel.rawValue)] < 0 {
        body.flood = flood.take(body, record: record, into: &output)
      }
      noteInhibition(transition, until: act?.until)
      output.drafts.append(LedgerDraft(alarm: body, time: transition.time, origin: record.sequence))
      for desk in desks { desk.follow(body, of: record, into: &output) }
    }
  }

  // MARK: - What edges see

  /// Rules that are shelved, suppressed by design or out of service, by catalog row; also those whose alarm has
  /// returned meanwhile.
  public var inhibited: [InhibitedRule] {
    inhibitions.values.sorted { $0.rule < $1.rule }
  }

  /// Changes whenever ``inhibited`` does.
  private(set) var inhibitionChanges = 0
  private var inhibitions: [UInt32: InhibitedRule] = [:]

  /// Notes what a step says of its rule; steps of earlier occurrences say nothing of it.
  private func noteInhibition(_ transition: Transition, until: Timestamp?) {
    switch transition.kind {
    case .shelved, .unshelved, .suppressed, .unsuppressed, .removedFromService, .returnedToService:
      let rule = transition.rule.rawValue
      inhibitions[rule] = Self.inhibition(
        rule,
        transition.state,
        until: transition.kind == .shelved ? until : inhibitions[rule]?.until
      )
      inhibitionChanges += 1
    case .raised, .returned, .acknowledged, .reset, .priorityChanged, .reAlarmed, .revised: break
    }
  }

  private static func inhibition(
    _ rule: UInt32,
    _ state: AlarmState,
    until: Timestamp?
  ) -> InhibitedRule? {
    switch state {
    case .shelved: InhibitedRule(rule: rule, state: "shelved", until: until)
    case .suppressedByDesign: InhibitedRule(rule: rule, state: "suppressedByDesign", until: until)
    case .outOfService: InhibitedRule(rule: rule, state: "outOfService", until: until)
    case .normal, .unacknowledged, .acknowledged, .returnedUnacknowledged, .latchedUnacknowledged,
      .latchedAcknowledged:
      nil
    }
  }

  /// Asks the engines anew which rules are inhibited: after a catalog change and a restart.
  private func findInhibited() {
    inhibitions = [:]
    inhibitionChanges += 1
    for lane in lanes {
      lane.standing { alarm in
        let rule = alarm.rule.rawValue
        if let found = Self.inhibition(rule, alarm.state, until: alarm.shelvedUntil) {
          inhibitions[rule] = found
        }
      }
    }
  }

  /// How the engines do: their counters, clocks and the rules that behave badly.
  ///
  /// Looks at every device and rule at once, which a running station cannot afford between two batches; see
  /// ``extend(_:rows:)``.
  public func engineReport() -> EngineReport {
    var walk = EngineReportWalk()
    while !extend(&walk, rows: .max) {}
    return walk.report
  }

  /// Takes the next `rows` devices and rules up into a report; true once it is whole.
  ///
  /// A report that a change of catalogs overtakes begins anew.
  func extend(_ walk: inout EngineReportWalk, rows: Int) -> Bool {
    if walk.catalog != catalog?.version { walk = EngineReportWalk(catalog: catalog?.version) }
    guard let catalog, let live else {
      walk.report.lanes = laneReports
      return true
    }
    let devices = catalog.devices.count
    let all = devices + catalog.rules.count
    let end = rows < all - walk.row ? walk.row + rows : all
    while walk.row < end {
      // Only numbers are read: a copy of a description is a dozen reference counts.
      if walk.row < devices {
        let device = catalog.devices[walk.row].index
        if let clock = live.engine.clock(ofDevice: device), clock.skewMilliseconds != nil {
          walk.report.clocks.append(EngineReport.Clock(device: device, clock))
        }
      } else {
        let rule = catalog.rules[walk.row - devices].index
        let lane = laneOfChannel[Int(catalog.rules[walk.row - devices].channel)]
        let statistics = (lane < 0 ? live : replays[Int(lane)]).statistics(ofRule: rule)
        if let statistics, statistics.raises > 0 || statistics.heldBack > 0 {
          walk.report.rules.append(EngineReport.Rule(rule: rule, statistics))
        }
      }
      walk.row += 1
    }
    guard walk.row == all else { return false }
    walk.report.lanes = laneReports
    return true
  }

  private var laneReports: [EngineReport.LaneReport] {
    lanes.map {
      EngineReport.LaneReport(
        name: $0.name,
        counters: $0.engine.counters,
        quarantined: $0.engine.quarantinedDevices
      )
    }
  }

  // MARK: - Snapshots

  /// Everything needed to go on after ``position``, as versioned bytes with a checksum.
  public func snapshot() -> [UInt8] {
    var writer = SnapshotWriter()
    writer.put(position)
    writer.put(UInt8(isCatchingUp ? 1 : 0))
    writer.put(catalog?.sources ?? [])
    writer.put(decoder.snapshot())
    writer.put(UInt32(lanes.count))
    for lane in lanes {
      writer.put(lane.name)
      writer.put(lane.time.milliseconds)
      writer.put(lane.snapshot())
    }
    writer.put(UInt32(desks.count))
    for desk in desks {
      writer.put(desk.name)
      writer.put(desk.snapshot())
    }
    return writer.finish()
  }

  /// Makes a core that goes on where the snapshot was taken, by this number of engines or another.
  ///
  /// - Throws: ``SnapshotFault`` when the bytes are damaged or of another version, or the catalog in them no longer
  ///   loads; recovery then takes an older snapshot or starts from the journal's beginning.
  public init(snapshot bytes: [UInt8], shards: EngineShards = .one) throws {
    self.shards = shards
    var reader = try SnapshotReader(bytes)
    position = try reader.integer()
    let catchingUp: UInt8 = try reader.integer()
    isCatchingUp = catchingUp != 0
    let sources = try reader.sources()
    let decoderState = try reader.block()
    let laneCount: UInt32 = try reader.integer()
    var saved: [String: (time: Timestamp, bytes: [UInt8])] = [:]
    for _ in 0..<laneCount {
      let name = try reader.text()
      let time = Timestamp(milliseconds: try reader.integer())
      saved[name] = (time, try reader.block())
    }
    var deskStates: [String: [UInt8]] = [:]
    for _ in 0..<(try reader.integer() as UInt32) {
      let name = try reader.text()
      deskStates[name] = try reader.block()
    }
    guard !sources.isEmpty else { return }
    let catalog = try CatalogRecord(sources: sources).load()
    try restore(catalog, lanes: saved)
    try decoder.restore(decoderState)
    var output = CoreOutput(position: position)
    for desk in desks {
      desk.adopt(catalog, by: nil, into: &output)
      // A desk that keeps no state needs none: a snapshot of before it was added will do.
      guard let state = deskStates[desk.name] ?? (desk.snapshot().isEmpty ? [] : nil) else {
        throw SnapshotFault.missingDesk(desk.name)
      }
      try desk.restore(state)
    }
  }

  private func restore(
    _ catalog: Catalog,
    lanes saved: [String: (time: Timestamp, bytes: [UInt8])]
  ) throws {
    laneOfChannel = catalog.laneOfChannels
    func lane(_ name: String, _ row: Int32) throws -> Lane {
      let plan = LanePlan(of: catalog.enginePlan, isReplay: row >= 0) { laneOfChannel[$0] == row }
      guard let state = saved[name] else { throw SnapshotFault.missingLane(name) }
      return try Lane(
        name: name,
        plan: plan,
        restoring: state.bytes,
        time: state.time,
        shards: shards
      )
    }
    live = try lane("live", -1)
    replays = try catalog.replaySources.enumerated().map { try lane($0.element, Int32($0.offset)) }
    decoder = Decoder(plan: catalog.decodingPlan)
    self.catalog = catalog
    findInhibited()
  }
}
