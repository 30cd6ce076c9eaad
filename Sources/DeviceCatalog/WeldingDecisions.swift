import Foundation

extension WeldingRegister {
  /// Answers a scan: the permit that allows it, or every reason against it.
  ///
  /// Whatever cannot be established counts against the scan, because a machine that stays locked can
  /// be unlocked, and a fire cannot be put back.
  public func decide(_ scan: WeldingScan, policy: WeldingPolicy) -> WeldingDecision {
    let machine = machines.first { $0.code == scan.code }
    return scan.decide(
      machine: machine,
      welder: welders.first { $0.id == scan.welder },
      permits: permits.filter { permit in
        machine.map { permit.machines.contains($0.device) } ?? false
      },
      isBanned: bannedPeriods.contains { $0.from <= scan.time && scan.time < $0.until },
      policy: policy
    )
  }
}

extension WeldingScan {
  /// Answers the scan by what the register has of it.
  ///
  /// - Parameters:
  ///   - machine: the machine with this code; nil when there is none.
  ///   - welder: the welder with this id; nil when there is none.
  ///   - permits: those that cover the machine.
  ///   - isBanned: hot work is banned at this time.
  ///   - policy: the site's figures.
  /// - Returns: the permit, or every reason against it.
  public func decide(
    machine: WeldingRegister.Machine?,
    welder: WeldingRegister.Welder?,
    permits: [WeldingRegister.Permit],
    isBanned: Bool,
    policy: WeldingPolicy
  ) -> WeldingDecision {
    var denials: [WeldingDenial] = []
    if machine == nil { denials.append(.unknownMachine) }
    if machine?.barred != nil { denials.append(.machineBarred) }
    if let welder {
      if let denial = welder.denial(on: day, freezeDays: Int(policy.freezeDays)) {
        denials.append(denial)
      }
    } else {
      denials.append(.unknownWelder)
    }
    if isBanned { denials.append(.specialPeriod) }
    if hasGasNear { denials.append(.gasNear) }
    if let position, let machinePosition, position.metres(to: machinePosition) <= policy.scanRadius
    {
      // Scanned at the machine.
    } else {
      denials.append(position == nil || machinePosition == nil ? .positionUnknown : .remoteScan)
    }
    guard machine != nil else { return .deny(denials) }
    var best: [WeldingDenial]?
    for permit in permits where permit.welders.contains(self.welder) {
      let against = permit.denials(for: self, policy: policy)
      if against.isEmpty, denials.isEmpty { return .allow(permit: permit.id, until: permit.until) }
      if against.count < best?.count ?? .max { best = against }
    }
    return .deny(denials + (best ?? [.noPermit]))
  }
}

extension WeldingRegister.Welder {
  /// What speaks against the certificate on a day.
  ///
  /// - Parameters:
  ///   - day: the local day.
  ///   - freezeDays: so many days before its end it no longer counts.
  /// - Returns: the reason; nil when it holds.
  public func denial(on day: CalendarDate, freezeDays: Int = 0) -> WeldingDenial? {
    if category != Self.weldingCategory { return .noCertificate }
    if day < validFrom { return .certificateExpired }
    return daysLeft(on: day) < freezeDays ? .certificateExpired : nil
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
    if scan.time < from || until <= scan.time || finishedAt.map({ $0 <= scan.time }) ?? false {
      denials.append(.outOfHours)
    }
    if until - from > policy.longestTicket(hotWorkClass) { denials.append(.permitTooLong) }
    // Without a position only ``WeldingDenial/positionUnknown`` is said.
    if fence.count < 3 || scan.machinePosition.map({ !covers($0) }) ?? false {
      denials.append(.outOfArea)
    }
    if !hasGasTest(at: scan.time, policy: policy) { denials.append(.gasTestMissing) }
    if guardian == nil { denials.append(.noGuardian) }
    if scan.needsUpgrade, !isUpgraded { denials.append(.notUpgraded) }
    if isOutdoor, !isUpgraded {
      switch scan.wind {
      case .unmeasured: break
      case .unknown: denials.append(.windUnknown)
      case .speed(let speed): if speed >= policy.windLimit { denials.append(.highWind) }
      }
    }
    if hotWorkClass == .special {
      if !scan.isMonitored { denials.append(.unmonitored) }
      if video == nil { denials.append(.unrecorded) }
    }
    return denials
  }

  /// Whether a gas test holds at a moment.
  public func hasGasTest(at time: Int64, policy: WeldingPolicy) -> Bool {
    gasTestedAt.map { $0 <= time && !time.isApart(from: $0, byMoreThan: policy.gasTest) } ?? false
  }
}

extension WeldingDenial {
  /// The alarm that such a scan raises; nil where the refusal itself is enough.
  public var alarm: WeldingRule? {
    switch self {
    case .unknownWelder, .noCertificate: .noCert
    case .certificateExpired: .certExpired
    case .specialPeriod: .specialPeriod
    case .remoteScan: .remoteScan
    case .noGuardian: .noGuardian
    case .outOfArea: .outOfArea
    case .outOfHours: .outOfHours
    case .notUpgraded: .notUpgraded
    case .gasNear: .gasNear
    case .highWind: .highWind
    case .unknownMachine, .machineBarred, .noPermit, .permitTooLong, .positionUnknown,
      .gasTestMissing, .windUnknown, .unmonitored, .unrecorded, .noRegister, .clockFault,
      .malformed:
      nil
    }
  }

  /// The reason for people.
  public var text: LocalizedText {
    switch self {
    case .unknownMachine: LocalizedText(zh: "未登记的焊机", en: "the machine is not registered")
    case .machineBarred: LocalizedText(zh: "焊机已列入黑名单", en: "the machine is barred")
    case .unknownWelder: LocalizedText(zh: "未登记的人员", en: "the welder is not registered")
    case .noCertificate:
      LocalizedText(
        zh: "证书不是焊接与热切割作业",
        en: "the certificate is not for welding and thermal cutting"
      )
    case .certificateExpired:
      LocalizedText(zh: "证书不在有效期内", en: "the certificate is not valid today")
    case .specialPeriod: LocalizedText(zh: "特殊时期禁止动火", en: "hot work is banned at this time")
    case .noPermit:
      LocalizedText(zh: "没有覆盖该机该人的作业票或报备", en: "no permit covers this machine and welder")
    case .outOfHours: LocalizedText(zh: "不在作业票时间内", en: "outside the hours of the permit")
    case .permitTooLong:
      LocalizedText(zh: "作业票时长超过级别上限", en: "the permit is longer than its class allows")
    case .outOfArea: LocalizedText(zh: "焊机不在报备围栏内", en: "the machine is outside the declared fence")
    case .positionUnknown: LocalizedText(zh: "位置未知", en: "where scan or machine are is not known")
    case .remoteScan: LocalizedText(zh: "不在机旁扫码", en: "the scan was made away from the machine")
    case .gasTestMissing:
      LocalizedText(zh: "可燃气体检测缺失或超时", en: "the gas test is missing or too old")
    case .noGuardian: LocalizedText(zh: "监护人未签到", en: "the guardian has not checked in")
    case .notUpgraded:
      LocalizedText(
        zh: "节假日或夜间动火未升级管理",
        en: "holiday or night: the permit is not of the higher class"
      )
    case .gasNear:
      LocalizedText(zh: "作业点有可燃气体或温度报警", en: "a gas or temperature alarm stands at the work place")
    case .highWind:
      LocalizedText(
        zh: "风力五级及以上，露天动火未升级管理",
        en: "outdoor work in a wind of force 5 or more needs a permit of the higher class"
      )
    case .windUnknown:
      LocalizedText(zh: "作业点风速未知", en: "the wind at the work place is not known")
    case .unmonitored:
      LocalizedText(
        zh: "特级动火作业点没有连续可燃气体监测",
        en: "special-class work without continuous monitoring of combustible gas"
      )
    case .unrecorded:
      LocalizedText(
        zh: "特级动火没有报告全程录像的摄像机",
        en: "special-class work without a camera that records it"
      )
    case .noRegister:
      LocalizedText(zh: "本站没有该企业的焊接登记", en: "no welding register for this enterprise")
    case .clockFault:
      LocalizedText(zh: "扫码时间与接收时间相差过大", en: "the scan's time and the receive time differ too much")
    case .malformed: LocalizedText(zh: "请求无法读取", en: "the request cannot be read")
    }
  }
}

extension Int64 {
  /// Whether two moments lie further apart than a span, whatever numbers a sender has chosen for them.
  public func isApart(from other: Int64, byMoreThan span: Int64) -> Bool {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow || difference.magnitude > UInt64(Swift.max(span, 0))
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
