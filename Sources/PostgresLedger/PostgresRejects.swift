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
    // Rows of this batch by key: those stored already, and one a reason for what is beyond the limit.
    let keys = tallies.map(Self.key)
    let overflowKeys = tallies.map { Self.key(Self.overflow($0)) }
    let known = try connection.run(
      "SELECT key, (SELECT count(*) FROM reject) FROM reject WHERE key = ANY($1::bytea[])",
      [.blobs(Array(Set(keys + overflowKeys)))]
    )
    var stored = Set((0..<known.count).map { known.bytes($0, 0) })
    var rows =
      known.count > 0
      ? known.integer(0, 1) : try connection.run("SELECT count(*) FROM reject").integer(0, 0)
    var additions: [[UInt8]: RejectTally] = [:]
    for (index, tally) in tallies.enumerated() {
      var key = keys[index]
      var row = tally
      if !stored.contains(key), rows >= options.rejectRows {
        key = overflowKeys[index]
        row = Self.overflow(tally)
      }
      if stored.insert(key).inserted { rows += 1 }
      guard var sum = additions[key] else {
        additions[key] = row
        continue
      }
      sum.count += row.count
      sum.lastSequence = row.lastSequence
      sum.lastTime = row.lastTime
      sum.detail = row.detail
      sum.sample = row.sample
      additions[key] = sum
    }
    try upsert(additions)
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
        last_seq = excluded.last_seq, last_time = excluded.last_time, detail = excluded.detail,
        sample = excluded.sample
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

  private static func overflow(_ tally: RejectTally) -> RejectTally {
    var row = tally
    row.topic = ""
    row.device = ""
    return row
  }

  /// A topic may be longer than an index entry, so the row is found by a digest.
  private static func key(_ tally: RejectTally) -> [UInt8] {
    [UInt8](SHA256.hash(data: Array("\(tally.reason)\0\(tally.topic)\0\(tally.device)".utf8)))
  }
}
