import Foundation
internal import GRDB

/// A row of `account` with what only the service may see.
struct AccountRecord: Sendable {
  var account: Account
  var password: PasswordHash?
  /// Raised when a password changes or the account is closed: tokens of an older epoch are void.
  var epoch: Int64
}

/// A session as it is kept.
struct SessionRecord: Sendable {
  var account: String
  var created: Int64
  /// When it was last used; written with a delay, see ``AccountService/sweep(now:)``.
  var seen: Int64
  /// It was opened by a one-time link, so that the password may be set without the old one for a while.
  var isByLink: Bool
}

/// A machine's key as it is kept.
struct KeyRecord: Sendable {
  var key: MachineKey
  var digest: Data
}

/// The accounts' own SQLite file: password hashes are here and nowhere else, never in journal or ledger.
struct AccountStore: Sendable {
  let path: String
  private let queue: DatabaseQueue

  private static let schema = """
    CREATE TABLE account (
      id TEXT PRIMARY KEY,
      document TEXT NOT NULL,
      password TEXT,
      epoch INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE session (
      digest BLOB PRIMARY KEY,
      account TEXT NOT NULL REFERENCES account(id),
      created INTEGER NOT NULL,
      seen INTEGER NOT NULL,
      by_link INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE invitation (
      digest BLOB PRIMARY KEY,
      account TEXT NOT NULL REFERENCES account(id),
      expires INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE machine_key (
      id TEXT PRIMARY KEY,
      document TEXT NOT NULL,
      digest BLOB NOT NULL
    ) STRICT;
    CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    """
  /// `PRAGMA application_id`: "DVYA".
  private static let applicationID = 0x4456_5941

  init(path: String) throws(AccountError) {
    self.path = path
    queue = try Self.translating(path) {
      if !FileManager.default.fileExists(atPath: path) {
        // Before SQLite makes it readable to everybody.
        guard
          FileManager.default.createFile(
            atPath: path,
            contents: nil,
            attributes: [.posixPermissions: 0o600]
          )
        else { throw AccountError.store(path: path, reason: "the file cannot be made") }
      }
      var configuration = Configuration()
      configuration.busyMode = .timeout(5)
      configuration.foreignKeysEnabled = true
      configuration.label = "accounts"
      configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      try queue.write { db in
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard version <= 1 else {
          throw AccountError.store(
            path: path,
            reason: "it was written by a newer version (schema \(version))"
          )
        }
        guard version == 0 else { return }
        try db.execute(sql: Self.schema)
        try db.execute(
          sql: "PRAGMA application_id = \(Self.applicationID); PRAGMA user_version = 1"
        )
      }
      return queue
    }
  }

  // MARK: - Reading

  func accounts() throws(AccountError) -> [String: AccountRecord] {
    try reading { db in
      var records: [String: AccountRecord] = [:]
      for row in try Row.fetchAll(db, sql: "SELECT id, document, password, epoch FROM account") {
        let account = try JSONDecoder().decode(Account.self, from: Data((row[1] as String).utf8))
        let password = (row[2] as String?).flatMap { PasswordHash($0) }
        records[row[0]] = AccountRecord(account: account, password: password, epoch: row[3])
      }
      return records
    }
  }

  func sessions() throws(AccountError) -> [Data: SessionRecord] {
    try reading { db in
      let rows = try Row.fetchAll(db, sql: "SELECT * FROM session")
      return Dictionary(
        uniqueKeysWithValues: rows.map { row in
          (
            row[0] as Data,
            SessionRecord(account: row[1], created: row[2], seen: row[3], isByLink: row[4])
          )
        }
      )
    }
  }

  func keys() throws(AccountError) -> [String: KeyRecord] {
    try reading { db in
      var records: [String: KeyRecord] = [:]
      for row in try Row.fetchAll(db, sql: "SELECT id, document, digest FROM machine_key") {
        let key = try JSONDecoder().decode(MachineKey.self, from: Data((row[1] as String).utf8))
        records[row[0]] = KeyRecord(key: key, digest: row[2])
      }
      return records
    }
  }

  /// A secret of the service itself, drawn at its first use.
  func secret(_ name: String, bytes: Int) throws(AccountError) -> Data {
    try writing { db in
      if let value = try Data.fetchOne(
        db,
        sql: "SELECT value FROM secret WHERE name = ?",
        arguments: [name]
      ) {
        return value
      }
      var generator = SystemRandomNumberGenerator()
      let value = Data((0..<bytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
      try db.execute(sql: "INSERT INTO secret VALUES (?, ?)", arguments: [name, value])
      return value
    }
  }

  // MARK: - Writing

  func store(_ record: AccountRecord) throws(AccountError) {
    try writing { db in
      let document = String(decoding: try Self.encoder.encode(record.account), as: UTF8.self)
      try db.execute(
        sql: """
          INSERT INTO account VALUES (?1, ?2, ?3, ?4)
          ON CONFLICT (id) DO UPDATE SET document = ?2, password = ?3, epoch = ?4
          """,
        arguments: [record.account.id, document, record.password?.description, record.epoch]
      )
    }
  }

  func store(_ session: SessionRecord, digest: Data) throws(AccountError) {
    try writing { db in
      try db.execute(
        sql: "INSERT INTO session VALUES (?, ?, ?, ?, ?)",
        arguments: [
          digest, session.account, session.created, session.seen, session.isByLink,
        ]
      )
    }
  }

  func updateSeen(_ seen: [Data: Int64]) throws(AccountError) {
    try writing { db in
      for (digest, time) in seen {
        try db.execute(
          sql: "UPDATE session SET seen = ? WHERE digest = ?",
          arguments: [time, digest]
        )
      }
    }
  }

  func removeSessions(_ digests: [Data]) throws(AccountError) {
    try writing { db in
      for digest in digests {
        try db.execute(sql: "DELETE FROM session WHERE digest = ?", arguments: [digest])
      }
    }
  }

  /// Keeps an invitation; earlier ones of the same account are void with it.
  func storeInvitation(_ digest: Data, account: String, expires: Int64) throws(AccountError) {
    try writing { db in
      try db.execute(sql: "DELETE FROM invitation WHERE account = ?", arguments: [account])
      try db.execute(
        sql: "INSERT INTO invitation VALUES (?, ?, ?)",
        arguments: [digest, account, expires]
      )
    }
  }

  /// Takes an invitation out: the first who asks gets its account.
  func takeInvitation(_ digest: Data, now: Int64) throws(AccountError) -> String? {
    try writing { db in
      let row = try Row.fetchOne(
        db,
        sql: "DELETE FROM invitation WHERE digest = ? RETURNING account, expires",
        arguments: [digest]
      )
      guard let row, (row[1] as Int64) > now else { return nil }
      return row[0]
    }
  }

  func store(_ record: KeyRecord) throws(AccountError) {
    try writing { db in
      let document = String(decoding: try Self.encoder.encode(record.key), as: UTF8.self)
      try db.execute(
        sql: "INSERT INTO machine_key VALUES (?, ?, ?)",
        arguments: [record.key.id, document, record.digest]
      )
    }
  }

  func removeKey(_ id: String) throws(AccountError) {
    try writing { db in
      try db.execute(sql: "DELETE FROM machine_key WHERE id = ?", arguments: [id])
    }
  }

  private static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return encoder
  }

  private func reading<Answer>(_ work: (Database) throws -> Answer) throws(AccountError) -> Answer {
    try Self.translating(path) { try queue.read(work) }
  }

  private func writing<Answer>(_ work: (Database) throws -> Answer) throws(AccountError) -> Answer {
    try Self.translating(path) { try queue.write(work) }
  }

  private static func translating<Answer>(
    _ path: String,
    _ work: () throws -> Answer
  ) throws(AccountError) -> Answer {
    do {
      return try work()
    } catch let error as AccountError {
      throw error
    } catch {
      throw .store(path: path, reason: "\(error)")
    }
  }
}
