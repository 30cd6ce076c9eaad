import Station
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
}
