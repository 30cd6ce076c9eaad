public import DeviceCatalog
public import HazardLedger
public import Telemetry

/// What the console, or any other edge, may ask of a running station.
///
/// Everything an edge shows comes from here; everything a person does goes through ``submit(_:)``
/// and is an input like a reading: journalled, evaluated, ledgered, and only then answered.
public protocol StationAccess: AnyObject, Sendable {
  /// The catalog in force.
  var catalog: Catalog { get }
  /// The ledger; edges only read it.
  var ledger: any LedgerStore { get }
  /// How the station does, at this moment.
  func status() -> StationStatus
  /// Every counter and gauge in the Prometheus text format.
  func metrics() -> String
  /// Returns as soon as the ledger's head is past `cursor` or something was announced unrecorded after
  /// `unrecorded`, or when `timeout` has run out.
  func waitForNews(after cursor: NewsCursor, timeout: Duration) async -> News
  /// The alarm steps that were announced before they could be recorded and that the ledger still has not confirmed,
  /// oldest first.
  var unrecorded: [UnrecordedAnnouncement] { get }
  /// Puts an act into the station's inputs; returns when its outcome is in the ledger.
  ///
  /// - Throws: ``ActError`` when it was refused or could not be recorded in time.
  func submit(_ act: OperatorAct) async throws(ActError) -> ActReceipt
  /// Puts an act, a register change or a report from outside into the inputs of a desk; returns when its outcome is in
  /// the ledger.
  ///
  /// - Throws: ``ActError`` when it was refused or could not be recorded in time.
  func submit(_ input: DeskInput) async throws(ActError) -> ActReceipt
  /// The welding desk: register, machines, scans; nil where the station has none.
  var welding: WeldingBoard? { get }
  /// Duty: rosters, exchanges, who can be called; nil where the station calls nobody.
  var duty: DutyBoard? { get }
  /// What people have changed of the call-out channels; nil where the station calls nobody.
  var channels: ChannelBoard? { get }
  /// Rules that are shelved, suppressed by design or out of service, also while no alarm of theirs stands.
  func inhibitedRules() -> [InhibitedRule]
  /// How the engines do: counters, clocks, behaviour of rules; at most a few seconds old.
  func engineReport() -> EngineReport
  /// The stations below this one; nil where the station takes none.
  var relay: RelayBoard? { get }
  /// The newest reading of each channel, by channel row; nil where none came since the start.
  func latestReadings() -> [LatestReading?]
  /// Readings of a point between two event times, reduced to at most `buckets` buckets of minimum, maximum,
  /// first and last: never an average, which would hide the peak that raised an alarm.
  func trend(
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) async throws(TrendError) -> [TrendBucket]
  /// The report of a day or month over the points in a scope.
  ///
  /// - Throws: what the stores throw.
  func report(_ period: PlantReport.Period, scope: LedgerScope) async throws -> PlantReport
  /// The newest readings of a point up to a journal sequence, oldest first, at most `limit`: what an alarm was
  /// decided on.
  func readings(
    point: String,
    through sequence: UInt64,
    limit: Int
  ) async throws(TrendError) -> [RecordedReading]
  /// Readings of channels that were received after a moment, as far as they are kept in memory, by channel row in
  /// the order asked for; each list oldest first.
  func recentReadings(channels: [Int], after: Timestamp) -> [[LatestReading]]
  /// How much came from each device in each of the last hours.
  func deviceHours() -> DeviceHours
  /// The catalog that a journal record put in force; blocks.
  func recordedCatalog(at sequence: UInt64) throws(BacktestError) -> Catalog
  /// Runs recorded inputs once more, under other rules, beside the station; blocks, and for long.
  ///
  /// - Parameters:
  ///   - plan: the rules and the time.
  ///   - progress: told the share done now and then; answers whether to go on.
  /// - Returns: the alarms that came of it.
  /// - Throws: why there is no outcome.
  func backtest(
    _ plan: BacktestPlan,
    progress: (Double) -> Bool
  ) throws(BacktestError) -> BacktestOutcome
}

extension StationAccess {
  /// A station without a welding desk.
  public var welding: WeldingBoard? { nil }

  /// A station that calls nobody.
  public var duty: DutyBoard? { nil }

  /// A station that calls nobody.
  public var channels: ChannelBoard? { nil }

  /// A station that nothing is passed on to.
  public var relay: RelayBoard? { nil }

  /// Whether stations below have passed on to this one: enterprises and sites may be known to them alone.
  public var hasStationsBelow: Bool { relay?.peers.isEmpty == false }

  /// None.
  public func inhibitedRules() -> [InhibitedRule] { [] }

  /// An empty report.
  public func engineReport() -> EngineReport { EngineReport() }
}

/// A rule that does not annunciate, whatever its condition.
public struct InhibitedRule: Hashable, Sendable {
  /// The rule's row in the catalog.
  public var rule: UInt32
  /// Why: `shelved`, `suppressedByDesign` or `outOfService`.
  public var state: String
  /// When a timed shelf runs out, in the lane's time; nil when there is none.
  public var until: Timestamp?

  /// Makes one.
  public init(rule: UInt32, state: String, until: Timestamp? = nil) {
    self.rule = rule
    self.state = state
    self.until = until
  }
}

/// How far a stream's reader has come.
public struct NewsCursor: Hashable, Sendable {
  /// Newest ledger sequence seen.
  public var ledger: Int64
  /// Newest unrecorded announcement seen.
  public var unrecorded: UInt64

  /// Makes a cursor.
  public init(ledger: Int64, unrecorded: UInt64 = 0) {
    self.ledger = ledger
    self.unrecorded = unrecorded
  }
}

/// What is new for a stream's reader.
public struct News: Sendable {
  /// The ledger's head; entries up to here can be read from the ledger.
  public var ledgerHead: Int64
  /// Alarms announced before they could be recorded, oldest first; their bodies are those of the entries to come.
  public var unrecorded: [UnrecordedAnnouncement]

  /// Makes news.
  public init(ledgerHead: Int64, unrecorded: [UnrecordedAnnouncement]) {
    self.ledgerHead = ledgerHead
    self.unrecorded = unrecorded
  }
}

/// An alarm step that is announced although its commit has not returned.
public struct UnrecordedAnnouncement: Sendable {
  /// Number within this run of the station, from 1.
  public var number: UInt64
  /// The alarm body as it will stand in the ledger.
  public var body: [UInt8]

  /// Makes an announcement.
  public init(number: UInt64, body: [UInt8]) {
    self.number = number
    self.body = body
  }
}

/// What a person does.
public struct OperatorAct: Sendable {
  /// The acts on alarms.
  public enum Kind: String, Sendable, CaseIterable {
    /// 确认.
    case acknowledge
    /// 复位.
    case reset
    /// 搁置, until `until`.
    case shelve
    /// 搁置 until it next returns.
    case shelveOnce
    /// End shelving.
    case unshelve
    /// 停用检修: take out of service.
    case removeFromService
    /// Put back into service.
    case returnToService
    /// 批注: puts the reason on record beside the alarm; changes nothing.
    case note
  }

  /// The act.
  public var kind: Kind
  /// The alarm's identity: point path, rule id and onset (see `AlarmBody`), or without onset for acts on a rule.
  public var alarm: String
  /// Who does it.
  public var actor: String
  /// Why.
  public var reason: String
  /// End of shelving.
  public var until: Timestamp?

  /// Makes an act.
  public init(
    kind: Kind,
    alarm: String,
    actor: String,
    reason: String,
    until: Timestamp? = nil
  ) {
    self.kind = kind
    self.alarm = alarm
    self.actor = actor
    self.reason = reason
    self.until = until
  }
}

/// Where an act ended up.
public struct ActReceipt: Sendable {
  /// Journal sequence of the act.
  public var journalSequence: UInt64
  /// Ledger sequence of its entry.
  public var ledgerSequence: Int64

  /// Makes a receipt.
  public init(journalSequence: UInt64, ledgerSequence: Int64) {
    self.journalSequence = journalSequence
    self.ledgerSequence = ledgerSequence
  }
}

/// Why an act has no effect.
public enum ActError: Error, Hashable, Sendable {
  /// There is no such alarm or rule.
  case unknownAlarm(String)
  /// The act does not apply to the alarm as it stands.
  case notApplicable(String)
  /// The act needs something that was not given.
  case incomplete(String)
  /// It was taken in, but the ledger has not confirmed it in time; it may still take effect.
  case notYetRecorded(journalSequence: UInt64)
  /// Too many acts wait.
  case busy
  /// A desk's rules forbid it: why in words, and a code that programs can tell apart (`role`, `state`, `guard.…`).
  case refused(String, code: String)
}

/// Why there is no trend.
public enum TrendError: Error, Hashable, Sendable {
  /// No such point in the catalog.
  case unknownPoint(String)
  /// The journal could not be read.
  case unreadable(String)
}

/// One bucket of a trend.
public struct TrendBucket: Hashable, Sendable {
  /// Event time of the first reading in the bucket.
  public var start: Timestamp
  /// Event time of the last reading in the bucket.
  public var end: Timestamp
  /// Smallest value.
  public var minimum: Double
  /// Largest value.
  public var maximum: Double
  /// First value.
  public var first: Double
  /// Last value.
  public var last: Double
  /// How many readings with a value.
  public var count: Int
  /// How many readings whose source says that their value is none; a bucket of such only has a count of 0 and
  /// values that are not numbers.
  public var bad = 0

  /// Makes a bucket of one reading.
  public init(time: Timestamp, value: Double) {
    start = time
    end = time
    minimum = value
    maximum = value
    first = value
    last = value
    count = 1
  }

  /// Makes a bucket of one reading without a usable value.
  public init(badAt time: Timestamp) {
    self.init(time: time, value: .nan)
    count = 0
    bad = 1
  }

  /// Takes in the next reading by event time.
  public mutating func add(time: Timestamp, value: Double) {
    end = time
    if count == 0 {
      minimum = value
      maximum = value
      first = value
    }
    minimum = Swift.min(minimum, value)
    maximum = Swift.max(maximum, value)
    last = value
    count += 1
  }
}

/// The newest reading of a channel.
public struct LatestReading: Hashable, Sendable {
  /// Event time.
  public var time: Timestamp
  /// Receive time.
  public var received: Timestamp
  /// Value.
  public var value: Double
  /// What the source says of it.
  public var status: SourceStatus

  /// Makes one.
  public init(time: Timestamp, received: Timestamp, value: Double, status: SourceStatus) {
    self.time = time
    self.received = received
    self.value = value
    self.status = status
  }
}

/// How the station does.
public struct StationStatus: Sendable {
  /// The broker link in a word (`connected`, `connecting`, `refused`, …) and its reason.
  public var link: String
  /// Why the link is as it is; empty when connected.
  public var linkReason: String
  /// Newest durable journal sequence.
  public var journalSequence: UInt64
  /// Journal sequence that the ledger stands at.
  public var ledgerPosition: UInt64
  /// The ledger's head.
  public var ledgerHead: Int64
  /// Set while the journal's disk does not take commits: the reason.
  public var journalFault: String?
  /// Set while the ledger's disk does not take commits: the reason.
  public var ledgerFault: String?
  /// Receive time of the newest message; nil before the first.
  public var lastMessage: Timestamp?
  /// Messages taken in since the start.
  public var messages: UInt64
  /// Readings evaluated since the start.
  public var readings: UInt64
  /// Readings and messages refused since the start.
  public var rejects: UInt64
  /// When this run of the station began.
  public var started: Timestamp
  /// The catalog's version.
  public var catalogVersion: String
  /// How many segments of the journal are damaged, as far as has been seen: what they held is lost where it cannot be read.
  public var damagedSegments: Int

  /// Makes a status.
  public init(
    link: String,
    linkReason: String,
    journalSequence: UInt64,
    ledgerPosition: UInt64,
    ledgerHead: Int64,
    journalFault: String?,
    ledgerFault: String?,
    lastMessage: Timestamp?,
    messages: UInt64,
    readings: UInt64,
    rejects: UInt64,
    started: Timestamp,
    catalogVersion: String,
    damagedSegments: Int = 0
  ) {
    self.link = link
    self.linkReason = linkReason
    self.journalSequence = journalSequence
    self.ledgerPosition = ledgerPosition
    self.ledgerHead = ledgerHead
    self.journalFault = journalFault
    self.ledgerFault = ledgerFault
    self.lastMessage = lastMessage
    self.messages = messages
    self.readings = readings
    self.rejects = rejects
    self.started = started
    self.catalogVersion = catalogVersion
    self.damagedSegments = damagedSegments
  }
}
