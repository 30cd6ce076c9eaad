import Foundation

/// What one site file says, before it is joined with the profiles.
struct SiteFile {
  /// A device and the area that it stands in.
  struct PlacedDevice {
    var site: Int
    var area: Int
    var spec: DeviceSpec
  }

  var enterprise: Enterprise
  var devices: [PlacedDevice]
  var routes: [RouteSpec]
}

/// Reads the files of `config/sites/`.
struct SiteReader {
  let log: FindingLog
  /// What a welding section builds on.
  var hotWork: HotWorkRules?

  /// Reads one file; nil when it does not even name its enterprise.
  func site(_ map: YAMLMap) -> SiteFile? {
    defer { map.finish() }
    guard let entry = map.required("enterprise")?.map() else { return nil }
    let id = entry.required("id")?.identifier()
    let name = entry.required("name")?.text()
    let creditCode = entry["credit-code"]?.string()
    let codeValue = entry["administrative-code"]
    let administrativeCode = codeValue?.string()
    if let administrativeCode, !Enterprise.isAdministrativeCode(administrativeCode) {
      codeValue?.report(.administrativeCode(administrativeCode))
    }
    let responsible = DeviceSpec.people(entry["responsible"])
    entry.finish()
    let timeZone = timeZone(map.required("time-zone"))
    var policies: [String: String] = [:]
    for (key, _, value) in map["policies"]?.map()?.entries() ?? [] {
      policies[key] = value.string()
    }
    let people = map["people"]?.map().map(people) ?? []
    let gateways = map.required("gateways")?.map().map(gateways) ?? []
    let flood = FloodPolicy.read(map["flood"])
    let routes = map["routes"]?.map().map { RouteSpec.readAll($0) } ?? []
    check(responsible, among: people)

    var sites: [Site] = []
    var devices: [SiteFile.PlacedDevice] = []
    for (key, keyPlace, value) in map.required("sites")?.map()?.identified() ?? [] {
      guard let siteMap = value.map() else { continue }
      let index = sites.count
      let path = "\(id ?? "?")/\(key)"
      if let (site, found) = site(
        siteMap,
        id: key,
        path: path,
        place: keyPlace,
        index: index,
        people: people
      ) {
        sites.append(site)
        devices += found
      }
    }
    let welding = map["welding"].flatMap { readWelding($0, sites: sites, devices: devices) }
    guard let id, let name else { return nil }
    let enterprise = Enterprise(
      id: id,
      name: name,
      creditCode: creditCode,
      administrativeCode: administrativeCode,
      timeZone: timeZone,
      policies: policies,
      people: people,
      gateways: gateways,
      sites: sites,
      responsible: responsible.map(\.value),
      welding: welding,
      flood: flood,
      place: entry.place
    )
    return SiteFile(enterprise: enterprise, devices: devices, routes: routes)
  }

  private func readWelding(
    _ value: YAMLValue,
    sites: [Site],
    devices: [SiteFile.PlacedDevice]
  ) -> EnterpriseWelding? {
    guard let entry = value.map() else { return nil }
    guard let hotWork else {
      value.report(.nothing(kind: "devices/hot-work.yaml", kindZh: "devices/hot-work.yaml"))
      return nil
    }
    var fences: [String: [Coordinates]] = [:]
    for site in sites {
      for area in site.areas { fences["\(site.id)/\(area.id)"] = area.fence }
    }
    return WeldingReader(
      rules: hotWork,
      fences: fences,
      devices: devices.map(\.spec.id)
    ).read(entry)
  }

  func timeZone(_ value: YAMLValue?) -> String {
    guard let value, let text = value.string() else { return "UTC" }
    if TimeZone(identifier: text) == nil {
      value.report(
        .unknownReference(
          kind: "time zone",
          kindZh: "时区",
          name: text,
          known: nearest(text, among: TimeZone.knownTimeZoneIdentifiers).map { [$0] }
            ?? ["Asia/Shanghai", "UTC"]
        )
      )
    }
    return text
  }

  private func people(_ map: YAMLMap) -> [Person] {
    map.identified().compactMap { key, keyPlace, value in
      guard let entry = value.map() else { return nil }
      defer { entry.finish() }
      let name = entry.required("name")?.string()
      let role = entry.required("role")?.string()
      let phone = entry["phone"]?.string()
      guard let name, let role else { return nil }
      return Person(id: key, name: name, role: role, phone: phone, place: keyPlace)
    }
  }

  private func gateways(_ map: YAMLMap) -> [Gateway] {
    map.identified().compactMap { key, keyPlace, value in
      guard let entry = value.map() else { return nil }
      defer { entry.finish() }
      let name = entry.required("name")?.text()
      let codes = entry["status-codes"]?.string()
      let replay = entry["replay-source"]?.bool() ?? false
      let timing = SourceTiming.read(entry)
      guard let name else { return nil }
      return Gateway(
        id: key,
        name: name,
        statusCodes: codes,
        isReplaySource: replay,
        timing: timing,
        place: keyPlace
      )
    }
  }

  private func site(
    _ map: YAMLMap,
    id: String,
    path: String,
    place: Place,
    index: Int,
    people: [Person]
  ) -> (Site, [SiteFile.PlacedDevice])? {
    defer { map.finish() }
    let name = map.required("name")?.text()
    let kind = map["kind"]?.string()
    let position = map["position"].flatMap { Coordinates.read($0) }
    let responsible = DeviceSpec.people(map["responsible"])
    check(responsible, among: people)
    var sources: [MajorHazardSource] = []
    for (key, keyPlace, value) in map["major-hazard-sources"]?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      if let source = MajorHazardSource.read(entry, id: key, place: keyPlace) {
        sources.append(source)
        check(
          source.guarantors.sorted { $0.key < $1.key }.map {
            DeviceSpec.Placed(value: $0.value, place: keyPlace)
          },
          among: people
        )
      }
    }
    var areas: [Area] = []
    var devices: [SiteFile.PlacedDevice] = []
    for (key, keyPlace, value) in map.required("areas")?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      guard
        let area = area(
          entry,
          id: key,
          path: "\(path)/\(key)",
          place: keyPlace,
          people: people,
          sources: sources.map(\.id)
        )
      else { continue }
      for (deviceID, devicePlace, deviceValue) in entry["devices"]?.map()?.identified() ?? [] {
        guard let deviceMap = deviceValue.map() else { continue }
        let spec = DeviceSpec.read(deviceMap, id: deviceID, place: devicePlace)
        check(spec.responsible + spec.points.values.flatMap(\.responsible), among: people)
        devices.append(SiteFile.PlacedDevice(site: index, area: areas.count, spec: spec))
      }
      entry.finish()
      areas.append(area)
    }
    guard let name else { return nil }
    let site = Site(
      id: id,
      path: path,
      name: name,
      kind: kind,
      position: position,
      responsible: responsible.map(\.value),
      hazardSources: sources,
      areas: areas,
      place: place
    )
    return (site, devices)
  }

  private func area(
    _ map: YAMLMap,
    id: String,
    path: String,
    place: Place,
    people: [Person],
    sources: [String]
  ) -> Area? {
    let name = map.required("name")?.text()
    let responsible = DeviceSpec.people(map["responsible"])
    check(responsible, among: people)
    var fence: [Coordinates] = []
    if let value = map["fence"], let corners = value.list() {
      fence = corners.compactMap { Coordinates.read($0) }
      if corners.count < 3 {
        value.report(
          .wrongType(
            expected: "at least three corners",
            expectedZh: "至少三个顶点",
            found: "\(corners.count)"
          )
        )
      }
    }
    var hazardSource: String?
    if let value = map["major-hazard-source"], let text = value.string() {
      hazardSource = text
      if !sources.contains(text) {
        value.report(
          .unknownReference(
            kind: "major hazard source",
            kindZh: "重大危险源",
            name: text,
            known: sources
          )
        )
      }
    }
    let expected = (map["should-be-connected"]?.list() ?? []).compactMap { value in
      value.string().map { ExpectedPoint(name: $0, place: value.place) }
    }
    guard let name else { return nil }
    var area = Area(
      id: id,
      path: path,
      name: name,
      fence: fence,
      responsible: responsible.map(\.value),
      hazardSource: hazardSource,
      place: place
    )
    area.expected = expected
    return area
  }

  private func check(_ names: [DeviceSpec.Placed<String>], among people: [Person]) {
    for name in names where !people.contains(where: { $0.id == name.value }) {
      log.report(
        .unknownReference(
          kind: "person",
          kindZh: "人员",
          name: name.value,
          known: people.map(\.id)
        ),
        at: name.place
      )
    }
  }
}
