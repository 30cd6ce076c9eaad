import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Telemetry

/// All that the welding desk knows, and what follows from each input: a function of the records alone.
///
/// A machine's alarms are conditions that are judged again whenever something that they depend on changes: a reading,
/// the register, a gas alarm near by, a deadline. Each is judged for a moment: of a reading its own time, where that can
/// be believed, else the receive time.
struct WeldingState: Sendable {
  /// A release: who may weld, under which permit.
  struct Session: Codable, Sendable {
    var welder: String
    var permit: String
    var from: Int64
  }

  /// A lock command whose effect is still to be seen.
  struct Cut: Codable, Sendable {
    var cause: String
    var sent: Int64
    var deadline: Int64
    var attempts: Int
    var hasFailed = false
  }

  /// A value with its time.
  struct Sample: Codable, Sendable {
    var value: Double
    var time: Int64
  }

  /// What is known of a machine.
  struct Machine: Codable, Sendable {
    /// Judged up to here.
    var moment = Int64.min
    /// Receive time of its newest reading.
    var heard: Int64?
    var current: Sample?
    var mains: Sample?
    var locked: Sample?
    var isTampered = false
    var longitude: Sample?
    var latitude: Sample?
    /// Positions in a row outside the fence of the permit.
    var outsideFixes = 0
    /// Since when it welds.
    var arcSince: Int64?
    /// When it last ceased to.
    var arcEnded: Int64?
    var session: Session?
    /// The rule that ended the last session while its cause still lasts.
    var brokenBy: WeldingRule?
    /// It was locked under the arc: that the arc goes on has a cause that is alarmed already.
    var isLockedUnderArc = false
    /// The work went on after a break without a new gas test.
    var isRetestDue = false
    var abnormalSince: Int64?
    var bypassSince: Int64?
    var cut: Cut?
    /// Alarms that a scan has raised, and until when they stand.
    var pulses: [String: Int64] = [:]

    /// Where it last said it was.
    var fix: (position: Coordinates, time: Int64)? {
      guard let longitude, let latitude,
        let position = Coordinates(longitude: longitude.value, latitude: latitude.value)
      else { return nil }
      return (position, min(longitude.time, latitude.time))
    }
  }

  /// A scan and its answer, for those who look.
  struct Scan: Codable, Sendable {
    var sequence: UInt64
    var time: Int64
    var enterprise: String
    var device: String
    var code: String
    var welder: String
    var permit: String
    var reasons: [String]
    var isAllowed: Bool
  }

  /// Work done under a permit.
  struct Work: Codable, Sendable {
    var lastArc: Int64
  }

  /// What was welded on one day of an enterprise.
  struct Day: Codable, Sendable {
    var day: String
    var works: Set<String> = []
  }

  /// Scans kept for the API; the ledger has all.
  static let keptScans = 1_000
  /// Register entries that may be changed at run time.
  static let maximumChanges = 200_000

  var frame = WeldingFrame()
  var books: [String: WeldingBook] = [:]
  var changes: [String: [String: RegisterChange]] = [:]
  var machines: [String: Machine] = [:]
  var alarms = DeskAlarms()
  var works: [String: Work] = [:]
  var days: [String: Day] = [:]
  /// Active gas and temperature alarms by area, as `point#rule`.
  var near: [String: Set<String>] = [:]
  /// Newest believable reading of each point that tells of the air, by path; its time is the receive time.
  var air: [String: Sample] = [:]
  var scans: [Scan] = []
  var deadlines = Agenda<String>()

  // MARK: - Catalog and snapshot

  mutating func adopt(_ catalog: Catalog) {
    frame = WeldingFrame(catalog)
    rebuildBooks()
    let measuring = Set(frame.airPaths.values)
    air = air.filter { measuring.contains($0.key) }
    near = near.mapValues { names in names.filter { frame.nearRules[$0] != nil } }
      .filter { !$0.value.isEmpty }
  }

  /// Puts a catalog in force that may have changed anything: every condition is judged again.
  mutating func adopt(_ catalog: Catalog, at moment: DeskMoment, into output: inout CoreOutput) {
    let gone = frame.places
    let clocks = clocksInForce
    adopt(catalog)
    orderClocks(former: clocks, into: &output)
    for place in gone where frame.rowOfKey[place.key] == nil {
      // A machine that the catalog no longer has cannot be judged; what it owed ends here.
      for rule in WeldingRule.allCases {
        emit(alarms.clear(place.point, rule.rawValue, at: moment), at: moment, into: &output)
      }
      machines[place.key] = nil
      setDeadline("m|" + place.key, nil)
    }
    for enterprise in frame.enterprises.keys.sorted() {
      judgeCertificates(enterprise, at: moment, into: &output)
    }
    for row in frame.places.indices where machines[frame.places[row].key] != nil {
      judge(row, at: moment, isLater: false, into: &output)
    }
  }

  private mutating func rebuildBooks() {
    books = frame.enterprises.mapValues { WeldingBook($0.welding.register) }
    for (enterprise, entries) in changes {
      for (name, change) in entries {
        guard let slash = name.firstIndex(of: "/"),
          let part = WeldingRegisterPart(rawValue: String(name[..<slash]))
        else { continue }
        books[enterprise]?.put(part, String(name[name.index(after: slash)...]), change)
      }
    }
  }

  private struct Saved: Codable {
    var version = 2
    var changes: [String: [String: RegisterChange]]
    var machines: [String: Machine]
    var alarms: DeskAlarms
    var works: [String: Work]
    var days: [String: Day]
    var near: [String: Set<String>]
    var air: [String: Sample]
    var scans: [Scan]
    var deadlines: Agenda<String>
  }

  func snapshot() -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let saved = Saved(
      changes: changes,
      machines: machines,
      alarms: alarms,
      works: works,
      days: days,
      near: near,
      air: air,
      scans: scans,
      deadlines: deadlines
    )
    do {
      return Array(try encoder.encode(saved))
    } catch {
      preconditionFailure("the welding desk's state is always JSON: \(error)")
    }
  }

  mutating func restore(_ bytes: [UInt8]) throws {
    let saved = try JSONDecoder().decode(Saved.self, from: Data(bytes))
    guard saved.version == 2 else { throw SnapshotFault.wrongFormat }
    changes = saved.changes
    machines = saved.machines
    alarms = saved.alarms
    works = saved.works
    days = saved.days
    near = saved.near
    air = saved.air
    scans = saved.scans
    deadlines = saved.deadlines
    rebuildBooks()
  }

  // MARK: - Time

  var nextDeadline: Int64? {
    [deadlines.next?.milliseconds, alarms.nextShelfEnd].compactMap(\.self).min()
  }

  /// Sets what is due when: `m|` a machine, `e|` the certificates of an enterprise, `p|` the check after a permit's work.
  mutating func setDeadline(_ key: String, _ time: Int64?) {
    deadlines.set(key, time.map(Timestamp.init(milliseconds:)))
  }

  mutating func advance(to now: Int64, sequence: UInt64, into output: inout CoreOutput) {
    if let end = alarms.nextShelfEnd, end <= now {
      let moment = self.moment(now, received: now, sequence: sequence)
      emit(alarms.expireShelves(at: moment), at: moment, into: &output)
    }
    while let due = deadlines.take(upTo: Timestamp(milliseconds: now)) {
      let moment = self.moment(due.time.milliseconds, received: now, sequence: sequence)
      let name = String(due.key.dropFirst(2))
      switch due.key.first {
      case "m":
        if let row = frame.rowOfKey[name] { judge(row, at: moment, isLater: true, into: &output) }
      case "e": judgeCertificates(name, at: moment, into: &output)
      case "p": judgeAfterCheck(name, at: moment, into: &output)
      default: break
      }
    }
  }

  func moment(_ time: Int64, received: Int64, sequence: UInt64) -> DeskMoment {
    DeskMoment(time: time, received: received, sequence: sequence, catalog: frame.version)
  }

  // MARK: - What goes out

  func emit(_ steps: [AlarmBody], at moment: DeskMoment, into output: inout CoreOutput) {
    for step in steps {
      output.drafts.append(
        LedgerDraft(
          alarm: step,
          time: Timestamp(milliseconds: moment.time),
          origin: moment.sequence
        )
      )
      output.deskSteps.append(step)
    }
  }

  /// An entry of the desk that is no alarm; returns its row among the drafts.
  @discardableResult
  func note(
    _ event: String,
    kind: EntryKind = .welding,
    subject: String,
    actor: String = "engine",
    _ members: [String: HazardLedger.JSONValue],
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) -> Int {
    var members = members
    members["event"] = .string(event)
    output.drafts.append(
      LedgerDraft(
        time: Timestamp(milliseconds: moment.time),
        kind: kind,
        subject: subject.filter { $0 != "\0" },
        actor: actor.filter { $0 != "\0" },
        body: HazardLedger.JSONValue.object(members).canonicalBytes(),
        origin: moment.sequence
      )
    )
    return output.drafts.count - 1
  }
}
