import Telemetry

/// What is refused or worth a note, within the limit of notes for a message.
extension Decoder {
  /// Refuses the whole message.
  @inline(never)
  func refuse(
    _ message: Message,
    _ reason: RejectReason,
    _ place: String,
    _ detail: String,
    _ notes: inout [DecodingNote]
  ) {
    let reject = Reject(
      reason: reason,
      device: message.match.device.map { String(decoding: $0, as: UTF8.self) } ?? "",
      place: place,
      detail: detail,
      wholeMessage: true
    )
    notes.append(.reject(reject))
    explain(place, detail, "message refused: \(reason.rawValue)", .rejected)
  }

  /// Refuses one reading; beyond the notes limit equal reasons are counted together.
  @inline(never)
  func reject(
    _ message: Message,
    _ reason: RejectReason,
    device: @autoclosure () -> String = "",
    point: @autoclosure () -> String = "",
    place: @autoclosure () -> String,
    detail: @autoclosure () -> String,
    _ notes: inout [DecodingNote]
  ) {
    if notes.count - message.firstNote >= plan.limits.notesPerMessage {
      for index in (message.firstNote..<notes.count).reversed() {
        guard case .reject(var reject) = notes[index], reject.reason == reason else { continue }
        reject.count += 1
        notes[index] = .reject(reject)
        return
      }
    }
    let reject = Reject(
      reason: reason,
      device: device(),
      point: point(),
      place: place(),
      detail: detail()
    )
    explain(
      reject.place,
      reject.detail,
      "refused: \(reason.rawValue). \(reason.remedy)",
      .rejected
    )
    notes.append(.reject(reject))
  }

  /// Whether a reading means the same without a unit: it is no measurement, or can be in no other unit.
  ///
  /// Of these alone true and false are values, 1 and 0.
  func isUnitless(_ draft: Draft) -> Bool {
    draft.status.use == .noValue || draft.value.isNaN || hot[point: draft.point].isUnitless
  }

  /// Refuses true or false for a measurement: who sends a flag for "no value" would have the point at a calm 0.
  @inline(never)
  func refuseFlag(
    _ sent: String,
    _ draft: Draft,
    place: @autoclosure () -> String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) {
    let point = plan.points[draft.point]
    let unit = String(decoding: point.sourceUnit, as: UTF8.self)
    reject(
      message,
      .wrongType,
      device: plan.devices[point.device].id,
      point: point.name,
      place: place(),
      detail: "\(sent) for a measurement in \(unit): "
        + "send a number, or a status that says why there is none",
      &notes
    )
  }

  /// Notes something that cost no reading.
  ///
  /// Beyond twice the notes limit equal events are counted together, beyond three times all of a kind.
  @inline(never)
  func event(
    _ message: Message,
    _ event: DecodingEvent,
    _ notes: inout [DecodingNote]
  ) {
    let limit = plan.limits.notesPerMessage
    let before = message.firstNote..<notes.count
    if before.count >= limit * 2 {
      let same =
        before.last { Self.isEvent(notes[$0], equalTo: event) }
        ?? (before.count >= limit * 3
          ? before.last { Self.isEvent(notes[$0], of: event.kind) } : nil)
      if let same, case .event(var counted) = notes[same] {
        counted.count += event.count
        notes[same] = .event(counted)
        return
      }
    }
    notes.append(.event(event))
  }

  /// Whether a note says the same, however often.
  private static func isEvent(_ note: DecodingNote, equalTo event: DecodingEvent) -> Bool {
    guard case .event(let other) = note else { return false }
    return other.kind == event.kind && other.point == event.point && other.detail == event.detail
      && other.device == event.device
  }

  private static func isEvent(_ note: DecodingNote, of kind: DecodingEvent.Kind) -> Bool {
    guard case .event(let other) = note else { return false }
    return other.kind == kind
  }
}
