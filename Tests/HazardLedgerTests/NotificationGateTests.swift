import HazardLedger
import Telemetry
import Testing

@Suite("Notification gate")
struct NotificationGateTests {
  static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

  @Test(
    "one alarm at a time gives what judging all standing alarms together gives",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func againstPolicy(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    func pick<Value>(_ values: [Value]) -> Value {
      values[Int(random.next() % UInt64(values.count))]
    }
    let inhibitions = [
      Inhibition(
        id: "gateway",
        cause: AlarmMatcher(rules: ["offline"]),
        consequence: AlarmMatcher(),
        sharedParts: 3
      ),
      Inhibition(
        id: "site",
        cause: AlarmMatcher(rules: ["power"], minimumPriority: 3),
        consequence: AlarmMatcher(maximumPriority: 3),
        sharedParts: 2
      ),
    ]
    var silences: [Silence] = []
    var gate = NotificationGate(inhibitions: inhibitions)
    var standing: [String: AlarmView] = [:]
    var order: [String] = []
    for step in 0..<600 {
      let now = Self.at(Int64(step) * 1_000)
      switch random.next() % 10 {
      case 0:
        let silence = try #require(
          Silence(
            id: "s\(step)",
            matcher: AlarmMatcher(path: pick(["e1", "e1/s2", "e2/s1/a1"])),
            author: "a",
            reason: "r",
            from: now,
            until: now.advanced(byMilliseconds: 20_000)
          )
        )
        silences.append(silence)
        gate.add(silence)
      case 1...4:
        guard let id = order.isEmpty ? nil : pick(order), let alarm = standing[id] else { break }
        order.removeAll { $0 == id }
        standing[id] = nil
        gate.follow(
          id,
          point: alarm.point,
          rule: alarm.rule,
          priority: alarm.priority,
          isStanding: false
        )
      default:
        let point = "\(pick(["e1", "e2"]))/\(pick(["s1", "s2"]))/\(pick(["a1", "a2"]))/d/p"
        let body = AlarmBody(
          point: point,
          rule: pick(["offline", "power", "stale", "H"]),
          onset: now,
          event: .raised,
          state: .unacknowledged,
          previous: .normal,
          priority: pick([1, 2, 3, 4]),
          received: now,
          cause: 1
        )
        standing[body.alarm] = AlarmView(body, sequence: Int64(step), time: now, actor: "engine")
        order.append(body.alarm)
        gate.follow(
          body.alarm,
          point: body.point,
          rule: body.rule,
          priority: body.priority,
          isStanding: true
        )
      }
      if step % 40 == 39 { gate.adopt(inhibitions) }
      let policy = NotificationPolicy(silences: silences, inhibitions: inhibitions)
      let alarms = order.compactMap { standing[$0] }
      for (alarm, expected) in zip(alarms, policy.verdicts(for: alarms, at: now)) {
        let verdict = gate.verdict(
          point: alarm.point,
          rule: alarm.rule,
          priority: alarm.priority,
          at: now
        )
        #expect(verdict == expected, "SEED=\(seed) step \(step) \(alarm.id)")
      }
    }
  }

  @Test("an agenda gives what sorting gives", arguments: 1...20 as ClosedRange<UInt64>)
  func agenda(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var agenda = Agenda<String>()
    var plain: [String: Timestamp] = [:]
    for _ in 0..<2_000 {
      let key = "k\(random.next() % 40)"
      let time = Self.at(Int64(random.next() % 1_000))
      switch random.next() % 4 {
      case 0:
        agenda.set(key, nil)
        plain[key] = nil
      case 1:
        let now = Self.at(Int64(random.next() % 300))
        let expected = plain.filter { $0.value <= now }
          .min { ($0.value, $0.key) < ($1.value, $1.key) }
        let taken = agenda.take(upTo: now)
        #expect(taken?.key == expected?.key && taken?.time == expected?.value, "SEED=\(seed)")
        if let expected { plain[expected.key] = nil }
      default:
        agenda.set(key, time)
        plain[key] = time
      }
      #expect(agenda.next == plain.values.min() && agenda.count == plain.count, "SEED=\(seed)")
    }
  }
}
