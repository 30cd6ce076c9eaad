import Glibc
import PayloadDecoding
import Telemetry

// One libFuzzer harness for all payload decoders; DAVY_FUZZ_FORMAT names the one to drive.
//
// An input is a sequence of messages: a byte that chooses the topic (and, of the first message, the plan), two bytes of
// length, the payload. Beyond not trapping, every message is checked: readings finite and within the plan, notes within
// their limit, the same bytes decoded twice give the same, and the state survives a snapshot.
//
// Making a decoder costs fifty times a message, so decoders live on: for each input the state of stateful formats is
// set back by their own `restore`, and what remains are scratch memory, the topics met and a hint, none of which may
// decide anything. Should one do so nevertheless, an input alone would not show it again: with DAVY_FUZZ_HISTORY=FILE
// the inputs since the decoders were made anew are kept in FILE, whatever becomes of the process, and
// DAVY_FUZZ_REPLAY=FILE runs them again.

private let format =
  getenv("DAVY_FUZZ_FORMAT").map { String(cString: $0) } ?? "davy"

private let points = ["v", "ch4", "current", "a21026", "a34013-Avg", "load", "温度"]

private let statusCodes: [String: SourceStatus] = ["7": .overRange]

/// What differs between the plans that inputs choose from.
private enum Variant: Int, CaseIterable {
  /// Three devices of seven points, with tables of status codes.
  case usual
  /// No table of status codes anywhere.
  case withoutStatus
  /// A device of more points than a word has bits, some of whose names another point had before.
  case manyPoints
}

private let mapping = JSONMapping(
  values: [
    MappedValue(
      value: "/*/*/values/*",
      device: .key(0),
      point: .key(2),
      time: .pointer("/*/*/ts"),
      required: false
    ),
    MappedValue(
      value: "/d/*/v",
      device: .pointer("/dev"),
      point: .pointer("/d/*/n"),
      time: .pointer("/t"),
      status: .pointer("/d/*/s"),
      unit: .pointer("/u/*"),
      scale: 2
    ),
    MappedValue(
      value: "/v/*",
      device: .pointer("/dev"),
      point: .key(0),
      status: .pointer("/s/*"),
      unit: .pointer("/u/*"),
      optional: [.status, .unit],
      required: false
    ),
  ],
  timeFormat: .dateTime(utcOffsetMinutes: 480),
  statusCodes: ["1": .alarm],
  numbersInStrings: true
)

private func template(_ text: String) -> TopicTemplate {
  do {
    return try TopicTemplate(text)
  } catch {
    fatalError("\(error)")
  }
}

private func payloadFormat(_ variant: Variant) -> PayloadFormat {
  switch format {
  case "davy": return .davyJSON
  case "mapped":
    var mapping = mapping
    if variant == .withoutStatus { mapping.statusCodes = [:] }
    return .mappedJSON(mapping)
  case "senml-json": return .senMLJSON
  case "senml-cbor": return .senMLCBOR
  case "influx": return .influxLine(InfluxOptions())
  case "sparkplug": return .sparkplugB(SparkplugOptions())
  case "hj212": return .hj212(HJ212Options(edition: .year2025, replyTopic: "r/{device}"))
  default: fatalError("DAVY_FUZZ_FORMAT=\(format) is no format")
  }
}

private let limits = DecodingLimits(
  payloadBytes: 60_000,
  depth: 16,
  readingsPerMessage: 100,
  notesPerMessage: 8,
  openAssemblies: 4,
  assemblyBytes: 4_096,
  births: 4,
  metricsPerBirth: 64
)

private func plan(_ variant: Variant) -> DecodingPlan {
  var names = points
  if variant == .manyPoints {
    names = (0..<100).map { "p\($0)" }
    // The names that inputs speak of lie on both sides of the word's end.
    for (index, name) in points.enumerated() { names[index * 16 + 3] = name }
  }
  return DecodingPlan(
    routes: [
      TopicRoute(
        id: "fuzz",
        template: template("spBv1.0/{enterprise}/+/{gateway}/#"),
        format: payloadFormat(variant)
      )
    ],
    devices: ["dev", "g", "010000A8900016F000169DC0"].map { id in
      DeviceEntry(
        enterprise: "e",
        gateway: "g",
        id: id,
        aliases: ["urn:dev:" + id],
        points: names.enumerated().map { index, name in
          PointEntry(
            name: name,
            channel: ChannelIndex(rawValue: UInt32(index)),
            unit: name == "load" ? "state" : "Cel",
            aliases: index == 70 ? ["v", "p3"] : ["\(name)x"]
          )
        },
        statusCodes: variant == .withoutStatus ? [:] : statusCodes
      )
    },
    limits: limits
  )
}

private let isStateful = format == "sparkplug" || format == "hj212"

/// The decoders of one plan.
private final class Stand {
  let channels: Int
  private let fresh: Decoder
  /// What a decoder that has seen nothing knows.
  private let blank: [UInt8]
  var first: Decoder
  /// Of Davy JSON this one reads nothing in one pass: both ways have to give the same.
  var second: Decoder
  var third: Decoder

  init(_ variant: Variant) {
    let plan = plan(variant)
    channels = plan.devices.first?.points.count ?? 0
    fresh = Decoder(plan: plan)
    blank = fresh.snapshot()
    (first, second, third) = (fresh, fresh, fresh)
    renew()
  }

  /// Makes the decoders anew.
  func renew() {
    (first, second, third) = (fresh, fresh, fresh)
    second.triesDirectly = false
  }

  /// Makes the decoders forget what stateful formats remember.
  func forget() {
    do {
      try first.restore(blank)
      try second.restore(blank)
    } catch {
      fatalError("a decoder that has seen nothing cannot be restored: \(error)")
    }
  }
}

nonisolated(unsafe) private let stands = Variant.allCases.map(Stand.init)

/// The inputs since the decoders were made anew, in a file that outlives the process.
private struct History {
  private static let capacity = 1 << 22
  private static let most = 4_096
  private let memory: UnsafeMutableRawPointer?
  private var used = 8
  private var inputs = 0

  init() {
    guard let path = getenv("DAVY_FUZZ_HISTORY") else {
      memory = nil
      return
    }
    let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o644)
    guard file >= 0, ftruncate(file, off_t(Self.capacity)) == 0 else {
      fatalError("DAVY_FUZZ_HISTORY cannot be written")
    }
    memory = mmap(nil, Self.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    guard memory != MAP_FAILED else { fatalError("DAVY_FUZZ_HISTORY cannot be mapped") }
  }

  /// Keeps an input; true when the decoders have to be made anew before it.
  mutating func note(_ input: UnsafeBufferPointer<UInt8>) -> Bool {
    let size = 8 + input.count
    let isFull = inputs == Self.most || used + size > Self.capacity
    if isFull { (used, inputs) = (8, 0) }
    inputs += 1
    guard let memory, used + size <= Self.capacity else { return isFull }
    memory.storeBytes(of: UInt64(input.count), toByteOffset: used, as: UInt64.self)
    if let base = input.baseAddress { memcpy(memory + used + 8, base, input.count) }
    // Lengths are padded, so that every one is aligned; the first word says how much there is.
    used += (size + 7) & ~7
    memory.storeBytes(of: UInt64(used), as: UInt64.self)
    return isFull
  }

  /// Runs the inputs of a file again.
  static func replay(_ path: UnsafePointer<CChar>) {
    guard let file = fopen(path, "r") else { fatalError("DAVY_FUZZ_REPLAY cannot be read") }
    var bytes = [UInt8](repeating: 0, count: capacity)
    let count = fread(&bytes, 1, capacity, file)
    fclose(file)
    bytes.withUnsafeBytes { bytes in
      let end = Int(bytes.load(as: UInt64.self))
      var at = 8
      var inputs = 0
      while at < min(end, count) {
        let length = Int(bytes.load(fromByteOffset: at, as: UInt64.self))
        run(
          UnsafeBufferPointer(rebasing: bytes.bindMemory(to: UInt8.self)[at + 8..<at + 8 + length])
        )
        at += (8 + length + 7) & ~7
        inputs += 1
      }
      print("\(inputs) inputs run again")
    }
  }
}

nonisolated(unsafe) private var history = History()

private let topics = [
  "spBv1.0/e/NBIRTH/g", "spBv1.0/e/DBIRTH/g/dev", "spBv1.0/e/DDATA/g/dev", "spBv1.0/e/NDATA/g",
  "spBv1.0/e/NDEATH/g", "spBv1.0/e/DDEATH/g/dev",
].map { Array($0.utf8) }

private func check(_ condition: Bool, _ message: String) {
  if !condition { fatalError(message) }
}

private func equal(_ left: ReadingBatch, _ right: ReadingBatch) -> Bool {
  left.count == right.count
    && (0..<left.count).allSatisfy {
      var (one, other) = (left.reading(at: $0), right.reading(at: $0))
      // One without a value is NaN, which equals nothing.
      let isEqual = one.value.bitPattern == other.value.bitPattern
      (one.value, other.value) = (0, 0)
      return isEqual && one == other
    }
}

private func run(_ input: UnsafeBufferPointer<UInt8>) {
  let stand = stands[(input.first.map { Int($0 & 15) } ?? 0) / topics.count]
  if isStateful { stand.forget() }
  var index = 0
  var now = Timestamp(milliseconds: 1_795_451_234_567)
  var left = ReadingBatch(received: now)
  var right = ReadingBatch(received: now)
  while index < input.count {
    let selector = input[index]
    let length =
      index + 3 <= input.count
      ? Int(input[index + 1]) | Int(input[index + 2]) << 8 : input.count
    let start = min(index + 3, input.count)
    let end = min(start + length, input.count)
    let payload = Array(input[start..<end])
    let topic = topics[Int(selector & 15) % topics.count]
    now = now.advanced(byMilliseconds: Int64(selector >> 4) * 500)
    left.reset(received: now, baseSequence: 0)
    right.reset(received: now, baseSequence: 0)
    var leftNotes: [DecodingNote] = []
    var rightNotes: [DecodingNote] = []
    stand.first.decode(
      topic: topic,
      payload: payload,
      sequence: 0,
      received: now,
      into: &left,
      notes: &leftNotes
    )
    stand.second.decode(
      topic: topic,
      payload: payload,
      sequence: 0,
      received: now,
      into: &right,
      notes: &rightNotes
    )
    check(equal(left, right) && leftNotes == rightNotes, "not deterministic")
    check(left.count <= limits.readingsPerMessage, "more readings than the limit")
    for reading in 0..<left.count {
      let isReport = left.reading(at: reading).status.reportsTrouble == true
      check(
        left.value[reading].isFinite || left.value[reading].isNaN && isReport,
        "a reading that is not finite"
      )
      check(left.channel[reading] < stand.channels, "a channel that is not in the plan")
    }
    // Answers and parts given up are per frame, the rest is bounded per message.
    let bounded = leftNotes.filter { note in
      switch note {
      case .publish: false
      case .reject(let reject): reject.reason != .incompleteParts
      default: true
      }
    }
    check(bounded.count <= limits.notesPerMessage * 3 + 40, "more notes than the limit")
    index = end
  }
  if isStateful {
    let saved = stand.first.snapshot()
    do {
      try stand.third.restore(saved)
    } catch {
      fatalError("a snapshot that cannot be restored: \(error)")
    }
    check(stand.third.snapshot() == saved, "a snapshot that changes")
    // Whatever bytes: an error at worst.
    try? stand.third.restore(Array(input))
  }
}

/// What libFuzzer calls with each input.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  if let path = getenv("DAVY_FUZZ_REPLAY") {
    History.replay(path)
    // (A plain exit is a finding to libFuzzer.)
    fflush(nil)
    _exit(0)
  }
  let input = UnsafeBufferPointer(start: data, count: size)
  if history.note(input) { stands.forEach { $0.renew() } }
  run(input)
  return 0
}
