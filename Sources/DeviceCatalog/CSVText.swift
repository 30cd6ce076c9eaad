import Foundation

/// A table as spreadsheets save it: UTF-8 with or without byte order mark, or GB18030.
struct CSVText {
  /// How the bytes were read.
  enum Encoding: String {
    case utf8 = "UTF-8"
    case utf8WithMark = "UTF-8 with byte order mark"
    case gb18030 = "GB18030"
  }

  /// A cell and the line that it begins on.
  struct Row {
    var line: Int
    var cells: [String]
  }

  var encoding: Encoding
  var rows: [Row]

  /// Reads bytes; nil when they are text in none of the encodings.
  init?(_ bytes: [UInt8]) {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let text: String
    if bytes.starts(with: mark), let found = String(validating: bytes.dropFirst(3), as: UTF8.self) {
      encoding = .utf8WithMark
      text = found
    } else if let found = String(validating: bytes, as: UTF8.self) {
      encoding = .utf8
      text = found
    } else if let found = String(data: Data(bytes), encoding: Self.gb18030) {
      encoding = .gb18030
      text = found
    } else {
      return nil
    }
    rows = Self.parse(text)
  }

  /// `kCFStringEncodingGB_18030_2000` as a string encoding; Foundation on Linux reads it through ICU.
  static let gb18030 = String.Encoding(rawValue: 0x8000_0632)

  /// RFC 4180, with a tab or semicolon as separator where the first line has more of those.
  private static func parse(_ text: String) -> [Row] {
    let scalars = Array(text.unicodeScalars)
    let first = scalars.prefix { $0 != "\n" }
    let separator =
      ([",", "\t", ";"] as [Unicode.Scalar]).max { a, b in
        first.count { $0 == a } < first.count { $0 == b }
      } ?? ","
    var rows: [Row] = []
    var cells: [String] = []
    var cell = String.UnicodeScalarView()
    var line = 1
    var start = 1
    var quoted = false
    var index = 0
    func finishRow() {
      cells.append(String(cell).trimmingCharacters(in: .whitespaces))
      cell = String.UnicodeScalarView()
      if cells.contains(where: { !$0.isEmpty }) { rows.append(Row(line: start, cells: cells)) }
      cells = []
    }
    while index < scalars.count {
      let scalar = scalars[index]
      index += 1
      if scalar == "\n" { line += 1 }
      if quoted {
        if scalar != "\"" {
          cell.append(scalar)
        } else if index < scalars.count, scalars[index] == "\"" {
          cell.append(scalar)
          index += 1
        } else {
          quoted = false
        }
      } else if scalar == "\"", cell.isEmpty {
        quoted = true
      } else if scalar == separator {
        cells.append(String(cell).trimmingCharacters(in: .whitespaces))
        cell = String.UnicodeScalarView()
      } else if scalar == "\n" {
        finishRow()
        start = line
      } else if scalar != "\r" {
        cell.append(scalar)
      }
    }
    finishRow()
    return rows
  }
}
