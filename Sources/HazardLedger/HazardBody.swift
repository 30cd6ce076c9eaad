public import Telemetry

/// What an entry of kind ``EntryKind/hazard`` says: the registration, or one act with its outcome.
public enum HazardBody: Hashable, Sendable {
  /// 登记.
  case registered(HazardRegistration, by: HazardRole)
  /// An act, and the state it led to.
  case acted(HazardInput, to: HazardState)

  /// The body in canonical JSON; time and actor stand in the entry.
  public func encoded() -> [UInt8] {
    var members: [String: JSONValue]
    switch self {
    case .registered(let registration, let role):
      members = [
        "act": "register", "role": .string(role.rawValue), "state": "registered",
        "source": .string(registration.source.rawValue),
        "enterprise": .string(registration.enterprise), "place": .string(registration.place),
        "title": .string(registration.title), "alarms": .strings(registration.alarms),
      ]
      for (key, text) in [
        ("detail", registration.detail), ("ground", registration.ground),
        ("basis", registration.basis), ("parent", registration.parent),
      ] where !text.isEmpty {
        members[key] = .string(text)
      }
    case .acted(let input, let state):
      members = [
        "act": .string(input.act.rawValue), "role": .string(input.role.rawValue),
        "state": .string(state.rawValue),
      ]
      if !input.reason.isEmpty { members["reason"] = .string(input.reason) }
      if !input.evidence.isEmpty {
        members["evidence"] = .array(
          input.evidence.map {
            .object(["name": .string($0.name), "sha256": .string($0.sha256)])
          }
        )
      }
      if let grade = input.grade { members["grade"] = .string(grade.rawValue) }
      if !input.assignee.isEmpty { members["assignee"] = .string(input.assignee) }
      if let plan = input.plan { members["plan"] = plan.json }
      if let deadline = input.deadline { members["deadline"] = .integer(deadline.milliseconds) }
      if let level = input.level { members["level"] = .string(level.rawValue) }
      if !input.sites.isEmpty { members["sites"] = .strings(input.sites) }
    }
    return JSONValue.object(members).canonicalBytes()
  }

  /// Reads a body; subject, actor and time come from its entry.
  public init(decoding entry: LedgerEntry) throws(BodyError) {
    let json: JSONValue
    do throws(JSONSyntaxError) {
      json = try JSONValue(parsing: entry.body ?? [])
    } catch {
      throw BodyError(what: "hazard body", detail: error.description)
    }
    let role: HazardRole = try json.name("role")
    if json["act"]?.text == "register" {
      var registration = HazardRegistration(
        id: entry.subject,
        source: try json.name("source"),
        enterprise: try json.text("enterprise"),
        place: try json.text("place"),
        title: try json.text("title"),
        alarms: json.texts("alarms")
      )
      registration.detail = json["detail"]?.text ?? ""
      registration.ground = json["ground"]?.text ?? ""
      registration.basis = json["basis"]?.text ?? ""
      registration.parent = json["parent"]?.text ?? ""
      self = .registered(registration, by: role)
      return
    }
    var input = HazardInput(
      try json.name("act"),
      by: entry.actor,
      as: role,
      at: entry.time
    )
    input.reason = json["reason"]?.text ?? ""
    input.evidence = try (json["evidence"]?.elements ?? []).map { item throws(BodyError) in
      Evidence(name: try item.text("name"), sha256: try item.text("sha256"))
    }
    if json["grade"] != nil { input.grade = try json.name("grade") as HazardGrade }
    input.assignee = json["assignee"]?.text ?? ""
    if let plan = json["plan"] { input.plan = try RectificationPlan(plan) }
    input.deadline = json["deadline"]?.wholeNumber.map { Timestamp(milliseconds: $0) }
    if json["level"] != nil { input.level = try json.name("level") as ListingLevel }
    input.sites = json.texts("sites")
    self = .acted(input, to: try json.name("state"))
  }
}

extension LedgerDraft {
  /// The entry of a registration.
  public init(
    registering registration: HazardRegistration,
    by actor: String,
    as role: HazardRole,
    at time: Timestamp,
    origin: UInt64
  ) {
    self.init(
      time: time,
      kind: .hazard,
      subject: registration.id,
      actor: actor,
      body: HazardBody.registered(registration, by: role).encoded(),
      origin: origin
    )
  }

  /// The entry of an act that led to a state.
  public init(_ input: HazardInput, on id: String, to state: HazardState, origin: UInt64) {
    self.init(
      time: input.time,
      kind: .hazard,
      subject: id,
      actor: input.actor,
      body: HazardBody.acted(input, to: state).encoded(),
      origin: origin
    )
  }
}

extension Hazard {
  /// Rebuilds a hazard from its entries; nil without any.
  public init?(replaying entries: [LedgerEntry]) throws(BodyError) {
    var hazard: Hazard?
    for entry in entries where entry.kind == .hazard { try Self.replay(entry, onto: &hazard) }
    guard let hazard else { return nil }
    self = hazard
  }

  /// Adds one entry.
  static func replay(_ entry: LedgerEntry, onto hazard: inout Hazard?) throws(BodyError) {
    switch try HazardBody(decoding: entry) {
    case .registered(let registration, _):
      guard hazard == nil else {
        throw BodyError(what: "hazard \(entry.subject)", detail: "registered twice")
      }
      hazard = Hazard(registration, at: entry.time)
    case .acted(let input, let state):
      guard hazard != nil else {
        throw BodyError(what: "hazard \(entry.subject)", detail: "acted on before registration")
      }
      hazard?.record(input, to: state)
    }
  }
}

extension RectificationPlan {
  /// The plan as JSON, with the five members by name.
  public var json: JSONValue {
    .object([
      "responsible": .string(responsible), "measures": .string(measures),
      "funds": .string(funds), "deadline": .integer(deadline.milliseconds),
      "contingency": .string(contingency),
    ])
  }

  /// Reads a plan.
  public init(_ json: JSONValue) throws(BodyError) {
    self.init(
      responsible: try json.text("responsible"),
      measures: try json.text("measures"),
      funds: try json.text("funds"),
      deadline: Timestamp(milliseconds: try json.whole("deadline")),
      contingency: try json.text("contingency")
    )
  }
}

extension JSONValue {
  /// An array of strings.
  static func strings(_ texts: [String]) -> JSONValue {
    .array(texts.map { .string($0) })
  }

  /// The member's text, which must be there.
  func text(_ key: String) throws(BodyError) -> String {
    guard let text = self[key]?.text else {
      throw BodyError(what: "body", detail: "lacks the text \"\(key)\"")
    }
    return text
  }

  /// The member's whole number, which must be there.
  func whole(_ key: String) throws(BodyError) -> Int64 {
    guard let whole = self[key]?.wholeNumber else {
      throw BodyError(what: "body", detail: "lacks the whole number \"\(key)\"")
    }
    return whole
  }

  /// The member's name, which must be there and known.
  func name<Name: RawRepresentable>(_ key: String) throws(BodyError) -> Name
  where Name.RawValue == String {
    let text = try text(key)
    guard let name = Name(rawValue: text) else {
      throw BodyError(what: "body", detail: "\"\(key)\" is \"\(text)\", which is not known")
    }
    return name
  }

  /// The member's strings; empty without it.
  func texts(_ key: String) -> [String] {
    (self[key]?.elements ?? []).compactMap(\.text)
  }
}
