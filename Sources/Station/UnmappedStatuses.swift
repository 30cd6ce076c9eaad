import PayloadDecoding

/// The statuses of one message that no table explains, a line for each device and code.
///
/// A gateway that sends a code nobody has mapped sends it with every reading: an entry for each would fill the ledger, and
/// say no more than one that counts them.
struct UnmappedStatuses {
  struct Line {
    var device: String
    /// The code, or where one is missing.
    var found: String
    /// The points that came with it, in the order of the message.
    var points: [String]
    /// Readings that came with it.
    var count: Int
  }

  private(set) var lines: [Line] = []

  mutating func add(_ event: DecodingEvent) {
    let same = lines.firstIndex { $0.device == event.device && $0.found == event.detail }
    guard let same else {
      lines.append(
        Line(device: event.device, found: event.detail, points: [event.point], count: event.count)
      )
      return
    }
    lines[same].count += event.count
    if !lines[same].points.contains(event.point) { lines[same].points.append(event.point) }
  }
}
