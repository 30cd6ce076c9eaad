import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The few calls of the operating system that the journal needs beside SQLite.
///
/// None of them opens a database file: closing any descriptor of one would drop SQLite's locks on it
/// (see ``SQLitePages``, which therefore keeps its descriptor).
enum FileSystem {
  static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  static func size(_ path: String) -> Int64? {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? Int64(status.st_size) : nil
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Bytes of the database and of what SQLite keeps beside it.
  static func sizeWithCompanions(_ path: String) -> Int64 {
    (size(path) ?? 0) + (size(path + "-wal") ?? 0) + (size(path + "-shm") ?? 0)
  }

  static func remove(_ path: String) throws(JournalError) {
    guard unsafe unlink(path) == 0 || errno == ENOENT else { throw .system(path) }
  }

  /// Renames and makes the new name durable.
  static func move(_ path: String, to newPath: String) throws(JournalError) {
    guard unsafe rename(path, newPath) == 0 else { throw .system(newPath) }
    try synchronize(directory: directory(of: newPath))
  }

  /// Makes the names in a directory durable.
  static func synchronize(directory: String) throws(JournalError) {
    let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(directory) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .system(directory) }
  }

  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func makeDirectory(_ path: String) throws(JournalError) {
    try JournalError.mapping(path) {
      try FileManager.default.createDirectory(
        atPath: path,
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o750]
      )
    }
  }

  /// The segments of a directory, oldest first.
  static func segments(in directory: String) throws(JournalError) -> [(first: UInt64, path: String)]
  {
    let names = try JournalError.mapping(directory) {
      try FileManager.default.contentsOfDirectory(atPath: directory)
    }
    return names.compactMap { name in
      Segment.first(ofFileName: name).map { ($0, directory + "/" + name) }
    }.sorted { $0.0 < $1.0 }
  }
}

extension FileSystem {
  /// Removes what a crash has left of a segment that was being made.
  static func removeLeftovers(in directory: String) throws(JournalError) {
    let names = try JournalError.mapping(directory) {
      try FileManager.default.contentsOfDirectory(atPath: directory)
    }
    for name in names {
      for suffix in [".new", ".new-journal"] where name.hasSuffix(suffix) {
        guard Segment.first(ofFileName: String(name.dropLast(suffix.count))) != nil else {
          continue
        }
        try remove(directory + "/" + name)
      }
    }
  }
}

/// A system call has failed.
struct SystemFault: Error, CustomStringConvertible {
  var code: Int32

  var description: String { unsafe String(cString: strerror(code)) }

  /// True when this process is short of something: says nothing of the file.
  var isShortage: Bool { code == EMFILE || code == ENFILE || code == ENOMEM }
}

/// Keeps a second writer out of a directory, across processes and within one.
final class DirectoryLock: Sendable {
  private let descriptor: Atomic<Int32>

  init(directory: String) throws(JournalError) {
    let path = directory + "/LOCK"
    let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { throw .system(path) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      let holder = Self.holder(descriptor)
      close(descriptor)
      if code == EWOULDBLOCK { throw .locked(directory: directory, holder: holder) }
      throw .system(path, code: code)
    }
    // The number only helps a person; on a full disk the lock holds without it.
    let text = "\(getpid())\n"
    _ = ftruncate(descriptor, 0)
    _ = unsafe text.utf8.span.withUnsafeBytes { bytes in
      unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, 0)
    }
    self.descriptor = Atomic(descriptor)
  }

  deinit { release() }

  /// Lets another writer in; once is enough.
  func release() {
    let descriptor = descriptor.exchange(-1, ordering: .acquiringAndReleasing)
    guard descriptor >= 0 else { return }
    // Said outright: a child that is being started has the descriptor too, until it becomes another program.
    _ = flock(descriptor, LOCK_UN)
    close(descriptor)
  }

  private static func holder(_ descriptor: Int32) -> Int32? {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe pread(descriptor, $0.baseAddress, $0.count, 0)
    }
    return Int32(String(decoding: bytes.prefix(max(0, count)).prefix { $0 > 0x20 }, as: UTF8.self))
  }
}
