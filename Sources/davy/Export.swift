import ArgumentParser
import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Telemetry

/// `davy export`.
struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Everything the ledger holds of an alarm or a hazard, with proofs, as one file that verifies alone.",
    discussion: """
      From an alarm it follows to its hazards, their check tasks, call-outs and clocks; from a hazard to its alarms. \
      The messages that brought the steps about are put in from the journal, while it still has them, with the \
      hash by which the ledger names them.

      Of a station whose ledger is in PostgreSQL, give the service file in place of the data folder, to \
      `davy-postgres export`: the dossier comes straight from the database, beside the running station.

      `davy verify FILE` checks the file offline, without the station. The ledger is not opened for writing: a \
      checkpoint must cover the newest entry; a running service signs them by itself.
      """
  )

  @Argument(help: "The station's data folder, or its service file.", completion: .file())
  var data: String

  @Argument(help: "An alarm (point#rule@onset) or a hazard (hazard/…).")
  var subject: String

  @Option(name: .shortAndLong, help: "The file to write; standard output without it.")
  var output: String?

  func run() throws {
    var folder = URL(fileURLWithPath: data)
    var postgres: ServiceConfiguration.PostgresSection?
    var station = ""
    if data.hasSuffix(".yaml") || data.hasSuffix(".yml") {
      let service = try LoadedConfiguration(serviceFile: data).service
      folder = URL(fileURLWithPath: service.dataFolder)
      postgres = service.postgres
      station = service.station
    }
    let dossier =
      if let postgres {
        try LedgerOpening.postgres().dossier(postgres, station)
      } else {
        try LedgerDossier(path: folder.appendingPathComponent("ledger.sqlite").path)
      }
    let bytes: [UInt8]
    do {
      bytes = try dossier.export(subject: subject) { sequences in
        try Self.messages(sequences, in: folder.appendingPathComponent("journal").path)
      }
    } catch {
      Terminal.error("\(error)")
      throw ExitCode(1)
    }
    if let output {
      try Data(bytes).write(to: URL(fileURLWithPath: output), options: .atomic)
      let report = LedgerVerifier.verifyExport(bytes)
      Terminal.line(
        "\(output): \(report.entries) entries, \(report.inputs) inputs, under checkpoint \(report.checkpointSize)"
      )
    } else {
      FileHandle.standardOutput.write(Data(bytes))
    }
  }

  /// The journal's records with these sequences, as far as they are still there.
  private static func messages(_ sequences: Set<UInt64>, in folder: String) throws
    -> [UInt64: ExportedInput]
  {
    guard FileManager.default.fileExists(atPath: folder) else { return [:] }
    let recording = try Recording(path: folder)
    var found: [UInt64: ExportedInput] = [:]
    for sequence in sequences.sorted() where sequence >= recording.firstSequence {
      guard let record = try recording.read(from: sequence, limit: 1).first,
        record.sequence == sequence
      else { continue }
      found[sequence] = ExportedInput(
        kind: record.input.kind.rawValue,
        received: record.input.received,
        topic: record.input.topic,
        payload: record.input.payload
      )
    }
    return found
  }
}
