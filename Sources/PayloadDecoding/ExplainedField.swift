internal import Synchronization
public import Telemetry

/// What became of one field of a payload, in words.
public struct ExplainedField: Hashable, Sendable {
  /// What became of it.
  public enum Outcome: String, Hashable, Sendable {
    /// It gave or helped to give a reading.
    case used
    /// Nothing asks for it.
    case ignored
    /// It was refused.
    case rejected
  }
  /// Where: a JSON pointer, `topic`, `line 2`, `byte 17`.
  public var place: String
  /// What stands there.
  public var raw: String
  /// What it means.
  public var meaning: String
  /// What became of it.
  public var outcome: Outcome

  /// Makes an explanation.
  public init(place: String, raw: String, meaning: String, outcome: Outcome) {
    self.place = place
    self.raw = raw
    self.meaning = meaning
    self.outcome = outcome
  }
}

/// Collects explanations; only a decoder made for explaining has one.
final class Trace: Sendable {
  let fields = Mutex<[ExplainedField]>([])
}

extension Decoder {
  /// Explains a message field by field.
  ///
  /// It says which route took it, what each field became, and why what was refused was refused. The decoder itself is not changed.
  public func explain(
    topic: [UInt8],
    payload: [UInt8],
    received: Timestamp
  ) -> [ExplainedField] {
    var copy = self
    let trace = Trace()
    copy.trace = trace
    var batch = ReadingBatch(received: received)
    var notes: [DecodingNote] = []
    if let match = TopicMatch(topic, plan: plan) {
      let route = plan.routes[match.route]
      let captures = zip(route.captures, match.captures).map {
        "\($0) = \(String(decoding: $1, as: UTF8.self))"
      }
      copy.explain(
        "topic",
        String(decoding: topic, as: UTF8.self),
        (["route \(route.id)"] + captures).joined(separator: ", "),
        .used
      )
    }
    copy.decode(
      topic: topic,
      payload: payload,
      sequence: 0,
      received: received,
      into: &batch,
      notes: &notes
    )
    for note in notes {
      switch note {
      case .reject(let reject) where reject.reason == .unknownTopic:
        copy.explain(
          "topic",
          String(decoding: topic, as: UTF8.self),
          "refused: \(reject.reason.rawValue). \(reject.remedy)",
          .rejected
        )
      case .event(let event):
        copy.explain(
          event.device.isEmpty ? "message" : event.device,
          event.point,
          "event \(event.kind.rawValue): \(event.detail)",
          .used
        )
      case .publish(let message):
        copy.explain(
          "answer",
          String(decoding: message.payload.prefix(256), as: UTF8.self),
          "to be published to \(String(decoding: message.topic, as: UTF8.self))",
          .used
        )
      case .stale(let channels, _):
        copy.explain(
          "message",
          "",
          "\(channels.count) channels have no current value any more",
          .used
        )
      case .reject:
        break
      }
    }
    return trace.fields.withLock { $0 }
  }

  /// Adds an explanation, when someone asked.
  func explain(
    _ place: @autoclosure () -> String,
    _ raw: @autoclosure () -> String,
    _ meaning: @autoclosure () -> String,
    _ outcome: ExplainedField.Outcome
  ) {
    guard let trace else { return }
    let field = ExplainedField(
      place: place(),
      raw: raw(),
      meaning: meaning(),
      outcome: outcome
    )
    trace.fields.withLock { $0.append(field) }
  }

  @inline(never)
  func explainReading(
    _ draft: Draft,
    _ value: Double,
    _ time: Int64,
    _ flags: ReadingFlags,
    _ place: String
  ) {
    let point = plan.points[draft.point]
    let device = plan.devices[point.device]
    var meaning = "\(device.enterprise)/\(device.id)/\(point.name) = "
    meaning += value.isNaN ? "no value" : "\(value)"
    if !point.unit.isEmpty, !value.isNaN { meaning += " \(point.unit)" }
    meaning += ", channel \(point.channel.rawValue), status \(draft.status.wireName)"
    meaning +=
      flags.contains(.receiveTimed) ? ", at the receive time" : ", at \(time) ms since 1970"
    if flags.contains(.historical) { meaning += ", historical" }
    explain(place, "\(draft.value)", meaning, .used)
  }
}
