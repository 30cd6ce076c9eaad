import Foundation
import HTTPTestSupport
import HazardLedger
import Synchronization
import Telemetry

import Callout

extension SeenRequest {
  func member(_ path: String) -> String? { HTTPReply(status: 200, body: body).member(path) }
}

/// A real HTTP server on a free loopback port that answers from a list, the last answer for ever.
final class AnsweringServer: Sendable {
  private let state: Mutex<(seen: [SeenRequest], answers: [ServerAnswer])>

  init(_ answers: [ServerAnswer]) {
    state = Mutex(([], answers))
  }

  var seen: [SeenRequest] { state.withLock { $0.seen } }

  /// Runs work beside the server, and ends it.
  func run<Result: Sendable>(
    _ work: @escaping @Sendable (_ address: String) async throws -> Result
  ) async throws -> Result {
    try await withServer(
      { [self] request in
        state.withLock { state in
          state.seen.append(request)
          return state.answers.count > 1 ? state.answers.removeFirst() : state.answers[0]
        }
      },
      work
    )
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
