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
    /// Why it is barred; nil when it is not.
    public var barred: String?

    /// Makes a machine.
    public init(device: String, code: String, chip: String, barred: String? = nil) {
      self.device = device
      self.code = code
      self.chip = chip
      self.barred = barred
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

    /// Longest validity of a ticket, hours (GB 30871-2022, 5.1.5).
    public var longestHours: Int {
      switch self {
      case .special, .first: 8
      case .second: 72
      }
    }

    /// One class up, as on holidays, rest days and at night (GB 30871-2022, 5.1.1).
    public var upgraded: HotWorkClass {
      switch self {
      case .special, .first: .special
      case .second: .first
      }
    }

    /// Longest break without a new gas test, minutes (source O7).
    public var longestBreakMinutes: Int {
      switch self {
      case .special, .first: 30
      case .second: 60
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
    /// Class of the work.
    public var hotWorkClass: HotWorkClass
    /// Machines that it covers, by device id.
    public var machines: [String]
    /// Welders that it covers, by id.
    public var welders: [String]
    /// Where; at least three corners.
    public var fence: [Coordinates]
    /// First moment, ms since the Unix epoch.
    public var from: Int64
    /// Moment from which it no longer holds, ms.
    public var until: Int64
    /// When the gas was tested, ms; nil when it was not.
    public var gasTestedAt: Int64?
    /// 监护人 who has checked in; nil when nobody has.
    public var guardian: String?

    /// Makes a permit.
    public init(
      id: String,
      kind: Kind,
      hotWorkClass: HotWorkClass,
      machines: [String],
      welders: [String],
      fence: [Coordinates],
      from: Int64,
      until: Int64,
      gasTestedAt: Int64?,
      guardian: String?
    ) {
      self.id = id
      self.kind = kind
      self.hotWorkClass = hotWorkClass
      self.machines = machines
      self.welders = welders
      self.fence = fence
      self.from = from
      self.until = until
      self.gasTestedAt = gasTestedAt
      self.guardian = guardian
    }
  }

  /// A period in which hot work is banned (特殊时期).
  public struct BannedPeriod: Codable, Hashable, Sendable {
    /// Why.
    public var reason: String
    /// First moment, ms.
    public var from: Int64
    /// Moment from which the ban is over, ms.
    public var until: Int64

    /// Makes a period.
    public init(reason: String, from: Int64, until: Int64) {
      self.reason = reason
      self.from = from
      self.until = until
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

  /// Makes a register.
  public init(
    machines: [Machine] = [],
    welders: [Welder] = [],
    permits: [Permit] = [],
    bannedPeriods: [BannedPeriod] = []
  ) {
    self.machines = machines
    self.welders = welders
    self.permits = permits
    self.bannedPeriods = bannedPeriods
  }
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

  /// Makes a scan.
  public init(
    code: String,
    welder: String,
    position: Coordinates?,
    machinePosition: Coordinates?,
    time: Int64,
    day: CalendarDate
  ) {
    self.code = code
    self.welder = welder
    self.position = position
    self.machinePosition = machinePosition
    self.time = time
    self.day = day
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
}

/// What a site may set about the answers.
public struct WeldingPolicy: Codable, Hashable, Sendable {
  /// A gas test holds this long, minutes; 30 by the ticket form of source O7.
  public var gasTestMinutes: Int
  /// A scan further than this from the machine is remote, metres; the plant's own figure.
  public var scanRadius: Double

  /// Makes a policy; there is no radius that a standard would give.
  public init(gasTestMinutes: Int = 30, scanRadius: Double) {
    self.gasTestMinutes = gasTestMinutes
    self.scanRadius = scanRadius
  }
}
