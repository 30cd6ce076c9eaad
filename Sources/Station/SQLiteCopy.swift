import GRDB

/// Copies an SQLite database that may be in use.
enum SQLiteCopy {
  /// Copies what is committed in the database at `source`, its write-ahead log included, into a new file.
  ///
  /// SQLite's own online backup: readers and the writer of `source` go on meanwhile, and the copy is one moment of it.
  static func copy(_ source: String, to target: String) throws {
    var reading = Configuration()
    reading.readonly = true
    // A writer that checkpoints holds readers up for moments only.
    reading.busyMode = .timeout(10)
    let from = try DatabaseQueue(path: source, configuration: reading)
    let to = try DatabaseQueue(path: target)
    try from.backup(to: to)
    // One file: what is restored must not depend on a log beside it.
    try to.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
    try to.close()
    try from.close()
  }
}
