import DeviceCatalog
import Foundation
import Testing

/// The sections `relay:` and `historian:` of a service file.
@Suite("Relay and historian sections") struct RelaySectionTests {
  /// What a service file with these sections says, and the folder that it lay in.
  static func load(
    _ text: String
  ) throws -> (configuration: ServiceConfiguration?, findings: [Finding], folder: String) {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-sections-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let head = "station: county\ndata: data\ndevices: devices\nsites: [site.yaml]\n"
    try (head + text).write(toFile: folder + "/service.yaml", atomically: false, encoding: .utf8)
    let result = ServiceConfiguration.load(path: folder + "/service.yaml")
    return (result.configuration, result.findings, folder)
  }

  @Test("what is written is what is read") func good() throws {
    let (found, findings, folder) = try Self.load(
      """
      relay:
        url: https://city.example:8443/
        keyFile: relay.key
        entries: [alarm]
        heartbeat: 30s
        readings: [{points: "+/+/+/+/level", every: 60s, change: 5}, {points: "acme/#"}]
      historian:
        url: http://127.0.0.1:8086/api/v2/write?org=o&bucket=b
        tokenEnvironment: INFLUX_TOKEN
        minutes: ["#"]
      """
    )
    let service = try #require(found, "\(findings)")
    let relay = try #require(service.relay)
    guard case .http("https://city.example:8443") = relay.way else {
      Issue.record("\(relay.way)")
      return
    }
    #expect(relay.key == .file(folder + "/relay.key"))
    #expect(relay.entries == [.alarm] && relay.heartbeat == 30_000)
    #expect(relay.readings.map(\.every) == [60_000, 0] && relay.readings[0].change == 5)
    let historian = try #require(service.historian)
    #expect(historian.token == .environment("INFLUX_TOKEN") && historian.minutes == ["#"])
  }

  @Test("the way up by a broker, and a broker that stations below may use") func broker() throws {
    let (found, findings, folder) = try Self.load(
      """
      broker: {relay: true}
      relay:
        broker: {host: city.example, port: 8883, userName: county, tls: {ca: city.pem}}
        keyFile: relay.key
      """
    )
    let service = try #require(found, "\(findings)")
    #expect(service.broker.takesRelay && service.broker.clientID == "davy-county")
    let relay = try #require(service.relay)
    guard case .broker(let above) = relay.way else {
      Issue.record("\(relay.way)")
      return
    }
    #expect(above.host == "city.example" && above.port == 8883 && above.userName == "county")
    #expect(above.clientID == "davy-county-relay" && above.tls?.ca == folder + "/city.pem")
    #expect(relay.key == .file(folder + "/relay.key"))
  }

  @Test(
    "mistakes are named with their place",
    arguments: [
      ("relay: {}", "relay"), ("relay: {url: city}", "relay.url"),
      ("relay: {url: \"https://city/api\"}", "relay.url"),
      ("relay: {url: \"https://city\", key: secret}", "relay.key"),
      ("relay: {url: \"https://city\", heartbeat: 10min}", "relay.heartbeat"),
      ("relay: {url: \"https://city\", entries: [alarms]}", "relay.entries.0"),
      (
        "relay: {url: \"https://city\", readings: [{points: \"a/#/b\"}]}", "relay.readings.0.points"
      ),
      ("relay: {url: \"https://city\", readings: [{every: 1s}]}", "relay.readings.0"),
      ("relay: {url: \"https://city\", reading: []}", "relay.reading"),
      ("relay: {url: \"https://city\", broker: {host: city}}", "relay.url"),
      ("relay: {broker: {port: 1883}}", "relay.broker"),
      ("relay: {broker: {host: city, filters: []}}", "relay.broker.filters"),
      ("relay: {broker: {host: city, relay: true}}", "relay.broker.relay"),
      ("historian: {url: \"http://h/write?db=d\"}", "historian"),
      ("historian: {url: \"http://h/write?precision=s\", minutes: [\"#\"]}", "historian.url"),
      ("historian: {url: \"http://h/w\", minutes: [\"#\"], userName: u}", "historian"),
    ]
  )
  func mistakes(text: String, place: String) throws {
    let (found, findings, _) = try Self.load(text)
    #expect(found == nil)
    #expect(findings.contains { $0.place.key == place }, "\(findings.map(\.place.key))")
    #expect(findings.allSatisfy { !$0.remedy.en.isEmpty && !$0.remedy.zh.isEmpty })
  }
}
