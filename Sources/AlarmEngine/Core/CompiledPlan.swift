import Telemetry

/// Identities of the rows, to find state again under another plan.
struct Identities: Sendable {
  var devices: [StableID] = []
  var channels: [StableID] = []
  /// Of the channels' values.
  var units: [StableID] = []
  /// By engine row, not plan row.
  var rules: [StableID] = []

  var byteCount: Int { (devices.count + channels.count + units.count + rules.count) * 8 }
}

/// A plan, checked and laid out for the engine: rules sorted by channel, parameters shared.
struct CompiledPlan {
  var identities = Identities()
  var links: [ChannelLink] = []
  var profiles: [Profile] = []
  var profileOfChannel: [UInt32] = []
  var ringOfChannel: [UInt32] = []
  var ringLines = 0
  var parameters: [RuleParameters] = []
  var slotOfRule: [UInt32] = []
  /// Detectors that keep more than a record can hold, and where each lies.
  var bank = DetectorBank()
  var places: [DetectorBank.Place] = []
  /// The channels that the detector in each place reads as its signals.
  var signals: [[ChannelIndex]] = []
  /// The rules that read a channel beside its own, all channels' one after the other.
  var dependents: [Dependent] = []
  /// Counts over the alarms of other rules, and which of them follow a rule.
  var cascades: [Cascade] = []
  var followers: [UInt32: [UInt32]] = [:]
  /// The channels of every device, all devices' one after the other, and where each device's begin.
  var channelsOfDevices: [UInt32] = []
  var firstOfDevice: [UInt32] = []
  var devices: [DeviceRecord] = []
  /// What the guard and the reorder buffer take from the plan.
  var timings: [DeviceTiming] = []
  /// Entries that the heap of deadlines can come to hold.
  var deadlineCount = 0

  init(_ plan: EnginePlan) throws(PlanError) {
    let problems = PlanCheck(plan).problems
    guard problems.isEmpty else { throw PlanError(problems: problems) }
    identities.devices = plan.devices.map(\.id)
    identities.channels = plan.channels.map(\.id)
    identities.units = plan.channels.map(\.unit)
    links = plan.channels.map { ChannelLink(device: $0.device) }
    layOutDevices(plan)
    layOutRules(plan)
    try layOutDetectors(plan)
    layOutChannels(plan)
  }

  private mutating func layOutDevices(_ plan: EnginePlan) {
    var rowOfTiming: [DeviceTiming: UInt32] = [:]
    devices = plan.devices.map { device in
      let timing = DeviceTiming(
        tolerance: device.clockToleranceMilliseconds,
        allowance: device.reorderAllowanceMilliseconds
      )
      if let known = rowOfTiming[timing] { return DeviceRecord(timing: known) }
      rowOfTiming[timing] = UInt32(timings.count)
      timings.append(timing)
      return DeviceRecord(timing: UInt32(timings.count - 1))
    }
    firstOfDevice = [UInt32](repeating: 0, count: plan.devices.count + 1)
    for channel in plan.channels { firstOfDevice[Int(channel.device) + 1] += 1 }
    for row in 0..<plan.devices.count { firstOfDevice[row + 1] += firstOfDevice[row] }
    var next = firstOfDevice
    channelsOfDevices = [UInt32](repeating: 0, count: plan.channels.count)
    for (row, channel) in plan.channels.enumerated() {
      channelsOfDevices[Int(next[Int(channel.device)])] = UInt32(row)
      next[Int(channel.device)] += 1
    }
  }

  private mutating func layOutRules(_ plan: EnginePlan) {
    var first = [Int](repeating: 0, count: plan.channels.count + 1)
    for rule in plan.rules { first[Int(rule.channel.rawValue) + 1] += 1 }
    for index in 0..<plan.channels.count {
      links[index].ruleCount = UInt32(first[index + 1])
      first[index + 1] += first[index]
      links[index].firstRule = UInt32(first[index])
    }
    slotOfRule = [UInt32](repeating: 0, count: plan.rules.count)
    parameters = [RuleParameters](repeating: RuleParameters(), count: plan.rules.count)
    identities.rules = [StableID](repeating: StableID(rawValue: 0), count: plan.rules.count)
    for (row, rule) in plan.rules.enumerated() {
      let channel = Int(rule.channel.rawValue)
      let slot = first[channel]
      first[channel] += 1
      slotOfRule[row] = UInt32(slot)
      parameters[slot] = RuleParameters(rule, row: UInt32(row))
      identities.rules[slot] = rule.id
      deadlineCount +=
        1 + (rule.onDelayMilliseconds > 0 ? 1 : 0) + (rule.offDelayMilliseconds > 0 ? 1 : 0)
      let after = parameters[slot].staleAfter
      if after > 0 {
        let link = links[channel].staleAfter
        links[channel].staleAfter = link == 0 ? UInt32(after) : min(link, UInt32(after))
      }
    }
  }

  private mutating func layOutDetectors(_ plan: EnginePlan) throws(PlanError) {
    var readers: [[Dependent]] = []
    for (row, rule) in plan.rules.enumerated() {
      let slot = slotOfRule[row]
      let place: DetectorBank.Place?
      let signals = rule.detector.signals.map { plan.channels[Int($0.rawValue)].id }
      do { place = try bank.add(rule.detector, identities: signals) } catch {
        throw PlanError(problems: [PlanError.Problem(place: .rule(row), message: "\(error)")])
      }
      if case .cascade(let cascade) = rule.detector { layOut(cascade, slot) }
      if let place {
        parameters[Int(slot)].number = UInt32(places.count)
        places.append(place)
        self.signals.append(rule.detector.signals)
        deadlineCount += 1
        links[Int(rule.channel.rawValue)].isGeneral = true
        read(rule.detector.signals, by: slot, isSuppressor: false, &readers)
      }
      guard let suppression = rule.suppression else { continue }
      parameters[Int(slot)].suppressor = UInt32(places.count)
      let read = suppression.signals.map { plan.channels[Int($0.rawValue)].id }
      places.append(bank.add(suppression: suppression.expression, identities: read))
      self.signals.append(suppression.signals)
      deadlineCount += 1
      self.read(suppression.signals, by: slot, isSuppressor: true, &readers)
    }
    for (channel, list) in readers.enumerated() where !list.isEmpty {
      links[channel].firstDependent = UInt32(dependents.count)
      links[channel].dependentCount = UInt32(list.count)
      dependents += list
    }
  }

  private mutating func read(
    _ signals: [ChannelIndex],
    by slot: UInt32,
    isSuppressor: Bool,
    _ readers: inout [[Dependent]]
  ) {
    for (signal, channel) in signals.enumerated() {
      if readers.isEmpty { readers = [[Dependent]](repeating: [], count: links.count) }
      readers[Int(channel.rawValue)].append(
        Dependent(slot: slot, signal: UInt32(signal), isSuppressor: isSuppressor)
      )
      links[Int(channel.rawValue)].isGeneral = true
    }
  }

  private mutating func layOut(_ plan: CascadeParameters, _ slot: UInt32) {
    parameters[Int(slot)].number = UInt32(cascades.count)
    let points = plan.points.map { point in
      point.map { Cascade.Member(slot: slotOfRule[Int($0.rule.rawValue)], grade: $0.grade) }
    }
    cascades.append(Cascade(cascade: plan.cascade, grade: plan.grade, points: points))
    for member in Set(points.joined().map(\.slot)).sorted() {
      followers[member, default: []].append(slot)
    }
  }

  private mutating func layOutChannels(_ plan: EnginePlan) {
    var rowOfProfile: [Profile: UInt32] = [:]
    for (row, channel) in plan.channels.enumerated() {
      let link = links[row]
      var profile = Profile()
      profile.greatestLag = UInt32(
        clamping: plan.devices[Int(link.device)].clockToleranceMilliseconds
      )
      if link.staleAfter > 0 { profile.maxGap = link.staleAfter }
      for slot in link.rules {
        let rule = parameters[Int(slot)]
        switch rule.kind {
        case .rate:
          profile.features |= Profile.rate
          profile.rate = rule.low
        case .ewma:
          profile.features |= Profile.ewma
          profile.alpha = rule.low
          profile.decay = 1 - rule.low
          profile.thresholdSquared = rule.high * rule.high
          // The first reading judges nothing in any case.
          profile.warmUp = max(rule.number, 1)
        case .limit, .physicalRange, .stale, .clock, .single, .group, .cascade, .reported:
          break
        }
      }
      var base = 0
      if let window = channel.window {
        profile.features |= Profile.window
        if !window.isBoundedByCount { profile.features |= Profile.wholeWindow }
        profile.windowLength = UInt32(window.lengthMilliseconds)
        let capacity = window.ringCapacity
        profile.ringMask = UInt32(capacity - 1)
        profile.resumMask = profile.ringMask | (Engine.resumInterval - 1)
        base = ringLines
        ringLines += capacity / 8 + capacity / 16
      }
      ringOfChannel.append(UInt32(base))
      if let known = rowOfProfile[profile] {
        profileOfChannel.append(known)
      } else {
        rowOfProfile[profile] = UInt32(profiles.count)
        profileOfChannel.append(UInt32(profiles.count))
        profiles.append(profile)
      }
    }
  }
}

extension ChannelWindow {
  /// The capacity rounded up to a power of two of at least 16.
  var ringCapacity: Int {
    var size = 16
    while size < capacity { size *= 2 }
    return size
  }
}

extension RuleParameters {
  init(_ rule: RulePlan, row: UInt32) {
    self.init()
    self.rule = row
    channel = rule.channel.rawValue
    priority = rule.priority.rawValue
    isLatching = rule.isLatching
    onDelay = rule.onDelayMilliseconds
    offDelay = rule.offDelayMilliseconds
    reAlarm = rule.reAlarmMilliseconds
    escalateAfter = rule.escalation?.afterMilliseconds ?? 0
    escalatedPriority = rule.escalation?.priority.rawValue ?? rule.priority.rawValue
    switch rule.detector {
    case .limit(let limit):
      kind = .limit
      comparison = limit.comparison
      low = limit.setpoint
      high = limit.restore
    case .physicalRange(let low, let high):
      kind = .physicalRange
      self.low = low
      self.high = high
    case .stale(let after):
      kind = .stale
      staleAfter = after
    case .clockFault:
      kind = .clock
    case .reported:
      kind = .reported
    case .successiveChange(let perSecond):
      kind = .rate
      low = perSecond
    case .rateOfChange, .stuck, .ewmaChart, .cusum, .ewmaZScore, .robustZScore, .seasonal,
      .limitHugging, .replayedRun, .gapAtRise, .backgroundExcess, .deviation:
      kind = .single
    case .expression, .interlock, .multivariate, .window:
      kind = .group
    case .cascade:
      kind = .cascade
    case .ewma(let alpha, let deviations, let warmUp):
      kind = .ewma
      low = alpha
      high = deviations
      number = UInt32(warmUp)
    }
  }
}
