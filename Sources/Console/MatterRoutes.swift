import DeviceCatalog
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Call-outs (叫应), clocks, notices and silences: lists, one with its entries, and what people do with them.
struct MatterRoutes: Sendable {
  let station: any StationAccess
  let commands: DeskCommands

  /// Most entries of one matter in an answer; the rest is reached by `/entries`.
  static let maximumSteps = 1_000

  private func page(
    _ request: Request,
    _ context: ConsoleContext,
    _ kind: EntryKind,
    named name: String,
    _ write: @escaping @Sendable (inout JSONWriter, Item) -> Void
  ) async throws -> Response {
    try request.refuseOtherParameters(than: ["open", "place", "before", "limit"])
    let filter = MatterFilter(
      kind: kind,
      openOnly: try request.flag("open"),
      places: try request.parameter("place").map { [$0] } ?? []
    )
    let cursor = try request.integer("before", in: 1...Int64.max)
    let limit = Int(try request.integer("limit", in: 1...200) ?? 50)
    let scope = try context.scope
    let items = try await BlockingWork.run { [station] in
      try ScopedLedger(station.ledger, scope: scope).matters(
        filter,
        before: cursor,
        limit: limit
      ).map {
        let entries = try station.ledger.entries(of: $0.id, after: 0, limit: Self.maximumSteps)
        // One that another release wrote must not hide those that are calling now.
        do throws(LedgerError) {
          return try Item(view: $0, entries: entries)
        } catch {
          return Item(view: $0, unreadable: "\(error)")
        }
      }
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.key(name)
        writer.array(items) { writer, item in
          writer.object { writer in
            item.view.write(to: &writer)
            write(&writer, item)
            if let fault = item.unreadable { writer.member("unreadable", fault) }
          }
        }
        writer.member("next", items.count < limit ? nil : items.last?.view.firstSequence)
      }
    )
  }

  private func one(
    _ request: Request,
    _ context: ConsoleContext,
    _ kind: EntryKind,
    _ write: @escaping @Sendable (inout JSONWriter, Item) -> Void
  ) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let id = try context.pathParameter("id")
    let scope = try context.scope
    let item = try await BlockingWork.run { [station] in
      try ScopedLedger(station.ledger, scope: scope).matter(kind, id: id).map {
        try Item(
          view: $0,
          entries: try station.ledger.entries(of: id, after: 0, limit: Self.maximumSteps)
        )
      }
    }
    guard let item else {
      throw Problem(.notFound, "unknown-\(kind.rawValue)", "the ledger has no \(id)")
    }
    return Response(
      json: JSONWriter.object { writer in
        item.view.write(to: &writer)
        write(&writer, item)
        writer.key("entries")
        writer.array(item.entries) { writer, entry in writer.object(entry.write) }
        writer.member("entriesComplete", item.entries.count < Self.maximumSteps)
      }
    )
  }

  private func post(
    _ request: Request,
    _ context: ConsoleContext,
    _ verb: String,
    _ member: String
  ) async throws -> Response {
    let id = try context.pathParameter("id")
    let scope = try context.scope
    let kind: EntryKind = member == "callout" ? .callout : member == "clock" ? .clock : .silence
    let matter = try await BlockingWork.run { [station] in
      try ScopedLedger(station.ledger, scope: scope).matter(kind, id: id)
    }
    guard let matter else {
      throw Problem(.notFound, "unknown-\(member)", "the ledger has no \(id)")
    }
    return try await commands.respond(
      to: request,
      context,
      verb: verb,
      fixed: [member: .string(id)],
      at: matter.place,
      answer: { writer, _ in writer.member(member, id) }
    )
  }

  // MARK: - Call-outs

  /// `GET /api/v1/callouts`.
  func callouts(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await page(request, context, .callout, named: "callouts") { $1.writeCallout(to: &$0) }
  }

  /// `GET /api/v1/callouts/{id}`.
  func callout(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await one(request, context, .callout) { $1.writeCallout(to: &$0) }
  }

  /// `POST /api/v1/callouts`: begins one by hand.
  func call(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await commands.respond(
      to: request,
      context,
      verb: "call",
      status: .created,
      check: { try requirePlace(of: $0, context) }
    )
  }

  /// Holds a call-out to a place that the caller sees: he would not see what becomes of one of the whole station.
  private func requirePlace(
    of call: [String: HazardLedger.JSONValue],
    _ context: ConsoleContext
  ) throws {
    try Self.requirePath("place", of: call, context)
    guard try context.scope != .everything, let place = call["place"]?.text else { return }
    // A scope may name an enterprise that this station has never heard of: people are called here for what is here, or what
    // stations below tell of.
    let enterprise = LedgerScope.enterprise(ofPath: place)
    let isKnown =
      station.catalog.enterprises.contains { $0.id == enterprise }
      || station.hasStationsBelow
    guard isKnown else {
      throw Problem(.notFound, "unknown-place", "place: no enterprise \(enterprise) in the catalog")
    }
  }

  /// `POST /api/v1/callouts/{id}/confirm`.
  func confirm(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await post(request, context, "confirm", "callout")
  }

  /// `POST /api/v1/callouts/{id}/cancel`.
  func cancel(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await post(request, context, "cancel", "callout")
  }

  /// `POST /api/v1/callouts/{id}/feedback`.
  func feedback(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await post(request, context, "feedback", "callout")
  }

  // MARK: - Clocks

  /// `GET /api/v1/clocks`.
  func clocks(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await page(request, context, .clock, named: "clocks") { $1.writeClock(to: &$0) }
  }

  /// `GET /api/v1/clocks/{id}`: with the pre-filled draft of a report.
  func clock(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await one(request, context, .clock) { $1.writeClock(to: &$0) }
  }

  /// `POST /api/v1/clocks/{id}/report`.
  func report(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await post(request, context, "report", "clock")
  }

  /// `POST /api/v1/clocks/{id}/supplement`.
  func supplement(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await post(request, context, "supplement", "clock")
  }

  // MARK: - Notices

  /// `GET /api/v1/notices`: what clocks and overdue hazards had to tell, to whom, and what became of it.
  func notices(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await page(request, context, .notice, named: "notices") { $1.writeNotice(to: &$0) }
  }

  /// `GET /api/v1/notices/{id}`.
  func notice(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await one(request, context, .notice) { $1.writeNotice(to: &$0) }
  }

  // MARK: - Silences

  /// `GET /api/v1/silences`.
  func silences(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await page(request, context, .silence, named: "silences") { $1.writeSilence(to: &$0) }
  }

  /// `POST /api/v1/silences`.
  func silence(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await commands.respond(
      to: request,
      context,
      verb: "silence",
      status: .created,
      check: { try Self.requireShare(of: $0, context) }
    ) { writer, receipt in
      writer.member("silence", "silence/\(receipt.journalSequence)")
    }
  }

  /// What a silence may say; `enterprise` is put in here.
  private static let silenceMembers: Set<String> = [
    "actor", "role", "enterprise", "reason", "path", "rules", "minimumPriority", "maximumPriority",
    "until",
  ]

  /// Holds a silence to the share of whoever sets it, and to the members that narrow it down.
  ///
  /// What is left out makes it wider, the whole station without a path: so a misspelt member is refused.
  private static func requireShare(
    of silence: [String: HazardLedger.JSONValue],
    _ context: ConsoleContext
  ) throws {
    if let other = silence.keys.filter({ !silenceMembers.contains($0) }).min() {
      let known = silenceMembers.subtracting(["enterprise"]).sorted().joined(separator: ", ")
      throw Problem(
        .unprocessableContent,
        "unknown-member",
        "\(other): is not known here; known: \(known)"
      )
    }
    try requirePath("path", of: silence, context)
  }

  /// Refuses an act that names no path, or another's, by whoever does not see the whole station.
  private static func requirePath(
    _ member: String,
    of act: [String: HazardLedger.JSONValue],
    _ context: ConsoleContext
  ) throws {
    guard try context.scope != .everything else { return }
    guard let path = act[member]?.text, !path.isEmpty else {
      throw Problem(
        .unprocessableContent,
        "incomplete",
        "\(member): must be given, for the whole station is beyond your scope"
      )
    }
    try context.requireInScope(
      path: path,
      else: Problem(.forbidden, "scope", "\(path) is not in your share")
    )
  }

  /// `POST /api/v1/silences/{id}/end`.
  func unsilence(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await post(request, context, "unsilence", "silence")
  }

  /// `GET /api/v1/alarms/quiet`: standing alarms of which nobody is notified, and by what.
  func quiet(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let inhibitions = station.catalog.inhibitions
    let now = WallClock.now()
    let scope = try context.scope
    let found = try await BlockingWork.run { [station] in
      let open = try station.ledger.matters(
        MatterFilter(kind: .silence, openOnly: true),
        before: nil,
        limit: 1_000
      )
      let silences = try open.compactMap { view in
        try station.ledger.entries(of: view.id, after: 0, limit: 1).first
          .map { try Silence(decoding: $0) }
      }
      let alarms = try station.ledger.standingAlarms()
      let policy = NotificationPolicy(silences: silences, inhibitions: inhibitions)
      return zip(alarms, policy.verdicts(for: alarms, at: now)).filter {
        $0.1 != .notify && scope.includes(path: $0.0.point)
      }
      .map { (alarm: $0.0.id, verdict: $0.1) }
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.key("quiet")
        writer.array(found) { writer, item in
          writer.object { writer in
            writer.member("alarm", item.alarm)
            switch item.verdict {
            case .silenced(let id): writer.member("silence", id)
            case .inhibited(let id, let cause):
              writer.member("inhibition", id)
              writer.member("cause", cause)
            case .notify: break
            }
          }
        }
      }
    )
  }

  /// A matter with its entries.
  struct Item: Sendable {
    let view: MatterView
    let entries: [LedgerEntry]
    private let bodies: [HazardLedger.JSONValue]
    /// Of a call-out, where it stands: the fold of its entries.
    private let callout: Callout?
    /// Why the entries cannot be read; then the view alone is shown.
    let unreadable: String?

    /// Stands for a matter whose entries cannot be read.
    init(view: MatterView, unreadable: String) {
      self.view = view
      self.unreadable = unreadable
      entries = []
      bodies = []
      callout = nil
    }

    /// Reads the entries of a matter.
    ///
    /// - Throws: ``LedgerError/refused(reason:)`` where an entry's body cannot be read: half of a matter is not shown as
    ///   the whole.
    init(view: MatterView, entries: [LedgerEntry]) throws(LedgerError) {
      self.view = view
      self.entries = entries
      unreadable = nil
      var bodies: [HazardLedger.JSONValue] = []
      // A refused act is among the entries, but no step; a body that was pruned says nothing any more.
      for entry in entries where entry.kind == view.kind {
        guard let body = entry.body else { continue }
        do throws(JSONSyntaxError) {
          bodies.append(try HazardLedger.JSONValue(parsing: body))
        } catch {
          throw .refused(reason: "entry \(entry.sequence): \(error)")
        }
      }
      self.bodies = bodies
      do throws(BodyError) {
        callout = view.kind == .callout ? try Callout(replaying: entries) : nil
      } catch {
        throw .refused(reason: "\(view.id): \(error)")
      }
    }

    /// Where a call-out stands.
    func writeCallout(to writer: inout JSONWriter) {
      guard let callout else { return }
      writer.member("status", callout.status.rawValue)
      writer.member("situation", callout.subject.situation)
      writer.member("priority", callout.subject.priority)
      writer.strings("subjects", callout.subject.subjects)
      writer.key("say")
      writer.object { writer in
        writer.member("zh", callout.subject.text.zh)
        writer.member("en", callout.subject.text.en)
      }
      writer.member("level", callout.level)
      writer.member("attempt", callout.attempt)
      writer.member("unanswered", callout.isUnanswered)
      writer.member("confirmedBy", callout.confirmedBy)
      writer.member("answerMilliseconds", callout.answerMilliseconds)
      writer.member("feedback", callout.feedback)
      writer.member("nextDeadline", callout.nextDeadline?.milliseconds)
      writer.key("levels")
      writer.array(callout.plan.levels) { writer, level in
        writer.object { writer in
          writer.member("name", level.name)
          writer.strings("persons", level.persons)
          writer.member("attempts", level.attempts)
          writer.member("intervalMilliseconds", level.intervalMilliseconds)
        }
      }
    }

    /// What a clock measures, until when, and the draft of its report.
    func writeClock(to writer: inout JSONWriter) {
      let bodies = bodies
      guard let started = bodies.last(where: { $0["event"]?.text == "started" }) else { return }
      writer.member("kind", started["kind"]?.text)
      writer.member("about", started["about"]?.text)
      writer.member("due", started["due"]?.wholeNumber)
      writer.member("duty", started["duty"]?.text)
      writer.member("name", started["name"]?.text)
      // A supplement that is noted, or a report that is made late, does not take back that it came due.
      let latest = bodies.last { ["started", "expired"].contains($0["event"]?.text) }
      writer.member("expired", latest?["event"]?.text == "expired")
      writer.key("draft")
      if let draft = started["draft"] {
        writer.raw(draft.canonicalBytes())
      } else {
        writer.null()
      }
      let stopped = bodies.last { $0["event"]?.text == "stopped" }
      writer.member("text", stopped?["text"]?.text)
      writer.member("late", stopped?["late"]?.wholeNumber)
    }

    /// What a notice says, and how it stands with each person.
    func writeNotice(to writer: inout JSONWriter) {
      let bodies = bodies
      guard let told = bodies.first else { return }
      writer.member("occasion", told["occasion"]?.text)
      writer.member("priority", told["priority"]?.wholeNumber)
      writer.strings("subjects", (told["subjects"]?.elements ?? []).compactMap(\.text))
      for member in ["title", "say"] {
        writer.key(member)
        writer.raw((told[member] ?? .object([:])).canonicalBytes())
      }
      writer.key("persons")
      writer.array((told["persons"]?.elements ?? []).enumerated().map { $0 }) { writer, row in
        let last = bodies.last { $0["number"]?.wholeNumber == Int64(row.offset + 1) }
        writer.object { writer in
          writer.member("person", row.element.text)
          writer.member("state", last?["event"]?.text ?? "told")
          writer.member("attempt", last?["attempt"]?.wholeNumber ?? 1)
          writer.member("detail", last?["text"]?.text)
        }
      }
    }

    /// What a silence is about.
    func writeSilence(to writer: inout JSONWriter) {
      guard let set = bodies.first else { return }
      writer.member("author", entries.first?.actor)
      writer.member("reason", set["reason"]?.text)
      writer.member("until", set["until"]?.wholeNumber)
      writer.member("minimumPriority", set["minimumPriority"]?.wholeNumber)
      writer.member("maximumPriority", set["maximumPriority"]?.wholeNumber)
      writer.strings("rules", (set["rules"]?.elements ?? []).compactMap(\.text))
    }
  }
}
