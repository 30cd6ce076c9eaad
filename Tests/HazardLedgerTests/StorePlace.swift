import Crypto
import Foundation
import GRDB
import HazardLedger
import PostgresLedger
import Testing

/// What the contract's tests use of a store beyond ``LedgerStore``.
protocol ContractStore: LedgerStore {
  func end() throws
  func rebuildViews() throws(LedgerError)
  func hazard(id: String) throws(LedgerError) -> Hazard?
  func hazards(
    _ filter: HazardFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> [HazardView]
  func hazards(ofAlarm id: String) throws(LedgerError) -> [String]
  func inclusionPath(of sequence: Int64, size: Int64) throws(LedgerError) -> [[UInt8]]
}

extension SQLiteLedger: ContractStore {
  func end() throws { try close() }
}

extension PostgresLedger: ContractStore {
  func end() throws { close() }
}

/// The stores that the contract is held against.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case sqlite, postgres

  var testDescription: String { rawValue }

  /// Connection string of the server that `tools/with-postgres` has started.
  static var server: String? { ProcessInfo.processInfo.environment["DAVY_TEST_POSTGRES"] }

  /// Those that can be tried here: PostgreSQL under `tools/with-postgres`, as `tools/test` runs it.
  static var available: [StoreKind] { server == nil ? [.sqlite] : allCases }
}

/// Where one test's ledgers lie: a folder, or a database of its own; gone with the test.
final class StorePlace: Sendable {
  let kind: StoreKind
  private let scratch: Scratch
  private let database: String

  init(_ kind: StoreKind) throws {
    self.kind = kind
    scratch = try Scratch()
    database = "davy_\(UUID().uuidString.lowercased().replacing("-", with: "_"))"
    if kind == .postgres { try administer("CREATE DATABASE \(database)") }
  }

  deinit {
    guard kind == .postgres else { return }
    do {
      try administer("DROP DATABASE \(database) WITH (FORCE)")
    } catch {
      print("could not drop \(database): \(error)")
    }
  }

  private func administer(_ sql: String) throws {
    let server = try #require(StoreKind.server)
    try PostgresConnection(server).script(sql)
  }

  /// Connection string of the test's database.
  var connection: String { "\(StoreKind.server ?? "") dbname=\(database)" }

  /// Opens a station's ledger.
  func open(
    station: String = "station-1",
    options: LedgerOptions = LedgerOptions(),
    takesOver: Bool = false
  ) throws(LedgerError) -> any ContractStore {
    switch kind {
    case .sqlite:
      try SQLiteLedger(path: scratch.folder + "/\(station)", station: station, options: options)
    case .postgres:
      try PostgresLedger(
        PostgresOptions(connection: connection, takesOver: takesOver, limits: options),
        station: station
      )
    }
  }

  /// Runs SQL on a station's tables past the store, as a person with a shell would.
  func execute(_ sql: String, station: String = "station-1") throws {
    switch kind {
    case .sqlite:
      try DatabaseQueue(path: scratch.folder + "/\(station)").write { try $0.execute(sql: sql) }
    case .postgres:
      let session = try PostgresConnection(connection)
      try session.script("SET search_path TO \"davy:\(station)\"")
      try session.script(sql)
    }
  }

  /// What the verifier says: of the file, or of a copy of the database.
  func verify(
    station: String = "station-1",
    trusting keys: [Curve25519.Signing.PublicKey] = []
  ) throws -> LedgerVerifier.Report {
    switch kind {
    case .sqlite:
      return try LedgerVerifier(path: scratch.folder + "/\(station)").verify(trusting: keys)
    case .postgres:
      let copy = try Scratch()
      try PostgresLedger.copy(from: connection, station: station, to: copy.path)
      return try LedgerVerifier(path: copy.path).verify(trusting: keys)
    }
  }

  /// The dossiers of a station's ledger, read beside whoever writes it.
  func dossier(station: String = "station-1") throws -> LedgerDossier {
    switch kind {
    case .sqlite: try LedgerDossier(path: scratch.folder + "/\(station)")
    case .postgres: PostgresLedger.dossier(from: connection, station: station)
    }
  }

  /// Puts a table of something else where a station's ledger would be.
  func makeForeign(station: String) throws {
    switch kind {
    case .sqlite:
      try DatabaseQueue(path: scratch.folder + "/\(station)")
        .write { try $0.execute(sql: "CREATE TABLE t (a)") }
    case .postgres:
      try PostgresConnection(connection).script(
        "CREATE SCHEMA \"davy:\(station)\"; CREATE TABLE \"davy:\(station)\".t (a INTEGER)"
      )
    }
  }
}
