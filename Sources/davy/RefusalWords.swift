package import HazardLedger
import PayloadDecoding

/// What was refused in a run, for whoever looks at its result.
package enum RefusalWords {
  /// Most kinds of refusal that are told.
  static let limit = 8

  /// A line for each kind of refusal, the most frequent first, with the newest one's place and the remedy.
  ///
  /// - Parameter tallies: what the ledger counted, by reason, topic and device.
  /// - Returns: the lines; none where nothing was refused.
  package static func lines(of tallies: [RejectTally]) -> [String] {
    let ordered = tallies.sorted { ($1.count, $0.firstSequence) < ($0.count, $1.firstSequence) }
    var lines = ordered.prefix(limit).map { tally in
      let words = [tally.reason, tally.topic, tally.device, tally.detail].filter { !$0.isEmpty }
      let line = "  \(tally.count) × \(words.joined(separator: "  "))"
      guard let reason = RejectReason(rawValue: tally.reason) else { return line }
      return "\(line)\n      remedy: \(reason.remedy) / \(reason.remedyChinese)"
    }
    if ordered.count > limit { lines.append("  … and \(ordered.count - limit) more kinds") }
    return lines
  }
}
