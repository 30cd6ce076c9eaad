import Foundation

extension WeldingRegister {
  /// Answers a scan: the permit that allows it, or every reason against it.
  ///
  /// Whatever cannot be established counts against the scan, because a machine that stays locked can
  /// be unlocked, and a fire cannot be put back.
  public func decide(_ scan: WeldingScan, policy: WeldingPolicy) -> WeldingDecision {
    var denials: [WeldingDenial] = []
    let machine = machines.first { $0.code == scan.code }
    if machine == nil { denials.append(.unknownMachine) }
    if machine?.barred != nil { denials.append(.machineBarred) }
    if let welder = welders.first(where: { $0.id == scan.welder }) {
      if let denial = welder.denial(on: scan.day) { denials.append(denial) }
    } else {
      denials.append(.unknownWelder)
    }
    if bannedPeriods.contains(where: { $0.from <= scan.time && scan.time < $0.until }) {
      denials.append(.specialPeriod)
    }
    if let own = scan.position, let other = scan.machinePosition,
      own.metres(to: other) <= policy.scanRadius
    {
      // Scanned at the machine.
    } else {
      denials.append(
        scan.position == nil || scan.machinePosition == nil ? .positionUnknown : .remoteScan
      )
    }
    guard let machine else { return .deny(denials) }
    let candidates = permits.filter {
      $0.machines.contains(machine.device) && $0.welders.contains(scan.welder)
    }
    var best: [WeldingDenial]?
    for permit in candidates {
      let against = permit.denials(for: scan, policy: policy)
      if against.isEmpty, denials.isEmpty { return .allow(permit: permit.id, until: permit.until) }
      if against.count < best?.count ?? .max { best = against }
    }
    return .deny(denials + (best ?? [.noPermit]))
  }
}

extension WeldingRegister.Welder {
  /// What speaks against the certificate on a day.
  public func denial(on day: CalendarDate) -> WeldingDenial? {
    if category != Self.weldingCategory { return .noCertificate }
    if day < validFrom || validUntil < day { return .certificateExpired }
    if let reviewBy, reviewBy < day { return .certificateExpired }
    return nil
  }

  /// Days until the certificate, or its review, runs out; negative when it has.
  public func daysLeft(on day: CalendarDate) -> Int {
    let last = reviewBy.map { min($0, validUntil) } ?? validUntil
    return last.daysSinceEpoch - day.daysSinceEpoch
  }
}

extension WeldingRegister.Permit {
  /// What speaks against a scan under this permit.
  func denials(for scan: WeldingScan, policy: WeldingPolicy) -> [WeldingDenial] {
    var denials: [WeldingDenial] = []
    if scan.time < from || until <= scan.time { denials.append(.outOfHours) }
    if until - from > Int64(hotWorkClass.longestHours) * 3_600_000 {
      denials.append(.permitTooLong)
    }
    if let position = scan.machinePosition, fence.count >= 3,
      !polygon(fence, contains: position)
    {
      denials.append(.outOfArea)
    }
    if fence.count < 3 { denials.append(.outOfArea) }
    if let tested = gasTestedAt, tested <= scan.time,
      scan.time - tested <= Int64(policy.gasTestMinutes) * 60_000
    {
      // Tested in time.
    } else {
      denials.append(.gasTestMissing)
    }
    if guardian == nil { denials.append(.noGuardian) }
    return denials
  }
}

extension Coordinates {
  /// Distance along the ground, good to a fraction of a percent over the extent of a site.
  public func metres(to other: Coordinates) -> Double {
    let degree = 111_195.0
    let middle = (latitude + other.latitude) / 2 * .pi / 180
    let east = (other.longitude - longitude) * cos(middle) * degree
    let north = (other.latitude - latitude) * degree
    return (east * east + north * north).squareRoot()
  }
}
