import AlarmEngine

/// Reads the response files: people, rosters, chains, situations, hazard policy, clocks, inhibitions, retention.
struct ResponseReader {
  let log: FindingLog
  /// Contacts that the site files bring, by `enterprise/key`.
  let siteContacts: [String: ResponsePolicy.Contact]
  /// What conditions can be about.
  let names: AlarmNames

  /// The people of the site files, as contacts.
  static func contacts(of enterprises: [Enterprise]) -> [String: ResponsePolicy.Contact] {
    var contacts: [String: ResponsePolicy.Contact] = [:]
    for enterprise in enterprises {
      for person in enterprise.people {
        let id = "\(enterprise.id)/\(person.id)"
        contacts[id] = ResponsePolicy.Contact(
          id: id,
          name: person.name,
          role: person.role,
          addresses: person.phone.map { ["phone": $0] } ?? [:]
        )
      }
    }
    return contacts
  }

  private struct Reference {
    var kind: String
    var kindZh: String
    var name: String
    var value: YAMLValue
  }

  /// Reads all files into one policy.
  func policy(_ files: [YAMLMap]) -> ResponsePolicy {
    var policy = ResponsePolicy()
    policy.contacts = siteContacts
    if !files.isEmpty {
      for occasion in ResponsePolicy.Occasion.allCases {
        policy.notices[occasion] = ResponsePolicy.Chain.Level(
          name: occasion.name,
          persons: [],
          roster: nil,
          isResponsible: true,
          attempts: 4,
          intervalMilliseconds: 1_800_000,
          channels: []
        )
      }
    }
    var references: [Reference] = []
    for file in files {
      read(file, into: &policy, &references)
      file.finish()
    }
    for reference in references {
      let known =
        switch reference.kind {
        case "person": Array(policy.contacts.keys)
        case "roster": Array(policy.rosters.keys)
        default: Array(policy.chains.keys)
        }
      guard !known.contains(reference.name) else { continue }
      reference.value.report(
        .unknownReference(
          kind: reference.kind,
          kindZh: reference.kindZh,
          name: reference.name,
          known: known.sorted()
        )
      )
    }
    return policy
  }

  private func read(
    _ file: YAMLMap,
    into policy: inout ResponsePolicy,
    _ references: inout [Reference]
  ) {
    for (id, place, value) in file["people"]?.map()?.identified() ?? [] {
      refuseTwice(id, "person", "人员", policy.contacts[id] != nil, place)
      policy.contacts[id] = value.map().flatMap { contact($0, id: id) }
    }
    for (id, place, value) in file["rosters"]?.map()?.identified() ?? [] {
      refuseTwice(id, "roster", "值班表", policy.rosters[id] != nil, place)
      policy.rosters[id] = value.map().map { roster($0, id: id, &references) }
    }
    for (id, place, value) in file["chains"]?.map()?.identified() ?? [] {
      refuseTwice(id, "chain", "叫应链", policy.chains[id] != nil, place)
      policy.chains[id] = value.map().map { chain($0, id: id, &references) }
    }
    for (id, place, value) in file["situations"]?.map()?.identified() ?? [] {
      refuseTwice(id, "situation", "叫应情形", policy.situations.contains { $0.id == id }, place)
      if let read = value.map().flatMap({ situation($0, id: id, &references) }) {
        policy.situations.append(read)
      }
    }
    for value in file["hazards"]?.list() ?? [] {
      if let map = value.map() { policy.hazards.append(hazard(map)) }
    }
    if let map = file["overdue"]?.map() {
      policy.overdue = ResponsePolicy.OverdueLadder(
        remind: map["remind"]?.milliseconds(),
        supervise: map["supervise"]?.milliseconds(),
        circulate: map["circulate"]?.milliseconds(),
        warn: map["warn"]?.milliseconds()
      )
      map.finish()
    }
    if let map = file["rectification"]?.map() {
      if let list = map["warnings"]?.list() {
        policy.rectificationWarnings = list.compactMap { $0.milliseconds() }
      }
      if let time = map["check-within"]?.milliseconds() { policy.checkMilliseconds = time }
      map.finish()
    }
    if let warnings = warnings(file["permits"]) { policy.permitWarnings = warnings }
    if let warnings = warnings(file["certificates"]) { policy.certificateWarnings = warnings }
    readNotices(file["notices"], into: &policy, &references)
    for (id, place, value) in file["reports"]?.map()?.identified() ?? [] {
      refuseTwice(id, "report", "报告", policy.reports.contains { $0.id == id }, place)
      if let read = value.map().map({ report($0, id: id) }) { policy.reports.append(read) }
    }
    for (id, place, value) in file["inhibitions"]?.map()?.identified() ?? [] {
      refuseTwice(id, "inhibition", "抑制", policy.inhibitions.contains { $0.id == id }, place)
      if let read = value.map().map({ inhibition($0, id: id) }) { policy.inhibitions.append(read) }
    }
    for (id, place, value) in file["retention"]?.map()?.identified() ?? [] {
      refuseTwice(id, "retention", "保存规则", policy.retention.contains { $0.rule == id }, place)
      if let read = value.map().flatMap({ retention($0, id: id) }) { policy.retention.append(read) }
    }
  }

  /// How long ahead a clock warns: `{warnings: [30min, 10min]}`; nil where the file says nothing of it.
  private func warnings(_ value: YAMLValue?) -> [Int64]? {
    guard let map = value?.map() else { return nil }
    defer { map.finish() }
    return map.required("warnings")?.list()?.compactMap { $0.milliseconds() }
  }

  private func refuseTwice(
    _ id: String,
    _ kind: String,
    _ kindZh: String,
    _ isKnown: Bool,
    _ place: Place
  ) {
    guard isKnown else { return }
    log.report(
      .duplicateName(kind: kind, kindZh: kindZh, name: id, first: "another response file"),
      at: place
    )
  }

  private func contact(_ map: YAMLMap, id: String) -> ResponsePolicy.Contact? {
    defer { map.finish() }
    let name = map.required("name")?.string()
    let role = map["role"]?.string() ?? ""
    var addresses: [String: String] = [:]
    for (channel, _, value) in map["channels"]?.map()?.identified() ?? [] {
      addresses[channel] = value.scalarText ?? value.string()
    }
    if let phone = map["phone"]?.string() { addresses["phone"] = phone }
    guard let name else { return nil }
    return ResponsePolicy.Contact(id: id, name: name, role: role, addresses: addresses)
  }

  private func persons(_ value: YAMLValue?, _ references: inout [Reference]) -> [String] {
    (value?.list() ?? []).compactMap { item in
      guard let name = item.string() else { return nil }
      references.append(Reference(kind: "person", kindZh: "人员", name: name, value: item))
      return name
    }
  }

  // MARK: - Rosters

  private static let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

  private func roster(
    _ map: YAMLMap,
    id: String,
    _ references: inout [Reference]
  ) -> ResponsePolicy.Roster {
    defer { map.finish() }
    let zone = map["time-zone"].map { SiteReader(log: log).timeZone($0) } ?? "Asia/Shanghai"
    var shifts: [ResponsePolicy.Roster.Shift] = []
    for value in map["shifts"]?.list() ?? [] {
      guard let entry = value.map() else { continue }
      var days = Set(1...7)
      if let named = entry["days"]?.list() {
        days = Set(
          named.compactMap { day in
            guard let text = day.string() else { return nil }
            guard let index = Self.days.firstIndex(of: text) else {
              day.report(.notOneOf(text: text, choices: Self.days))
              return nil
            }
            return index + 1
          }
        )
      }
      let from = entry.required("from")?.minuteOfDay()
      let to = entry.required("to")?.minuteOfDay()
      let who = persons(entry.required("persons"), &references)
      entry.finish()
      guard let from, let to else { continue }
      shifts.append(ResponsePolicy.Roster.Shift(days: days, from: from, to: to, persons: who))
    }
    var dates: [String: [String]] = [:]
    for (text, place, value) in map["dates"]?.map()?.entries() ?? [] {
      guard let day = CalendarDate(text) else {
        log.report(.badDate(text: text), at: place)
        continue
      }
      dates[day.description] = persons(value, &references)
    }
    let fallback = persons(map["fallback"], &references)
    if shifts.isEmpty, fallback.isEmpty {
      map.value.report(.nothing(kind: "shift or fallback", kindZh: "班次或兜底人员"))
    }
    return ResponsePolicy.Roster(
      id: id,
      timeZone: zone,
      shifts: shifts,
      dates: dates,
      fallback: fallback
    )
  }

  // MARK: - Chains and situations

  private func chain(
    _ map: YAMLMap,
    id: String,
    _ references: inout [Reference]
  ) -> ResponsePolicy.Chain {
    defer { map.finish() }
    var levels: [ResponsePolicy.Chain.Level] = []
    for value in map.required("levels")?.list() ?? [] {
      guard let entry = value.map() else { continue }
      let name = entry.required("name")?.text()
      levels.append(
        receivers(
          entry,
          name: name ?? LocalizedText(zh: "", en: ""),
          attempts: 3,
          intervalMilliseconds: 120_000,
          &references
        )
      )
    }
    if levels.isEmpty { map.value.report(.nothing(kind: "level", kindZh: "层级")) }
    return ResponsePolicy.Chain(
      id: id,
      levels: levels,
      feedbackMilliseconds: map["feedback-after"]?.milliseconds() ?? 0
    )
  }

  /// Who is reached on a level or by a notice, how often and by what.
  private func receivers(
    _ map: YAMLMap,
    name: LocalizedText,
    attempts: Int,
    intervalMilliseconds: Int64,
    _ references: inout [Reference]
  ) -> ResponsePolicy.Chain.Level {
    defer { map.finish() }
    let who = persons(map["persons"], &references)
    var roster: String?
    if let value = map["roster"], let text = value.string() {
      roster = text
      references.append(Reference(kind: "roster", kindZh: "值班表", name: text, value: value))
    }
    let isResponsible = map["responsible"]?.bool() ?? false
    let attempts = map["attempts"]?.integer(in: 1...100) ?? attempts
    let interval = map["interval"]?.milliseconds() ?? intervalMilliseconds
    let channels = map["channels"]?.strings() ?? []
    if who.isEmpty, roster == nil, !isResponsible {
      map.value.report(.nothing(kind: "person, roster or responsible", kindZh: "人员、值班表或责任人"))
    }
    if interval < 1_000 {
      map.value.report(
        .wrongType(
          expected: "an interval of at least 1s",
          expectedZh: "至少 1s 的间隔",
          found: "\(interval)ms"
        )
      )
    }
    return ResponsePolicy.Chain.Level(
      name: name,
      persons: who,
      roster: roster,
      isResponsible: isResponsible,
      attempts: attempts,
      intervalMilliseconds: interval,
      channels: channels
    )
  }

  /// Whom notices are for, by occasion; `none` sends none.
  private func readNotices(
    _ value: YAMLValue?,
    into policy: inout ResponsePolicy,
    _ references: inout [Reference]
  ) {
    for (text, place, value) in value?.map()?.entries() ?? [] {
      guard let occasion = ResponsePolicy.Occasion(rawValue: text) else {
        let choices = ResponsePolicy.Occasion.allCases.map(\.rawValue)
        log.report(.notOneOf(text: text, choices: choices), at: place)
        continue
      }
      if value.scalarText == "none" {
        policy.notices[occasion] = nil
      } else if let map = value.map() {
        policy.notices[occasion] = receivers(
          map,
          name: occasion.name,
          attempts: 4,
          intervalMilliseconds: 1_800_000,
          &references
        )
      }
    }
  }

  private func situation(
    _ map: YAMLMap,
    id: String,
    _ references: inout [Reference]
  ) -> ResponsePolicy.Situation? {
    defer { map.finish() }
    let name = map.required("name")?.text()
    let when = matcher(map["when"])
    let parts = map["group-by"].flatMap { sharedParts($0) } ?? 2
    let wait = map["wait"]?.milliseconds() ?? 0
    guard let value = map.required("chain"), let chain = value.string() else { return nil }
    references.append(Reference(kind: "chain", kindZh: "叫应链", name: chain, value: value))
    guard let name else { return nil }
    return ResponsePolicy.Situation(
      id: id,
      name: name,
      when: when,
      chain: chain,
      groupParts: parts,
      waitMilliseconds: wait
    )
  }

  private static let parts = ["everything", "enterprise", "site", "area", "device", "point"]

  private func sharedParts(_ value: YAMLValue) -> Int? {
    guard let text = value.string() else { return nil }
    guard let parts = Self.parts.firstIndex(of: text) else {
      value.report(.notOneOf(text: text, choices: Self.parts))
      return nil
    }
    return parts
  }

  private func matcher(_ value: YAMLValue?) -> ResponsePolicy.Matcher {
    var matcher = ResponsePolicy.Matcher()
    guard let map = value?.map() else { return matcher }
    defer { map.finish() }
    if let value = map["path"], let path = value.string() {
      matcher.path = path
      names.check(path: path, at: value)
    }
    for value in map["rules"]?.list() ?? [] {
      guard let rule = value.string() else { continue }
      matcher.rules.append(rule)
      names.check(rule: rule, at: value)
    }
    if let priority = map["priority"]?.priority() {
      matcher.minimumPriority = Int(priority.rawValue)
    }
    if let value = map["up-to"], let priority = value.priority() {
      matcher.maximumPriority = Int(priority.rawValue)
      if matcher.maximumPriority < matcher.minimumPriority {
        value.report(.prioritiesReversed, as: .warning)
      }
    }
    return matcher
  }

  // MARK: - Hazards, clocks, inhibitions, retention

  private func hazard(_ map: YAMLMap) -> ResponsePolicy.HazardRule {
    defer { map.finish() }
    var rule = ResponsePolicy.HazardRule(
      when: matcher(map["when"]),
      immediateFromPriority: 5,
      standingMilliseconds: map["standing"]?.milliseconds() ?? 0,
      repeatCount: 0,
      repeatMilliseconds: 86_400_000,
      majorRules: [:]
    )
    if let priority = map["immediate-from"]?.priority() {
      rule.immediateFromPriority = Int(priority.rawValue)
    }
    if let entry = map["repeat"]?.map() {
      rule.repeatCount = entry.required("count")?.integer(in: 2...1_000) ?? 0
      rule.repeatMilliseconds = entry.required("within")?.milliseconds() ?? 86_400_000
      entry.finish()
    }
    for (id, _, value) in map["major-rules"]?.map()?.entries() ?? [] {
      rule.majorRules[id] = value.string()
    }
    return rule
  }

  private func report(_ map: YAMLMap, id: String) -> ResponsePolicy.ReportDuty {
    defer { map.finish() }
    var upper: [ResponsePolicy.ReportDuty.Upper] = []
    for value in map["upper"]?.list() ?? [] {
      guard let entry = value.map() else { continue }
      defer { entry.finish() }
      let name = entry.required("name")?.text()
      let within = entry["within"]?.milliseconds() ?? 7_200_000
      guard let name else { continue }
      upper.append(ResponsePolicy.ReportDuty.Upper(name: name, withinMilliseconds: within))
    }
    return ResponsePolicy.ReportDuty(
      id: id,
      when: matcher(map["when"]),
      withinMilliseconds: map["within"]?.milliseconds() ?? 3_600_000,
      warningsMilliseconds: (map["warnings"]?.list() ?? []).compactMap { $0.milliseconds() },
      upper: upper,
      supplementMilliseconds: map["supplement"]?.milliseconds() ?? 0
    )
  }

  private func inhibition(_ map: YAMLMap, id: String) -> ResponsePolicy.InhibitionRule {
    defer { map.finish() }
    return ResponsePolicy.InhibitionRule(
      id: id,
      cause: matcher(map.required("cause")),
      consequence: matcher(map["consequence"]),
      sharedParts: map["share"].flatMap { sharedParts($0) } ?? 4
    )
  }

  private func retention(_ map: YAMLMap, id: String) -> ResponsePolicy.Retention? {
    defer { map.finish() }
    let after = map.required("after")?.milliseconds()
    let reason = map.required("reason")?.string()
    let limit = map["limit"]?.integer(in: 1...1_000_000) ?? 100_000
    guard let after, let reason else { return nil }
    return ResponsePolicy.Retention(
      rule: id,
      afterMilliseconds: after,
      reason: reason,
      limit: limit
    )
  }
}

extension YAMLValue {
  /// A time of day, `08:00` to `24:00`, in minutes after midnight.
  fileprivate func minuteOfDay() -> Int? {
    guard let text = string() else { return nil }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 2, parts[1].count == 2, let hour = Int(parts[0]), let minute = Int(parts[1]),
      (0...23).contains(hour) && (0...59).contains(minute) || hour == 24 && minute == 0
    {
      return hour * 60 + minute
    }
    report(
      .wrongType(
        expected: "a time of day (\"08:00\")",
        expectedZh: "一天中的时刻（\"08:00\"）",
        found: text
      )
    )
    return nil
  }
}
