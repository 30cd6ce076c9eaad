import HazardLedger
import Logging
import Synchronization

/// Stage 4, record: what the journal covers goes into the ledger, and behind it the snapshot that waits for that.
extension Stages {
  /// Commits what the journal covers to the ledger, in one transaction.
  ///
  /// What the journal is about to cover is written before and committed after it has; where that takes long, nothing is.
  ///
  /// - Parameter isUrgent: commit the position although no entry or reject goes with it.
  /// - Returns: false when there was nothing to do.
  /// - Throws: what the ledger throws; the same outputs are then tried again.
  public func record(isUrgent: Bool) throws -> Bool {
    let isAhead = canRecordAhead
    // Who has sent an input waits until its position is committed, also where nothing came of it.
    guard isUrgent || isAhead || attempted != nil || exchange.hasReadyDrafts else { return false }
    // A commit that failed is tried again exactly as it was: were more outputs added, one whose answer alone was
    // lost would be written twice.
    let ready = exchange.readyOutputs(
      limit: limits.draftsPerCommit,
      attempted: attempted,
      isAhead: isAhead
    )
    guard let last = ready.last else { return false }
    let drafts = ready.flatMap(\.drafts)
    let rejects = ready.flatMap(\.rejects)
    do {
      let entries = try append(drafts, RejectTally.merged(rejects), position: last.position) {
        !isAhead || exchange.waitUntilDurable(last.position, milliseconds: Self.aheadPatience)
      }
      attempted = nil
      deliver(
        exchange.didCommit(count: ready.count, position: last.position, entries: entries)
      )
    } catch LedgerError.notCovered(let position) {
      uncovered = position
      return false
    } catch {
      attempted = ready.count
      counters.ledgerFailures.add(1, ordering: .relaxed)
      exchange.setLedgerFault("\(error)")
      throw error
    }
    writeDueSnapshot(position: last.position)
    return true
  }

  /// Whether there is something for ``record(isUrgent:)`` before the journal's next word.
  package var hasSomethingToRecord: Bool { exchange.hasReadyDrafts || canRecordAhead }

  /// Whether a transaction can be written while the journal's commit of its inputs is under way, so that only its own
  /// commit is left when that returns.
  ///
  /// Not where a commit is to be tried again exactly as it was, nor at a stop, which does not wait for the journal.
  private var canRecordAhead: Bool {
    waitsForJournal && attempted == nil && exchange.hasComingDrafts
      && exchange.durable >= uncovered && !exchange.isStopping
  }

  /// How long the ledger's transaction stays open for the journal, in milliseconds; then it is rolled back, and the next waits
  /// until the journal has come as far.
  private static let aheadPatience = 20

  /// Signs a checkpoint of the ledger when one is due at `now`, milliseconds since the Unix epoch.
  func signCheckpoint(at now: Int64) {
    do {
      guard let signed = try checkpoints?.signIfDue(head: exchange.head, at: now) else { return }
      counters.checkpoints.add(1, ordering: .relaxed)
      logger.debug("checkpoint signed", metadata: ["entries": "\(signed.size)"])
    } catch {
      // The chain is whole without it; the next occasion covers these entries too.
      counters.checkpointFailures.add(1, ordering: .relaxed)
      logger.error("checkpoint not signed", metadata: ["error": "\(error)"])
    }
  }

  /// Hands out calls and messages to persons.
  func deliver(_ dispatches: [CalloutDispatch]) {
    guard !dispatches.isEmpty else { return }
    counters.dispatches.add(UInt64(dispatches.count), ordering: .relaxed)
    dispatcher?.deliver(dispatches)
  }

  /// Hands a batch to the ledger; one that is tried again may be there already, for its answer alone was lost.
  ///
  /// - Returns: the entries' sequences; nil without drafts.
  private func append(
    _ drafts: [LedgerDraft],
    _ rejects: [RejectTally],
    position: UInt64,
    isCovered: () -> Bool
  ) throws(LedgerError) -> ClosedRange<Int64>? {
    do {
      return try ledger.append(
        drafts,
        rejects: rejects,
        position: position,
        isCovered: isCovered
      ) { draft, reason in
        logger.critical(
          "the ledger does not take an entry; another tells so in its place",
          metadata: [
            "kind": "\(draft.kind.rawValue)", "subject": "\(draft.subject)",
            "input": "\(draft.origin)", "reason": "\(reason)",
          ]
        )
      }
    } catch .alreadyRecorded where attempted != nil {
      guard !drafts.isEmpty else { return nil }
      let head = try ledger.head.sequence
      return head - Int64(drafts.count) + 1...head
    }
  }

  /// Writes the snapshot that waits, once ledger and trends have come as far, and prunes the journal behind it.
  ///
  /// What fails is logged, and a snapshot counted: nothing depends on either.
  ///
  /// - Parameter position: where the ledger stands in the journal.
  func writeDueSnapshot(position: UInt64) {
    guard let snapshots else { return }
    let due: PendingSnapshot? = pendingSnapshot.withLock { pending in
      // A start from a snapshot that is ahead of the trends would leave a hole in them.
      guard let snapshot = pending, snapshot.position <= position,
        snapshot.isOverdue || trends?.hasReached(snapshot.position) ?? true
      else { return nil }
      pending = nil
      return snapshot
    }
    guard let due else { return }
    if let trends, trends.writtenPosition < due.position {
      counters.snapshotsBeforeTrends.add(1, ordering: .relaxed)
      logger.warning(
        "snapshot written before the trends have come as far: they are not written; a start now leaves a hole in them",
        metadata: ["snapshot": "\(due.position)", "trends": "\(trends.writtenPosition)"]
      )
    }
    do {
      try snapshots.write(due.bytes, position: due.position)
    } catch {
      // Without it the next start replays more of the journal; nothing else depends on it.
      counters.snapshotFailures.add(1, ordering: .relaxed)
      logger.error(
        "snapshot not written; the next start replays more of the journal",
        metadata: ["folder": "\(snapshots.path)", "error": "\(error)"]
      )
    }
    do {
      // Also where that failed, for a full disk: the older snapshot that is kept must stay usable.
      let floor = try snapshots.positions().last ?? 0
      _ = try prune?(exchange.received, min(floor, position))
    } catch {
      logger.error(
        "journal not pruned; it grows until the next snapshot's attempt succeeds",
        metadata: ["error": "\(error)"]
      )
    }
  }
}
