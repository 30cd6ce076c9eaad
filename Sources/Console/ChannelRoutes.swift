import Accounts
import HTTPTypes
public import HazardLedger
import Hummingbird
import Station

/// The call-out channels as the console shows them; who runs them answers.
public protocol ChannelAccess: Sendable {
  /// Each channel with its figures and its heartbeat.
  func channels() async -> HazardLedger.JSONValue
  /// Messages that no channel has taken, newest first.
  func deadLetters() async -> HazardLedger.JSONValue
  /// What was sent lately, newest first.
  func deliveries() async -> HazardLedger.JSONValue
  /// Sends a test message; nil for a channel that there is none.
  func test(_ channel: String, by person: String) async -> HazardLedger.JSONValue?
}

/// Channels, dead letters, deliveries, and the test message.
struct ChannelRoutes: Sendable {
  let channels: (any ChannelAccess)?

  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(Self.readers)
    return try await answer("channels", request) { await $0.channels() }
  }

  func deadLetters(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(Self.readers)
    return try await answer("deadLetters", request) { await $0.deadLetters() }
  }

  func deliveries(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(Self.readers)
    return try await answer("deliveries", request) { await $0.deliveries() }
  }

  func test(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(.administrator, .county, .city)
    guard let name = context.parameters.get("name"), let channels,
      let outcome = await channels.test(name, by: try context.principal.displayName)
    else { throw Problem(.notFound, "unknown-channel", "there is no such channel") }
    return Response(json: outcome.canonicalBytes())
  }

  /// Contacts and their addresses are nothing for an enterprise's eyes.
  private static let readers: Set<Role> = [.administrator, .county, .sector, .city, .auditor]

  private func answer(
    _ name: String,
    _ request: Request,
    _ value: (any ChannelAccess) async -> HazardLedger.JSONValue
  ) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let list = if let channels { await value(channels) } else { HazardLedger.JSONValue.array([]) }
    return Response(json: HazardLedger.JSONValue.object([name: list]).canonicalBytes())
  }
}
