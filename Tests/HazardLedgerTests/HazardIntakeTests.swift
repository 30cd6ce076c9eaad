import HazardLedger
import Telemetry
import Testing

@Suite("Hazard intake")
struct HazardIntakeTests {
  static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

  static func body(
    _ event: AlarmBody.Event,
    onset: Int64,
    rule: String = "h",
    priority: Int = 2
  ) -> AlarmBody {
    AlarmBody(
      point: "ent/s/a/d/p",
      rule: rule,
      onset: at(onset),
      event: event,
      state: event == .returned ? .normal : .unacknowledged,
      previous: .normal,
      priority: priority,
      received: at(onset),
      cause: 1
    )
  }

  @Test("level and major-hazard rules propose at once, and once while the hazard is open")
  func immediate() {
    var intake = HazardIntake(
      policy: HazardPolicy(majorRules: ["interlock-bypassed": "判定标准 第5条"])
    )
    #expect(intake.add(Self.body(.raised, onset: 1, priority: 3), at: Self.at(1)) == [])
    let red = intake.add(Self.body(.raised, onset: 2, priority: 4), at: Self.at(2))
    #expect(red.map(\.ground) == [.priority])
    #expect(red.first?.registration.id == "hazard/ent/s/a/d/p#h@2")
    #expect(red.first?.registration.enterprise == "ent")
    #expect(red.first?.majorBasis == nil)
    #expect(intake.add(Self.body(.raised, onset: 3, priority: 4), at: Self.at(3)) == [])
    intake.ended(hazard: "hazard/ent/s/a/d/p#h@2")
    let again = intake.add(Self.body(.raised, onset: 4, priority: 4), at: Self.at(4))
    #expect(again.map(\.registration.id) == ["hazard/ent/s/a/d/p#h@4"])
    let major = intake.add(
      Self.body(.raised, onset: 5, rule: "interlock-bypassed", priority: 1),
      at: Self.at(5)
    )
    #expect(major.map(\.ground) == [.majorRule])
    #expect(major.first?.majorBasis == "判定标准 第5条")
  }

  @Test("an alarm that stands too long proposes at its own time, one that returned does not")
  func standing() {
    var intake = HazardIntake(policy: HazardPolicy(standingMilliseconds: 1_000))
    #expect(intake.add(Self.body(.raised, onset: 0), at: Self.at(0)) == [])
    #expect(intake.add(Self.body(.returned, onset: 0), at: Self.at(900)) == [])
    #expect(intake.nextDeadline == nil)
    #expect(intake.advance(to: Self.at(5_000)) == [])
    #expect(intake.add(Self.body(.raised, onset: 6_000), at: Self.at(6_000)) == [])
    #expect(intake.advance(to: Self.at(6_999)) == [])
    let late = intake.advance(to: Self.at(60_000))
    #expect(late.map(\.time.milliseconds) == [7_000])
    #expect(late.map(\.ground) == [.standing])
  }

  @Test(
    "an alarm whose priority rises into a policy proposes when it stands too long from then on",
    arguments: [RulesLevel.notices, .areas]
  )
  func risen(rules: RulesLevel) {
    var intake = HazardIntake(
      policy: HazardPolicy(
        matcher: AlarmMatcher(minimumPriority: 3),
        standingMilliseconds: 1_000
      )
    )
    let raised = Self.body(.raised, onset: 0, priority: 2)
    #expect(intake.follow(raised, at: Self.at(0), by: rules) == [])
    let risen = Self.body(.priorityChanged, onset: 0, priority: 3)
    #expect(intake.follow(risen, at: Self.at(500), by: rules) == [])
    // Told again, it does not begin anew.
    #expect(intake.follow(risen, at: Self.at(700), by: rules) == [])
    let times = intake.advance(to: Self.at(60_000)).map(\.time.milliseconds)
    #expect(times == (rules >= .areas ? [1_500] : []))
  }

  @Test(
    "each rule of a finished hazard may propose again",
    arguments: [RulesLevel.notices, .areas]
  )
  func severalRules(rules: RulesLevel) {
    var intake = HazardIntake(policy: HazardPolicy())
    for rule in ["h", "hh"] {
      intake.reopened(hazard: "hazard/1", point: "ent/s/a/d/p", rule: rule)
    }
    let first = Self.body(.raised, onset: 1, priority: 4)
    #expect(intake.follow(first, at: Self.at(1), by: rules) == [])
    intake.ended(hazard: "hazard/1", by: rules)
    let second = Self.body(.raised, onset: 2, priority: 4)
    let proposed = intake.follow(second, at: Self.at(2), by: rules)
    #expect(proposed.map(\.ground) == (rules >= .areas ? [.priority] : []))
  }

  @Test("too many occurrences within the time propose, the same number spread out does not")
  func repeated() {
    let policy = HazardPolicy(repeatCount: 3, repeatMilliseconds: 100)
    var intake = HazardIntake(policy: policy)
    for onset in [0, 60, 120, 180] as [Int64] {
      #expect(intake.add(Self.body(.raised, onset: onset), at: Self.at(onset)) == [])
    }
    #expect(
      intake.add(Self.body(.raised, onset: 190), at: Self.at(190)).map(\.ground) == [.repeated]
    )
  }
}
