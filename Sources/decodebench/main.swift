import Glibc
import PayloadDecoding
import Telemetry

// Cost of decoding, by format, in CPU time of this thread.
//
//   decodebench run [--messages N] [--rounds N] [--only NAME]   one JSON object a line, the median of the rounds
//   decodebench write DIRECTORY [--messages N]    the JSON payloads, one a line, for other parsers
//   decodebench sparkplug                         what the Sparkplug reader makes of each payload on standard
//                                                 input (four bytes of length, big-endian, before each), a line each

/// CPU time of this thread, nanoseconds.
func threadTime() -> Int {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Ends the program with a line that says why.
func stop(_ reason: String) -> Never {
  let line = Array("decodebench: \(reason)\n".utf8)
  _ = unsafe line.withUnsafeBytes {
    unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count)
  }
  exit(1)
}

func template(_ text: String) -> TopicTemplate {
  do {
    return try TopicTemplate(text)
  } catch {
    stop("\(text): \(error)")
  }
}

/// Exactly `count` bytes of standard input; nil at its end.
func input(_ count: Int) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  var have = 0
  while have < count {
    let got = unsafe bytes.withUnsafeMutableBytes {
      unsafe read(STDIN_FILENO, $0.baseAddress?.advanced(by: have), count - have)
    }
    guard got > 0 else { return nil }
    have += got
  }
  return bytes
}

if CommandLine.arguments.dropFirst().first == "sparkplug" {
  while let head = input(4) {
    let length = head.reduce(0) { $0 << 8 | Int($1) }
    guard let payload = input(length) else { stop("the input ends in a payload") }
    print(SparkplugPayload.text(of: payload))
  }
  exit(0)
}

var messages = 10_000
var rounds = 5
var directory: String?
/// The one workload to run; all when empty.
var only = ""
var arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "run" || arguments.first == "write" {
  let isWrite = arguments.removeFirst() == "write"
  if isWrite, !arguments.isEmpty { directory = arguments.removeFirst() }
  while arguments.count >= 2 {
    let value = Int(arguments[1]) ?? 0
    switch arguments[0] {
    case "--messages" where value > 0: messages = value
    case "--rounds" where value > 0: rounds = value
    case "--only": only = arguments[1]
    default: stop("unknown argument \(arguments[0]) \(arguments[1])")
    }
    arguments.removeFirst(2)
  }
} else {
  print(
    "usage: decodebench run [--messages N] [--rounds N] [--only NAME] | write DIRECTORY [--messages N]"
  )
  exit(2)
}

let devices = 1_000
let points = 50
let plan = DecodingPlan(
  routes: [
    TopicRoute(
      id: "davy",
      template: template("davy/v1/{enterprise}/{gateway}/readings"),
      format: .davyJSON
    ),
    TopicRoute(
      id: "mapped",
      template: template("map/{enterprise}/{gateway}"),
      format: .mappedJSON(
        JSONMapping(values: [
          MappedValue(
            value: "/d/*/v",
            device: .pointer("/dev"),
            point: .pointer("/d/*/n"),
            time: .pointer("/ts")
          )
        ])
      )
    ),
    TopicRoute(
      id: "senml-json",
      template: template("senml/{enterprise}/{gateway}"),
      format: .senMLJSON
    ),
    TopicRoute(
      id: "senml-cbor",
      template: template("cbor/{enterprise}/{gateway}"),
      format: .senMLCBOR
    ),
    TopicRoute(
      id: "influx",
      template: template("influx/{enterprise}/{gateway}"),
      format: .influxLine(InfluxOptions())
    ),
    TopicRoute(
      id: "sparkplug",
      template: template("spBv1.0/{enterprise}/+/{gateway}/#"),
      format: .sparkplugB(SparkplugOptions())
    ),
    TopicRoute(
      id: "hj212",
      template: template("hj212/{enterprise}/{gateway}"),
      format: .hj212(HJ212Options())
    ),
  ],
  devices: (0..<devices).map { device in
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "pump-\(10_000 + device)",
      points: (0..<points).map { point in
        PointEntry(
          name: "p\(10 + point)",
          channel: ChannelIndex(rawValue: UInt32(device * points + point))
        )
      }
    )
  }
)

struct Workload {
  var name: String
  var topic: String
  var readings: Int
  var payloads: [[UInt8]]
}

func value(_ seed: Int) -> String {
  let thousandths = (seed &* 7_919) % 100_000
  let digits = "\(thousandths % 1_000)"
  return "\(thousandths / 1_000)." + String(repeating: "0", count: 3 - digits.count) + digits
}

func device(_ number: Int) -> String { "pump-\(10_000 + number % devices)" }
let time = 1_795_451_234_567

let flat = (0..<messages).map { index in
  Array(
    #"{"device":"\#(device(index))","point":"p\#(10 + index % points)","t":\#(time + index),"v":\#(value(index)),"s":"normal"}"#
      .utf8
  )
}
let batches = (0..<messages / 10).map { index in
  let readings = (0..<50).map { point in
    #"{"point":"p\#(10 + point)","t":\#(time + point),"v":\#(value(index + point))}"#
  }
  return Array(
    #"{"device":"\#(device(index))","readings":[\#(readings.joined(separator: ","))]}"#.utf8
  )
}
let compact = (0..<messages / 10).map { index in
  let readings = (0..<50).map { #""p\#(10 + $0)":\#(value(index + $0))"# }
  return Array(
    #"{"device":"\#(device(index))","t":\#(time + index),"values":{\#(readings.joined(separator: ","))}}"#
      .utf8
  )
}

func write(_ payloads: [[UInt8]], _ path: String) {
  let text = payloads.reduce(into: [UInt8]()) { $0 += $1 + [0x0A] }
  guard let file = unsafe fopen(path, "w") else { stop("cannot write \(path)") }
  let written = unsafe text.withUnsafeBytes { unsafe fwrite($0.baseAddress, 1, $0.count, file) }
  let closed = unsafe fclose(file)
  guard written == text.count, closed == 0 else { stop("cannot write \(path)") }
}

if let directory {
  write(flat, directory + "/flat.json")
  write(batches, directory + "/batch.json")
  exit(0)
}

/// HJ 212's check sum.
func checksum(_ bytes: [UInt8]) -> UInt16 {
  bytes.reduce(0xFFFF) { register, byte in
    (0..<8).reduce((register >> 8) ^ UInt16(byte)) { value, _ in
      value & 1 == 0 ? value >> 1 : (value >> 1) ^ 0xA001
    }
  }
}

func padded(_ text: String) -> String { String(repeating: "0", count: 4 - text.count) + text }

func varint(_ number: UInt64) -> [UInt8] {
  number < 0x80
    ? [UInt8(number)] : [UInt8(truncatingIfNeeded: number) | 0x80] + varint(number >> 7)
}

func sparkplug(_ sequence: UInt64, _ metrics: [[UInt8]]) -> [UInt8] {
  [0x08] + varint(UInt64(time))
    + metrics.flatMap { [0x12] + varint(UInt64($0.count)) + $0 } + [0x18] + varint(sequence)
}

func metric(_ name: String?, _ alias: Int, _ value: Double) -> [UInt8] {
  let text = name.map { [0x0A] + varint(UInt64($0.utf8.count)) + Array($0.utf8) } ?? []
  let bits = (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt64($0 * 8)) }
  let stamp = [0x18] + varint(UInt64(time))
  return text + [0x10] + varint(UInt64(alias)) + stamp + (name == nil ? [] : [0x20, 10])
    + [0x69] + bits
}

let small = messages / 10
let workloads = [
  Workload(
    name: "davy-json flat",
    topic: "davy/v1/acme/gw-1/readings",
    readings: 1,
    payloads: flat
  ),
  Workload(
    name: "davy-json 50 readings",
    topic: "davy/v1/acme/gw-1/readings",
    readings: 50,
    payloads: batches
  ),
  Workload(
    name: "davy-json 50 values",
    topic: "davy/v1/acme/gw-1/readings",
    readings: 50,
    payloads: compact
  ),
  Workload(
    name: "mapped-json 50 readings",
    topic: "map/acme/gw-1",
    readings: 50,
    payloads: (0..<small).map { index in
      let list = (0..<50).map { #"{"n":"p\#(10 + $0)","v":\#(value(index + $0))}"# }
      return Array(
        #"{"dev":"\#(device(index))","ts":\#(time),"d":[\#(list.joined(separator: ","))]}"#.utf8
      )
    }
  ),
  Workload(
    name: "senml-json 50 records",
    topic: "senml/acme/gw-1",
    readings: 50,
    payloads: (0..<small).map { index in
      let list = (1..<50).map { #"{"n":"p\#(10 + $0)","v":\#(value(index + $0))}"# }
      return Array(
        #"[{"bn":"\#(device(index)):","bt":1.795451234567e9,"n":"p10","v":1},\#(list.joined(separator: ","))]"#
          .utf8
      )
    }
  ),
  Workload(
    name: "senml-cbor 50 records",
    topic: "cbor/acme/gw-1",
    readings: 50,
    payloads: (0..<small).map { index in
      let base = Array("\(device(index)):".utf8)
      let records = (0..<50).map { point -> [UInt8] in
        let bits = (Double(index + point) / 3).bitPattern.bigEndian
        let number = (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64($0 * 8)) }
        let name = [0x00, 0x63] + Array("p\(10 + point)".utf8)
        let head: [UInt8] = point == 0 ? [0xA3, 0x21, 0x60 + UInt8(base.count)] + base : [0xA2]
        return head + name + [0x02, 0xFB] + number
      }
      return [0x98, 50] + records.flatMap { $0 }
    }
  ),
  Workload(
    name: "influx 50 fields",
    topic: "influx/acme/gw-1",
    readings: 50,
    payloads: (0..<small).map { index in
      let fields = (0..<50).map { "p\(10 + $0)=\(value(index + $0))" }
      return Array(
        "m,device=\(device(index)) \(fields.joined(separator: ",")) \(time)000000".utf8
      )
    }
  ),
  Workload(
    name: "sparkplug 50 aliases",
    topic: "spBv1.0/acme/DDATA/gw-1/pump-10000",
    readings: 50,
    payloads: (0..<small).map { index in
      sparkplug(
        UInt64((index + 2) % 256),
        (0..<50).map { metric(nil, $0, Double(index + $0) / 3) }
      )
    }
  ),
  Workload(
    name: "hj212 10 factors",
    topic: "hj212/acme/gw-1",
    readings: 10,
    payloads: (0..<small).map { index in
      let groups = (0..<10).map { "p\(10 + $0)-Rtd=\(value(index + $0)),p\(10 + $0)-Flag=N" }
      let data =
        "QN=20261123171204567;ST=32;CN=2011;PW=1;MN=\(device(index));Flag=4;CP=&&DataTime=20261123171204;\(groups.joined(separator: ";"))&&"
      let sum = String(checksum(Array(data.utf8)), radix: 16, uppercase: true)
      return Array("##\(padded("\(data.utf8.count)"))\(data)\(padded(sum))\r\n".utf8)
    }
  ),
]

let received = Timestamp(milliseconds: Int64(time) + 1_000)

/// The JSON parser alone.
for (name, payloads) in [("davy-json flat", flat), ("davy-json 50 readings", batches)]
where only.isEmpty || only == name {
  var decoder = Decoder(plan: plan)
  var costs: [Int] = []
  for _ in 0...rounds {
    let start = threadTime()
    var nodes = 0
    for payload in payloads { nodes += decoder.countJSON(payload) ?? 0 }
    costs.append(threadTime() - start)
    guard nodes > payloads.count * 10 else { stop("\(name): \(nodes) nodes") }
  }
  report("davy parser alone", name, payloads, name.hasSuffix("flat") ? 1 : 50, costs)
}

/// Prints the median of the rounds after the first, which warms up.
nonisolated func report(
  _ parser: String,
  _ workload: String,
  _ payloads: [[UInt8]],
  _ readings: Int,
  _ costs: [Int]
) {
  let cost = Double(costs.dropFirst().sorted()[(costs.count - 1) / 2])
  let bytes = payloads.reduce(0) { $0 + $1.count }
  let perMessage = cost / Double(payloads.count)
  func rounded(_ number: Double) -> Double { (number * 10).rounded() / 10 }
  print(
    #"{"parser":"\#(parser)","workload":"\#(workload)","bytes":\#(bytes / payloads.count),"readings":\#(readings),"ns_per_message":\#(rounded(perMessage)),"ns_per_reading":\#(rounded(perMessage / Double(readings))),"mb_per_s":\#(rounded(Double(bytes) / cost * 1_000))}"#
  )
}

for workload in workloads where only.isEmpty || only == workload.name {
  var decoder = Decoder(plan: plan)
  var batch = ReadingBatch(received: received)
  var notes: [DecodingNote] = []
  let topic = Array(workload.topic.utf8)
  func births() {
    guard workload.name.hasPrefix("sparkplug") else { return }
    decoder.decode(
      topic: Array("spBv1.0/acme/NBIRTH/gw-1".utf8),
      payload: sparkplug(0, []),
      sequence: 0,
      received: received,
      into: &batch,
      notes: &notes
    )
    decoder.decode(
      topic: Array("spBv1.0/acme/DBIRTH/gw-1/pump-10000".utf8),
      payload: sparkplug(1, (0..<50).map { metric("p\(10 + $0)", $0, 0) }),
      sequence: 0,
      received: received,
      into: &batch,
      notes: &notes
    )
  }
  var costs: [Int] = []
  var decoded = 0
  for _ in 0...rounds {
    births()
    decoded = 0
    notes.removeAll()
    let start = threadTime()
    for payload in workload.payloads {
      // As the service does: a batch of a few messages, reused.
      if batch.count > 4_096 {
        decoded += batch.count
        batch.reset(received: received, baseSequence: 0)
      }
      decoder.decode(
        topic: topic,
        payload: payload,
        sequence: 0,
        received: received,
        into: &batch,
        notes: &notes
      )
    }
    costs.append(threadTime() - start)
    decoded += batch.count
    batch.reset(received: received, baseSequence: 0)
    guard notes.isEmpty else { stop("\(workload.name): \(notes[0])") }
  }
  // The births of a later round stand in the batch too.
  guard decoded >= workload.payloads.count * workload.readings else {
    stop("\(workload.name): \(decoded) readings")
  }
  report("davy", workload.name, workload.payloads, workload.readings, costs)
}
