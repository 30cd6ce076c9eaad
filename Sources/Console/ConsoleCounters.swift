import Station
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
    var text = MetricsText()
    text.family(
      "davy_console_requests_total",
      "HTTP requests answered, by status.",
      .counter,
      by: "status",
      state.requests.sorted { $0.key < $1.key }.map { (key: "\($0.key)", value: $0.value) }
    )
    text.gauge("davy_console_streams", "Alarm streams open.", Int64(state.streams))
    text.counter("davy_console_streams_opened_total", "Alarm streams opened.", state.streamsOpened)
    text.counter(
      "davy_console_streams_refused_total",
      "Alarm streams refused because the most that are allowed were open.",
      state.streamsRefused
    )
    text.counter(
      "davy_console_stream_resets_total",
      "Fresh snapshots given to streams whose cursor was unknown or too far behind.",
      state.streamResets
    )
    text.counter(
      "davy_console_streams_shed_total",
      "Alarm streams closed because their readers had stopped reading.",
      state.streamsShed
    )
    text.family(
      "davy_console_sign_ins_total",
      "Sign-ins, by result.",
      .counter,
      by: "result",
      [(key: "opened", value: state.signIns), (key: "failed", value: state.failedSignIns)]
    )
    text.counter(
      "davy_console_audit_failures_total",
      "Audit records that the ledger did not take in time.",
      state.auditFailures
    )
    text.counter(
      "davy_console_ledger_failures_total",
      "Reads of the ledger that failed.",
      state.ledgerFailures
    )
    return text.text
  }
}
