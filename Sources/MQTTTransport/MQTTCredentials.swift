import Glibc

/// A value that comes from outside the configuration, so that it is in no command line and no repository.
public enum SecretSource: Sendable, Equatable {
  /// The first line of a file that others may not read.
  case file(String)
  /// An environment variable.
  case environment(String)
}

/// User name and password.
public struct MQTTCredentials: Sendable, Equatable {
  /// Where the user name comes from.
  public enum UserName: Sendable, Equatable {
    /// As written in the configuration; a user name is no secret.
    case text(String)
    /// From a file or the environment.
    case secret(SecretSource)
  }

  /// The user name.
  public var userName: UserName
  /// The password.
  public var password: SecretSource?

  /// Creates credentials.
  public init(userName: UserName, password: SecretSource? = nil) {
    self.userName = userName
    self.password = password
  }

  /// What is sent to the broker.
  struct Loaded {
    var userName: String
    var password: String?
  }

  /// Reads the files and the environment anew, so that a changed password counts at the next attempt.
  func load() throws(MQTTOptionProblem) -> Loaded {
    let name: String
    switch userName {
    case .text(let text): name = text
    case .secret(let source): name = try source.load("user name")
    }
    guard !name.isEmpty, name.utf8.count <= 65_535, !name.utf8.contains(0) else {
      throw MQTTOptionProblem(
        place: "user name",
        message: "is empty, too long or has a NUL",
        remedy: "correct it"
      )
    }
    guard let password else { return Loaded(userName: name, password: nil) }
    return Loaded(userName: name, password: try password.load("password"))
  }
}

extension SecretSource {
  /// The secret's text, or the reason and remedy why it cannot be had.
  func load(_ purpose: String) throws(MQTTOptionProblem) -> String {
    let text: String
    let place: String
    switch self {
    case .environment(let variable):
      place = "\(purpose) from environment variable \(variable)"
      guard let value = unsafe getenv(variable) else {
        throw MQTTOptionProblem(
          place: place,
          message: "is not set",
          remedy: "set \(variable) for the service"
        )
      }
      text = unsafe String(cString: value)
    case .file(let path):
      place = "\(purpose) file \(path)"
      let bytes = try SecretFile.read(path, place: place)
      guard let line = String(validating: bytes.prefix { $0 != 10 && $0 != 13 }, as: UTF8.self)
      else {
        throw MQTTOptionProblem(
          place: place,
          message: "is not valid UTF-8",
          remedy: "write it as UTF-8 text"
        )
      }
      text = line
    }
    guard !text.isEmpty, text.utf8.count <= 65_535, !text.utf8.contains(0) else {
      throw MQTTOptionProblem(
        place: place,
        message: "is empty, too long or has a NUL",
        remedy: "put the \(purpose) alone on its first line"
      )
    }
    return text
  }
}

/// Files whose content others must not read.
enum SecretFile {
  /// The file's bytes, at most 64 KiB.
  static func read(_ path: String, place: String) throws(MQTTOptionProblem) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(place) }
    defer { close(descriptor) }
    try check(descriptor, path, place: place)
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 4_096)
    while bytes.count <= 65_536 {
      let count = unsafe Glibc.read(descriptor, &part, part.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw unreadable(place) }
      guard count > 0 else { break }
      bytes += part[..<count]
    }
    guard bytes.count <= 65_536 else {
      throw MQTTOptionProblem(
        place: place,
        message: "is longer than 64 KiB",
        remedy: "name the right file"
      )
    }
    return bytes
  }

  /// Refuses a file that cannot be opened or that everybody may read.
  static func check(_ path: String, place: String) throws(MQTTOptionProblem) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(place) }
    defer { close(descriptor) }
    try check(descriptor, path, place: place)
  }

  private static func check(
    _ descriptor: Int32,
    _ path: String,
    place: String
  ) throws(MQTTOptionProblem) {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw unreadable(place) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw MQTTOptionProblem(
        place: place,
        message: "is not a regular file",
        remedy: "name the right file"
      )
    }
    guard status.st_mode & 0o007 == 0 else {
      throw MQTTOptionProblem(
        place: place,
        message: "may be read by everybody",
        remedy: "chmod 600 \(path), or 640 and the service's group"
      )
    }
  }

  private static func unreadable(_ place: String) -> MQTTOptionProblem {
    let reason = errno
    return MQTTOptionProblem(
      place: place,
      message: "cannot be read: \(SystemError.text(reason))",
      remedy: "create it and let the service's user read it"
    )
  }
}

/// Texts of the operating system's error numbers.
enum SystemError {
  /// The text of an error number.
  static func text(_ number: Int32) -> String { unsafe String(cString: strerror(number)) }
}
