import ArgumentParser
import DavyCommands
import DeviceCatalog
import Foundation
import HazardLedger
import PostgresLedger

/// The program: the command line of `davy`, with ledgers in PostgreSQL.
@main
enum Entry {
  static func main() async {
    LedgerOpening.register(
      LedgerOpening.Opener(
        open: { section, station, takesOver in
          try PostgresLedger(
            PostgresOptions(
              connection: try section.connectionString(),
              takesOver: takesOver,
              writer:
                "\(ProcessInfo.processInfo.hostName) process \(ProcessInfo.processInfo.processIdentifier)"
            ),
            station: station
          )
        },
        copy: { section, station, path in
          try PostgresLedger.copy(from: try section.connectionString(), station: station, to: path)
        },
        dossier: { section, station in
          PostgresLedger.dossier(from: try section.connectionString(), station: station)
        }
      )
    )
    await Davy.main()
  }
}
