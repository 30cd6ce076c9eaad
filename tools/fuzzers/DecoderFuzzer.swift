import Glibc
import PayloadDecoding
import Telemetry

// One libFuzzer harness for all payload decoders; DAVY_FUZZ_FORMAT names the one to drive.
//
// An input is a sequence of messages: a byte that chooses the topic, two bytes of length, the
// payload. Beyond not trapping, every message is checked: readings finite and within the plan,
// notes within their limit, the same bytes decoded twice give the same, and the state survives a
// snapshot.

private let format =
  getenv("DAVY_FUZZ_FORMAT").map { String(cString: $0) } ?? "davy"

private let points = ["v", "ch4", "current", "a21026", "a34013-Avg", "load", "温度"]

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

private func payloadFormat() -> PayloadFormat {
  switch format {
  case "davy": .davyJSON
  case "mapped": .mappedJSON(mapping)
  case "senml-json": .senMLJSON
  case "senml-cbor": .senMLCBOR
  case "influx": .influxLine(InfluxOptions())
  case "sparkplug": .sparkplugB(SparkplugOptions())
  case "hj212": .hj212(HJ212Options(edition: .year2025, replyTopic: "r/{device}"))
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

private let fresh = Decoder(
  plan: DecodingPlan(
    routes: [
      TopicRoute(
        id: "fuzz",
        template: template("spBv1.0/{enterprise}/+/{gateway}/#"),
        format: payloadFormat()
      )
    ],
    devices: ["dev", "g", "010000A8900016F000169DC0"].map { id in
      DeviceEntry(
        enterprise: "e",
        gateway: "g",
        id: id,
        aliases: ["urn:dev:" + id],
        points: points.enumerated().map { index, name in
          PointEntry(
            name: name,
            channel: ChannelIndex(rawValue: UInt32(index)),
            unit: "Cel",
            aliases: ["\(name)x"]
          )
        },
        statusCodes: ["7": .overRange]
      )
    },
    limits: limits
  )
)

private let thorough = {
  var decoder = fresh
  decoder.triesDirectly = false
  return decoder
}()

private let isStateful = format == "sparkplug" || format == "hj212"
private let empty = Decoder(plan: DecodingPlan())
nonisolated(unsafe) private var reusedFirst = fresh
// Of Davy JSON the second decoder reads nothing in one pass: both ways have to give the same.
nonisolated(unsafe) private var reusedSecond = thorough

private let topics = [
  "spBv1.0/e/NBIRTH/g", "spBv1.0/e/DBIRTH/g/dev", "spBv1.0/e/DDATA/g/dev", "spBv1.0/e/NDATA/g",
  "spBv1.0/e/NDEATH/g", "spBv1.0/e/DDEATH/g/dev",
].map { Array($0.utf8) }

private func check(_ condition: Bool, _ message: String) {
  if !condition { fatalError(message) }
}

private func equal(_ left: ReadingBatch, _ right: ReadingBatch) -> Bool {
  left.count == right.count
    && (0..<left.count).allSatisfy { left.reading(at: $0) == right.reading(at: $0) }
}

private func run(_ input: UnsafeBufferPointer<UInt8>) {
  // Formats without state are decoded by two decoders that live on: copies cost more than messages.
  var first = isStateful ? fresh : reusedFirst
  var second = isStateful ? fresh : reusedSecond
  if !isStateful {
    reusedFirst = empty
    reusedSecond = empty
  }
  defer {
    if !isStateful {
      reusedFirst = first
      reusedSecond = second
    }
  }
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
    first.decode(
      topic: topic,
      payload: payload,
      sequence: 0,
      received: now,
      into: &left,
      notes: &leftNotes
    )
    second.decode(
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
      check(left.value[reading].isFinite, "a reading that is not finite")
      check(left.channel[reading] < points.count, "a channel that is not in the plan")
    }
    // Answers and parts given up are per frame, the rest is bounded per message.
    let bounded = leftNotes.filter { note in
      switch note {
      case .publish: false
      case .reject(let reject): reject.reason != .incompleteParts
      default: true
      }
    }
    check(bounded.count <= limits.notesPerMessage * 2 + 40, "more notes than the limit")
    index = end
  }
  if isStateful {
    let saved = first.snapshot()
    var restored = fresh
    do {
      try restored.restore(saved)
    } catch {
      fatalError("a snapshot that cannot be restored: \(error)")
    }
    check(restored.snapshot() == saved, "a snapshot that changes")
    // Whatever bytes: an error at worst.
    try? restored.restore(Array(input))
  }
}

/// What libFuzzer calls with each input.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  run(UnsafeBufferPointer(start: data, count: size))
  return 0
}
