public import Telemetry

/// The performance indicators of ISA-18.2 / IEC 62682, folded from alarm steps in ledger order.
///
/// The same fold serves the live console and a replay. An instance is for one operator position:
/// feed it the alarms of that supervisor.
public struct AlarmIndicators: Sendable {
  /// Figures that the standard leaves to the site.
  public struct Settings: Hashable, Sendable {
    /// More annunciated alarms than this in a bucket begin a flood.
    public var floodBeginsAbove = 10
    /// Fewer than this in a bucket end it.
    public var floodEndsBelow = 5
    /// A bucket: ten minutes.
    public var bucketMilliseconds: Int64 = 600_000
    /// Annunciations of one rule that are chattering.
    public var chatteringCount = 3
    /// The time they have to fall in.
    public var chatteringMilliseconds: Int64 = 60_000
    /// An alarm that returns within this time, unacknowledged, is fleeting.
    public var fleetingMilliseconds: Int64 = 60_000
    /// An alarm that stands longer is stale.
    public var staleMilliseconds: Int64 = 86_400_000

    /// The usual figures.
    public init() {}
  }

  /// A rule and how often it was annunciated.
  public struct BadActor: Hashable, Sendable {
    /// Point path and rule id.
    public var rule: String
    /// Annunciations.
    public var count: Int
    /// Part of all annunciations, 0 to 1.
    public var share: Double
  }

  /// What the fold gives at a moment.
  public struct Report: Hashable, Sendable {
    /// Annunciations in all.
    public var annunciated = 0
    /// Annunciations by bucket, oldest first; empty buckets included.
    public var buckets: [Int] = []
    /// Annunciations a bucket, on average.
    public var averagePerBucket = 0.0
    /// Most annunciations in one bucket.
    public var peakPerBucket = 0
    /// Buckets in flood.
    public var floodBuckets = 0
    /// Part of the time in flood, 0 to 1.
    public var floodShare = 0.0
    /// Rules that chattered, with the number of chattering episodes.
    public var chattering: [String: Int] = [:]
    /// Fleeting alarms.
    public var fleeting = 0
    /// Alarms that stand longer than the limit now.
    public var stale: [String] = []
    /// The ten rules annunciated most.
    public var top: [BadActor] = []
    /// Part of all annunciations that the ten have.
    public var topShare = 0.0
    /// Annunciations by priority, 1 blue … 4 red.
    public var byPriority: [Int: Int] = [:]
    /// Times from annunciation to acknowledgement: median and 95th percentile, milliseconds.
    public var acknowledgeMedian: Int64?
    /// 95th percentile of the same.
    public var acknowledgeP95: Int64?
    /// Alarms shelved now.
    public var shelved: [String] = []
    /// Alarms suppressed by design now.
    public var suppressed: [String] = []
    /// Alarms out of service now.
    public var outOfService: [String] = []
  }

  private struct Standing {
    var raised: Timestamp
    var state: AlarmBody.State
    var isAcknowledged = false
  }

  private let settings: Settings
  private var first: Timestamp?
  private var bucketCounts: [Int64: Int] = [:]
  private var standing: [String: Standing] = [:]
  private var ruleCounts: [String: Int] = [:]
  private var recent: [String: [Timestamp]] = [:]
  private var isChattering: Set<String> = []
  private var chattering: [String: Int] = [:]
  private var fleeting = 0
  private var byPriority: [Int: Int] = [:]
  private var acknowledgeTimes: [Int64] = []

  /// Begins a fold.
  public init(settings: Settings = Settings()) {
    self.settings = settings
  }

  /// Takes in an alarm that was raised before the first step that is added, and still stands.
  ///
  /// - Parameters:
  ///   - alarm: what the ledger says of it now.
  ///   - begin: when the steps that are added begin; an acknowledgement from then on is among them.
  public mutating func seed(_ alarm: AlarmView, before begin: Timestamp) {
    standing[alarm.id] = Standing(
      raised: alarm.raised?.time ?? alarm.onset,
      state: alarm.state,
      isAcknowledged: alarm.acknowledged.map { $0.time < begin } ?? false
    )
  }

  /// Adds a step at its event time.
  public mutating func add(_ body: AlarmBody, at time: Timestamp) {
    if first == nil { first = time }
    let rule = "\(body.point)#\(body.rule)"
    if body.event == .raised || body.event == .reAlarmed {
      annunciate(rule, priority: body.priority, at: time)
    }
    var alarm = standing[body.alarm] ?? Standing(raised: body.onset, state: body.state)
    switch body.event {
    case .raised: alarm.raised = time
    case .acknowledged where !alarm.isAcknowledged:
      alarm.isAcknowledged = true
      acknowledgeTimes.append(time.milliseconds(since: alarm.raised))
    case .returned:
      let lasted = time.milliseconds(since: alarm.raised)
      if !alarm.isAcknowledged, lasted <= settings.fleetingMilliseconds { fleeting += 1 }
    case .acknowledged, .reset, .shelved, .unshelved, .suppressed, .unsuppressed,
      .removedFromService, .returnedToService, .priorityChanged, .reAlarmed, .revised:
      break
    }
    alarm.state = body.state
    standing[body.alarm] = body.state == .normal ? nil : alarm
  }

  private mutating func annunciate(_ rule: String, priority: Int, at time: Timestamp) {
    bucketCounts[bucket(time), default: 0] += 1
    ruleCounts[rule, default: 0] += 1
    byPriority[priority, default: 0] += 1
    var times = recent[rule] ?? []
    times.removeAll { time.milliseconds(since: $0) >= settings.chatteringMilliseconds }
    times.append(time)
    recent[rule] = times
    if times.count >= settings.chatteringCount {
      if isChattering.insert(rule).inserted { chattering[rule, default: 0] += 1 }
    } else {
      isChattering.remove(rule)
    }
  }

  private func bucket(_ time: Timestamp) -> Int64 {
    let size = settings.bucketMilliseconds
    let quotient = time.milliseconds / size
    return time.milliseconds % size < 0 ? quotient - 1 : quotient
  }

  /// The indicators over all that was added, as of `now`.
  ///
  /// - Parameters:
  ///   - from: begin of the span that the rates are over; nil takes the first step's time.
  ///   - now: its end.
  /// - Returns: the figures.
  public func report(from: Timestamp? = nil, at now: Timestamp) -> Report {
    var report = Report()
    report.annunciated = ruleCounts.values.reduce(0, +)
    if let first = from ?? first {
      let last = max(bucket(now), bucketCounts.keys.max() ?? bucket(first))
      report.buckets = (bucket(first)...last).map { bucketCounts[$0] ?? 0 }
      var isFlood = false
      for count in report.buckets {
        if count > settings.floodBeginsAbove { isFlood = true }
        if count < settings.floodEndsBelow { isFlood = false }
        if isFlood { report.floodBuckets += 1 }
      }
      report.averagePerBucket = Double(report.annunciated) / Double(report.buckets.count)
      report.peakPerBucket = report.buckets.max() ?? 0
      report.floodShare = Double(report.floodBuckets) / Double(report.buckets.count)
    }
    report.chattering = chattering
    report.fleeting = fleeting
    report.byPriority = byPriority
    let total = Double(max(1, report.annunciated))
    report.top = ruleCounts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(10).map {
      BadActor(rule: $0.key, count: $0.value, share: Double($0.value) / total)
    }
    report.topShare = report.top.map(\.share).reduce(0, +)
    let times = acknowledgeTimes.sorted()
    if !times.isEmpty {
      report.acknowledgeMedian = times[(times.count - 1) / 2]
      report.acknowledgeP95 = times[(times.count * 95 + 99) / 100 - 1]
    }
    for (id, alarm) in standing.sorted(by: { $0.key < $1.key }) {
      // A rule that is set aside without an alarm stands under no onset.
      if alarm.raised > .distantPast,
        now.milliseconds(since: alarm.raised) > settings.staleMilliseconds
      {
        report.stale.append(id)
      }
      switch alarm.state {
      case .shelved: report.shelved.append(id)
      case .suppressedByDesign: report.suppressed.append(id)
      case .outOfService: report.outOfService.append(id)
      case .normal, .unacknowledged, .acknowledged, .returnedUnacknowledged,
        .latchedUnacknowledged, .latchedAcknowledged:
        break
      }
    }
    return report
  }
}
