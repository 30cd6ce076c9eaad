import HazardLedger
import Telemetry

typealias LedgerJSON = HazardLedger.JSONValue

/// Everything that the ``HazardDesk`` knows: what a snapshot holds.
struct DeskState: Codable {
  /// An alarm that is not normal.
  struct Alarm: Codable {
    var point: String
    var rule: String
    var priority: Int
    /// Its condition stands.
    var stands: Bool
    /// Nobody has acknowledged it.
    var isUnacknowledged: Bool
  }

  /// A call-out with what is needed to bring its calls out.
  struct Call: Codable {
    var callout: Callout
    /// Alarms of the same key join it while it is calling.
    var key: String
    /// Channels by level.
    var channels: [[String]]
    /// The chain of the response file that it goes along.
    var chain = ""
    /// Of each level of the plan, its row in the chain; older stations left levels without anybody on duty out.
    var rows: [Int] = []
    /// Path of the place whose responsible persons are called.
    var about = ""
  }

  /// A reporting duty under way.
  struct Report: Codable {
    var duty: String
    /// Site and duty: further alarms there add to this report while its first clock is open.
    var key: String
    /// 0 the first report; from 1 the level above; -1 a supplement.
    var stage: Int
    var place: String
    var alarms: [String]
  }

  /// A change of duty (换班) for a time.
  struct Duty: Codable {
    var roster: String
    var from: Timestamp
    var until: Timestamp
    var persons: [String]
  }

  var version = 2
  /// The rules that the desk goes by; nil in snapshots of stations that had no levels.
  var rules: RulesLevel?
  var hazards: [String: Hazard] = [:]
  /// Hazards in which nothing more happens, in the order in which that came; the oldest are let go.
  var finished: [String] = []
  var intake = HazardIntake(policies: [])
  var gate = NotificationGate()
  var alarms: [String: Alarm] = [:]
  /// `point#rule` → alarms whose condition stands.
  var standing: [String: Int] = [:]
  var calls: [String: Call] = [:]
  /// Group key → the call-out that is calling for it.
  var callOfKey: [String: String] = [:]
  var answered: [String] = []
  var lastCall = 0
  /// Group key → alarms that wait for the first call.
  var gathering: [String: [String]] = [:]
  var gatherUntil: [String: Timestamp] = [:]
  /// Alarm → situations that would call, were it not silenced or inhibited.
  var withheld: [String: [String]] = [:]
  var clocks = ClockBoard()
  var reports: [String: Report] = [:]
  var lastReport = 0
  var duties: [Duty] = []
  /// Rosters that people have changed, by id; nil in snapshots from before that was possible.
  var rosters: [String: RosterChange]?
  /// Call-out channels that people have changed, by name; nil in snapshots from before that was possible.
  var channels: [String: ChannelChange]?
  /// When retention runs next.
  var retentionDue: Timestamp?
  /// Notices that have somebody to reach, by id; nil in snapshots from before there were any.
  var notices: [String: PendingNotice]?
  var lastNotice: Int?
}

/// What the desk has to do at a time, in the order of things that are due at the same moment.
struct DeskItem: Hashable, Comparable {
  enum Kind: Int {
    case clocks
    case intake
    case ladder
    case silence
    case gathering
    case callout
    case retention
    case notice
  }

  var kind: Kind
  var id = ""

  static func < (left: DeskItem, right: DeskItem) -> Bool {
    (left.kind.rawValue, left.id) < (right.kind.rawValue, right.id)
  }
}
