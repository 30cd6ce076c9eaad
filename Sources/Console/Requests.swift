import Foundation
import HTTPTypes
import Hummingbird
import Telemetry

extension ConsoleContext {
  /// A part of the path, percent-decoded.
  func pathParameter(_ name: String) throws -> String {
    guard let raw = parameters.get(name), let text = raw.removingPercentEncoding, !text.isEmpty,
      text.utf8.count <= 1_024
    else { throw Problem.parameter(name, "cannot be read from the path") }
    return text
  }
}

extension Request {
  /// Whether the caller has an answer with this tag already (If-None-Match, RFC 9110 13.1.2: tags are compared weakly).
  func knows(_ tag: String) -> Bool {
    let known = headers[values: .ifNoneMatch].joined(separator: ",")
      .split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    return known.contains(tag) || known.contains("W/" + tag) || known == ["*"]
  }

  /// A parameter of the query; nil when absent or empty.
  func parameter(_ name: String) throws -> String? {
    guard let value = uri.queryParameters[Substring(name)], !value.isEmpty else { return nil }
    guard value.utf8.count <= 1_024 else { throw Problem.parameter(name, "is too long") }
    return String(value)
  }

  /// A whole number from the query, within bounds.
  func integer(_ name: String, in range: ClosedRange<Int64>) throws -> Int64? {
    guard let text = try parameter(name) else { return nil }
    guard let value = Int64(text), range.contains(value) else {
      throw Problem.parameter(
        name,
        "\(text) is not a whole number from \(range.lowerBound) to \(range.upperBound)"
      )
    }
    return value
  }

  /// A moment from the query: milliseconds since the Unix epoch.
  func moment(_ name: String) throws -> Timestamp? {
    // The years 1970 to 9999: what every time type of a client can hold.
    try integer(name, in: 0...253_402_300_799_999).map(Timestamp.init(milliseconds:))
  }

  /// One of the values of an enumeration, by the words that name them.
  func choice<Value>(_ name: String, among choices: [(String, Value)]) throws -> Value? {
    guard let text = try parameter(name) else { return nil }
    guard let choice = choices.first(where: { $0.0 == text }) else {
      let words = choices.map(\.0).joined(separator: ", ")
      throw Problem.parameter(name, "\(text) is not one of \(words)")
    }
    return choice.1
  }

  /// Refuses parameters that the route does not know: a misspelt filter must not look like an empty one.
  func refuseOtherParameters(than known: Set<String>) throws {
    for (name, _) in uri.queryParameters where !known.contains(String(name)) {
      throw Problem.parameter(
        String(name),
        "is not known here; known: \(known.sorted().joined(separator: ", "))"
      )
    }
  }
}

extension Response {
  /// An answer of JSON bytes.
  init(json: [UInt8], status: HTTPResponse.Status = .ok) {
    self.init(
      status: status,
      headers: [.contentType: "application/json", .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: json))
    )
  }

  /// An answer of plain text.
  init(
    text: String,
    mediaType: String = "text/plain; charset=utf-8",
    status: HTTPResponse.Status = .ok
  ) {
    self.init(
      status: status,
      headers: [.contentType: mediaType, .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text))
    )
  }
}
