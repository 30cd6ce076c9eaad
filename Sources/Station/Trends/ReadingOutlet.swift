import DeviceCatalog
import GRDB
public import Telemetry

/// What is kept of the readings for somebody who fetches them: the level above, a historian.
///
/// Readings and minutes of an outlet wait in the trends' file, put there in the transaction that carries the journal
/// position, so that a crash neither loses nor doubles one. They go when whoever fetches them says so, or, oldest first,
/// when more wait than may; that is counted.
public struct ReadingOutlet: Hashable, Sendable {
  /// Points and how often one of them is chosen.
  public struct Rule: Hashable, Sendable {
    /// Which points.
    public var points: PointPattern
    /// At most one reading in so many milliseconds; 0 takes every one.
    public var every: Int64
    /// A value that differs by more is taken at once, whatever the time; nil leaves that out.
    ///
    /// A change of the source's status always is.
    public var change: Double?

    /// Makes a rule.
    public init(points: PointPattern, every: Int64 = 0, change: Double? = nil) {
      self.points = points
      self.every = every
      self.change = change
    }
  }

  /// Name, under which what waits is kept.
  public var name: String
  /// The first rule that fits a point counts; without one none of its readings is chosen.
  public var readings: [Rule]
  /// Points whose minutes are chosen.
  public var minutes: [PointPattern]
  /// Most readings that wait.
  public var readingLimit: Int64
  /// Most minutes that wait.
  public var minuteLimit: Int64

  /// Makes an outlet.
  public init(
    name: String,
    readings: [Rule] = [],
    minutes: [PointPattern] = [],
    readingLimit: Int64 = 5_000_000,
    minuteLimit: Int64 = 20_000_000
  ) {
    self.name = name
    self.readings = readings
    self.minutes = minutes
    self.readingLimit = readingLimit
    self.minuteLimit = minuteLimit
  }

  func wantsMinutes(of path: String) -> Bool { minutes.contains { $0.matches(path) } }
}

/// A set of points by their paths, written as MQTT filters are: `+` stands for a level, `#` at the end for all below.
public struct PointPattern: Hashable, Sendable, CustomStringConvertible {
  /// The pattern as written.
  public let description: String
  private let levels: [Substring]

  /// Reads a pattern; nil when `#` is not the last level, or a level is mixed with a wildcard or empty.
  public init?(_ text: String) {
    let levels = text.split(separator: "/", omittingEmptySubsequences: false)
    for (place, level) in levels.enumerated() {
      guard !level.isEmpty else { return nil }
      if level == "#", place + 1 < levels.count { return nil }
      if level.count > 1, level.contains(where: { "+#".contains($0) }) { return nil }
    }
    description = text
    self.levels = levels
  }

  /// Whether a point's path is meant.
  public func matches(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    for (place, level) in levels.enumerated() {
      if level == "#" { return true }
      guard place < parts.count, level == "+" || level == parts[place] else { return false }
    }
    return parts.count == levels.count
  }
}

/// A reading on its way to an outlet.
struct ChosenReading: Sendable {
  var outlet: String
  var point: String
  var unit: String
  var reading: LatestReading
}

/// Chooses readings for one outlet; what it knows of the readings before is lost with a restart, and the next one of
/// each point is then taken.
struct ReadingChooser: Sendable {
  private let outlet: ReadingOutlet
  private var version = ""
  /// Channel row → row of its rule, or -1.
  private var ruleOfChannel: [Int32] = []
  private var last: [Int: LatestReading] = [:]

  init(_ outlet: ReadingOutlet) {
    self.outlet = outlet
  }

  mutating func choose(
    _ readings: [CoreOutput.ChannelReading],
    catalog: Catalog,
    into chosen: inout [ChosenReading]
  ) {
    if version != catalog.version {
      version = catalog.version
      last = [:]
      ruleOfChannel = catalog.channels.map { channel in
        Int32(outlet.readings.firstIndex { $0.points.matches(channel.path) } ?? -1)
      }
    }
    for entry in readings where ruleOfChannel[entry.channel] >= 0 {
      let rule = outlet.readings[Int(ruleOfChannel[entry.channel])]
      if let before = last[entry.channel], !rule.takes(entry.reading, after: before) { continue }
      last[entry.channel] = entry.reading
      let channel = catalog.channels[entry.channel]
      chosen.append(
        ChosenReading(
          outlet: outlet.name,
          point: channel.path,
          unit: channel.unit,
          reading: entry.reading
        )
      )
    }
  }
}

extension ReadingOutlet.Rule {
  fileprivate func takes(_ reading: LatestReading, after last: LatestReading) -> Bool {
    if reading.status != last.status { return true }
    if let change, abs(reading.value - last.value) > change { return true }
    // One from before the last is history that comes late: taken where every one is.
    return every == 0 || reading.time.milliseconds(since: last.time) >= every
  }
}

/// A minute that waits for an outlet.
public struct WaitingMinute: Hashable, Sendable {
  /// Number within the outlet; a minute that changes gets a new one.
  public var number: Int64
  /// Path of the point.
  public var point: String
  /// The minute as it stands.
  public var minute: MinuteReduction
}

extension TrendStore {
  /// What waits for an outlet.
  public struct Waiting: Hashable, Sendable {
    /// Readings.
    public var readings: Int64 = 0
    /// Event time of the oldest of them.
    public var oldest: Timestamp?
    /// Minutes.
    public var minutes: Int64 = 0
    /// Readings and minutes that went because too many waited.
    public var dropped: Int64 = 0

    /// Nothing.
    public init() {}
  }

  /// Readings that wait for an outlet behind a number, in order.
  public func readings(
    for outlet: String,
    after number: Int64,
    limit: Int
  ) throws -> [RelayBatch.Reading] {
    try pool.read { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT number, point, unit, time, value, status FROM outgoing
          WHERE outlet = ? AND number > ? ORDER BY number LIMIT ?
          """,
        arguments: [outlet, number, limit]
      ).map { row in
        RelayBatch.Reading(
          number: row[0],
          point: row[1],
          unit: row[2],
          time: Timestamp(milliseconds: row[3]),
          value: row[4],
          status: SourceStatus(rawValue: row[5]) ?? .unknown
        )
      }
    }
  }

  /// Gives what waits, and all that comes, numbers beyond one that the fetcher knows of: the file was begun anew, and
  /// numbers that were used before would be taken for repeats.
  public func renumber(_ outlet: String, beyond number: Int64) throws {
    // Numbers must stay whole ones of 64 bits, whatever a fetcher says that it knows of.
    let number = min(number, RelayBatch.numberLimit)
    try pool.write { db in
      guard
        let last = try Int64.fetchOne(
          db,
          sql: "SELECT last FROM outlet WHERE name = ?",
          arguments: [outlet]
        ), last < number
      else { return }
      // Farther than the numbers in use reach, so that no row meets another on its way.
      try db.execute(
        sql: "UPDATE outgoing SET number = number + ? WHERE outlet = ?",
        arguments: [number + last, outlet]
      )
      try db.execute(
        sql: "UPDATE outlet SET last = last + ? WHERE name = ?",
        arguments: [number + last, outlet]
      )
    }
  }

  /// Takes readings out that have been fetched, up to a number.
  public func confirmReadings(for outlet: String, through number: Int64) throws {
    try pool.write { db in
      try db.execute(
        sql: "DELETE FROM outgoing WHERE outlet = ? AND number <= ?",
        arguments: [outlet, number]
      )
    }
  }

  /// Minutes that wait for an outlet and begin before `ripe`, in the order in which they last changed.
  public func minutes(for outlet: String, ripe: Timestamp, limit: Int) throws -> [WaitingMinute] {
    try pool.read { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT outgoing_minute.number AS number, point.path AS path, minute.*
          FROM outgoing_minute
          JOIN minute ON minute.point = outgoing_minute.point
            AND minute.minute = outgoing_minute.minute
          JOIN point ON point.id = outgoing_minute.point
          WHERE outlet = ? AND outgoing_minute.minute < ? ORDER BY number LIMIT ?
          """,
        arguments: [outlet, ripe.milliseconds, limit]
      ).map { row in
        WaitingMinute(number: row["number"], point: row["path"], minute: MinuteReduction(row: row))
      }
    }
  }

  /// Takes minutes out that have been fetched; one that has changed meanwhile stays.
  public func confirm(_ minutes: [WaitingMinute], for outlet: String) throws {
    try pool.write { db in
      let delete = try db.cachedStatement(
        sql: "DELETE FROM outgoing_minute WHERE outlet = ? AND number = ?"
      )
      for minute in minutes { try delete.execute(arguments: [outlet, minute.number]) }
    }
  }

  /// How much waits for an outlet.
  public func waiting(for outlet: String) throws -> Waiting {
    try pool.read { db in
      var waiting = Waiting()
      if let row = try Row.fetchOne(
        db,
        sql: "SELECT last, dropped FROM outlet WHERE name = ?",
        arguments: [outlet]
      ) {
        waiting.dropped = row[1]
      }
      if let row = try Row.fetchOne(
        db,
        sql: """
          SELECT number, time, (SELECT max(number) FROM outgoing WHERE outlet = ?1) AS newest
          FROM outgoing WHERE outlet = ?1 ORDER BY number LIMIT 1
          """,
        arguments: [outlet]
      ) {
        // Numbers are dense, and what goes, goes from the front.
        waiting.readings = (row["newest"] as Int64) - (row["number"] as Int64) + 1
        waiting.oldest = Timestamp(milliseconds: row["time"])
      }
      waiting.minutes =
        try Int64.fetchOne(
          db,
          sql: "SELECT count(*) FROM outgoing_minute WHERE outlet = ?",
          arguments: [outlet]
        ) ?? 0
      return waiting
    }
  }

  // MARK: - The file

  static func prepare(_ outlets: [ReadingOutlet], in db: Database) throws {
    try db.execute(
      sql: """
        CREATE TABLE IF NOT EXISTS outlet (
          name TEXT PRIMARY KEY, last INTEGER NOT NULL, last_minute INTEGER NOT NULL,
          dropped INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS outgoing (
          outlet TEXT NOT NULL, number INTEGER NOT NULL, point TEXT NOT NULL, unit TEXT NOT NULL,
          time INTEGER NOT NULL, value REAL, status INTEGER NOT NULL,
          PRIMARY KEY (outlet, number)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS outgoing_minute (
          outlet TEXT NOT NULL, point INTEGER NOT NULL, minute INTEGER NOT NULL,
          number INTEGER NOT NULL, PRIMARY KEY (outlet, point, minute)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX IF NOT EXISTS outgoing_minute_number ON outgoing_minute(outlet, number);
        """
    )
    for outlet in outlets {
      try db.execute(
        sql: "INSERT OR IGNORE INTO outlet VALUES (?, 0, 0, 0)",
        arguments: [outlet.name]
      )
    }
    // What nobody fetches any more must not wait for ever. Its numbers stay: a receiver may know them.
    let names = outlets.map(\.name)
    for name in try String.fetchAll(db, sql: "SELECT name FROM outlet") where !names.contains(name)
    {
      try db.execute(sql: "DELETE FROM outgoing WHERE outlet = ?", arguments: [name])
      try db.execute(sql: "DELETE FROM outgoing_minute WHERE outlet = ?", arguments: [name])
    }
  }

  static func put(_ chosen: [ChosenReading], _ db: Database) throws {
    guard !chosen.isEmpty else { return }
    let insert = try db.cachedStatement(sql: "INSERT INTO outgoing VALUES (?, ?, ?, ?, ?, ?, ?)")
    var last: [String: Int64] = [:]
    for entry in chosen {
      let number: Int64
      if let known = last[entry.outlet] {
        number = known + 1
      } else {
        let stored = try Int64.fetchOne(
          db,
          sql: "SELECT last FROM outlet WHERE name = ?",
          arguments: [entry.outlet]
        )
        number = (stored ?? 0) + 1
      }
      last[entry.outlet] = number
      let reading = entry.reading
      let hasValue = reading.value.isFinite && reading.status.use != .noValue
      try insert.execute(arguments: [
        entry.outlet, number, entry.point, entry.unit, reading.time.milliseconds,
        hasValue ? reading.value : nil, reading.status.rawValue,
      ])
    }
    for (outlet, number) in last {
      try db.execute(
        sql: "UPDATE outlet SET last = ? WHERE name = ?",
        arguments: [number, outlet]
      )
    }
  }

  /// Notes that a minute has changed.
  static func mark(point: Int64, minute: Int64, for outlet: String, _ db: Database) throws {
    try db.cachedStatement(sql: "UPDATE outlet SET last_minute = last_minute + 1 WHERE name = ?")
      .execute(arguments: [outlet])
    try db.cachedStatement(
      sql: """
        INSERT INTO outgoing_minute SELECT name, ?, ?, last_minute FROM outlet WHERE name = ?
        ON CONFLICT (outlet, point, minute) DO UPDATE SET number = excluded.number
        """
    ).execute(arguments: [point, minute, outlet])
  }

  /// Drops the oldest of what is too much.
  static func trim(_ outlets: [ReadingOutlet], _ db: Database) throws {
    for outlet in outlets {
      try db.execute(
        sql: """
          DELETE FROM outgoing WHERE outlet = ?1
            AND number <= (SELECT last FROM outlet WHERE name = ?1) - ?2
          """,
        arguments: [outlet.name, outlet.readingLimit]
      )
      var dropped = db.changesCount
      try db.execute(
        sql: """
          DELETE FROM outgoing_minute WHERE outlet = ?1
            AND number <= (SELECT last_minute FROM outlet WHERE name = ?1) - ?2
          """,
        arguments: [outlet.name, outlet.minuteLimit]
      )
      dropped += db.changesCount
      guard dropped > 0 else { continue }
      try db.execute(
        sql: "UPDATE outlet SET dropped = dropped + ? WHERE name = ?",
        arguments: [dropped, outlet.name]
      )
    }
  }
}
