import Accounts
import Console
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing

/// An account service in a folder of its own, with cheap hashes.
struct TestAccounts {
  let service: AccountService
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("acc-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    service = try Self.open(folder)
  }

  static func open(_ folder: URL) throws -> AccountService {
    var options = AccountOptions()
    options.cost = PasswordCost(logRounds: 4, blockSize: 1, parallelism: 1)
    return try AccountService(
      path: folder.appendingPathComponent("accounts.sqlite").path,
      station: "test",
      options: options
    )
  }

  func remove() throws { try FileManager.default.removeItem(at: folder) }

  /// Makes an account with a password.
  @discardableResult
  func add(
    _ id: String,
    _ roles: Set<Role>,
    _ scope: Scope,
    password: String? = "correct horse battery"
  ) throws -> Account {
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    let draft = AccountDraft(id: id, displayName: id.uppercased(), roles: roles, scope: scope)
    try service.keep(try service.create(draft, now: now))
    if let password {
      try service.setPassword(
        of: id,
        old: nil,
        new: password,
        session: nil,
        address: "x",
        now: now
      )
    }
    return try #require(service.account(id))
  }

  /// A machine with a key.
  func machine(_ id: String, _ roles: Set<Role>, _ scope: Scope) throws -> String {
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    let draft = AccountDraft(
      id: id,
      displayName: id,
      kind: .machine,
      roles: roles,
      scope: scope
    )
    try service.keep(try service.create(draft, now: now))
    let made = try service.makeKey(for: id, purpose: "test", now: now, lifetime: 3_600_000)
    try service.keep(made.key, secret: made.secret)
    return made.text
  }
}

/// What came back.
struct Answer {
  var status: Int
  var headers: HTTPFields
  var json: [String: Any]
  var text: String

  /// The session's cookie that it sets.
  var cookie: String {
    String((headers[.setCookie] ?? "").prefix { $0 != ";" })
  }

  var problem: String {
    (json["type"] as? String ?? "").replacingOccurrences(of: "urn:davy:problem:", with: "")
  }
}

extension TestClientProtocol {
  /// A request as a browser's page or a program sends it.
  func send(
    _ method: HTTPRequest.Method,
    _ path: String,
    _ body: String? = nil,
    cookie: String? = nil,
    bearer: String? = nil,
    origin: String? = "http://localhost",
    ifMatch: String? = nil,
    ifNoneMatch: String? = nil
  ) async throws -> Answer {
    var headers: HTTPFields = [:]
    if body != nil { headers[.contentType] = "application/json" }
    if let cookie { headers[.cookie] = cookie }
    if let bearer { headers[.authorization] = "Bearer " + bearer }
    if let origin { headers[.origin] = origin }
    if let ifMatch { headers[.ifMatch] = ifMatch }
    if let ifNoneMatch { headers[.ifNoneMatch] = ifNoneMatch }
    return try await execute(
      uri: path,
      method: method,
      headers: headers,
      body: body.map { ByteBuffer(string: $0) }
    ) { response in
      let data = Data(response.body.readableBytesView)
      let json = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
      return Answer(
        status: response.status.code,
        headers: response.headers,
        json: json ?? [:],
        text: String(decoding: data, as: UTF8.self)
      )
    }
  }

  /// Signs in and returns the cookie.
  func signIn(_ account: String, _ password: String = "correct horse battery") async throws
    -> String
  {
    let answer = try await send(
      .post,
      "/api/v1/session",
      #"{"account":"\#(account)","password":"\#(password)"}"#
    )
    #expect(answer.status == 200, "\(answer.text)")
    return answer.cookie
  }
}
