import Telemetry

extension CalloutStep {
  /// The body of the step's entry; the first step carries the plan, so that the ledger alone rebuilds it.
  public func encoded(plan: CalloutPlan?, subject: CalloutSubject? = nil) -> [UInt8] {
    var members: [String: JSONValue] = ["event": .string(event.rawValue)]
    if level > 0 { members["level"] = .integer(Int64(level)) }
    if attempt > 0 { members["attempt"] = .integer(Int64(attempt)) }
    if dispatch > 0 { members["dispatch"] = .integer(Int64(dispatch)) }
    if !person.isEmpty { members["person"] = .string(person) }
    if inDoubt { members["inDoubt"] = .bool(true) }
    if !text.isEmpty { members["text"] = .string(text) }
    if priority > 0, subject == nil { members["priority"] = .integer(Int64(priority)) }
    if !persons.isEmpty { members["persons"] = .strings(persons) }
    if let plan { members["plan"] = plan.json }
    if let subject {
      members["place"] = .string(subject.place)
      members["priority"] = .integer(Int64(subject.priority))
      members["situation"] = .string(subject.situation)
      members["subjects"] = .strings(subject.subjects)
      members["say"] = subject.text.json
    }
    return JSONValue.object(members).canonicalBytes()
  }

  fileprivate init(_ json: JSONValue, time: Timestamp) throws(BodyError) {
    self.init(event: try json.name("event"), time: time)
    level = Int(json["level"]?.wholeNumber ?? 0)
    attempt = Int(json["attempt"]?.wholeNumber ?? 0)
    dispatch = Int(json["dispatch"]?.wholeNumber ?? 0)
    person = json["person"]?.text ?? ""
    inDoubt = json["inDoubt"]?.truth ?? false
    text = json["text"]?.text ?? ""
    persons = json.texts("persons")
    if event == .joined { priority = Int(json["priority"]?.wholeNumber ?? 0) }
  }
}

extension CalloutPlan {
  fileprivate var json: JSONValue {
    .object([
      "feedbackAfter": .integer(feedbackAfterMilliseconds),
      "levels": .array(
        levels.map {
          .object([
            "name": .string($0.name), "persons": .strings($0.persons),
            "attempts": .integer(Int64($0.attempts)), "interval": .integer($0.intervalMilliseconds),
          ])
        }
      ),
    ])
  }

  fileprivate init(_ json: JSONValue) throws(BodyError) {
    let levels = try (json["levels"]?.elements ?? []).map { level throws(BodyError) in
      Level(
        name: try level.text("name"),
        persons: level.texts("persons"),
        attempts: Int(try level.whole("attempts")),
        intervalMilliseconds: try level.whole("interval")
      )
    }
    guard !levels.isEmpty else {
      throw BodyError(what: "call-out plan", detail: "no level to call")
    }
    self.init(levels: levels, feedbackAfterMilliseconds: try json.whole("feedbackAfter"))
  }
}

extension Callout {
  /// Drafts of steps, to be stored before anybody acts on them.
  public func drafts(of steps: [CalloutStep], origin: UInt64) -> [LedgerDraft] {
    steps.map { step in
      let isPersonal = [.confirmed, .cancelled, .feedback].contains(step.event)
      return LedgerDraft(
        time: step.time,
        kind: .callout,
        subject: id,
        actor: isPersonal ? step.person : "engine",
        body: step.event == .started
          ? step.encoded(plan: plan, subject: subject) : step.encoded(plan: nil),
        origin: origin
      )
    }
  }

  /// Rebuilds a call-out from its entries; nil without any.
  ///
  /// Entries of other kinds about it, such as a refused act, are passed over.
  public init?(replaying entries: [LedgerEntry]) throws(BodyError) {
    var callout: Callout?
    for entry in entries where entry.kind == .callout {
      let json: JSONValue
      do throws(JSONSyntaxError) {
        json = try JSONValue(parsing: entry.body ?? [])
      } catch {
        throw BodyError(what: "call-out body", detail: error.description)
      }
      if let plan = json["plan"] {
        callout = Callout(
          id: entry.subject,
          plan: try CalloutPlan(plan),
          subject: CalloutSubject(
            situation: json["situation"]?.text ?? "",
            place: json["place"]?.text ?? "",
            priority: Int(json["priority"]?.wholeNumber ?? 4),
            subjects: json.texts("subjects"),
            text: CalloutDispatch.Text(json["say"])
          )
        )
      }
      guard callout != nil else {
        throw BodyError(what: "call-out \(entry.subject)", detail: "does not begin with its plan")
      }
      callout?.replay(try CalloutStep(json, time: entry.time))
    }
    guard let callout else { return nil }
    self = callout
  }
}
