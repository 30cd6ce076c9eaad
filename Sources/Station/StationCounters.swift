import HazardLedger
import MQTTTransport
import Synchronization
public import Telemetry

/// Counters of one run of a station; each is written by one stage and read by anybody.
public final class StationCounters: Sendable {
  let readings = Atomic<UInt64>(0)
  let journalFailures = Atomic<UInt64>(0)
  let ledgerFailures = Atomic<UInt64>(0)
  let snapshotFailures = Atomic<UInt64>(0)
  /// Snapshots that were not to wait any longer for the trends to come as far.
  let snapshotsBeforeTrends = Atomic<UInt64>(0)
  let rejects = Atomic<UInt64>(0)
  let drafts = Atomic<UInt64>(0)
  let published = Atomic<UInt64>(0)
  let unrecorded = Atomic<UInt64>(0)
  let dispatches = Atomic<UInt64>(0)
  /// Those of which the word came back that no channel takes them.
  let failedDispatches = Atomic<UInt64>(0)
  let checkpoints = Atomic<UInt64>(0)
  let checkpointFailures = Atomic<UInt64>(0)
  let announcer = Mutex(Announcer.Faults())
  /// The connections over which alarm messages and answers go, by what goes over them; none where nothing does.
  let publishLinks: Mutex<[String: PublishLink]> = Mutex([:])
  /// By how much the clock is behind the newest receive time, in milliseconds.
  let clockBehind = Atomic<Int64>(0)
  /// Times that it has gone ahead at once.
  let clockLeaps = Atomic<UInt64>(0)
  let replies = Atomic<UInt64>(0)
  let feedback = Atomic<UInt64>(0)
  let feedbackHeldBack = Atomic<UInt64>(0)
  /// Replies and words to gateways that the publisher had no room for.
  let outgoingDropped = Atomic<UInt64>(0)
  let answers: Mutex<(sent: UInt64, unrecorded: UInt64, dropped: UInt64)> = Mutex((0, 0, 0))
  private let messages = Atomic<UInt64>(0)
  private let lastMessage = Atomic<Int64>(.min)
  private let deadlineMilliseconds = Atomic<Int64>(.max)
  private let rejectsByReason: Mutex<[String: UInt64]> = Mutex([:])
  private let link = Mutex(LinkReport(state: "disconnected", reason: "starting"))

  /// When something falls due in the engine, milliseconds since the Unix epoch; nil when nothing does.
  var deadline: Int64? {
    let value = deadlineMilliseconds.load(ordering: .relaxed)
    return value == .max ? nil : value
  }

  func setDeadline(_ deadline: Timestamp?) {
    deadlineMilliseconds.store(deadline?.milliseconds ?? .max, ordering: .relaxed)
  }

  func received(_ count: Int, at time: Int64) {
    messages.add(UInt64(count), ordering: .relaxed)
    lastMessage.store(time, ordering: .relaxed)
  }

  /// Counts replies handed to the publisher, and those it had no room for.
  func addReplies(_ sent: Int, of all: Int) {
    replies.add(UInt64(sent), ordering: .relaxed)
    outgoingDropped.add(UInt64(all - sent), ordering: .relaxed)
  }

  /// Counts words to gateways; `heldBack` is how many refusals the rate limit has kept from being told so far.
  func addFeedback(_ sent: Int, of all: Int, heldBack: UInt64) {
    feedback.add(UInt64(sent), ordering: .relaxed)
    outgoingDropped.add(UInt64(all - sent), ordering: .relaxed)
    feedbackHeldBack.store(heldBack, ordering: .relaxed)
  }

  /// Takes in how a connection stands over which something goes.
  func note(_ state: LinkState, of name: String, at now: Int64) {
    publishLinks.withLock { $0[name, default: PublishLink(at: now)].note(state, at: now) }
  }

  func set(_ report: LinkReport) {
    link.withLock { $0 = report }
  }

  func count(_ output: CoreOutput) {
    drafts.add(UInt64(output.drafts.count), ordering: .relaxed)
    guard !output.rejects.isEmpty else { return }
    rejectsByReason.withLock { byReason in
      for tally in output.rejects {
        byReason[tally.reason, default: 0] += UInt64(tally.count)
        rejects.add(UInt64(tally.count), ordering: .relaxed)
      }
    }
  }

  /// Messages taken in.
  public var messageCount: UInt64 { messages.load(ordering: .relaxed) }
  /// Readings evaluated.
  public var readingCount: UInt64 { readings.load(ordering: .relaxed) }
  /// Messages and readings refused.
  public var rejectCount: UInt64 { rejects.load(ordering: .relaxed) }
  /// How the broker link stands.
  public var linkReport: LinkReport { link.withLock { $0 } }
  /// Receive time of the newest message; nil before the first.
  public var newestMessage: Timestamp? {
    let value = lastMessage.load(ordering: .relaxed)
    return value == .min ? nil : Timestamp(milliseconds: value)
  }
  /// Refusals by reason.
  public var rejectCountsByReason: [String: UInt64] { rejectsByReason.withLock { $0 } }
}
