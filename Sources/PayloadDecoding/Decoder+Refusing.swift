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

  /// Notes something that cost no reading, within the notes limit.
  @inline(never)
  func event(
    _ message: Message,
    _ event: DecodingEvent,
    _ notes: inout [DecodingNote]
  ) {
    guard notes.count - message.firstNote < plan.limits.notesPerMessage * 2 else { return }
    notes.append(.event(event))
  }
}
