public import HazardLedger

extension DeskInput {
  /// What came back from outside on a call or message, as an input of the desk that sent it.
  public init(_ report: CalloutReport) {
    let verb: String
    let members: [String: HazardLedger.JSONValue]
    switch report {
    case .delivered(let dispatch, let channel, let detail):
      verb = "delivered"
      members = [
        "channel": .string(channel), "detail": .string(detail), "dispatch": .string(dispatch),
      ]
    case .failed(let dispatch, let channel, let detail):
      verb = "failed"
      members = [
        "channel": .string(channel), "detail": .string(detail), "dispatch": .string(dispatch),
      ]
    case .confirmed(let callout, let person, let channel):
      verb = "confirmed"
      members = [
        "callout": .string(callout), "channel": .string(channel), "person": .string(person),
      ]
    case .feedback(let callout, let person, let channel, let text):
      verb = "feedback"
      members = [
        "callout": .string(callout), "channel": .string(channel), "person": .string(person),
        "text": .string(text),
      ]
    }
    self.init(
      kind: .external,
      desk: HazardDeskName.text,
      verb: verb,
      payload: HazardLedger.JSONValue.object(members).canonicalBytes()
    )
  }
}

/// The name of the desk of hazards, call-outs, clocks and silences, in journal topics and snapshots.
enum HazardDeskName {
  static let text = "hazards"
}
