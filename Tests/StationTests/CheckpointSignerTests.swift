import HazardLedger
import Station
import Synchronization
import Telemetry
import Testing

/// When the ledger's head is signed, and how much of that is done at a time.
@Suite("Checkpoint signer") struct CheckpointSignerTests {
  private struct Away: Error {}

  /// A ledger that hashes and signs, or does not.
  private final class Book: Sendable {
    struct State {
      var head: Int64 = 0
      var hashed: Int64 = 0
      var steps = 0
      var signed: [Int64] = []
      var isAway = false
    }

    let state = Mutex(State())

    func signer(everyMilliseconds: Int64 = 3_600_000) -> CheckpointSigner {
      CheckpointSigner(
        after: nil,
        everyMilliseconds: everyMilliseconds,
        everyEntries: 10_000,
        prepare: { [self] entries in
          try state.withLock { state in
            if state.isAway { throw Away() }
            state.steps += 1
            state.hashed = min(state.head, state.hashed + entries)
            return state.hashed == state.head
          }
        },
        sign: { [self] time in
          try state.withLock { state in
            if state.isAway { throw Away() }
            // All that one call hashes; what it may be is the point of the steps.
            #expect(state.head - state.hashed <= 1 << 14)
            state.hashed = state.head
            state.signed.append(state.head)
            return Checkpoint(head: state.head, at: time)
          }
        }
      )
    }
  }

  @Test("ten million entries without a checkpoint are hashed in steps, a call each")
  func steps() throws {
    let book = Book()
    book.state.withLock { $0.head = 10_000_000 }
    var signer = book.signer()
    var calls = 1
    while try signer.signIfDue(head: 10_000_000, at: Int64(calls)) == nil { calls += 1 }
    let state = book.state.withLock { $0 }
    #expect(state.signed == [10_000_000] && state.steps == calls && calls == 611)
    // Few more are signed at one go, when their time has come.
    book.state.withLock { $0.head += 10_000 }
    #expect(try signer.signIfDue(head: 10_009_999, at: 200) == nil)
    #expect(try signer.signIfDue(head: 10_010_000, at: 201)?.size == 10_010_000)
    #expect(try signer.signIfDue(head: 10_010_000, at: 9_000_000) == nil)
    book.state.withLock { $0.head += 1 }
    #expect(try signer.signIfDue(head: 10_010_001, at: 9_000_000)?.size == 10_010_001)
    #expect(book.state.withLock { $0.steps } == calls)
  }

  @Test("a failure is told once a minute, not with every commit", arguments: [20_000, 200_000])
  func failures(head: Int64) throws {
    let book = Book()
    book.state.withLock { state in
      state.head = head
      state.isAway = true
    }
    var signer = book.signer()
    var failures = 0
    for time in stride(from: 0, to: 300_000 as Int64, by: 20) {
      do { #expect(try signer.signIfDue(head: head, at: time) == nil) } catch { failures += 1 }
    }
    #expect(failures == 5)
    book.state.withLock { $0.isAway = false }
    var time: Int64 = 300_000
    while try signer.signIfDue(head: head, at: time) == nil { time += 20 }
    #expect(book.state.withLock { $0.signed } == [head])
    #expect(time < 301_000)
  }
}

extension Checkpoint {
  /// A checkpoint that nobody verifies.
  fileprivate init(head: Int64, at time: Timestamp) {
    self.init(station: "s", size: head, root: [], time: time, key: [], signature: [])
  }
}
