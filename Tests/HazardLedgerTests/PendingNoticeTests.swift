import HazardLedger
import Telemetry
import Testing

/// Notices in virtual time.
@Suite("Notices")
struct PendingNoticeTests {
  static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

  static let subject = NoticeSubject(
    occasion: "certificate",
    place: "acme",
    priority: 2,
    subjects: ["clock/certificate/acme/W-1"],
    title: CalloutDispatch.Text(zh: "焊工证书：还剩7天", en: "Welder's certificate: 7 d left"),
    text: CalloutDispatch.Text(zh: "W-1", en: "W-1"),
    persons: ["a", "b"],
    channels: ["sms"],
    intervalMilliseconds: 60_000,
    attempts: 3
  )

  @Test("what a channel takes ends it; what none takes is tried again and given up on record")
  func life() throws {
    var notice = PendingNotice(id: "notice/1", subject: Self.subject)
    #expect(notice.start(at: Self.at(0)).remaining == 2)
    let delivered = try notice.report(number: 1, attempt: 1, delivered: true, at: Self.at(10))
    #expect(delivered.person == "a" && delivered.remaining == 1 && notice.isOpen)
    #expect(throws: CalloutRefusal.unknownDispatch) {
      try notice.report(number: 1, attempt: 1, delivered: true, at: Self.at(11))
    }
    _ = try notice.report(number: 2, attempt: 1, delivered: false, detail: "503", at: Self.at(20))
    #expect(notice.advance(to: Self.at(59_999)) == [])
    // The refused try is no repeat to the person, the one without a word may be.
    let second = notice.advance(to: Self.at(60_000))
    #expect(second.map(\.event) == [.repeated] && second.map(\.inDoubt) == [false])
    let third = notice.advance(to: Self.at(120_000))
    #expect(third.map(\.attempt) == [3] && third.map(\.inDoubt) == [true])
    let last = notice.advance(to: Self.at(900_000))
    #expect(last.map(\.event) == [.lapsed] && last.map(\.remaining) == [0] && !notice.isOpen)
  }

  @Test("the late word on an earlier try counts; a made-up one does not")
  func lateWord() throws {
    var notice = PendingNotice(id: "notice/1", subject: Self.subject)
    _ = notice.start(at: Self.at(0))
    _ = notice.advance(to: Self.at(60_000))
    for (number, attempt) in [(3, 1), (0, 1), (1, 3), (1, 0)] {
      #expect(throws: CalloutRefusal.unknownDispatch) {
        try notice.report(number: number, attempt: attempt, delivered: true, at: Self.at(60_001))
      }
    }
    // A refusal of the first try says nothing about the second, which is on its way.
    #expect(throws: CalloutRefusal.unknownDispatch) {
      try notice.report(number: 1, attempt: 1, delivered: false, at: Self.at(60_001))
    }
    let word = try notice.report(number: 1, attempt: 1, delivered: true, at: Self.at(60_002))
    #expect(word.remaining == 1)
  }

  @Test("a notice for nobody says so")
  func nobody() {
    var subject = Self.subject
    subject.persons = []
    var notice = PendingNotice(id: "notice/1", subject: subject)
    #expect(notice.start(at: Self.at(0)).event == .nobody)
    #expect(!notice.isOpen && notice.nextDeadline == nil)
  }

  @Test(
    "crashed at any step and rebuilt from its entries, every person is reached, twice only where marked"
  )
  func restarts() throws {
    /// Runs to the end; crashes at the `crash`-th chance. Channels take a person's second try.
    func run(crashAt crash: Int?) throws -> (sent: [String: [Bool]], chances: Int) {
      var chances = 0
      var stored: [LedgerEntry] = []
      var sent: [String: [Bool]] = [:]
      var notice = PendingNotice(id: "notice/1", subject: Self.subject)
      func store(_ step: NoticeStep) {
        var buffer: [UInt8] = []
        stored.append(
          LedgerEntry(
            notice.draft(of: step, origin: 1),
            sequence: Int64(stored.count + 1),
            previousHash: [UInt8](repeating: 0, count: 32),
            buffer: &buffer
          )
        )
      }
      func crashes() -> Bool {
        chances += 1
        return chances == crash
      }
      var now: Int64 = 0
      /// Stores steps and acts on them; false after a crash.
      func carryOut(_ steps: [NoticeStep]) throws -> Bool {
        if crashes() { return false }
        steps.forEach(store)
        for step in steps {
          let tries: [(Int, String)] =
            switch step.event {
            case .told: [(1, "a"), (2, "b")]
            case .repeated: [(step.number, step.person)]
            case .delivered, .failed, .lapsed, .nobody: []
            }
          for (number, person) in tries {
            if crashes() { return false }
            sent[person, default: []].append(step.inDoubt)
            if crashes() { return false }
            let attempt = max(1, step.attempt)
            store(
              try notice.report(
                number: number,
                attempt: attempt,
                delivered: attempt > 1,
                at: Self.at(now)
              )
            )
          }
        }
        return true
      }
      var steps = [notice.start(at: Self.at(0))]
      while now < 600_000 {
        while !(try carryOut(steps)) {
          if let rebuilt = try PendingNotice(replaying: stored) {
            notice = rebuilt
            steps = notice.resume(at: Self.at(now))
          } else {
            notice = PendingNotice(id: "notice/1", subject: Self.subject)
            steps = [notice.start(at: Self.at(now))]
          }
        }
        now += 20_000
        steps = notice.advance(to: Self.at(now))
      }
      if !stored.isEmpty { #expect(try PendingNotice(replaying: stored) == notice) }
      #expect(!notice.isOpen)
      return (sent, chances)
    }
    let undisturbed = try run(crashAt: nil)
    #expect(undisturbed.sent == ["a": [false, false], "b": [false, false]])
    var marked = 0
    for crash in 1...undisturbed.chances {
      let sent = try run(crashAt: crash).sent
      for person in ["a", "b"] {
        let tries = try #require(sent[person], "crash \(crash): \(person) was never told")
        // Refused once and taken once, and what a crash made uncertain is marked.
        #expect(tries.count - tries.count { $0 } <= 2, "crash \(crash): \(tries)")
        marked += tries.count { $0 }
      }
    }
    #expect(marked >= 4)
  }
}
