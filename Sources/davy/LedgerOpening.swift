import ArgumentParser
public import DeviceCatalog
import Foundation
public import HazardLedger
import Synchronization

/// How a ledger in PostgreSQL is opened, where the program can: `davy-postgres` registers it, `davy` does without libpq.
public enum LedgerOpening {
  /// The store's two ways.
  public struct Opener: Sendable {
    /// Opens a station's ledger for writing.
    public var open:
      @Sendable (ServiceConfiguration.PostgresSection, _ station: String, _ takesOver: Bool) throws
        -> any CheckpointStore
    /// Copies a station's ledger into a new SQLite file.
    public var copy:
      @Sendable (ServiceConfiguration.PostgresSection, _ station: String, _ path: String) throws ->
        Void
    /// Reads dossiers of a station's ledger, beside a running station.
    public var dossier:
      @Sendable (ServiceConfiguration.PostgresSection, _ station: String) throws -> LedgerDossier

    /// Makes an opener.
    public init(
      open:
        @escaping @Sendable (ServiceConfiguration.PostgresSection, String, Bool) throws
        -> any CheckpointStore,
      copy:
        @escaping @Sendable (ServiceConfiguration.PostgresSection, String, String) throws -> Void,
      dossier:
        @escaping @Sendable (ServiceConfiguration.PostgresSection, String) throws -> LedgerDossier
    ) {
      self.open = open
      self.copy = copy
      self.dossier = dossier
    }
  }

  private static let opener: Mutex<Opener?> = Mutex(nil)

  /// Tells how; once, before the command line runs.
  public static func register(_ opener: Opener) {
    self.opener.withLock { $0 = opener }
  }

  /// The way to PostgreSQL.
  ///
  /// - Throws: ``LedgerError/refused(reason:)`` in a program without one.
  static func postgres() throws -> Opener {
    guard let opener = opener.withLock({ $0 }) else {
      throw LedgerError.refused(
        reason:
          "the service file keeps the ledger in PostgreSQL, which this program does not speak; "
          + "start it as davy-postgres"
      )
    }
    return opener
  }

  /// Opens the ledger that the service file names.
  static func open(
    _ service: ServiceConfiguration,
    file: String,
    takesOver: Bool
  ) throws -> any CheckpointStore {
    guard let section = service.postgres else {
      return try SQLiteLedger(path: file, station: service.station)
    }
    return try postgres().open(section, service.station, takesOver)
  }
}

extension ServiceConfiguration.PostgresSection {
  /// The connection string with the password that its file holds.
  ///
  /// - Throws: why that cannot be read.
  public func connectionString() throws -> String {
    guard let passwordFile else { return connection }
    let password = try String(contentsOfFile: passwordFile, encoding: .utf8)
      .trimmingCharacters(in: .newlines)
    let quoted = password.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
    return "\(connection) password='\(quoted)'"
  }
}

/// `davy copy-ledger`.
struct CopyLedger: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy-ledger",
    abstract: "Copy a ledger from PostgreSQL into a new SQLite file, row by row as it stands.",
    discussion: """
      Reads one snapshot and may run beside the station. The folder that the file is put into can be given to \
      `davy verify --ledger-only`; what is wrong in the original is wrong in the copy, and found there.
      """
  )

  @Argument(help: "The service file.", completion: .file())
  var serviceFile: String

  @Argument(help: "Folder to put ledger.sqlite into.", completion: .directory)
  var folder: String

  func run() throws {
    let service = try LoadedConfiguration(serviceFile: serviceFile).service
    guard let section = service.postgres else {
      throw ValidationError("\(serviceFile): the ledger is in SQLite already; copy the file")
    }
    let path = URL(fileURLWithPath: folder).appendingPathComponent("ledger.sqlite").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try LedgerOpening.postgres().copy(section, service.station, path)
    Terminal.line(path)
  }
}
