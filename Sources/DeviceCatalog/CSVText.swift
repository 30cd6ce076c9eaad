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

  /// Quotes that do not pair: where cells and rows end from there on is anybody's guess.
  struct Fault {
    /// What is wrong.
    enum Kind {
      /// A quoted cell that does not end before the file does.
      case notClosed
      /// Text between the end of a quoted cell and the next separator.
      case textAfterQuote
    }

    var kind: Kind
    var line: Int
    var column: Int
  }

  var encoding: Encoding
  var rows: [Row]
  var faults: [Fault]

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
    let parsed = Self.parse(text)
    rows = parsed.rows
    faults = parsed.faults
  }

  /// Reports what is wrong with the quotes; `file` is only the file's name in findings.
  func report(file: String, to log: FindingLog) {
    for fault in faults {
      let place = Place(file: file, line: fault.line, column: fault.column, key: "")
      switch fault.kind {
      case .notClosed:
        log.report(
          .other(
            code: "quote-not-closed",
            zh: "引号未闭合，其后的内容直到文件末尾都成了一个单元格",
            en: "a quote is not closed: all that follows to the end of the file is one cell",
            remedyZh: "补上结尾的引号；单元格内的引号写两次",
            remedyEn: "close the quote; write a quote inside a cell twice"
          ),
          at: place
        )
      case .textAfterQuote:
        log.report(
          .other(
            code: "text-after-quote",
            zh: "结尾引号之后还有内容",
            en: "text after the quote that ends the cell",
            remedyZh: "单元格内的引号写两次，或去掉多余内容",
            remedyEn: "write a quote inside a cell twice, or remove what follows"
          ),
          at: place
        )
      }
    }
  }

  /// `kCFStringEncodingGB_18030_2000` as a string encoding; Foundation on Linux reads it through ICU.
  static let gb18030 = String.Encoding(rawValue: 0x8000_0632)

  /// RFC 4180, with a tab or semicolon as separator where the first line has more of those.
  private static func parse(_ text: String) -> (rows: [Row], faults: [Fault]) {
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
    // Whether the cell's closing quote has been seen, after which only blanks may come.
    var closed = false
    var opened = 1
    var faults: [Fault] = []
    var index = 0
    func finishCell() {
      cells.append(String(cell).trimmingCharacters(in: .whitespaces))
      cell = String.UnicodeScalarView()
      closed = false
    }
    func finishRow() {
      finishCell()
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
          closed = true
        }
      } else if scalar == "\"", cell.isEmpty, !closed {
        quoted = true
        opened = line
      } else if scalar == separator {
        finishCell()
      } else if scalar == "\n" {
        finishRow()
        start = line
      } else if scalar != "\r" {
        if closed, scalar != " ", scalar != "\t" {
          faults.append(Fault(kind: .textAfterQuote, line: line, column: cells.count + 1))
          closed = false
        }
        cell.append(scalar)
      }
    }
    if quoted { faults.append(Fault(kind: .notClosed, line: opened, column: cells.count + 1)) }
    finishRow()
    return (rows, faults)
  }
}
