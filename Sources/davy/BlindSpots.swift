package import DeviceCatalog
import Logging
import MQTTTransport
import PayloadDecoding
import Station

extension ServiceConfiguration {
  /// What a station would not see although its files load: readings that its own `filters` leave out, or everything,
  /// where it has no device.
  ///
  /// The broker sends what is subscribed to, and nobody misses the rest: a route that no filter covers is as quiet as one
  /// without gateways.
  ///
  /// - Parameters:
  ///   - file: path of the service file.
  ///   - catalog: what it names.
  /// - Returns: one finding for each route, welding topic or gateway that is left out, and for filters that overlap.
  package func blindSpots(file: String, catalog: Catalog) -> [Finding] {
    var findings: [Finding] = []
    let hasWelding = catalog.enterprises.contains { $0.welding != nil }
    if catalog.devices.isEmpty, !hasWelding {
      findings.append(withoutDevice(file: file, catalog: catalog))
    }
    // What is no filter is an error of its own.
    let given = broker.filters.map(\.filter).filter { TopicFilter.problem($0) == nil }
    guard !given.isEmpty else { return findings }
    let place =
      broker.places["filters"]
      ?? Place(file: file, line: 0, column: 0, key: "broker.filters")
    let wanted = catalog.wantedTopics
    for route in wanted {
      let missing = route.topics.filter { topic in
        !given.contains { TopicFilter.covers($0, topic.filter) }
      }
      guard !missing.isEmpty else { continue }
      // Filters that are narrower than the route may take all that is sent: that is for people to know.
      let isWhole = route.topics.allSatisfy { topic in
        !given.contains { TopicFilter.overlap($0, topic.filter) }
      }
      let gateways = isWhole ? nil : names(of: missing)
      findings.append(
        Finding(
          // A gateway may have no use for a format that every station takes; a route of the site's own has one.
          severity: isWhole && !route.isBuiltIn ? .error : .warning,
          code: "route-not-subscribed",
          place: place,
          message: LocalizedText(
            zh: "broker.filters 没有覆盖\(route.name.zh)（\(route.template)）"
              + (gateways.map { "中网关 \($0) 的主题" } ?? "") + "：这些消息不会到达",
            en:
              "no filter covers \(route.name.en) (\(route.template))"
              + (gateways.map { " of gateway \($0)" } ?? "") + ": such messages never come"
          ),
          remedy: LocalizedText(
            zh: "加上 {filter: \"\(route.filter)\"}，或删除 filters 以订阅全部路由",
            en:
              "add {filter: \"\(route.filter)\"}, or remove \"filters\" to subscribe to every route"
          )
        )
      )
    }
    findings += unheardGateways(wanted, given, at: place)
    return findings + overlaps(at: place)
  }

  /// A station that watches nothing; one that only takes what stations below pass on may be meant so.
  private func withoutDevice(file: String, catalog: Catalog) -> Finding {
    let lists = catalog.enterprises.contains { enterprise in
      enterprise.administrativeCode != nil && enterprise.gateways.isEmpty
    }
    return Finding(
      severity: broker.takesRelay || lists ? .warning : .error,
      code: "no-device",
      place: sitesPlace ?? Place(file: file, line: 0, column: 0, key: "sites"),
      message: LocalizedText(
        zh: "sites 中没有任何设备：本站什么也不监测",
        en: "the sites have no device at all: the station watches nothing"
      ),
      remedy: LocalizedText(
        zh: "在 sites 下列出站点文件，并在其中登记设备",
        en: "name the site files under \"sites\", and the devices in them"
      )
    )
  }

  /// Gateways with devices of which nothing at all is subscribed to.
  private func unheardGateways(
    _ wanted: [WantedTopics],
    _ given: [String],
    at place: Place
  ) -> [Finding] {
    var heard: Set<String> = []
    var known: Set<String> = []
    var all: [String] = []
    for route in wanted where !route.isWelding {
      for topic in route.topics {
        guard let gateway = topic.gateway else { continue }
        if known.insert(gateway).inserted { all.append(gateway) }
        guard !heard.contains(gateway) else { continue }
        if given.contains(where: { TopicFilter.overlap($0, topic.filter) }) {
          heard.insert(gateway)
        }
      }
    }
    let unheard = all.filter { !heard.contains($0) }
    return unheard.map { gateway in
      Finding(
        severity: .error,
        code: "gateway-not-subscribed",
        place: place,
        message: LocalizedText(
          zh: "broker.filters 没有覆盖网关 \(gateway) 的任何主题：它的读数不会到达",
          en: "no filter covers any topic of gateway \(gateway): its readings never come"
        ),
        remedy: LocalizedText(
          zh: "加上该网关的主题，或删除 filters 以订阅全部路由",
          en: "add a filter for its topics, or remove \"filters\" to subscribe to every route"
        )
      )
    }
  }

  /// Filters by which a message comes twice.
  private func overlaps(at place: Place) -> [Finding] {
    var findings: [Finding] = []
    let filters = broker.filters.map(\.filter)
    for (index, filter) in filters.enumerated() where TopicFilter.problem(filter) == nil {
      // What is given twice is an error of its own.
      let first = filters[..<index].first { other in
        other != filter && TopicFilter.problem(other) == nil && TopicFilter.overlap(other, filter)
      }
      guard let first else { continue }
      findings.append(
        Finding(
          severity: .warning,
          code: "filters-overlap",
          place: broker.places["filters.\(index)"] ?? place,
          message: LocalizedText(
            zh: "过滤器“\(filter)”与“\(first)”重叠：同时符合两者的消息会到达两次",
            en: "filter \"\(filter)\" overlaps \"\(first)\": messages that both take come twice"
          ),
          remedy: LocalizedText(
            zh: "只留较宽的一个，或改得互不重叠",
            en: "keep the wider one, or write them so that no topic is in both"
          )
        )
      )
    }
    return findings
  }

  /// The gateways of some topics, few of them by name.
  private func names(of topics: [WantedTopics.Topic]) -> String {
    let gateways = topics.compactMap(\.gateway)
    let more = gateways.count - 5
    return gateways.prefix(5).joined(separator: ", ") + (more > 0 ? " (+\(more))" : "")
  }
}

/// The topics on which messages of one route, or of the welding desk, come.
private struct WantedTopics {
  /// What one gateway publishes on, as a filter.
  struct Topic {
    /// `enterprise/gateway`; nil where the site has none.
    var gateway: String?
    var filter: String
  }

  var name: LocalizedText
  /// As the site writes it.
  var template: String
  /// The filter that takes all of it.
  var filter: String
  /// Every station has it, whether its gateways use it or not.
  var isBuiltIn = false
  var isWelding = false
  var topics: [Topic]

  /// Fills enterprise and gateway into a template, for each gateway there is.
  static func topics(
    _ template: String,
    of gateways: [(enterprise: String, gateway: String)]
  ) -> [Topic] {
    let levels = template.split(separator: "/", omittingEmptySubsequences: false)
    func filter(_ enterprise: String, _ gateway: String) -> String {
      levels.map { level in
        switch level {
        case "{enterprise}": enterprise
        case "{gateway}": gateway
        case _ where level.first == "{": "+"
        default: String(level)
        }
      }.joined(separator: "/")
    }
    if gateways.isEmpty { return [Topic(gateway: nil, filter: filter("+", "+"))] }
    return gateways.map {
      Topic(gateway: "\($0.enterprise)/\($0.gateway)", filter: filter($0.enterprise, $0.gateway))
    }
  }
}

extension Catalog {
  /// All that the station takes, by route.
  fileprivate var wantedTopics: [WantedTopics] {
    var gateways: [(enterprise: String, gateway: String)] = []
    var seen: Set<String> = []
    for device in devices {
      let enterprise = String(device.path.prefix { $0 != "/" })
      if seen.insert("\(enterprise)/\(device.gateway)").inserted {
        gateways.append((enterprise: enterprise, gateway: device.gateway))
      }
    }
    let own = siteRoutes.count
    var wanted = decodingPlan.routes.enumerated().map { index, route in
      WantedTopics(
        name: LocalizedText(zh: "路由“\(route.id)”", en: "route \"\(route.id)\""),
        template: route.template.text,
        filter: route.template.filter,
        isBuiltIn: index >= own,
        topics: WantedTopics.topics(
          route.template.text,
          of: gateways.filter { gateway in
            (route.enterprise ?? gateway.enterprise) == gateway.enterprise
              && (route.gateway ?? gateway.gateway) == gateway.gateway
          }
        )
      )
    }
    let welding = enterprises.filter { $0.welding != nil }
    guard !welding.isEmpty else { return wanted }
    for filter in WeldingBoard.filters {
      wanted.append(
        WantedTopics(
          name: LocalizedText(zh: "焊接主题", en: "the welding topic"),
          template: filter,
          filter: filter,
          isWelding: true,
          topics: WantedTopics.topics(
            // The levels are the gateway's, as in every station's own routes.
            filter.replacing("davy/v1/+/+/", with: "davy/v1/{enterprise}/{gateway}/"),
            of: welding.flatMap { enterprise in
              enterprise.gateways.map { (enterprise: enterprise.id, gateway: $0.id) }
            }
          )
        )
      )
    }
    return wanted
  }
}

extension LoadedConfiguration {
  /// Tells the log what is doubtful and what the station does not see: it runs all the same, because what it does see is
  /// watched.
  func logFindings(file: String, to logger: Logger) {
    for finding in warnings + service.blindSpots(file: file, catalog: catalog) {
      logger.log(
        level: finding.severity == .error ? .error : .warning,
        "\(finding.message.en)",
        metadata: [
          "file": "\(finding.place.file):\(finding.place.line)", "key": "\(finding.place.key)",
          "remedy": "\(finding.remedy.en)",
        ]
      )
    }
  }
}
