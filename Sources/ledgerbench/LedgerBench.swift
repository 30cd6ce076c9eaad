import Foundation
import HazardLedger
import PostgresLedger
import Telemetry

/// Measures the ledger: `ledgerbench [--json] [--entries N] [--folder PATH] [--postgres CONNECTION]`.
///
/// Wall time says what this machine does now; processor time says what an entry costs, also when
/// the machine is shared. "Durable" is with `synchronous=FULL`.
@main
struct LedgerBench {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    let entries = Int(value(of: "--entries", in: arguments) ?? "") ?? 200_000
    let parent =
      value(of: "--folder", in: arguments) ?? FileManager.default.temporaryDirectory.path
    let folder = parent + "/ledgerbench-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer {
      do {
        try FileManager.default.removeItem(atPath: folder)
      } catch {
        print("could not remove \(folder): \(error)")
      }
    }
    var figures = try measure(entries: max(1_000, entries), path: folder + "/ledger.sqlite")
    if let connection = value(of: "--postgres", in: arguments) {
      figures += try measurePostgres(entries: max(1_000, entries), connection: connection)
    }
    if arguments.contains("--json") {
      let members = Dictionary(
        uniqueKeysWithValues: figures.map { ($0.name, JSONValue.number($0.value)) }
      )
      print(String(decoding: JSONValue.object(members).canonicalBytes(), as: UTF8.self))
    } else {
      for figure in figures {
        let name = figure.name.padding(toLength: 44, withPad: " ", startingAt: 0)
        print(name, String(format: "%.1f", figure.value), figure.unit)
      }
    }
  }

  /// The same entries into PostgreSQL; durable is with `fsync` and `synchronous_commit` on.
  static func measurePostgres(entries: Int, connection: String) throws -> [Figure] {
    let ledger = try PostgresLedger(
      PostgresOptions(connection: connection),
      station: "bench-\(UUID().uuidString)"
    )
    let (appends, count) = try appendFigures(ledger, entries: entries, prefix: "postgres_")
    let proofs = try proofFigures(ledger, prefix: "postgres_") {
      try ledger.inclusionPath(of: $0, size: $1)
    }
    let occurrence = try ledger.alarms(limit: 1).alarms.first?.id ?? ""
    var bytes = 0
    let export = try Cost {
      bytes = try PostgresLedger.dossier(from: connection, station: ledger.station)
        .export(subject: occurrence) { _ in [:] }.count
    }
    let rebuild = try Cost { try ledger.rebuildViews() }
    ledger.close()
    return appends + proofs + [
      Figure(name: "postgres_export_alarm_ms", value: export.wall * 1_000, unit: "ms"),
      Figure(name: "postgres_export_alarm_bytes", value: Double(bytes), unit: "bytes"),
      Figure(
        name: "postgres_rebuild_views_entries_per_second",
        value: count / rebuild.wall,
        unit: "/s"
      ),
    ]
  }

  struct Figure {
    var name: String
    var value: Double
    var unit: String
  }

  static func value(of option: String, in arguments: ArraySlice<String>) -> String? {
    guard let index = arguments.firstIndex(of: option) else { return nil }
    return arguments.dropFirst(index - arguments.startIndex + 1).first
  }

  static func measure(entries: Int, path: String) throws -> [Figure] {
    let ledger = try SQLiteLedger(path: path, station: "bench")
    let (appends, count) = try appendFigures(ledger, entries: entries, prefix: "")
    var figures = appends
    figures += try proofFigures(ledger, prefix: "") {
      try ledger.inclusionPath(of: $0, size: $1)
    }
    let occurrence = try ledger.alarms(limit: 1).alarms.first?.id ?? ""
    var exported = 0
    let export = try Cost {
      exported = try LedgerDossier(path: path).export(subject: occurrence) { _ in [:] }.count
    }
    figures.append(Figure(name: "export_alarm_ms", value: export.wall * 1_000, unit: "ms"))
    figures.append(
      Figure(name: "export_alarm_bytes", value: Double(exported), unit: "bytes")
    )

    var intact = false
    let verify = try Cost { intact = try LedgerVerifier(path: path).verify().isIntact }
    guard intact else {
      throw LedgerError.damaged(path: path, detail: "the benchmark's own ledger")
    }
    figures.append(
      Figure(name: "verify_entries_per_second", value: count / verify.wall, unit: "/s")
    )
    figures.append(
      Figure(
        name: "verify_processor_us_per_entry",
        value: verify.processor / count * 1e6,
        unit: "µs"
      )
    )
    let rebuild = try Cost { try ledger.rebuildViews() }
    figures.append(
      Figure(name: "rebuild_views_entries_per_second", value: count / rebuild.wall, unit: "/s")
    )
    figures.append(
      Figure(
        name: "rebuild_processor_us_per_entry",
        value: rebuild.processor / count * 1e6,
        unit: "µs"
      )
    )
    figures.append(
      Figure(name: "inhibit_13000_standing_ms", value: try inhibit(), unit: "ms")
    )
    // The file holds all only when the write-ahead log has gone into it.
    try ledger.close()
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    let bytes = (attributes[.size] as? NSNumber)?.doubleValue ?? 0
    figures.append(Figure(name: "file_bytes_per_entry", value: bytes / count, unit: "bytes"))
    return figures
  }

  /// Entries in batches of 1,000: what they cost, and how many there were.
  static func appendFigures(
    _ ledger: any LedgerStore,
    entries: Int,
    prefix: String
  ) throws -> ([Figure], count: Double) {
    let batch = 1_000
    let batches = (0..<entries / batch).map { drafts(batch: $0, size: batch) }
    var waits: [Double] = []
    let append = try Cost {
      for (index, drafts) in batches.enumerated() {
        let one = try Cost {
          try ledger.append(drafts, rejects: [], position: UInt64((index + 1) * batch))
        }
        waits.append(one.wall * 1_000)
      }
    }
    waits.sort()
    let count = Double(batches.count * batch)
    let figures = [
      Figure(name: prefix + "append_entries_per_second", value: count / append.wall, unit: "/s"),
      Figure(
        name: prefix + "append_processor_us_per_entry",
        value: append.processor / count * 1e6,
        unit: "µs"
      ),
      Figure(name: prefix + "append_batch_ms_p50", value: waits[waits.count / 2], unit: "ms"),
      Figure(
        name: prefix + "append_batch_ms_p99",
        value: waits[waits.count * 99 / 100],
        unit: "ms"
      ),
    ]
    return (figures, count)
  }

  /// Checkpoint, proofs, and a page of what one enterprise of forty may see from the middle on.
  static func proofFigures(
    _ ledger: any CheckpointStore,
    prefix: String,
    path: (_ sequence: Int64, _ size: Int64) throws -> [[UInt8]]
  ) throws -> [Figure] {
    var size: Int64 = 0
    let sign = try Cost {
      size = try ledger.signCheckpoint(with: CheckpointKey(), at: Timestamp(milliseconds: 1)).size
    }
    var hashes = 0
    let proofs = 200
    let prove = try Cost {
      for index in 0..<proofs { hashes += try path(1 + Int64(index) * 7_919 % size, size).count }
    }
    let pages = 50
    var found = 0
    let scoped = try Cost {
      for _ in 0..<pages {
        found += try ledger.entries(ofEnterprises: ["ent-7"], after: size / 2, limit: 100).count
      }
    }
    guard found > 0 else {
      throw LedgerError.refused(reason: "no entries of ent-7 behind \(size / 2)")
    }
    return [
      Figure(name: prefix + "checkpoint_first_ms", value: sign.wall * 1_000, unit: "ms"),
      Figure(name: prefix + "proof_us", value: prove.wall / Double(proofs) * 1e6, unit: "µs"),
      Figure(
        name: prefix + "proof_bytes",
        value: Double(hashes * 32) / Double(proofs),
        unit: "bytes"
      ),
      Figure(
        name: prefix + "scoped_page_us",
        value: scoped.wall / Double(pages) * 1e6,
        unit: "µs"
      ),
    ]
  }

  /// Best of five judgements of 13,000 standing alarms, of which 13 are causes.
  static func inhibit() throws -> Double {
    let alarms = (0..<13_000).map { index in
      let gateway = index / 100
      let isCause = index % 100 == 0 && gateway % 10 == 0
      let time = Timestamp(milliseconds: Int64(index))
      let body = AlarmBody(
        point: "ent-\(gateway % 7)/site/area/gw\(gateway)/p\(index)",
        rule: isCause ? "offline" : "stale",
        onset: time,
        event: .raised,
        state: .unacknowledged,
        previous: .normal,
        priority: 2,
        received: time,
        cause: 1
      )
      return AlarmView(body, sequence: 1, time: time, actor: "engine")
    }
    let policy = NotificationPolicy(inhibitions: [
      Inhibition(
        id: "gateway",
        cause: AlarmMatcher(rules: ["offline"]),
        consequence: AlarmMatcher(),
        sharedParts: 4
      )
    ])
    var best = Double.infinity
    for _ in 0..<5 {
      var quiet = 0
      let cost = try Cost {
        quiet = policy.verdicts(for: alarms, at: Timestamp(milliseconds: 0))
          .count { $0 != .notify }
      }
      guard quiet == 1_287 else {
        throw LedgerError.refused(reason: "\(quiet) alarms inhibited, not 1,287")
      }
      best = min(best, cost.wall * 1_000)
    }
    return best
  }

  /// Wall and processor time of some work, in seconds.
  struct Cost {
    var wall = 0.0
    var processor = 0.0

    init(_ work: () throws -> Void) throws {
      let before = Self.processorSeconds
      let elapsed = try ContinuousClock().measure(work)
      processor = Self.processorSeconds - before
      wall = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
    }

    static var processorSeconds: Double {
      var time = timespec()
      unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
  }

  /// Alarms in their four usual steps, as a plant's day would bring them.
  static func drafts(batch: Int, size: Int) -> [LedgerDraft] {
    let steps: [(AlarmBody.Event, AlarmBody.State, AlarmBody.State)] = [
      (.raised, .unacknowledged, .normal), (.acknowledged, .acknowledged, .unacknowledged),
      (.reAlarmed, .acknowledged, .acknowledged), (.returned, .normal, .acknowledged),
    ]
    return (0..<size).map { index in
      let number = batch * size + index
      let occurrence = number / 4
      let step = steps[number % 4]
      let time = Timestamp(milliseconds: 1_795_000_000_000 + Int64(number))
      let body = AlarmBody(
        point: "ent-\(occurrence % 40)/site-1/area-3/GD-\(occurrence % 9_973)/ch1",
        rule: "highhigh",
        onset: Timestamp(milliseconds: 1_795_000_000_000 + Int64(occurrence)),
        event: step.0,
        state: step.1,
        previous: step.2,
        priority: 3,
        value: 51.25 + Double(index) / 7,
        limit: 50,
        unit: "%LEL",
        received: time,
        cause: UInt64(number + 1),
        catalog: String(repeating: "ab", count: 32)
      )
      return LedgerDraft(alarm: body, time: time, origin: UInt64(number + 1))
    }
  }
}
