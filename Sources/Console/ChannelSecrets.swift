import Foundation
import HazardLedger

/// The folder in which secrets of channels lie that people have entered: a file each, for the service's eyes alone.
///
/// Journal and ledger know a secret by its identity, which says nothing about it; a changed secret is another file under another
/// identity, so that what is in force is always whole.
struct ChannelSecrets: Sendable {
  let folder: String

  /// Longest secret, bytes.
  static let limit = 4_096

  /// Path of a secret.
  func path(_ identity: String) -> String { folder + "/" + identity }

  /// Keeps a secret, on the disk when it returns.
  ///
  /// - Returns: its identity.
  /// - Throws: what the file system says.
  func add(_ secret: String) throws -> String {
    let manager = FileManager.default
    try manager.createDirectory(
      atPath: folder,
      withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700]
    )
    var generator = SystemRandomNumberGenerator()
    let identity = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
      .hex
    guard
      manager.createFile(
        atPath: path(identity),
        contents: nil,
        attributes: [.posixPermissions: 0o600]
      ), let file = FileHandle(forWritingAtPath: path(identity))
    else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path(identity)]) }
    try file.write(contentsOf: Data(secret.utf8))
    try file.synchronize()
    try file.close()
    return identity
  }

  /// Deletes secrets that nothing uses any more.
  ///
  /// - Throws: what the file system says.
  func remove(_ identities: some Sequence<String>) throws {
    for identity in identities where FileManager.default.fileExists(atPath: path(identity)) {
      try FileManager.default.removeItem(atPath: path(identity))
    }
  }

  /// Deletes all but these: what a crash has left between a secret and the act that was to use it.
  ///
  /// - Throws: what the file system says.
  func keep(only identities: Set<String>) throws {
    guard FileManager.default.fileExists(atPath: folder) else { return }
    let found = try FileManager.default.contentsOfDirectory(atPath: folder)
    try remove(found.filter { !identities.contains($0) })
  }
}
