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

  @Test("every page that the console's script knows is served under its address")
  func pages() throws {
    let file = Self.resources.appendingPathComponent("web/js/app.js")
    let text = try String(contentsOf: file, encoding: .utf8)
    let known = text.matches(of: /\{ path: '([^']+)'/).map { String($0.output.1) }
    #expect(known.count > 10)
    #expect(Set(known + ["/", "/sign-in"]) == Set(ConsoleServer.pages))
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

  @Test("the API description is served as it stands in the repository")
  func description() async throws {
    let file = Self.resources.appendingPathComponent("api/openapi.yaml")
    let text = try String(contentsOf: file, encoding: .utf8)
    try await test(try FakeStation()) { client in
      try await client.execute(uri: "/api/v1/openapi.yaml", method: .get) { response in
        #expect(response.headers[.contentType] == "application/yaml")
        #expect(String(buffer: response.body) == text)
      }
    }
  }
}
