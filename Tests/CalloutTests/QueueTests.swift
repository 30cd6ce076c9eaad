import HazardLedger
import Telemetry
import Testing

import Callout

/// Grouping, rates, tries and dead letters in virtual time.
@Suite("Channel queue")
struct QueueTests {
  static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

  static func queue(_ policy: ChannelPolicy, shared: Bool = true) -> ChannelQueue {
    ChannelQueue(policy: policy, isShared: shared)
  }

  static let recipient = Notice.Recipient(name: "王工", address: "138")

  @Test("the first goes at once, what follows within the group's time goes as one")
  func grouping() throws {
    var queue = Self.queue(ChannelPolicy(groupMilliseconds: 30_000))
    _ = queue.add(dispatch(1), to: Self.recipient, at: Self.at(0))
    let first = try queue.sending(at: Self.at(0))
    #expect(first.notice.dispatches.map(\.number) == [1])
    #expect(first.notice.id == "callout/1#1")
    _ = queue.settle(first, .delivered("ok"), at: Self.at(10))
    for number in 2...5 {
      _ = queue.add(
        dispatch(number, text: "第 \(number) 条"),
        to: .init(name: "p\(number)", address: "\(number)"),
        at: Self.at(1_000)
      )
    }
    #expect((queue.next(at: Self.at(29_999))) == nil)
    #expect(queue.nextTime == Self.at(30_000))
    let second = try queue.sending(at: Self.at(30_000))
    #expect(second.notice.dispatches.map(\.number) == [2, 3, 4, 5])
    #expect(second.notice.recipients.map(\.address) == ["2", "3", "4", "5"])
    #expect(second.notice.title.zh == "甲烷超限（另有 3 条）")
    for number in 2...5 { #expect(second.notice.text.zh.contains("第 \(number) 条")) }
    #expect(queue.settle(second, .delivered(""), at: Self.at(30_001)).count == 4)
    #expect(queue.count == 0 && queue.nextTime == nil)
  }

  @Test("what is more urgent than the last message does not wait for the group")
  func urgent() throws {
    var queue = Self.queue(ChannelPolicy(groupMilliseconds: 30_000))
    _ = queue.add(dispatch(1, priority: 1), to: Self.recipient, at: Self.at(0))
    _ = queue.next(at: Self.at(0))
    _ = queue.add(dispatch(2, priority: 1), to: Self.recipient, at: Self.at(1_000))
    #expect((queue.next(at: Self.at(1_000))) == nil)
    _ = queue.add(dispatch(3, priority: 4), to: Self.recipient, at: Self.at(2_000))
    let sending = try queue.sending(at: Self.at(2_000))
    #expect(sending.notice.priority == 4)
    #expect(sending.notice.dispatches.map(\.number) == [2, 3], "and takes along what waits")
  }

  @Test("a channel of single addresses groups by address")
  func addresses() throws {
    var queue = Self.queue(ChannelPolicy(groupMilliseconds: 30_000), shared: false)
    _ = queue.add(dispatch(1), to: .init(name: "a", address: "1"), at: Self.at(0))
    _ = queue.add(dispatch(2), to: .init(name: "b", address: "2"), at: Self.at(0))
    let addresses = [queue.next(at: Self.at(0)), queue.next(at: Self.at(0))]
      .map { $0?.notice.recipients.map(\.address) }
    #expect(Set(addresses) == [["1"], ["2"]])
    #expect((queue.next(at: Self.at(0))) == nil)
  }

  @Test(
    "no stretch of time ever holds more messages than the rate, and nothing is lost in the flood",
    arguments: 1...10 as ClosedRange<UInt64>
  )
  func rates(seed: UInt64) throws {
    let rates = [RateLimit(20, per: 60_000), RateLimit(3, per: 1_000)]
    var queue = Self.queue(
      ChannelPolicy(rates: rates, groupMilliseconds: 0, lifetimeMilliseconds: .max / 4),
      shared: seed % 2 == 0
    )
    var random = Numbers(state: seed)
    var sent: [Int64] = []
    var carried: [Int] = []
    var number = 0
    for step in 0..<4_000 {
      let now = Int64(step) * 50
      while random.below(100) < 30, step < 3_000 {
        number += 1
        let refused = queue.add(
          dispatch(number),
          to: .init(name: "", address: "\(random.below(5))"),
          at: Self.at(now)
        )
        #expect(refused == nil)
      }
      while let sending = queue.next(at: Self.at(now)) {
        sent.append(now)
        carried += sending.notice.dispatches.map(\.number)
        let settled = queue.settle(sending, .delivered(""), at: Self.at(now))
        #expect(settled.allSatisfy { $0.isDelivered })
      }
    }
    #expect(carried.sorted() == Array(1...number), "SEED=\(seed)")
    for rate in rates {
      for index in sent.indices.dropFirst(rate.count) {
        #expect(
          sent[index] - sent[index - rate.count] >= rate.milliseconds,
          "SEED=\(seed): \(rate.count + 1) messages within \(rate.milliseconds) ms"
        )
      }
    }
  }

  @Test("tries are doubled apart and end as a dead letter with the channel's words")
  func backOff() throws {
    var queue = Self.queue(
      ChannelPolicy(attempts: 4, backOffMilliseconds: 1_000, maximumBackOffMilliseconds: 3_000)
    )
    _ = queue.add(dispatch(1), to: Self.recipient, at: Self.at(0))
    var now: Int64 = 0
    var times: [Int64] = []
    var settled: [ChannelQueue.Settled] = []
    while settled.isEmpty {
      now = try #require(queue.nextTime).milliseconds
      let sending = try queue.sending(at: Self.at(now))
      times.append(now)
      settled = queue.settle(sending, .unavailable("HTTP 503", retryAfter: nil), at: Self.at(now))
    }
    #expect(times == [0, 1_000, 3_000, 6_000])
    #expect(settled.map(\.detail) == ["HTTP 503"])
    #expect(settled.map(\.tries) == [4])
    #expect(settled.allSatisfy { !$0.isDelivered })
  }

  @Test("what the channel itself asks for holds for all readers")
  func retryAfter() throws {
    var queue = Self.queue(ChannelPolicy(), shared: false)
    _ = queue.add(dispatch(1), to: .init(name: "", address: "1"), at: Self.at(0))
    _ = queue.add(dispatch(2), to: .init(name: "", address: "2"), at: Self.at(0))
    let sending = try queue.sending(at: Self.at(0))
    _ = queue.settle(sending, .unavailable("130101", retryAfter: .seconds(600)), at: Self.at(0))
    #expect((queue.next(at: Self.at(599_999))) == nil)
    #expect((queue.next(at: Self.at(600_000))) != nil)
  }

  @Test(
    "whatever time a channel asks for, it is asked again within the hour, and nothing traps",
    arguments: [Int64.max, Int64.max / 1_000, 3_601, -1, Int64.min]
  )
  func absurdRetryAfter(seconds: Int64) throws {
    var queue = Self.queue(ChannelPolicy(), shared: false)
    _ = queue.add(dispatch(1), to: .init(name: "", address: "1"), at: Self.at(0))
    _ = queue.add(dispatch(2), to: .init(name: "", address: "2"), at: Self.at(0))
    let sending = try queue.sending(at: Self.at(0))
    let busy = DeliveryOutcome.unavailable("429", retryAfter: .seconds(seconds))
    _ = queue.settle(sending, busy, at: Self.at(0))
    #expect((queue.next(at: Self.at(seconds > 0 ? 3_599_999 : 0)) == nil) == (seconds > 0))
    if seconds > 0 { #expect(queue.next(at: Self.at(3_600_000)) != nil) }
  }

  @Test("a clock that is set back by an hour holds nothing back for that hour")
  func clockSetBack() throws {
    let hour: Int64 = 3_600_000
    var queue = Self.queue(ChannelPolicy(rates: [RateLimit(1, per: 60_000)]))
    _ = queue.add(dispatch(1), to: Self.recipient, at: Self.at(hour))
    let first = try queue.sending(at: Self.at(hour))
    _ = queue.settle(first, .delivered(""), at: Self.at(hour))
    _ = queue.add(dispatch(2), to: Self.recipient, at: Self.at(hour + 10_000))
    let expired = queue.expire(at: Self.at(10_000))
    #expect(expired.isEmpty)
    #expect((queue.next(at: Self.at(59_999))) == nil, "the rate holds")
    #expect(queue.nextTime == Self.at(60_000))
    let second = try queue.sending(at: Self.at(60_000))
    #expect(second.notice.dispatches.map(\.number) == [2])
  }

  @Test("a full queue, an old message and a refusal are dead letters, each with its reason")
  func deadLetters() throws {
    var queue = Self.queue(ChannelPolicy(lifetimeMilliseconds: 60_000, capacity: 2))
    _ = queue.add(dispatch(1), to: Self.recipient, at: Self.at(0))
    _ = queue.add(dispatch(2), to: Self.recipient, at: Self.at(50_000))
    let refused = queue.add(dispatch(3), to: Self.recipient, at: Self.at(50_000))
    let full = try #require(refused)
    #expect(full.detail.contains("waiting already"))
    let old = queue.expire(at: Self.at(60_001))
    #expect(old.map(\.dispatch.number) == [1])
    let sending = try queue.sending(at: Self.at(60_001))
    let gone = queue.settle(sending, .refused("errcode 310000"), at: Self.at(60_002))
    #expect(gone.map(\.detail) == ["errcode 310000"])
    #expect(queue.count == 0)
  }
}

extension ChannelQueue {
  /// What goes now; the test ends where nothing does.
  mutating func sending(at now: Timestamp) throws -> Sending {
    let sending = next(at: now)
    return try #require(sending, "nothing goes at \(now.milliseconds)")
  }
}

/// SplitMix64.
struct Numbers {
  var state: UInt64

  mutating func below(_ limit: UInt64) -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return (mixed ^ (mixed >> 31)) % limit
  }
}
