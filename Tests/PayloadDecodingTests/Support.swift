import PayloadDecoding
import Telemetry

/// One decoder with the plan that most tables use.
struct Bench {
  var decoder: Decoder
  var batch = ReadingBatch(received: Bench.received)
  var notes: [DecodingNote] = []
  var now = Bench.received

  static let received = Timestamp(milliseconds: 1_795_451_240_000)  // 2026-11-23T16:54:00Z

  init(
    _ routes: [TopicRoute],
    devices: [DeviceEntry] = Bench.devices,
    limits: DecodingLimits = .init()
  ) {
    decoder = Decoder(plan: DecodingPlan(routes: routes, devices: devices, limits: limits))
  }

  static let devices = [
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-1",
      id: "GD-07",
      aliases: ["7", "泵房7号"],
      points: [
        PointEntry(name: "ch4", channel: ChannelIndex(rawValue: 1), unit: "%LEL"),
        PointEntry(name: "temp", channel: ChannelIndex(rawValue: 2), unit: "Cel", aliases: ["温度"]),
        PointEntry(
          name: "level",
          channel: ChannelIndex(rawValue: 3),
          unit: "m",
          scale: 0.001,
          offset: 1,
          sourceUnit: "mm"
        ),
      ],
      statusCodes: ["0": .normal, "1": .alarm, "8": .overRange, "E": .sensorFault]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "gw-2",
      id: "GD-08",
      points: [PointEntry(name: "co", channel: ChannelIndex(rawValue: 4), unit: "ppm")]
    ),
    DeviceEntry(
      enterprise: "other",
      gateway: "gw-1",
      id: "X-1",
      points: [PointEntry(name: "p", channel: ChannelIndex(rawValue: 5), unit: "kPa")]
    ),
    DeviceEntry(
      enterprise: "other",
      gateway: "gw-1",
      id: "GD-07",
      points: [PointEntry(name: "ch4", channel: ChannelIndex(rawValue: 6))]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "",
      id: "shared",
      points: [PointEntry(name: "v", channel: ChannelIndex(rawValue: 7))]
    ),
    DeviceEntry(
      enterprise: "acme",
      gateway: "",
      id: "pump-1",
      points: [
        PointEntry(name: "runs", channel: ChannelIndex(rawValue: 8), unit: "state"),
        PointEntry(name: "starts", channel: ChannelIndex(rawValue: 9), unit: "count"),
        PointEntry(name: "note", channel: ChannelIndex(rawValue: 10)),
        PointEntry(name: "share", channel: ChannelIndex(rawValue: 11), unit: "1"),
      ]
    ),
  ]

  mutating func send(_ topic: String, _ payload: [UInt8], after milliseconds: Int64 = 0) -> Outcome
  {
    now = now.advanced(byMilliseconds: milliseconds)
    batch.reset(received: now, baseSequence: 1)
    notes.removeAll()
    decoder.decode(
      topic: Array(topic.utf8),
      payload: payload,
      sequence: 1,
      received: now,
      into: &batch,
      notes: &notes
    )
    return Outcome(batch, notes)
  }

  mutating func send(_ topic: String, _ payload: String, after milliseconds: Int64 = 0) -> Outcome {
    send(topic, Array(payload.utf8), after: milliseconds)
  }
}

/// A decoded message as text, one line a reading or note, so that a table can say what it expects.
struct Outcome: Equatable, CustomStringConvertible {
  var readings: [Reading]
  var notes: [DecodingNote]

  init(_ batch: ReadingBatch, _ notes: [DecodingNote]) {
    readings = (0..<batch.count).map { batch.reading(at: $0) }
    self.notes = notes
  }

  /// `channel=value@time/status` with `h` for historical and `r` for receive-timed.
  var lines: [String] {
    readings.map { reading in
      var line = "\(reading.channel.rawValue)=\(reading.value)"
      if !reading.flags.contains(.receiveTimed) { line += "@\(reading.time.milliseconds)" }
      if reading.status != .normal { line += "/\(reading.status.wireName)" }
      if reading.flags.contains(.historical) { line += "/historical" }
      return line
    }
      + notes.map { note in
        switch note {
        case .reject(let reject):
          "!\(reject.reason.rawValue)" + (reject.place.isEmpty ? "" : " \(reject.place)")
            + (reject.count == 1 ? "" : " x\(reject.count)")
        case .event(let event): "?\(event.kind.rawValue)"
        case .publish(let message): ">\(String(decoding: message.topic, as: UTF8.self))"
        case .stale(let channels, _): "~\(channels.map { "\($0.rawValue)" }.joined(separator: ","))"
        }
      }
  }

  var description: String { lines.joined(separator: " ") }
}

/// SplitMix64: the same stream from the same seed everywhere.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
