import ArgumentParser
import DeviceCatalog
import Foundation
import MQTTTransport
import Simulation
import Station

/// `davy simulate`.
struct Simulate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Publish a seeded fleet of devices of every family, in every format.",
    discussion: """
      Writes into FOLDER a site file (site.yaml) and a service file (service.yaml) of the fleet, and \
      incidents.jsonl: every incident with the alarms that must come of it. Then, with --broker, publishes. Seed and \
      options decide every byte, so two runs can be compared.

      At --speed 1 the fleet is live: readings carry the clock's time. At any other speed its gateways are declared \
      replay sources and its time begins at --start.

        davy simulate fleet --seed 7 --devices 100          write the files; then start, in another terminal:
        davy serve fleet/service.yaml
        davy simulate fleet --seed 7 --devices 100 --broker 127.0.0.1:1883
      """
  )

  @Argument(help: "The folder to write to.", completion: .directory)
  var folder: String

  @Option(help: "Folder of the device profiles.", completion: .directory)
  var profiles = "devices"

  @Option(help: "What decides everything that looks like chance.")
  var seed: UInt64 = 1

  @Option(help: "How many devices.")
  var devices = 100

  @Option(help: "How many devices have an incident, one each.")
  var incidents = 20

  @Option(help: "How long the run lasts, in seconds of the fleet's time.")
  var seconds = 60

  @Option(help: "How often each device reports, in seconds.")
  var interval = 1

  @Option(
    help:
      "One message in so many goes wrong: lost, doubled, cut short, of no known device; 0 for none."
  )
  var faults = 0

  @Option(
    help: ArgumentHelp(
      "A format; may be given several times, all when left out: \(FleetFormat.allCases.map(\.rawValue).joined(separator: ", "))."
    )
  )
  var format: [String] = []

  @Option(help: "HOST:PORT of the broker to publish to; nothing is published without it.")
  var broker: String?

  @Option(
    help: "1 keeps to the clock, other numbers run so many times as fast, 'max' does not wait."
  )
  var speed = "1"

  @Option(help: "When a fleet that does not keep to the clock begins, milliseconds since 1970.")
  var start: Int64 = 1_780_000_000_000

  @Option(help: "Port of the fleet's service for console and API, for service.yaml.")
  var http = 8080

  func run() async throws {
    let pace = try Pace(speed)
    let formats = try format.map { text in
      guard let format = FleetFormat(rawValue: text) else {
        let known = FleetFormat.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("'\(text)' is no format; one of \(known)")
      }
      return format
    }
    // A live run begins a little later than now, so that the first messages are not late.
    let clock = Int64(Date().timeIntervalSince1970 * 1_000)
    let options = FleetOptions(
      seed: seed,
      devices: devices,
      formats: formats,
      start: pace.isLive ? clock + 2_000 : start,
      seconds: seconds,
      interval: interval,
      incidents: incidents,
      faultsOneIn: faults,
      isReplay: !pace.isLive
    )
    var fleet = try writeFiles(options)
    Terminal.line(
      "\(fleet.deviceCount) devices, \(fleet.incidents.count) incidents with "
        + "\(fleet.incidents.reduce(0) { $0 + $1.alarms.count }) alarms: \(folder)/incidents.jsonl"
    )
    for device in fleet.leftOut { Terminal.error("left out, never calm: \(device)") }
    guard let broker else { return }
    let publisher = try FleetPublisher(broker: broker, isReplay: options.isReplay)
    let sent = try await publisher.publish(&fleet, options: options, pace: pace)
    let counted = fleet.faults
    Terminal.line("published \(sent) messages, \(fleet.readings) readings")
    Terminal.line(
      "faults     \(counted.lost) lost, \(counted.duplicated) doubled, \(counted.truncated) cut short, "
        + "\(counted.unknownDevice) of no known device, \(counted.rebirths) rebirths"
    )
  }

  /// Writes site, service and incidents, and gives the fleet that they describe.
  private func writeFiles(_ options: FleetOptions) throws -> Fleet {
    let manager = FileManager.default
    try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let profiles = URL(fileURLWithPath: profiles).path
    let examples = Catalog.deviceExamples(devices: profiles)
    guard !examples.isEmpty else {
      throw ValidationError(
        "no device profile with a sample in \(profiles); name the folder by --profiles"
      )
    }
    let address = try broker.map(BrokerAddress.init) ?? BrokerAddress("127.0.0.1:1883")
    func write(_ text: String, _ name: String) throws {
      try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
    }
    try write(FleetSite.text(options, examples: examples), "site.yaml")
    try write(
      FleetSite.serviceText(
        devices: profiles,
        host: address.host,
        port: Int(address.port),
        http: http
      ),
      "service.yaml"
    )
    let result = Catalog.load(devices: profiles, site: ["\(folder)/site.yaml"])
    guard let catalog = result.catalog else {
      LoadedConfiguration.print(result.findings.filter { $0.severity == .error })
      throw ExitCode(1)
    }
    let fleet = Fleet(options: options, catalog: catalog)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let lines = try fleet.incidents.map { String(decoding: try encoder.encode($0), as: UTF8.self) }
    try write(lines.map { $0 + "\n" }.joined(), "incidents.jsonl")
    return fleet
  }
}

/// How fast the fleet's time passes.
private enum Pace {
  case live
  case faster(Double)
  case unpaced

  init(_ text: String) throws {
    guard text != "max" else {
      self = .unpaced
      return
    }
    guard let factor = Double(text), factor > 0, factor.isFinite else {
      throw ValidationError("'\(text)' is neither a number above 0 nor 'max'")
    }
    self = factor == 1 ? .live : .faster(factor)
  }

  var isLive: Bool {
    if case .live = self { true } else { false }
  }
}

/// Publishes a fleet at its pace, with a bounded number of messages under way.
private struct FleetPublisher {
  private let client: PublishClient
  private let settled = SettledCount()
  private let isReplay: Bool
  private static let window = 1_000

  init(broker: String, isReplay: Bool) throws {
    self.isReplay = isReplay
    let address = try BrokerAddress(broker)
    let settled = settled
    client = try PublishClient(
      options: MQTTOptions(
        host: address.host,
        port: address.port,
        clientID: "davy-fleet-\(ProcessInfo.processInfo.processIdentifier)"
      ),
      queueLimit: 2 * Self.window
    ) { outcome in settled.add(outcome) }
  }

  func publish(_ fleet: inout Fleet, options: FleetOptions, pace: Pace) async throws -> Int {
    let begin = ContinuousClock.now
    var sent = 0
    while let messages = fleet.next() {
      if let first = messages.first { try await wait(for: first.time, options, pace, begin) }
      for message in messages {
        try await send(message)
        sent += 1
      }
      Terminal.progress("\(sent) messages")
    }
    while settled.count < sent { try await Task.sleep(for: .milliseconds(5)) }
    Terminal.progress("")
    client.stop(grace: .seconds(5))
    guard settled.refused == 0 else {
      Terminal.error(
        "the broker refused \(settled.refused) of \(sent) messages: check its access list"
      )
      throw ExitCode(1)
    }
    return sent
  }

  private func wait(
    for time: Int64,
    _ options: FleetOptions,
    _ pace: Pace,
    _ begin: ContinuousClock.Instant
  ) async throws {
    switch pace {
    case .unpaced: return
    case .live:
      let left = time - Int64(Date().timeIntervalSince1970 * 1_000)
      if left > 0 { try await Task.sleep(for: .milliseconds(left)) }
    case .faster(let factor):
      let due = begin + .milliseconds(Int64(Double(time - options.start) / factor))
      if due > .now { try await Task.sleep(until: due, clock: .continuous) }
    }
  }

  private func send(_ message: FleetMessage) async throws {
    let publication = Publication(
      topic: message.topic,
      payload: message.payload,
      qos: QoS(rawValue: message.qos) ?? .atLeastOnce,
      userProperties: isReplay ? [(StationCore.receivedProperty, "\(message.time)")] : []
    )
    while true {
      switch client.publish(publication) {
      case .queued: return
      case .full: try await Task.sleep(for: .milliseconds(1))
      case .stopped: throw ValidationError("the connection to the broker was closed")
      }
    }
  }
}
