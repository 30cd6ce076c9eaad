internal import Crypto
import HazardLedger
import Telemetry

/// Adds reject tallies within one transaction, as many rows as the limit allows.
struct PostgresRejects {
  let connection: PostgresConnection
  let options: LedgerOptions

  func add(_ tallies: [RejectTally]) throws {
    guard !tallies.isEmpty else { return }
    let tallies = tallies.map(storable)
    var additions: [[UInt8]: RejectTally] = [:]
    for tally in tallies { Self.add(tally, to: &additions) }
    try upsert(additions)
    try foldOldest()
  }

  /// Counts rows that nothing was added to for longest among those of their reason without topic and device, so that
  /// whoever is refused now is named.
  private func foldOldest() throws {
    let named = try connection.run(
      "SELECT count(*) FROM reject WHERE topic <> '' OR device <> ''"
    ).integer(0, 0)
    let surplus = named - Int64(options.rejectRows)
    guard surplus > 0 else { return }
    let rows = try connection.run(
      """
      DELETE FROM reject WHERE key IN (
        SELECT key FROM reject WHERE topic <> '' OR device <> ''
        ORDER BY last_seq, reason, topic, device LIMIT $1)
      RETURNING reason, count, first_seq, last_seq, first_time, last_time, detail, sample
      """,
      [.integer(surplus)]
    )
    var additions: [[UInt8]: RejectTally] = [:]
    for row in 0..<rows.count {
      let tally = RejectTally(
        reason: rows.text(row, 0),
        topic: "",
        device: "",
        count: rows.integer(row, 1),
        firstSequence: UInt64(rows.integer(row, 2)),
        lastSequence: UInt64(rows.integer(row, 3)),
        firstTime: Timestamp(milliseconds: rows.integer(row, 4)),
        lastTime: Timestamp(milliseconds: rows.integer(row, 5)),
        detail: rows.text(row, 6),
        sample: rows.bytes(row, 7)
      )
      Self.add(tally, to: &additions)
    }
    try upsert(additions)
  }

  private static func add(_ row: RejectTally, to additions: inout [[UInt8]: RejectTally]) {
    let key = Self.key(row)
    guard var sum = additions[key] else {
      additions[key] = row
      return
    }
    sum.count += row.count
    if row.firstSequence < sum.firstSequence {
      sum.firstSequence = row.firstSequence
      sum.firstTime = row.firstTime
    }
    if row.lastSequence >= sum.lastSequence {
      sum.lastSequence = row.lastSequence
      sum.lastTime = row.lastTime
      sum.detail = row.detail
      sum.sample = row.sample
    }
    additions[key] = sum
  }

  private func upsert(_ additions: [[UInt8]: RejectTally]) throws {
    let keys = Array(additions.keys)
    let rows = keys.compactMap { additions[$0] }
    try connection.run(
      """
      INSERT INTO reject SELECT * FROM unnest(
        $1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::text[], $11::bytea[])
      ON CONFLICT (key) DO UPDATE SET count = reject.count + excluded.count,
        first_seq = least(reject.first_seq, excluded.first_seq),
        first_time = least(reject.first_time, excluded.first_time),
        detail = CASE WHEN excluded.last_seq < reject.last_seq
          THEN reject.detail ELSE excluded.detail END,
        sample = CASE WHEN excluded.last_seq < reject.last_seq
          THEN reject.sample ELSE excluded.sample END,
        last_seq = greatest(reject.last_seq, excluded.last_seq),
        last_time = greatest(reject.last_time, excluded.last_time)
      """,
      [
        .blobs(keys), .texts(rows.map(\.reason)), .texts(rows.map(\.topic)),
        .texts(rows.map(\.device)), .integers(rows.map(\.count)),
        .integers(rows.map { Int64($0.firstSequence) }),
        .integers(rows.map { Int64($0.lastSequence) }),
        .integers(rows.map(\.firstTime.milliseconds)), .integers(rows.map(\.lastTime.milliseconds)),
        .texts(rows.map(\.detail)), .blobs(rows.map(\.sample)),
      ]
    )
  }

  private func storable(_ tally: RejectTally) -> RejectTally {
    var row = tally
    row.reason = Storable.text(tally.reason)
    row.topic = Storable.text(tally.topic)
    row.device = Storable.text(tally.device)
    row.detail = Storable.text(tally.detail)
    row.sample = Array(tally.sample.prefix(options.rejectSampleBytes))
    return row
  }

  /// A topic may be longer than an index entry, so the row is found by a digest.
  private static func key(_ tally: RejectTally) -> [UInt8] {
    [UInt8](SHA256.hash(data: Array("\(tally.reason)\0\(tally.topic)\0\(tally.device)".utf8)))
  }
}
