import Synchronization

/// What the console counts of itself, for `/metrics`.
package final class ConsoleCounters: Sendable {
  private struct State {
    var requests: [Int: UInt64] = [:]
    var streams = 0
    var streamsOpened: UInt64 = 0
    var streamsRefused: UInt64 = 0
    var streamResets: UInt64 = 0
    var streamsShed: UInt64 = 0
    var ledgerFailures: UInt64 = 0
    var signIns: UInt64 = 0
    var failedSignIns: UInt64 = 0
    var auditFailures: UInt64 = 0
  }

  private let state = Mutex(State())

  func countRequest(status: Int) {
    state.withLock { $0.requests[status, default: 0] += 1 }
  }

  /// Counts a stream in, unless there are `limit` already.
  func openStream(limit: Int) -> Bool {
    state.withLock { state in
      guard state.streams < limit else {
        state.streamsRefused += 1
        return false
      }
      state.streams += 1
      state.streamsOpened += 1
      return true
    }
  }

  func closeStream() {
    state.withLock { $0.streams -= 1 }
  }

  func countShed(_ count: Int) {
    state.withLock { $0.streamsShed += UInt64(count) }
  }

  func countReset() {
    state.withLock { $0.streamResets += 1 }
  }

  func countLedgerFailure() {
    state.withLock { $0.ledgerFailures += 1 }
  }

  func countSignIn(hasFailed: Bool) {
    state.withLock { state in
      if hasFailed { state.failedSignIns += 1 } else { state.signIns += 1 }
    }
  }

  func countAuditFailure() {
    state.withLock { $0.auditFailures += 1 }
  }

  /// Streams open now.
  package var openStreams: Int { state.withLock { $0.streams } }

  /// The counters in the Prometheus text format.
  package func metrics() -> String {
    let state = state.withLock { $0 }
    var text = ""
    func family(_ name: String, _ type: String, _ help: String, _ samples: [(String, String)]) {
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
      for (labels, value) in samples { text += "\(name)\(labels) \(value)\n" }
    }
    family(
      "davy_console_requests_total",
      "counter",
      "HTTP requests answered, by status.",
      state.requests.sorted { $0.key < $1.key }
        .map { ("{status=\"\($0.key)\"}", String($0.value)) }
    )
    family(
      "davy_console_streams",
      "gauge",
      "Alarm streams open.",
      [("", String(state.streams))]
    )
    family(
      "davy_console_streams_opened_total",
      "counter",
      "Alarm streams opened.",
      [("", String(state.streamsOpened))]
    )
    family(
      "davy_console_streams_refused_total",
      "counter",
      "Alarm streams refused because the most that are allowed were open.",
      [("", String(state.streamsRefused))]
    )
    family(
      "davy_console_stream_resets_total",
      "counter",
      "Fresh snapshots given to streams whose cursor was unknown or too far behind.",
      [("", String(state.streamResets))]
    )
    family(
      "davy_console_streams_shed_total",
      "counter",
      "Alarm streams closed because their readers had stopped reading.",
      [("", String(state.streamsShed))]
    )
    family(
      "davy_console_sign_ins_total",
      "counter",
      "Sign-ins, by result.",
      [
        ("{result=\"opened\"}", String(state.signIns)),
        ("{result=\"failed\"}", String(state.failedSignIns)),
      ]
    )
    family(
      "davy_console_audit_failures_total",
      "counter",
      "Audit records that the ledger did not take in time.",
      [("", String(state.auditFailures))]
    )
    family(
      "davy_console_ledger_failures_total",
      "counter",
      "Reads of the ledger that failed.",
      [("", String(state.ledgerFailures))]
    )
    return text
  }
}
