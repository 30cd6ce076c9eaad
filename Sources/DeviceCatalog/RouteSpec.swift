import PayloadDecoding
import Telemetry

/// A topic route as a site file writes it.
struct RouteSpec {
  var route: TopicRoute
  var place: Place

  /// The formats by the names that a site file uses.
  enum Format: String, CaseIterable {
    case davyJSON = "davy-json"
    case mappedJSON = "mapped-json"
    case senMLJSON = "senml-json"
    case senMLCBOR = "senml-cbor"
    case influxLine = "influx-line"
    case sparkplugB = "sparkplug-b"
    case hj212 = "hj-212"
  }

  /// How many ``standard()`` are.
  static let standardCount = 5

  /// Routes that every station has: one topic for each format.
  static func standard() throws(TopicTemplateError) -> [TopicRoute] {
    let base = "davy/v1/{enterprise}/{gateway}"
    return [
      TopicRoute(
        id: "davy-json",
        template: try TopicTemplate("\(base)/readings"),
        format: .davyJSON
      ),
      TopicRoute(
        id: "senml-json",
        template: try TopicTemplate("\(base)/senml"),
        format: .senMLJSON
      ),
      TopicRoute(
        id: "senml-cbor",
        template: try TopicTemplate("\(base)/senml-cbor"),
        format: .senMLCBOR
      ),
      TopicRoute(
        id: "influx-line",
        template: try TopicTemplate("\(base)/influx"),
        format: .influxLine(InfluxOptions())
      ),
      TopicRoute(
        id: "hj-212",
        template: try TopicTemplate("\(base)/hj212"),
        format: .hj212(HJ212Options())
      ),
    ]
  }

  static func readAll(_ map: YAMLMap) -> [RouteSpec] {
    map.identified().compactMap { key, keyPlace, value in
      guard let entry = value.map() else { return nil }
      return read(entry, id: key, place: keyPlace)
    }
  }

  private static func read(_ map: YAMLMap, id: String, place: Place) -> RouteSpec? {
    defer { map.finish() }
    let topicValue = map.required("topic")
    let format = map.required("format")?.choice(Format.self)
    let enterprise = map["enterprise"]?.identifier()
    let gateway = map["gateway"]?.identifier()
    let options = map["options"]?.map()
    let mappingMap = map["mapping"]?.map()
    var template: TopicTemplate?
    if let text = topicValue?.string() {
      do throws(TopicTemplateError) {
        template = try TopicTemplate(text)
      } catch {
        topicValue?.report(
          .badExpression(
            text: text,
            reason: error.words.en,
            reasonZh: error.words.zh,
            remedy: LocalizedText(
              zh: "每级只写文字、+ 或 {名称}，# 只在最后一级，如 kj/{enterprise}/{gateway}/realtime",
              en: "each level is text, + or {name}, with # at the end only: "
                + "kj/{enterprise}/{gateway}/realtime"
            )
          )
        )
      }
    }
    guard let format, let template else { return nil }
    let payload: PayloadFormat
    switch format {
    case .davyJSON: payload = .davyJSON
    case .senMLJSON: payload = .senMLJSON
    case .senMLCBOR: payload = .senMLCBOR
    case .mappedJSON:
      guard let mappingMap else {
        map.value.report(.missingKey(key: "mapping"))
        return nil
      }
      payload = .mappedJSON(mapping(mappingMap))
    case .influxLine:
      var influx = InfluxOptions()
      if let tag = options?["device-tag"]?.string() { influx.deviceTag = tag }
      if let key = options?["status-key"]?.string() { influx.statusKey = key }
      if let precision = options?["precision"]?.choice(Precision.self) {
        influx.precision = precision.value
      }
      if options?["point-name"]?.choice(PointName.self) == .measurementAndField {
        influx.pointName = .measurementAndField
      }
      payload = .influxLine(influx)
    case .sparkplugB:
      var sparkplug = SparkplugOptions()
      if let value = options?["reorder-timeout"]?.milliseconds() {
        sparkplug.reorderTimeoutMilliseconds = value
      }
      if let value = options?["rebirth-interval"]?.milliseconds() {
        sparkplug.rebirthIntervalMilliseconds = value
      }
      if let value = options?["status-property"]?.string() { sparkplug.statusProperty = value }
      payload = .sparkplugB(sparkplug)
    case .hj212:
      var hj212 = HJ212Options()
      if options?["edition"]?.choice(Edition.self) == .year2025 { hj212.edition = .year2025 }
      if let minutes = options?["utc-offset"]?.utcOffset() { hj212.utcOffsetMinutes = minutes }
      if let topic = options?["reply-topic"]?.string() { hj212.replyTopic = topic }
      payload = .hj212(hj212)
    }
    options?.finish()
    if let topicValue {
      checkPlaceholders(
        of: template,
        payload,
        at: topicValue,
        enterprise: enterprise,
        gateway: gateway
      )
    }
    let route = TopicRoute(
      id: id,
      template: template,
      format: payload,
      enterprise: enterprise,
      gateway: gateway
    )
    return RouteSpec(route: route, place: place)
  }

  /// Reports placeholders that nothing uses, and those that are missing.
  ///
  /// Enterprise and gateway of a topic are what a message is held against: without them whoever may publish there
  /// speaks for every device.
  private static func checkPlaceholders(
    of template: TopicTemplate,
    _ payload: PayloadFormat,
    at topic: YAMLValue,
    enterprise: String?,
    gateway: String?
  ) {
    var asked: [String] = []
    if case .mappedJSON(let mapping) = payload { asked = mapping.placeholders }
    for name in asked where !template.captures.contains(name) {
      topic.report(.unknownPlaceholder(name, among: template.captures))
    }
    let known = ["enterprise", "gateway", "device", "point"]
    let unused = template.captures.filter { !known.contains($0) && !asked.contains($0) }
    var isMisspelt = false
    for name in unused {
      // One that means nothing anywhere does what a + does.
      let slip = nearest(name, among: known + asked)
      topic.report(.unusedPlaceholder(name, slip: slip), as: slip == nil ? .warning : .error)
      isMisspelt = isMisspelt || slip != nil
    }
    // A misspelt one is the missing one.
    if isMisspelt { return }
    let isFixed = [("enterprise", enterprise != nil), ("gateway", gateway != nil)]
    for (name, isSet) in isFixed where !isSet && !template.captures.contains(name) {
      topic.log.append(contentsOf: [.ownerUnknown(name, at: topic.place)])
    }
  }

  private enum Edition: String, CaseIterable {
    case year2017 = "2017"
    case year2025 = "2025"
  }

  private enum PointName: String, CaseIterable {
    case field
    case measurementAndField = "measurement-and-field"
  }

  private enum Precision: String, CaseIterable {
    case s, ms, us, ns

    var value: InfluxOptions.Precision {
      switch self {
      case .s: .seconds
      case .ms: .milliseconds
      case .us: .microseconds
      case .ns: .nanoseconds
      }
    }
  }

  // MARK: mapped JSON

  private static func mapping(_ map: YAMLMap) -> JSONMapping {
    defer { map.finish() }
    var values: [MappedValue] = []
    for entry in map.required("values")?.list() ?? [] {
      guard let entry = entry.map() else { continue }
      defer { entry.finish() }
      let pointer = entry.required("value")?.string()
      let stars = Self.stars(pointer ?? "")
      let device = entry.required("device").flatMap { field($0, stars: stars) }
      let point = entry.required("point").flatMap { field($0, stars: stars) }
      var optional: MappedValue.Fields = []
      let time = entry["time"].flatMap { declared($0, .time, &optional, stars: stars) }
      let status = entry["status"].flatMap { declared($0, .status, &optional, stars: stars) }
      let unit = entry["unit"].flatMap { declared($0, .unit, &optional, stars: stars) }
      let scale = entry["scale"]?.factor() ?? 1
      let offset = entry["offset"]?.number() ?? 0
      let required = entry["required"]?.bool() ?? true
      guard let pointer, let device, let point else { continue }
      values.append(
        MappedValue(
          value: pointer,
          device: device,
          point: point,
          time: time,
          status: status,
          unit: unit,
          optional: optional,
          scale: scale,
          offset: offset,
          required: required
        )
      )
    }
    let codes = map["status-codes"]?.map().map(statusCodes) ?? [:]
    let format = map["time-format"]?.timeFormat() ?? .epochMilliseconds
    let inStrings = map["numbers-in-strings"]?.bool() ?? false
    return JSONMapping(
      values: values,
      timeFormat: format,
      statusCodes: codes,
      numbersInStrings: inStrings
    )
  }

  /// How many `*` a pointer has.
  private static func stars(_ pointer: String) -> Int {
    pointer.split(separator: "/").count { $0 == "*" }
  }

  /// `{pointer: /a/b}`, `{topic: device}`, `{constant: x}` or `{key: 0}`.
  private static func field(_ value: YAMLValue, stars: Int) -> FieldSource? {
    guard let map = value.map() else { return nil }
    defer { map.finish() }
    return source(map, stars: stars)
  }

  /// Time, status or unit: also `{pointer: /a/b, required: false}`, for what a message may leave out.
  private static func declared(
    _ value: YAMLValue,
    _ name: MappedValue.Fields,
    _ optional: inout MappedValue.Fields,
    stars: Int
  ) -> FieldSource? {
    guard let map = value.map() else { return nil }
    defer { map.finish() }
    if map["required"]?.bool() == false { optional.insert(name) }
    return source(map, stars: stars)
  }

  /// Where an attribute comes from, in a mapping whose value has so many `*`.
  private static func source(_ map: YAMLMap, stars: Int) -> FieldSource? {
    let said = ["pointer", "topic", "constant", "key"].compactMap { name in
      map[name].map { (name: name, value: $0) }
    }
    guard let first = said.first else {
      map.value.report(.missingKey(key: "pointer"))
      return nil
    }
    if said.count > 1 { map.value.report(.severalSources(said.map { $0.name }), as: .warning) }
    let source: FieldSource? =
      switch first.name {
      case "pointer": first.value.string().map { .pointer($0) }
      case "topic": first.value.string().map { .topic($0) }
      case "constant": first.value.string().map { .constant($0) }
      default: first.value.integer().map { .key($0) }
      }
    // What asks for more elements than a value has finds nothing, and every reading is refused for it.
    let isBeyond =
      switch source {
      case .pointer(let text): Self.stars(text) > stars
      case .key(let number): !(0..<stars).contains(number)
      case .topic, .constant, nil: false
      }
    if isBeyond { map.value.report(.beyondValue, as: .warning) }
    return source
  }
}

extension JSONMapping {
  /// The topic's placeholders that it takes something from.
  fileprivate var placeholders: [String] {
    values.flatMap { value -> [String] in
      let sources: [FieldSource?] = [
        value.device, value.point, value.time, value.status, value.unit,
      ]
      return sources.compactMap { source -> String? in
        guard case .topic(let name) = source else { return nil }
        return name
      }
    }
  }
}

extension TopicTemplateError {
  /// What is wrong, for people.
  fileprivate var words: LocalizedText {
    switch self {
    case .empty: LocalizedText(zh: "主题为空", en: "the topic is empty")
    case .badLevel(let level):
      LocalizedText(
        zh: "“\(level)”在一级中混用文字与通配符或花括号",
        en: "the level \"\(level)\" mixes text with a wildcard or braces"
      )
    case .repeatedCapture(let name):
      LocalizedText(
        zh: "占位符“{\(name)}”出现两次",
        en: "the placeholder \"{\(name)}\" occurs twice"
      )
    case .wildcardNotLast: LocalizedText(zh: "# 不在最后一级", en: "# is not the last level")
    }
  }
}

extension Problem {
  /// A placeholder that the topic has and nothing uses, and the name that was probably meant.
  fileprivate static func unusedPlaceholder(_ name: String, slip: String?) -> Problem {
    .other(
      code: "unused-placeholder",
      zh: "主题中的占位符“{\(name)}”没有任何用处",
      en: "nothing uses the topic's placeholder \"{\(name)}\"",
      remedyZh: slip.map { "是否想写“{\($0)}”？" } ?? "改为 +，或在 mapping 中用 {topic: \(name)} 取它",
      remedyEn: slip.map { "did you mean \"{\($0)}\"?" }
        ?? "write + instead, or take it in the mapping by {topic: \(name)}"
    )
  }

  /// An attribute with several sources, of which the first counts.
  fileprivate static func severalSources(_ names: [String]) -> Problem {
    let list = names.joined(separator: ", ")
    let first = names.first ?? ""
    return .other(
      code: "several-sources",
      zh: "同时写了 \(list)：只用 \(first)",
      en: "\(list) together: only \(first) is used",
      remedyZh: "只写其中一个",
      remedyEn: "write one of them"
    )
  }

  /// A pointer with more `*` than the value's, or a key of one that it does not have.
  fileprivate static var beyondValue: Problem {
    .other(
      code: "beyond-value",
      zh: "用到的 * 比 value 中的多：永远取不到",
      en: "it asks for a * that \"value\" does not have: nothing is ever found there",
      remedyZh: "在 value 中写上同样的 *（key 从 0 数起），或更正此处",
      remedyEn: "write the same * into \"value\" (a key counts them from 0), or correct it here"
    )
  }

  /// A placeholder that a mapping takes something from and the topic does not have.
  fileprivate static func unknownPlaceholder(_ name: String, among known: [String]) -> Problem {
    let slip = nearest(name, among: known)
    return .other(
      code: "unknown-placeholder",
      zh: "mapping 用到“{topic: \(name)}”，主题中却没有占位符“{\(name)}”",
      en: "the mapping takes {topic: \(name)}, and the topic has no placeholder \"{\(name)}\"",
      remedyZh: slip.map { "是否想写“{topic: \($0)}”？" } ?? "在主题中写上“{\(name)}”",
      remedyEn: slip.map { "did you mean {topic: \($0)}?" } ?? "write \"{\(name)}\" into the topic"
    )
  }
}

extension Finding {
  /// Nothing says which enterprise, or which gateway, messages of a route come from.
  fileprivate static func ownerUnknown(_ name: String, at place: Place) -> Finding {
    let zh = name == "enterprise" ? "企业" : "网关"
    return Finding(
      severity: .warning,
      code: "owner-unknown",
      place: place,
      message: LocalizedText(
        zh: "主题中没有 {\(name)}，路由也没有写 \(name)：不检查消息来自哪个\(zh)",
        en: "the topic has no {\(name)} and the route no \"\(name)\": "
          + "which \(name) a message comes from is not checked"
      ),
      remedy: LocalizedText(
        zh: "主题中写 {\(name)}，或在路由中写 \(name)",
        en: "write {\(name)} into the topic, or name the \(name) in the route"
      )
    )
  }
}

/// Reads a table of status codes: code → status, by its wire name or its Chinese term.
func statusCodes(_ map: YAMLMap) -> [String: SourceStatus] {
  var codes: [String: SourceStatus] = [:]
  for (code, _, value) in map.entries() {
    guard let text = value.string() else { continue }
    if let status = SourceStatus(wireName: text) {
      codes[code] = status
    } else {
      value.report(.notOneOf(text: text, choices: SourceStatus.allCases.map(\.wireName)))
    }
  }
  return codes
}

extension YAMLValue {
  /// Reads `+08:00` to minutes east of UTC.
  func utcOffset() -> Int? {
    guard let text = string() else { return nil }
    guard let minutes = parseOffset(text) else {
      report(
        .badExpression(
          text: text,
          reason: "not an offset from UTC",
          reasonZh: "不是与 UTC 的时差",
          remedy: LocalizedText(zh: "写成 +08:00 的形式", en: "write it like +08:00")
        )
      )
      return nil
    }
    return minutes
  }

  /// Reads `epoch-ms`, `iso8601`, `date-time +08:00` and the like.
  func timeFormat() -> TimeFormat? {
    guard let text = string() else { return nil }
    let words = text.split(separator: " ").map(String.init)
    let offset = words.count == 2 ? parseOffset(words[1]) : nil
    switch (words.first, words.count, offset) {
    case ("epoch-s", 1, _): return .epochSeconds
    case ("epoch-ms", 1, _): return .epochMilliseconds
    case ("epoch-us", 1, _): return .epochMicroseconds
    case ("epoch-ns", 1, _): return .epochNanoseconds
    case ("iso8601", 1, _): return .iso8601
    case ("date-time", 2, let minutes?): return .dateTime(utcOffsetMinutes: minutes)
    case ("compact", 2, let minutes?): return .compact(utcOffsetMinutes: minutes)
    default:
      report(
        .notOneOf(
          text: text,
          choices: [
            "epoch-s", "epoch-ms", "epoch-us", "epoch-ns", "iso8601", "date-time +08:00",
            "compact +08:00",
          ]
        )
      )
      return nil
    }
  }
}

/// Parses `+08:00`; nil when it is no offset from UTC.
func parseOffset(_ text: String) -> Int? {
  let parts = text.dropFirst().split(separator: ":")
  guard text.first == "+" || text.first == "-", parts.count == 2, let hours = Int(parts[0]),
    let minutes = Int(parts[1]), (0...14).contains(hours), (0...59).contains(minutes)
  else { return nil }
  return (text.first == "-" ? -1 : 1) * (hours * 60 + minutes)
}
