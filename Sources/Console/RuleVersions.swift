import DeviceCatalog
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Synchronization
import Telemetry

/// The catalogs that were ever in force, from the ledger's own entries.
final class RuleVersions: Sendable {
  /// One catalog that was put in force.
  struct Version: Sendable {
    var version: String
    var time: Timestamp
    var ledgerSequence: Int64
    /// The journal record that holds its texts.
    var origin: UInt64
  }

  private let station: any StationAccess
  /// The ledger is walked once; later calls go on where the last one ended.
  private let known = Mutex((reached: Int64(0), versions: [Version]()))

  init(station: any StationAccess) {
    self.station = station
  }

  /// All of them, oldest first; blocks.
  func all() throws -> [Version] {
    var (reached, versions) = known.withLock { $0 }
    while true {
      let page = try station.ledger.entries(after: reached, limit: 1_000)
      guard let last = page.last else { break }
      for entry in page where entry.kind == .catalog {
        versions.append(
          Version(
            version: entry.subject,
            time: entry.time,
            ledgerSequence: entry.sequence,
            origin: entry.origin
          )
        )
      }
      reached = last.sequence
    }
    known.withLock { known in
      if reached > known.reached { known = (reached, versions) }
    }
    return versions
  }

  /// A catalog by its version: the one in force from memory, others from the journal; blocks.
  func catalog(_ version: String) throws -> Catalog {
    let current = station.catalog
    if version == current.version { return current }
    guard let found = try all().last(where: { $0.version == version }) else {
      throw Problem(.notFound, "unknown-version", "no catalog \(version) was ever in force here")
    }
    do throws(BacktestError) {
      return try station.recordedCatalog(at: found.origin)
    } catch {
      throw Problem(.gone, "version-gone", error.description)
    }
  }

  /// `GET /api/v1/rules/versions`.
  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let versions = try await BlockingWork.run { try self.all() }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("current", station.catalog.version)
        writer.key("versions")
        writer.array(versions.reversed()) { writer, version in
          writer.object { writer in
            writer.member("version", version.version)
            writer.member("time", version.time.milliseconds)
            writer.member("sequence", version.ledgerSequence)
            writer.member("origin", version.origin)
          }
        }
      }
    )
  }

  /// `GET /api/v1/rules/versions/{version}`: the texts that a catalog was made of.
  func one(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    try context.requireEverything("the texts of a catalog are those of all enterprises")
    let version = try context.pathParameter("version")
    let catalog = try await BlockingWork.run { try self.catalog(version) }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("version", catalog.version)
        writer.key("sources")
        writer.array(catalog.sources) { writer, source in
          writer.object { writer in
            writer.member("path", source.path)
            writer.member("text", source.text)
          }
        }
      }
    )
  }
}
