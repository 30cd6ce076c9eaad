/// One input of the plant: a message, a tick, an operator's act; what the journal puts in order.
public struct JournalInput: Sendable {
  /// What an input is.
  public enum Kind: UInt8, CaseIterable, Hashable, Sendable {
    /// An MQTT message: topic name and payload as they came.
    case message = 1
    /// Time went on without an input.
    case tick = 2
    /// An operator's act: acknowledge, shelve, …
    case command = 3
    /// A change of a register: permit, certificate, roster.
    case register = 4
    /// A change of the catalog: profiles, sites, rules.
    case catalog = 5
    /// What came back from outside: a call answered, a notification delivered.
    case external = 6
  }

  /// What the input is.
  public var kind: Kind
  /// Receive time by the server's clock, milliseconds since the Unix epoch.
  public var received: Int64
  /// Topic name of a message, name of a command; raw bytes that may be invalid UTF-8.
  public var topic: [UInt8]
  /// Payload as it came.
  public var payload: [UInt8]
  /// MQTT quality of service, 0, 1 or 2.
  public var qos: UInt8
  /// MQTT retain flag.
  public var retain: Bool
  /// MQTT duplicate flag: the broker may have sent this message before.
  public var duplicate: Bool
  /// MQTT 5 user properties, in the order they came.
  public var properties: [(String, String)]

  /// Makes an input.
  ///
  /// - Precondition: `qos` is 0, 1 or 2.
  public init(
    kind: Kind = .message,
    received: Int64,
    topic: [UInt8] = [],
    payload: [UInt8] = [],
    qos: UInt8 = 0,
    retain: Bool = false,
    duplicate: Bool = false,
    properties: [(String, String)] = []
  ) {
    precondition(qos <= 2, "MQTT knows the qualities of service 0, 1 and 2")
    self.kind = kind
    self.received = received
    self.topic = topic
    self.payload = payload
    self.qos = qos
    self.retain = retain
    self.duplicate = duplicate
    self.properties = properties
  }
}

extension JournalInput: Equatable {
  /// True when every field is equal, properties in the same order.
  public static func == (lhs: JournalInput, rhs: JournalInput) -> Bool {
    lhs.kind == rhs.kind && lhs.received == rhs.received && lhs.topic == rhs.topic
      && lhs.payload == rhs.payload && lhs.qos == rhs.qos && lhs.retain == rhs.retain
      && lhs.duplicate == rhs.duplicate && lhs.properties.elementsEqual(rhs.properties, by: ==)
  }
}

/// An input with its place in the one order of all inputs.
public struct JournalRecord: Equatable, Sendable {
  /// Place in the order: from 1, without gaps.
  public var sequence: UInt64
  /// What was handed in.
  public var input: JournalInput

  /// Makes a record.
  public init(sequence: UInt64, input: JournalInput) {
    self.sequence = sequence
    self.input = input
  }
}

/// The seam between a station and its journal: segments on disk, or a simulation's faulty fake.
public protocol JournalStore: AnyObject, Sendable {
  /// Sequence of the newest durable input; 0 when there is none.
  var lastSequence: UInt64 { get }

  /// How many segments are damaged, as far as has been seen; never waits for a disk.
  var damagedSegments: Int { get }

  /// Appends inputs: durable when it returns, all or nothing.
  ///
  /// A batch that was appended before may be handed in again with the same `firstSequence`: what is
  /// there already is compared, only what is new is written.
  ///
  /// - Parameters:
  ///   - inputs: What to append.
  ///   - firstSequence: The sequence of `inputs[0]`: at most ``lastSequence`` + 1.
  /// - Throws: When nothing was appended, or it is not known; the same call may be made again.
  func append(_ inputs: [JournalInput], firstSequence: UInt64) throws

  /// Appends a batch: the form without an array per message; otherwise as the other `append`.
  ///
  /// - Parameters:
  ///   - batch: What to append.
  ///   - firstSequence: The sequence of the batch's first record: at most ``lastSequence`` + 1.
  /// - Throws: When nothing was appended, or it is not known; the same call may be made again.
  func append(_ batch: borrowing JournalBatch, firstSequence: UInt64) throws

  /// Reads up to `limit` records from `sequence` on; damaged blocks are skipped and reported.
  func read(from sequence: UInt64, limit: Int) throws -> [JournalRecord]

  /// Reads as ``read(from:limit:)`` does, but stops behind the group commit that brings what was read to `bytes` bytes.
  func read(from sequence: UInt64, limit: Int, bytes: Int) throws -> [JournalRecord]
}

extension JournalStore {
  /// Up to `limit` records, however large: of a store that is in memory anyway.
  public func read(from sequence: UInt64, limit: Int, bytes: Int) throws -> [JournalRecord] {
    try read(from: sequence, limit: limit)
  }
}

extension JournalStore {
  /// None: a store without segments.
  public var damagedSegments: Int { 0 }
}

extension JournalStore {
  /// Appends inputs by way of a ``JournalBatch``.
  public func append(_ inputs: [JournalInput], firstSequence: UInt64) throws {
    var batch = JournalBatch()
    for input in inputs { batch.append(input) }
    try append(batch, firstSequence: firstSequence)
  }
}
