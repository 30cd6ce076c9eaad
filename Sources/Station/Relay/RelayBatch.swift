public import HazardLedger
public import Telemetry

/// What a station passes on to the level above it, in one piece; `docs/relay.md` has its JSON.
///
/// The key of idempotency is the origin's own: its name and the sequence that its ledger gave, with the hash that stands
/// there. Whoever gets an entry can work the hash out again from what came, so that nothing on the way changes a letter.
public struct RelayBatch: Sendable {
  /// Most entries of one batch.
  public static let entryLimit = 500
  /// Most readings of one batch.
  public static let readingLimit = 2_000
  /// Greatest number of a reading: far from what an outlet ever counts to, and far from where sums of two overflow.
  static let numberLimit: Int64 = 1 << 60
  /// Times that a relayed thing may have, milliseconds since the Unix epoch: the years 1900 to 9999.
  static let times: ClosedRange<Int64> = -2_208_988_800_000...253_402_300_799_999

  /// A chosen reading on its way up.
  public struct Reading: Hashable, Sendable {
    /// Number within the origin's outlet, from 1; the key by which a repeat is known.
    public var number: Int64
    /// Path of the point.
    public var point: String
    /// Unit of the value.
    public var unit: String
    /// Event time.
    public var time: Timestamp
    /// The value; nil where the source says that there is none.
    public var value: Double?
    /// What the source says of it.
    public var status: SourceStatus

    /// Makes one.
    public init(
      number: Int64,
      point: String,
      unit: String,
      time: Timestamp,
      value: Double?,
      status: SourceStatus
    ) {
      self.number = number
      self.point = point
      self.unit = unit
      self.time = time
      self.value = value
      self.status = status
    }
  }

  /// An entry or a reading that cannot be read; it alone is refused.
  public struct Fault: Hashable, Sendable {
    /// Its sequence or number at the origin.
    public var number: Int64
    /// Why, by the name of the member.
    public var reason: String
    /// It as it came, in canonical JSON.
    public var sample: [UInt8]
  }

  /// Something of a batch that can be read, or not.
  enum Item<Value> {
    case good(Value)
    case bad(Fault)
  }

  /// The origin's name.
  public var station: String
  /// Sequence up to which the receiver is believed to have everything.
  public var after: Int64
  /// Sequence up to which the receiver has everything with this batch; entries of kinds that are not passed on leave
  /// gaps.
  public var through: Int64
  /// Alarm steps and hazard steps, in order.
  public var entries: [LedgerEntry]
  /// Chosen readings, in order.
  public var readings: [Reading]
  /// What cannot be read among the entries, in order; only a batch that came from elsewhere has any.
  public private(set) var entryFaults: [Fault] = []
  /// What cannot be read among the readings, in order.
  public private(set) var readingFaults: [Fault] = []

  /// Makes a batch.
  public init(
    station: String,
    after: Int64,
    through: Int64,
    entries: [LedgerEntry] = [],
    readings: [Reading] = []
  ) {
    self.station = station
    self.after = after
    self.through = through
    self.entries = entries
    self.readings = readings
  }

  /// Whether it says nothing but that its sender is there.
  public var isHeartbeat: Bool { entries.isEmpty && readings.isEmpty }

  /// Entries and what cannot be read among them, in order.
  var entryItems: [Item<LedgerEntry>] {
    Self.inOrder(entries, entryFaults, by: \.sequence)
  }

  /// Readings and what cannot be read among them, in order.
  var readingItems: [Item<Reading>] { Self.inOrder(readings, readingFaults, by: \.number) }

  private static func inOrder<Value>(
    _ values: [Value],
    _ faults: [Fault],
    by number: (Value) -> Int64
  ) -> [Item<Value>] {
    guard !faults.isEmpty else { return values.map { .good($0) } }
    let items =
      values.map { (number($0), Item.good($0)) } + faults.map { ($0.number, Item.bad($0)) }
    return items.sorted { $0.0 < $1.0 }.map(\.1)
  }

  /// The batch in canonical JSON, without what could not be read.
  public func encoded() -> [UInt8] {
    JSONValue.object([
      "station": .string(station), "after": .integer(after), "through": .integer(through),
      "entries": .array(entries.map(\.relayed)), "readings": .array(readings.map(\.json)),
    ]).canonicalBytes()
  }

  /// Reads a batch.
  ///
  /// An entry or a reading that cannot be read is a ``Fault`` of its own and keeps nothing else back, as long as it says
  /// its sequence or number: without that nobody could be told which one it was, or go on behind it.
  ///
  /// - Throws: what is missing or wrong of the batch itself, by the name of the member.
  public init(decoding bytes: [UInt8]) throws(RelayFault) {
    let json: JSONValue
    do throws(JSONSyntaxError) {
      json = try JSONValue(parsing: bytes)
    } catch {
      throw RelayFault("the batch is not JSON: \(error)")
    }
    let station = try json.relayText("station")
    guard !station.isEmpty, station.utf8.count <= 128, !station.contains("/") else {
      throw RelayFault("station: a name of 1 to 128 bytes without '/'")
    }
    let after = try json.relayWhole("after")
    let through = try json.relayWhole("through")
    guard after >= 0, through >= after else {
      throw RelayFault("after, through: whole numbers, through not before after")
    }
    let entries = json["entries"]?.elements ?? []
    let readings = json["readings"]?.elements ?? []
    guard entries.count <= Self.entryLimit else {
      throw RelayFault("entries: at most \(Self.entryLimit) at a time")
    }
    guard readings.count <= Self.readingLimit else {
      throw RelayFault("readings: at most \(Self.readingLimit) at a time")
    }
    self.init(station: station, after: after, through: through)
    for value in entries {
      let sequence = try value.relayWhole("sequence")
      guard sequence > newestEntry, sequence <= through else {
        throw RelayFault("entries go up from 1, and none lies beyond through")
      }
      do throws(RelayFault) {
        self.entries.append(try LedgerEntry(relayed: value))
      } catch {
        entryFaults.append(Fault(sequence, error, value))
      }
    }
    for value in readings {
      let number = try value.relayWhole("number")
      guard number > newestReading, number <= Self.numberLimit else {
        throw RelayFault("readings go up from 1, and none beyond all numbers")
      }
      do throws(RelayFault) {
        self.readings.append(try Reading(json: value))
      } catch {
        readingFaults.append(Fault(number, error, value))
      }
    }
  }

  private var newestEntry: Int64 {
    max(entries.last?.sequence ?? 0, entryFaults.last?.number ?? 0)
  }

  private var newestReading: Int64 {
    max(readings.last?.number ?? 0, readingFaults.last?.number ?? 0)
  }
}

/// Why a batch, or a part of one, cannot be read.
public struct RelayFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason, with the member's name.
  public var description: String

  init(_ description: String) {
    self.description = description
  }
}

extension RelayBatch.Fault {
  fileprivate init(_ number: Int64, _ fault: RelayFault, _ value: LedgerJSON) {
    self.init(number: number, reason: fault.description, sample: value.canonicalBytes())
  }
}

/// What became of a batch; answered when the receiver's ledger has what came of it.
public struct RelayOutcome: Hashable, Sendable {
  /// An entry that was not taken.
  public struct Refusal: Hashable, Sendable {
    /// Its sequence at the origin.
    public var sequence: Int64
    /// Why.
    public var reason: String
  }

  /// A reading that was not taken.
  public struct ReadingRefusal: Hashable, Sendable {
    /// Its number at the origin.
    public var number: Int64
    /// Why.
    public var reason: String
  }

  /// The receiver's name.
  public var station: String
  /// Sequence of the origin up to which the receiver has everything.
  public var sequence: Int64
  /// The newest entry taken, by sequence and hash: how the origin sees whether it is its own ledger that is known here.
  public var newest: (sequence: Int64, hash: String) {
    get { (newestSequence, newestHash) }
    set { (newestSequence, newestHash) = newValue }
  }
  private var newestSequence: Int64 = 0
  private var newestHash = ""
  /// Number of the newest reading that the receiver has.
  public var reading: Int64 = 0
  /// Entries taken.
  public var taken = 0
  /// Readings taken.
  public var takenReadings = 0
  /// Entries and readings that were there already.
  public var duplicates = 0
  /// Entries that were not taken; they are on record at the receiver.
  public var refused: [Refusal] = []
  /// Readings that were not taken.
  public var refusedReadings = 0
  /// Which those are, and why; a station of an earlier version counts them only.
  public private(set) var readingRefusals: [ReadingRefusal] = []

  /// How many refused readings an answer names: more would not fit into what a sender reads of it.
  private static let readingRefusalLimit = 100

  /// Counts a reading that is not taken, and says why of the first of them.
  mutating func refuse(reading number: Int64, _ reason: String) {
    refusedReadings += 1
    guard readingRefusals.count < Self.readingRefusalLimit else { return }
    readingRefusals.append(ReadingRefusal(number: number, reason: reason.bytes(atMost: 200)))
  }

  /// Makes an outcome in which nothing has happened yet.
  public init(station: String, sequence: Int64) {
    self.station = station
    self.sequence = sequence
  }

  /// The outcome in canonical JSON.
  public func encoded() -> [UInt8] {
    JSONValue.object([
      "station": .string(station), "sequence": .integer(sequence),
      "newest": .object(["sequence": .integer(newest.sequence), "hash": .string(newest.hash)]),
      "reading": .integer(reading), "taken": .integer(Int64(taken)),
      "takenReadings": .integer(Int64(takenReadings)),
      "duplicates": .integer(Int64(duplicates)),
      "refusedReadings": .integer(Int64(refusedReadings)),
      "refused": .array(
        refused.map {
          .object(["sequence": .integer($0.sequence), "reason": .string($0.reason)])
        }
      ),
      "readingRefusals": .array(
        readingRefusals.map {
          .object(["number": .integer($0.number), "reason": .string($0.reason)])
        }
      ),
    ]).canonicalBytes()
  }

  /// Reads an outcome.
  ///
  /// - Throws: what is missing or wrong.
  public init(decoding bytes: [UInt8]) throws(RelayFault) {
    let json: JSONValue
    do throws(JSONSyntaxError) {
      json = try JSONValue(parsing: bytes)
    } catch {
      throw RelayFault("the answer is not JSON: \(error)")
    }
    self.init(
      station: try json.relayText("station"),
      sequence: try json.relayWhole("sequence")
    )
    if let entry = json["newest"] {
      newest = (try entry.relayWhole("sequence"), try entry.relayText("hash"))
    }
    reading = try json.relayWhole("reading")
    // Who gets the answer reckons with these: none may make a sum or a difference overflow.
    guard sequence >= 0, newestSequence >= 0, (0...RelayBatch.numberLimit).contains(reading) else {
      throw RelayFault("sequence, newest, reading: not below 0, and no reading beyond all numbers")
    }
    taken = json.relayCount("taken")
    takenReadings = json.relayCount("takenReadings")
    duplicates = json.relayCount("duplicates")
    refusedReadings = json.relayCount("refusedReadings")
    refused = try (json["refused"]?.elements ?? []).map { item throws(RelayFault) in
      Refusal(
        sequence: try item.relayWhole("sequence"),
        reason: try item.relayText("reason")
      )
    }
    let listed = json["readingRefusals"]?.elements ?? []
    readingRefusals = try listed.prefix(RelayBatch.readingLimit).map { item throws(RelayFault) in
      ReadingRefusal(
        number: try item.relayWhole("number"),
        reason: try item.relayText("reason")
      )
    }
  }
}

extension String {
  /// The beginning of the text, at most so many bytes of UTF-8; a character can be of any length.
  func bytes(atMost limit: Int) -> String {
    guard utf8.count > limit else { return self }
    var scalars = String.UnicodeScalarView()
    var count = 0
    for scalar in unicodeScalars {
      count += UTF8.width(scalar)
      guard count <= limit else { break }
      scalars.append(scalar)
    }
    return String(scalars)
  }
}

extension LedgerEntry {
  /// The entry with all that its hash is taken over.
  fileprivate var relayed: LedgerJSON {
    // A body that the ledger holds is JSON; one that is pruned is not passed on.
    let value = body.flatMap { try? LedgerJSON(parsing: $0) } ?? .null
    return .object([
      "sequence": .integer(sequence), "time": .integer(time.milliseconds),
      "kind": .string(kind.rawValue), "subject": .string(subject), "actor": .string(actor),
      "body": value, "origin": .integer(Int64(clamping: origin)),
      "previous": .string(previousHash.hex), "hash": .string(hash.hex),
    ])
  }

  fileprivate init(relayed json: LedgerJSON) throws(RelayFault) {
    let kind = try json.relayText("kind")
    guard let kind = EntryKind(rawValue: kind) else {
      throw RelayFault("kind: \(kind.filter { $0 != "\0" }.bytes(atMost: 40)) is unknown")
    }
    let subject = try json.relayText("subject")
    let actor = try json.relayText("actor")
    guard !subject.utf8.contains(0), !actor.utf8.contains(0), subject.utf8.count <= 2_048,
      actor.utf8.count <= 1_024
    else { throw RelayFault("subject, actor: too long, or with U+0000") }
    let origin = try json.relayWhole("origin")
    guard origin >= 0 else { throw RelayFault("origin: a journal sequence") }
    guard let previous = [UInt8](hex: try json.relayText("previous")), previous.count == 32,
      let hash = [UInt8](hex: try json.relayText("hash")), hash.count == 32
    else { throw RelayFault("previous, hash: 64 hexadecimal digits") }
    guard let body = json["body"], body.members != nil else {
      throw RelayFault("body: an object")
    }
    self.init(
      sequence: try json.relayWhole("sequence"),
      time: try json.relayTime("time"),
      kind: kind,
      subject: subject,
      actor: actor,
      body: body.canonicalBytes(),
      origin: UInt64(origin),
      previousHash: previous,
      hash: hash
    )
  }

  /// Whether the hash is that of what the entry says.
  var hashHolds: Bool {
    guard let body else { return false }
    let draft = LedgerDraft(
      time: time,
      kind: kind,
      subject: subject,
      actor: actor,
      body: body,
      origin: origin
    )
    var buffer: [UInt8] = []
    return LedgerEntry(
      draft,
      sequence: sequence,
      previousHash: previousHash,
      buffer: &buffer
    ).hash == hash
  }
}

extension RelayBatch.Reading {
  fileprivate var json: LedgerJSON {
    .object([
      "number": .integer(number), "point": .string(point), "unit": .string(unit),
      "time": .integer(time.milliseconds), "value": value.map { .number($0) } ?? .null,
      "status": .string("\(status)"),
    ])
  }

  fileprivate init(json: LedgerJSON) throws(RelayFault) {
    let word = try json.relayText("status")
    let point = try json.relayText("point")
    let unit = try json.relayText("unit")
    guard !point.isEmpty, point.utf8.count <= 1_024, unit.utf8.count <= 64,
      !point.utf8.contains(0), !unit.utf8.contains(0)
    else { throw RelayFault("point, unit: missing, too long, or with U+0000") }
    let value: Double?
    switch json["value"] {
    case nil, .null: value = nil
    case let given?:
      guard let number = given.double, number.isFinite else {
        // Taken for none it would be a measurement that its source calls good and that is not there.
        throw RelayFault("value: a number or null")
      }
      value = number
    }
    self.init(
      number: try json.relayWhole("number"),
      point: point,
      unit: unit,
      time: try json.relayTime("time"),
      value: value,
      // A word of a later version is not passed for normal.
      status: SourceStatus.allCases.first { "\($0)" == word } ?? .unknown
    )
  }
}

extension LedgerJSON {
  fileprivate func relayText(_ name: String) throws(RelayFault) -> String {
    guard let text = self[name]?.text else { throw RelayFault("\(name): a text is missing") }
    return text
  }

  fileprivate func relayWhole(_ name: String) throws(RelayFault) -> Int64 {
    guard let number = self[name]?.wholeNumber else {
      throw RelayFault("\(name): a whole number is missing")
    }
    return number
  }

  fileprivate func relayTime(_ name: String) throws(RelayFault) -> Timestamp {
    let milliseconds = try relayWhole(name)
    // Beyond these years no calendar, no database and no report of this station can show it.
    guard RelayBatch.times.contains(milliseconds) else {
      throw RelayFault("\(name): a time of the years 1900 to 9999")
    }
    return Timestamp(milliseconds: milliseconds)
  }

  /// How many of a batch; no batch has more than its limits allow.
  fileprivate func relayCount(_ name: String) -> Int {
    let limit = Int64(RelayBatch.entryLimit + RelayBatch.readingLimit)
    return Int(clamping: min(max(self[name]?.wholeNumber ?? 0, 0), limit))
  }
}
