import Foundation
import HazardLedger
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Synchronization
import Telemetry

import Callout

/// A request as a server saw it.
struct SeenRequest: Sendable {
  var path: String
  var query: [String: String]
  var headers: [String: String]
  var body: String

  func member(_ path: String) -> String? { HTTPReply(status: 200, body: body).member(path) }
}

/// What a server is to answer.
struct Answer: Sendable {
  var status = 200
  var headers: [String: String] = [:]
  var body = ""
}

/// A real HTTP server on a free loopback port that answers from a list, the last answer for ever.
final class AnsweringServer: Sendable {
  private let state: Mutex<(seen: [SeenRequest], answers: [Answer])>

  init(_ answers: [Answer]) {
    state = Mutex(([], answers))
  }

  var seen: [SeenRequest] { state.withLock { $0.seen } }

  /// Runs work beside the server, and ends it.
  func run<Result: Sendable>(
    _ work: @escaping @Sendable (_ address: String) async throws -> Result
  ) async throws -> Result {
    let router = Router()
    router.post("**") { [self] request, _ -> Response in
      let body = try await request.body.collect(upTo: 1 << 20)
      let answer = state.withLock { state in
        state.seen.append(
          SeenRequest(
            path: request.uri.path,
            query: Dictionary(
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
        return state.answers.count > 1 ? state.answers.removeFirst() : state.answers[0]
      }
      var response = Response(
        status: .init(code: answer.status),
        body: ResponseBody(byteBuffer: ByteBuffer(string: answer.body))
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
}

/// An HTTP sender for one test.
func withSender<Result: Sendable>(
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

/// A dispatch, the n-th of call-out 1 unless told otherwise.
func dispatch(
  _ number: Int = 1,
  callout: String = "callout/1",
  person: String = "wang",
  addresses: [String: String] = ["phone": "13800000001", "mail": "wang@example.org"],
  channels: [String] = [],
  priority: Int = 4,
  text: String = "储罐区 甲烷 51.2 %LEL \"HH\"\n请立即到场",
  purpose: CalloutDispatch.Purpose = .call
) -> CalloutDispatch {
  CalloutDispatch(
    id: "\(callout)#\(number)",
    callout: callout,
    number: number,
    purpose: purpose,
    contact: .init(id: person, name: "王工", role: "值班长", addresses: addresses),
    channels: channels,
    priority: priority,
    title: .init(zh: "甲烷超限", en: "Methane HH"),
    text: .init(zh: text, en: "Tank farm, methane 51.2 %LEL"),
    time: Timestamp(milliseconds: 1_700_000_000_000)
  )
}

/// A notice of one dispatch.
func notice(_ dispatch: CalloutDispatch = dispatch(), address: String = "13800000001") -> Notice {
  Notice(
    merging: [(dispatch, .init(name: dispatch.contact.name, address: address))],
    at: dispatch.time
  )
}

/// A file with a secret, gone with the test.
final class SecretFile: Sendable {
  let path: String

  init(_ text: String) throws {
    path =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-secret-\(UUID().uuidString)").path
    try text.write(toFile: path, atomically: true, encoding: .utf8)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
