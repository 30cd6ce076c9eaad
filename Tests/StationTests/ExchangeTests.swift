import HazardLedger
import Station
import Telemetry
import Testing

/// Where threads, edges and readers meet.
@Suite("Exchange")
struct ExchangeTests {
  @Test(
    "a wait for news whose time is over before it has begun ends all the same",
    .timeLimit(.minutes(5))
  )
  func lateAlarm() async {
    let exchange = Exchange(durable: 0, position: 0, head: 7)
    await withTaskGroup(of: News.self) { waits in
      for number in 0..<2_000 {
        waits.addTask {
          await exchange.waitForNews(
            after: NewsCursor(ledger: 7),
            timeout: .nanoseconds(number % 50)
          )
        }
      }
      for await news in waits { #expect(news.ledgerHead == 7 && news.unrecorded.isEmpty) }
    }
  }

  @Test("what was announced unrecorded is told until the ledger has it, oldest first")
  func unrecorded() {
    let exchange = Exchange(durable: 0, position: 0, head: 0)
    for position in 1...3 as ClosedRange<UInt64> {
      let time = Timestamp(milliseconds: Int64(position))
      let body = AlarmBody(
        point: "e/s/a/d/p",
        rule: "hh",
        onset: time,
        event: .raised,
        state: .unacknowledged,
        previous: .normal,
        priority: 3,
        value: 30,
        limit: 25,
        received: time,
        cause: position
      )
      var output = CoreOutput(position: position)
      output.drafts = [LedgerDraft(alarm: body, time: time, origin: position)]
      exchange.enqueue(output, at: Int64(position))
    }
    exchange.setDurable(3)
    #expect(exchange.unrecorded.isEmpty)
    // What the ledger has been handed stays as it is.
    #expect(exchange.readyOutputs(limit: 1).map(\.position) == [1])
    let announced = exchange.announceOverdue(at: 202, limit: 200).announced
    #expect(exchange.unrecorded.map(\.number) == [1, 2])
    #expect(exchange.unrecorded.map(\.body) == announced.map(\.body))
    exchange.didCommit(count: 1, position: 1, entries: 1...1)
    #expect(exchange.unrecorded.map(\.number) == [2])
    exchange.didCommit(count: 2, position: 3, entries: 2...3)
    #expect(exchange.unrecorded.isEmpty)
  }

  @Test(
    "readers with ends of their own wait no longer than that, and not less, whoever came first",
    .timeLimit(.minutes(5))
  )
  func ends() async {
    let exchange = Exchange(durable: 0, position: 0, head: 7)
    await withTaskGroup(of: Void.self) { waits in
      for milliseconds in [300, 40, 150, 40, 299, 1, 80] {
        waits.addTask {
          let start = ContinuousClock.now
          // Twice in a row: the second wait finds an alarm of the others, or none.
          for round in 1...2 {
            let news = await exchange.waitForNews(
              after: NewsCursor(ledger: 7),
              timeout: .milliseconds(milliseconds)
            )
            #expect(news.ledgerHead == 7)
            #expect(ContinuousClock.now - start >= .milliseconds(round * milliseconds))
          }
        }
      }
    }
    let waiting = Task {
      await exchange.waitForNews(after: NewsCursor(ledger: 7), timeout: .seconds(3_600))
    }
    let short = await exchange.waitForNews(
      after: NewsCursor(ledger: 7),
      timeout: .milliseconds(20)
    )
    #expect(short.ledgerHead == 7)
    waiting.cancel()
    #expect(await waiting.value.ledgerHead == 7)
  }
}
