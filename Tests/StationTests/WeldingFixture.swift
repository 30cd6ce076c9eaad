import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// A plant with two welding machines, run in virtual time by a script: what each line brings is data.
///
/// Times of a script are seconds after Thursday 2026-11-26 12:00 in Shanghai.
final class WeldingPlant {
  static let noon: Int64 = 1_795_665_600_000

  static let site = """
    enterprise: {id: acme, name: {zh: 测试, en: Test}, responsible: zhou}
    time-zone: Asia/Shanghai
    people: {zhou: {name: 周, role: 安全总监}}
    gateways: {gw: {name: {zh: 网关, en: Gateway}}}
    welding:
      policy: {scan-radius: 30, cut-within: 5s}
      machines:
        WM-1: {code: QR-1, chip: C-1, normal-current: [40, 250]}
        WM-2: {code: QR-2, chip: C-2}
      welders:
        w1: {name: 张, certificate: T1, from: 2024-01-01, until: 2030-12-31, review: 2027-12-31}
        w2: {name: 李, certificate: T2, from: 2024-01-01, until: 2026-11-26}
        w3: {name: 王, certificate: T3, category: 电工作业, from: 2024-01-01, until: 2030-12-31}
      permits:
        P-1:
          kind: ticket
          class: first
          assessed: second
          machines: [WM-1, WM-2]
          welders: [w1, w2]
          area: plant/shop
          from: "2026-11-26T12:00:00+08:00"
          until: "2026-11-26T13:00:00+08:00"
          gas-test: "2026-11-26T11:50:00+08:00"
          guardian: g1
        P-2:
          kind: declaration
          class: second
          machines: [WM-1]
          welders: [w1]
          area: plant/shop
          from: "2026-11-26T21:30:00+08:00"
          until: "2026-11-27T01:00:00+08:00"
          gas-test: "2026-11-26T21:40:00+08:00"
          guardian: g1
    sites:
      plant:
        name: {zh: 厂, en: Plant}
        areas:
          shop:
            name: {zh: 车间, en: Shop}
            fence: [[115.000, 25.000], [115.001, 25.000], [115.001, 25.001], [115.000, 25.001]]
            devices:
              WM-1:
                profile: welding/welding-machine
                gateway: gw
                name: {zh: 一号焊机, en: Machine 1}
                parameters: {current-high: 500}
                limits: {gas.near: 10}
                without: [temperature]
              WM-2:
                profile: welding/welding-machine
                gateway: gw
                name: {zh: 二号焊机, en: Machine 2}
                position: [115.0005, 25.0005]
                parameters: {current-high: 500}
                without: [temperature, gas, mains, longitude, latitude]
              GD-1:
                profile: gas/combustible-gas-detector
                gateway: gw
                name: {zh: 可燃气体探测器, en: Gas detector}
              WS-1:
                profile: weather/wind-sensor
                gateway: gw
                name: {zh: 风速仪, en: Wind sensor}
                parameters: {range-high: 60}
    """

  let catalog: Catalog
  let core = StationCore()
  /// Every record so far, to be replayed.
  private(set) var inputs: [JournalInput] = []
  /// `seconds rule event` for the desk's own alarms, `seconds point#rule event` for the engine's.
  private(set) var alarms: [String] = []
  /// Commands as `seconds command cause`.
  private(set) var commands: [String] = []
  /// Answers to scans as `seconds answer reason,reason`.
  private(set) var answers: [String] = []
  /// Notes and register entries as `seconds event`.
  private(set) var notes: [String] = []
  /// Refusals of register records.
  private(set) var refusals: [String] = []
  private(set) var drafts: [LedgerDraft] = []
  private(set) var sent: [CoreOutput.Answer] = []
  private(set) var dispatches: [CalloutDispatch] = []
  private(set) var now = WeldingPlant.noon - 60_000

  /// The profiles that the sites of these tests use; all of them would take a test most of its time.
  static let profiles = [
    "standards", "status-codes", "hot-work", "tables/oel", "welding/welding-machine",
    "gas/combustible-gas-detector", "weather/wind-sensor",
  ]

  static func catalog(
    site: String = WeldingPlant.site,
    response: String? = nil
  ) throws -> Catalog {
    let devices = Fixture.root.appendingPathComponent("devices")
    var sources = try profiles.map { name in
      (
        path: "devices/\(name).yaml",
        text: try String(
          contentsOf: devices.appendingPathComponent(name + ".yaml"),
          encoding: .utf8
        )
      )
    }
    sources.append((path: "sites/acme.yaml", text: site))
    if let response { sources.append((path: "response/response.yaml", text: response)) }
    let result = Catalog.load(sources: sources)
    return try #require(result.catalog, "\(result.findings.filter { $0.severity == .error })")
  }

  init(site: String = WeldingPlant.site, response: String? = nil) throws {
    catalog = try Self.catalog(site: site, response: response)
    feed(try StationCoreTests.catalogInput(catalog, at: now))
  }

  /// Runs a script, ticks as they fall due.
  func run(_ script: String) throws {
    for line in script.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 2).map(String.init)
      guard words.count >= 2 else { continue }
      let rest = words.count > 2 ? words[2] : ""
      // A minus sign in front, a dash between.
      let dash = words[0].dropFirst().firstIndex(of: "-")
      let first = try #require(Double(words[0][..<(dash ?? words[0].endIndex)]), "line \(line)")
      let last = dash.flatMap { Double(words[0][words[0].index(after: $0)...]) } ?? first
      for second in stride(from: first, through: last, by: 20) {
        let time = Self.noon + Int64(second * 1000)
        advance(to: time)
        if words[1] != "tick" { feed(try input(words[1], rest, at: time)) }
      }
    }
  }

  /// Lets time pass up to `time`, with a tick wherever something falls due.
  private func advance(to time: Int64) {
    while let due = core.nextDeadline?.milliseconds, due <= time {
      let at = max(due, now)
      feed(JournalInput(kind: .tick, received: at))
      if core.nextDeadline?.milliseconds == due { break }
    }
    now = max(now, time)
  }

  private func input(_ verb: String, _ rest: String, at time: Int64) throws -> JournalInput {
    switch verb {
    case "scan":
      let words = rest.split(separator: " ").map(String.init)
      let code = words.count > 1 ? words[1] : "QR-1"
      let position = words.count > 3 ? "[\(words[2]),\(words[3])]" : "[115.0005,25.0005]"
      return message(
        "davy/v1/acme/gw/welding/scan",
        #"{"id":"r","code":"\#(code)","welder":"\#(words[0])","t":\#(time),"position":\#(position)}"#,
        at: time
      )
    case "fix":
      let words = rest.split(separator: " ")
      return reading("WM-1", #""longitude":\#(words[0]),"latitude":\#(words[1])"#, at: time)
    case "current", "mains", "tamper", "locked", "gas":
      return reading("WM-1", #""\#(verb)":\#(rest)"#, at: time)
    case "current2": return reading("WM-2", #""current":\#(rest)"#, at: time)
    case "detector": return reading("GD-1", #""gas":\#(rest)"#, at: time)
    case "wind": return reading("WS-1", #""wind-speed":\#(rest)"#, at: time)
    case "report": return message("davy/v1/acme/gw/welding/report", rest, at: time)
    case "put", "remove":
      let words = rest.split(separator: " ", maxSplits: 2).map(String.init)
      let value = words.count > 2 ? #","value":\#(words[2])"# : ""
      let payload =
        #"{"enterprise":"acme","actor":"zhou","part":"\#(words[0])","id":"\#(words[1])"\#(value)}"#
      return JournalInput(
        kind: .register,
        received: time,
        topic: Array("welding/\(verb)".utf8),
        payload: Array(payload.utf8)
      )
    case "extend":
      let payload =
        #"{"enterprise":"acme","actor":"zhou","permit":"P-1","event":"extend","until":\#(time + 3_600_000)}"#
      return JournalInput(
        kind: .register,
        received: time,
        topic: Array("welding/report".utf8),
        payload: Array(payload.utf8)
      )
    case "act":
      let words = rest.split(separator: " ").map(String.init)
      return StationCoreTests.act(words[0], alarm: words[1], at: time)
    default: throw ScriptError(word: verb)
    }
  }

  struct ScriptError: Error {
    var word: String
  }

  private func reading(_ device: String, _ values: String, at time: Int64) -> JournalInput {
    message(
      "davy/v1/acme/gw/readings",
      #"{"device":"\#(device)","t":\#(time),"values":{\#(values)}}"#,
      at: time
    )
  }

  private func message(_ topic: String, _ payload: String, at time: Int64) -> JournalInput {
    JournalInput(
      received: time,
      topic: Array(topic.utf8),
      payload: Array(payload.utf8),
      qos: 1
    )
  }

  /// Works through one record and takes note of what comes of it.
  func feed(_ input: JournalInput) {
    inputs.append(input)
    now = max(now, input.received)
    let output = core.process(JournalBatch([input]), firstSequence: UInt64(inputs.count))
    drafts += output.drafts
    sent += output.answers
    dispatches += output.dispatches
    refusals += output.acts.compactMap(\.refusal).map(\.text)
    for draft in output.drafts { note(draft) }
    for answer in output.answers {
      guard let body = try? JSONValue(parsing: answer.payload),
        let word = body["answer"]?.text, let reasons = body["reasons"]?.elements
      else { continue }
      let listed = reasons.compactMap(\.text).joined(separator: ",")
      answers.append(
        "\(Self.seconds(draftTime(body))) \(word)" + (listed.isEmpty ? "" : " " + listed)
      )
    }
  }

  private func draftTime(_ body: HazardLedger.JSONValue) -> Int64 {
    body["time"]?.wholeNumber ?? Self.noon
  }

  private func note(_ draft: LedgerDraft) {
    let second = Self.seconds(draft.time.milliseconds)
    if draft.kind == .alarm, let body = try? AlarmBody(decoding: draft.body) {
      let isDesk = WeldingRule(rawValue: body.rule) != nil
      let place =
        body.point.contains("/welding/")
        ? body.point.split(separator: "/").last.map { $0 + " " } ?? "" : ""
      alarms.append(
        isDesk
          ? "\(second) \(place)\(body.rule) \(body.event.rawValue)"
          : "\(second) \(body.point)#\(body.rule) \(body.event.rawValue)"
      )
    } else if draft.kind == .welding || draft.kind == .register,
      let body = try? JSONValue(parsing: draft.body), let event = body["event"]?.text
    {
      if event == "lock" || event == "release" {
        commands.append("\(second) \(event) \(body["cause"]?.text ?? "")")
      } else if event != "scan" {
        notes.append("\(second) \(event) \(body["id"]?.text ?? body["cause"]?.text ?? "")")
      }
    }
  }

  /// Steps of clocks as `seconds id event`.
  func clocks() throws -> [String] {
    try drafts.filter { $0.kind == .clock }.map { draft in
      let event = try JSONValue(parsing: draft.body)["event"]?.text ?? ""
      return "\(Self.seconds(draft.time.milliseconds)) \(draft.subject) \(event)"
    }
  }

  static func seconds(_ milliseconds: Int64) -> String {
    let time = Double(milliseconds - noon) / 1000
    return time == time.rounded() ? "\(Int(time))" : "\(time)"
  }

  /// The desk's own alarms; those of certificates at the start left out.
  var deskAlarms: [String] {
    alarms.filter { !$0.contains("#") && !$0.hasPrefix("-") }
  }
}
