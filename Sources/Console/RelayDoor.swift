import Accounts
import HTTPTypes
import HazardLedger
import NIOCore
public import Station
import Telemetry

/// Where stations below this one come in with what they pass on, over HTTP or by a broker: one set of rules for both.
public struct RelayDoor: Sendable {
  let station: any StationAccess
  let gatekeeper: Gatekeeper

  /// Most bytes of a batch.
  public static let maximumBody = 4 << 20

  /// Takes a batch in; returns when this station's ledger has what came of it.
  ///
  /// - Parameters:
  ///   - bytes: the batch.
  ///   - caller: whose key came with it.
  ///   - name: the station that it must be of, where the way here has said so; nil asks the account alone.
  /// - Returns: the outcome, in canonical JSON.
  /// - Throws: the problem, when it was refused or is not in the ledger yet.
  func take(_ bytes: [UInt8], from caller: Caller, of name: String? = nil) async throws -> [UInt8] {
    guard let board = station.relay else {
      throw Problem(.notFound, "not-found", "this station takes nothing from stations below")
    }
    let batch: RelayBatch
    do throws(RelayFault) {
      batch = try RelayBatch(decoding: bytes)
    } catch {
      throw Problem(.unprocessableContent, "incomplete", error.description)
    }
    if let name, name != batch.station {
      throw Problem(
        .forbidden,
        "station",
        "a batch of \(batch.station) came on the topic of \(name)"
      )
    }
    try admit(batch, from: caller)
    let receipt: ActReceipt
    do throws(ActError) {
      receipt = try await station.submit(
        // As it came: what cannot be read of it is refused by the desk, and stays in the journal.
        DeskInput(kind: .external, desk: "relay", verb: "items", payload: bytes)
      )
    } catch {
      throw DeskCommands.problem(error)
    }
    guard var outcome = board.outcome(of: receipt.journalSequence) else {
      // A thousand batches came between: it is in the ledger, and the next question says so.
      throw Problem(.serviceUnavailable, "busy", "ask again how far things are", retryAfter: 1)
    }
    outcome.station = station.ledger.station
    return outcome.encoded()
  }

  /// Takes a batch that came by a broker.
  ///
  /// - Parameters:
  ///   - bytes: the batch; nil when it was longer than ``maximumBody``.
  ///   - name: the station that the topic names; the broker's access control lets no other publish there.
  ///   - key: the key of its account here; empty for none.
  /// - Returns: the outcome once the ledger has it, or why it is not taken.
  public func answer(_ bytes: [UInt8]?, of name: String, key: String) async -> RelayReply {
    do {
      guard let caller = await gatekeeper.caller(showing: .bearer(key)) else {
        throw Problem(
          .unauthorized,
          "sign-in",
          "the key is not one of this station: give the one that its administrator made for \(name)"
        )
      }
      guard caller.principal.roles.contains(.relay) else {
        throw Problem(.forbidden, "role", "this needs the role relay")
      }
      guard let bytes else { throw Self.tooLarge }
      return RelayReply(status: 200, body: try await take(bytes, from: caller, of: name))
    } catch let problem as Problem {
      return RelayReply(
        status: problem.status.code,
        retryAfter: problem.retryAfter,
        body: problem.json
      )
    } catch {
      // What only the log is told of is no sender's fault: it keeps its batch and tries again.
      let problem = Problem(.serviceUnavailable, "failed", "\(type(of: error))", retryAfter: 5)
      return RelayReply(status: 503, retryAfter: 5, body: problem.json)
    }
  }

  /// A batch beyond the limit.
  static let tooLarge = Problem(
    .contentTooLarge,
    "too-large",
    "a batch has at most \(maximumBody) bytes; send it in parts"
  )

  /// A station speaks for itself and for what lies in its account's scope.
  private func admit(_ batch: RelayBatch, from caller: Caller) throws {
    let principal = caller.principal
    var isOpen = false
    if case .open = gatekeeper.access { isOpen = true }
    guard
      isOpen || batch.station == principal.subject || batch.station == principal.displayName
    else {
      throw Problem(
        .forbidden,
        "station",
        "station: your account is \(principal.subject) and cannot speak for \(batch.station); "
          + "give the account the station's name"
      )
    }
    let paths =
      try batch.entries.compactMap { $0.kind == .alarm ? $0.subject : try $0.namedEnterprise }
      + batch.readings.map(\.point)
    guard let foreign = paths.first(where: { !caller.scope.includes(path: $0) }) else { return }
    throw Problem(
      .forbidden,
      "scope",
      "\(LedgerScope.enterprise(ofPath: foreign)) is not in the scope of your account; name the enterprise in it, "
        + "or in a site file of this station with its administrative-code"
    )
  }
}
