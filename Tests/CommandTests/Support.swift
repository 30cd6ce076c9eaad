import ArgumentParser
import DavyCommands
import Foundation

/// A folder of a test's own.
struct Folder {
  let path: String

  init() throws {
    path =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-commands-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and gives its path.
  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = path + "/" + name
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }

  func file(_ name: String, _ text: String) throws -> String { try file(name, Array(text.utf8)) }
}

/// Runs a command line as the program would.
func davy(_ arguments: String...) async throws {
  var command = try Davy.parseAsRoot(arguments)
  if var waiting = command as? any AsyncParsableCommand {
    try await waiting.run()
  } else {
    try command.run()
  }
}

/// What a person reads when a command line fails; nil when it does not.
func complaint(_ arguments: String...) -> String? {
  do {
    var command = try Davy.parseAsRoot(arguments)
    guard !(command is any AsyncParsableCommand) else { return nil }
    try command.run()
    return nil
  } catch {
    return Davy.fullMessage(for: error)
  }
}
