package import DeviceCatalog
import Foundation
import GRDB
public import Logging
import Synchronization
public import Telemetry

/// Limits of the embedded store of minute reductions.
public struct TrendOptions: Sendable {
  /// Minutes older than this are deleted, in milliseconds; two years and a month.
  public var maximumAge: Int64 = 760 * 86_400_000
  /// The oldest minutes are deleted while the file is larger, in bytes.
  public var maximumBytes: Int64 = 20 << 30
  /// Minutes, and as many readings chosen for outlets, that may be in memory because the file takes none; what comes beyond
  /// drops those that are not on their way into it.
  public var maximumUnwritten = 4_000_000

  /// Makes the usual limits.
  public init() {}
}

/// The trends file cannot be opened.
public struct TrendFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file.
  public var path: String
  /// Why.
  public var reason: String

  /// File, reason and remedy.
  public var description: String {
    "trends \(path): cannot be opened (\(reason)); check the volume, and owner and mode of the file and its folder"
  }
}

/// Every point's readings reduced to minutes, in one SQLite file beside the ledger.
///
/// Not part of what is promised of alarms: the journal and the ledger do without it. Still nothing is counted twice or
/// left out across a crash: a transaction carries the journal position up to which its readings are in, and the start
/// adds what the journal holds after that.
public final class TrendStore: Sendable {
  typealias Part = (path: String, minute: MinuteReduction)

  private struct State {
    var open = OpenMinutes()
    /// Version of the catalog whose channel rows are meant in `open`, and the paths of these.
    var version = ""
    var paths: [String] = []
    /// Reductions whose rows meant an earlier catalog's channels.
    var closed: [Part] = []
    /// Reductions on their way into the file, and the position that goes with them.
    var sealed: [Part] = []
    var sealedPosition: UInt64 = 0
    /// Readings chosen for an outlet, and those of them on their way into the file.
    var chosen: [ChosenReading] = []
    var sealedChosen: [ChosenReading] = []
    /// Who chooses.
    var choosers: [ReadingChooser]
    /// Journal position up to which readings are in memory or in the file.
    var position: UInt64

    /// Lets go of what is not on its way into the file, where that is more than `limit`; returns how much that was.
    mutating func drop(beyond limit: Int) -> Int {
      var dropped = 0
      if open.parts.count + closed.count > limit {
        dropped += open.parts.count + closed.count
        open.removeAll()
        closed = []
      }
      if chosen.count > limit {
        dropped += chosen.count
        chosen = []
      }
      return dropped
    }

    mutating func close() {
      closed += open.parts.map { (paths[$0.channel], $0.minute) }
      open.removeAll()
    }
  }

  let pool: DatabasePool
  private let options: TrendOptions
  /// What is to be kept for others to fetch, by the name of their outlet.
  let outlets: [ReadingOutlet]
  private let state: Mutex<State>
  /// Held while what is sealed goes into the file, so that a reader sees it once.
  private let moving = Mutex(())
  private let failed = Atomic<UInt64>(0)
  private let isFailing = Atomic<Bool>(false)
  private let written: Atomic<UInt64>
  private let droppedCount = Atomic<UInt64>(0)

  /// Opens the store, or begins one.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - options: limits.
  ///   - outlets: what is to be kept for others to fetch; what waits for an outlet that is no longer named is dropped.
  /// - Throws: what SQLite says.
  public init(
    path: String,
    options: TrendOptions = TrendOptions(),
    outlets: [ReadingOutlet] = []
  ) throws {
    self.options = options
    self.outlets = outlets
    var configuration = Configuration()
    configuration.busyMode = .timeout(5)
    configuration.label = "trends"
    pool = try DatabasePool(path: path, configuration: configuration)
    try pool.write {
      try Self.migrate($0)
      try Self.prepare(outlets, in: $0)
    }
    let stored = try pool.read { try Int64.fetchOne($0, sql: "SELECT position FROM state") ?? 0 }
    state = Mutex(
      State(
        choosers: outlets.filter { !$0.readings.isEmpty }.map(ReadingChooser.init),
        position: UInt64(bitPattern: stored)
      )
    )
    written = Atomic(UInt64(bitPattern: stored))
  }

  /// Opens the store for a start; a file that is no trends file any more is put aside, and another begun.
  ///
  /// Alarms do without trends, so they must not be what keeps a station from starting.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - options: limits.
  ///   - outlets: what is to be kept for others to fetch.
  ///   - now: the moment that the name of the file put aside tells, milliseconds since the Unix epoch.
  ///   - logger: told where that file is.
  /// - Returns: the store.
  /// - Throws: ``TrendFault``: the file cannot be opened, for a reason that another file would not change.
  public static func open(
    path: String,
    options: TrendOptions = TrendOptions(),
    outlets: [ReadingOutlet] = [],
    now: Int64,
    logger: Logger
  ) throws(TrendFault) -> TrendStore {
    let fault: any Error
    do {
      return try TrendStore(path: path, options: options, outlets: outlets)
    } catch {
      fault = error
    }
    guard let error = fault as? DatabaseError, Self.isOfTheFile(error.resultCode) else {
      throw TrendFault(path: path, reason: "\(fault)")
    }
    do {
      let manager = FileManager.default
      let aside = "\(path).damaged-\(now)"
      for suffix in ["", "-wal", "-shm"] where manager.fileExists(atPath: path + suffix) {
        try manager.moveItem(atPath: path + suffix, toPath: aside + suffix)
      }
      logger.critical(
        """
        the trends file is damaged and has been put aside; trends begin anew, and what waited there for relay and \
        historian is in the file put aside only
        """,
        metadata: ["file": "\(path)", "aside": "\(aside)", "error": "\(error)"]
      )
      return try TrendStore(path: path, options: options, outlets: outlets)
    } catch {
      throw TrendFault(path: path, reason: "\(error)")
    }
  }

  /// Whether SQLite complains of what is in the file, and not of the disk or of who may do what.
  private static func isOfTheFile(_ code: ResultCode) -> Bool {
    let ofTheFile: [ResultCode] = [
      .SQLITE_NOTADB, .SQLITE_CORRUPT,
    ]
    return ofTheFile.contains(code.primaryResultCode)
  }

  private static func migrate(_ db: Database) throws {
    try db.execute(
      sql: """
        PRAGMA auto_vacuum = INCREMENTAL;
        CREATE TABLE IF NOT EXISTS point (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE) STRICT;
        CREATE TABLE IF NOT EXISTS minute (
          point INTEGER NOT NULL, minute INTEGER NOT NULL, count INTEGER NOT NULL, sum REAL NOT NULL,
          minimum REAL NOT NULL, maximum REAL NOT NULL, maximum_time INTEGER NOT NULL,
          first REAL NOT NULL, first_time INTEGER NOT NULL,
          last REAL NOT NULL, last_time INTEGER NOT NULL,
          PRIMARY KEY (point, minute)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS state (
          id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, version INTEGER NOT NULL
        ) STRICT;
        INSERT OR IGNORE INTO state VALUES (1, 0, 1);
        """
    )
  }

  // MARK: - Taking in

  /// Journal position up to which readings have been taken in.
  package var position: UInt64 { state.withLock { $0.position } }

  /// Journal position that the file has.
  package var writtenPosition: UInt64 { written.load(ordering: .relaxed) }

  /// Whether the file has the readings up to `position`, or cannot be written, in which case nobody shall wait for it.
  func hasReached(_ position: UInt64) -> Bool {
    writtenPosition >= position || isFailing.load(ordering: .relaxed)
  }

  /// Minutes and chosen readings that were dropped because the file took none for too long.
  package var dropped: UInt64 { droppedCount.load(ordering: .relaxed) }

  /// Writes that failed; each is tried again.
  var failures: UInt64 { failed.load(ordering: .relaxed) }

  /// Goes on from a position before the one that the file has; called before anything is taken in.
  func goOn(from position: UInt64) throws {
    state.withLock { $0.position = position }
    written.store(position, ordering: .relaxed)
    try pool.write { db in
      try db.execute(
        sql: "UPDATE state SET position = ?",
        arguments: [Int64(bitPattern: position)]
      )
    }
  }

  /// Takes in what the core put out; what is in already is passed over.
  ///
  /// - Parameters:
  ///   - output: the core's output.
  ///   - catalog: the catalog in force after it.
  package func add(_ output: CoreOutput, catalog: Catalog?) {
    state.withLock { state in
      guard output.position > state.position else { return }
      for former in output.former {
        Self.add(former.readings, catalog: former.catalog, to: &state)
      }
      if let catalog { Self.add(output.latest, catalog: catalog, to: &state) }
      for reading in output.relayed {
        guard let value = reading.value, value.isFinite else { continue }
        let part = MinuteReduction(time: reading.time.milliseconds, value: value)
        state.closed.append((reading.point, part))
      }
      state.position = output.position
      let dropped = state.drop(beyond: options.maximumUnwritten)
      if dropped > 0 { droppedCount.add(UInt64(dropped), ordering: .relaxed) }
    }
  }

  private static func add(
    _ readings: [CoreOutput.ChannelReading],
    catalog: Catalog,
    to state: inout State
  ) {
    if state.version != catalog.version {
      state.close()
      state.version = catalog.version
      state.paths = catalog.channels.map(\.path)
    }
    for entry in readings { state.open.add(entry.reading, channel: entry.channel) }
    for index in state.choosers.indices {
      state.choosers[index].choose(readings, catalog: catalog, into: &state.chosen)
    }
  }

  /// Journal position up to which readings were set aside by ``seal()``.
  var sealedPosition: UInt64 { state.withLock { $0.sealedPosition } }

  /// Sets aside what is in memory, to be written by ``write(durable:)`` once the journal is durable up to it.
  package func seal() {
    state.withLock { state in
      guard state.sealed.isEmpty, state.sealedChosen.isEmpty else { return }
      state.close()
      state.sealed = state.closed
      state.closed = []
      state.sealedChosen = state.chosen
      state.chosen = []
      state.sealedPosition = state.position
    }
  }

  /// Writes what is sealed, in one transaction with its position, if the journal is durable up to it.
  ///
  /// Not before: after a crash another message may come under a number that was not durable.
  package func write(durable: UInt64) throws {
    let (parts, chosen, position) = state.withLock {
      ($0.sealed, $0.sealedChosen, $0.sealedPosition)
    }
    guard position > writtenPosition, position <= durable else { return }
    do {
      try moving.withLock { _ in
        try pool.write { db in
          try Self.write(parts, position, outlets, db)
          try Self.put(chosen, db)
          try Self.trim(outlets, db)
        }
        written.store(position, ordering: .relaxed)
        state.withLock { state in
          state.sealed = []
          state.sealedChosen = []
        }
      }
      isFailing.store(false, ordering: .relaxed)
    } catch {
      isFailing.store(true, ordering: .relaxed)
      failed.add(1, ordering: .relaxed)
      throw error
    }
  }

  private static func write(
    _ parts: [Part],
    _ position: UInt64,
    _ outlets: [ReadingOutlet],
    _ db: Database
  ) throws {
    let known = try db.cachedStatement(sql: "SELECT id FROM point WHERE path = ?")
    let insert = try db.cachedStatement(sql: "INSERT INTO point (path) VALUES (?)")
    let upsert = try db.cachedStatement(sql: Self.upsert)
    for (path, part) in parts {
      var identifier = try Int64.fetchOne(known, arguments: [path])
      if identifier == nil {
        try insert.execute(arguments: [path])
        identifier = db.lastInsertedRowID
      }
      try upsert.execute(
        arguments: [
          identifier, part.minute, part.count, part.sum, part.minimum, part.maximum,
          part.maximumTime, part.first, part.firstTime, part.last, part.lastTime,
        ]
      )
      for outlet in outlets where outlet.wantsMinutes(of: path) {
        try mark(point: identifier ?? 0, minute: part.minute, for: outlet.name, db)
      }
    }
    try db.execute(
      sql: "UPDATE state SET position = ?",
      arguments: [Int64(bitPattern: position)]
    )
  }

  /// ``MinuteReduction/merge(_:)`` as SQL.
  private static let upsert = """
    INSERT INTO minute VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (point, minute) DO UPDATE SET
      count = count + excluded.count,
      sum = sum + excluded.sum,
      minimum = min(minimum, excluded.minimum),
      maximum_time = CASE
        WHEN excluded.maximum > maximum THEN excluded.maximum_time
        WHEN excluded.maximum = maximum THEN min(maximum_time, excluded.maximum_time)
        ELSE maximum_time END,
      maximum = max(maximum, excluded.maximum),
      first = CASE WHEN excluded.first_time < first_time THEN excluded.first ELSE first END,
      first_time = min(first_time, excluded.first_time),
      last = CASE WHEN excluded.last_time >= last_time THEN excluded.last ELSE last END,
      last_time = max(last_time, excluded.last_time)
    """

  // MARK: - Keeping

  /// Deletes what is too old or too much.
  ///
  /// - Parameter now: receive time of the newest input, milliseconds since the Unix epoch.
  /// - Returns: how many minutes went.
  /// - Throws: what SQLite says.
  @discardableResult
  package func prune(now: Int64) throws -> Int {
    var deleted = try delete(before: now - options.maximumAge)
    while try bytes() > options.maximumBytes {
      guard
        let oldest = try pool.read({ try Int64.fetchOne($0, sql: "SELECT min(minute) FROM minute") }
        )
      else { break }
      let gone = try delete(before: oldest + 7 * 86_400_000)
      guard gone > 0 else { break }
      deleted += gone
    }
    return deleted
  }

  private func delete(before limit: Int64) throws -> Int {
    try pool.writeWithoutTransaction { db in
      try db.execute(sql: "DELETE FROM minute WHERE minute < ?", arguments: [limit])
      let count = db.changesCount
      try db.execute(sql: "DELETE FROM outgoing_minute WHERE minute < ?", arguments: [limit])
      if count > 0 { try db.execute(sql: "PRAGMA incremental_vacuum") }
      return count
    }
  }

  private func bytes() throws -> Int64 {
    try pool.read { db in
      let pages = try Int64.fetchOne(db, sql: "PRAGMA page_count") ?? 0
      let free = try Int64.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0
      let size = try Int64.fetchOne(db, sql: "PRAGMA page_size") ?? 4_096
      return (pages - free) * size
    }
  }

  // MARK: - Reading

  /// Minutes of a point that begin in `from ..< to`, oldest first, those still in memory included.
  public func minutes(of point: String, from: Timestamp, to: Timestamp) throws -> [MinuteReduction]
  {
    let first = MinuteReduction.minute(of: from.milliseconds)
    let end = to.milliseconds
    return try moving.withLock { _ in
      var found: [Int64: MinuteReduction] = [:]
      try pool.read { db in
        let rows = try Row.fetchCursor(
          db,
          sql: """
            SELECT minute.* FROM minute JOIN point ON point.id = minute.point
            WHERE path = ? AND minute >= ? AND minute < ?
            """,
          arguments: [point, first, end]
        )
        while let row = try rows.next() {
          let part = MinuteReduction(row: row)
          found[part.minute] = part
        }
      }
      for part in inMemory(of: point) where part.minute >= first && part.minute < end {
        if found[part.minute]?.merge(part) == nil { found[part.minute] = part }
      }
      return found.values.sorted { $0.minute < $1.minute }
    }
  }

  /// Whether a point has ever had a reading.
  func knows(point: String) throws -> Bool {
    let isStored = try pool.read { db in
      try Bool.fetchOne(
        db,
        sql: "SELECT EXISTS (SELECT 1 FROM point WHERE path = ?)",
        arguments: [point]
      ) ?? false
    }
    return isStored || !inMemory(of: point).isEmpty
  }

  /// All readings of a point whose minutes begin in `from ..< to`, reduced to one; nil when there are none.
  ///
  /// The result's `minute` is the first one's, and its `first` and `last` are those of the whole span.
  func summary(of point: String, from: Int64, to: Int64) throws -> MinuteReduction? {
    try moving.withLock { _ in
      var whole = try pool.read { db -> MinuteReduction? in
        let row = try Row.fetchOne(db, sql: Self.summarySQL, arguments: [point, from, to])
        guard let row, let count: Int64 = row["count"], count > 0 else { return nil }
        return MinuteReduction(row: row)
      }
      for part in inMemory(of: point) where part.minute >= from && part.minute < to {
        if whole?.merge(part) == nil { whole = part }
      }
      return whole
    }
  }

  private static let summarySQL = """
    WITH span AS (
      SELECT minute.* FROM minute JOIN point ON point.id = minute.point
      WHERE path = ? AND minute >= ? AND minute < ?
    )
    SELECT min(minute) AS minute, sum(count) AS count, sum(sum) AS sum, min(minimum) AS minimum,
      max(maximum) AS maximum,
      (SELECT maximum_time FROM span ORDER BY maximum DESC, maximum_time LIMIT 1) AS maximum_time,
      (SELECT first FROM span ORDER BY first_time LIMIT 1) AS first, min(first_time) AS first_time,
      (SELECT last FROM span ORDER BY last_time DESC LIMIT 1) AS last, max(last_time) AS last_time
    FROM span
    """

  private func inMemory(of point: String) -> [MinuteReduction] {
    state.withLock { state in
      var found = (state.sealed + state.closed).filter { $0.path == point }.map(\.minute)
      for part in state.open.parts where state.paths[part.channel] == point {
        found.append(part.minute)
      }
      return found
    }
  }
}

extension MinuteReduction {
  init(row: Row) {
    self.init(time: row["first_time"], value: row["first"])
    minute = row["minute"]
    count = row["count"]
    sum = row["sum"]
    minimum = row["minimum"]
    maximum = row["maximum"]
    maximumTime = row["maximum_time"]
    last = row["last"]
    lastTime = row["last_time"]
  }
}
