import Accounts
import DeviceCatalog
import Foundation
import HTTPTypes
public import HazardLedger
import Hummingbird
import Logging
import Station

/// The call-out channels as they run; who runs them answers.
public protocol ChannelAccess: Sendable {
  /// Each channel with its figures and its heartbeat.
  func channels() async -> HazardLedger.JSONValue
  /// Messages that no channel has taken, newest first.
  func deadLetters() async -> HazardLedger.JSONValue
  /// What was sent lately, newest first.
  func deliveries() async -> HazardLedger.JSONValue
  /// Sends a test message; nil for a channel that there is none.
  func test(_ channel: String, by person: String) async -> HazardLedger.JSONValue?
  /// Runs the channels as the register has them now; false when those before stay in force.
  func refresh() async -> Bool
}

/// Channels, dead letters, deliveries, the test message, and changing channels.
struct ChannelRoutes: Sendable {
  let station: any StationAccess
  let channels: (any ChannelAccess)?
  let register: ChannelRegister?
  let commands: DeskCommands
  let logger: Logger

  /// Contacts and their addresses are nothing for an enterprise's eyes.
  private static let readers: Set<Role> = [.administrator, .county, .sector, .city, .auditor]
  /// Names that the addresses below `/channels` have taken.
  private static let takenNames: Set<String> = ["dead-letters", "deliveries"]

  // MARK: - How they do

  /// `GET /api/v1/channels`.
  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(Self.readers)
    try request.refuseOtherParameters(than: [])
    let rows = await channels?.channels().elements ?? []
    let entries = register?.entries() ?? []
    let known = Dictionary(entries.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let running = rows.map { row -> HazardLedger.JSONValue in
      var members = row.members ?? [:]
      guard let entry = known[row["name"]?.text ?? ""] else { return row }
      members["origin"] = .string(entry.origin.rawValue)
      members["notice"] = .string(entry.notice)
      members["usedBy"] = .array(chains(entry.name).map { .string($0) })
      members["settings"] = settings(entry)
      return .object(members)
    }
    let idle = entries.filter { $0.channel == nil }.map { entry -> HazardLedger.JSONValue in
      .object([
        "name": .string(entry.name), "removed": .bool(entry.isRemoved),
        "fault": .string(entry.fault), "usedBy": .array(chains(entry.name).map { .string($0) }),
      ])
    }
    let named = Set(
      station.catalog.response.chains.values.flatMap { $0.levels.flatMap(\.channels) }
    )
    let missing = named.subtracting(entries.filter { $0.channel != nil }.map(\.name)).sorted()
    return Response(
      json: HazardLedger.JSONValue.object([
        "channels": .array(running), "idle": .array(idle),
        "missing": .array(missing.map { .string($0) }),
      ]).canonicalBytes()
    )
  }

  /// `GET /api/v1/channels/dead-letters`.
  func deadLetters(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(Self.readers)
    return try await answer("deadLetters", request, context) { await $0.deadLetters() }
  }

  /// `GET /api/v1/channels/deliveries`.
  func deliveries(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(Self.readers)
    return try await answer("deliveries", request, context) { await $0.deliveries() }
  }

  /// `POST /api/v1/channels/{name}/test`.
  func test(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(.administrator, .county, .city)
    let name = try context.pathParameter("name")
    guard let channels,
      let outcome = await channels.test(name, by: try context.principal.displayName)
    else { throw Self.unknown(name) }
    return Response(json: outcome.canonicalBytes())
  }

  private func answer(
    _ name: String,
    _ request: Request,
    _ context: ConsoleContext,
    _ value: (any ChannelAccess) async -> HazardLedger.JSONValue
  ) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let list = if let channels { await value(channels) } else { HazardLedger.JSONValue.array([]) }
    let shown = try await shown(list.elements ?? [], to: try context.scope)
    return Response(json: HazardLedger.JSONValue.object([name: .array(shown)]).canonicalBytes())
  }

  /// Messages that are of calls and notices in a scope, or of none: tests and heartbeats.
  private func shown(
    _ messages: [HazardLedger.JSONValue],
    to scope: LedgerScope
  ) async throws -> [HazardLedger.JSONValue] {
    guard scope != .everything else { return messages }
    return try await BlockingWork.run { [station] in
      let ledger = ScopedLedger(station.ledger, scope: scope)
      return try messages.compactMap { message -> HazardLedger.JSONValue? in
        if let id = message["dispatch"]?.text {
          return try ledger.includes(dispatch: id) ? message : nil
        }
        guard var members = message.members, let all = message["dispatches"]?.elements else {
          return nil
        }
        // One message may carry the calls of several enterprises.
        let own = try all.filter { try ledger.includes(dispatch: $0.text ?? "") }
        guard all.isEmpty || !own.isEmpty else { return nil }
        members["dispatches"] = .array(own)
        return .object(members)
      }
    }
  }

  /// Chains that call by a channel.
  private func chains(_ name: String) -> [String] {
    station.catalog.response.chains.values
      .filter { $0.levels.contains { $0.channels.contains(name) } }.map(\.id).sorted()
  }

  private static func unknown(_ name: String) -> Problem {
    Problem(.notFound, "unknown-channel", "there is no channel \(name)")
  }

  /// What everybody may see of a channel's settings.
  private func settings(_ entry: ChannelRegister.Entry) -> HazardLedger.JSONValue {
    guard let register, let channel = entry.channel else { return .null }
    let section = register.section
    let target: String? =
      switch channel.kind {
      // A robot's address is its secret, and what stands behind a host may hold one.
      case .dingtalk, .wecom, .feishu: nil
      case .webhook, .http: URL(string: channel.url)?.host()
      case .smtp: "\(channel.host):\(channel.port)"
      case .mqtt: channel.topic
      }
    let heartbeat = channel.hasHeartbeat ? section.heartbeatMinute : nil
    let clock = heartbeat.map { minute in
      let digits = [minute / 60, minute % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
      return digits.joined(separator: ":") + " " + section.timeZone
    }
    let operators = channel.operators.isEmpty ? section.operators : channel.operators
    return .object([
      "file": .string(register.serviceFile),
      "section": .string("callout.channels.\(channel.name)"),
      "target": target.map { .string($0) } ?? .null,
      "rates": .array(
        channel.effectiveRates.map { .string("\($0.count) / \($0.milliseconds / 1_000) s") }
      ),
      "groupMilliseconds": .integer(channel.groupMilliseconds ?? Self.usualGroup),
      "attempts": .integer(Int64(channel.attempts ?? Self.usualAttempts)),
      "operators": .array(operators.map { .string($0.name) }),
      "heartbeat": clock.map { .string($0) } ?? .null,
    ])
  }

  /// What the dispatcher takes where a channel says nothing.
  private static let usualGroup: Int64 = 30_000
  private static let usualAttempts = 5

  // MARK: - Changing them

  // The channels call for every enterprise: whoever sees a part of the station does not change them.

  /// `GET /api/v1/channels/{name}`: with ETag.
  func one(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(.administrator)
    try request.refuseOtherParameters(than: [])
    let name = try context.pathParameter("name")
    guard let entry = entry(name) else { throw Self.unknown(name) }
    return answer(entry)
  }

  /// `PUT /api/v1/channels/{name}`, with If-Match; a new one with If-None-Match: *.
  func put(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(.administrator)
    try context.requireWholeStation()
    let name = try context.pathParameter("name")
    guard let register else { throw Self.closed }
    let current = entry(name)
    try holdVersion(request, name, current)
    // As it was when the tag was held against it: the body may take its time.
    let seen = current?.version ?? register.version(name)
    guard !Self.takenNames.contains(name) else {
      throw Problem(
        .unprocessableContent,
        "channel-setting",
        "the name \(name) is taken by the API"
      )
    }
    let body = try await body(request)
    guard let wish = body["setting"]?.members else {
      throw Problem(.unprocessableContent, "incomplete", "setting: must be an object")
    }
    let secrets = body["secrets"]?.members ?? [:]
    let editor = ChannelEditor(register: register, name: name, current: current, logger: logger)
    let prepared = try editor.prepare(wish, secrets: secrets)
    do {
      // Another kind reaches other persons, by other addresses: the channel as it was is gone.
      if let former = current?.channel?.kind, prepared.setting["kind"]?.text != former.rawValue {
        try holdLast(name)
      }
    } catch {
      discard(prepared.written)
      throw error
    }
    var members = try who(body, context)
    members["added"] = .bool(register.file(name) == nil)
    members["setting"] = .object(prepared.setting)
    members["secrets"] = .object(prepared.secrets.mapValues { .string($0) })
    do {
      try await submit("channel", members, name, seen: seen)
    } catch let problem as Problem where problem.journalSequence == nil {
      // Refused for good: nothing will ever use what was put aside for it.
      discard(prepared.written)
      throw problem
    }
    let kept = Set(prepared.secrets.values)
    // First the new, then away with the old: a call may be on its way by it.
    if await channels?.refresh() ?? true {
      discard((current?.secrets ?? [:]).values.filter { !kept.contains($0) })
    }
    guard let entry = entry(name) else { throw Self.unknown(name) }
    return answer(entry)
  }

  /// `POST /api/v1/channels/{name}/remove`, with If-Match.
  func remove(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let name = try await end("channel-remove", request, context)
    return Response(
      json: JSONWriter.object { writer in
        writer.member("name", name)
        writer.member("removed", true)
      }
    )
  }

  /// `POST /api/v1/channels/{name}/reset`, with If-Match: the service file's channel again.
  func reset(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    if let register, let name = try? context.pathParameter("name"), entry(name) != nil,
      register.file(name) == nil
    {
      throw Problem(
        .conflict,
        "refused-state",
        "the service file has no channel \(name) to go back to; it can be removed"
      )
    }
    let name = try await end("channel-reset", request, context)
    guard let entry = entry(name) else { throw Self.unknown(name) }
    return answer(entry)
  }

  private func end(
    _ verb: String,
    _ request: Request,
    _ context: ConsoleContext
  ) async throws -> String {
    try context.require(.administrator)
    try context.requireWholeStation()
    let name = try context.pathParameter("name")
    guard let current = entry(name) else { throw Self.unknown(name) }
    try holdVersion(request, name, current)
    // The service file's channel may be of another kind, which reaches other persons, or may not be there.
    let isOther = current.channel.map { $0.kind != register?.file(name)?.kind } ?? false
    if verb == "channel-remove" || isOther { try holdLast(name) }
    var members = try who(try await body(request), context)
    members["added"] = .bool(register?.file(name) == nil)
    try await submit(verb, members, name, seen: current.version)
    if await channels?.refresh() ?? true { discard(Array(current.secrets.values)) }
    return name
  }

  /// Refuses to take the last channel away while a chain or a notice counts on whatever channels there are.
  private func holdLast(_ name: String) throws {
    let others = register?.entries().filter { $0.channel != nil && $0.name != name } ?? []
    let response = station.catalog.response
    let levels = response.chains.values.flatMap(\.levels) + response.notices.values
    // Chains that name it are the desk's to see.
    guard !response.notices.values.contains(where: { $0.channels.contains(name) }) else {
      throw Problem(.conflict, "refused-in-use", "notices go by \(name); change them first")
    }
    guard others.isEmpty, entry(name)?.channel != nil, levels.contains(where: \.channels.isEmpty)
    else { return }
    throw Problem(
      .conflict,
      "last-channel",
      "\(name) is the last channel that can be used, and chains call by whatever there is; add another first"
    )
  }

  private static let closed = Problem(
    .notFound,
    "no-channels",
    "this station runs without channels that can be changed"
  )

  private func entry(_ name: String) -> ChannelRegister.Entry? {
    register?.entries().first { $0.name == name }
  }

  /// Holds a change to what its maker has seen.
  private func holdVersion(
    _ request: Request,
    _ name: String,
    _ current: ChannelRegister.Entry?
  ) throws {
    guard let current else {
      guard request.headers[.ifMatch] == nil, request.headers[.ifNoneMatch] == "*" else {
        throw Problem(
          .preconditionRequired,
          "if-none-match",
          "there is no channel \(name); send If-None-Match: * to add it"
        )
      }
      return
    }
    guard let tag = request.headers[.ifMatch] else {
      throw Problem(
        request.headers[.ifNoneMatch] == nil ? .preconditionRequired : .preconditionFailed,
        "if-match",
        "\(name) exists; send the ETag that you have seen as If-Match"
      )
    }
    guard tag == current.tag else {
      throw Problem(
        .preconditionFailed,
        "changed-meanwhile",
        "\(name) was changed meanwhile; look at it again"
      )
    }
  }

  private func body(_ request: Request) async throws -> [String: HazardLedger.JSONValue] {
    let mediaType = request.headers[.contentType] ?? ""
    guard mediaType.lowercased().split(separator: ";").first == "application/json" else {
      throw Problem(.unsupportedMediaType, "not-json", "send the act as application/json")
    }
    let buffer = try await request.body.collect(upTo: DeskCommands.maximumBody)
    return try DeskCommands.object(Array(buffer.readableBytesView))
  }

  /// The act without anything of the body but who acts and why: what else stands there may be secret.
  private func who(
    _ body: [String: HazardLedger.JSONValue],
    _ context: ConsoleContext
  ) throws -> [String: HazardLedger.JSONValue] {
    var members: [String: HazardLedger.JSONValue] = ["role": .string("administrator")]
    members["actor"] = body["actor"]
    members["reason"] = body["reason"]
    try context.identify(&members, at: nil)
    return members
  }

  private func submit(
    _ verb: String,
    _ members: [String: HazardLedger.JSONValue],
    _ name: String,
    seen: UInt64
  ) async throws {
    var members = members
    members["channel"] = .string(name)
    members["version"] = .integer(Int64(seen))
    let payload = HazardLedger.JSONValue.object(members).canonicalBytes()
    _ = try await commands.submit(verb, payload, .register) { _, _ in }
  }

  private func discard(_ identities: [String]) {
    do {
      try register?.secrets.remove(identities.filter { $0 != ChannelBoard.fileSecret })
    } catch {
      logger.error("secrets that nothing uses are not deleted", metadata: ["error": "\(error)"])
    }
  }

  private func answer(_ entry: ChannelRegister.Entry) -> Response {
    let kind = entry.channel?.kind
    let secrets = kind.map(ChannelSetting.secrets(of:)) ?? []
    let setting = entry.channel.map {
      HazardLedger.JSONValue.object(ChannelSetting.json($0, showsAll: false))
    }
    var response = Response(
      json: HazardLedger.JSONValue.object([
        "name": .string(entry.name), "origin": .string(entry.origin.rawValue),
        "removed": .bool(entry.isRemoved), "fault": .string(entry.fault),
        "notice": .string(entry.notice), "setting": setting ?? .null,
        "hidden": .array(
          (entry.channel.map(ChannelSetting.hidden) ?? []).map { .string($0) }
        ),
        "secrets": .array(
          secrets.map { secret in
            .object([
              "name": .string(secret.name), "required": .bool(secret.isRequired),
              "set": .bool(entry.secrets[secret.name] != nil),
            ])
          }
        ),
        "usedBy": .array(chains(entry.name).map { .string($0) }),
        "file": .string(register?.serviceFile ?? ""),
      ]).canonicalBytes()
    )
    response.headers[.eTag] = entry.tag
    return response
  }
}

extension ScopedLedger {
  /// Whether the call-out or notice that a dispatch is of, by its id up to the last `#`, is in the scope.
  fileprivate func includes(dispatch id: String) throws -> Bool {
    guard let end = id.lastIndex(of: "#") else { return false }
    let subject = String(id[..<end])
    return try matter(subject.hasPrefix("notice/") ? .notice : .callout, id: subject) != nil
  }
}
