import DeviceCatalog
import Dispatch
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Logging
import Station
import Synchronization
import Telemetry

/// `/api/v1/backtests`: what other rules would have made of the recorded inputs.
///
/// One runs at a time, on a thread of its own behind everything else, and the newest twenty are kept in memory.
final class BacktestRoutes: Sendable {
  /// Most back-tests kept.
  static let kept = 20
  /// Most that may wait.
  static let waiting = 4
  /// Largest request: a draft carries whole site files.
  static let maximumBytes = 2 << 20

  /// One side of the comparison.
  private struct Side: Sendable {
    /// `ledger`, `current`, `draft` or a version.
    var choice: String
    /// Rules to run; nil takes what the ledger says.
    var catalog: Catalog?
    var outcome: BacktestOutcome?
  }

  private struct Job: Sendable {
    var id: Int
    var from: Timestamp
    var to: Timestamp
    var sides: [Side]
    var state = "waiting"
    var share = 0.0
    var error: String?
    var isCancelled = false
  }

  private struct Body: Decodable {
    struct Source: Decodable {
      var path: String
      var text: String
    }

    var from: Int64
    var to: Int64
    var a: String
    var b: String
    var draft: [Source]?
  }

  private let station: any StationAccess
  private let versions: RuleVersions
  private let logger: Logger
  private let jobs = Mutex((next: 1, list: [Job]()))
  private let queue = DispatchQueue(label: "davy-backtest", qos: .utility)

  init(station: any StationAccess, versions: RuleVersions, logger: Logger) {
    self.station = station
    self.versions = versions
    self.logger = logger
  }

  /// `POST /api/v1/backtests`.
  func begin(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.requireEverything("a back-test runs the inputs of all enterprises")
    let mediaType = request.headers[.contentType] ?? ""
    guard mediaType.lowercased().split(separator: ";").first == "application/json" else {
      throw Problem(.unsupportedMediaType, "not-json", "send the back-test as application/json")
    }
    let buffer = try await request.body.collect(upTo: Self.maximumBytes)
    let body: Body
    do {
      body = try JSONDecoder().decode(Body.self, from: Data(buffer.readableBytesView))
    } catch {
      throw Problem(
        .badRequest,
        "malformed",
        "the body must have from, to (milliseconds), a, b (ledger, current, draft or a version) and, for draft, "
          + "draft: [{path, text}]"
      )
    }
    guard body.from >= 0, body.from < body.to, body.to <= 253_402_300_799_999 else {
      throw Problem(.unprocessableContent, "range", "from must be earlier than to")
    }
    let sides = try await BlockingWork.run { [self] in
      try [body.a, body.b].map { Side(choice: $0, catalog: try self.catalog($0, body)) }
    }
    let id = try jobs.withLock { jobs in
      guard jobs.list.count(where: { $0.state == "waiting" }) < Self.waiting else {
        throw Problem(
          .serviceUnavailable,
          "busy",
          "\(Self.waiting) back-tests wait already",
          retryAfter: 30
        )
      }
      defer { jobs.next += 1 }
      jobs.list.append(
        Job(
          id: jobs.next,
          from: Timestamp(milliseconds: body.from),
          to: Timestamp(milliseconds: body.to),
          sides: sides
        )
      )
      if jobs.list.count > Self.kept,
        let old = jobs.list.firstIndex(where: { $0.state != "waiting" && $0.state != "running" })
      {
        jobs.list.remove(at: old)
      }
      return jobs.next
    }
    queue.async { self.run(id) }
    return Response(json: JSONWriter.object { $0.member("id", id) }, status: .accepted)
  }

  /// `GET /api/v1/backtests`.
  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    try context.requireEverything("a back-test shows the alarms of all enterprises")
    let list = jobs.withLock { $0.list }
    return Response(
      json: JSONWriter.object { writer in
        writer.key("backtests")
        writer.array(list.reversed()) { writer, job in
          writer.object { Self.write(job, withAlarms: false, to: &$0) }
        }
      }
    )
  }

  /// `GET /api/v1/backtests/{id}`.
  func one(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let job = try job(context)
    return Response(json: JSONWriter.object { Self.write(job, withAlarms: true, to: &$0) })
  }

  /// `POST /api/v1/backtests/{id}/cancel`.
  func cancel(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let id = try job(context).id
    update(id) { job in
      job.isCancelled = true
      if job.state == "waiting" { job.state = "cancelled" }
    }
    let job = try job(context)
    return Response(json: JSONWriter.object { Self.write(job, withAlarms: false, to: &$0) })
  }

  private func job(_ context: ConsoleContext) throws -> Job {
    try context.requireEverything("a back-test shows the alarms of all enterprises")
    let text = try context.pathParameter("id")
    guard let job = jobs.withLock({ jobs in jobs.list.first { String($0.id) == text } }) else {
      throw Problem(
        .notFound,
        "unknown-backtest",
        "there is no back-test \(text); the newest \(Self.kept) are kept until the station restarts"
      )
    }
    return job
  }

  private func catalog(_ choice: String, _ body: Body) throws -> Catalog? {
    switch choice {
    case "ledger": return nil
    case "current": return station.catalog
    case "draft":
      guard let draft = body.draft, !draft.isEmpty else {
        throw Problem(.unprocessableContent, "incomplete", "draft: the changed files are missing")
      }
      var sources = station.catalog.sources
      for file in draft {
        guard let row = sources.firstIndex(where: { $0.path == file.path }) else {
          throw Problem(.unprocessableContent, "unknown-file", "draft: no file \(file.path)")
        }
        sources[row].text = file.text
      }
      return try Self.draft(sources, of: station.catalog)
    default: return try versions.catalog(choice)
    }
  }

  /// The rules of a draft, made from a catalog in force.
  ///
  /// That one may have been recorded by an earlier version, whose checks let more pass: what it has is no reason to refuse
  /// its draft, what the draft adds to it is.
  private static func draft(
    _ sources: [(path: String, text: String)],
    of current: Catalog
  ) throws -> Catalog {
    let strict = Catalog.load(sources: sources)
    if let catalog = strict.catalog { return catalog }
    let known = Set(
      Catalog.load(sources: current.sources, isRecorded: true).findings.map(Mistake.init)
    )
    let errors = strict.findings.filter { $0.severity == .error }
    let added = errors.filter { !known.contains(Mistake($0)) }
    if added.isEmpty, let catalog = Catalog.load(sources: sources, isRecorded: true).catalog {
      return catalog
    }
    let told = (added.isEmpty ? errors : added).prefix(20).map { "\($0)" }
    throw Problem(.unprocessableContent, "invalid-rules", told.joined(separator: "\n"))
  }

  /// What a finding is about, wherever the line has gone and whatever its severity.
  private struct Mistake: Hashable {
    var code: String
    var file: String
    var key: String

    init(_ finding: Finding) {
      code = finding.code
      file = finding.place.file
      key = finding.place.key
    }
  }

  // MARK: - The run

  private func run(_ id: Int) {
    guard let job = jobs.withLock({ jobs in jobs.list.first { $0.id == id } }),
      job.state == "waiting"
    else { return }
    update(id) { $0.state = "running" }
    do throws(BacktestError) {
      for row in job.sides.indices {
        let outcome = try outcome(of: job, row)
        update(id) { $0.sides[row].outcome = outcome }
      }
      update(id) { $0.state = "done" }
    } catch {
      update(id) { job in
        job.state = error == .cancelled ? "cancelled" : "failed"
        job.error = error == .cancelled ? nil : error.description
      }
      if error != .cancelled {
        logger.error("a back-test failed", metadata: ["reason": "\(error)"])
      }
    }
  }

  private func outcome(of job: Job, _ row: Int) throws(BacktestError) -> BacktestOutcome {
    guard let catalog = job.sides[row].catalog else { return try recorded(job) }
    let onsets = job.from..<job.to
    return try station.backtest(BacktestPlan(catalog: catalog, onsets: onsets)) { share in
      jobs.withLock { jobs in
        guard let at = jobs.list.firstIndex(where: { $0.id == job.id }) else { return false }
        jobs.list[at].share = (Double(row) + share) / Double(job.sides.count)
        return !jobs.list[at].isCancelled
      }
    }
  }

  /// What really happened, from the ledger.
  private func recorded(_ job: Job) throws(BacktestError) -> BacktestOutcome {
    do {
      let (alarms, left) = try Backtest.alarms(of: station.ledger, job.from..<job.to)
      return BacktestOutcome(
        alarms: alarms,
        left: left,
        sequences: nil,
        messages: 0,
        readings: 0,
        rejects: 0,
        headHash: try station.ledger.head.hash
      )
    } catch {
      throw .failed("\(error)")
    }
  }

  private func update(_ id: Int, _ change: (inout Job) -> Void) {
    jobs.withLock { jobs in
      guard let at = jobs.list.firstIndex(where: { $0.id == id }) else { return }
      change(&jobs.list[at])
    }
  }

  // MARK: - Answers

  private static func write(_ job: Job, withAlarms: Bool, to writer: inout JSONWriter) {
    writer.member("id", job.id)
    writer.member("state", job.state)
    writer.member("share", job.share)
    writer.member("error", job.error)
    writer.member("from", job.from.milliseconds)
    writer.member("to", job.to.milliseconds)
    writer.key("sides")
    writer.array(job.sides) { writer, side in
      writer.object { writer in
        writer.member("choice", side.choice)
        writer.member("version", side.catalog?.version)
        writer.member("messages", side.outcome?.messages)
        writer.member("readings", side.outcome?.readings)
        writer.member("rejects", side.outcome?.rejects)
        writer.member("firstSequence", side.outcome?.sequences?.lowerBound)
        writer.member("lastSequence", side.outcome?.sequences?.upperBound)
        writer.member("headHash", side.outcome?.headHash.hex)
        writer.member("count", side.outcome.map { $0.alarms.count + $0.left })
        writer.member("left", side.outcome?.left)
        guard withAlarms, let outcome = side.outcome else { return }
        writer.key("alarms")
        writer.array(outcome.alarms) { writer, alarm in writer.object(alarm.write) }
      }
    }
  }
}
