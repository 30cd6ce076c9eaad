public import DeviceCatalog
import Foundation

/// Rows and columns, to be written for a spreadsheet or a printer.
public struct ReportTable: Sendable {
  /// What stands in a cell.
  public enum Cell: Hashable, Sendable {
    /// Words; never a formula, whatever they begin with.
    case text(String)
    /// A number.
    case number(Double)
    /// Nothing.
    case empty
  }

  /// The title.
  public var title: LocalizedText
  /// The heads of the columns.
  public var columns: [LocalizedText]
  /// The rows, each as long as the columns.
  public var rows: [[Cell]]

  /// Makes a table.
  public init(title: LocalizedText, columns: [LocalizedText], rows: [[Cell]]) {
    self.title = title
    self.columns = columns
    self.rows = rows
  }

  // MARK: - CSV

  /// CSV as Excel opens it: byte order mark, CRLF, quoted where it must be, and no text that begins a formula.
  public var csv: [UInt8] {
    var text = "\u{FEFF}"
    text += columns.map { Self.field($0.zh + " " + $0.en) }.joined(separator: ",") + "\r\n"
    for row in rows {
      text +=
        row.map { cell in
          switch cell {
          case .text(let words): Self.field(words)
          case .number(let number): Self.plain(number)
          case .empty: ""
          }
        }.joined(separator: ",") + "\r\n"
    }
    return Array(text.utf8)
  }

  private static func field(_ text: String) -> String {
    var text = text
    if let first = text.unicodeScalars.first, "=+-@\t\r".unicodeScalars.contains(first) {
      text = "'" + text
    }
    guard text.unicodeScalars.contains(where: { ",\"\r\n".unicodeScalars.contains($0) }) else {
      return text
    }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }

  /// A number without an exponent where that is possible, and without digits that no instrument has.
  static func plain(_ number: Double) -> String {
    guard number.isFinite else { return "" }
    if number == number.rounded(), abs(number) < 1e15 { return String(Int64(number)) }
    let text = String(format: "%.10g", number)
    return text
  }

  // MARK: - HTML

  /// A page that prints well: one table, heads repeated on each sheet.
  public func html(subtitle: String) -> [UInt8] {
    var text = """
      <!doctype html>
      <html lang="zh-CN">
      <head>
      <meta charset="utf-8">
      <title>\(Self.escaped(title.zh)) \(Self.escaped(title.en))</title>
      <link rel="stylesheet" href="/report.css">
      </head>
      <body class="report">
      <h1>\(Self.escaped(title.zh)) <span lang="en">\(Self.escaped(title.en))</span></h1>
      <p>\(Self.escaped(subtitle))</p>
      <table>
      <thead><tr>
      """
    for column in columns {
      text += "<th scope=\"col\">\(Self.escaped(column.zh))<br>"
      text += "<span lang=\"en\">\(Self.escaped(column.en))</span></th>"
    }
    text += "</tr></thead>\n<tbody>\n"
    for row in rows {
      text += "<tr>"
      for cell in row {
        switch cell {
        case .text(let words): text += "<td>\(Self.escaped(words))</td>"
        case .number(let number): text += "<td class=\"number\">\(Self.plain(number))</td>"
        case .empty: text += "<td></td>"
        }
      }
      text += "</tr>\n"
    }
    text += "</tbody>\n</table>\n</body>\n</html>\n"
    return Array(text.utf8)
  }

  /// Text with the characters that mean something in HTML and XML written as references; what XML cannot hold is left
  /// out.
  static func escaped(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      default:
        let isAllowed =
          scalar.value >= 0x20 && scalar.value != 0xFFFE && scalar.value != 0xFFFF
          || scalar == "\t" || scalar == "\n"
        if isAllowed { escaped.unicodeScalars.append(scalar) }
      }
    }
    return escaped
  }
}
