import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Synchronization

/// `GET /api/v1/verify`: recomputes the whole chain from the file, by its own reading connection.
final class VerifyRoutes: Sendable {
  private let station: any StationAccess
  /// A second walk through the whole ledger at the same time would only slow the first.
  private let isRunning = Mutex(false)

  init(station: any StationAccess) {
    self.station = station
  }

  func verify(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    try context.requireWholeStation()
    guard let ledger = station.ledger as? SQLiteLedger else {
      throw Problem(
        .notImplemented,
        "no-verifier",
        "this store of the ledger has no verifier of its own"
      )
    }
    let begins = isRunning.withLock { running in
      defer { running = true }
      return !running
    }
    guard begins else {
      throw Problem(
        .serviceUnavailable,
        "verifying",
        "a verification is running already",
        retryAfter: 5
      )
    }
    defer { isRunning.withLock { $0 = false } }
    let report = try await BlockingWork.run {
      try LedgerVerifier(path: ledger.path).verify()
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("station", report.station)
        writer.member("intact", report.isIntact)
        writer.member("entries", report.entries)
        writer.member("redacted", report.redacted)
        writer.member("checkpoints", report.checkpoints)
        writer.member("position", report.position)
        writer.member("headHash", report.headHash.hex)
        writer.member("firstBadEntry", report.firstBadEntry)
        writer.key("findings")
        writer.array(report.findings) { writer, finding in writer.string(finding.description) }
      }
    )
  }
}
