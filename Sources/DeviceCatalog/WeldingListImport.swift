/// A list of welding machines or welders out of a spreadsheet, as the text of a site file's `welding` section.
///
/// UTF-8 and GB18030; headers Chinese or English, in any order. What a row holds is the list's own: machines have a code,
/// welders a certificate.
public struct WeldingListImport: Sendable {
  /// How the bytes were read.
  public private(set) var encoding = ""
  /// The text to put under `welding:`.
  public private(set) var text = ""
  /// Rows read.
  public private(set) var rows = 0
  /// What is wrong with the file.
  public private(set) var findings: [Finding] = []

  private static let machineColumns: [(key: String, names: [String], isNeeded: Bool)] = [
    ("id", ["设备编号", "焊机编号", "设备", "device"], true),
    ("code", ["二维码", "机器码", "code"], true), ("chip", ["芯片", "芯片编号", "chip"], true),
    ("low", ["常用电流下限", "current low"], false), ("high", ["常用电流上限", "current high"], false),
  ]
  private static let welderColumns: [(key: String, names: [String], isNeeded: Bool)] = [
    ("id", ["编号", "焊工编号", "工号", "id"], true), ("name", ["姓名", "name"], true),
    ("certificate", ["证书编号", "证件编号", "操作证号", "certificate"], true),
    ("category", ["作业类别", "category"], false), ("from", ["有效期起", "初领日期", "from"], true),
    ("until", ["有效期止", "有效期至", "until"], true), ("review", ["复审日期", "应复审日期", "review"], false),
  ]

  /// Reads the bytes of a file; `file` is only its name in findings.
  public init(bytes: [UInt8], file: String) {
    let log = FindingLog()
    defer { findings = log.findings }
    let whole = Place(file: file, line: 0, column: 0, key: "")
    guard let table = CSVText(bytes) else {
      log.report(.unreadableTable, at: whole)
      return
    }
    encoding = table.encoding.rawValue
    guard let header = table.rows.first else {
      log.report(.emptyFile, at: whole)
      return
    }
    table.report(file: file, to: log)
    let cells = header.cells.map { $0.lowercased() }
    let isMachines = cells.contains { cell in
      Self.machineColumns[1].names.contains { $0.lowercased() == cell }
    }
    let known = isMachines ? Self.machineColumns : Self.welderColumns
    var keys: [String?] = []
    for (index, cell) in header.cells.enumerated() {
      let key = known.first { $0.names.contains { $0.lowercased() == cell.lowercased() } }?.key
      let names = known.flatMap(\.names)
      if key == nil, !cell.isEmpty {
        log.report(
          .unknownKey(key: cell, known: names),
          at: Place(file: file, line: header.line, column: index + 1, key: cell)
        )
      }
      keys.append(key)
    }
    for column in known where column.isNeeded && !keys.contains(column.key) {
      log.report(
        .missingKey(key: column.names[0]),
        at: Place(file: file, line: header.line, column: 1, key: "")
      )
    }
    guard !log.hasErrors else { return }
    var seen: [String: Int] = [:]
    text = isMachines ? "  machines:\n" : "  welders:\n"
    for row in table.rows.dropFirst() {
      var values: [String: String] = [:]
      for (key, cell) in zip(keys, row.cells) {
        if let key, !cell.isEmpty { values[key] = cell }
      }
      read(values, row.line, known, isMachines: isMachines, file: file, &seen, log)
    }
    if rows == 0, !log.hasErrors { log.report(.nothing(kind: "row", kindZh: "数据行"), at: whole) }
  }

  private mutating func read(
    _ values: [String: String],
    _ line: Int,
    _ known: [(key: String, names: [String], isNeeded: Bool)],
    isMachines: Bool,
    file: String,
    _ seen: inout [String: Int],
    _ log: FindingLog
  ) {
    let place = { (key: String) in Place(file: file, line: line, column: 1, key: key) }
    for column in known where column.isNeeded && values[column.key] == nil {
      log.report(.missingKey(key: column.names[0]), at: place(column.names[0]))
    }
    guard let id = values["id"] else { return }
    if !isIdentifier(id) { log.report(.badIdentifier(text: id), at: place("id")) }
    if let first = seen[id] {
      log.report(
        .duplicateName(kind: "row", kindZh: "行", name: id, first: "line \(first)"),
        at: place("id")
      )
    }
    seen[id] = line
    for key in ["from", "until", "review"] {
      if let day = values[key], CalendarDate(day) == nil {
        log.report(.badDate(text: day), at: place(key))
      }
    }
    for key in ["low", "high"] {
      if let number = values[key], Double(number) == nil {
        log.report(
          .wrongType(expected: "a number", expectedZh: "数字", found: number),
          at: place(key)
        )
      }
    }
    rows += 1
    if isMachines {
      var entry = "    \(id): {code: \(quoted(values["code"])), chip: \(quoted(values["chip"]))"
      if let low = values["low"], let high = values["high"] {
        entry += ", normal-current: [\(low), \(high)]"
      }
      text += entry + "}\n"
      return
    }
    var entry =
      "    \(id): {name: \(quoted(values["name"])), certificate: \(quoted(values["certificate"])), "
    if let category = values["category"] { entry += "category: \(quoted(category)), " }
    entry += "from: \(values["from"] ?? ""), until: \(values["until"] ?? "")"
    if let review = values["review"] { entry += ", review: \(review)" }
    text += entry + "}\n"
  }

  private func quoted(_ text: String?) -> String {
    "\"" + (text ?? "").replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}
