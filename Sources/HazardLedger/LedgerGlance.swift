internal import GRDB

/// What a ledger file holds at a glance, read beside a running writer and without its lock.
public struct LedgerGlance: Hashable, Sendable {
  /// Name of the station.
  public var station: String
  /// Entries.
  public var entries: Int64
  /// Journal position.
  public var position: UInt64
  /// Alarm occurrences that are not normal and whose condition is true.
  public var standing: Int
  /// Their rules, `point#rule`.
  public var standingRules: Set<String>

  /// Reads a ledger file.
  ///
  /// - Throws: why it cannot be read.
  public init(path: String) throws(LedgerError) {
    self = try SQLiteLedger.translating(path) {
      var configuration = Configuration()
      configuration.readonly = true
      configuration.busyMode = .timeout(5)
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      return try queue.read { db in
        let row = try Row.fetchOne(db, sql: "SELECT head_seq, position, name FROM station")
        guard let row else {
          throw LedgerError.notALedger(path: path, detail: "it holds no station")
        }
        let rules = try String.fetchAll(
          db,
          sql: "SELECT point || '#' || rule FROM alarm WHERE state IN (?, ?)",
          arguments: [
            AlarmBody.State.unacknowledged.rawValue, AlarmBody.State.acknowledged.rawValue,
          ]
        )
        let position: Int64 = row[1]
        return LedgerGlance(
          station: row[2],
          entries: row[0],
          position: UInt64(bitPattern: position),
          standing: rules.count,
          standingRules: Set(rules)
        )
      }
    }
  }

  private init(
    station: String,
    entries: Int64,
    position: UInt64,
    standing: Int,
    standingRules: Set<String>
  ) {
    self.station = station
    self.entries = entries
    self.position = position
    self.standing = standing
    self.standingRules = standingRules
  }
}
