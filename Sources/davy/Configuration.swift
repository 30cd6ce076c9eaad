import ArgumentParser
package import DeviceCatalog
import Foundation
import MQTTTransport
import PayloadDecoding
import Station

/// A service file with the catalog that it names, loaded and free of errors.
package struct LoadedConfiguration {
  let service: ServiceConfiguration
  let catalog: Catalog
  /// What was found doubtful while loading, and keeps no station from running.
  package let warnings: [Finding]

  /// Loads both; prints every finding and ends the command when there is an error among them.
  ///
  /// - Parameters:
  ///   - serviceFile: path of the service file.
  ///   - isQuiet: print errors only.
  /// - Throws: an exit code, once everything has been printed.
  package init(serviceFile: String, isQuiet: Bool = true) throws {
    let (service, findings) = ServiceConfiguration.load(path: serviceFile)
    guard let service else {
      Self.print(findings)
      throw ExitCode(1)
    }
    let result = Catalog.load(
      devices: service.devicesFolder,
      site: service.sites,
      response: service.response
    )
    Self.print(result.findings.filter { !isQuiet || $0.severity == .error })
    guard let catalog = result.catalog else { throw ExitCode(1) }
    self.init(
      service: service,
      catalog: catalog,
      warnings: (findings + result.findings).filter { $0.severity == .warning }
    )
  }

  /// Puts together what was loaded before.
  init(service: ServiceConfiguration, catalog: Catalog, warnings: [Finding] = []) {
    self.service = service
    self.catalog = catalog
    self.warnings = warnings
  }

  /// Prints findings to standard error, one a paragraph: place, what is wrong, what to do, in both languages.
  static func print(_ findings: [Finding]) {
    for finding in findings {
      let place = finding.place
      let position = place.line > 0 ? ":\(place.line):\(place.column)" : ""
      let clause = finding.clause.map { " [\($0)]" } ?? ""
      let key = place.key.isEmpty ? "" : "\n    key: \(place.key)"
      Terminal.error(
        """
        \(place.file)\(position): \(finding.severity.rawValue): \(finding.message.en)\(clause)
            \(finding.message.zh)\(key)
            remedy: \(finding.remedy.en) / \(finding.remedy.zh)
        """
      )
    }
  }

  /// MQTT options for the connection `role`, which gets a client identifier of its own.
  func mqttOptions(role: String) -> MQTTOptions {
    let broker = service.broker
    guard role.isEmpty else { return broker.options(clientID: "\(broker.clientID)-\(role)") }
    var options = broker.options(clientID: broker.clientID)
    options.subscriptions = subscriptions
    options.receiveMaximum = UInt16(broker.receiveMaximum)
    return options
  }

  /// What the intake subscribes to: the service file's filters, or those of the catalog's routes.
  var subscriptions: [Subscription] {
    guard service.broker.filters.isEmpty else { return service.broker.subscriptions }
    var filters: [String] = []
    for route in catalog.decodingPlan.routes where !filters.contains(route.template.filter) {
      filters.append(route.template.filter)
    }
    if catalog.enterprises.contains(where: { $0.welding != nil }) {
      filters += WeldingBoard.filters
    }
    return filters.map { Subscription(filter: $0, qos: .atLeastOnce) }
  }
}

extension ServiceConfiguration.Broker {
  /// What the service file's own filters ask for.
  var subscriptions: [Subscription] {
    filters.map {
      Subscription(filter: $0.filter, qos: QoS(rawValue: UInt8($0.qos)) ?? .atLeastOnce)
    }
  }

  /// How to reach it and sign in, under a client identifier.
  func options(clientID: String) -> MQTTOptions {
    var options = MQTTOptions(host: host, port: UInt16(port), clientID: clientID)
    options.sessionExpiry = .milliseconds(sessionExpiryMilliseconds)
    options.keepAlive = .milliseconds(keepAliveMilliseconds)
    if let userName {
      let password: SecretSource? =
        passwordFile.map(SecretSource.file) ?? passwordEnvironment.map(SecretSource.environment)
      options.credentials = MQTTCredentials(userName: .text(userName), password: password)
    }
    if let tls {
      options.tls = TLSOptions(
        caFile: tls.ca,
        certificateFile: tls.certificate,
        keyFile: tls.key,
        serverName: tls.serverName
      )
    }
    return options
  }
}

/// Files that a person names on the command line.
enum GivenFile {
  /// The file's bytes, or an error that names path and remedy.
  static func bytes(_ path: String) throws(GivenFileError) -> [UInt8] {
    do {
      return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    } catch {
      throw GivenFileError(path)
    }
  }

  /// The file's text, which has to be UTF-8 (a byte order mark is passed over), or an error that names path and remedy.
  static func text(_ path: String) throws(GivenFileError) -> String {
    let bytes = try Self.bytes(path)
    let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    guard let text = String(validating: bytes[start...], as: UTF8.self) else {
      throw GivenFileError(
        path: path,
        reason: LocalizedText(zh: "不是 UTF-8 文本", en: "it is not UTF-8 text"),
        remedy: LocalizedText(zh: "另存为 UTF-8", en: "save it as UTF-8")
      )
    }
    return text
  }
}

/// Why a file that was named cannot be read, and what to do.
struct GivenFileError: Error, CustomStringConvertible {
  let path: String
  let reason: LocalizedText
  let remedy: LocalizedText

  var description: String {
    """
    \(path): cannot be read: \(reason.en) (\(remedy.en))
        无法读取：\(reason.zh)（\(remedy.zh)）
    """
  }
}

extension GivenFileError {
  /// Looks for the reason why reading has just failed.
  init(_ path: String) {
    let fault = FileFault(reading: path)
    self.init(path: path, reason: fault.reason, remedy: fault.remedy)
  }
}

/// Writing to the terminal, whole lines at a time and at once.
enum Terminal {
  /// Writes a line to standard output.
  static func line(_ text: String) {
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
  }

  /// Writes a line to standard error.
  static func error(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }

  /// Replaces the current line of standard error, where that is a terminal.
  static func progress(_ text: String) {
    guard isatty(FileHandle.standardError.fileDescriptor) == 1 else { return }
    FileHandle.standardError.write(Data(("\r\u{1B}[K" + text).utf8))
  }
}

/// How far a long piece of work is: on a terminal one line that is replaced, elsewhere a line from time to time.
struct ProgressLine {
  private let interval: Duration
  private let isTerminal: Bool
  private var next: ContinuousClock.Instant

  init() {
    isTerminal = isatty(FileHandle.standardError.fileDescriptor) == 1
    interval = isTerminal ? .milliseconds(200) : .seconds(10)
    next = ContinuousClock.now + interval
  }

  /// Tells it, unless something was told a moment ago.
  mutating func show(_ text: @autoclosure () -> String) {
    let now = ContinuousClock.now
    guard now >= next else { return }
    next = now + interval
    if isTerminal { Terminal.progress(text()) } else { Terminal.error(text()) }
  }

  /// Takes the line away.
  func end() { Terminal.progress("") }
}

/// Moments as people write them.
enum TimeText {
  /// ISO 8601 in UTC with milliseconds.
  static func utc(_ milliseconds: Int64) -> String {
    // The formatter cuts, and a Date's nearest value may lie below the millisecond.
    Date(timeIntervalSince1970: (Double(milliseconds) + 0.1) / 1000)
      .formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true))
      + "Z"
  }
}
