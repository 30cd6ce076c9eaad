import DeviceCatalog
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// What the engine knows beside the alarms that stand: inhibited rules, behaviour of rules, clocks of devices.
struct EngineRoutes: Sendable {
  let station: any StationAccess

  /// `GET /api/v1/rules/inhibited`: rules that are shelved, suppressed by design or out of service, also while no
  /// alarm of theirs stands.
  func inhibited(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let catalog = station.catalog
    let scope = try context.scope
    let rules = station.inhibitedRules().filter {
      Self.includes(scope, rule: $0.rule, of: catalog)
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.key("rules")
        writer.array(rules) { writer, rule in
          writer.object { writer in
            Self.name(rule.rule, of: catalog, &writer)
            writer.member("state", rule.state)
            writer.member("until", rule.until?.milliseconds)
          }
        }
      }
    )
  }

  /// `GET /api/v1/rules/behaviour`: rules by how often they chatter, are fleeting or are raised, the worst first.
  func behaviour(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["limit"])
    let limit = Int(try request.integer("limit", in: 1...1_000) ?? 100)
    let catalog = station.catalog
    let scope = try context.scope
    let rules = station.engineReport().rules
      .filter { Self.includes(scope, rule: $0.rule, of: catalog) }
      .sorted { one, other in
        let (a, b) = (one, other)
        return (b.chattering, b.fleeting, b.raises, one.rule)
          < (a.chattering, a.fleeting, a.raises, other.rule)
      }
    return Response(
      json: JSONWriter.object { writer in
        writer.key("rules")
        writer.array(Array(rules.prefix(limit))) { writer, rule in
          writer.object { writer in
            Self.name(rule.rule, of: catalog, &writer)
            writer.member("raises", rule.raises)
            writer.member("chattering", rule.chattering)
            writer.member("fleeting", rule.fleeting)
            writer.member("heldBack", rule.heldBack)
          }
        }
      }
    )
  }

  /// `GET /api/v1/devices/clocks`: skew and drift of every live device that has shown a time of its own.
  func clocks(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let catalog = station.catalog
    let scope = try context.scope
    let clocks = station.engineReport().clocks.filter { clock in
      Int(clock.device) < catalog.devices.count
        && scope.includes(path: catalog.devices[Int(clock.device)].path)
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.key("devices")
        writer.array(clocks) { writer, entry in
          writer.object { writer in
            writer.member("device", catalog.devices[Int(entry.device)].path)
            writer.member("skew", entry.skew)
            writer.member("drift", entry.drift)
            writer.member("tolerance", entry.tolerance)
            writer.member("quarantined", entry.isQuarantined)
            writer.member("faults", entry.faults)
            writer.member("steps", entry.steps)
          }
        }
      }
    )
  }

  private static func includes(
    _ scope: LedgerScope,
    rule: UInt32,
    of catalog: Catalog
  ) -> Bool {
    guard Int(rule) < catalog.rules.count else { return false }
    let channel = catalog.channels[Int(catalog.rules[Int(rule)].channel)]
    return scope.includes(enterprise: channel.enterprise)
  }

  private static func name(_ rule: UInt32, of catalog: Catalog, _ writer: inout JSONWriter) {
    let description = catalog.rules[Int(rule)]
    writer.member("point", catalog.channels[Int(description.channel)].path)
    writer.member("rule", description.id)
  }
}
