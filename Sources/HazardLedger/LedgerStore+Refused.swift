extension LedgerStore {
  /// Adds a batch as ``append(_:rejects:position:)`` does; in place of a draft whose content the ledger does not take, an
  /// entry tells so.
  ///
  /// A draft follows from an input of the journal and comes again at every start: refused with all its batch, it would be the
  /// ledger's last, and no station would go by it. So what is refused is one step, on record, for everybody and every replay.
  ///
  /// - Parameters:
  ///   - drafts: the entries, in order.
  ///   - rejects: what was refused in these inputs.
  ///   - position: journal sequence up to which all inputs are in the ledger with this batch.
  ///   - isCovered: whether the journal holds the inputs; asked last, when everything is written and nothing in force.
  ///   - onRefused: is told of each draft that has been replaced, and why.
  /// - Returns: the sequences given to the drafts, nil without drafts.
  /// - Throws: why the batch is not stored.
  @discardableResult
  package func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally],
    position: UInt64,
    isCovered: () -> Bool = { true },
    onRefused: (_ draft: LedgerDraft, _ reason: String) -> Void
  ) throws(LedgerError) -> ClosedRange<Int64>? {
    var drafts = drafts
    var replaced: Set<Int> = []
    while true {
      do throws(LedgerError) {
        return try append(drafts, rejects: rejects, position: position, isCovered: isCovered)
      } catch {
        guard case .refusedDraft(let index, let reason) = error, drafts.indices.contains(index),
          replaced.insert(index).inserted
        else { throw error }
        onRefused(drafts[index], reason)
        drafts[index] = .refused(drafts[index], reason: reason)
      }
    }
  }
}

extension LedgerDraft {
  /// What stands in the ledger in place of a draft that it does not take.
  fileprivate static func refused(_ draft: LedgerDraft, reason: String) -> LedgerDraft {
    let members: [String: JSONValue] = [
      "actor": .string(draft.actor), "event": "draft.refused",
      "kind": .string(draft.kind.rawValue), "reason": .string(reason),
    ]
    return LedgerDraft(
      time: draft.time,
      kind: .system,
      subject: draft.subject,
      actor: "engine",
      body: JSONValue.object(members).canonicalBytes(),
      origin: draft.origin
    )
  }
}
