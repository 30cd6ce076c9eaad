public import Telemetry

/// Turns messages into readings by a compiled plan.
///
/// A value: its state is the plan, scratch memory and what stateful formats (Sparkplug B, HJ 212)
/// have to remember. The result depends only on the plan and on the messages and times handed in,
/// in their order, so that a replay decodes as the live run did. No bytes can make it trap, and what
/// it keeps is bounded by the plan's limits.
public struct Decoder: Sendable {
  /// What of the current message the helpers need.
  struct Message {
    var match: TopicMatch
    var sequence: UInt64
    var received: Timestamp
    var firstReading: Int
    var firstNote: Int
  }

  /// A topic name met before; its match stands at the same place of `matches`.
  ///
  /// What a reading of Davy JSON needs of it lies here, so that no reference is counted for it. `@unchecked Sendable`
  /// holds because the bytes are the match's, are kept alive by it and never change.
  @safe
  private struct TopicSlot: @unchecked Sendable {
    var hash: UInt64 = 0
    /// Davy JSON, and nesting deep enough for all its forms is allowed.
    var isDirect = false
    var ownScope = CompiledPlan.nobody
    private var name = unsafe ByteView.nowhere
    /// −1 for a free place.
    private var count = -1

    init() {}

    init(hash: UInt64, match: TopicMatch, depth: Int) {
      self.hash = hash
      isDirect = match.isDavyJSON && depth >= 4
      ownScope = match.ownScope
      let view = unsafe ByteView(match.name)
      unsafe name = view.base
      count = view.count
    }

    @inline(__always)
    func isOf(_ topic: ByteView) -> Bool {
      guard count == topic.count else { return false }
      return unsafe ByteView(base: name, count: count).equalsByWords(topic)
    }
  }

  let plan: CompiledPlan
  /// The plan's tables; the plan keeps their memory alive.
  let hot: HotTables
  private var topics: [TopicSlot]
  private var matches: [TopicMatch?]
  /// The topic of the last message: a gateway's messages come in runs.
  private var lastTopic = 0
  private var nodes: [JSONNode] = []
  var hint = Hint()
  var sparkplug = SparkplugState()
  var hj212 = HJ212State()
  /// Whether usual forms of Davy JSON are read in one pass; without it, which tests compare with, the result is the same.
  package var triesDirectly = true
  /// What becomes of each field, when someone asked.
  var trace: Trace?

  /// Makes a decoder.
  public init(plan: DecodingPlan) {
    self.plan = CompiledPlan(plan)
    hot = self.plan.hot
    topics = Array(repeating: TopicSlot(), count: 4_096)
    matches = Array(repeating: nil, count: topics.count)
  }

  /// Decodes one message: appends its readings to `batch` and what else there is to say to `notes`.
  public mutating func decode(
    topic: [UInt8],
    payload: [UInt8],
    sequence: UInt64,
    received: Timestamp,
    into batch: inout ReadingBatch,
    notes: inout [DecodingNote]
  ) {
    topic.withView { topic in
      payload.withView { payload in
        decode(
          topic,
          payload,
          sequence: sequence,
          received: received,
          into: &batch,
          notes: &notes
        )
      }
    }
  }

  /// Decodes one message from borrowed bytes.
  public mutating func decode(
    topic: Span<UInt8>,
    payload: Span<UInt8>,
    sequence: UInt64,
    received: Timestamp,
    into batch: inout ReadingBatch,
    notes: inout [DecodingNote]
  ) {
    unsafe topic.withUnsafeBufferPointer { topic in
      unsafe payload.withUnsafeBufferPointer { payload in
        unsafe decode(
          ByteView(topic),
          ByteView(payload),
          sequence: sequence,
          received: received,
          into: &batch,
          notes: &notes
        )
      }
    }
  }

  private mutating func decode(
    _ topic: ByteView,
    _ payload: ByteView,
    sequence: UInt64,
    received: Timestamp,
    into batch: inout ReadingBatch,
    notes: inout [DecodingNote]
  ) {
    if min(sparkplug.dueHint, hj212.dueHint) <= received.milliseconds {
      advance(to: received, notes: &notes)
    }
    let slot = slot(of: topic)
    if slot >= 0, topics[slot].isDirect, triesDirectly, trace == nil,
      payload.count <= hot.payloadLimit
    {
      let message = DirectMessage(
        topic: slot,
        ownScope: topics[slot].ownScope,
        sequence: sequence,
        received: received
      )
      if decodeDirectly(payload, message, &batch) { return }
    }
    guard slot >= 0, let match = matches[slot] else {
      notes.append(
        .reject(
          Reject(reason: .unknownTopic, detail: topic.excerpt(256), wholeMessage: true)
        )
      )
      return
    }
    let message = Message(
      match: match,
      sequence: sequence,
      received: received,
      firstReading: batch.count,
      firstNote: notes.count
    )
    guard payload.count <= plan.limits.payloadBytes else {
      refuse(message, .oversize, "", "\(payload.count) bytes", &notes)
      return
    }
    switch plan.routes[match.route].format {
    case .davyJSON:
      withJSON(payload, message, &notes) { decoder, document, notes in
        decoder.decodeDavyJSON(document, message, &batch, &notes)
      }
    case .mappedJSON:
      withJSON(payload, message, &notes) { decoder, document, notes in
        decoder.decodeMappedJSON(document, message, &batch, &notes)
      }
    case .senMLJSON:
      withJSON(payload, message, &notes) { decoder, document, notes in
        decoder.decodeSenMLJSON(document, message, &batch, &notes)
      }
    case .senMLCBOR:
      decodeSenMLCBOR(payload, message, &batch, &notes)
    case .influxLine(let options):
      decodeInflux(payload, options, message, &batch, &notes)
    case .sparkplugB(let options):
      decodeSparkplug(payload, options, message, &batch, &notes)
    case .hj212(let options):
      decodeHJ212(payload, options, message, &batch, &notes)
    }
  }

  /// When ``advance(to:notes:)`` has something to do next; nil for nothing awaited.
  public var nextDeadline: Timestamp? {
    switch (sparkplug.nextDeadline, hj212.nextDeadline) {
    case (let left?, let right?): min(left, right)
    case (let left, let right): left ?? right
    }
  }

  /// Runs what has become due: rebirth requests, multi-part messages given up.
  public mutating func advance(to now: Timestamp, notes: inout [DecodingNote]) {
    advanceSparkplug(to: now, &notes)
    advanceHJ212(to: now, &notes)
  }

  // MARK: Topic

  /// Where the topic stands among those met; −1 for one that no route takes.
  @inline(__always)
  private mutating func slot(of topic: ByteView) -> Int {
    if topics[lastTopic].isOf(topic) { return lastTopic }
    return otherSlot(of: topic)
  }

  @inline(never)
  private mutating func otherSlot(of topic: ByteView) -> Int {
    let hash = topic.hash(seed: 0)
    let index = Int(truncatingIfNeeded: hash) & (topics.count &- 1)
    guard topics[index].hash == hash, topics[index].isOf(topic) else {
      return enter(topic, hash, index)
    }
    lastTopic = index
    return index
  }

  @inline(never)
  private mutating func enter(_ topic: ByteView, _ hash: UInt64, _ index: Int) -> Int {
    guard let match = TopicMatch(topic.array, plan: plan) else { return -1 }
    topics[index] = TopicSlot(hash: hash, match: match, depth: plan.limits.depth)
    matches[index] = match
    lastTopic = index
    return index
  }

  /// The device that the topic names, or that has the name; −1 for none.
  @inline(never)
  mutating func directSearchedDevice(_ name: ByteView?, topic slot: Int) -> Int {
    guard let match = matches[slot] else { return -1 }
    let found: Found
    if let name {
      found = findDevice(name, match)
    } else if let device = match.device {
      found = device.withView { findDevice($0, match) }
    } else {
      return -1
    }
    guard case .row(let row) = found else { return -1 }
    return row
  }

  /// The point of the device that the topic names; −1 for none.
  @inline(never)
  func directPointOfTopic(_ slot: Int, device: Int) -> Int? {
    matches[slot]?.point.map { $0.withView { findPoint($0, device: device) } ?? -1 }
  }

  /// What the code means with a device and in a topic; nil when no table has it.
  @inline(never)
  func directSearchedStatus(_ code: ByteView, device: Int, topic slot: Int) -> SourceStatus? {
    matches[slot].flatMap { findStatus(code, device: device, $0, ownNames: true) }
  }

  // MARK: JSON

  private mutating func withJSON(
    _ payload: ByteView,
    _ message: Message,
    _ notes: inout [DecodingNote],
    _ body: (inout Decoder, JSONDocument, inout [DecodingNote]) -> Void
  ) {
    let capacity = JSONParser.capacity(for: payload.count, depth: plan.limits.depth)
    if nodes.count < capacity {
      nodes = Array(repeating: JSONNode(.null, offset: 0), count: capacity)
    }
    // The nodes are taken out for the time of the call, so that `self` stays free to be changed.
    var nodes: [JSONNode] = []
    swap(&nodes, &self.nodes)
    defer { swap(&nodes, &self.nodes) }
    let depth = plan.limits.depth
    unsafe nodes.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      let parser = unsafe JSONParser(
        payload,
        nodes: base,
        capacity: buffer.count,
        depthLimit: depth
      )
      do throws(JSONError) {
        let count = try parser.parse()
        let document = unsafe JSONDocument(
          bytes: payload,
          nodes: UnsafePointer(base),
          count: count
        )
        body(&self, document, &notes)
      } catch {
        let isAtStart = error.kind == .unexpectedByte && error.offset < 2
        let encoding = isAtStart ? payload.otherEncoding : nil
        refuse(message, error.reason, "byte \(error.offset)", encoding ?? error.detail, &notes)
      }
    }
  }

  /// Whether a message of Davy JSON is of the forms that are read in one pass, for tests.
  package mutating func isReadDirectly(
    topic: [UInt8],
    payload: [UInt8],
    received: Timestamp
  ) -> Bool {
    let slot = topic.withView { self.slot(of: $0) }
    guard slot >= 0, topics[slot].isDirect else { return false }
    var batch = ReadingBatch(received: received)
    let message = DirectMessage(
      topic: slot,
      ownScope: topics[slot].ownScope,
      sequence: 0,
      received: received
    )
    return payload.withView { decodeDirectly($0, message, &batch) }
  }

  /// Parses JSON and does nothing with it: what the parser alone costs, for benchmarks.
  ///
  /// The number of values and member names, or nil when the text is refused.
  package mutating func countJSON(_ payload: [UInt8]) -> Int? {
    let capacity = JSONParser.capacity(for: payload.count, depth: plan.limits.depth)
    if nodes.count < capacity {
      nodes = Array(repeating: JSONNode(.null, offset: 0), count: capacity)
    }
    let depth = plan.limits.depth
    return payload.withView { payload in
      unsafe nodes.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return nil }
        let parser = unsafe JSONParser(
          payload,
          nodes: base,
          capacity: buffer.count,
          depthLimit: depth
        )
        return try? parser.parse()
      }
    }
  }

  // MARK: Giving out

  /// One reading on its way out, in the device's own terms.
  struct Draft {
    var point: Int
    var value: Double
    var time: Int64?
    var status: SourceStatus = .normal
    var flags: ReadingFlags = []
  }

  /// Checks time, scales and appends; false when the reading was refused.
  @inline(__always)
  func emit(
    _ draft: Draft,
    _ message: Message,
    place: @autoclosure () -> String,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    let point = hot[point: draft.point]
    let value = converted(draft.value, scale: point.scale, offset: point.offset)
    var flags = draft.flags
    var time = message.received.milliseconds
    if let sent = draft.time { time = sent } else { flags.insert(.receiveTimed) }
    guard value.isFinite || lacksValue(draft), isSane(time, message.received),
      batch.count &- message.firstReading < hot.readingsLimit
    else {
      refuseDraft(draft, value, message, place: place(), &notes)
      return
    }
    batch.append(
      Reading(
        channel: point.channel,
        time: Timestamp(milliseconds: time),
        value: value,
        status: draft.status,
        flags: flags
      ),
      sequence: message.sequence
    )
    if trace != nil { explainReading(draft, value, time, flags, place()) }
  }

  @inline(__always)
  func isSane(_ time: Int64, _ received: Timestamp) -> Bool {
    time >= hot.earliest && time &- received.milliseconds <= hot.ahead
  }

  /// What stands for the value of a reading that comes without one; nil where its status does not say why.
  ///
  /// A status of no measurement says all there is. A source that reports an alarm or a value beyond its range and cannot tell
  /// the number is to be heard all the same: the value is NaN, which no rule on values takes for one.
  func substitute(for status: SourceStatus) -> Double? {
    switch status.use {
    case .noValue: 0
    case .evaluate: status.reportsTrouble == true ? Double.nan : nil
    case .recordOnly: nil
    }
  }

  /// Whether a draft has no value, and may have none.
  @inline(never)
  private func lacksValue(_ draft: Draft) -> Bool {
    draft.value.isNaN && substitute(for: draft.status) != nil
  }

  @inline(never)
  private func refuseDraft(
    _ draft: Draft,
    _ value: Double,
    _ message: Message,
    place: String,
    _ notes: inout [DecodingNote]
  ) {
    let point = plan.points[draft.point]
    let device = plan.devices[point.device].id
    let time = draft.time ?? message.received.milliseconds
    if !value.isFinite, !lacksValue(draft) {
      reject(
        message,
        .notFinite,
        device: device,
        point: point.name,
        place: place,
        detail: "\(draft.value)",
        &notes
      )
    } else if !isSane(time, message.received) {
      reject(
        message,
        .timeOutOfRange,
        device: device,
        point: point.name,
        place: place,
        detail: "\(time) ms since 1970",
        &notes
      )
    } else {
      reject(
        message,
        .tooManyReadings,
        device: device,
        point: point.name,
        place: place,
        detail: "more than \(plan.limits.readingsPerMessage) readings",
        &notes
      )
    }
  }
}
