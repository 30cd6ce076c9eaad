/// Anomaly scores for recorded streams, one detector chosen by name.
public enum Score {
  /// Names that ``makeScorer(_:zoneOffset:)`` knows, the recommended one first.
  public static let detectorNames = [
    "range-in-context", "range", "ewma", "robust-z", "cusum", "seasonal",
  ]

  /// Score at and above which a reading is worth a report, for every detector.
  public static let threshold = 0.5

  /// Why a file cannot be scored.
  public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no detector of that name.
    case unknownDetector(String)
    /// The file has no header that names a timestamp and a value column.
    case noHeader(String)
    /// A row is not readable: line from 1, and what is wrong with it.
    case badRow(line: Int, String)

    /// One line for the user.
    public var description: String {
      switch self {
      case .unknownDetector(let name):
        "no detector “\(name)”; there are \(detectorNames.joined(separator: ", "))"
      case .noHeader(let line):
        "the first line names no columns timestamp and value: “\(line)”"
      case .badRow(let line, let text): "line \(line): \(text)"
      }
    }
  }

  /// Makes the scorer of a detector; `zoneOffset` is added to time stamps (minutes, −1,440 … 1,440) for the time of day.
  public static func makeScorer(
    _ name: String,
    zoneOffset: Int = 0
  ) throws(Failure) -> StreamScorer {
    do throws(DetectorError) {
      switch name {
      case "range-in-context":
        return StreamScorer(.rangeInContext(try RangeInContext(.init(zoneOffset: zoneOffset))))
      case "range":
        return StreamScorer(
          .rangeInContext(
            try RangeInContext(.init(weight: 0, scale: 0.0047, refractory: 100, wariness: 0))
          )
        )
      case "ewma":
        return StreamScorer(
          .ewma(try EWMAZScore(.init(alpha: 0.02, warmUp: 50, learnsInAlarm: true)))
        )
      case "robust-z":
        return StreamScorer(
          .robust(
            try RobustZScore(
              .init(span: 256, minimumCount: 50, learnsInAlarm: true, capacity: 256)
            ),
            place: 0,
            newest: .min
          )
        )
      case "cusum":
        return StreamScorer(
          .cusum(try TabularCUSUM(.init(ceiling: 20, baseline: .learned(readings: 200))))
        )
      case "seasonal":
        return StreamScorer(.seasonal(try SeasonalBaseline(.init(zoneOffset: zoneOffset))))
      default:
        break
      }
    } catch {
      preconditionFailure("a built-in detector refuses its own parameters: \(error)")
    }
    throw .unknownDetector(name)
  }

  /// Scores a CSV text with the columns `timestamp` and `value`; gives timestamp, value, score.
  ///
  /// Rows keep their order and number; time stamps and values are copied as they stand. A value that is
  /// missing, with its comma or without, or not finite is copied and scores 0; one that is no number at all is refused, for
  /// a column of decimal commas would score 0 throughout. Cells may be in quotes, but not go over a line's end.
  public static func table(
    csv: String,
    detector: String,
    zoneOffset: Int = 0
  ) throws(Failure) -> String {
    var scorer = try makeScorer(detector, zoneOffset: zoneOffset)
    var lines = csv.split(omittingEmptySubsequences: false) { $0.isNewline }[...]
    let header = lines.popFirst().map { columns(String($0)) } ?? []
    let names = header.map { $0.lowercased() }
    guard let time = names.firstIndex(of: "timestamp"), let value = names.firstIndex(of: "value")
    else { throw .noHeader(header.joined(separator: ",")) }
    var output = "timestamp,value,score\n"
    for (index, line) in lines.enumerated() where !line.allSatisfy(\.isWhitespace) {
      let fields = columns(String(line))
      guard fields.count > time else {
        throw .badRow(line: index + 2, "\(fields.count) columns where \(time + 1) are needed")
      }
      guard let stamp = ScoreTimestamp.milliseconds(fields[time]) else {
        throw .badRow(
          line: index + 2,
          "“\(fields[time])” is no time stamp; write 2026-11-23 17:12:04 or with T, Z, +08:00"
        )
      }
      let text = fields.count > value ? fields[value] : ""
      guard let number = text.isEmpty ? Double.nan : Double(text) else {
        throw .badRow(
          line: index + 2,
          "“\(text)” is no number; write it like 12.5, or leave the cell empty"
        )
      }
      let score = scorer.score(time: stamp, value: number)
      output += "\(fields[time]),\(text),\(score)\n"
    }
    return output
  }

  private static func columns(_ line: String) -> [String] {
    var fields: [String] = []
    var field = ""
    var hasQuotes = false
    var isQuoted = false
    for character in line {
      // In a cell that does not begin with it, a quote is a character, as of inches.
      if character == "\"", hasQuotes || trimmed(field).isEmpty {
        // A quote inside a quoted cell is written twice, and so ends and begins the quoting.
        hasQuotes = true
        isQuoted.toggle()
      } else if character == ",", !isQuoted {
        fields.append(trimmed(field))
        field = ""
        hasQuotes = false
      } else {
        field.append(character)
      }
    }
    fields.append(trimmed(field))
    return fields
  }

  private static func trimmed(_ field: String) -> String {
    var text = field[...]
    while let first = text.first, first.isWhitespace || first == "\u{FEFF}" { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }
}

/// Scores one stream, reading by reading, from what came before only.
public struct StreamScorer: Sendable {
  enum Kind: Sendable {
    case rangeInContext(RangeInContext)
    case ewma(EWMAZScore)
    /// Over the newest 256 readings whenever they came: their time is their place, and those that are older get none.
    case robust(RobustZScore, place: Int64, newest: Int64)
    case cusum(TabularCUSUM)
    case seasonal(SeasonalBaseline)
    /// While a detector is being changed: its arrays must have one owner, or each step would copy them.
    case taken
  }

  private var kind: Kind
  private var refractory = Refractory(span: 100)

  init(_ kind: Kind) {
    self.kind = kind
  }

  /// Takes the next reading (ms, value) and gives its score in [0, 1]; 0 when nothing can be said.
  public mutating func score(time: Int64, value: Double) -> Double {
    guard value.isFinite else { return 0 }
    switch kind {
    case .rangeInContext(var detector):
      kind = .taken
      defer { kind = .rangeInContext(detector) }
      return detector.score(time: time, value: value)
    case .ewma(var detector):
      kind = .taken
      defer { kind = .ewma(detector) }
      return share(detector.step(time: time, value: value))
    case .robust(var detector, place: var place, newest: var newest):
      guard time >= newest else { return refractory.pass(0) }
      kind = .taken
      defer { kind = .robust(detector, place: place, newest: newest) }
      place += 1
      newest = time
      return share(detector.step(time: place, value: value))
    case .cusum(var detector):
      kind = .taken
      defer { kind = .cusum(detector) }
      return share(detector.step(time: time, value: value))
    case .seasonal(var detector):
      kind = .taken
      defer { kind = .seasonal(detector) }
      return share(detector.step(time: time, value: value))
    case .taken:
      preconditionFailure("a scorer was used while it was being changed")
    }
  }

  /// Statistic s against limit l as s / (s + l): 0.5 at the limit.
  private mutating func share(_ finding: DetectorFinding) -> Double {
    let amount = finding.statistic.magnitude
    if amount == .infinity { return refractory.pass(1) }
    guard amount > 0 else { return refractory.pass(0) }
    return refractory.pass(amount / (amount + finding.limit))
  }
}
