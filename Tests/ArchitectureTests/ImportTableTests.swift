import Foundation
import Testing

/// The rooms of the house and who may enter which: SwiftPM does not enforce it, so this test reads the import lines.
@Suite("Import table")
struct ImportTableTests {
  /// Davy's own modules, from the ground up, with those of them that each may import.
  static let table: [String: Set<String>] = [
    "Telemetry": [],
    "AlarmEngine": ["Telemetry"],
    "PayloadDecoding": ["Telemetry"],
    "DeviceCatalog": ["Telemetry", "AlarmEngine", "PayloadDecoding"],
    "Journal": ["CZstd"],
    "HazardLedger": ["Telemetry"],
    "MQTTTransport": ["CMosquitto"],
    "Accounts": [],
    "PostgresLedger": ["HazardLedger", "Telemetry", "CPostgres"],
    "Callout": ["HazardLedger", "Telemetry"],
    "Station": [
      "Telemetry", "AlarmEngine", "PayloadDecoding", "DeviceCatalog", "Journal", "HazardLedger",
      "MQTTTransport",
    ],
    "Relay": ["Callout", "Station", "HazardLedger", "Telemetry", "MQTTTransport"],
    "Console": ["Accounts", "Station", "HazardLedger", "DeviceCatalog", "Telemetry"],
    "Simulation": [
      "Station", "Telemetry", "AlarmEngine", "PayloadDecoding", "DeviceCatalog", "Journal",
      "HazardLedger",
    ],
  ]

  /// The deterministic modules see the standard library and at most these.
  static let pure: [String: Set<String>] = [
    "Telemetry": [],
    "AlarmEngine": ["CPrefetch"],
    // A mutex around the trace that `davy decode` asks for; part of the standard library.
    "PayloadDecoding": ["Synchronization"],
  ]

  static let own = Set(table.keys).union([
    "CMosquitto", "CPostgres", "CZstd", "CPrefetch", "CTimex",
  ])

  /// Words that would bring a clock, randomness or I/O into the deterministic modules.
  static let banned = [
    "Date()", "ContinuousClock", "SuspendingClock", "DispatchTime", ".random(",
    "RandomNumberGenerator",
    "Task {", "Task.sleep", "FileHandle", "fopen(",
  ]

  static var root: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
  }

  static func files(of module: String) throws -> [URL] {
    let folder = root.appendingPathComponent("Sources/\(module)")
    let walker = try #require(
      FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
    )
    let files = walker.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }
    #expect(!files.isEmpty, "module \(module) has no source in \(folder.path)")
    return files
  }

  static func imports(of file: URL) throws -> Set<String> {
    var found: Set<String> = []
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let at = words.firstIndex(of: "import"), at <= 2, at + 1 < words.count,
        words[..<at].allSatisfy({
          ["public", "package", "internal", "private", "fileprivate", "@preconcurrency"].contains(
            $0
          )
        })
      else { continue }
      found.insert(String(words[at + 1].split(separator: ".")[0]))
    }
    return found
  }

  @Test("a module imports only what stands above it", arguments: table.keys.sorted())
  func importsFollowTheTable(module: String) throws {
    let allowed = try #require(Self.table[module])
    for file in try Self.files(of: module) {
      let foreign = try Self.imports(of: file).intersection(Self.own).subtracting(allowed)
        .subtracting([module]).subtracting(Self.pure[module] ?? [])
      #expect(foreign.isEmpty, "\(file.lastPathComponent) imports \(foreign.sorted())")
    }
  }

  @Test("deterministic modules import no library", arguments: pure.keys.sorted())
  func pureModulesImportNothing(module: String) throws {
    let allowed = try #require(Self.pure[module]).union(try #require(Self.table[module]))
    for file in try Self.files(of: module) {
      let foreign = try Self.imports(of: file).subtracting(allowed)
      #expect(foreign.isEmpty, "\(file.lastPathComponent) imports \(foreign.sorted())")
    }
  }

  @Test(
    "deterministic modules read no clock, draw no number, do no I/O",
    arguments: pure.keys.sorted()
  )
  func pureModulesStayPure(module: String) throws {
    for file in try Self.files(of: module) {
      let code = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        .filter { !$0.trimmingPrefix(while: \.isWhitespace).hasPrefix("//") }
        .joined(separator: "\n")
      for word in Self.banned where code.contains(word) {
        Issue.record("\(file.lastPathComponent) uses \(word)")
      }
    }
  }

  @Test("the import scanner sees what it must")
  func scannerSeesImports() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(
      "imports-\(UUID().uuidString).swift"
    )
    defer { try? FileManager.default.removeItem(at: file) }
    try "public import Telemetry\nimport Foundation.NSData\n// import Nothing\n".write(
      to: file,
      atomically: true,
      encoding: .utf8
    )
    #expect(try Self.imports(of: file) == ["Telemetry", "Foundation"])
  }
}
