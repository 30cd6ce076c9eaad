import ArgumentParser
import DeviceCatalog
import Foundation
import Glibc
import HazardLedger
import Station

/// `davy reload`.
struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Put changed profiles and sites in force in the running service, or show what would change.",
    discussion: """
      Compares the files with the catalog in force, then tells the running service to read them (as `systemctl reload \
      davy` and SIGHUP do) and waits until the ledger says that they are in force. Points and rules that are in both \
      versions keep their state; a standing alarm is not raised again. A configuration with errors changes nothing.
      """
  )

  @Argument(help: "The service file that `davy serve` was started with.", completion: .file())
  var serviceFile: String

  @Flag(help: "Only show the difference.")
  var dryRun = false

  @Flag(help: "Go back to the catalog that was in force before this one.")
  var rollback = false

  @Option(help: "Seconds to wait for the service.")
  var wait = 30

  func run() throws {
    let loaded = try LoadedConfiguration(serviceFile: serviceFile)
    let files = CatalogFiles(dataFolder: loaded.service.dataFolder)
    guard let current = try files.inForce() else {
      Terminal.error(
        "error: \(loaded.service.dataFolder) holds no catalog.json: no station has started there"
      )
      throw ExitCode(1)
    }
    let next = try target(loaded, files)
    print(CatalogDifference(from: current, to: next), current, next)
    guard !dryRun, next.version != current.version else { return }
    let identifier = try runningProcess(loaded.service.dataFolder)
    guard kill(identifier, rollback ? SIGUSR2 : SIGHUP) == 0 else {
      Terminal.error("error: process \(identifier): \(unsafe String(cString: strerror(errno)))")
      throw ExitCode(1)
    }
    let deadline = Date(timeIntervalSinceNow: Double(wait))
    while Date() < deadline {
      if try files.inForce()?.version == next.version {
        Terminal.line("in force: \(next.version.prefix(12))")
        return
      }
      Thread.sleep(forTimeInterval: 0.1)
    }
    Terminal.error("error: not in force after \(wait) s; the service's log says why")
    throw ExitCode(1)
  }

  private func target(_ loaded: LoadedConfiguration, _ files: CatalogFiles) throws -> Catalog {
    guard rollback else { return loaded.catalog }
    guard let former = try files.beforeIt() else {
      Terminal.error("error: there is no catalog before this one to go back to")
      throw ExitCode(1)
    }
    return former
  }

  private func runningProcess(_ dataFolder: String) throws -> pid_t {
    let file = PidFile(dataFolder: dataFolder)
    guard let identifier = file.running else {
      Terminal.error(
        "error: no service runs on \(dataFolder) (\(file.path)); the files take effect when it starts"
      )
      throw ExitCode(1)
    }
    return identifier
  }

  private func print(_ difference: CatalogDifference, _ current: Catalog, _ next: Catalog) {
    Terminal.line("in force \(current.version.prefix(12)), to come \(next.version.prefix(12))")
    for (what, names) in [("point", difference.points), ("rule", difference.rules)] {
      for name in names.added { Terminal.line("+ \(what) \(name)") }
      for name in names.removed { Terminal.line("- \(what) \(name)") }
      for name in names.changed { Terminal.line("~ \(what) \(name)") }
    }
    if next.version == current.version {
      Terminal.line("nothing differs")
    } else if difference.isEmpty {
      Terminal.line("points and rules are the same; texts differ")
    }
  }
}

/// The file by which other commands find the running service.
struct PidFile {
  let path: String

  init(dataFolder: String) {
    path = URL(fileURLWithPath: dataFolder).appendingPathComponent("davy.pid").path
  }

  /// Writes this process down.
  func write() throws {
    try Data("\(getpid())\n".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  }

  /// The process that runs the service; nil when it is not there any more.
  var running: pid_t? {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8),
      let identifier = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)),
      // The number may long belong to another program.
      let name = try? String(contentsOfFile: "/proc/\(identifier)/comm", encoding: .utf8),
      name.hasPrefix("davy")
    else { return nil }
    return identifier
  }
}
