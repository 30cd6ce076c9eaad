internal import AsyncHTTPClient
import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL

/// A request to be made.
package struct HTTPCall: Hashable, Sendable {
  /// Method.
  package var method = "POST"
  /// Address.
  package var url: String
  /// Header fields.
  package var headers: [String: String] = [:]
  /// Body.
  package var body = ""

  /// A request with a text, a POST unless told otherwise.
  package init(
    method: String = "POST",
    url: String,
    headers: [String: String] = [:],
    body: String = ""
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
  }

  /// A POST of JSON.
  static func json(_ url: String, _ value: JSONText) -> HTTPCall {
    HTTPCall(
      url: url,
      headers: ["Content-Type": "application/json; charset=utf-8"],
      body: value.text
    )
  }
}

/// An answer to it.
package struct HTTPReply: Hashable, Sendable {
  /// Status code.
  package var status: Int
  /// What the server asks to wait.
  package var retryAfter: Duration?
  /// Beginning of the body.
  package var body: String

  /// Makes an answer.
  package init(status: Int, retryAfter: Duration? = nil, body: String) {
    self.status = status
    self.retryAfter = retryAfter
    self.body = body
  }

  /// A member of a JSON answer by its path of names and places; nil where there is none.
  package func member(_ path: String) -> String? {
    guard var value = try? JSONSerialization.jsonObject(with: Data(body.utf8)) else { return nil }
    for name in path.split(separator: ".") {
      if let list = value as? [Any], let place = Int(name), list.indices.contains(place) {
        value = list[place]
      } else if let members = value as? [String: Any], let member = members[String(name)] {
        value = member
      } else {
        return nil
      }
    }
    return value is NSNull ? nil : "\(value)"
  }

  /// The judgement by status alone: RFC 9110, and 429 of RFC 6585.
  var outcome: DeliveryOutcome {
    switch status {
    case 200..<300: .delivered("HTTP \(status)")
    case 408, 425, 429, 500...: .unavailable("HTTP \(status) \(brief)", retryAfter: retryAfter)
    default: .refused("HTTP \(status) \(brief)")
    }
  }

  /// The beginning of the body, for logs.
  package var brief: String {
    String(body.prefix(200)).replacing("\n", with: " ")
  }
}

/// Sends calls; one for all channels.
public final class HTTPSender: Sendable {
  private let client: HTTPClient
  /// How long the body of an answer may take.
  private let patience: Duration

  /// Bytes of an answer that are read at most.
  private static let replyLimit = 64 << 10

  /// Makes a sender.
  ///
  /// - Parameters:
  ///   - authorities: a PEM file of certificate authorities to trust beside the system's; nil for none.
  ///   - verifiesServer: false takes any certificate, for questions to this machine itself that tell nothing.
  ///   - patience: how long the body of an answer may take.
  /// - Throws: why the file is of no use.
  public init(
    authorities: String? = nil,
    verifiesServer: Bool = true,
    patience: Duration = .seconds(20)
  ) throws {
    self.patience = patience
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: .init(connect: .seconds(10), read: .seconds(15))
    )
    if authorities != nil || !verifiesServer {
      var tls = TLSConfiguration.makeClientConfiguration()
      if let authorities { tls.additionalTrustRoots = [.file(authorities)] }
      if !verifiesServer { tls.certificateVerification = .none }
      configuration.tlsConfiguration = tls
    }
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// Ends its connections.
  public func shutdown() async throws {
    try await client.shutdown()
  }

  /// Makes a call; an answer that does not come is an outcome too.
  package func send(_ call: HTTPCall) async -> Result<HTTPReply, HTTPFailure> {
    var request = HTTPClientRequest(url: call.url)
    request.method = HTTPMethod(rawValue: call.method)
    for (name, value) in call.headers.sorted(by: { $0.key < $1.key }) {
      request.headers.replaceOrAdd(name: name, value: value)
    }
    request.headers.replaceOrAdd(name: "User-Agent", value: "davy")
    if !call.body.isEmpty { request.body = .bytes(ByteBuffer(string: call.body)) }
    do {
      let response = try await client.execute(request, timeout: .seconds(20))
      let body = try await body(of: response)
      return .success(
        HTTPReply(
          status: Int(response.status.code),
          retryAfter: response.headers.first(name: "Retry-After").flatMap { Int($0) }
            .map { .seconds($0) },
          body: String(buffer: body)
        )
      )
    } catch {
      // The URL is left out: it carries the token of a robot.
      return .failure(HTTPFailure(cause: "\(error)"))
    }
  }

  /// Reads the body of an answer: the time of a call is over with the answer's head, and a server may go on for ever after it,
  /// byte by byte.
  private func body(of response: HTTPClientResponse) async throws -> ByteBuffer {
    try await withThrowingTaskGroup(of: ByteBuffer.self) { [patience] group in
      group.addTask { try await response.body.collect(upTo: Self.replyLimit) }
      group.addTask {
        try await Task.sleep(for: patience)
        throw HTTPClientError.deadlineExceeded
      }
      defer { group.cancelAll() }
      guard let body = try await group.next() else { throw HTTPClientError.deadlineExceeded }
      return body
    }
  }

  /// Makes a call and judges the answer; a secret that cannot be read for it is a refusal, and nothing is sent.
  func send(
    judging judge: (HTTPReply) -> DeliveryOutcome = { $0.outcome },
    _ make: () throws(SecretError) -> HTTPCall
  ) async -> DeliveryOutcome {
    let call: HTTPCall
    do throws(SecretError) {
      call = try make()
    } catch {
      return .refused(error.description)
    }
    switch await send(call) {
    case .success(let reply): return judge(reply)
    case .failure(let failure):
      return .unavailable("no answer: \(failure.cause)", retryAfter: nil)
    }
  }
}

/// Why there was no answer.
package struct HTTPFailure: Error {
  /// What the connection said; the address is not in it.
  package var cause: String
}
