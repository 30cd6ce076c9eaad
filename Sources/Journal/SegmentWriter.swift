import Foundation
import GRDB

/// The writing side of a journal: the newest segment and the next sequence.
struct SegmentWriter: ~Copyable {
  /// Sequence of the next record.
  private(set) var next: UInt64
  /// Latest receive time written so far.
  private(set) var latestReceived = Int64.min
  /// What went wrong without stopping the journal.
  private(set) var faults: [SegmentFault] = []

  private struct Active {
    var file: SegmentFile
    var queue: DatabaseQueue
    var bytes: Int64
    /// Receive time of the segment's first block; nil while it is empty.
    var earliestReceived: Int64?
    /// Rotation has failed and is tried again at this size.
    var retryBytes: Int64 = 0
  }

  private let directory: String
  private let options: SegmentOptions
  private let contents: Recording
  private var encoder = BlockEncoder()
  private var active: Active?
  /// The newest segment, while the disk is too full or too ill to open it for appending.
  private var unopened: SegmentFile?
  /// A commit has failed: what is on disk has to be looked at before the next.
  private var isUncertain = false
  private var isClosed = false
  /// Segments that could not be sealed, for example because somebody was reading them.
  private var leftOpen: [SegmentFile] = []

  private static let faultLimit = 100
  private static let insert = "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

  /// Goes on where the newest segment ends; never fails, see ``faults``.
  init(_ directory: String, _ options: SegmentOptions, _ contents: Recording) {
    self.directory = directory
    self.options = options
    self.contents = contents
    next = 1
    let files = contents.files
    for file in files.dropLast() {
      // A log, or a rollback journal when the crash came while the segment was being sealed: a
      // reading connection cannot roll that back.
      if ["-wal", "-journal"].contains(where: { FileSystem.exists(file.path + $0) }) {
        leftOpen.append(file)
      }
    }
    if let newest = files.last { resume(newest) }
    if next <= options.sequenceFloor {
      if let newest = active {
        active = nil
        seal(newest)
      }
      if let newest = unopened {
        unopened = nil
        leftOpen.append(newest)
      }
      next = options.sequenceFloor + 1
    }
    contents.setLast(next - 1)
    sealLeftOpen()
    for file in files.dropLast() { if let fault = file.openingFault() { note(file, fault) } }
    if latestReceived == .min {
      latestReceived = contents.segments.compactMap(\.latestReceived).max() ?? .min
    }
  }

  private mutating func resume(_ newest: SegmentFile) {
    do {
      let (active, header) = try open(newest)
      self.active = active
      next = header.map { $0.last + 1 } ?? newest.first
      latestReceived = header?.latestReceived ?? .min
    } catch {
      note(newest, "\(error)")
      let limit = newest.first + (Segment.maximumSpan - 1)
      if error.isOfTheMoment, let last = newest.readableLast(limit: limit) {
        // A full disk, for example. Readers see how far it reaches; it is opened when there is room.
        unopened = newest
        next = last + 1
      } else {
        // How far it reached is unknown, so go on where no segment that begins there can have been.
        next = newest.first + Segment.maximumSpan
      }
    }
  }

  /// Opens the segment that could not be opened at the start.
  private mutating func openUnopened() throws(JournalError) {
    guard let file = unopened else { return }
    do {
      let (opened, header) = try open(file)
      unopened = nil
      let found = header.map { $0.last + 1 } ?? file.first
      faults.removeAll { $0.segment == file.path }
      if found < next { return seal(opened) }
      next = found
      active = opened
      contents.setLast(next - 1)
    } catch {
      if error.isOfTheMoment { try JournalError.mapping(file.path) { throw error } }
      unopened = nil
      try leave(file, "\(error)")
    }
  }

  /// Opens a segment for appending and reads its newest block.
  private func open(_ file: SegmentFile) throws -> (Active, BlockHeader?) {
    let queue = try Segment.openForWriting(file.path)
    return try queue.inDatabase { db in
      guard try Segment.firstSequence(db) == file.first else {
        throw JournalError.notAJournal(
          path: file.path,
          message: "it does not begin at the sequence of its name"
        )
      }
      try db.execute(sql: "PRAGMA wal_autocheckpoint = \(options.checkpointPages)")
      let header = try newestBlock(db, file)
      let bytes = try Int64.fetchOne(
        db,
        sql: "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
      )
      let earliest = try Int64.fetchOne(
        db,
        sql: "SELECT received_first FROM block ORDER BY first LIMIT 1"
      )
      let active = Active(
        file: file,
        queue: queue,
        bytes: bytes ?? 0,
        earliestReceived: earliest
      )
      return (active, header)
    }
  }

  /// The newest block, which must be whole and of this segment: sequences go on from it.
  private func newestBlock(_ db: Database, _ file: SegmentFile) throws -> BlockHeader? {
    var batch = JournalBatch()
    let row = try Row.fetchOne(db, sql: Segment.columns + "ORDER BY first DESC LIMIT 1")
    let noted = try Int64.fetchOne(db, sql: "SELECT max(value) FROM property WHERE name = 'last'")
    let header = try row.map { try Segment.decode($0, BlockDecoder(), into: &batch) }
    let last = header?.last ?? file.first - 1
    guard last >= file.first - 1, last - (file.first - 1) <= Segment.maximumSpan,
      noted.map({ $0 <= Int64(last) }) ?? true
    else {
      throw JournalError.damaged(
        JournalDamage(
          segment: file.path,
          sequences: last + 1...max(last + 1, UInt64(max(0, noted ?? 0))),
          cause: .missing
        )
      )
    }
    return header
  }

  // MARK: - Appending

  mutating func append(_ batch: JournalBatch, firstSequence: UInt64) throws(JournalError) {
    guard !isClosed else { throw .closed(directory: directory) }
    guard batch.byteCount <= BlockFormat.maximumBlockSize, batch.count <= Segment.maximumSpan else {
      throw .tooLarge(bytes: batch.byteCount, records: batch.count)
    }
    try openUnopened()
    if isUncertain { try recover() }
    guard firstSequence > 0, firstSequence <= next else {
      throw .gap(expected: next, given: firstSequence)
    }
    var batch = batch
    if firstSequence < next {
      let known = try compare(batch, firstSequence: firstSequence)
      guard known < batch.count else { return }
      batch.trim(to: known..<batch.count)
    }
    try rotateIfDue(before: batch)
    do {
      try insert(batch)
    } catch {
      isUncertain = true
      throw error
    }
    next += UInt64(batch.count)
    latestReceived = max(latestReceived, batch.latestReceived)
  }

  /// Inserts the batch; a segment whose file proves damaged is left and another begun.
  private mutating func insert(_ batch: JournalBatch) throws(JournalError) {
    if active == nil { try beginSegment() }
    do {
      try insertIntoActive(batch)
    } catch let error as DatabaseError where error.isCorruption {
      try abandon("\(error)")
      try beginSegment()
      try JournalError.mapping(directory) { try insertIntoActive(batch) }
    } catch {
      try JournalError.mapping(active?.file.path ?? directory) { throw error }
    }
  }

  private mutating func insertIntoActive(_ batch: JournalBatch) throws {
    guard let queue = active?.queue else { return }
    let size = try unsafe encoder.encode(batch, first: next) { header, bytes in
      // SQLite copies the bytes while it binds them; nothing keeps this pointer.
      let data = unsafe bytes.baseAddress.map {
        unsafe Data(bytesNoCopy: $0, count: bytes.count, deallocator: .none)
      }
      try queue.inDatabase { db in
        let statement = try db.cachedStatement(sql: Self.insert)
        try statement.execute(arguments: [
          Int64(header.first), header.count, header.earliestReceived, header.latestReceived,
          header.codec, header.rawSize, Int64(header.checksum), data ?? Data(),
        ])
      }
      return bytes.count
    }
    active?.bytes += Int64(size) + 32
    if active?.earliestReceived == nil { active?.earliestReceived = batch.earliestReceived }
  }

  /// Compares what the journal has already of a batch that is handed in again; how many that is.
  private func compare(
    _ batch: JournalBatch,
    firstSequence: UInt64
  ) throws(JournalError) -> Int {
    let last = min(firstSequence + UInt64(batch.count) - 1, next - 1)
    let decoder = BlockDecoder()
    var stored = JournalBatch()
    var position = firstSequence
    while position <= last {
      let header = try contents.find(from: position, through: last, decoder, into: &stored)
      guard let header, header.first <= position else {
        throw .damaged(
          JournalDamage(
            segment: directory,
            sequences: position...max(position, (header?.first ?? last + 1) - 1),
            cause: .missing
          )
        )
      }
      for sequence in position...min(header.last, last) {
        let (index, storedIndex) = (Int(sequence - firstSequence), Int(sequence - header.first))
        guard batch.equals(at: index, stored, at: storedIndex) else {
          throw .conflict(sequence: sequence)
        }
      }
      position = header.last + 1
    }
    return Int(last - firstSequence) + 1
  }

  /// After a failed commit: finds out whether it reached the disk after all.
  private mutating func recover() throws(JournalError) {
    guard let current = active else {
      isUncertain = false
      return
    }
    do {
      let header = try reread(current)
      let found = header.map { $0.last + 1 } ?? current.file.first
      if found < next {
        try abandon("it ends at \(found - 1), but \(next - 1) was written")
      } else {
        next = found
        if let header { latestReceived = max(latestReceived, header.latestReceived) }
        contents.setLast(next - 1)
      }
    } catch {
      if error.isOfTheMoment { try JournalError.mapping(current.file.path) { throw error } }
      try abandon("its newest block cannot be read: \(error)")
    }
    isUncertain = false
  }

  /// The newest block as it is on disk; through a new connection if the old one no longer works.
  private mutating func reread(_ current: Active) throws -> BlockHeader? {
    do {
      return try current.queue.inDatabase { db in
        // A write lock shows whether the connection still works; the disk may be full, so no write.
        try db.execute(sql: "BEGIN IMMEDIATE; ROLLBACK")
        return try newestBlock(db, current.file)
      }
    } catch {
      try? current.queue.close()
      let (reopened, header) = try open(current.file)
      active = reopened
      return header
    }
  }

  // MARK: - Segments

  private mutating func beginSegment() throws(JournalError) {
    let path = directory + "/" + Segment.fileName(first: next)
    let isNew = !FileSystem.exists(path)
    if isNew { try Segment.create(at: path, first: next) }
    let file = SegmentFile(path: path, first: next)
    let opened: Active
    let header: BlockHeader?
    do throws(JournalError) {
      (opened, header) = try JournalError.mapping(path) { try open(file) }
    } catch {
      if isNew { try Self.withdraw(path) }
      throw error
    }
    guard header == nil else {
      throw .io(path: path, message: "a segment that should be new holds records already")
    }
    active = opened
    contents.add(file)
  }

  /// Takes a segment away again that has been made and cannot be opened: the one before it goes on, and a start would take the
  /// empty one for its end, and what came after that for lost.
  private static func withdraw(_ path: String) throws(JournalError) {
    try FileSystem.remove(path)
    try FileSystem.synchronize(directory: FileSystem.directory(of: path))
    for suffix in ["-wal", "-shm", "-journal"] { try FileSystem.remove(path + suffix) }
  }

  /// Leaves a damaged segment as it is; the next block begins another.
  private mutating func abandon(_ reason: String) throws(JournalError) {
    guard let damaged = active else { return }
    active = nil
    try? damaged.queue.close()
    try leave(damaged.file, reason)
  }

  private mutating func leave(_ file: SegmentFile, _ reason: String) throws(JournalError) {
    note(file, reason)
    // One without a block has the name that its successor needs.
    guard file.first == next else { return }
    contents.remove(file)
    for suffix in ["-wal", "-shm", "-journal"] { try FileSystem.remove(file.path + suffix) }
    try FileSystem.move(file.path, to: file.path + ".damaged")
  }

  private mutating func rotateIfDue(before batch: JournalBatch) throws(JournalError) {
    guard let active, let earliest = active.earliestReceived else { return }
    let isFull = next + UInt64(batch.count) - active.file.first > Segment.maximumSpan
    let isDue =
      active.bytes >= options.segmentBytes
      || batch.latestReceived.subtractingReportingOverflow(earliest).partialValue
        >= options.segmentAge
    guard isFull || isDue && active.bytes >= active.retryBytes else { return }
    do {
      try rotate()
    } catch {
      if isFull { throw error }
      // The old segment still takes blocks; try again once it has grown a little.
      note(active.file, "could not begin another segment after it: \(error)")
      self.active?.retryBytes = active.bytes + max(1 << 16, options.segmentBytes / 16)
    }
  }

  mutating func rotate() throws(JournalError) {
    guard let old = active, old.earliestReceived != nil else { return }
    active = nil
    do {
      try beginSegment()
    } catch {
      active = old
      throw error
    }
    seal(old)
  }

  mutating func checkpoint() throws(JournalError) {
    guard let active else { return }
    try JournalError.mapping(active.file.path) {
      try active.queue.inDatabase { try $0.execute(sql: "PRAGMA wal_checkpoint(PASSIVE)") }
    }
  }

  mutating func close() throws(JournalError) {
    guard !isClosed else { return }
    isClosed = true
    sealLeftOpen()
    guard let last = active else { return }
    active = nil
    seal(last)
  }

  /// Makes a segment one plain file; if that cannot be now it is tried again later.
  private mutating func seal(_ segment: Active) {
    do {
      if try !Self.seal(segment.file, segment.queue, last: next - 1) {
        leftOpen.append(segment.file)
      }
    } catch {
      note(segment.file, "could not be closed in order, will be tried again: \(error)")
      leftOpen.append(segment.file)
      try? segment.queue.close()
    }
  }

  /// False when another process is reading the file, which then stays in WAL mode, but closed.
  private static func seal(
    _ file: SegmentFile,
    _ queue: DatabaseQueue,
    last: UInt64?
  ) throws(JournalError) -> Bool {
    try file.withoutReader { () throws(JournalError) in
      try JournalError.mapping(file.path) {
        let mode = try queue.inDatabase { db in
          if let last {
            try db.execute(
              sql: "INSERT OR REPLACE INTO property VALUES ('last', ?)",
              arguments: [Int64(last)]
            )
          }
          // The intake must not wait for a reader.
          try db.execute(sql: "PRAGMA busy_timeout = 0")
          do {
            return try String.fetchOne(db, sql: "PRAGMA journal_mode = DELETE")
          } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            return nil
          }
        }
        try queue.close()
        return mode == "delete"
      }
    }
  }

  /// Tries again to seal what a crash, a full disk or a reader has left open.
  mutating func sealLeftOpen() {
    leftOpen.removeAll { file in
      do {
        return try Self.seal(file, Segment.openForWriting(file.path), last: nil)
      } catch {
        // It was reported when it was left open, or is when it is opened to be read.
        return false
      }
    }
  }

  private mutating func note(_ file: SegmentFile, _ message: String) {
    let fault = SegmentFault(segment: file.path, message: message)
    guard !faults.contains(fault) else { return }
    if faults.count == Self.faultLimit { faults.removeFirst() }
    faults.append(fault)
  }

  func execute(_ sql: String) throws -> String? {
    try active?.queue.inDatabase { db in try String.fetchOne(db, sql: sql) }
  }
}
