import Callout
import Dispatch
import Synchronization
import Testing

/// Whether a call-out is answered is asked of a ledger that may not be there.
@Suite("Looking for an answer")
struct AnswerLookTests {
  private final class Ledger: Sendable {
    let asked = Mutex<[String]>([])
    let isBack = DispatchSemaphore(value: 0)
  }

  @Test("a look that hangs holds up no call, and no other is begun beside it")
  func hanging() async {
    let ledger = Ledger()
    let look = AnswerLook(within: 20) { callout in
      ledger.asked.withLock { $0.append(callout) }
      if callout == "callout/1" { ledger.isBack.wait() }
      return true
    }
    #expect(await look.isAnswered("callout/1") == false)
    for _ in 0..<3 { #expect(await look.isAnswered("callout/2") == false) }
    #expect(ledger.asked.withLock { $0.contains("callout/2") } == false)
    ledger.isBack.signal()
    while await !look.isAnswered("callout/2") {}
    #expect(ledger.asked.withLock { $0.contains("callout/2") })
  }
}
