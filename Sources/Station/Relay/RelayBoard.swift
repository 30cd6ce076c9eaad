public import HazardLedger
import Synchronization
public import Telemetry

/// What others may see of the stations below this one: the desk writes, everybody reads copies.
public final class RelayBoard: Sendable {
  /// A station below this one.
  public struct Peer: Codable, Hashable, Sendable {
    /// Sequence of its ledger up to which everything is here.
    public var sequence: Int64 = 0
    /// Sequence of the newest entry taken.
    public var newest: Int64 = 0
    /// Its hash, hexadecimal.
    public var newestHash = ""
    /// Number of the newest reading.
    public var reading: Int64 = 0
    /// Receive time of its newest batch.
    public var heard: Timestamp
    /// Nothing has come for ``RelayDesk/silence``.
    public var isSilent = false
    /// Entries taken.
    public var entries: UInt64 = 0
    /// Readings taken.
    public var readings: UInt64 = 0
    /// Entries and readings that came again and were passed over.
    public var duplicates: UInt64 = 0
    /// Entries and readings refused.
    public var refused: UInt64 = 0

    init(heard: Timestamp) {
      self.heard = heard
    }
  }

  /// The newest reading of a relayed point.
  public struct Newest: Hashable, Sendable {
    /// The station that it came from.
    public var station: String
    /// The reading.
    public var reading: RelayBatch.Reading
    /// Receive time here.
    public var received: Timestamp
  }

  /// Points whose newest reading is kept.
  public static let pointLimit = 200_000

  private struct State {
    var peers: [String: Peer] = [:]
    var newest: [String: Newest] = [:]
    var unkept: UInt64 = 0
    /// Outcomes of the newest batches, by journal sequence, oldest first.
    var outcomes: [(sequence: UInt64, outcome: RelayOutcome)] = []
  }

  private static let outcomeLimit = 1_000
  private let state = Mutex(State())

  /// The stations below, by name.
  public var peers: [String: Peer] { state.withLock { $0.peers } }

  /// Readings whose point found no room among the newest.
  public var unkept: UInt64 { state.withLock { $0.unkept } }

  /// The newest reading of each relayed point in a scope, by path, from behind one.
  public func newest(in scope: LedgerScope, after path: String, limit: Int) -> [Newest] {
    let all = state.withLock { $0.newest }
    return all.values.filter { $0.reading.point > path && scope.includes(path: $0.reading.point) }
      .sorted { $0.reading.point < $1.reading.point }.prefix(limit).map(\.self)
  }

  /// What became of the batch with this journal sequence; nil once many others have come after it.
  public func outcome(of sequence: UInt64) -> RelayOutcome? {
    state.withLock { state in state.outcomes.last { $0.sequence == sequence }?.outcome }
  }

  func set(_ peer: Peer, of station: String) { state.withLock { $0.peers[station] = peer } }

  func restore(_ peers: [String: Peer]) { state.withLock { $0.peers = peers } }

  func keep(_ outcome: RelayOutcome, of sequence: UInt64) {
    state.withLock { state in
      if state.outcomes.count >= Self.outcomeLimit {
        state.outcomes.removeFirst(Self.outcomeLimit / 2)
      }
      state.outcomes.append((sequence, outcome))
    }
  }

  func show(_ reading: RelayBatch.Reading, of station: String, at received: Timestamp) {
    state.withLock { state in
      guard state.newest[reading.point] != nil || state.newest.count < Self.pointLimit else {
        state.unkept += 1
        return
      }
      if let known = state.newest[reading.point], known.reading.time > reading.time { return }
      state.newest[reading.point] = Newest(station: station, reading: reading, received: received)
    }
  }

  /// Figures of the stations below in the Prometheus text format.
  var metrics: String {
    let peers = peers.sorted { $0.key < $1.key }
    guard !peers.isEmpty else { return "" }
    var text = MetricsText()
    text.family(
      "davy_relay_received_entries_total",
      "Ledger entries taken from a station below.",
      .counter,
      by: "station",
      peers.map { (key: $0.key, value: $0.value.entries) }
    )
    text.family(
      "davy_relay_received_readings_total",
      "Readings taken from a station below.",
      .counter,
      by: "station",
      peers.map { (key: $0.key, value: $0.value.readings) }
    )
    text.family(
      "davy_relay_duplicates_total",
      "Entries and readings that a station below sent again and that were passed over.",
      .counter,
      by: "station",
      peers.map { (key: $0.key, value: $0.value.duplicates) }
    )
    text.family(
      "davy_relay_refused_total",
      "Entries and readings of a station below that were refused.",
      .counter,
      by: "station",
      peers.map { (key: $0.key, value: $0.value.refused) }
    )
    text.family(
      "davy_relay_heard_timestamp_seconds",
      "Receive time of the newest batch of a station below.",
      .gauge,
      by: "station",
      peers.map { (key: $0.key, value: Double($0.value.heard.milliseconds) / 1_000) }
    )
    return text.text
  }
}
