/// What a station does about alarms besides showing them: when one becomes a hazard, who is called, which clocks run.
///
/// Comes from the response files (`config/response.yaml`). Like every other part of the catalog it is carried by
/// the journal, so that a replay decides as the live service did.
public struct ResponsePolicy: Sendable {
  /// Which alarms something is about; empty fits all.
  public struct Matcher: Hashable, Sendable {
    /// Path of a point, or of what holds it.
    public var path = ""
    /// Rule ids.
    public var rules: [String] = []
    /// Only at least this urgent: 1 blue … 4 red.
    public var minimumPriority = 1
    /// Only at most this urgent.
    public var maximumPriority = 4

    /// Fits all.
    public init() {}
  }

  /// A person who can be called.
  public struct Contact: Hashable, Sendable {
    /// Key, or `enterprise/key` of a person of a site file.
    public var id: String
    /// Name.
    public var name: String
    /// Office held.
    public var role: String
    /// Channel → address.
    public var addresses: [String: String]
  }

  /// A duty roster: who is on duty when, in wall-clock time of its zone.
  public struct Roster: Hashable, Sendable {
    /// A shift that comes back every week.
    public struct Shift: Hashable, Sendable {
      /// Days on which it begins, Monday 1 … Sunday 7.
      public var days: Set<Int>
      /// Minutes after midnight at which it begins.
      public var from: Int
      /// Minutes after midnight at which it ends; not after ``from`` means the next day.
      public var to: Int
      /// Who has it.
      public var persons: [String]

      /// Makes a shift.
      public init(days: Set<Int>, from: Int, to: Int, persons: [String]) {
        self.days = days
        self.from = from
        self.to = to
        self.persons = persons
      }
    }

    /// Key.
    public var id: String
    /// IANA time zone.
    public var timeZone: String
    /// Weekly shifts.
    public var shifts: [Shift]
    /// Whole days that differ (ISO date → persons): holidays, exchanges.
    public var dates: [String: [String]]
    /// On duty when nobody else is.
    public var fallback: [String]
  }

  /// A chain of levels (叫应): whom to call, how often, then whom.
  public struct Chain: Hashable, Sendable {
    /// One level; also whom a notice is for.
    public struct Level: Hashable, Sendable {
      /// Name, for example 县级值班.
      public var name: LocalizedText
      /// Named persons.
      public var persons: [String]
      /// Whoever is on duty there.
      public var roster: String?
      /// The people that the site file makes responsible for the place.
      public var isResponsible: Bool
      /// Calls before the next level; of a notice, tries before it is given up.
      public var attempts: Int
      /// Time between calls, ms.
      public var intervalMilliseconds: Int64
      /// Channels to use; empty uses all that a person has.
      public var channels: [String]
    }

    /// Key.
    public var id: String
    /// The levels, lowest first.
    public var levels: [Level]
    /// How long after the confirmation to ask what was done, ms; 0 never asks.
    public var feedbackMilliseconds: Int64
  }

  /// What a notice (提醒) to persons is sent for; its raw value is the key in the response file.
  public enum Occasion: String, CaseIterable, Hashable, Sendable {
    /// The first report is due, or overdue.
    case report
    /// A report is to be passed on to the level above.
    case upperReport = "upper-report"
    /// A supplement to a report is due.
    case supplement
    /// The deadline of a rectification comes, or is past.
    case rectification
    /// A check task (举一反三) is due.
    case checkTask = "check-task"
    /// A permit ends.
    case permit
    /// A certificate runs out.
    case certificate
    /// 提醒 of an overdue hazard.
    case remind
    /// 督办 of an overdue hazard.
    case supervise
    /// 通报 of an overdue hazard.
    case circulate
    /// 警示 of an overdue hazard.
    case warn

    /// Name, for people.
    public var name: LocalizedText {
      switch self {
      case .report: LocalizedText(zh: "事故信息首报", en: "First report")
      case .upperReport: LocalizedText(zh: "事故信息上报", en: "Report to the level above")
      case .supplement: LocalizedText(zh: "事故信息续报", en: "Supplement to a report")
      case .rectification: LocalizedText(zh: "隐患整改期限", en: "Rectification deadline")
      case .checkTask: LocalizedText(zh: "举一反三排查", en: "Check task")
      case .permit: LocalizedText(zh: "动火作业票", en: "Hot-work permit")
      case .certificate: LocalizedText(zh: "焊工证书", en: "Welder's certificate")
      case .remind: LocalizedText(zh: "逾期提醒", en: "Overdue: reminder")
      case .supervise: LocalizedText(zh: "逾期督办", en: "Overdue: supervision")
      case .circulate: LocalizedText(zh: "逾期通报", en: "Overdue: circular")
      case .warn: LocalizedText(zh: "安全生产警示", en: "Overdue: warning")
      }
    }
  }

  /// When which chain is called.
  public struct Situation: Hashable, Sendable {
    /// Key.
    public var id: String
    /// Name.
    public var name: LocalizedText
    /// The alarms that make it.
    public var when: Matcher
    /// Key of the chain.
    public var chain: String
    /// Alarms that share this many leading parts of the path are one call-out; 0 all.
    public var groupParts: Int
    /// How long to gather alarms before the first call, ms.
    public var waitMilliseconds: Int64
  }

  /// When an alarm becomes a hazard (隐患).
  public struct HazardRule: Hashable, Sendable {
    /// The alarms it is for.
    public var when: Matcher
    /// At once from this priority on; 5 never.
    public var immediateFromPriority: Int
    /// After standing this long, ms; 0 never.
    public var standingMilliseconds: Int64
    /// After this many occurrences; 0 never.
    public var repeatCount: Int
    /// The time that they have to fall in, ms.
    public var repeatMilliseconds: Int64
    /// Rule id → clause that makes it a major hazard by itself.
    public var majorRules: [String: String]
  }

  /// How long after a deadline each rung of 提醒→督办→通报→警示 is climbed by itself, ms; nil leaves it to people.
  public struct OverdueLadder: Hashable, Sendable {
    /// 提醒.
    public var remind: Int64?
    /// 督办.
    public var supervise: Int64?
    /// 通报.
    public var circulate: Int64?
    /// 警示.
    public var warn: Int64?
  }

  /// A reporting duty with its clocks.
  public struct ReportDuty: Hashable, Sendable {
    /// One level above, in order.
    public struct Upper: Hashable, Sendable {
      /// Name.
      public var name: LocalizedText
      /// Time to pass it on, ms.
      public var withinMilliseconds: Int64
    }

    /// Key.
    public var id: String
    /// The alarms that start it.
    public var when: Matcher
    /// Time to the first report, ms (国务院令493 article 9: one hour).
    public var withinMilliseconds: Int64
    /// How long ahead to warn, ms.
    public var warningsMilliseconds: [Int64]
    /// Levels above (article 11: two hours each).
    public var upper: [Upper]
    /// Time for supplements after the first report, ms (article 13); 0 none.
    public var supplementMilliseconds: Int64
  }

  /// A cause that quiets its consequences.
  public struct InhibitionRule: Hashable, Sendable {
    /// Key.
    public var id: String
    /// The cause.
    public var cause: Matcher
    /// What follows from it.
    public var consequence: Matcher
    /// Leading parts of the path that both share.
    public var sharedParts: Int
  }

  /// Bodies of ended alarms that go after a time.
  public struct Retention: Hashable, Sendable {
    /// Name of the rule.
    public var rule: String
    /// Age, ms.
    public var afterMilliseconds: Int64
    /// Why, for example the clause.
    public var reason: String
    /// Alarms pruned at most in one day.
    public var limit: Int
  }

  /// Contacts by id, those of the sites among them.
  public var contacts: [String: Contact] = [:]
  /// Rosters by id.
  public var rosters: [String: Roster] = [:]
  /// Chains by id.
  public var chains: [String: Chain] = [:]
  /// Situations, in order; every one that fits calls.
  public var situations: [Situation] = []
  /// Hazard rules, in order; the first that fits decides.
  public var hazards: [HazardRule] = []
  /// The ladder.
  public var overdue = OverdueLadder()
  /// How long before a rectification deadline to warn, ms.
  public var rectificationWarnings: [Int64] = [7, 3, 1].map { $0 * 86_400_000 }
  /// Time for a check task of 举一反三, ms.
  public var checkMilliseconds: Int64 = 15 * 86_400_000
  /// How long before the end of a permit to warn, ms.
  public var permitWarnings: [Int64] = [30, 10].map { $0 * 60_000 }
  /// How long before a certificate runs out to warn, ms.
  public var certificateWarnings: [Int64] = [90, 30, 7].map { $0 * 86_400_000 }
  /// Whom notices are for; what is left out is sent to nobody.
  ///
  /// A response file sends those that it does not name to the people whom the site file makes responsible.
  public var notices: [Occasion: Chain.Level] = [:]
  /// Reporting duties, in order; every one that fits starts.
  public var reports: [ReportDuty] = []
  /// Inhibitions, in order of judgement.
  public var inhibitions: [InhibitionRule] = []
  /// Retention rules.
  public var retention: [Retention] = []

  /// A policy that does nothing.
  public init() {}
}
