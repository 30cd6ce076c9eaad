import ArgumentParser
import DeviceCatalog
import Foundation
import MQTTTransport
import PayloadDecoding
import Station

/// A service file with the catalog that it names, loaded and free of errors.
struct LoadedConfiguration {
  let service: ServiceConfiguration
  let catalog: Catalog

  /// Loads both; prints every finding and ends the command when there is an error among them.
  ///
  /// - Parameters:
  ///   - serviceFile: path of the service file.
  ///   - isQuiet: print errors only.
  /// - Throws: an exit code, once everything has been printed.
  init(serviceFile: String, isQuiet: Bool = true) throws {
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
    self.service = service
    self.catalog = catalog
  }

  /// Prints findings to standard error, one a paragraph: place, what is wrong, what to do, in both languages.
  static func print(_ findings: [Finding]) {
    for finding in findings {
      let place = finding.place
      let clause = finding.clause.map { " [\($0)]" } ?? ""
      Terminal.error(
        """
        \(place.file):\(place.line):\(place.column): \(finding.severity.rawValue): \(finding.message.en)\(clause)
            \(finding.message.zh)
            key: \(place.key)
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
    guard service.broker.filters.isEmpty else {
      return service.broker.filters.map {
        Subscription(filter: $0.filter, qos: QoS(rawValue: UInt8($0.qos)) ?? .atLeastOnce)
      }
    }
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

/// Moments as people write them.
enum TimeText {
  /// ISO 8601 in UTC with milliseconds.
  static func utc(_ milliseconds: Int64) -> String {
    Date(timeIntervalSince1970: Double(milliseconds) / 1000)
      .formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true))
      + "Z"
  }
}
