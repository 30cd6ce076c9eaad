/// A worked example in a profile: what comes in, what must come out.
///
/// `davy check` and the test over `devices/` decode the payloads with the real decoder and run the real engine.
struct ProfileSample: Sendable {
  /// Readings of one point at even intervals, sent as Davy JSON.
  struct Series: Sendable {
    /// The device that sends it; `DEV` unless the sample has others.
    var device = ProfileSample.deviceID
    var point: String
    var start: Int64
    var every: Int64
    var values: [Double]
    var status: String?
  }
  /// One payload as it comes in.
  struct Message: Sendable {
    var at: Int64
    var topic: String?
    var payload: String
  }
  /// An alarm transition that must happen: time, `point.rule`, kind.
  struct Expected: Hashable, Sendable {
    var at: Int64
    var rule: String
    var kind: String
  }
  /// A reading that must come out of the decoder: time, point, value, status.
  struct Reading: Hashable, Sendable {
    var at: Int64
    var point: String
    var value: Double
    var status: String?
  }

  var name: String
  var device: DeviceSpec
  /// Further devices of the same area, with profiles of their own.
  var others: [DeviceSpec] = []
  var policies: [String: String]
  var series: [Series]
  var messages: [Message]
  var readings: [Reading]?
  /// Reasons of the rejects that must happen, in order.
  var rejects: [String]
  var alarms: [Expected]
  var runUntil: Int64?
  var place: Place

  /// Name of the device that a sample's payloads speak of.
  static let deviceID = "DEV"

  static func read(_ map: YAMLMap) -> ProfileSample? {
    let name = map.required("name")?.string()
    let series = readSeries(map["series"])
    let messages = readMessages(map["messages"])
    let readings = readReadings(map["readings"])
    let alarms = readAlarms(map.required("alarms"))
    let rejects = map["rejects"]?.strings() ?? []
    let runUntil = map["run-until"]?.milliseconds()
    var policies: [String: String] = [:]
    for (key, _, value) in map["policies"]?.map()?.entries() ?? [] {
      policies[key] = value.string()
    }
    let others = readOthers(map["others"])
    let device = DeviceSpec.readBody(map, id: deviceID, place: map.place)
    map.finish()
    guard let name else { return nil }
    return ProfileSample(
      name: name,
      device: device,
      others: others,
      policies: policies,
      series: series,
      messages: messages,
      readings: readings,
      rejects: rejects,
      alarms: alarms,
      runUntil: runUntil,
      place: map.place
    )
  }

  private static func readOthers(_ value: YAMLValue?) -> [DeviceSpec] {
    var found: [DeviceSpec] = []
    for (key, keyPlace, value) in value?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      var other = DeviceSpec.readBody(entry, id: key, place: keyPlace)
      other.profile = DeviceSpec.placedString(entry.required("profile"))
      entry.finish()
      found.append(other)
    }
    return found
  }

  /// One series, or a list of them.
  private static func readSeries(_ value: YAMLValue?) -> [Series] {
    guard let value else { return [] }
    var found: [Series] = []
    for entry in value.isSequence ? value.list() ?? [] : [value] {
      guard let entry = entry.map() else { continue }
      let point = entry.required("point")?.identifier()
      let every = entry["every"]?.milliseconds() ?? 1000
      let start = entry["start"]?.milliseconds() ?? 0
      let values = entry.required("values")?.numbers(count: 1...10_000)
      let status = entry["status"]?.string()
      let device = entry["device"]?.identifier() ?? deviceID
      entry.finish()
      guard let point, let values else { continue }
      found.append(
        Series(
          device: device,
          point: point,
          start: start,
          every: every,
          values: values,
          status: status
        )
      )
    }
    return found
  }

  private static func readMessages(_ value: YAMLValue?) -> [Message] {
    var found: [Message] = []
    for entry in value?.list() ?? [] {
      guard let entry = entry.map() else { continue }
      let at = entry.required("at")?.milliseconds()
      let topic = entry["topic"]?.string()
      let payload = entry.required("payload")?.string()
      entry.finish()
      guard let at, let payload else { continue }
      found.append(Message(at: at, topic: topic, payload: payload))
    }
    return found
  }

  /// Readings as lines of words; nil where there is no list of them.
  private static func readReadings(_ value: YAMLValue?) -> [Reading]? {
    value?.list()?.compactMap { value in
      let words = value.string()?.split(separator: " ").map(String.init) ?? []
      guard (3...4).contains(words.count), let at = parseMilliseconds(words[0]),
        let number = Double(words[2])
      else {
        value.report(
          .badExpression(
            text: words.joined(separator: " "),
            reason: "not a reading",
            reasonZh: "不是读数",
            remedy: LocalizedText(
              zh: "写成“10s ch4 1.0 normal”",
              en: "write it like \"10s ch4 1.0 normal\""
            )
          )
        )
        return nil
      }
      return Reading(
        at: at,
        point: words[1],
        value: number,
        status: words.count == 4 ? words[3] : nil
      )
    }
  }

  private static func readAlarms(_ value: YAMLValue?) -> [Expected] {
    (value?.list() ?? []).compactMap { value in
      let words = value.string()?.split(separator: " ").map(String.init) ?? []
      guard words.count == 3, let at = parseMilliseconds(words[0]) else {
        value.report(
          .badExpression(
            text: words.joined(separator: " "),
            reason: "not an alarm's step",
            reasonZh: "不是报警步骤",
            remedy: LocalizedText(
              zh: "写成“10s ch4.alarm raised”",
              en: "write it like \"10s ch4.alarm raised\""
            )
          )
        )
        return nil
      }
      return Expected(at: at, rule: words[1], kind: words[2])
    }
  }
}
