import Foundation

/// What `davy serve` is told by its service file: where things lie, which broker, which address.
///
/// Paths in the file are relative to the file's folder. Secrets are never in it: only the file or the environment
/// variable that holds them.
public struct ServiceConfiguration: Sendable {
  /// The broker and how to speak with it.
  public struct Broker: Sendable {
    /// Host name or address.
    public var host = "127.0.0.1"
    /// TCP port.
    public var port = 1883
    /// Fixed client identifier; the broker keeps the session under it.
    public var clientID = ""
    /// Topic filters with their QoS; empty takes those of the catalog's routes at QoS 1.
    public var filters: [(filter: String, qos: Int)] = []
    /// User name; nil logs in without.
    public var userName: String?
    /// File that holds the password.
    public var passwordFile: String?
    /// Environment variable that holds the password.
    public var passwordEnvironment: String?
    /// TLS; nil speaks plain TCP.
    public var tls: TLS?
    /// How long the broker keeps the session while nobody is connected, milliseconds.
    public var sessionExpiryMilliseconds: Int64 = 7 * 86_400_000
    /// How many unacknowledged messages the broker may send.
    public var receiveMaximum = 65_535
    /// Keep-alive, milliseconds.
    public var keepAliveMilliseconds: Int64 = 30_000
    /// Whether stations below this one may pass on through this broker.
    public var takesRelay = false
    /// Where the service file says it, by key (`keepAlive`, `tls.ca`, `filters.0`); the section, for what it leaves out.
    public var places: [String: Place] = [:]
  }

  /// TLS files.
  public struct TLS: Sendable {
    /// Certificates of the authorities to trust.
    public var ca: String
    /// The client's certificate.
    public var certificate: String?
    /// The client's key.
    public var key: String?
    /// Name to check the server's certificate against, where it differs from the host.
    public var serverName: String?
  }

  /// The HTTP server.
  public struct HTTP: Hashable, Sendable {
    /// Address to listen on.
    public var host = "127.0.0.1"
    /// Port; 0 takes a free one.
    public var port = 8_080
    /// Names by which browsers or a proxy address it, besides the address.
    public var names: [String] = []
    /// Certificate file, PEM; nil speaks plain HTTP.
    public var certificate: String?
    /// Key file, PEM.
    public var key: String?
    /// Plain HTTP although other machines can reach the address.
    public var isUnsafePlainHTTP = false
    /// False: everybody on this machine is in; for trials.
    public var needsSignIn = true
    /// Requests of one account to the API a second.
    public var requestsPerSecond = 50
  }

  /// How often the ledger is signed, and by which key.
  public struct CheckpointSigning: Sendable {
    /// File of the private key, made at the first start; nil takes `checkpoint.key` in the data folder.
    public var keyFile: String?
    /// A checkpoint at least this often while there are new entries, milliseconds.
    public var everyMilliseconds: Int64 = 600_000
    /// A checkpoint after this many new entries.
    public var everyEntries: Int64 = 10_000
  }

  /// How much of the journal is kept.
  public struct JournalKeeping: Sendable {
    /// A segment is closed at this size.
    public var segmentBytes: Int64 = 256 << 20
    /// Segments older than this go; 90 days cover the plans' "keep ≥ 3 months".
    public var maximumAgeMilliseconds: Int64 = 90 * 86_400_000
    /// The oldest segments go when all together exceed this.
    public var maximumBytes: Int64 = 100 << 30
  }

  /// Names the station: the ledger's chain begins with it.
  public var station = ""
  /// Folder of journal, ledger and snapshots.
  public var dataFolder = ""
  /// Folder of the device profiles.
  public var devicesFolder = ""
  /// Site files.
  public var sites: [String] = []
  /// Where the service file says them.
  public var sitesPlace: Place?
  /// Response files: hazards, call-outs, clocks, inhibitions; none does nothing about alarms but to show them.
  public var response: [String] = []
  /// The broker.
  public var broker = Broker()
  /// Publish alarms and status by MQTT.
  public var publishes = true
  /// The HTTP server.
  public var http = HTTP()
  /// How much of the journal is kept.
  public var journal = JournalKeeping()
  /// How often the ledger is signed.
  public var checkpoints = CheckpointSigning()
  /// Largest file of evidence, bytes.
  public var evidenceBytes = 20 << 20

  /// Where a ledger in PostgreSQL lies; nil keeps it in SQLite in the data folder.
  public var postgres: PostgresSection?
  /// The channels by which persons are reached; nil reaches none.
  public var callout: CalloutSection?
  /// The level above, to which alarms, hazards and chosen readings are passed on; nil passes nothing on.
  public var relay: RelaySection?
  /// The historian that readings are written to; nil writes to none.
  public var historian: HistorianSection?

  /// Reads a service file.
  ///
  /// - Returns: the configuration, nil when something is wrong; and all that is wrong, at once.
  public static func load(
    path: String
  ) -> (configuration: ServiceConfiguration?, findings: [Finding]) {
    let read = draft(path: path)
    let failed = read.findings.contains { $0.severity == .error }
    return (failed ? nil : read.configuration, read.findings)
  }

  /// Reads a service file, for looking further at what it names although something is wrong with it.
  ///
  /// - Returns: what could be read of it, nil when that is nothing; and all that is wrong, at once.
  package static func draft(
    path: String
  ) -> (configuration: ServiceConfiguration?, findings: [Finding]) {
    let log = FindingLog()
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      log.report(
        .unreadable(FileFault(reading: path)),
        at: Place(file: path, line: 0, column: 0, key: "")
      )
      return (nil, log.findings)
    }
    return draft(text: text, path: path, log: log)
  }

  private static func draft(
    text: String,
    path: String,
    log: FindingLog
  ) -> (configuration: ServiceConfiguration?, findings: [Finding]) {
    guard let map = parseYAML(text, file: path, log: log) else { return (nil, log.findings) }
    let base = URL(fileURLWithPath: path).deletingLastPathComponent()
    func file(_ value: YAMLValue?) -> String? {
      guard let value, let path = value.string() else { return nil }
      // What a shell makes of these, nobody makes of them here: there would be a folder of that name.
      guard path != "~", !path.hasPrefix("~/"), path != "null" else {
        value.report(
          .wrongType(
            expected: "a path from / or from this file's folder (~ is not expanded)",
            expectedZh: "以 / 开头或相对于本文件目录的路径（不展开 ~）",
            found: "\"\(path)\""
          )
        )
        return nil
      }
      return URL(fileURLWithPath: path, relativeTo: base).standardizedFileURL.path
    }
    var read = ServiceConfiguration()
    read.station = map.required("station")?.identifier() ?? ""
    read.dataFolder = file(map.required("data")) ?? ""
    read.devicesFolder = file(map.required("devices")) ?? ""
    read.sites = (map.required("sites")?.list() ?? []).compactMap { file($0) }
    read.sitesPlace = map.place(of: "sites")
    read.response = (map["response"]?.list() ?? []).compactMap { file($0) }
    read.broker.clientID = "davy-\(read.station)"
    if let broker = map["broker"]?.map() {
      read.broker.read(broker, file: file)
    }
    if let publishes = map["publish"]?.bool() { read.publishes = publishes }
    if let http = map["http"]?.map() { read.http.read(http, file: file) }
    if let journal = map["journal"]?.map() {
      if let mebibytes = journal["segmentMebibytes"]?.integer(in: 1...65_536) {
        read.journal.segmentBytes = Int64(mebibytes) << 20
      }
      if let age = journal["maximumAge"]?.milliseconds() {
        read.journal.maximumAgeMilliseconds = age
      }
      if let gibibytes = journal["maximumGibibytes"]?.integer(in: 1...1_000_000) {
        read.journal.maximumBytes = Int64(gibibytes) << 30
      }
      journal.finish()
    }
    if let section = map["checkpoints"]?.map() {
      read.checkpoints.keyFile = file(section["keyFile"])
      if let every = section["every"]?.milliseconds() {
        read.checkpoints.everyMilliseconds = every
      }
      if let entries = section["entries"]?.integer(in: 1...100_000_000) {
        read.checkpoints.everyEntries = Int64(entries)
      }
      section.finish()
    }
    if let section = map["evidence"]?.map() {
      if let mebibytes = section["maximumMebibytes"]?.integer(in: 1...1_024) {
        read.evidenceBytes = mebibytes << 20
      }
      section.finish()
    }
    if let section = map["ledger"]?.map() {
      read.postgres = PostgresSection(section, file: file)
    }
    if let section = map["callout"]?.map() {
      read.callout = CalloutSection(section, file: file)
    }
    if let section = map["relay"]?.map() {
      read.relay = RelaySection(section, station: read.station, file: file)
    }
    if let section = map["historian"]?.map() {
      read.historian = HistorianSection(section, file: file)
    }
    map.finish()
    return (read, log.findings)
  }
}

extension ServiceConfiguration.HTTP {
  /// Whether other machines can reach the address.
  var isReachable: Bool {
    host != "localhost" && host != "::1" && !host.hasPrefix("127.")
  }

  fileprivate mutating func read(_ map: YAMLMap, file: (YAMLValue?) -> String?) {
    let hostValue = map["host"]
    if let value = hostValue?.string() { host = value }
    if let value = map["port"]?.integer(in: 0...65_535) { port = value }
    names = (map["names"]?.list() ?? []).compactMap { $0.string() }
    if let section = map["tls"]?.map() {
      certificate = file(section.required("certificate"))
      key = file(section.required("key"))
      section.finish()
    }
    if let value = map["unsafePlainHTTP"]?.bool() { isUnsafePlainHTTP = value }
    if let value = map["signIn"]?.bool() { needsSignIn = value }
    if let value = map["requestsPerSecond"]?.integer(in: 1...1_000_000) {
      requestsPerSecond = value
    }
    map.finish()
    guard isReachable, let hostValue else { return }
    if !needsSignIn {
      hostValue.report(
        .wrongType(
          expected: "127.0.0.1, ::1 or localhost while signIn is false",
          expectedZh: "signIn 为 false 时只能是 127.0.0.1、::1 或 localhost",
          found: host
        )
      )
    } else if certificate == nil, !isUnsafePlainHTTP {
      hostValue.report(
        .wrongType(
          expected: "127.0.0.1, ::1 or localhost without tls "
            + "(other machines need tls: {certificate, key}; unsafePlainHTTP: true lets passwords be read on the way)",
          expectedZh: "未配置 tls 时只能是 127.0.0.1、::1 或 localhost"
            + "（供其他机器访问须配置 tls: {certificate, key}；unsafePlainHTTP: true 会使密码在网络上可被窃听）",
          found: host
        )
      )
    }
  }
}

extension ServiceConfiguration.Broker {
  /// Reads the station's own broker.
  fileprivate mutating func read(_ map: YAMLMap, file: (YAMLValue?) -> String?) {
    for value in map["filters"]?.list() ?? [] {
      guard let entry = value.map() else { continue }
      let filter = entry.required("filter")?.string()
      let qos = entry["qos"]?.integer(in: 0...2) ?? 1
      entry.finish()
      if let filter {
        places["filters.\(filters.count)"] = value.place
        filters.append((filter, qos))
      }
    }
    if let value = map["sessionExpiry"]?.milliseconds() { sessionExpiryMilliseconds = value }
    if let value = map["receiveMaximum"]?.integer(in: 1...65_535) { receiveMaximum = value }
    if let value = map["relay"]?.bool() { takesRelay = value }
    readAddress(map, file: file)
  }

  /// Reads where a broker is and how to sign in there: all that is to be said of another's.
  mutating func readAddress(_ map: YAMLMap, file: (YAMLValue?) -> String?) {
    if let value = map["host"]?.string() { host = value }
    if let value = map["port"]?.integer(in: 1...65_535) { port = value }
    if let value = map["clientID"]?.string() { clientID = value }
    for key in [
      "host", "port", "clientID", "userName", "passwordFile", "passwordEnvironment", "tls",
      "keepAlive", "sessionExpiry", "receiveMaximum", "filters",
    ] { places[key] = map.place(of: key) }
    userName = map["userName"]?.string()
    passwordFile = file(map["passwordFile"])
    passwordEnvironment = map["passwordEnvironment"]?.string()
    if map["userName"] == nil,
      let password = map["passwordFile"] ?? map["passwordEnvironment"]
    {
      password.report(
        .other(
          code: "password-without-user",
          zh: "有口令而没有 userName：会匿名登录 broker，口令不起作用",
          en: "a password without \"userName\": Davy would sign in as nobody, without it",
          remedyZh: "补上 userName，或删除口令",
          remedyEn: "add \"userName\", or remove the password"
        ),
        // A broker that asks for a name says so; one that lets everybody in is served as before.
        as: .warning
      )
    }
    if let section = map["tls"]?.map() {
      tls = ServiceConfiguration.TLS(
        ca: file(section.required("ca")) ?? "",
        certificate: file(section["certificate"]),
        key: file(section["key"]),
        serverName: section["serverName"]?.string()
      )
      for key in ["ca", "certificate", "key", "serverName"] {
        places["tls.\(key)"] = section.place(of: key)
      }
      section.finish()
    }
    if let value = map["keepAlive"]?.milliseconds() { keepAliveMilliseconds = value }
    map.finish()
  }
}

extension YAMLValue {
  /// A whole number within `range`.
  func integer(in range: ClosedRange<Int>) -> Int? {
    guard let value = integer() else { return nil }
    guard range.contains(value) else {
      report(
        .wrongType(
          expected: "a whole number from \(range.lowerBound) to \(range.upperBound)",
          expectedZh: "\(range.lowerBound) 到 \(range.upperBound) 之间的整数",
          found: "\(value)"
        )
      )
      return nil
    }
    return value
  }
}
