import Telemetry

extension Engine {
  /// Tells the rules that read a channel as a signal of its newest value, nil when it has none any more.
  mutating func informDependents(
    of channel: Int,
    at time: Int64,
    _ value: Double?,
    _ sequence: UInt64,
    received: Int64? = nil,
    _ out: inout [Transition]
  ) {
    let link = links[channel]
    for index in link.firstDependent..<link.firstDependent &+ link.dependentCount {
      let dependent = dependents[Int(index)]
      let place = places[Int(parameters.row(Int(dependent.slot)).it.number)]
      let received = received ?? now
      // What was due before this reading comes before it.
      var passed = Int64.min
      while let due = bank.nextDeadline(place), due < time, due > passed {
        passed = due
        advanceDetector(dependent.slot, to: due, received: received, &out)
      }
      let truth = bank.inform(
        place,
        signal: Int(dependent.signal),
        time: time,
        value: value
      )
      guard let truth else { continue }
      let moment = Moment(
        time: time,
        received: received,
        sequence: sequence,
        value: value ?? .nan
      )
      follow(dependent.slot, Verdict(truth), moment, &out)
      armDetector(dependent.slot, place, after: time)
    }
  }

  /// Lets a detector's own deadline fall due.
  mutating func advanceDetector(
    _ slot: UInt32,
    to time: Int64,
    received: Int64,
    _ out: inout [Transition]
  ) {
    let place = places[Int(parameters.row(Int(slot)).it.number)]
    if let truth = bank.advance(place, to: time) {
      let channel = channels.row(Int(parameters.row(Int(slot)).it.channel))
      let moment = Moment(
        time: time,
        received: received,
        sequence: channel.it.sequence,
        value: .nan
      )
      follow(slot, Verdict(truth), moment, &out)
    }
    armDetector(slot, place, after: time)
  }

  /// Waits for a detector's next deadline; one that does not lie ahead would be waited for in vain.
  private mutating func armDetector(
    _ slot: UInt32,
    _ place: DetectorBank.Place,
    after time: Int64
  ) {
    if let due = bank.nextDeadline(place), due > time { arm(.detector, slot, at: due) }
  }
}
