import DeviceCatalog

/// A table as an XLSX workbook of one sheet (ECMA-376 Office Open XML, the least that spreadsheets ask for).
///
/// No package at hand writes workbooks. Texts are inline, numbers are numbers, the head stays in view; the parts are
/// stored in the container without compression.
extension ReportTable {
  /// The workbook's bytes.
  public var xlsx: [UInt8] {
    var container = StoredZip()
    container.add(
      "[Content_Types].xml",
      """
      <?xml version="1.0" encoding="UTF-8" standalone="yes"?>
      <Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">\
      <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\
      <Default Extension="xml" ContentType="application/xml"/>\
      <Override PartName="/xl/workbook.xml" \
      ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>\
      <Override PartName="/xl/worksheets/sheet1.xml" \
      ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>\
      </Types>
      """
    )
    container.add(
      "_rels/.rels",
      """
      <?xml version="1.0" encoding="UTF-8" standalone="yes"?>
      <Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">\
      <Relationship Id="rId1" \
      Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" \
      Target="xl/workbook.xml"/></Relationships>
      """
    )
    container.add(
      "xl/workbook.xml",
      """
      <?xml version="1.0" encoding="UTF-8" standalone="yes"?>
      <workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" \
      xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">\
      <sheets><sheet name="Davy" sheetId="1" r:id="rId1"/></sheets></workbook>
      """
    )
    container.add(
      "xl/_rels/workbook.xml.rels",
      """
      <?xml version="1.0" encoding="UTF-8" standalone="yes"?>
      <Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">\
      <Relationship Id="rId1" \
      Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" \
      Target="worksheets/sheet1.xml"/></Relationships>
      """
    )
    container.add("xl/worksheets/sheet1.xml", sheet)
    return container.finish()
  }

  private var sheet: String {
    var text = """
      <?xml version="1.0" encoding="UTF-8" standalone="yes"?>
      <worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">\
      <sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" \
      activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>
      """
    let head = columns.map { Cell.text($0.zh + " " + $0.en) }
    for (index, row) in ([head] + rows).enumerated() {
      text += "<row r=\"\(index + 1)\">"
      for (column, cell) in row.enumerated() {
        let place = "\(Self.letters(column))\(index + 1)"
        switch cell {
        case .text(let words):
          text += "<c r=\"\(place)\" t=\"inlineStr\"><is><t xml:space=\"preserve\">"
          text += "\(Self.escaped(words))</t></is></c>"
        case .number(let number) where number.isFinite:
          text += "<c r=\"\(place)\"><v>\(number)</v></c>"
        case .number, .empty:
          break
        }
      }
      text += "</row>"
    }
    return text + "</sheetData></worksheet>"
  }

  /// A column's letters: A … Z, AA ….
  static func letters(_ column: Int) -> String {
    var number = column
    var letters = ""
    repeat {
      letters = String(UnicodeScalar(UInt8(65 + number % 26))) + letters
      number = number / 26 - 1
    } while number >= 0
    return letters
  }
}

/// A ZIP container (APPNOTE 6.3) whose members are stored as they are.
private struct StoredZip {
  private var bytes: [UInt8] = []
  private var directory: [UInt8] = []
  private var count: UInt16 = 0

  mutating func add(_ name: String, _ text: String) {
    let content = Array(text.utf8)
    let offset = UInt32(bytes.count)
    // Version 2.0, names in UTF-8, stored, dated 1980-01-01: equal tables give equal files.
    var fields: [UInt8] = []
    Self.put(UInt16(20), &fields)
    Self.put(UInt16(1 << 11), &fields)
    Self.put(UInt16(0), &fields)
    Self.put(UInt16(0), &fields)
    Self.put(UInt16(0x21), &fields)
    Self.put(Self.checksum(content), &fields)
    Self.put(UInt32(content.count), &fields)
    Self.put(UInt32(content.count), &fields)
    Self.put(UInt16(name.utf8.count), &fields)
    Self.put(UInt16(0), &fields)
    Self.put(UInt32(0x0403_4b50), &bytes)
    bytes += fields
    bytes += Array(name.utf8)
    bytes += content
    Self.put(UInt32(0x0201_4b50), &directory)
    Self.put(UInt16(20), &directory)
    directory += fields
    // No comment, first disk, no attributes.
    directory += [UInt8](repeating: 0, count: 10)
    Self.put(offset, &directory)
    directory += Array(name.utf8)
    count += 1
  }

  consuming func finish() -> [UInt8] {
    let start = UInt32(bytes.count)
    bytes += directory
    Self.put(UInt32(0x0605_4b50), &bytes)
    Self.put(UInt32(0), &bytes)
    Self.put(count, &bytes)
    Self.put(count, &bytes)
    Self.put(UInt32(directory.count), &bytes)
    Self.put(start, &bytes)
    Self.put(UInt16(0), &bytes)
    return bytes
  }

  private static func put<Value: FixedWidthInteger>(_ value: Value, _ bytes: inout [UInt8]) {
    for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
    }
  }

  /// CRC-32 of ISO 3309, as ZIP asks for.
  private static func checksum(_ content: [UInt8]) -> UInt32 {
    var value: UInt32 = .max
    for byte in content {
      value = table[Int((value ^ UInt32(byte)) & 0xff)] ^ (value >> 8)
    }
    return ~value
  }

  private static let table: [UInt32] = (0..<256).map { start in
    (0..<8).reduce(UInt32(start)) { value, _ in
      value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1
    }
  }
}
