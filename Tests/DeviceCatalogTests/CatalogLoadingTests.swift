import AlarmEngine
import DeviceCatalog
import Foundation
import PayloadDecoding
import Telemetry
import Testing

/// The repository's root, found from this file.
let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().path

@Suite("the repository's own catalog")
struct CatalogLoadingTests {
  @Test("loads without an error", arguments: ["example", "methane-demo"])
  func loads(site: String) throws {
    let result = Catalog.load(
      devices: "\(repository)/devices",
      site: ["\(repository)/config/sites/\(site).yaml"]
    )
    for finding in result.findings where finding.severity == .error { Issue.record("\(finding)") }
    let catalog = try #require(result.catalog)
    #expect(catalog.channels.count == catalog.enginePlan.channels.count)
    for (channel, plan) in zip(catalog.channels, catalog.enginePlan.channels) {
      #expect(plan.unit == StableID(name: channel.unit), "\(channel.path)")
    }
    #expect(catalog.rules.count == catalog.enginePlan.rules.count)
    #expect(catalog.devices.count == catalog.decodingPlan.devices.count)
  }
}
