import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// The `mosquitto_pub` lines of docs/welding.md, sent to the example site in the order of the page.
@Suite("welding page") struct WeldingDocumentationTests {
  private static func catalog() throws -> Catalog {
    let result = Catalog.load(
      devices: Fixture.root.appendingPathComponent("devices").path,
      site: [Fixture.root.appendingPathComponent("config/sites/example.yaml").path]
    )
    return try #require(result.catalog, "\(result.findings.filter { $0.severity == .error })")
  }

  @Test("each line does what the page says")
  func lines() throws {
    let page = try String(
      contentsOf: Fixture.root.appendingPathComponent("docs/welding.md"),
      encoding: .utf8
    ).replacingOccurrences(of: "\\\n", with: "")
    // Five past eight in Shanghai: the example's permit has begun.
    var now: Int64 = 1_795_651_500_000
    let core = StationCore()
    var sequence: UInt64 = 0
    var seen: [String] = []
    func feed(_ input: JournalInput) {
      sequence += 1
      let output = core.process(JournalBatch([input]), firstSequence: sequence)
      for draft in output.drafts where draft.time.milliseconds >= 1_795_651_500_000 {
        guard let body = try? JSONValue(parsing: draft.body) else { continue }
        switch draft.kind {
        case .alarm:
          let rule = body["rule"]?.text ?? ""
          if WeldingRule(rawValue: rule) != nil {
            seen.append("\(rule) \(body["event"]?.text ?? "")")
          }
        case .welding, .register:
          seen.append(
            [body["event"]?.text, body["answer"]?.text].compactMap(\.self).joined(separator: " ")
          )
        default: break
        }
      }
      for answer in output.answers where !answer.correlation.isEmpty {
        seen.append(
          "to \(answer.topic) with \(String(decoding: answer.correlation, as: UTF8.self))"
        )
      }
    }
    feed(try StationCoreTests.catalogInput(try Self.catalog(), at: now - 1_000))
    for line in page.split(separator: "\n") where line.hasPrefix("mosquitto_pub") {
      let topic = try #require(line.firstMatch(of: /-t (\S+)/)?.1)
      let payload = try #require(line.firstMatch(of: /'([^']*)'/)?.1)
      var properties: [(String, String)] = []
      if let asked = line.firstMatch(of: /response-topic (\S+)/)?.1 {
        properties.append(("davy-response-topic", String(asked)))
      }
      if let data = line.firstMatch(of: /correlation-data (\S+)/)?.1 {
        properties.append(("davy-correlation", Data(data.utf8).base64EncodedString()))
      }
      feed(
        JournalInput(
          received: now,
          topic: Array(topic.utf8),
          payload: Array(payload.utf8),
          qos: 1,
          properties: properties
        )
      )
      now += 1_000
    }
    #expect(
      seen == [
        "scan allow", "release",
        "to davy/v1/xinghe/gw-weld/welding/answers/phone-7 with 7", "put", "put", "put", "put",
        "overtime raised", "lock", "put",
      ]
    )
  }

  @Test("every reason, alarm and figure is on the page")
  func complete() throws {
    let page = try String(
      contentsOf: Fixture.root.appendingPathComponent("docs/welding.md"),
      encoding: .utf8
    )
    for reason in WeldingDenial.allCases { #expect(page.contains("`\(reason.rawValue)`")) }
    for rule in WeldingRule.allCases { #expect(page.contains("`\(rule.rawValue)`")) }
  }
}
