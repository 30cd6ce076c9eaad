import Foundation
import HazardLedger
import Telemetry

/// A notice as a mail: text and HTML, both in UTF-8 and base64, so that no line is too long and no server has to
/// know 8-bit.
package struct MailMessage {
  /// Address of the sender, and its name.
  package var from: String
  /// Name of the sender.
  package var fromName = "Davy"
  /// The message.
  package var notice: Notice

  /// Makes a mail.
  package init(from: String, notice: Notice) {
    self.from = from
    self.notice = notice
  }

  /// An address that can stand in SMTP and a header: no blank, no control character, one `@`.
  package static func isAddress(_ text: String) -> Bool {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    return parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && text.utf8.count <= 254
      && text.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"<>,;:\"\\()[]".utf8.contains($0) }
  }

  /// The message with CRLF line ends, ready for DATA but for the dots.
  package var text: String {
    let boundary = "davy-\(Self.token(notice.id))"
    let mark = Markdown.mark(notice.priority)
    let plain = """
      \(mark)\(notice.title.zh)
      \(notice.text.zh)

      \(notice.title.en)
      \(notice.text.en)
      """
    let html = """
      <h3>\(Self.html(mark + notice.title.zh))</h3><p>\(Self.html(notice.text.zh))</p>
      <h4>\(Self.html(notice.title.en))</h4><p>\(Self.html(notice.text.en))</p>
      """
    let recipients = notice.recipients.map { "\(Self.words($0.name)) <\($0.address)>" }
    let domain = from.split(separator: "@").last ?? "davy"
    let lines =
      [
        "From: \(Self.words(fromName)) <\(from)>",
        "To: \(recipients.joined(separator: ",\r\n "))",
        "Subject: \(Self.words(mark + notice.title.zh))",
        "Date: \(Self.date(notice.time.milliseconds))",
        "Message-ID: <\(Self.token(notice.id))@\(domain)>",
        "Auto-Submitted: auto-generated",
        "X-Priority: \(notice.priority >= 3 ? 1 : 3)",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative; boundary=\"\(boundary)\"",
        "",
      ] + Self.part(boundary, "text/plain", plain) + Self.part(boundary, "text/html", html)
      + ["--\(boundary)--", ""]
    return lines.joined(separator: "\r\n")
  }

  private static func part(_ boundary: String, _ type: String, _ body: String) -> [String] {
    [
      "--\(boundary)", "Content-Type: \(type); charset=UTF-8",
      "Content-Transfer-Encoding: base64", "",
      Data(body.utf8).base64EncodedString(options: [
        .lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed,
      ]),
    ]
  }

  /// Words of a header: RFC 2047 where they are not plain ASCII, in pieces of at most 75 characters.
  static func words(_ text: String) -> String {
    let plain = text.utf8.allSatisfy {
      (0x20...0x7e).contains($0) && !"\"\\<>,;:@()[]=?".utf8.contains($0)
    }
    if plain, text.utf8.count <= 60 { return text }
    var pieces: [String] = []
    var piece = ""
    for character in text {
      // A line end must not end the header.
      let safe = character.isNewline ? " " : String(character)
      if piece.utf8.count + safe.utf8.count > 42 {
        pieces.append(piece)
        piece = ""
      }
      piece += safe
    }
    pieces.append(piece)
    return pieces.map { "=?UTF-8?B?\(Data($0.utf8).base64EncodedString())?=" }
      .joined(separator: "\r\n ")
  }

  private static func html(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\n", with: "<br>")
  }

  /// A token of an identity: for a message identifier and a boundary.
  private static func token(_ text: String) -> String {
    Signing.hmac(text, key: "davy-mail").prefix(16).map { String($0, radix: 36) }.joined()
  }

  /// RFC 5322, in UTC.
  static func date(_ milliseconds: Int64) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(secondsFromGMT: 0)
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss '+0000'"
    return formatter.string(from: Date(timeIntervalSince1970: Double(milliseconds) / 1_000))
  }

  /// What goes over after DATA: dots at the beginning of a line doubled, the end marked.
  package var data: String {
    text.components(separatedBy: "\r\n").map { $0.hasPrefix(".") ? "." + $0 : $0 }
      .joined(separator: "\r\n") + (text.hasSuffix("\r\n") ? ".\r\n" : "\r\n.\r\n")
  }
}
