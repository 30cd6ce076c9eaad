import Foundation
import Glibc

/// A real mosquitto on a free loopback port, for one test.
final class TestBroker {
  /// Whether mosquitto is installed; tests that need it are skipped without.
  static let executable: String? = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].first {
    unsafe access($0, X_OK) == 0
  }
  static var isInstalled: Bool { executable != nil }

  let port: UInt16
  let folder: String
  private let extra: String
  private let anonymous: Bool
  private var process: ChildProcess?

  /// Writes the configuration and starts the broker; `%folder%` in `extra` is the broker's folder.
  init(
    extra: String = "",
    anonymous: Bool = true,
    files: [String: String] = [:],
    prepare: (_ folder: String) throws -> Void = { _ in }
  ) throws {
    folder = try TestFolder.make()
    port = try FreePort.find()
    self.anonymous = anonymous
    self.extra = extra.replacing("%folder%", with: folder)
    for (name, content) in files {
      try content.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
      unsafe chmod("\(folder)/\(name)", 0o600)
    }
    try prepare(folder)
    try start()
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// Starts the broker (again) with the state it left, and waits until it takes connections.
  func start() throws {
    let configuration = """
      listener \(port) 127.0.0.1
      allow_anonymous \(anonymous)
      user root
      max_inflight_messages 0
      max_queued_messages 0
      persistence true
      persistence_location \(folder)/
      autosave_interval 0
      log_dest file \(folder)/broker.log
      log_type all
      connection_messages true
      sys_interval 1
      \(extra)
      """
    try configuration.write(toFile: "\(folder)/broker.conf", atomically: true, encoding: .utf8)
    process = try ChildProcess(
      Self.executable ?? "/usr/sbin/mosquitto",
      ["-c", "\(folder)/broker.conf"]
    )
    try wait(until: "mosquitto takes connections") { Socket.connect(port: self.port) != nil }
  }

  /// Ends the broker in good order: it saves its sessions.
  func stop() {
    end(SIGTERM)
  }

  /// Ends the broker at once.
  func kill() {
    end(SIGKILL)
  }

  private func end(_ signal: Int32) {
    process?.end(signal)
    process = nil
  }

  /// What the broker has logged.
  var log: String { (try? String(contentsOfFile: "\(folder)/broker.log", encoding: .utf8)) ?? "" }
}

/// A folder of its own for a test.
enum TestFolder {
  static func make() throws -> String {
    var template = Array("/tmp/davy-mqtt-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw TestFailure("no temporary folder") }
    return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

/// Ports that nobody listens at.
enum FreePort {
  static func find() throws -> UInt16 {
    let listener = try Listener()
    defer { close(listener.descriptor) }
    return listener.port
  }
}

/// What makes a test fail outside an expectation.
struct TestFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// How long a test waits for what has to come, in seconds: on a machine that has no time this may take minutes.
let patience: Double = 240

/// Waits for something to become true, looking every few milliseconds.
func wait(
  until what: String,
  _ condition: () throws -> Bool
) throws {
  let limit = ContinuousClock.now + .seconds(patience)
  while try !condition() {
    guard ContinuousClock.now < limit else { throw TestFailure("waited in vain until \(what)") }
    _ = poll(nil, 0, 5)
  }
}
