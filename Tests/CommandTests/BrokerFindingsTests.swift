import DavyCommands
import DeviceCatalog
import Foundation
import Testing

/// What `davy check` says of a service file's section `broker:`.
@Suite("Broker findings") struct BrokerFindingsTests {
  /// Key, line and severity of each finding.
  static func findings(_ text: String) throws -> [String] {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-broker-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/service.yaml"
    let head = "station: county\ndata: data\ndevices: devices\nsites: [site.yaml]\n"
    try (head + text).write(toFile: path, atomically: false, encoding: .utf8)
    let result = ServiceConfiguration.load(path: path)
    let service = try #require(result.configuration, "\(result.findings)")
    let findings = service.brokerFindings(file: path, catalog: nil)
    #expect(findings.allSatisfy { $0.place.file == path })
    #expect(findings.allSatisfy { !$0.remedy.zh.isEmpty && !$0.remedy.en.isEmpty })
    return findings.map { "\($0.severity.rawValue) \($0.place.key):\($0.place.line)" }
  }

  @Test(
    "what serve would refuse is an error at its key",
    arguments: [
      ("broker: {host: 127.0.0.1}", []), ("publish: true", []),
      (
        "broker:\n  keepAlive: 1s\n  sessionExpiry: 0s",
        ["broker.keepAlive:6", "broker.sessionExpiry:7"]
      ),
      (
        "broker:\n  filters:\n    - {filter: a/+}\n    - {filter: \"b/#\"}\n    - {filter: a/+}",
        ["broker.filters.2:9"]
      ), ("broker:\n  filters:\n    - {filter: \"a/#/b\"}", ["broker.filters.0:7"]),
      (
        "broker:\n  userName: davy\n  passwordFile: missing.password\n  tls:\n    ca: missing.pem",
        ["broker.passwordFile:7", "broker.tls.ca:9"]
      ),
      (
        "relay:\n  broker:\n    host: city.example\n    keepAlive: 1s",
        ["relay.broker.keepAlive:8"]
      ),
    ] as [(String, [String])]
  )
  func errors(text: String, expected: [String]) throws {
    #expect(try Self.findings(text) == expected.map { "error \($0)" })
  }

  @Test(
    "a password that nobody signs in with is doubtful, and keeps no station from starting",
    arguments: [
      ("broker:\n  passwordFile: missing.password", "broker.passwordFile:6"),
      ("broker:\n  passwordEnvironment: DAVY_SECRET", "broker.passwordEnvironment:6"),
      (
        "relay:\n  broker:\n    host: city.example\n    passwordFile: city.password",
        "relay.broker.passwordFile:8"
      ),
    ]
  )
  func nobody(text: String, place: String) throws {
    let folder = try Folder()
    defer { folder.remove() }
    let head = "station: county\ndata: data\ndevices: devices\nsites: [site.yaml]\n"
    let result = ServiceConfiguration.load(path: try folder.file("service.yaml", head + text))
    let service = try #require(result.configuration, "\(result.findings)")
    #expect(service.brokerFindings(file: "service.yaml", catalog: nil).isEmpty)
    #expect(result.findings.map(\.code) == ["password-without-user"])
    #expect(result.findings.map(\.severity) == [.warning])
    #expect(result.findings.map { "\($0.place.key):\($0.place.line)" } == [place])
  }

  @Test("a variable of the environment may be set for the service alone")
  func environment() throws {
    let text = "broker:\n  userName: davy\n  passwordEnvironment: DAVY_SET_NOWHERE"
    #expect(try Self.findings(text) == ["warning broker.passwordEnvironment:7"])
  }
}
