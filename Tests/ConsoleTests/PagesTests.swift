import Console
import DeviceCatalog
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Station
import Testing

@Suite("Pages and descriptions") struct PagesTests {
  private static var resources: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources/Console/Resources")
  }

  private static func words(_ language: String) throws -> [String: String] {
    let file = resources.appendingPathComponent("web/lang/\(language).json")
    return try JSONDecoder().decode([String: String].self, from: Data(contentsOf: file))
  }

  /// The members that a schema of the API description requires.
  private static func required(_ schema: String) throws -> Set<String> {
    let file = resources.appendingPathComponent("api/openapi.yaml")
    let text = try String(contentsOf: file, encoding: .utf8)
    let pattern = try Regex("(?s)\\n    \(schema):\\s.*?required: \\[([^\\]]+)\\]")
    let match = try #require(text.firstMatch(of: pattern), "\(schema)")
    let list = try #require(match.output[1].substring)
    return Set(list.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) })
  }

  @Test("both languages have the same keys and the same places to fill in, and no empty word")
  func languages() throws {
    let zh = try Self.words("zh")
    let en = try Self.words("en")
    #expect(Set(zh.keys) == Set(en.keys))
    for (key, word) in zh {
      #expect(!word.isEmpty, "\(key)")
      let places = { (text: String) in Set(text.matches(of: /\{\w+\}/).map { String($0.output) }) }
      #expect(places(word) == places(en[key] ?? ""), "\(key)")
    }
  }

  @Test("every word that a page asks for by name exists")
  func usedWords() throws {
    let zh = try Self.words("zh")
    let folder = Self.resources.appendingPathComponent("web/js")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    var found = 0
    for name in names where name.hasSuffix(".js") {
      let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
      for match in text.matches(of: /\bt\('([^']+)'/) {
        found += 1
        #expect(zh[String(match.output.1)] != nil, "\(name): \(match.output.1)")
      }
    }
    #expect(found > 100)
  }

  @Test("pages have no inline script or style and name no other machine")
  func strictPages() throws {
    let folder = Self.resources.appendingPathComponent("web")
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
    for name in names where [".html", ".js", ".css"].contains(where: name.hasSuffix) {
      let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
      for banned in ["innerHTML", "eval(", "style=\"", "<style", "https://", "onclick=\""] {
        #expect(!text.contains(banned), "\(name): \(banned)")
      }
    }
  }

  @Test("each path of the API description is answered, and by the methods that it lists")
  func description() async throws {
    let station = try FakeStation()
    let file = Self.resources.appendingPathComponent("api/openapi.yaml")
    let text = try String(contentsOf: file, encoding: .utf8)
    var paths: [(path: String, method: String)] = []
    var path = ""
    for line in text.split(separator: "\n") {
      if let match = line.wholeMatch(of: #/  (\/[^:\n]*):/#) { path = String(match.output.1) }
      if let match = line.wholeMatch(of: #/    (get|post|put|patch|delete):/#), !path.isEmpty {
        paths.append((path, String(match.output.1)))
      }
    }
    #expect(paths.count > 40)
    let methods: [String: HTTPRequest.Method] = [
      "get": .get, "post": .post, "put": .put, "patch": .patch, "delete": .delete,
    ]
    try await test(station) { [paths] client in
      for (path, method) in paths where !path.hasSuffix("/stream") {
        let uri = path.replacing(/\{\w+\}/, with: "nothing")
        try await client.execute(uri: uri, method: .trace) { response in
          #expect(response.status == .methodNotAllowed, "\(path)")
          #expect(response.headers[.allow]?.lowercased().contains(method) == true, "\(path)")
        }
        let right = try #require(methods[method])
        try await client.execute(uri: uri, method: right) { response in
          let body = String(buffer: response.body)
          #expect(!body.contains("urn:davy:problem:not-found"), "\(path)")
        }
      }
      try await client.execute(uri: "/api/v1/openapi.yaml", method: .get) { response in
        #expect(response.headers[.contentType] == "application/yaml")
        #expect(String(buffer: response.body) == text)
      }
    }
  }

  @Test("an answer has the members that its schema requires")
  func requiredMembers() async throws {
    let station = try FakeStation()
    station.raise()
    try await test(station) { client in
      let alarms = try await client.json("/api/v1/alarms/standing")
      #expect(try Set(alarms.keys) == Self.required("StandingAlarms"))
      #expect(try Set(alarms.list("alarms")[0].keys) == Self.required("Alarm"))
      let entries = try await client.json("/api/v1/entries")
      #expect(try Set(entries.keys) == Self.required("EntryPage"))
      #expect(try Set(entries.list("entries")[0].keys) == Self.required("Entry"))
      let status = try await client.json("/api/v1/status")
      #expect(try Set(status.keys) == Self.required("StatusAnswer"))
      #expect(try Set((status["status"] as? [String: Any] ?? [:]).keys) == Self.required("Status"))
      let console = try await client.json("/api/v1/console")
      #expect(try Set(console.keys) == Self.required("Console"))
      let catalog = try await client.json("/api/v1/catalog")
      #expect(try Set(catalog.keys) == Self.required("Catalog"))
    }
  }
}
