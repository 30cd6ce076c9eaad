import HazardLedger
import Journal
import Telemetry

/// Puts what happens to accounts into the ledger: made, changed, closed, signed in, and who read personal data.
///
/// The accounts themselves, with their passwords' hashes, are the console's; here is the proof of what was done to
/// them. The desk keeps no state: every record is an entry of its own.
///
/// | verb | entry | body |
/// |---|---|---|
/// | `change` | `register`, subject `account:ID` | what the account is from now on, without any secret |
/// | `audit` | `system`, subject `account:ID` | what was done or read |
final class AccountsDesk: Desk {
  static let name = "accounts"
  /// Most bytes of a record: a scope may list many areas.
  private static let recordLimit = 256 << 10

  var name: String { Self.name }
  var nextDeadline: Timestamp? { nil }

  func take(_ record: JournalRecord, verb: Substring, into output: inout CoreOutput) -> ActError? {
    let kind: EntryKind
    switch (verb, record.input.kind) {
    case ("change", .register): kind = .register
    case ("audit", .external): kind = .system
    default: return .incomplete("accounts have no record \(verb) of this kind")
    }
    guard record.input.payload.count <= Self.recordLimit else {
      return .incomplete("the record is longer than \(Self.recordLimit) bytes")
    }
    let body: JSONValue
    do throws(JSONSyntaxError) {
      body = try JSONValue(parsing: record.input.payload)
    } catch {
      return .incomplete("the record is not JSON: \(error)")
    }
    guard let actor = body["actor"]?.text, !actor.isEmpty, !actor.utf8.contains(0),
      let account = body["account"]?.text, !account.isEmpty, !account.utf8.contains(0),
      body["event"]?.text != nil
    else { return .incomplete("the record needs actor, account and event") }
    output.drafts.append(
      LedgerDraft(
        time: Timestamp(milliseconds: record.input.received),
        kind: kind,
        subject: "account:" + account,
        actor: actor,
        body: body.canonicalBytes(),
        origin: record.sequence
      )
    )
    return nil
  }

  func advance(_ record: JournalRecord, into output: inout CoreOutput) {}

  func snapshot() -> [UInt8] { [] }

  func restore(_ bytes: [UInt8]) throws {}
}
