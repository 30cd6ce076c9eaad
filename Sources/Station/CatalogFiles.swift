public import DeviceCatalog
import Foundation

/// The catalog in force and the one before it, kept in the data folder: what a dry run compares with and a roll-back
/// returns to.
///
/// Nothing depends on them: the journal holds every catalog that was ever in force.
public struct CatalogFiles: Sendable {
  private let current: URL
  private let former: URL

  /// Files below a station's data folder.
  public init(dataFolder: String) {
    let folder = URL(fileURLWithPath: dataFolder)
    current = folder.appendingPathComponent("catalog.json")
    former = folder.appendingPathComponent("catalog.former.json")
  }

  /// Writes down that `catalog` is in force; the one before it becomes the former one.
  public func keep(_ catalog: Catalog) throws {
    let payload = Data(try CatalogRecord(sources: catalog.sources).journalPayload())
    if let known = FileManager.default.contents(atPath: current.path) {
      guard known != payload else { return }
      try known.write(to: former, options: .atomic)
    }
    try payload.write(to: current, options: .atomic)
  }

  /// The catalog in force; nil before the station's first start.
  ///
  /// - Throws: ``CatalogFault`` when this version of Davy no longer loads it.
  public func inForce() throws -> Catalog? { try Self.load(current) }

  /// The catalog before it; nil when there was none.
  ///
  /// - Throws: ``CatalogFault`` when this version of Davy no longer loads it.
  public func beforeIt() throws -> Catalog? { try Self.load(former) }

  private static func load(_ file: URL) throws -> Catalog? {
    guard let data = FileManager.default.contents(atPath: file.path) else { return nil }
    return try CatalogRecord(journalPayload: Array(data)).load()
  }
}
