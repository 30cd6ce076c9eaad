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
      guard !dependent.isSuppressor else {
        informSuppressor(dependent, at: time, value, sequence, received: received ?? now, &out)
        continue
      }
      let place = places[Int(parameters.row(Int(dependent.slot)).it.number)]
      let received = received ?? now
      // What was due before this reading comes before it.
      var passed = Int64.min
      while let due = detectorDeadline(dependent.slot), due < time, due > passed {
        passed = due
        advanceDetector(dependent.slot, to: due, received: received, &out)
      }
      let truth = bank.inform(
        place,
        signal: Int(dependent.signal),
        time: time + bankShift(dependent.slot),
        value: value
      )
      tally.lateUnjudged &+= bank.takeLate(place)
      guard let truth else { continue }
      let moment = Moment(
        time: time,
        received: received,
        sequence: sequence,
        value: bank.statistic(place) ?? value ?? .nan
      )
      follow(dependent.slot, Verdict(truth), moment, &out)
      armDetector(dependent.slot, after: time)
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
    if let truth = bank.advance(place, to: time + bankShift(slot)) {
      let channel = channels.row(Int(parameters.row(Int(slot)).it.channel))
      let moment = Moment(
        time: time,
        received: received,
        sequence: channel.it.sequence,
        value: bank.statistic(place) ?? .nan
      )
      follow(slot, Verdict(truth), moment, &out)
    }
    armDetector(slot, after: time)
  }

  /// Waits for a detector's next deadline; one that does not lie ahead would be waited for in vain.
  private mutating func armDetector(_ slot: UInt32, after time: Int64) {
    if let due = detectorDeadline(slot), due > time {
      arm(.detector, slot, at: due + detectorGrace(slot))
    }
  }

  /// How long after its deadline, by the device's clock, a rule's detector is looked at when no reading asks for it before.
  func detectorGrace(_ slot: UInt32) -> Int64 {
    bank.grace(places[Int(parameters.row(Int(slot)).it.number)])
  }

  /// When a rule's detector wants to be looked at, by the event time of its device; nil when it does not.
  func detectorDeadline(_ slot: UInt32) -> Int64? {
    bank.nextDeadline(places[Int(parameters.row(Int(slot)).it.number)]).map {
      $0 - bankShift(slot)
    }
  }

  /// What is added to event time for a rule's detector in the bank.
  func bankShift(_ slot: UInt32) -> Int64 {
    guard !troubles.isEmpty else { return 0 }
    let channel = parameters.row(Int(slot)).it.channel
    return troubles[Int(links[Int(channel)].device)]?.bankShift ?? 0
  }
}
