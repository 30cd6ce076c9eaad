import HazardLedger
import Telemetry

/// The JSON of a record for the desk, on its way to checked values.
struct DeskPayload {
  let json: LedgerJSON

  init(_ bytes: [UInt8]) throws(ActError) {
    do throws(JSONSyntaxError) {
      json = try LedgerJSON(parsing: bytes)
    } catch {
      throw .incomplete("not readable as JSON: \(error.description)")
    }
  }

  init(json: LedgerJSON) {
    self.json = json
  }

  /// A text that must be there and is not longer than `limit` characters.
  func text(_ key: String, atMost limit: Int = 200) throws(ActError) -> String {
    let text = try optionalText(key, atMost: limit)
    guard !text.isEmpty else { throw .incomplete("\(key): must be given") }
    return text
  }

  /// A text, empty where it is absent.
  func optionalText(_ key: String, atMost limit: Int = 200) throws(ActError) -> String {
    guard let value = json[key], value != .null else { return "" }
    guard let text = value.text else { throw .incomplete("\(key): must be a text") }
    guard text.count <= limit, text.utf8.count <= 4 * limit else {
      throw .incomplete("\(key): at most \(limit) characters")
    }
    guard !text.utf8.contains(0) else { throw .incomplete("\(key): U+0000 is not accepted") }
    return text
  }

  /// A list of texts, empty where it is absent.
  func texts(_ key: String, atMost limit: Int) throws(ActError) -> [String] {
    guard let value = json[key], value != .null else { return [] }
    guard let elements = value.elements, elements.count <= limit else {
      throw .incomplete("\(key): must be a list of at most \(limit) texts")
    }
    var texts: [String] = []
    for element in elements {
      guard let text = element.text, !text.isEmpty, text.utf8.count <= 1_024,
        !text.utf8.contains(0)
      else { throw .incomplete("\(key): must be a list of texts") }
      texts.append(text)
    }
    return texts
  }

  /// A moment in milliseconds since the Unix epoch.
  func moment(_ key: String) throws(ActError) -> Timestamp? {
    guard let value = json[key], value != .null else { return nil }
    guard let milliseconds = value.wholeNumber, (0...253_402_300_799_999).contains(milliseconds)
    else { throw .incomplete("\(key): must be milliseconds since 1970") }
    return Timestamp(milliseconds: milliseconds)
  }

  /// One of the names of an enumeration; nil where it is absent.
  func name<Name: RawRepresentable & CaseIterable>(
    _ key: String,
    _ type: Name.Type
  ) throws(ActError) -> Name? where Name.RawValue == String {
    guard let value = json[key], value != .null else { return nil }
    guard let text = value.text, let name = Name(rawValue: text) else {
      let names = Name.allCases.map(\.rawValue).joined(separator: ", ")
      throw .incomplete("\(key): must be one of \(names)")
    }
    return name
  }

  /// Who acts and in which role.
  func caller() throws(ActError) -> Caller {
    let actor = try text("actor", atMost: 64)
    guard let role = try name("role", HazardRole.self) else {
      throw .incomplete("role: must be given")
    }
    guard role != .engine else {
      throw .refused("the role engine is the station's own", code: "role")
    }
    return Caller(
      actor: actor,
      role: role,
      enterprise: try optionalText("enterprise"),
      reason: try optionalText("reason", atMost: 500)
    )
  }

  /// Who acts.
  struct Caller {
    var actor: String
    var role: HazardRole
    /// Whose person it is, for the role enterprise.
    var enterprise: String
    var reason: String

    /// Refuses a person of an enterprise what is not that enterprise's.
    func mayTouch(_ place: String) throws(ActError) {
      guard role == .enterprise else { return }
      guard !enterprise.isEmpty, place == enterprise || place.hasPrefix(enterprise + "/") else {
        throw .refused("\(place) is not of the enterprise \"\(enterprise)\"", code: "scope")
      }
    }

    /// Refuses roles other than these.
    func mustBe(_ roles: [HazardRole], to what: String) throws(ActError) {
      guard roles.contains(role) else {
        throw .refused("\(what) is not for the role \(role.rawValue)", code: "role")
      }
    }
  }
}
