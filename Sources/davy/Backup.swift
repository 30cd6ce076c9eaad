import ArgumentParser
import Foundation
import Station

/// `davy backup`.
struct Backup: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Copy a station's data into a new folder, while the service runs.",
    discussion: """
      Ledger, journal, snapshots, accounts, evidence and keys, with a manifest of sizes and checksums. The copy holds \
      the key that signs checkpoints and the accounts' password hashes: keep it as safe as the original.
      """
  )

  @Argument(help: "The station's data folder.", completion: .directory)
  var data: String

  @Argument(help: "A folder that does not exist yet.", completion: .directory)
  var target: String

  func run() throws {
    let backup = try explained {
      try StationBackup.take(
        of: URL(fileURLWithPath: data),
        into: URL(fileURLWithPath: target),
        now: SystemClocks().wall()
      )
    }
    let bytes = backup.files.reduce(0) { $0 + $1.bytes }
    Terminal.line("\(backup.files.count) files, \(bytes) bytes in \(target)")
  }
}

/// `davy restore`.
struct Restore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Put a backup where a station can start from it, once every file and the ledger's chain are found whole.",
    discussion: """
      The data folder must not exist or be empty. What the broker has kept since the backup was taken comes again when \
      the service starts, as far as its session reaches.
      """
  )

  @Argument(help: "The folder that `davy backup` made.", completion: .directory)
  var backup: String

  @Argument(help: "The station's data folder to be.", completion: .directory)
  var data: String

  func run() throws {
    let restored = try explained {
      try StationBackup.restore(URL(fileURLWithPath: backup), to: URL(fileURLWithPath: data))
    }
    let folder = URL(fileURLWithPath: data)
    let check = StationCheck(folder: folder)
    Terminal.line("\(restored.files.count) files of \(TimeText.utc(restored.taken))")
    for line in check.lines { Terminal.line(line) }
    guard check.isWhole else { throw ExitCode(1) }
  }
}

/// Prints a backup's fault and ends the command.
private func explained<Value>(_ body: () throws -> Value) throws -> Value {
  do { return try body() } catch let fault as BackupFault {
    Terminal.error("error: \(fault)")
    throw ExitCode(1)
  }
}
