import Accounts
import Console
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Station
import Testing

/// Drives the console's routes without a socket.
func test(
  _ station: any StationAccess,
  access: ConsoleAccess = .openToThisMachine,
  options: ConsoleOptions = ConsoleOptions(),
  channels: (any ChannelAccess)? = nil,
  register: ChannelRegister? = nil,
  _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
) async throws {
  var logger = Logger(label: "test.console")
  logger.logLevel = .critical
  let server = try ConsoleServer(
    station: station,
    access: access,
    options: options,
    channels: channels,
    register: register,
    logger: logger
  )
  try await server.application.test(.router) { client in try await body(client) }
}

extension TestClientProtocol {
  /// GET, expecting a JSON object.
  func json(_ path: String) async throws -> [String: Any] {
    let (status, bytes) = try await execute(uri: path, method: .get) { response in
      #expect(response.headers[.contentType] == "application/json", "\(path)")
      return (response.status, Data(response.body.readableBytesView))
    }
    #expect(status == .ok, "\(path)")
    return try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
  }

  /// GET, expecting a problem.
  func problem(
    _ path: String,
    _ status: Int,
    _ kind: String,
    mentions text: String = ""
  ) async throws {
    let (found, bytes) = try await execute(uri: path, method: .get) { response in
      #expect(response.headers[.contentType] == "application/problem+json", "\(path)")
      return (response.status.code, Data(response.body.readableBytesView))
    }
    #expect(found == status, "\(path)")
    let problem = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    #expect(problem["type"] as? String == "urn:davy:problem:" + kind, "\(path)")
    #expect(problem["status"] as? Int == status, "\(path)")
    if !text.isEmpty {
      #expect((problem["detail"] as? String)?.contains(text) == true, "\(path)")
    }
  }

  /// Acts, expecting success.
  @discardableResult
  func act(_ alarm: String, _ body: String, key: String? = nil) async throws -> [String: Any] {
    let (status, answer) = try await post(alarm, body, key: key)
    #expect(status == 200, "\(answer)")
    return answer
  }

  /// Acts, expecting a problem.
  @discardableResult
  func refusedAct(
    _ alarm: String,
    _ body: String,
    _ status: Int,
    _ kind: String,
    key: String? = nil
  ) async throws -> [String: Any] {
    let (found, answer) = try await post(alarm, body, key: key)
    #expect(found == status, "\(body.prefix(100)) \(answer)")
    #expect(answer["type"] as? String == "urn:davy:problem:" + kind, "\(body.prefix(100))")
    return answer
  }

  private func post(
    _ alarm: String,
    _ body: String,
    key: String?
  ) async throws -> (Int, [String: Any]) {
    var headers: HTTPFields = [.contentType: "application/json"]
    if let key, let name = HTTPField.Name("Idempotency-Key") { headers[name] = key }
    let (status, bytes) = try await execute(
      uri: "/api/v1/alarms/\(alarm.escaped)/acts",
      method: .post,
      headers: headers,
      body: ByteBuffer(string: body)
    ) { ($0.status.code, Data($0.body.readableBytesView)) }
    return (status, try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any]))
  }
}

extension String {
  /// The text as one part of a path or one value of a query.
  var escaped: String {
    addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? self
  }
}

extension [String: Any] {
  /// A member that is a list of objects.
  func list(_ name: String) -> [[String: Any]] {
    self[name] as? [[String: Any]] ?? []
  }
}
