public import HazardLedger

extension PostgresLedger {
  /// Copies a station's ledger as it stands into a new SQLite file: for `davy verify`, for evidence that goes out of
  /// the house, for moving to another store.
  ///
  /// Reads one snapshot of the database, claims nothing, and may run beside the station.
  ///
  /// - Parameters:
  ///   - connection: a libpq connection string or URL.
  ///   - station: name of the station.
  ///   - path: the file to be; there must be none.
  /// - Throws: why there is no copy; what has been written of it is then of no use.
  public static func copy(
    from connection: String,
    station: String,
    to path: String
  ) throws(LedgerError) {
    let schema = schemaName(station)
    let copy = try LedgerCopy(path: path)
    let hasOwners = try translating("postgres:\(schema)") {
      let source = try snapshot(connection, schema: schema, station: station)
      let hasOwners = try source.run("SELECT to_regclass('entry_owner') IS NOT NULL").boolean(0, 0)
      for (table, columns) in copy.tables where hasOwners || table != "entry_owner" {
        try source.script(
          """
          DECLARE rows NO SCROLL CURSOR FOR
          SELECT \(columns.map(PostgresSchema.quoted).joined(separator: ", ")) FROM \(table)
          ORDER BY 1
          """
        )
        while true {
          let page = try source.run("FETCH 2000 FROM rows")
          if page.count == 0 { break }
          try copy.add((0..<page.count).map(page.values), to: table)
        }
        try source.script("CLOSE rows")
      }
      try source.script("COMMIT")
      return hasOwners
    }
    try copy.finish(derivingOwners: !hasOwners)
  }
}

extension PostgresRows {
  /// A row as it is copied.
  fileprivate func values(_ row: Int) -> [LedgerCopy.Value] {
    (0..<columns).map { column in
      if isNull(row, column) { return .null }
      switch type(of: column) {
      case 17: return .blob(bytes(row, column))
      case 20: return .integer(integer(row, column))
      case 23: return .integer(Int64(Int32(truncatingIfNeeded: integer(row, column))))
      case 701: return .real(optionalDouble(row, column) ?? 0)
      default: return .text(text(row, column))
      }
    }
  }
}
