import HazardLedger

/// What a start has for the ledger: handed to it as long as it takes it, kept in order from the first on that it does not.
///
/// So a full disk keeps no station from starting. What is kept here waits in the ``Exchange`` afterwards, as what a running
/// station puts out does: announced unrecorded, and recorded when there is room.
struct LedgerBacklog {
  /// What waits, oldest first.
  private(set) var outputs: [CoreOutput] = []
  /// Why the ledger has not taken the oldest of them; nil where it was not asked for it.
  private(set) var fault: LedgerError?

  private let limits: StationLimits
  private var load = LedgerQueue.Load()

  init(limits: StationLimits) {
    self.limits = limits
  }

  /// How many of the oldest have to be handed in again exactly as they were: whether a commit that failed has reached the
  /// disk nobody can say.
  var attempted: Int? { fault == nil ? nil : 1 }

  /// Hands an output to the ledger, or keeps it.
  ///
  /// - Parameters:
  ///   - output: follows on the one before.
  ///   - ledger: the ledger.
  ///   - isDurable: the journal has the inputs that it follows from; others the ledger must not have yet.
  /// - Throws: what the ledger throws, unless it may go well later; that too where more would wait than a running station
  ///   lets wait.
  mutating func add(
    _ output: CoreOutput,
    to ledger: any LedgerStore,
    isDurable: Bool = true
  ) throws(LedgerError) {
    if outputs.isEmpty, isDurable {
      do throws(LedgerError) {
        try ledger.append(
          output.drafts,
          rejects: output.rejects,
          position: output.position,
          onRefused: { _, _ in }
        )
        return
      } catch {
        guard error.isPassing else { throw error }
        fault = error
      }
    }
    // Who waited for a reply, an answer or a call has them from the process before, or gets them by a resumption.
    var kept = CoreOutput(position: output.position)
    kept.drafts = output.drafts
    kept.rejects = output.rejects
    load.add(kept)
    load.entries += 1
    if let fault,
      load.entries > Self.share * limits.waitingDrafts
        || load.bytes > Self.share * limits.waitingDraftBytes
    {
      throw fault
    }
    outputs.append(kept)
  }

  /// What waited in a station that stopped reading at the limit, and what lay in its queues then.
  private static let share = 2
}

extension LedgerBacklog {
  /// Whether an entry of this subject waits.
  func holds(subject: String) -> Bool {
    outputs.contains { $0.drafts.contains { $0.subject == subject } }
  }

  /// The alarms that stand once the ledger has taken what waits, oldest first, where `standing` do in it now.
  func standing(after standing: [AlarmView]) throws -> [AlarmView] {
    var views = standing
    var rows: [String: Int] = [:]
    for (row, view) in views.enumerated() { rows[view.id] = row }
    for draft in outputs.flatMap(\.drafts) where draft.kind == .alarm {
      let body = try AlarmBody(decoding: draft.body)
      if let row = rows[body.alarm] {
        views[row].state = body.state
        views[row].priority = body.priority
      } else {
        rows[body.alarm] = views.count
        views.append(AlarmView(body, sequence: 0, time: draft.time, actor: draft.actor))
      }
    }
    return views.filter(\.isStanding)
  }
}
