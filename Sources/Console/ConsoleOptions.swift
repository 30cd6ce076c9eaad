/// What an operator may set of the console.
public struct ConsoleOptions: Sendable {
  /// Address to listen on; only a loopback address is accepted, because there are no accounts yet.
  public var host: String
  /// TCP port; 0 lets the system choose one.
  public var port: Int
  /// Names by which a reverse proxy on this machine may address the console, beside the loopback names.
  public var allowedHosts: [String]
  /// Folder of the web pages and API descriptions; nil takes those that were built with the program.
  public var resources: String?
  /// Folder of the fetched chart library; pages do without charts' library where it is nil or empty.
  public var vendor: String?
  /// The time zone that the pages show times in, by its IANA name; nil takes that of the first enterprise.
  public var timeZone: String?
  /// Most streams of alarms that may be open at once.
  public var maximumStreams: Int
  /// A stream that falls this many entries behind is given a fresh snapshot instead.
  public var maximumStreamLag: Int
  /// Time between a stream's heartbeats, unless it asks for another.
  public var heartbeat: Duration
  /// Longest time that an alarm may be shelved for.
  public var maximumShelving: Duration
  /// Folder of the evidence files; without it none are taken.
  public var evidenceFolder: String?
  /// Largest evidence file, in bytes.
  public var maximumEvidenceBytes = 20 << 20

  /// Makes options; the defaults suit one machine.
  public init(
    host: String = "127.0.0.1",
    port: Int = 8080,
    allowedHosts: [String] = [],
    resources: String? = nil,
    vendor: String? = nil,
    timeZone: String? = nil,
    maximumStreams: Int = 4_096,
    maximumStreamLag: Int = 20_000,
    heartbeat: Duration = .seconds(10),
    maximumShelving: Duration = .seconds(8 * 3_600)
  ) {
    self.host = host
    self.port = port
    self.allowedHosts = allowedHosts
    self.resources = resources
    self.vendor = vendor
    self.timeZone = timeZone
    self.maximumStreams = maximumStreams
    self.maximumStreamLag = maximumStreamLag
    self.heartbeat = heartbeat
    self.maximumShelving = maximumShelving
  }
}

/// Why the console does not start.
public enum ConsoleError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The address is reachable from other machines, and there are no accounts to protect it.
  case notLoopback(String)
  /// The web pages cannot be read.
  case resources(folder: String, reason: String)

  /// The error in words, with its remedy.
  public var description: String {
    switch self {
    case .notLoopback(let host):
      "the console listens on loopback only and refuses \(host): use 127.0.0.1, ::1 or localhost, "
        + "and reach it from elsewhere through an SSH tunnel or an authenticating proxy"
    case .resources(let folder, let reason):
      "the console's web pages cannot be read from \(folder): \(reason)"
    }
  }
}
