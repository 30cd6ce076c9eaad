public import Journal
import Synchronization

/// Where a station's messages come from: the broker, or what stands in for it.
///
/// The calls come from one thread, in this order: ``poll(timeoutMilliseconds:limit:bytes:)``,
/// ``take(received:into:)`` and, once the journal has committed what was taken, ``acknowledge()``.
/// While a commit takes its time, ``keepAlive()``.
public protocol IntakeLink: AnyObject {
  /// Waits at most `timeoutMilliseconds` for messages, holds up to `limit` of them, none more once they have `bytes`,
  /// and returns how the link stands.
  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport
  /// Moves the held messages into `batch`, stamped with the receive time.
  func take(received: Int64, into batch: inout JournalBatch)
  /// Whether the sender of something taken waits for its acknowledgement.
  var owesAcknowledgements: Bool { get }
  /// Lets the acknowledgements of everything taken so far go out.
  func acknowledge()
  /// Keeps the connection alive without letting any acknowledgement go out.
  func keepAlive()
  /// Leaves the broker; its session, and so the subscription, stays.
  func stop()
}

extension IntakeLink {
  /// As far as is known, somebody waits.
  public var owesAcknowledgements: Bool { true }
}

/// How a link stands.
public struct LinkReport: Hashable, Sendable {
  /// `connected`, `degraded` (some subscriptions refused) or `disconnected`.
  public var state: String
  /// Why; empty when connected.
  public var reason: String

  /// Makes a report.
  public init(state: String, reason: String = "") {
    self.state = state
    self.reason = reason
  }
}

/// Gives every input its place in the one total order and a receive time that never goes back.
package struct Sequencer: Sendable {
  /// Sequence that the next input will get.
  package private(set) var next: UInt64
  /// Receive time of the newest input, milliseconds since the Unix epoch.
  package private(set) var lastReceived: Int64
  /// What the clock said last; nil before the first time.
  private var clock: Int64?
  /// Tenths of milliseconds that have passed and are not in `lastReceived` yet.
  private var tenths: Int64 = 0

  package init(after last: UInt64, received: Int64) {
    next = last + 1
    lastReceived = received
  }

  /// The receive time of what arrives when the clock says `now`.
  ///
  /// Where the clock has gone back, or had been ahead when the journal was written, time goes on from the newest one given, by
  /// nine tenths of what the clock does until that is there: time that stood still would let no channel go stale meanwhile.
  package mutating func stamp(_ now: Int64) -> Int64 {
    defer { clock = now }
    guard now < lastReceived else {
      lastReceived = now
      tenths = 0
      return now
    }
    if let clock, now > clock {
      tenths += 9 * (now - clock)
      lastReceived += tenths / 10
      tenths %= 10
    }
    return lastReceived
  }

  /// Reserves `count` sequences and returns the first.
  package mutating func reserve(_ count: Int) -> UInt64 {
    defer { next += UInt64(count) }
    return next
  }
}

/// What was taken together and will be committed together: one group commit, one receive time.
public final class InputBatch: Sendable {
  /// Sequence of the first input; the others follow without gaps.
  public let firstSequence: UInt64
  /// The inputs.
  public let inputs: JournalBatch

  private let shelf: BatchShelf?

  /// Makes a batch of at least one input.
  public convenience init(_ inputs: JournalBatch, firstSequence: UInt64) {
    self.init(inputs, firstSequence: firstSequence, shelf: nil)
  }

  /// Makes a batch whose memory goes back to a shelf once nobody holds it.
  init(_ inputs: JournalBatch, firstSequence: UInt64, shelf: BatchShelf?) {
    precondition(!inputs.isEmpty, "a batch has at least one input")
    self.inputs = inputs
    self.firstSequence = firstSequence
    self.shelf = shelf
  }

  deinit { shelf?.give(inputs) }

  /// Sequence of the last input.
  public var lastSequence: UInt64 { firstSequence + UInt64(inputs.count) - 1 }
}

/// Batches that are done with, for their memory: a batch takes the room that one before it has grown to.
final class BatchShelf: Sendable {
  private struct Content {
    var batches: [JournalBatch] = []
    var bytes = 0
  }

  private let content = Mutex(Content())

  /// Bytes that are kept together, and of one batch; what is larger was an exception.
  private static let capacity = 40 << 20
  private static let greatestBytes = 20 << 20

  /// An empty batch.
  func take() -> JournalBatch {
    var batch = content.withLock { content in
      let batch = content.batches.popLast() ?? JournalBatch()
      content.bytes -= batch.bytes.count
      return batch
    }
    batch.removeAll()
    return batch
  }

  func give(_ batch: JournalBatch) {
    guard batch.bytes.count <= Self.greatestBytes else { return }
    content.withLock { content in
      guard content.bytes + batch.bytes.count <= Self.capacity else { return }
      content.batches.append(batch)
      content.bytes += batch.bytes.count
    }
  }
}
