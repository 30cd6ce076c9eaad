import Foundation

/// A point list (点表) out of a spreadsheet, checked and compared with the catalog before anything changes.
///
/// A row is one point of one device. Headers may be Chinese or English, in any order; a device's
/// own columns (name, profile, position …) need to stand in its first row only.
public struct PointListImport: Sendable {
  /// One row.
  public struct Row: Codable, Sendable {
    /// Line in the file.
    public var line: Int
    /// Site id.
    public var site: String
    /// Area id.
    public var area: String
    /// Device id.
    public var device: String
    /// Point id of the device's profile.
    public var point: String
    /// The other columns that hold something, by key.
    public var values: [String: String]
  }

  /// How the bytes were read: UTF-8, UTF-8 with byte order mark, GB18030.
  public var encoding: String
  /// The rows.
  public var rows: [Row]
  /// What is wrong with the file.
  public var findings: [Finding]

  /// Reads the bytes of a file; `file` is only its name in findings.
  public init(bytes: [UInt8], file: String) {
    encoding = ""
    rows = []
    findings = []
    let log = FindingLog()
    defer { findings = log.findings }
    let whole = Place(file: file, line: 0, column: 0, key: "")
    guard let text = CSVText(bytes) else {
      log.report(.unreadableTable, at: whole)
      return
    }
    encoding = text.encoding.rawValue
    guard let header = text.rows.first else {
      log.report(.emptyFile, at: whole)
      return
    }
    text.report(file: file, to: log)
    let columns = Self.columns(header, file: file, log: log)
    for row in text.rows.dropFirst() { read(row, columns: columns, file: file, log: log) }
    if rows.isEmpty, !log.hasErrors {
      log.report(.nothing(kind: "point", kindZh: "测点"), at: whole)
    }
  }

  // MARK: columns

  /// Keys of the columns with the headers that people write.
  static let headers: [(key: String, names: [String])] = [
    ("site", ["站点", "站点编号", "厂区", "site"]), ("area", ["区域", "区域编号", "area"]),
    ("device", ["设备编号", "设备编码", "设备", "位号", "device"]),
    ("device-name", ["设备名称", "device name", "device-name"]),
    ("profile", ["型谱", "设备型谱", "设备类型", "profile"]), ("gateway", ["网关", "网关编号", "gateway"]),
    ("point", ["测点", "测点编号", "测点编码", "point"]), ("unit", ["单位", "工程单位", "unit"]),
    ("LL", ["低低报", "低低报警", "LL"]), ("L", ["低报", "低报警", "低限", "L"]),
    ("H", ["高报", "高报警", "高限", "H"]), ("HH", ["高高报", "高高报警", "HH"]),
    ("longitude", ["经度", "longitude", "lon"]), ("latitude", ["纬度", "latitude", "lat"]),
    ("responsible", ["责任人", "responsible"]),
  ]

  private static func columns(
    _ header: CSVText.Row,
    file: String,
    log: FindingLog
  ) -> [String?] {
    var seen: [String: Int] = [:]
    let names = headers.flatMap(\.names)
    let columns = header.cells.enumerated().map { index, cell -> String? in
      let place = Place(file: file, line: header.line, column: index + 1, key: cell)
      if cell.isEmpty { return nil }
      let key =
        headers.first { entry in
          entry.names.contains { $0.lowercased() == cell.lowercased() }
        }?.key ?? prefixed(cell)
      guard let key else {
        log.report(
          .unknownKey(key: cell, known: names),
          at: place
        )
        return nil
      }
      if let first = seen[key] {
        log.report(
          .duplicateName(kind: "column", kindZh: "列", name: cell, first: "column \(first)"),
          at: place
        )
      }
      seen[key] = index + 1
      return key
    }
    for key in ["site", "area", "device", "point"] where seen[key] == nil {
      let zh = headers.first { $0.key == key }?.names.first ?? key
      log.report(
        .missingKey(key: "\(zh) / \(key)"),
        at: Place(file: file, line: header.line, column: 1, key: "")
      )
    }
    return columns
  }

  /// `参数:height`, `选择:gas`, `限值:gas.level-1` and their English forms.
  private static func prefixed(_ cell: String) -> String? {
    let parts = cell.replacing("：", with: ":").split(separator: ":", maxSplits: 1).map {
      $0.trimmingCharacters(in: .whitespaces)
    }
    guard parts.count == 2, !parts[1].isEmpty else { return nil }
    switch parts[0].lowercased() {
    case "参数", "parameter": return "parameter:\(parts[1])"
    case "选择", "choose": return "choose:\(parts[1])"
    case "限值", "limit": return "limit:\(parts[1])"
    default: return nil
    }
  }

  private mutating func read(
    _ row: CSVText.Row,
    columns: [String?],
    file: String,
    log: FindingLog
  ) {
    var values: [String: String] = [:]
    for (index, cell) in row.cells.enumerated() where !cell.isEmpty {
      let place = Place(file: file, line: row.line, column: index + 1, key: "")
      guard index < columns.count else {
        log.report(
          .other(
            code: "surplus-cell",
            zh: "该行比表头多出单元格“\(cell)”",
            en: "the row has a cell \"\(cell)\" beyond the header",
            remedyZh: "检查逗号与引号",
            remedyEn: "check commas and quotes"
          ),
          at: place
        )
        continue
      }
      guard let key = columns[index] else { continue }
      values[key] = cell
      check(cell, key: key, at: place, log: log)
    }
    let ids = ["site", "area", "device", "point"].map {
      (key: $0, value: values.removeValue(forKey: $0))
    }
    for id in ids where id.value == nil && columns.contains(id.key) {
      log.report(
        .missingKey(key: id.key),
        at: Place(file: file, line: row.line, column: 1, key: "")
      )
    }
    guard let site = ids[0].value, let area = ids[1].value, let device = ids[2].value,
      let point = ids[3].value
    else { return }
    if let other = rows.first(where: { $0.device == device && $0.point == point }) {
      log.report(
        .duplicateName(
          kind: "point",
          kindZh: "测点",
          name: "\(device)/\(point)",
          first: "line \(other.line)"
        ),
        at: Place(file: file, line: row.line, column: 1, key: "")
      )
      return
    }
    rows.append(
      Row(line: row.line, site: site, area: area, device: device, point: point, values: values)
    )
  }

  private func check(_ cell: String, key: String, at place: Place, log: FindingLog) {
    switch key {
    case "LL", "L", "H", "HH", "longitude", "latitude":
      checkNumber(cell, at: place, log: log)
    case _ where key.hasPrefix("parameter:") || key.hasPrefix("limit:"):
      checkNumber(cell, at: place, log: log)
    case "unit":
      if PointUnit(cell) == nil {
        log.report(.unknownUnit(text: cell), at: place)
      }
    case "site", "area", "device", "point", "gateway":
      if !isIdentifier(cell) { log.report(.badIdentifier(text: cell), at: place) }
    default: break
    }
  }

  private func checkNumber(_ cell: String, at place: Place, log: FindingLog) {
    guard let number = Double(cell) else {
      log.report(
        .wrongType(expected: "a number", expectedZh: "数字", found: "\"\(cell)\""),
        at: place
      )
      return
    }
    if !number.isFinite { log.report(.notFinite(text: cell), at: place) }
  }
}

// MARK: - difference

/// What taking a point list over would change in a catalog.
public struct PointListDifference: Codable, Sendable {
  /// One figure that would change.
  public struct Change: Codable, Hashable, Sendable {
    /// `site/area/device/point`.
    public var point: String
    /// What changes, such as `unit` or `H`.
    public var field: String
    /// As it is; empty when there is nothing yet.
    public var before: String
    /// As it would be.
    public var after: String
    /// Line of the list.
    public var line: Int
  }

  /// Points that are new.
  public var added: [String]
  /// Points of the listed areas that the list does not have.
  public var missing: [String]
  /// Figures that differ.
  public var changed: [Change]

  /// True when the list says what the catalog has.
  public var isEmpty: Bool { added.isEmpty && missing.isEmpty && changed.isEmpty }
}

extension PointListImport {
  /// The dry run: what would change for an enterprise of the catalog.
  public func difference(to catalog: Catalog, enterprise: String) -> PointListDifference {
    var difference = PointListDifference(added: [], missing: [], changed: [])
    let channels = catalog.channels.filter { $0.enterprise == enterprise }
    var known: [String: ChannelDescription] = [:]
    for channel in channels { known[Self.key(channel)] = channel }
    for row in rows {
      let key = "\(row.site)/\(row.area)/\(row.device)/\(row.point)"
      guard let channel = known[key] else {
        difference.added.append(key)
        continue
      }
      difference.changed += changes(row, key: key, channel: channel, catalog: catalog)
    }
    let listed = Set(rows.map { "\($0.site)/\($0.area)/\($0.device)/\($0.point)" })
    let areas = Set(rows.map { "\($0.site)/\($0.area)" })
    for channel in channels
    where areas.contains("\(channel.site)/\(channel.area)") && !listed.contains(Self.key(channel)) {
      difference.missing.append(Self.key(channel))
    }
    return difference
  }

  private static func key(_ channel: ChannelDescription) -> String {
    "\(channel.site)/\(channel.area)/\(channel.device)/\(channel.point)"
  }

  private func changes(
    _ row: Row,
    key: String,
    channel: ChannelDescription,
    catalog: Catalog
  ) -> [PointListDifference.Change] {
    var changes: [PointListDifference.Change] = []
    func compare(_ field: String, _ before: String?, _ after: String?) {
      guard let after, before != after else { return }
      changes.append(
        PointListDifference.Change(
          point: key,
          field: field,
          before: before ?? "",
          after: after,
          line: row.line
        )
      )
    }
    func number(_ key: String) -> String? {
      row.values[key].flatMap { Double($0) }.map(plain)
    }
    compare(
      "unit",
      channel.unit,
      row.values["unit"].flatMap { PointUnit($0)?.symbol }
    )
    let rules = catalog.rules.filter { $0.channel == channel.index }
    for level in [AlarmLevel.lowLow, .low, .high, .highHigh] {
      let before = rules.first { $0.level == level }?.setpoint
      compare(level.rawValue, before.map(plain), number(level.rawValue))
    }
    for (column, _) in row.values where column.hasPrefix("limit:") {
      let name = String(column.dropFirst("limit:".count))
      let before = rules.first { "\(channel.point).\($0.id)" == name }?.setpoint
      compare(name, before.map(plain), number(column))
    }
    compare("longitude", channel.position.map { plain($0.longitude) }, number("longitude"))
    compare("latitude", channel.position.map { plain($0.latitude) }, number("latitude"))
    compare("responsible", channel.responsible.first, row.values["responsible"])
    let path = "\(channel.enterprise)/\(channel.site)/\(channel.area)/\(channel.device)"
    if let device = catalog.devices.first(where: { $0.path == path }) {
      compare("device-name", device.name.zh, row.values["device-name"])
      compare("profile", device.profile, row.values["profile"])
      compare("gateway", device.gateway, row.values["gateway"])
    }
    return changes.sorted { $0.field < $1.field }
  }
}

// MARK: - taking over

extension PointListImport {
  /// The listed devices as the `sites` part of a site file, ready to be put into one.
  ///
  /// - Parameter profiles: The profiles by which HH, H, L and LL find their rules.
  /// - Returns: YAML, and findings for what the list leaves open.
  public func siteText(profiles: [DeviceProfile]) -> (text: String, findings: [Finding]) {
    let log = FindingLog()
    var lines = ["sites:"]
    for site in unique(rows.map(\.site)) {
      lines += ["  \(site):", "    areas:"]
      let siteRows = rows.filter { $0.site == site }
      for area in unique(siteRows.map(\.area)) {
        lines += ["      \(area):", "        devices:"]
        let areaRows = siteRows.filter { $0.area == area }
        for device in unique(areaRows.map(\.device)) {
          let deviceRows = areaRows.filter { $0.device == device }
          lines += deviceLines(device, deviceRows, profiles: profiles, log: log)
        }
      }
    }
    return (lines.joined(separator: "\n") + "\n", log.findings)
  }

  private func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }

  private func deviceLines(
    _ device: String,
    _ rows: [Row],
    profiles: [DeviceProfile],
    log: FindingLog
  ) -> [String] {
    func first(_ key: String) -> String? { rows.lazy.compactMap { $0.values[key] }.first }
    var lines = ["          \(device):"]
    let place = Place(file: "", line: rows[0].line, column: 1, key: device)
    let name = first("profile") ?? ""
    guard let profile = profiles.first(where: { $0.id == name || $0.name.zh == name }) else {
      log.report(
        .unknownReference(
          kind: "profile",
          kindZh: "型谱",
          name: name,
          known: profiles.map(\.id)
        ),
        at: place
      )
      return []
    }
    lines.append("            profile: \(profile.id)")
    if let gateway = first("gateway") { lines.append("            gateway: \(gateway)") }
    if let name = first("device-name") {
      lines.append("            name: {zh: \(quoted(name)), en: \(quoted(name))}")
    }
    if let longitude = first("longitude"), let latitude = first("latitude") {
      lines.append("            position: [\(longitude), \(latitude)]")
    }
    if let person = first("responsible") {
      lines.append("            responsible: \(quoted(person))")
    }
    for (prefix, key) in [("choose:", "choose"), ("parameter:", "parameters")] {
      let keys = Set(rows.flatMap(\.values.keys)).filter { $0.hasPrefix(prefix) }.sorted()
      let pairs = keys.compactMap { column in
        first(column).map { "\(column.dropFirst(prefix.count)): \($0)" }
      }
      if !pairs.isEmpty { lines.append("            \(key): {\(pairs.joined(separator: ", "))}") }
    }
    let limits = rows.flatMap { self.limits($0, profile: profile, log: log) }
    if !limits.isEmpty { lines.append("            limits: {\(limits.joined(separator: ", "))}") }
    let units = rows.compactMap { row -> String? in
      guard let text = row.values["unit"], let unit = PointUnit(text),
        let point = profile.points.first(where: { $0.id == row.point }), point.unit != unit
      else { return nil }
      return "\(row.point): {unit: \(quoted(unit.symbol))}"
    }
    if !units.isEmpty { lines.append("            points: {\(units.joined(separator: ", "))}") }
    let absent = profile.points.filter { point in
      point.isOptional && !rows.contains { $0.point == point.id }
    }.map(\.id)
    if !absent.isEmpty { lines.append("            without: [\(absent.joined(separator: ", "))]") }
    return lines
  }

  private func limits(_ row: Row, profile: DeviceProfile, log: FindingLog) -> [String] {
    let place = Place(file: "", line: row.line, column: 1, key: "\(row.device)/\(row.point)")
    guard let point = profile.points.first(where: { $0.id == row.point }) else {
      log.report(
        .unknownPoint(row.point, among: profile.points.map(\.id)),
        at: place
      )
      return []
    }
    var limits: [String] = []
    for level in [AlarmLevel.lowLow, .low, .high, .highHigh] {
      guard let figure = row.values[level.rawValue] else { continue }
      if let rule = point.rules.first(where: { $0.level == level }) {
        limits.append("\(point.id).\(rule.id): \(figure)")
      } else {
        log.report(
          .unknownReference(
            kind: "rule",
            kindZh: "规则",
            name: "\(point.id) \(level.rawValue)",
            known: []
          ),
          at: place
        )
      }
    }
    for (column, figure) in row.values.sorted(by: { $0.key < $1.key })
    where column.hasPrefix("limit:") {
      limits.append("\(column.dropFirst("limit:".count)): \(figure)")
    }
    return limits
  }

  /// A text as a YAML scalar that nothing in it can break.
  private func quoted(_ text: String) -> String {
    let escaped = text.unicodeScalars.map { scalar in
      switch scalar {
      case "\"": "\\\""
      case "\\": "\\\\"
      case "\n": "\\n"
      case "\r": "\\r"
      case "\t": "\\t"
      default: String(scalar)
      }
    }
    return "\"\(escaped.joined())\""
  }
}
