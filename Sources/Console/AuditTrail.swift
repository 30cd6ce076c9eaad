import Accounts
import Foundation
import HTTPTypes
import HazardLedger
import Logging
import Station

/// Puts into the ledger who did what to accounts, and who read personal data.
struct AuditTrail: Sendable {
  let station: any StationAccess
  let logger: Logger
  let counters: ConsoleCounters

  /// States what an account is from now on; returns when the ledger has it, and only then it may be put in force.
  ///
  /// - Returns: the entry's ledger sequence.
  func change(
    _ event: String,
    _ account: Account,
    by actor: String,
    adding members: [String: JSONValue] = [:]
  ) async throws -> Int64 {
    var body = members
    body["event"] = .string(event)
    body["actor"] = .string(actor)
    body["account"] = .string(account.id)
    body["displayName"] = .string(account.displayName)
    body["kind"] = .string(account.kind.rawValue)
    body["roles"] = .texts(account.roles.map(\.rawValue).sorted())
    body["everywhere"] = .bool(account.scope.isEverywhere)
    body["areas"] = .texts(account.scope.areas.map(\.description).sorted())
    body["enterprises"] = .texts(account.scope.enterprises.sorted())
    body["active"] = .bool(account.isActive)
    body["version"] = .integer(account.version)
    return try await submit(.register, "change", body)
  }

  /// States that somebody reads personal data; returns when the ledger has it, so that no read goes unrecorded.
  func read(_ what: String, of subject: String, by context: ConsoleContext) async throws {
    guard !context.isOpen else { return }
    let reader = try context.principal.subject
    _ = try await submit(
      .external,
      "audit",
      ["event": "personal-data.read", "actor": .string(reader), "account": .string(reader)]
        .merging(["what": .string(what), "of": .string(subject)]) { one, _ in one }
    )
  }

  /// States what happened at the door; a dead disk must not keep an operator out, so this waits for nothing.
  func note(
    _ event: String,
    account: String,
    by actor: String,
    _ members: [String: JSONValue] = [:]
  ) {
    var body = members
    body["event"] = .string(event)
    body["actor"] = .string(actor)
    body["account"] = .string(account)
    Task { [body] in
      do {
        _ = try await submit(.external, "audit", body)
      } catch {
        counters.countAuditFailure()
        logger.error(
          "what happened to an account is not in the ledger (yet)",
          metadata: ["event": "\(event)", "account": "\(account)", "error": "\(error)"]
        )
      }
    }
  }

  private func submit(
    _ kind: DeskInput.Kind,
    _ verb: String,
    _ body: [String: JSONValue]
  ) async throws -> Int64 {
    do throws(ActError) {
      let receipt = try await station.submit(
        DeskInput(
          kind: kind,
          desk: "accounts",
          verb: verb,
          payload: JSONValue.object(body).canonicalBytes()
        )
      )
      return receipt.ledgerSequence
    } catch {
      throw Problem(error)
    }
  }
}

extension JSONValue {
  static func texts(_ values: [String]) -> JSONValue { .array(values.map(JSONValue.string)) }
}

extension Problem {
  /// Why an act has no effect.
  init(_ error: ActError) {
    self =
      switch error {
      case .unknownAlarm: Problem(.notFound, "unknown-alarm", error.text)
      case .notApplicable: Problem(.conflict, "not-applicable", error.text)
      case .incomplete(let detail): Problem(.unprocessableContent, "incomplete", detail)
      case .notYetRecorded(let sequence):
        Problem(
          .serviceUnavailable,
          "not-yet-recorded",
          "the act was taken in, but the ledger has not confirmed it; it may still take effect",
          retryAfter: 2,
          journalSequence: sequence
        )
      case .busy:
        Problem(.serviceUnavailable, "busy", "too many acts are waiting", retryAfter: 1)
      case .refused(let detail, let code): Problem(.conflict, "refused-" + code, detail)
      }
  }
}
