/// What an operator may set of the console.
public struct ConsoleOptions: Sendable {
  /// Address to listen on; one that other machines can reach needs ``tls``, or the explicit ``allowsPlainHTTP``.
  public var host: String
  /// TCP port; 0 lets the system choose one.
  public var port: Int
  /// Certificate and key; nil speaks plain HTTP.
  public var tls: ConsoleTLS?
  /// Speaks plain HTTP to other machines all the same: passwords and cookies can then be read on the way.
  public var allowsPlainHTTP: Bool
  /// Names by which browsers or a reverse proxy may address the console, beside the loopback names and ``host``.
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
  /// A stream whose reader has taken nothing for so long, although something waits for it, is closed.
  public var streamStallLimit: Duration = .seconds(30)
  /// Time between a stream's heartbeats, unless it asks for another.
  public var heartbeat: Duration
  /// Longest time that an alarm may be shelved for.
  public var maximumShelving: Duration
  /// Requests of one account to the API a second, and ten times as many at once; nil for no limit.
  ///
  /// Before sign-in they count for the address. Pages and their parts do not count.
  public var requestsPerSecond: Double?
  /// Where the one-time link of the first administrator is left for the operator; only its owner can read it.
  public var linkFile: String?
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
    maximumShelving: Duration = .seconds(8 * 3_600),
    tls: ConsoleTLS? = nil,
    allowsPlainHTTP: Bool = false,
    requestsPerSecond: Double? = 50,
    linkFile: String? = nil
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
    self.tls = tls
    self.allowsPlainHTTP = allowsPlainHTTP
    self.requestsPerSecond = requestsPerSecond
    self.linkFile = linkFile
  }
}

/// A server's certificate and key, as PEM files.
public struct ConsoleTLS: Hashable, Sendable {
  /// The certificate, and those between it and the authority.
  public var certificate: String
  /// Its private key.
  public var key: String

  /// Names the files.
  public init(certificate: String, key: String) {
    self.certificate = certificate
    self.key = key
  }
}

/// Why the console does not start.
public enum ConsoleError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The address is reachable from other machines, and everybody on the way could read passwords.
  case notEncrypted(String)
  /// The address is reachable from other machines, and there is no sign-in.
  case openToOthers(String)
  /// Certificate or key cannot be used.
  case tls(file: String, reason: String)
  /// The web pages cannot be read.
  case resources(folder: String, reason: String)

  /// The error in words, with its remedy.
  public var description: String {
    switch self {
    case .notEncrypted(let host):
      "\(host) can be reached from other machines: give http.tls a certificate and a key, use 127.0.0.1 behind a "
        + "proxy, or say http.unsafePlainHTTP: true if everybody on the way may read the passwords"
    case .openToOthers(let host):
      "without sign-in the console listens on loopback only and refuses \(host)"
    case .tls(let file, let reason):
      "the console's certificate or key \(file) cannot be used: \(reason)"
    case .resources(let folder, let reason):
      "the console's web pages cannot be read from \(folder): \(reason)"
    }
  }
}
