import GRDB

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Why the journal could not do what it was asked; each says where and what helps.
public enum JournalError: Error, Equatable, Sendable {
  /// No room where the journal lies; the same call may be made again once there is.
  case diskFull(path: String)
  /// The operating system or SQLite refused.
  case io(path: String, message: String)
  /// What was asked for cannot be read.
  case damaged(JournalDamage)
  /// Another process writes to the directory.
  case locked(directory: String, holder: Int32?)
  /// The batch begins after the next sequence: what lies between would be missing for ever.
  case gap(expected: UInt64, given: UInt64)
  /// The journal holds another input under this sequence than the one handed in again.
  case conflict(sequence: UInt64)
  /// More in one batch than a block can hold.
  case tooLarge(bytes: Int, records: Int)
  /// The file or folder is not a journal, or one of a later version.
  case notAJournal(path: String, message: String)
  /// The folder that a new recording was to be written to holds one already.
  case occupied(directory: String)
  /// The journal was closed.
  case closed(directory: String)
}

extension JournalError: CustomStringConvertible {
  /// What happened, where, and what to do.
  public var description: String {
    switch self {
    case .diskFull(let path):
      "No room left to write \(path). Free space on that file system; nothing was lost, and writing "
        + "goes on by itself."
    case .io(let path, let message):
      "Cannot read or write \(path): \(message). Check the disk, the mount and the permissions."
    case .damaged(let damage):
      "\(damage)"
    case .locked(let directory, let holder):
      "The journal \(directory) is in use"
        + (holder.map { " by process \($0)" } ?? " by another process")
        + ". Stop it first, or give this one a directory of its own."
    case .gap(let expected, let given):
      "Sequence \(given) was handed in, but \(expected) is the next one. "
        + "Append what lies between first."
    case .conflict(let sequence):
      "The journal holds another input under sequence \(sequence) than the one handed in again. "
        + "Two writers have numbered the same inputs: use lastSequence of this journal."
    case .tooLarge(let bytes, let records):
      "A batch of \(records) records and \(bytes) bytes is more than a block can hold "
        + "(\(Segment.maximumSpan) records, \(BlockFormat.maximumBlockSize) bytes). Cut it into smaller ones."
    case .notAJournal(let path, let message):
      "\(path) is not a journal that this version reads: \(message)."
    case .occupied(let directory):
      "The folder \(directory) holds recorded inputs already. Give an empty or new one."
    case .closed(let directory):
      "The journal \(directory) was closed."
    }
  }
}

/// A place of a journal that cannot be read, and why.
public struct JournalDamage: Error, Hashable, Sendable {
  /// Why a place cannot be read.
  public enum Cause: Hashable, Sendable {
    /// The block's bytes are not those that were written.
    case checksum
    /// No block holds these sequences.
    case missing
    /// The block's checksum is right, but its content is not what this version can read.
    case content(String)
    /// SQLite or the operating system cannot read the place.
    case unreadable(String)
    /// The whole segment cannot be opened.
    case unopenable(String)
  }

  /// Path of the segment file.
  public var segment: String
  /// The sequences that cannot be read.
  public var sequences: ClosedRange<UInt64>
  /// Why.
  public var cause: Cause

  /// Makes a report.
  public init(segment: String, sequences: ClosedRange<UInt64>, cause: Cause) {
    self.segment = segment
    self.sequences = sequences
    self.cause = cause
  }

  /// True when the other report says nothing that this one does not.
  func covers(_ other: JournalDamage) -> Bool {
    segment == other.segment && cause == other.cause
      && sequences.lowerBound <= other.sequences.lowerBound
      && sequences.upperBound >= other.sequences.upperBound
  }
}

extension JournalDamage: CustomStringConvertible {
  /// Where, what and why, in one line.
  public var description: String {
    let why =
      switch cause {
      case .checksum: "the checksum does not match"
      case .missing: "no block holds them"
      case .content(let message): message
      case .unreadable(let message): message
      case .unopenable(let message): "the file cannot be opened: \(message)"
      }
    return
      "Sequences \(sequences.lowerBound) to \(sequences.upperBound) in \(segment) cannot be read: "
      + "\(why). Restore the file from a backup if they matter; all else stays readable."
  }
}

extension JournalError {
  /// True when the volume or the moment is at fault: the same call may go well later.
  package var isPassing: Bool {
    switch self {
    case .diskFull, .io: true
    case .damaged, .locked, .gap, .conflict, .tooLarge, .notAJournal, .occupied, .closed: false
    }
  }

  /// Runs `body` and gives whatever it throws the journal's words.
  static func mapping<Result>(
    _ path: String,
    _ body: () throws -> Result
  ) throws(JournalError) -> Result {
    do {
      return try body()
    } catch let error as JournalError {
      throw error
    } catch let error as DatabaseError {
      throw JournalError(error, path: path)
    } catch {
      throw .io(path: path, message: "\(error)")
    }
  }

  init(_ error: DatabaseError, path: String) {
    let message = error.message ?? "\(error.extendedResultCode)"
    switch error.resultCode {
    case .SQLITE_FULL:
      self = .diskFull(path: path)
    case .SQLITE_IOERR, .SQLITE_CANTOPEN:
      // SQLite has no code of its own for a shared-memory or journal file that cannot grow.
      self = hasNoRoom(path) ? .diskFull(path: path) : .io(path: path, message: message)
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      self = .io(path: path, message: "another program holds the file (\(message))")
    default:
      self = .io(path: path, message: message)
    }
  }

  /// The error of the last system call.
  static func system(_ path: String, code: Int32 = errno) -> JournalError {
    if code == ENOSPC || code == EDQUOT { return .diskFull(path: path) }
    return .io(path: path, message: unsafe String(cString: strerror(code)))
  }
}

extension Error {
  /// True when the disk or the moment is at fault, not what the file holds: trying again may help.
  var isOfTheMoment: Bool {
    if let error = self as? DatabaseError { return !error.isCorruption }
    return (self as? JournalError)?.isPassing ?? false
  }
}

extension DatabaseError {
  /// True when the file's content is at fault, not the disk, the permissions or the moment.
  var isCorruption: Bool {
    resultCode == .SQLITE_CORRUPT || resultCode == .SQLITE_NOTADB
      || resultCode == .SQLITE_ERROR || resultCode == .SQLITE_MISMATCH
      || resultCode == .SQLITE_FORMAT
      || resultCode == .SQLITE_SCHEMA
  }
}

/// True when the file system of `path` has less room than SQLite needs to open a file.
private func hasNoRoom(_ path: String) -> Bool {
  var status = statvfs()
  let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  guard unsafe statvfs(directory, &status) == 0 else { return false }
  return UInt64(status.f_bavail) * UInt64(status.f_frsize) < 128 << 10
}
