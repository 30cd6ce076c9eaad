public import Foundation
import Crypto
import HazardLedger

/// A copy of a station's data folder, taken while the station runs or not, and its way back.
///
/// What says how far it has come with something else is copied before that: snapshots, trends and the announcer's cursor before
/// the ledger, the ledger before the journal. So the ledger of the copy is never ahead of its journal, and a snapshot
/// never ahead of the ledger, where it would be of no use, and later, behind other inputs than those that it was made of, worse:
/// a start from the copy replays what lies between, as a start after a crash does. Databases are copied by SQLite's online
/// backup, other files as they are; a manifest names every file with its size and SHA-256.
public struct StationBackup: Codable, Hashable, Sendable {
  /// A file of the copy.
  public struct File: Codable, Hashable, Sendable {
    /// Path below the data folder.
    public var path: String
    /// Size in bytes.
    public var bytes: Int
    /// SHA-256 of its content, hexadecimal.
    public var sha256: String
  }

  /// Version of the manifest's form.
  public var version = 1
  /// When the copy was begun, milliseconds since the Unix epoch.
  public var taken: Int64
  /// The files.
  public var files: [File]

  /// Name of the manifest in the copy's folder.
  public static let manifestName = "backup.json"

  /// Copies the data folder of a station into a new folder.
  ///
  /// - Parameters:
  ///   - dataFolder: the station's data.
  ///   - target: a folder that does not exist yet; it appears whole or not at all.
  ///   - now: the moment to write down, milliseconds since the Unix epoch.
  /// - Returns: what was copied.
  /// - Throws: ``BackupFault``, or what the file system says.
  public static func take(of dataFolder: URL, into target: URL, now: Int64) throws -> StationBackup
  {
    try take(of: dataFolder, into: target, now: now) { _ in }
  }

  /// Does so, and says of each file when it has been copied, for tests of what a station does meanwhile.
  package static func take(
    of dataFolder: URL,
    into target: URL,
    now: Int64,
    didCopy: (String) throws -> Void
  ) throws -> StationBackup {
    let manager = FileManager.default
    guard
      manager.fileExists(atPath: dataFolder.appendingPathComponent(ledgerName).path)
    else { throw BackupFault.noStation(dataFolder.path) }
    guard !manager.fileExists(atPath: target.path) else { throw BackupFault.exists(target.path) }
    let part = target.deletingLastPathComponent()
      .appendingPathComponent("." + target.lastPathComponent + ".part")
    if manager.fileExists(atPath: part.path) { try manager.removeItem(at: part) }
    try manager.createDirectory(
      at: part,
      withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700]
    )
    do {
      var copied: Set<String> = []
      func copyAll(where isWanted: (String) -> Bool) throws {
        for path in try files(below: dataFolder) where !copied.contains(path) && isWanted(path) {
          try copy(path, from: dataFolder, to: part)
          copied.insert(path)
          try didCopy(path)
        }
      }
      try copyAll { $0.hasPrefix(snapshotFolder) }
      try copyAll { $0 != ledgerName && !$0.hasPrefix(journalFolder) }
      try copyAll { $0 == ledgerName }
      // The segments that there are now, in order: one that is begun meanwhile would leave a gap behind the end of that before.
      try copyAll { $0.hasPrefix(journalFolder) }
      // Secrets and evidence that came meanwhile, which journal and ledger may name.
      try copyAll { !$0.hasPrefix(journalFolder) && !$0.hasPrefix(snapshotFolder) }
      var backup = StationBackup(taken: now, files: [])
      for path in try files(below: part) {
        backup.files.append(try describe(path, below: part))
      }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
      try encoder.encode(backup).write(to: part.appendingPathComponent(manifestName))
      try manager.moveItem(at: part, to: target)
      return backup
    } catch {
      try? manager.removeItem(at: part)
      throw error
    }
  }

  /// Reads the manifest of a copy and holds every file against it.
  ///
  /// - Returns: the manifest.
  /// - Throws: ``BackupFault`` naming the first file that is missing or not as it was.
  public static func check(_ copy: URL) throws -> StationBackup {
    let manifest = copy.appendingPathComponent(manifestName)
    guard let data = FileManager.default.contents(atPath: manifest.path) else {
      throw BackupFault.noManifest(copy.path)
    }
    let backup: StationBackup
    do { backup = try JSONDecoder().decode(StationBackup.self, from: data) } catch {
      throw BackupFault.damaged(path: manifest.path, reason: "\(error)")
    }
    guard backup.version == 1 else { throw BackupFault.tooNew(backup.version) }
    for file in backup.files {
      let path = copy.appendingPathComponent(file.path).path
      guard FileManager.default.fileExists(atPath: path) else {
        throw BackupFault.damaged(path: path, reason: "it is missing")
      }
      let found = try describe(file.path, below: copy)
      guard found == file else {
        throw BackupFault.damaged(
          path: path,
          reason: "\(found.bytes) bytes with SHA-256 \(found.sha256), "
            + "where \(file.bytes) with \(file.sha256) were written"
        )
      }
    }
    return backup
  }

  /// Puts a copy, once it is found whole, where a station can start from it.
  ///
  /// - Parameters:
  ///   - copy: the folder that ``take(of:into:now:)`` made.
  ///   - dataFolder: a folder that does not exist yet, or is empty: a running station is never overwritten.
  /// - Returns: what was put there.
  /// - Throws: ``BackupFault``, or what the file system says.
  public static func restore(_ copy: URL, to dataFolder: URL) throws -> StationBackup {
    let manager = FileManager.default
    let backup = try check(copy)
    if manager.fileExists(atPath: dataFolder.path) {
      guard try manager.contentsOfDirectory(atPath: dataFolder.path).isEmpty else {
        throw BackupFault.exists(dataFolder.path)
      }
      try manager.removeItem(at: dataFolder)
    }
    let part = dataFolder.deletingLastPathComponent()
      .appendingPathComponent("." + dataFolder.lastPathComponent + ".part")
    if manager.fileExists(atPath: part.path) { try manager.removeItem(at: part) }
    try manager.createDirectory(at: part, withIntermediateDirectories: true)
    for file in backup.files {
      let target = part.appendingPathComponent(file.path)
      try manager.createDirectory(
        at: target.deletingLastPathComponent(),
        withIntermediateDirectories: true
      )
      try manager.copyItem(at: copy.appendingPathComponent(file.path), to: target)
    }
    try manager.moveItem(at: part, to: dataFolder)
    return backup
  }

  // MARK: - Files

  private static let ledgerName = "ledger.sqlite"
  private static let journalFolder = "journal/"
  private static let snapshotFolder = "snapshots/"

  /// Regular files below a folder, by path, without what only the running process needs.
  private static func files(below folder: URL) throws -> [String] {
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
    return names.filter { name in
      // A file that has gone since it was listed is not copied either.
      let attributes = try? FileManager.default.attributesOfItem(
        atPath: folder.appendingPathComponent(name).path
      )
      guard attributes?[.type] as? FileAttributeType == .typeRegular else { return false }
      return name != manifestName
        && ![".lock", ".pid", ".part", "-wal", "-shm", "-journal"].contains(where: name.hasSuffix)
        && !(name as NSString).lastPathComponent.hasPrefix(".")
    }
  }

  private static func copy(_ path: String, from folder: URL, to target: URL) throws {
    let source = folder.appendingPathComponent(path)
    let copy = target.appendingPathComponent(path)
    try FileManager.default.createDirectory(
      at: copy.deletingLastPathComponent(),
      withIntermediateDirectories: true
    )
    do {
      if try isDatabase(source) {
        try SQLiteCopy.copy(source.path, to: copy.path)
        let mode = try FileManager.default.attributesOfItem(atPath: source.path)[.posixPermissions]
        if let mode {
          try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: copy.path)
        }
      } else {
        try FileManager.default.copyItem(at: source, to: copy)
      }
    } catch {
      // Retention and snapshot keeping delete files while they are copied; what is gone is not part of the copy.
      guard !FileManager.default.fileExists(atPath: source.path) else { throw error }
      try? FileManager.default.removeItem(at: copy)
    }
  }

  private static func isDatabase(_ file: URL) throws -> Bool {
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    return try handle.read(upToCount: 16) == Data("SQLite format 3\0".utf8)
  }

  private static func describe(_ path: String, below folder: URL) throws -> File {
    let handle = try FileHandle(forReadingFrom: folder.appendingPathComponent(path))
    defer { try? handle.close() }
    var hash = SHA256()
    var bytes = 0
    while let piece = try handle.read(upToCount: 1 << 20), !piece.isEmpty {
      hash.update(data: piece)
      bytes += piece.count
    }
    return File(path: path, bytes: bytes, sha256: Array(hash.finalize()).hex)
  }
}

/// Why a copy was not taken, or cannot be used.
public enum BackupFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// There is no ledger in the folder.
  case noStation(String)
  /// Something is there already.
  case exists(String)
  /// The folder holds no manifest.
  case noManifest(String)
  /// The manifest was written by a newer Davy.
  case tooNew(Int)
  /// A file is not what the manifest says.
  case damaged(path: String, reason: String)

  /// The fault in words, with its remedy.
  public var description: String {
    switch self {
    case .noStation(let path):
      "\(path) holds no ledger.sqlite: name the `data` folder of the service file"
    case .exists(let path):
      "\(path) exists and is not empty: nothing is overwritten; choose another folder or move it away"
    case .noManifest(let path):
      "\(path) holds no \(StationBackup.manifestName): name a folder that `davy backup` made"
    case .tooNew(let version):
      "the backup's manifest has version \(version), this Davy reads version 1: use the newer Davy"
    case .damaged(let path, let reason):
      "\(path): \(reason); this backup is not whole, take an older one"
    }
  }
}
