internal import GRDB

/// The tables of the SQLite ledger and their versions.
enum LedgerSchema {
  /// `PRAGMA application_id`: "DVYL".
  static let applicationID: Int = 0x4456_594c

  /// One script per version; version n is reached by running the first n.
  static let migrations = [version1, version2, version3, version4, version5, version6]

  static var currentVersion: Int { migrations.count }

  /// The entries, and what is derived from them.
  ///
  /// The triggers hold the append-only rule against every connection, also against a person with
  /// the sqlite3 shell: an entry comes in only behind the newest and linked to it, never goes, and
  /// changes only by losing its body after a redaction has listed it. They guard against accidents;
  /// against intent stand the chain and the signed checkpoints.
  private static let version1 = """
    CREATE TABLE entry (
      seq INTEGER PRIMARY KEY,
      time INTEGER NOT NULL,
      kind TEXT NOT NULL,
      subject TEXT NOT NULL,
      actor TEXT NOT NULL,
      body BLOB,
      origin INTEGER NOT NULL,
      prev_hash BLOB NOT NULL,
      hash BLOB NOT NULL
    ) STRICT;
    CREATE INDEX entry_subject ON entry(subject, seq);

    CREATE TABLE redacted (
      seq INTEGER PRIMARY KEY REFERENCES entry(seq),
      redaction INTEGER NOT NULL REFERENCES entry(seq),
      length INTEGER NOT NULL,
      digest BLOB NOT NULL
    ) STRICT;

    CREATE TRIGGER entry_in_order BEFORE INSERT ON entry
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entry)
      OR NEW.prev_hash IS NOT coalesce(
        (SELECT hash FROM entry ORDER BY seq DESC LIMIT 1), zeroblob(32))
    BEGIN
      SELECT RAISE(ABORT, 'an entry is added only behind the newest and linked to it');
    END;
    CREATE TRIGGER entry_stays BEFORE DELETE ON entry
    BEGIN
      SELECT RAISE(ABORT, 'an entry is never deleted');
    END;
    CREATE TRIGGER entry_unchanged BEFORE UPDATE ON entry
    WHEN NEW.seq IS NOT OLD.seq OR NEW.time IS NOT OLD.time OR NEW.kind IS NOT OLD.kind
      OR NEW.subject IS NOT OLD.subject OR NEW.actor IS NOT OLD.actor
      OR NEW.origin IS NOT OLD.origin OR NEW.prev_hash IS NOT OLD.prev_hash
      OR NEW.hash IS NOT OLD.hash OR NEW.body IS NOT NULL
      OR NOT EXISTS (SELECT 1 FROM redacted WHERE seq = OLD.seq)
    BEGIN
      SELECT RAISE(ABORT, 'an entry is never changed; only a redaction may take its body');
    END;
    CREATE TRIGGER redacted_stays BEFORE DELETE ON redacted
    BEGIN
      SELECT RAISE(ABORT, 'a redaction is never taken back');
    END;
    CREATE TRIGGER redacted_unchanged BEFORE UPDATE ON redacted
    BEGIN
      SELECT RAISE(ABORT, 'a redaction is never changed');
    END;

    CREATE TABLE station (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      name TEXT NOT NULL,
      position INTEGER NOT NULL,
      head_seq INTEGER NOT NULL,
      head_hash BLOB NOT NULL
    ) STRICT;

    CREATE TABLE alarm (
      first_seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      point TEXT NOT NULL,
      rule TEXT NOT NULL,
      onset INTEGER NOT NULL,
      state TEXT NOT NULL,
      priority INTEGER NOT NULL,
      last_time INTEGER NOT NULL,
      last_seq INTEGER NOT NULL,
      raised_time INTEGER,
      raised_seq INTEGER,
      acknowledged_time INTEGER,
      acknowledged_seq INTEGER,
      acknowledged_by TEXT NOT NULL,
      acknowledged_reason TEXT NOT NULL,
      returned_time INTEGER,
      returned_seq INTEGER,
      reset_time INTEGER,
      reset_seq INTEGER,
      actor TEXT NOT NULL,
      reason TEXT NOT NULL,
      shelved_until INTEGER,
      value REAL,
      limit_value REAL,
      unit TEXT NOT NULL,
      catalog TEXT NOT NULL,
      steps INTEGER NOT NULL,
      revisions INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX alarm_standing ON alarm(first_seq) WHERE state <> 'normal';
    CREATE INDEX alarm_point ON alarm(point, first_seq);

    CREATE TABLE counter (
      name TEXT PRIMARY KEY,
      value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE hazard (
      first_seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      enterprise TEXT NOT NULL,
      place TEXT NOT NULL,
      source TEXT NOT NULL,
      title TEXT NOT NULL,
      state TEXT NOT NULL,
      grade TEXT,
      deadline INTEGER,
      listed TEXT,
      rung TEXT,
      last_time INTEGER NOT NULL,
      last_seq INTEGER NOT NULL,
      steps INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX hazard_enterprise ON hazard(enterprise, first_seq);

    CREATE TABLE hazard_alarm (
      alarm TEXT NOT NULL,
      hazard TEXT NOT NULL,
      PRIMARY KEY (alarm, hazard)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE checkpoint (
      size INTEGER PRIMARY KEY,
      time INTEGER NOT NULL,
      root BLOB NOT NULL,
      key BLOB NOT NULL,
      signature BLOB NOT NULL
    ) STRICT;

    CREATE TABLE subtree (
      level INTEGER NOT NULL,
      place INTEGER NOT NULL,
      hash BLOB NOT NULL,
      PRIMARY KEY (level, place)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE reject (
      reason TEXT NOT NULL,
      topic TEXT NOT NULL,
      device TEXT NOT NULL,
      count INTEGER NOT NULL,
      first_seq INTEGER NOT NULL,
      last_seq INTEGER NOT NULL,
      first_time INTEGER NOT NULL,
      last_time INTEGER NOT NULL,
      detail TEXT NOT NULL,
      sample BLOB NOT NULL,
      PRIMARY KEY (reason, topic, device)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX reject_newest ON reject(last_seq);
    """

  /// Call-outs, clocks, silences and register items in lists; nothing of these kinds was written before.
  private static let version2 = """
    CREATE TABLE matter (
      first_seq INTEGER PRIMARY KEY,
      kind TEXT NOT NULL,
      id TEXT NOT NULL,
      place TEXT NOT NULL,
      state TEXT NOT NULL,
      is_open INTEGER NOT NULL,
      first_time INTEGER NOT NULL,
      last_time INTEGER NOT NULL,
      last_seq INTEGER NOT NULL,
      steps INTEGER NOT NULL,
      UNIQUE (kind, id)
    ) STRICT;
    CREATE INDEX matter_kind ON matter(kind, first_seq);
    CREATE INDEX matter_open ON matter(kind, first_seq) WHERE is_open = 1;
    CREATE INDEX hazard_open ON hazard(first_seq)
      WHERE state NOT IN ('dismissed', 'closed', 'generalised');
    """

  /// What scoped readers and filters are answered from in a ledger of ten million entries.
  private static let version3 = """
    CREATE TABLE entry_owner (
      enterprise TEXT NOT NULL,
      seq INTEGER NOT NULL,
      PRIMARY KEY (enterprise, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX alarm_enterprise
      ON alarm(substr(point, 1, instr(point, '/') - 1), first_seq);
    CREATE INDEX alarm_rule ON alarm(rule, first_seq);
    CREATE INDEX alarm_onset ON alarm(onset);
    """

  /// Refused acts on hazards and call-outs belong to whom they were tried on: the index is derived again.
  private static let version4 = "DELETE FROM entry_owner;"

  /// What lists of call-outs, clocks and silences of one enterprise are answered from.
  private static let version5 = "CREATE INDEX matter_place ON matter(kind, place, first_seq);"

  /// What lists of hazards of one place are answered from.
  private static let version6 = "CREATE INDEX hazard_place ON hazard(place, first_seq);"

  /// Brings the database to the current version, or says why it is none of ours.
  static func migrate(_ db: Database, path: String) throws {
    let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    let application = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    if version > currentVersion, application == applicationID {
      throw LedgerError.schemaTooNew(path: path, found: version, supported: currentVersion)
    }
    if application != applicationID {
      let tables = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
      guard tables == 0, version == 0 else {
        throw LedgerError.notALedger(path: path, detail: "it holds tables of something else")
      }
    }
    for next in version..<currentVersion {
      try db.inTransaction {
        try db.execute(sql: migrations[next])
        if next == 2 || next == 3 { try OwnerIndex.rebuild(db) }
        try db.execute(sql: "PRAGMA application_id = \(applicationID)")
        try db.execute(sql: "PRAGMA user_version = \(next + 1)")
        return .commit
      }
    }
  }
}
