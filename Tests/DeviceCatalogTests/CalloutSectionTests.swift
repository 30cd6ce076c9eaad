import DeviceCatalog
import Foundation
import Telemetry
import Testing

/// The section `callout:` of a service file.
@Suite("Call-out section") struct CalloutSectionTests {
  private static func load(field: String, in place: String) throws -> [Finding] {
    let texts = ["url", "header", "body"].map { $0 == place ? "{{\(field)}}" : "{{address}}" }
    return try RelaySectionTests.load(
      """
      callout:
        operators: [{name: 值班长, phone: "1"}]
        channels:
          sms:
            kind: http
            url: "https://sms.example/send?to=\(texts[0])"
            headers: {X-To: "\(texts[1])"}
            body: "\(texts[2])"
      """
    ).findings
  }

  @Test(
    "a field of a template that no message has is found, with the one that was meant",
    arguments: ["url", "header", "body"]
  )
  func madeUpField(place: String) throws {
    for field in NoticeField.allCases.map(\.rawValue) + [" name "] {
      let findings = try Self.load(field: field, in: place)
      #expect(!findings.contains { $0.severity == .error }, "\(field): \(findings)")
    }
    let findings = try Self.load(field: "adress", in: place)
    let finding = try #require(findings.first { $0.code == "unknown-field" }, "\(findings)")
    #expect("\(finding)".contains("adress") && "\(finding)".contains("address"), "\(finding)")
  }

  @Test("the manual lists the fields that there are")
  func manual() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(
      contentsOf: root.appendingPathComponent("docs/callout.md"),
      encoding: .utf8
    )
    let start = try #require(text.range(of: "Templates of kind `http` may name"))
    let sentence = text[start.upperBound...].prefix { $0 != "." }
    let listed = sentence.split(separator: "`{{").dropFirst()
      .compactMap { $0.split(separator: "}}`").first.map(String.init) }
    #expect(listed == NoticeField.allCases.map(\.rawValue))
  }
}
