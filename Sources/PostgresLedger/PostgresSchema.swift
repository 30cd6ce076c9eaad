import HazardLedger

/// The tables of the PostgreSQL ledger and their versions: one schema a station.
enum PostgresSchema {
  /// One script per version; version n is reached by running the first n.
  static let migrations = [version1, version2, version3, version4]

  static var currentVersion: Int { migrations.count }

  /// The entries, and what is derived from them, as in SQLite; see `docs/ledger.md`.
  ///
  /// Texts compare by bytes (`COLLATE "C"`), as SQLite's do: a path's subtree is a range of keys. The triggers hold
  /// the append-only rule and the epoch against every connection, also a person's with psql.
  private static let version1 = """
    CREATE TABLE station (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      name TEXT COLLATE "C" NOT NULL,
      position BIGINT NOT NULL,
      head_seq BIGINT NOT NULL,
      head_hash BYTEA NOT NULL,
      epoch BIGINT NOT NULL,
      writer TEXT NOT NULL,
      claimed TIMESTAMPTZ NOT NULL
    );

    CREATE TABLE entry (
      seq BIGINT PRIMARY KEY,
      time BIGINT NOT NULL,
      kind TEXT COLLATE "C" NOT NULL,
      subject TEXT COLLATE "C" NOT NULL,
      actor TEXT COLLATE "C" NOT NULL,
      body BYTEA,
      origin BIGINT NOT NULL,
      prev_hash BYTEA NOT NULL CHECK (length(prev_hash) = 32),
      hash BYTEA NOT NULL CHECK (length(hash) = 32)
    );
    CREATE INDEX entry_subject ON entry(subject, seq);

    CREATE TABLE redacted (
      seq BIGINT PRIMARY KEY REFERENCES entry(seq),
      redaction BIGINT NOT NULL REFERENCES entry(seq),
      length BIGINT NOT NULL,
      digest BYTEA NOT NULL
    );

    CREATE FUNCTION entry_in_order() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
      IF NOT EXISTS (
        SELECT 1 FROM station WHERE epoch::text = current_setting('davy.epoch', true)
      ) THEN
        RAISE EXCEPTION 'an entry is added only by the writer that holds the epoch';
      END IF;
      IF EXISTS (
        SELECT 1 FROM added LEFT JOIN entry AS before ON before.seq = added.seq - 1
        WHERE added.prev_hash IS DISTINCT FROM
          CASE WHEN added.seq = 1 THEN decode(repeat('00', 32), 'hex') ELSE before.hash END
      ) THEN
        RAISE EXCEPTION 'an entry is added only behind the newest and linked to it';
      END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER entry_in_order AFTER INSERT ON entry REFERENCING NEW TABLE AS added
      FOR EACH STATEMENT EXECUTE FUNCTION entry_in_order();

    CREATE FUNCTION entry_stays() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
      RAISE EXCEPTION 'an entry is never deleted, a redaction never taken back or changed';
    END $$;
    CREATE TRIGGER entry_stays BEFORE DELETE OR TRUNCATE ON entry
      FOR EACH STATEMENT EXECUTE FUNCTION entry_stays();
    CREATE TRIGGER redacted_stays BEFORE DELETE OR UPDATE OR TRUNCATE ON redacted
      FOR EACH STATEMENT EXECUTE FUNCTION entry_stays();

    CREATE FUNCTION entry_unchanged() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
      IF (NEW.seq, NEW.time, NEW.kind, NEW.subject, NEW.actor, NEW.origin, NEW.prev_hash, NEW.hash)
          IS DISTINCT FROM
          (OLD.seq, OLD.time, OLD.kind, OLD.subject, OLD.actor, OLD.origin, OLD.prev_hash, OLD.hash)
        OR NEW.body IS NOT NULL
        OR NOT EXISTS (SELECT 1 FROM redacted WHERE seq = OLD.seq) THEN
        RAISE EXCEPTION 'an entry is never changed; only a redaction may take its body';
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER entry_unchanged BEFORE UPDATE ON entry
      FOR EACH ROW EXECUTE FUNCTION entry_unchanged();

    CREATE TABLE alarm (
      first_seq BIGINT PRIMARY KEY,
      id TEXT COLLATE "C" NOT NULL UNIQUE,
      point TEXT COLLATE "C" NOT NULL,
      rule TEXT COLLATE "C" NOT NULL,
      onset BIGINT NOT NULL,
      state TEXT COLLATE "C" NOT NULL,
      priority BIGINT NOT NULL,
      last_time BIGINT NOT NULL,
      last_seq BIGINT NOT NULL,
      raised_time BIGINT,
      raised_seq BIGINT,
      acknowledged_time BIGINT,
      acknowledged_seq BIGINT,
      acknowledged_by TEXT NOT NULL,
      acknowledged_reason TEXT NOT NULL,
      returned_time BIGINT,
      returned_seq BIGINT,
      reset_time BIGINT,
      reset_seq BIGINT,
      actor TEXT NOT NULL,
      reason TEXT NOT NULL,
      shelved_until BIGINT,
      value DOUBLE PRECISION,
      limit_value DOUBLE PRECISION,
      unit TEXT NOT NULL,
      catalog TEXT NOT NULL,
      steps BIGINT NOT NULL,
      revisions BIGINT NOT NULL
    );
    CREATE INDEX alarm_standing ON alarm(first_seq) WHERE state <> 'normal';
    CREATE INDEX alarm_point ON alarm(point, first_seq);

    CREATE TABLE counter (
      name TEXT COLLATE "C" PRIMARY KEY,
      value BIGINT NOT NULL
    );

    CREATE TABLE hazard (
      first_seq BIGINT PRIMARY KEY,
      id TEXT COLLATE "C" NOT NULL UNIQUE,
      enterprise TEXT COLLATE "C" NOT NULL,
      place TEXT COLLATE "C" NOT NULL,
      source TEXT COLLATE "C" NOT NULL,
      title TEXT NOT NULL,
      state TEXT COLLATE "C" NOT NULL,
      grade TEXT COLLATE "C",
      deadline BIGINT,
      listed TEXT,
      rung TEXT,
      last_time BIGINT NOT NULL,
      last_seq BIGINT NOT NULL,
      steps BIGINT NOT NULL
    );
    CREATE INDEX hazard_enterprise ON hazard(enterprise, first_seq);

    CREATE INDEX hazard_open ON hazard(first_seq)
      WHERE state NOT IN ('dismissed', 'closed', 'generalised');

    CREATE TABLE matter (
      first_seq BIGINT PRIMARY KEY,
      kind TEXT COLLATE "C" NOT NULL,
      id TEXT COLLATE "C" NOT NULL,
      place TEXT COLLATE "C" NOT NULL,
      state TEXT COLLATE "C" NOT NULL,
      is_open BIGINT NOT NULL,
      first_time BIGINT NOT NULL,
      last_time BIGINT NOT NULL,
      last_seq BIGINT NOT NULL,
      steps BIGINT NOT NULL,
      UNIQUE (kind, id)
    );
    CREATE INDEX matter_kind ON matter(kind, first_seq);
    CREATE INDEX matter_open ON matter(kind, first_seq) WHERE is_open = 1;

    CREATE TABLE hazard_alarm (
      alarm TEXT COLLATE "C" NOT NULL,
      hazard TEXT COLLATE "C" NOT NULL,
      PRIMARY KEY (alarm, hazard)
    );

    CREATE TABLE checkpoint (
      size BIGINT PRIMARY KEY,
      time BIGINT NOT NULL,
      root BYTEA NOT NULL,
      key BYTEA NOT NULL,
      signature BYTEA NOT NULL
    );

    CREATE TABLE subtree (
      level BIGINT NOT NULL,
      place BIGINT NOT NULL,
      hash BYTEA NOT NULL,
      PRIMARY KEY (level, place)
    );

    CREATE TABLE reject (
      key BYTEA PRIMARY KEY,
      reason TEXT COLLATE "C" NOT NULL,
      topic TEXT COLLATE "C" NOT NULL,
      device TEXT COLLATE "C" NOT NULL,
      count BIGINT NOT NULL,
      first_seq BIGINT NOT NULL,
      last_seq BIGINT NOT NULL,
      first_time BIGINT NOT NULL,
      last_time BIGINT NOT NULL,
      detail TEXT NOT NULL,
      sample BYTEA NOT NULL
    );
    CREATE INDEX reject_newest ON reject(last_seq);
    """

  /// What scoped readers and filters are answered from in a ledger of ten million entries, as in SQLite.
  private static let version2 = """
    CREATE TABLE entry_owner (
      enterprise TEXT COLLATE "C" NOT NULL,
      seq BIGINT NOT NULL,
      PRIMARY KEY (enterprise, seq)
    );
    CREATE INDEX alarm_enterprise ON alarm(split_part(point, '/', 1), first_seq);
    CREATE INDEX alarm_rule ON alarm(rule, first_seq);
    CREATE INDEX alarm_onset ON alarm(onset);
    """

  /// What lists of call-outs, clocks, notices and silences of one place are answered from.
  private static let version3 = "CREATE INDEX matter_place ON matter(kind, place, first_seq)"

  /// What lists of hazards of one place are answered from.
  private static let version4 = "CREATE INDEX hazard_place ON hazard(place, first_seq)"

  /// Makes the schema where there is none and brings it to the current version, in the caller's transaction.
  ///
  /// - Parameters:
  ///   - connection: a session in a transaction.
  ///   - name: the schema, unquoted.
  ///   - path: what messages call the ledger.
  /// - Throws: why the schema cannot be used.
  static func migrate(_ connection: PostgresConnection, name: String, path: String) throws {
    // Two stations that begin at the same moment take turns here.
    try connection.run("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", [.text(name)])
    let found = try connection.run(
      """
      SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = s.oid),
        to_regclass(quote_ident($1) || '.davy_schema') IS NOT NULL
      FROM pg_namespace AS s WHERE s.nspname = $1
      """,
      [.text(name)]
    )
    if found.count == 0 { try connection.script("CREATE SCHEMA \(quoted(name))") }
    try connection.script("SET search_path TO \(quoted(name))")
    if found.count == 0 || !found.boolean(0, 1) {
      guard found.count == 0 || found.integer(0, 0) == 0 else {
        throw LedgerError.notALedger(
          path: path,
          detail: "the schema holds tables of something else"
        )
      }
      try connection.script(
        """
        CREATE TABLE davy_schema (version BIGINT NOT NULL);
        INSERT INTO davy_schema VALUES (0)
        """
      )
    }
    let version = Int(try connection.run("SELECT version FROM davy_schema").integer(0, 0))
    if version > currentVersion {
      throw LedgerError.schemaTooNew(path: path, found: version, supported: currentVersion)
    }
    for next in version..<currentVersion {
      try connection.script(migrations[next])
      if next == 1 { try PostgresOwners(connection: connection).rebuild() }
      try connection.script("UPDATE davy_schema SET version = \(next + 1)")
    }
  }

  /// A name as SQL writes it.
  static func quoted(_ name: String) -> String {
    "\"\(name.replacing("\"", with: "\"\""))\""
  }
}
