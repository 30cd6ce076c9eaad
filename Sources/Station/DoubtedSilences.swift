import HazardLedger

/// Shelves and times out of service that were in force when a start passed over lost records of the journal, and that
/// nothing has touched since: the act that ended them may be among the lost.
///
/// Of the two errors a silence that nobody wants any more is the dangerous one, so a start ends them
/// (``Recovery/endDoubtedSilences(at:in:_:)``), unless the ledger had come past the gap and has them in force. Suppression
/// by design is not among them: the engine judges it anew with every reading.
struct DoubtedSilences {
  /// What people set.
  enum Kind: Hashable {
    case outOfService
    case shelf
  }

  private struct Silence: Hashable {
    var kind: Kind
    /// `point#rule`.
    var rule: String
  }

  private var gaps: [Silence: GapDesk.Unseen.Gap] = [:]

  var isEmpty: Bool { gaps.isEmpty }

  /// Doubts what is in force in front of a gap.
  mutating func doubt(_ inhibited: [String: InhibitedRule], before gap: GapDesk.Unseen.Gap) {
    for (rule, inhibition) in inhibited {
      if inhibition.state == AlarmBody.State.outOfService.rawValue {
        gaps[Silence(kind: .outOfService, rule: rule)] = gap
      }
      // What is shown may hide a shelf.
      gaps[Silence(kind: .shelf, rule: rule)] = gap
    }
  }

  /// Takes in what came after the gap: who sets or ends a silence knows how it stands.
  mutating func follow(_ drafts: [LedgerDraft]) throws {
    guard !gaps.isEmpty else { return }
    for draft in drafts where draft.kind == .alarm {
      let body = try AlarmBody(decoding: draft.body)
      let rule = "\(body.point)#\(body.rule)"
      switch body.event {
      case .shelved, .unshelved: gaps[Silence(kind: .shelf, rule: rule)] = nil
      case .removedFromService, .returnedToService:
        gaps[Silence(kind: .outOfService, rule: rule)] = nil
      case .raised, .returned, .acknowledged, .reset, .suppressed, .unsuppressed, .priorityChanged,
        .reAlarmed, .revised:
        break
      }
    }
  }

  /// The rules whose silence of a kind is in doubt, in order, with the gap; `standing` is what the ledger has, which had come
  /// as far as `known` when the gap was passed.
  func rules(
    _ kind: Kind,
    standing: [AlarmView],
    known: UInt64
  ) -> [(rule: String, gap: GapDesk.Unseen.Gap)] {
    var recorded: Set<String> = []
    for alarm in standing where Self.holds(kind, alarm.state) {
      recorded.insert("\(alarm.point)#\(alarm.rule)")
    }
    var doubted: [(rule: String, gap: GapDesk.Unseen.Gap)] = []
    for (silence, gap) in gaps where silence.kind == kind {
      if gap.through <= known, recorded.contains(silence.rule) { continue }
      doubted.append((silence.rule, gap))
    }
    return doubted.sorted { $0.rule < $1.rule }
  }

  /// Whether an alarm in this state may be silenced so.
  private static func holds(_ kind: Kind, _ state: AlarmBody.State) -> Bool {
    switch (kind, state) {
    case (_, .outOfService), (.shelf, .suppressedByDesign), (.shelf, .shelved): true
    case (.outOfService, .suppressedByDesign), (.outOfService, .shelved), (_, .normal),
      (_, .unacknowledged), (_, .acknowledged), (_, .returnedUnacknowledged),
      (_, .latchedUnacknowledged), (_, .latchedAcknowledged):
      false
    }
  }
}
