import AlarmEngine
import Telemetry
import Testing

/// On- and off-delay by their definition: an alarm begins when its condition has held for the on-delay without a break, and
/// ends when the opposite has held for the off-delay.
///
/// What holds at a moment is what was said last. Nothing here remembers a phase or a deadline: it looks back over all that
/// was said.
struct AlarmOracle {
  /// What the detector says from a time on, and by which message.
  struct Saying {
    var time: Int64
    var truth: Truth
    var sequence: UInt64
  }

  let onDelay: Int64
  let offDelay: Int64
  private(set) var changes: [AlarmChange] = []
  private var said: [Saying] = []

  init(onDelay: Int64, offDelay: Int64) {
    self.onDelay = onDelay
    self.offDelay = offDelay
  }

  var stands: Bool { changes.last?.isRaised ?? false }

  /// Takes in what the detector says from `time` on.
  mutating func say(_ truth: Truth, at time: Int64, sequence: UInt64 = 0) {
    pass(before: time)
    said.append(Saying(time: time, truth: truth, sequence: sequence))
    // What needs not last is with the reading itself.
    if (stands ? offDelay : onDelay) == 0 { pass(before: time + 1) }
  }

  /// The delay that runs: what it began with and when it ends; nil for none.
  var running: (since: Saying, end: Int64)? {
    let wanted: Truth = stands ? .no : .yes
    guard said.last?.truth == wanted else { return nil }
    var first = said.count - 1
    while first > 0, said[first - 1].truth == wanted { first -= 1 }
    return (said[first], said[first].time + (stands ? offDelay : onDelay))
  }

  /// Lets what was said last go on to just before `time`.
  mutating func pass(before time: Int64) {
    guard let (since, end) = running, end < time else { return }
    changes.append(
      AlarmChange(
        isRaised: !stands,
        time: end,
        onset: stands ? changes[changes.count - 1].onset : since.time
      )
    )
  }

  /// Moves what was said to another time base; what came of it stays.
  mutating func move(by shift: Int64) {
    for index in said.indices { said[index].time += shift }
  }
}

/// Expects that an engine's rule did what its definition says, and did anything at all.
func expectSame(_ expected: [AlarmChange], _ actual: [AlarmChange], _ note: String) {
  let isSame = expected == actual
  let place = zip(expected, actual).enumerated().first { $1.0 != $1.1 }
  #expect(
    isSame,
    """
    \(note): \(expected.count) expected, \(actual.count) found, first other \(String(describing: place))
    """
  )
  #expect(!expected.isEmpty, "\(note): the stream tests nothing")
}

/// A reading as a detector over one channel sees it.
struct UsableReading {
  var time: Int64
  var value: Double
  /// The moment has had a reading before.
  var isTie: Bool
}

/// A detector over one channel as its documentation defines it, looked up in all that has been.
protocol Definition {
  /// Whether the condition holds at a reading; `stands` says whether its alarm does before it.
  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth
  /// A reading has come that has no usable value.
  mutating func miss()
  /// The channel has become stale.
  mutating func fallSilent()
}

extension Definition {
  mutating func miss() {}
  mutating func fallSilent() {}
}

/// A rule beside the definition of its detector.
struct DefinedRule {
  var name: String
  var detector: Detector
  /// What its parameters are.
  var note = ""
  var definition: any Definition
  /// Its condition is true at single readings, which an on-delay would not let be an alarm.
  var isBrief = false
}

/// What each rule of one channel does by its definition; with `staleAfter` the last one is that on staleness.
func definedChanges(
  _ rules: [DefinedRule],
  delays: [(on: Int64, off: Int64)],
  staleAfter: Int64?,
  _ readings: [StreamReading],
  until end: Int64
) -> [[AlarmChange]] {
  var definitions = rules.map(\.definition)
  var alarms = delays.map { AlarmOracle(onDelay: $0.on, offDelay: $0.off) }
  let stale = rules.count
  // Of a moment with several readings each is judged a millisecond after the one before.
  var newest: Int64?
  var moment: Int64?
  func fallSilent(before time: Int64) {
    guard let staleAfter, let newest, newest + staleAfter < time else { return }
    let start = newest + staleAfter
    for rule in definitions.indices {
      // A delay that ends with the staleness has run its course.
      alarms[rule].pass(before: start + 1)
      alarms[rule].say(.unknown, at: start)
      definitions[rule].fallSilent()
    }
    alarms[stale].pass(before: start + 1)
    alarms[stale].say(.yes, at: start)
  }
  for item in readings where !item.isIgnored {
    let time = newest.map { max($0 + 1, item.time) } ?? item.time
    fallSilent(before: time)
    for rule in definitions.indices {
      alarms[rule].pass(before: time)
      if let value = item.usable {
        let truth = definitions[rule].judge(
          UsableReading(time: item.time, value: value, isTie: item.time == moment),
          stands: alarms[rule].stands
        )
        alarms[rule].say(truth, at: time)
      } else {
        definitions[rule].miss()
        alarms[rule].say(.unknown, at: time)
      }
    }
    if staleAfter != nil { alarms[stale].say(.no, at: time) }
    newest = time
    moment = item.time
  }
  fallSilent(before: end)
  for alarm in alarms.indices { alarms[alarm].pass(before: end) }
  return alarms.map(\.changes)
}
