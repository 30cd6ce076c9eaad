/// A format in which a simulated gateway publishes.
public enum FleetFormat: String, CaseIterable, Hashable, Sendable {
  /// Davy's own JSON.
  case davyJSON = "davy-json"
  /// ThingsBoard gateway's JSON, taken apart by a mapping.
  case mappedJSON = "mapped-json"
  /// Sparkplug B with births and aliases.
  case sparkplugB = "sparkplug-b"
  /// SenML as JSON.
  case senMLJSON = "senml-json"
  /// SenML as CBOR.
  case senMLCBOR = "senml-cbor"
  /// InfluxDB line protocol.
  case influxLine = "influx-line"
  /// HJ 212-2017 frames.
  case hj212 = "hj-212"
}

/// What is to be simulated; with the same device profiles the same options give the same messages, byte for byte.
public struct FleetOptions: Sendable {
  /// The seed of everything that looks like chance.
  public var seed: UInt64
  /// How many devices.
  public var devices: Int
  /// The formats, one gateway each; devices are dealt out to them in turn.
  public var formats: [FleetFormat]
  /// Time of the first readings, milliseconds since the Unix epoch; taken down to a whole second.
  public var start: Int64
  /// How long the fleet is watched, seconds.
  public var seconds: Int
  /// How often each device reports, seconds.
  public var interval: Int
  /// How many devices have an incident, one each.
  public var incidents: Int
  /// One message in so many goes wrong on its way; 0 for none.
  public var faultsOneIn: Int
  /// The gateways are declared replay sources, so that the run need not keep to the clock.
  public var isReplay: Bool

  /// Makes options.
  public init(
    seed: UInt64,
    devices: Int,
    formats: [FleetFormat] = FleetFormat.allCases,
    start: Int64,
    seconds: Int,
    interval: Int = 1,
    incidents: Int,
    faultsOneIn: Int = 0,
    isReplay: Bool = false
  ) {
    self.seed = seed
    self.devices = max(devices, 1)
    self.formats = formats.isEmpty ? FleetFormat.allCases : formats
    self.start = start - start % 1_000
    self.seconds = max(seconds, 1)
    self.interval = max(interval, 1)
    self.incidents = max(incidents, 0)
    self.faultsOneIn = max(faultsOneIn, 0)
    self.isReplay = isReplay
  }
}

/// A message of a simulated gateway.
public struct FleetMessage: Hashable, Sendable {
  /// When it is sent, milliseconds since the Unix epoch.
  public var time: Int64
  /// Topic name.
  public var topic: String
  /// Payload.
  public var payload: [UInt8]
  /// Quality of service: 0 for Sparkplug, as its specification asks, else 1.
  public var qos: UInt8
}

/// An incident of a simulated device and the alarms that must come of it.
public struct FleetIncident: Hashable, Codable, Sendable {
  /// An alarm that must be raised, and returns.
  public struct Alarm: Hashable, Codable, Sendable {
    /// Point path, `#`, rule: as the ledger names the rule.
    public var rule: String
    /// Time of the reading that raises it, milliseconds since the Unix epoch.
    public var raised: Int64
    /// Time of the reading with which it returns.
    public var returned: Int64
  }

  /// `enterprise/site/area/device`.
  public var device: String
  /// Device family, the first part of the profile's id.
  public var family: String
  /// Format of its gateway.
  public var format: String
  /// Point concerned.
  public var point: String
  /// The alarms, in order of their rules' names.
  public var alarms: [Alarm]
}

/// What went wrong on the way, by kind.
public struct FleetFaults: Hashable, Codable, Sendable {
  /// Messages that were sent twice.
  public var duplicated = 0
  /// Messages that were lost.
  public var lost = 0
  /// Messages of a device that no register has: each is refused.
  public var unknownDevice = 0
  /// Messages cut short: each is refused.
  public var truncated = 0
  /// Times that an edge node gave birth again.
  public var rebirths = 0
}
