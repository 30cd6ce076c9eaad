import Crypto
import DeviceCatalog
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Synchronization

/// `GET /api/v1/catalog`: enterprises, sites, areas, devices, points and rules as one tree.
final class CatalogRoutes: Sendable {
  private let station: any StationAccess
  /// The tree of one version, written once: it is the largest answer of the API and seldom changes.
  private let written = Mutex(Written())

  private struct Written {
    var version = ""
    var trees: [LedgerScope: Tree] = [:]
  }

  private struct Tree {
    var json: [UInt8]
    var tag: String
  }

  /// Trees kept: as many as there are different scopes at work, within reason.
  private static let capacity = 64

  init(station: any StationAccess) {
    self.station = station
  }

  func catalog(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let catalog = station.catalog
    let tree = tree(of: catalog, for: try context.scope)
    if request.knows(tree.tag) {
      return Response(status: .notModified, headers: [.eTag: tree.tag, .cacheControl: "no-cache"])
    }
    var response = Response(json: tree.json)
    response.headers[.eTag] = tree.tag
    response.headers[.cacheControl] = "no-cache"
    return response
  }

  private func tree(of catalog: Catalog, for scope: LedgerScope) -> Tree {
    let known = written.withLock { $0.version == catalog.version ? $0.trees[scope] : nil }
    if let known { return known }
    let json = CatalogTree(catalog, scope: scope).json
    // Two scopes see two trees of one version: the tag is the answer's, not the catalog's.
    let tag = "\"\(Array(SHA256.hash(data: json).prefix(16)).hex)\""
    let tree = Tree(json: json, tag: tag)
    written.withLock { written in
      if written.version != catalog.version || written.trees.count >= Self.capacity {
        written = Written(version: catalog.version)
      }
      written.trees[scope] = tree
    }
    return tree
  }
}

/// The catalog as the tree that people know their plant by.
struct CatalogTree {
  private let catalog: Catalog
  private let enterprises: [Enterprise]
  /// Devices by the path of their area.
  private var devices: [String: [DeviceDescription]] = [:]
  /// Channels by the path of their device.
  private var channels: [String: [ChannelDescription]] = [:]
  /// Rules by the row of their channel.
  private var rules: [UInt32: [RuleDescription]] = [:]

  init(_ catalog: Catalog, scope: LedgerScope) {
    self.catalog = catalog
    enterprises = catalog.enterprises.filter { scope.includes(enterprise: $0.id) }
    for device in catalog.devices where scope.includes(path: device.path) {
      devices[Self.parent(of: device.path), default: []].append(device)
    }
    for channel in catalog.channels {
      channels[Self.parent(of: channel.path), default: []].append(channel)
    }
    for rule in catalog.rules {
      rules[rule.channel, default: []].append(rule)
    }
  }

  var json: [UInt8] {
    JSONWriter.object { writer in
      writer.member("version", catalog.version)
      writer.key("enterprises")
      writer.array(enterprises) { writer, enterprise in
        writer.object { writer in
          writer.member("id", enterprise.id)
          writer.member("path", enterprise.id)
          writer.member("name", enterprise.name)
          writer.member("timeZone", enterprise.timeZone)
          writer.key("sites")
          writer.array(enterprise.sites) { writer, site in
            writer.object { writer in
              writer.member("id", site.id)
              writer.member("path", site.path)
              writer.member("name", site.name)
              writer.member("kind", site.kind)
              writer.key("areas")
              writer.array(site.areas, write)
            }
          }
        }
      }
    }
  }

  private func write(_ writer: inout JSONWriter, _ area: Area) {
    writer.object { writer in
      writer.member("id", area.id)
      writer.member("path", area.path)
      writer.member("name", area.name)
      writer.key("devices")
      writer.array(devices[area.path] ?? []) { writer, device in
        writer.object { writer in
          writer.member("id", device.id)
          writer.member("path", device.path)
          writer.member("name", device.name)
          writer.member("profile", device.profile)
          writer.member("gateway", device.gateway)
          // Its times are those of a recording, not of now.
          writer.member("replay", isReplay(device))
          if let position = device.position {
            writer.member("longitude", position.longitude)
            writer.member("latitude", position.latitude)
          }
          writer.key("points")
          writer.array(channels[device.path] ?? [], write)
        }
      }
    }
  }

  private func write(_ writer: inout JSONWriter, _ channel: ChannelDescription) {
    writer.object { writer in
      writer.member("id", channel.point)
      writer.member("path", channel.path)
      writer.member("channel", channel.index)
      writer.member("name", channel.name)
      writer.member("unit", channel.unit)
      writer.member("kind", channel.kind.rawValue)
      writer.member("low", channel.low)
      writer.member("high", channel.high)
      writer.member("staleAfter", channel.staleMilliseconds)
      writer.key("states")
      writer.object { writer in
        for (value, text) in channel.states.sorted(by: { $0.key < $1.key }) {
          writer.member(value, text)
        }
      }
      writer.key("rules")
      writer.array(rules[channel.index] ?? [], write)
    }
  }

  private func write(_ writer: inout JSONWriter, _ rule: RuleDescription) {
    writer.object { writer in
      writer.member("id", rule.id)
      writer.member("text", rule.text)
      writer.member("condition", rule.condition)
      writer.member("level", rule.level.rawValue)
      writer.member("priority", rule.priority)
      writer.member("setpoint", rule.setpoint)
      writer.member("restore", rule.restore)
      writer.member("unit", rule.unit)
      writer.member("bound", rule.bound)
      writer.member("looserThanBound", rule.isLooserThanBound)
      writer.key("source")
      writer.object { writer in
        writer.member("origin", rule.source.origin.rawValue)
        writer.member("standard", rule.source.standard)
        writer.member("edition", rule.source.edition)
        writer.member("clause", rule.source.clause)
        writer.member("mark", rule.source.mark.rawValue)
        writer.member("citation", rule.source.citation)
        if let note = rule.source.note { writer.member("note", note) }
      }
      if let deviation = rule.deviation {
        writer.key("deviation")
        writer.object { writer in
          writer.member("reason", deviation.reason)
          writer.member("approvedBy", deviation.approvedBy)
          writer.member("approvedOn", "\(deviation.approvedOn)")
          writer.member("document", deviation.document)
        }
      }
      writer.member("response", rule.response)
    }
  }

  private func isReplay(_ device: DeviceDescription) -> Bool {
    let enterprise = device.path.prefix { $0 != "/" }
    return catalog.enterprises.first { $0.id == enterprise }?.gateways
      .contains { $0.id == device.gateway && $0.isReplaySource } ?? false
  }

  private static func parent(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
  }
}

extension JSONWriter {
  /// Writes a member with a text in both languages.
  mutating func member(_ name: String, _ text: LocalizedText) {
    key(name)
    object { writer in
      writer.member("zh", text.zh)
      writer.member("en", text.en)
    }
  }
}

/// What the catalog calls the parts of a point's path.
struct CatalogNames: Sendable {
  /// The names along a path.
  struct Place: Sendable {
    var enterprise: String
    var area: String
    var device: String
    var point: String
  }

  /// Chinese names by path.
  private var names: [String: String] = [:]

  init(_ catalog: Catalog) {
    for enterprise in catalog.enterprises {
      names[enterprise.id] = enterprise.name.zh
      for site in enterprise.sites {
        names[site.path] = site.name.zh
        for area in site.areas { names[area.path] = area.name.zh }
      }
    }
    for device in catalog.devices { names[device.path] = device.name.zh }
    for channel in catalog.channels { names[channel.path] = channel.name.zh }
  }

  /// The names along a path; the path's own parts where the catalog has none.
  func place(of path: String) -> Place {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    func name(_ depth: Int) -> String {
      guard depth <= parts.count else { return "" }
      return names[parts[..<depth].joined(separator: "/")] ?? parts[depth - 1]
    }
    return Place(
      enterprise: name(1),
      area: [name(2), name(3)].filter { !$0.isEmpty }.joined(separator: " / "),
      device: name(4),
      point: name(5)
    )
  }
}
