package import Callout
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// A request as a server of a test saw it.
package struct SeenRequest: Sendable {
  package var path: String
  /// The query as it stood behind the question mark.
  package var query: String
  package var parameters: [String: String]
  /// Header fields by their names in lower case.
  package var headers: [String: String]
  package var body: String
}

/// What a server of a test answers.
package struct ServerAnswer: Sendable {
  package var status: Int
  package var headers: [String: String]
  package var body: String
  /// After the body, blanks one by one for ever.
  package var isEndless: Bool

  package init(
    status: Int = 200,
    headers: [String: String] = [:],
    body: String = "",
    isEndless: Bool = false
  ) {
    self.status = status
    self.headers = headers
    self.body = body
    self.isEndless = isEndless
  }

  fileprivate var responseBody: ResponseBody {
    let text = ByteBuffer(string: body)
    guard isEndless else { return ResponseBody(byteBuffer: text) }
    return ResponseBody { writer in
      try await writer.write(text)
      while true {
        try await writer.write(ByteBuffer(string: " "))
        try await Task.sleep(for: .milliseconds(10))
      }
    }
  }
}

/// Runs work beside a real HTTP server on a free loopback port, and ends the server.
package func withServer<Result: Sendable>(
  _ answer: @escaping @Sendable (SeenRequest) async throws -> ServerAnswer,
  _ work: @escaping @Sendable (_ address: String) async throws -> Result
) async throws -> Result {
  let router = Router()
  router.post("**") { request, _ -> Response in
    let body = try await request.body.collect(upTo: 8 << 20)
    let answer = try await answer(
      SeenRequest(
        path: request.uri.path,
        query: request.uri.query ?? "",
        parameters: Dictionary(
          request.uri.queryParameters.map { (String($0.key), String($0.value)) },
          uniquingKeysWith: { first, _ in first }
        ),
        headers: Dictionary(
          request.headers.map { ($0.name.canonicalName, $0.value) },
          uniquingKeysWith: { first, _ in first }
        ),
        body: String(buffer: body)
      )
    )
    var response = Response(
      status: .init(code: answer.status),
      body: answer.responseBody
    )
    for (name, value) in answer.headers {
      if let field = HTTPField.Name(name) { response.headers[field] = value }
    }
    return response
  }
  let (ports, found) = AsyncStream<Int>.makeStream()
  var logger = Logger(label: "test")
  logger.logLevel = .critical
  let application = Application(
    router: router,
    configuration: .init(address: .hostname("127.0.0.1", port: 0)),
    onServerRunning: { found.yield($0.localAddress?.port ?? 0) },
    logger: logger
  )
  return try await withThrowingTaskGroup(of: Result?.self) { group in
    group.addTask {
      try await application.run()
      return nil
    }
    group.addTask {
      for await port in ports { return try await work("http://127.0.0.1:\(port)") }
      return nil
    }
    defer { group.cancelAll() }
    while let result = try await group.next() { if let result { return result } }
    throw CancellationError()
  }
}

/// An HTTP sender for one test.
package func withSender<Result: Sendable>(
  _ work: (HTTPSender) async throws -> Result
) async throws -> Result {
  let sender = try HTTPSender()
  do {
    let result = try await work(sender)
    try await sender.shutdown()
    return result
  } catch {
    try await sender.shutdown()
    throw error
  }
}
