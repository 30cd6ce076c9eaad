import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Telemetry

/// What a scan asks, as it comes by MQTT.
private struct ScanRequest {
  var id = ""
  var code = ""
  var welder = ""
  var time: Int64?
  var position: Coordinates?

  /// Reads the request; nil when it is none.
  init?(_ payload: [UInt8]) {
    guard payload.count <= 4_096, let value = try? HazardLedger.JSONValue(parsing: payload) else {
      return nil
    }
    // What is said wrongly is not taken for unsaid: a scan without its time could be an old one.
    guard value["id"].map({ $0 == .null || $0.text != nil }) ?? true,
      value["t"].map({ $0 == .null || $0.wholeNumber != nil }) ?? true
    else { return nil }
    id = value["id"]?.text ?? ""
    guard let code = value["code"]?.text, let welder = value["welder"]?.text,
      [id, code, welder].allSatisfy({ $0.utf8.count <= 256 })
    else { return nil }
    self.code = code
    self.welder = welder
    time = value["t"]?.wholeNumber
    if let pair = value["position"]?.elements, pair.count >= 2, let longitude = pair[0].double,
      let latitude = pair[1].double
    {
      position = Coordinates(longitude: longitude, latitude: latitude)
    }
  }
}

/// Where a welding message came from and where its answer goes.
struct WeldingTopic {
  var enterprise: String
  var gateway: String
  /// `scan` or `report`.
  var verb: String

  /// Reads `davy/v1/{enterprise}/{gateway}/welding/{verb}`; nil for every other topic.
  init?(_ topic: [UInt8]) {
    let levels = topic.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard levels.count == 6, levels[0].elementsEqual("davy".utf8),
      levels[1].elementsEqual("v1".utf8),
      levels[4].elementsEqual("welding".utf8)
    else { return nil }
    enterprise = String(decoding: levels[2], as: UTF8.self)
    gateway = String(decoding: levels[3], as: UTF8.self)
    verb = String(decoding: levels[5], as: UTF8.self)
    guard verb == "scan" || verb == "report" else { return nil }
  }

  /// Where answers go that ask for no other place.
  var answers: String { "davy/v1/\(enterprise)/\(gateway)/welding/answers" }
}

extension WeldingState {
  /// Takes a scan, answers it and does what follows.
  mutating func scan(_ record: JournalRecord, _ topic: WeldingTopic, into output: inout CoreOutput)
  {
    let received = record.input.received
    let moment = self.moment(received, received: received, sequence: record.sequence)
    let known = frame.enterprises[topic.enterprise].flatMap {
      $0.gateways.contains(topic.gateway) ? $0 : nil
    }
    // A retained scan comes again with every subscription: nobody stands at the machine then.
    guard !record.input.retain, let request = ScanRequest(record.input.payload) else {
      answer(record, topic, ScanOutcome(reasons: [.malformed]), at: moment, into: &output)
      return
    }
    var outcome = ScanOutcome(id: request.id, code: request.code, welder: request.welder)
    guard let enterprise = known, let book = books[topic.enterprise], !book.isEmpty else {
      outcome.reasons = [.noRegister]
      outcome.isAllowed = known?.welding.policy.undecided == .allow
      answer(record, topic, outcome, at: moment, into: &output)
      return
    }
    let policy = enterprise.welding.policy
    let machine = book.machine(code: request.code)
    let row = machine.flatMap { frame.rowOfKey["\(topic.enterprise)/\($0.device)"] }
    let place = row.map { frame.places[$0] }
    outcome.place = place
    if let time = request.time, time.isApart(from: received, byMoreThan: policy.clockTolerance) {
      outcome.reasons = [.clockFault]
      guard policy.undecided == .allow else {
        answer(record, topic, outcome, at: moment, into: &output)
        if let row, let place {
          deny(row, place, outcome, policy: policy, at: moment, into: &output)
        }
        return
      }
    }
    let decision = WeldingScan(
      code: request.code,
      welder: request.welder,
      position: request.position,
      machinePosition: place.flatMap { position(of: $0, at: received, policy: policy) },
      time: received,
      day: enterprise.calendar.day(of: received),
      needsUpgrade: enterprise.calendar.needsUpgrade(at: received),
      hasGasNear: place.map { near[$0.area] != nil } ?? false,
      wind: place.map { wind(in: $0.area, at: received, policy: policy) } ?? .unmeasured,
      isMonitored: place.flatMap { monitoredUntil($0.area, policy: policy) }
        .map { received <= $0 } ?? false
    ).decide(
      machine: machine,
      welder: book.welders[request.welder],
      permits: machine.map { book.permits(of: $0.device) } ?? [],
      isBanned: book.ban(at: received) != nil,
      policy: policy
    )
    switch decision {
    case .allow(let permit, let until):
      outcome.isAllowed = true
      outcome.permit = permit
      outcome.until = until
    case .deny(let reasons): outcome.reasons += reasons
    }
    answer(record, topic, outcome, at: moment, into: &output)
    guard let row, let place else { return }
    if outcome.isAllowed {
      release(row, place, outcome, at: moment, into: &output)
    } else {
      deny(row, place, outcome, policy: policy, at: moment, into: &output)
    }
  }

  private mutating func release(
    _ row: Int,
    _ place: WeldingFrame.Place,
    _ outcome: ScanOutcome,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    let at = self.moment(
      max(moment.time, machines[place.key]?.moment ?? .min),
      received: moment.received,
      sequence: moment.sequence
    )
    let session = Session(welder: outcome.welder, permit: outcome.permit, from: at.time)
    machines[place.key, default: Machine()].session = session
    machines[place.key]?.cut = nil
    machines[place.key]?.outsideFixes = 0
    machines[place.key]?.isRetestDue = false
    machines[place.key]?.brokenBy = nil
    machines[place.key]?.isLockedUnderArc = false
    command(
      "release",
      place,
      cause: "scan",
      session: session,
      until: outcome.until,
      at: at,
      into: &output
    )
    judge(row, at: at, isLater: false, into: &output)
  }

  private mutating func deny(
    _ row: Int,
    _ place: WeldingFrame.Place,
    _ outcome: ScanOutcome,
    policy: WeldingPolicy,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    let at = self.moment(
      max(moment.time, machines[place.key]?.moment ?? .min),
      received: moment.received,
      sequence: moment.sequence
    )
    var machine = machines[place.key] ?? Machine()
    for reason in outcome.reasons {
      if let rule = reason.alarm { machine.pulses[rule.rawValue] = at.time + policy.scanHold }
    }
    // Whoever scans a machine that another was released for cannot take it from them.
    if machine.session == nil || machine.session?.welder == outcome.welder {
      lockMachine(
        &machine,
        place,
        cause: outcome.reasons.first?.rawValue ?? "deny",
        at: at,
        into: &output
      )
    }
    machines[place.key] = machine
    judge(row, at: at, isLater: false, into: &output)
  }

  /// Where a machine is: what it reported lately, or where the catalog has it fixed.
  func position(
    of place: WeldingFrame.Place,
    at time: Int64,
    policy: WeldingPolicy
  ) -> Coordinates? {
    guard place.reportsPosition else { return place.position }
    guard let fix = machines[place.key]?.fix, time - fix.time <= policy.fixAge else { return nil }
    return fix.position
  }

  // MARK: - Answers

  /// What came of a scan.
  private struct ScanOutcome {
    var id = ""
    var code = ""
    var welder = ""
    var place: WeldingFrame.Place?
    var isAllowed = false
    var permit = ""
    var until: Int64?
    var reasons: [WeldingDenial] = []
  }

  private mutating func answer(
    _ record: JournalRecord,
    _ topic: WeldingTopic,
    _ outcome: ScanOutcome,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    typealias Value = HazardLedger.JSONValue
    let device = outcome.place?.device ?? ""
    let first = outcome.reasons.first
    let text =
      outcome.isAllowed
      ? LocalizedText(zh: "允许作业", en: "released")
      : first?.text ?? LocalizedText(zh: "拒绝", en: "denied")
    var members: [String: Value] = [
      "answer": .string(outcome.isAllowed ? "allow" : "deny"),
      "code": .string(outcome.code), "device": .string(device), "id": .string(outcome.id),
      "reason": .string(first?.rawValue ?? ""),
      "reasons": .array(outcome.reasons.map { .string($0.rawValue) }),
      "time": .integer(moment.time), "welder": .string(outcome.welder),
    ]
    if !outcome.permit.isEmpty { members["permit"] = .string(outcome.permit) }
    if let until = outcome.until { members["until"] = .integer(until) }
    let row = note(
      "scan",
      subject: outcome.place?.path ?? "\(topic.enterprise)/welding",
      members.merging([
        "enterprise": .string(topic.enterprise), "gateway": .string(topic.gateway),
      ]) { old, _ in old },
      at: moment,
      into: &output
    )
    members["text"] = .object(["en": .string(text.en), "zh": .string(text.zh)])
    members["texts"] = .array(
      outcome.reasons.map { .object(["en": .string($0.text.en), "zh": .string($0.text.zh)]) }
    )
    let asked = record.input.properties.first { $0.0 == StationCore.responseTopicProperty }?.1
    let isAccepted = asked.map { accepts($0, topic) } ?? true
    if !isAccepted { members["responseTopicRefused"] = .bool(true) }
    let correlation = record.input.properties.first { $0.0 == StationCore.correlationProperty }?.1
    output.answers.append(
      CoreOutput.Answer(
        topic: isAccepted ? asked ?? topic.answers : topic.answers,
        payload: Value.object(members).canonicalBytes(),
        correlation: correlation.flatMap { Data(base64Encoded: $0) }.map { Array($0) } ?? [],
        draftIndex: row
      )
    )
    scans.append(
      Scan(
        sequence: record.sequence,
        time: moment.time,
        enterprise: topic.enterprise,
        device: device,
        code: outcome.code,
        welder: outcome.welder,
        permit: outcome.permit,
        reasons: outcome.reasons.map(\.rawValue),
        isAllowed: outcome.isAllowed
      )
    )
    if scans.count > Self.keptScans + 200 { scans.removeFirst(scans.count - Self.keptScans) }
  }

  /// Whether an answer may go to a topic that a scan asks for.
  ///
  /// A sender chooses it freely, so Davy would otherwise publish for anybody under its own rights: an alarm, or
  /// another gateway's readings.
  private func accepts(_ asked: String, _ topic: WeldingTopic) -> Bool {
    guard !asked.isEmpty, asked.utf8.count <= 512, !asked.contains(where: { "+#\0".contains($0) })
    else { return false }
    if asked == topic.answers || asked.hasPrefix(topic.answers + "/") { return true }
    let prefixes = frame.enterprises[topic.enterprise]?.welding.policy.answerTopics ?? []
    return prefixes.contains { asked.hasPrefix($0) }
  }
}
