public import DeviceCatalog
public import HazardLedger
public import Journal
public import Logging
public import Station

/// One run of a whole station, the production stages, on a virtual clock with a fake broker and faulty storage.
///
/// The stages take their turns in an order that the seed decides; crashes drop everything that was not durable. The
/// last part of a run is quiet: faults end, and the station must settle.
public struct SimulationRun {
  /// What a run is made of.
  public struct Plan: Sendable {
    /// Decides readings, order of turns and faults.
    public var seed: UInt64
    /// How long the plant reports.
    public var seconds = 60
    /// Crashes, redelivery, duplicates, failing commits, a broker that goes away; without them the run is the clean one.
    public var hasFaults: Bool

    /// Makes a plan.
    public init(seed: UInt64, hasFaults: Bool) {
      self.seed = seed
      self.hasFaults = hasFaults
    }
  }

  /// What is left at the end.
  public struct Outcome: Sendable {
    /// Times the station was killed and started again.
    public var crashes = 0
    /// Commits that failed.
    public var diskFaults = 0
    /// Messages that the plant published.
    public var published = 0
    /// Payloads that the broker holds an acknowledgement for.
    public var acknowledged: [[UInt8]] = []
    /// Payloads in the journal.
    public var journalled: [[UInt8]] = []
    /// Alarm entries as `alarm id` and event, in ledger order.
    public var alarms: [String] = []
    /// The journal, to be replayed.
    public var records: [JournalRecord] = []
    /// The ledger's head hash.
    public var head: [UInt8] = []
    /// Alarm steps announced before they were recorded.
    public var unrecorded = 0
  }

  private static let start: Int64 = 1_760_000_000_000

  private let plan: Plan
  private let catalog: Catalog
  private let plant: SimulatedPlant
  private let openLedger: () throws -> any LedgerStore
  private let snapshots: SnapshotFolder?
  private let broker = FakeBroker()
  private let disk: FaultyDisk
  private let journal: MemoryJournal
  private let logger: Logger
  private var generator: SeededGenerator
  private var now = start
  private var stages: Stages
  private var link: FakeLink
  private var ledger: any LedgerStore
  private var toJournal: [InputBatch] = []
  private var toEngine: [InputBatch] = []
  private var awaited: UInt64?
  private var outcome = Outcome()

  /// Prepares a run.
  ///
  /// - Parameters:
  ///   - plan: seed, length, faults.
  ///   - catalog: the site that is watched.
  ///   - devices: who publishes.
  ///   - snapshots: folder for engine snapshots; nil recovers from the journal alone.
  ///   - logger: takes what the stages log.
  ///   - openLedger: opens the ledger, which keeps its contents, anew after each crash.
  /// - Throws: what the first start throws.
  public init(
    _ plan: Plan,
    catalog: Catalog,
    devices: [SimulatedDevice],
    snapshots: SnapshotFolder?,
    logger: Logger,
    openLedger: @escaping () throws -> any LedgerStore
  ) throws {
    self.plan = plan
    self.catalog = catalog
    self.openLedger = openLedger
    self.snapshots = snapshots
    self.logger = logger
    plant = SimulatedPlant(
      devices: devices,
      seconds: plan.seconds,
      start: Self.start,
      seed: plan.seed
    )
    generator = SeededGenerator(seed: plan.seed ^ 0x5eed)
    disk = FaultyDisk(seed: plan.seed ^ 0xd15c)
    journal = MemoryJournal(disk: disk)
    ledger = FaultyLedger(store: try openLedger(), disk: disk)
    stages = try Self.makeStages(catalog, journal, ledger, snapshots, logger, now: now)
    link = FakeLink(broker: broker, seed: plan.seed ^ 0x11)
  }

  private static func makeStages(
    _ catalog: Catalog,
    _ journal: MemoryJournal,
    _ ledger: any LedgerStore,
    _ snapshots: SnapshotFolder?,
    _ logger: Logger,
    now: Int64
  ) throws -> Stages {
    var limits = StationLimits()
    limits.batchMessages = 16
    limits.batchBytes = 1_500
    limits.draftsPerCommit = 8
    limits.snapshotEvery = 100
    limits.settleMilliseconds = 500
    return try Stages(
      catalog: catalog,
      journal: journal,
      ledger: ledger,
      snapshots: snapshots,
      limits: limits,
      logger: logger,
      now: now
    )
  }

  /// Runs to the end.
  ///
  /// - Throws: what a station throws that cannot start even on a sound disk, or ``SimulationFault/unsettled(_:)``.
  public mutating func run() throws -> Outcome {
    for messages in plant.seconds {
      if plan.hasFaults { chooseFaults() }
      for message in messages {
        broker.publish(message)
        outcome.published += 1
        now += 5
        try takeTurns(Int.random(in: 0...4, using: &generator))
      }
      now += 1_000 - Int64(messages.count) * 5
      try takeTurns(8)
      if plan.hasFaults, generator.isOneIn(20) { try crash() }
    }
    try settle()
    return try collectOutcome()
  }

  private mutating func chooseFaults() {
    let kind = Int.random(in: 0..<10, using: &generator)
    disk.set(
      refuseOneIn: kind == 1 ? 3 : 0,
      loseAnswerOneIn: kind == 2 ? 4 : 0,
      isDead: kind == 3
    )
    link.duplicateOneIn = kind == 4 ? 3 : 0
    broker.isReachable = kind != 5
  }

  /// Lets stages take their turn, each with what it has, in a random order.
  private mutating func takeTurns(_ count: Int) throws {
    for _ in 0..<count {
      now += 1
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: collect()
      case 1: commit()
      case 2: evaluate()
      case 3: record()
      default:
        let overdue = stages.exchange.announceOverdue(at: now, limit: 200)
        outcome.unrecorded += overdue.announced.count
      }
    }
  }

  private mutating func collect() {
    if let awaited {
      if stages.exchange.durable >= awaited {
        link.acknowledge()
        self.awaited = nil
      } else if generator.isOneIn(2) {
        // The live intake reads on after a moment; so does this one, every other time.
        return
      }
    }
    let now = now
    guard let batch = stages.collect(from: link, timeoutMilliseconds: 0, clock: { now }) else {
      return
    }
    toJournal.append(batch)
    toEngine.append(batch)
    awaited = batch.lastSequence
  }

  private mutating func commit() {
    guard let batch = toJournal.first else { return }
    do {
      try stages.commit(batch)
      toJournal.removeFirst()
    } catch {
      // The journal's stage tries the same batch again at its next turn.
    }
  }

  private mutating func evaluate() {
    guard !toEngine.isEmpty else { return }
    stages.evaluate(toEngine.removeFirst(), at: now)
  }

  private mutating func record() {
    do {
      _ = try stages.record(isUrgent: generator.isOneIn(3))
    } catch {
      // The ledger's stage tries the same outputs again at its next turn.
    }
  }

  /// Kills the process: what is in memory is gone, what the stores have said is durable stays.
  private mutating func crash() throws {
    outcome.crashes += 1
    toJournal = []
    toEngine = []
    awaited = nil
    link = FakeLink(broker: broker, seed: plan.seed &+ UInt64(outcome.crashes))
    for attempt in 1...20 {
      now += 100
      // A supervisor starts it until the disk lets it.
      if attempt == 20 { disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: false) }
      do {
        ledger = FaultyLedger(store: try openLedger(), disk: disk)
        stages = try Self.makeStages(catalog, journal, ledger, snapshots, logger, now: now)
        return
      } catch {
        guard attempt < 20 else { throw error }
      }
    }
  }

  private mutating func settle() throws {
    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: false)
    broker.isReachable = true
    link.duplicateOneIn = 0
    for _ in 0..<2_000 {
      now += 20
      collect()
      commit()
      evaluate()
      record()
      let isIdle = toJournal.isEmpty && toEngine.isEmpty && broker.unacknowledged == 0
      if isIdle, now > Self.start + Int64(plan.seconds) * 1_000 + 20_000 {
        _ = try stages.record(isUrgent: true)
        return
      }
    }
    throw SimulationFault.unsettled(
      "\(broker.unacknowledged) messages unacknowledged, \(toJournal.count) batches uncommitted"
    )
  }

  private mutating func collectOutcome() throws -> Outcome {
    outcome.diskFaults = disk.faults
    outcome.acknowledged = broker.acknowledged.map(\.payload)
    outcome.records = journal.all
    outcome.journalled = outcome.records.filter { $0.input.kind == .message }.map(\.input.payload)
    outcome.head = try ledger.head.hash
    var cursor: Int64 = 0
    while true {
      let entries = try ledger.entries(after: cursor, limit: 1_000)
      guard let last = entries.last else { break }
      cursor = last.sequence
      for entry in entries where entry.kind == .alarm {
        let body = try AlarmBody(decoding: entry.body ?? [])
        outcome.alarms.append("\(body.alarm) \(body.event.rawValue)")
      }
    }
    return outcome
  }
}

/// Why a run has no outcome.
public enum SimulationFault: Error, Hashable, Sendable {
  /// Without faults, the station did not come to rest.
  case unsettled(String)
}
