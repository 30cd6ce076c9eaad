public import Telemetry

/// ISA-18.2 / IEC 62682 figures of a ledger for a span of time and a path: the same fold over live and replayed ledgers.
public struct IndicatorReport: Sendable {
  /// The span, from inclusive to exclusive.
  public var from: Timestamp
  /// End of the span.
  public var to: Timestamp
  /// Alarms at or below this path; empty for all.
  public var path: String
  /// The figures.
  public var alarms: AlarmIndicators.Report
  /// Figures of the call-outs begun in the span.
  public var callouts: CalloutIndicators
  /// False when the span holds more entries than are read at once.
  public var isComplete: Bool

  /// Entries read for one report at most.
  public static let entryLimit = 2_000_000

  /// So many entries in turn may have times of devices whose clocks are wrong, without a report losing what lies before them.
  static let strayEntries = 1_000

  /// A step whose time is further from its receipt than this, ms, is of a clock that knows no date.
  static let longestLag: Int64 = 31 * 86_400_000

  /// Folds the entries of a ledger whose time lies in the span, alarms of a clock that knows no date by their receipt.
  ///
  /// Entries are about in the order of their time (receive order; event time of the steps). The fold begins an hour
  /// before the span in the ledger, so that one that came late is not passed over. A clock that begins at 1970 puts its
  /// steps anywhere in that order.
  ///
  /// - Parameters:
  ///   - ledger: read only.
  ///   - from: begin.
  ///   - to: end, exclusive.
  ///   - path: enterprise, site or anything below.
  ///   - scope: the reader's share.
  ///   - settings: figures that the standard leaves to the site.
  /// - Throws: what the ledger throws, or an entry that cannot be read.
  public init(
    of ledger: any LedgerStore,
    from: Timestamp,
    to: Timestamp,
    path: String = "",
    scope: LedgerScope = .everything,
    settings: AlarmIndicators.Settings = AlarmIndicators.Settings()
  ) throws(LedgerError) {
    self.from = from
    self.to = to
    self.path = path
    var fold = AlarmIndicators(settings: settings)
    var callouts = CalloutIndicators.Fold()
    let matcher = AlarmMatcher(path: path)
    let first = try Self.firstSequence(
      in: ledger,
      notBefore: from.advanced(byMilliseconds: -3_600_000)
    )
    for alarm in try ledger.standingAlarms()
    where matcher.fits(alarm) && scope.includes(path: alarm.point) {
      // Of what the fold reads it takes only what lies in the span.
      let isBefore = alarm.firstSequence < first || (alarm.raised?.time ?? alarm.onset) < from
      if isBefore { fold.seed(alarm, before: from) }
    }
    var cursor = first - 1
    var read = 0
    var isComplete = true
    reading: while true {
      let page = try ledger.entries(after: cursor, limit: 5_000)
      for entry in page {
        cursor = entry.sequence
        read += 1
        if read > Self.entryLimit {
          isComplete = false
          break reading
        }
        guard let bytes = entry.body else { continue }
        let isWithin = entry.time >= from && entry.time < to
        do throws(BodyError) {
          switch entry.kind {
          case .alarm:
            // Of nearly all that lie outside, the receipt does too.
            guard isWithin || Self.isStray(entry.time, from: from, to: to) else { break }
            let body = try AlarmBody(decoding: bytes)
            let moment = Self.moment(of: body, at: entry.time)
            if moment >= from, moment < to,
              matcher.fits(point: body.point, rule: body.rule, priority: body.priority),
              scope.includes(path: body.point)
            {
              fold.add(body, at: moment)
            }
          case .callout where isWithin: try callouts.add(entry, path: path, scope: scope)
          case .callout, .genesis, .hazard, .clock, .notice, .silence, .register, .catalog,
            .system, .welding, .redaction:
            break
          }
        } catch {
          throw .refused(reason: "entry \(entry.sequence): \(error)")
        }
      }
      if page.isEmpty { break }
    }
    alarms = fold.report(from: from, at: to)
    self.callouts = callouts.report
    self.isComplete = isComplete
  }

  /// Whether an entry's time is so far from a span that it may have been received in it all the same.
  private static func isStray(_ time: Timestamp, from: Timestamp, to: Timestamp) -> Bool {
    from.milliseconds(since: time) > longestLag || time.milliseconds(since: to) > longestLag
  }

  /// When a step came to an operator: at its event time, or at its receipt where its clock knows no date.
  private static func moment(of body: AlarmBody, at time: Timestamp) -> Timestamp {
    abs(body.received.milliseconds(since: time)) > longestLag ? body.received : time
  }

  /// Where to begin so that no entry of a time or later is passed over, by halving.
  ///
  /// Entry times are about in order, but for those of wrong clocks; so a place counts as earlier than the time only
  /// where ``strayEntries`` in turn are.
  private static func firstSequence(
    in ledger: any LedgerStore,
    notBefore time: Timestamp
  ) throws(LedgerError) -> Int64 {
    var low: Int64 = 2  // the genesis entry has no time
    var high = try ledger.head.sequence + 1
    while low < high {
      let middle = low + (high - low) / 2
      let page = try ledger.entries(after: middle - 1, limit: strayEntries)
      if page.contains(where: { $0.time >= time }) {
        high = middle
      } else {
        low = (page.last?.sequence ?? middle) + 1
      }
    }
    return max(1, low)
  }
}

/// Figures of call-outs: 叫而不应 and the time to an answer.
public struct CalloutIndicators: Hashable, Sendable {
  /// Begun.
  public var started = 0
  /// Answered by a named person.
  public var confirmed = 0
  /// 叫而不应: whose last level did not answer in its attempts.
  public var unanswered = 0
  /// Ended without an answer, by a person.
  public var cancelled = 0
  /// Levels that had nobody on duty when they were to be called.
  public var emptyLevels = 0
  /// That went above their first level.
  public var escalated = 0
  /// Calls made, and those that no channel took.
  public var calls = 0
  /// Calls that no channel took.
  public var failedCalls = 0
  /// Calls that were made twice because of a restart.
  public var inDoubt = 0
  /// Time to the answer: median, milliseconds.
  public var answerMedian: Int64?
  /// 95th percentile of the same.
  public var answerP95: Int64?

  struct Fold {
    private var begun: [String: Timestamp] = [:]
    private var risen: Set<String> = []
    private var answers: [Int64] = []
    private var figures = CalloutIndicators()

    mutating func add(
      _ entry: LedgerEntry,
      path: String,
      scope: LedgerScope
    ) throws(BodyError) {
      let json: JSONValue
      do throws(JSONSyntaxError) {
        json = try JSONValue(parsing: entry.body ?? [])
      } catch {
        throw BodyError(what: "call-out body", detail: error.description)
      }
      let event: CalloutStep.Event = try json.name("event")
      if event == .started {
        let place = json["place"]?.text ?? ""
        guard path.isEmpty || place == path || place.hasPrefix(path + "/"),
          scope.includes(path: place)
        else { return }
        begun[entry.subject] = entry.time
        figures.started += 1
        return
      }
      guard let start = begun[entry.subject] else { return }
      switch event {
      case .confirmed:
        figures.confirmed += 1
        answers.append(entry.time.milliseconds(since: start))
      case .unanswered: figures.unanswered += 1
      case .cancelled: figures.cancelled += 1
      case .escalated: if risen.insert(entry.subject).inserted { figures.escalated += 1 }
      case .dispatching:
        figures.calls += 1
        if json["inDoubt"]?.truth == true { figures.inDoubt += 1 }
      case .failed: figures.failedCalls += 1
      case .nobody: figures.emptyLevels += 1
      case .started, .delivered, .joined, .dutyChanged, .feedbackDue, .feedbackDelivered,
        .feedbackFailed, .feedback:
        break
      }
    }

    var report: CalloutIndicators {
      var figures = figures
      let sorted = answers.sorted()
      if !sorted.isEmpty {
        figures.answerMedian = sorted[(sorted.count - 1) / 2]
        figures.answerP95 = sorted[(sorted.count * 95 + 99) / 100 - 1]
      }
      return figures
    }
  }
}

extension IndicatorReport {
  /// The report as it is published.
  public var json: JSONValue {
    func whole(_ value: Int64?) -> JSONValue { value.map { .integer($0) } ?? .null }
    return .object([
      "from": .integer(from.milliseconds), "to": .integer(to.milliseconds),
      "path": .string(path), "complete": .bool(isComplete),
      "annunciated": .integer(Int64(alarms.annunciated)),
      "perTenMinutes": .object([
        "average": .number(alarms.averagePerBucket),
        "peak": .integer(Int64(alarms.peakPerBucket)),
        "counts": .array(alarms.buckets.map { .integer(Int64($0)) }),
      ]),
      "flood": .object([
        "buckets": .integer(Int64(alarms.floodBuckets)), "share": .number(alarms.floodShare),
      ]),
      "chattering": .object(alarms.chattering.mapValues { .integer(Int64($0)) }),
      "fleeting": .integer(Int64(alarms.fleeting)),
      "stale": .strings(alarms.stale),
      "top": .array(
        alarms.top.map {
          .object([
            "rule": .string($0.rule), "count": .integer(Int64($0.count)),
            "share": .number($0.share),
          ])
        }
      ),
      "topShare": .number(alarms.topShare),
      "priorities": .object(
        Dictionary(
          uniqueKeysWithValues: (1...4).map { priority in
            (
              ["blue", "yellow", "orange", "red"][priority - 1],
              .integer(Int64(alarms.byPriority[priority] ?? 0))
            )
          }
        )
      ),
      "acknowledge": .object([
        "median": whole(alarms.acknowledgeMedian), "p95": whole(alarms.acknowledgeP95),
      ]),
      "shelved": .strings(alarms.shelved), "suppressed": .strings(alarms.suppressed),
      "outOfService": .strings(alarms.outOfService),
      "callouts": .object([
        "started": .integer(Int64(callouts.started)),
        "confirmed": .integer(Int64(callouts.confirmed)),
        "unanswered": .integer(Int64(callouts.unanswered)),
        "cancelled": .integer(Int64(callouts.cancelled)),
        "escalated": .integer(Int64(callouts.escalated)),
        "emptyLevels": .integer(Int64(callouts.emptyLevels)),
        "calls": .integer(Int64(callouts.calls)),
        "failedCalls": .integer(Int64(callouts.failedCalls)),
        "inDoubt": .integer(Int64(callouts.inDoubt)),
        "answer": .object([
          "median": whole(callouts.answerMedian), "p95": whole(callouts.answerP95),
        ]),
      ]),
    ])
  }
}
