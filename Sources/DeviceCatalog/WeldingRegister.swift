/// Who may weld with what, where and when: the register behind 赋码加芯.
///
/// Plain values without a clock: each question is asked for a moment that the caller names. What may
/// weld is decided by ``decide(_:policy:)``; the engine's alarms watch what is done with it.
public struct WeldingRegister: Codable, Hashable, Sendable {
  /// A welding machine with its code and chip.
  public struct Machine: Codable, Hashable, Sendable {
    /// Device id in the catalog.
    public var device: String
    /// What its QR code says.
    public var code: String
    /// Identifier of the chip.
    public var chip: String
    /// Why it is barred (black-listed); nil when it is not.
    public var barred: String?
    /// Least and largest current of its usual work, A; nil when nobody has stated them.
    public var normalCurrent: [Double]?
    /// Topic of its lock and release commands; nil takes the gateway's.
    public var commandTopic: String?

    /// Makes a machine.
    public init(
      device: String,
      code: String,
      chip: String,
      barred: String? = nil,
      normalCurrent: [Double]? = nil,
      commandTopic: String? = nil
    ) {
      self.device = device
      self.code = code
      self.chip = chip
      self.barred = barred
      self.normalCurrent = normalCurrent
      self.commandTopic = commandTopic
    }
  }

  /// A welder with the certificate for special work (特种作业操作证).
  public struct Welder: Codable, Hashable, Sendable {
    /// Identifier.
    public var id: String
    /// Name.
    public var name: String
    /// Number of the certificate.
    public var certificate: String
    /// Category on it; welding needs 焊接与热切割作业.
    public var category: String
    /// First day of validity.
    public var validFrom: CalendarDate
    /// Last day of validity.
    public var validUntil: CalendarDate
    /// Last day by which it must be reviewed (复审); nil when none is due any more.
    public var reviewBy: CalendarDate?

    /// Makes a welder.
    public init(
      id: String,
      name: String,
      certificate: String,
      category: String,
      validFrom: CalendarDate,
      validUntil: CalendarDate,
      reviewBy: CalendarDate? = nil
    ) {
      self.id = id
      self.name = name
      self.certificate = certificate
      self.category = category
      self.validFrom = validFrom
      self.validUntil = validUntil
      self.reviewBy = reviewBy
    }

    /// The category that welding and thermal cutting need.
    public static let weldingCategory = "焊接与热切割作业"
  }

  /// Class of hot work by GB 30871-2022.
  public enum HotWorkClass: String, Codable, CaseIterable, Sendable {
    /// 特级.
    case special
    /// 一级.
    case first
    /// 二级.
    case second

    /// One class up, as on holidays, rest days and at night (GB 30871-2022, 5.1.1).
    public var upgraded: HotWorkClass {
      switch self {
      case .special, .first: .special
      case .second: .first
      }
    }
  }

  /// An approved hot-work ticket, or a declaration of odd-job welding (零星作业报备).
  public struct Permit: Codable, Hashable, Sendable {
    /// What kind of paper it is.
    public enum Kind: String, Codable, CaseIterable, Sendable {
      /// 动火作业票.
      case ticket
      /// 零星电气焊作业报备.
      case declaration
    }

    /// Number.
    public var id: String
    /// Ticket or declaration.
    public var kind: Kind
    /// Class of the work as approved.
    public var hotWorkClass: HotWorkClass
    /// Class of the work by itself; on holidays, rest days and at night the approved one must be higher.
    public var assessedClass: HotWorkClass
    /// Machines that it covers, by device id.
    public var machines: [String]
    /// Welders that it covers, by id.
    public var welders: [String]
    /// Where; at least three corners.
    public var fence: [Coordinates]
    /// In the open, where the wind carries sparks (露天动火).
    public var isOutdoor: Bool
    /// First moment, ms since the Unix epoch.
    public var from: Int64
    /// Moment from which it no longer holds, ms.
    public var until: Int64
    /// When the gas was tested, ms; nil when it was not.
    public var gasTestedAt: Int64?
    /// 监护人 who has checked in; nil when nobody has.
    public var guardian: String?
    /// The camera that records special-class work from its beginning to its end; nil while none does.
    public var video: String?
    /// When the work was reported finished, ms; nil while it is not.
    public var finishedAt: Int64?
    /// When the place was confirmed clear after the work, ms.
    public var clearedAt: Int64?

    /// Makes a permit.
    public init(
      id: String,
      kind: Kind,
      hotWorkClass: HotWorkClass,
      assessedClass: HotWorkClass? = nil,
      machines: [String],
      welders: [String],
      fence: [Coordinates],
      isOutdoor: Bool = false,
      from: Int64,
      until: Int64,
      gasTestedAt: Int64?,
      guardian: String?,
      video: String? = nil,
      finishedAt: Int64? = nil,
      clearedAt: Int64? = nil
    ) {
      self.id = id
      self.kind = kind
      self.hotWorkClass = hotWorkClass
      self.assessedClass = assessedClass ?? hotWorkClass
      self.machines = machines
      self.welders = welders
      self.fence = fence
      self.isOutdoor = isOutdoor
      self.from = from
      self.until = until
      self.gasTestedAt = gasTestedAt
      self.guardian = guardian
      self.video = video
      self.finishedAt = finishedAt
      self.clearedAt = clearedAt
    }

    /// Whether the approved class is the higher one that a holiday, rest day or night asks for.
    public var isUpgraded: Bool {
      switch (assessedClass, hotWorkClass) {
      case (.special, .special), (.first, .special), (.second, .first), (.second, .special): true
      case (.special, .first), (.special, .second), (.first, .first), (.first, .second),
        (.second, .second):
        false
      }
    }

    /// Whether a position is inside the declared fence; false without a fence of three corners.
    public func covers(_ position: Coordinates) -> Bool {
      fence.count >= 3 && polygon(fence, contains: position)
    }
  }

  /// A period in which hot work is banned (特殊时期).
  public struct BannedPeriod: Codable, Hashable, Sendable {
    /// Identifier.
    public var id: String
    /// Why.
    public var reason: String
    /// First moment, ms.
    public var from: Int64
    /// Moment from which the ban is over, ms.
    public var until: Int64

    /// Makes a period.
    public init(id: String = "", reason: String, from: Int64, until: Int64) {
      self.id = id
      self.reason = reason
      self.from = from
      self.until = until
    }
  }

  /// What an enterprise has declared for a day (安全风险承诺公告).
  public struct Commitment: Codable, Hashable, Sendable {
    /// The local day.
    public var day: CalendarDate
    /// How many hot works it will have.
    public var hotWorks: Int

    /// Makes a commitment.
    public init(day: CalendarDate, hotWorks: Int) {
      self.day = day
      self.hotWorks = hotWorks
    }
  }

  /// Machines.
  public var machines: [Machine]
  /// Welders.
  public var welders: [Welder]
  /// Tickets and declarations.
  public var permits: [Permit]
  /// Bans.
  public var bannedPeriods: [BannedPeriod]
  /// Declared hot works by day.
  public var commitments: [Commitment]
  /// Holidays.
  public var holidays: [CalendarDate]
  /// Days of weekends that are worked (调休).
  public var workdays: [CalendarDate]

  /// Makes a register.
  public init(
    machines: [Machine] = [],
    welders: [Welder] = [],
    permits: [Permit] = [],
    bannedPeriods: [BannedPeriod] = [],
    commitments: [Commitment] = [],
    holidays: [CalendarDate] = [],
    workdays: [CalendarDate] = []
  ) {
    self.machines = machines
    self.welders = welders
    self.permits = permits
    self.bannedPeriods = bannedPeriods
    self.commitments = commitments
    self.holidays = holidays
    self.workdays = workdays
  }
}

/// What is known of the wind at a work place.
public enum WindState: Codable, Hashable, Sendable {
  /// Nothing measures it there.
  case unmeasured
  /// There is an instrument, and it tells nothing that can be believed.
  case unknown
  /// Its newest speed, m/s; the highest where several measure.
  case speed(Double)
}

/// A welder scans a machine's code and asks to weld.
public struct WeldingScan: Codable, Hashable, Sendable {
  /// What the code said.
  public var code: String
  /// Who asks, by id.
  public var welder: String
  /// Where the scan was made.
  public var position: Coordinates?
  /// Where the machine says it is.
  public var machinePosition: Coordinates?
  /// When, ms since the Unix epoch.
  public var time: Int64
  /// The day of it in the site's time zone, for certificates.
  public var day: CalendarDate
  /// Whether it is a holiday, a rest day or night.
  public var needsUpgrade: Bool
  /// Whether a gas or temperature alarm stands at the work place.
  public var hasGasNear: Bool
  /// The wind at the work place.
  public var wind: WindState
  /// Whether combustible gas is measured at the work place at this moment.
  public var isMonitored: Bool

  /// Makes a scan.
  public init(
    code: String,
    welder: String,
    position: Coordinates?,
    machinePosition: Coordinates?,
    time: Int64,
    day: CalendarDate,
    needsUpgrade: Bool = false,
    hasGasNear: Bool = false,
    wind: WindState = .unmeasured,
    isMonitored: Bool = true
  ) {
    self.code = code
    self.welder = welder
    self.position = position
    self.machinePosition = machinePosition
    self.time = time
    self.day = day
    self.needsUpgrade = needsUpgrade
    self.hasGasNear = hasGasNear
    self.wind = wind
    self.isMonitored = isMonitored
  }
}

/// The answer to a scan.
public enum WeldingDecision: Hashable, Sendable {
  /// Allowed under this permit until this moment, ms.
  case allow(permit: String, until: Int64)
  /// Denied, with every reason that was found.
  case deny([WeldingDenial])
}

/// Why a scan is denied: a bounded list whose raw values are wire names.
public enum WeldingDenial: String, Codable, CaseIterable, Sendable {
  /// No machine has this code.
  case unknownMachine
  /// The machine is barred.
  case machineBarred
  /// Nobody is registered under this id.
  case unknownWelder
  /// The certificate is not one for welding (NO_CERT).
  case noCertificate
  /// The certificate's validity or review date has passed, or it does not hold yet (CERT_EXPIRED).
  case certificateExpired
  /// Hot work is banned at this time (SPECIAL_PERIOD).
  case specialPeriod
  /// No permit covers machine and welder (NO_PERMIT).
  case noPermit
  /// The permit is not for this time (OUT_OF_HOURS).
  case outOfHours
  /// The ticket's span is longer than its class allows.
  case permitTooLong
  /// The machine stands outside the declared fence (OUT_OF_AREA).
  case outOfArea
  /// Where the machine stands is not known.
  case positionUnknown
  /// The scan was made away from the machine (REMOTE_SCAN).
  case remoteScan
  /// The gas has not been tested, or longer ago than the test is valid.
  case gasTestMissing
  /// The guardian has not checked in (NO_GUARDIAN).
  case noGuardian
  /// A holiday, a rest day or night, and the ticket is not of the higher class.
  case notUpgraded
  /// A gas or temperature alarm stands at the work place (GAS/TEMP_NEAR).
  case gasNear
  /// Outdoor work, the wind is at or above the limit, and the permit is not of the higher class.
  case highWind
  /// Outdoor work, and the instrument that should tell the wind does not.
  case windUnknown
  /// Special-class work, and no combustible gas is measured at the work place.
  case unmonitored
  /// Special-class work, and no camera has been reported to record it.
  case unrecorded
  /// The service has no register for this enterprise.
  case noRegister
  /// The scan's time and the receive time differ too much to decide by either.
  case clockFault
  /// The request cannot be read.
  case malformed
}
