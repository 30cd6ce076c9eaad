public import Telemetry

/// All that the decoder knows of topics, formats, devices and points; compiled from the catalog.
public struct DecodingPlan: Sendable {
  /// Routes in order; the first whose template matches a topic is taken.
  public var routes: [TopicRoute]
  /// The devices.
  public var devices: [DeviceEntry]
  /// Limits.
  public var limits: DecodingLimits

  /// Makes a plan.
  public init(
    routes: [TopicRoute] = [],
    devices: [DeviceEntry] = [],
    limits: DecodingLimits = DecodingLimits()
  ) {
    self.routes = routes
    self.devices = devices
    self.limits = limits
  }
}

/// What a message may cost.
public struct DecodingLimits: Hashable, Sendable {
  /// Longest payload, bytes; at most 2²⁸ − 1.
  public var payloadBytes: Int
  /// Deepest nesting of arrays and objects.
  public var depth: Int
  /// Most readings in one message.
  public var readingsPerMessage: Int
  /// Most separate notes of one message; beyond, equal reasons are merged and counted.
  public var notesPerMessage: Int
  /// Earliest event time that is not absurd; default 1969-12-31T00:00:00Z.
  ///
  /// A clock that has lost its battery begins at 1970, of whatever zone: its readings are passed on, too, so that they are
  /// judged by receive time and the clock is told to be at fault.
  public var earliest: Timestamp
  /// Furthest event time ahead of the receive time that is not absurd, ms; default 100 years.
  ///
  /// A wrong clock is passed on: finding it is the engine's clock guard's work.
  public var aheadMilliseconds: Int64
  /// Most HJ 212 messages whose parts are awaited at the same time.
  public var openAssemblies: Int
  /// Most bytes that awaited parts may hold together.
  public var assemblyBytes: Int
  /// Most Sparkplug nodes and devices whose births are kept.
  public var births: Int
  /// Most metrics in one birth certificate.
  public var metricsPerBirth: Int

  /// Makes limits; the defaults suit a gateway that sends up to some thousand points at once.
  public init(
    payloadBytes: Int = 1 << 20,
    depth: Int = 32,
    readingsPerMessage: Int = 65_536,
    notesPerMessage: Int = 32,
    earliest: Timestamp = Timestamp(milliseconds: -86_400_000),
    aheadMilliseconds: Int64 = 3_155_760_000_000,
    openAssemblies: Int = 1_024,
    assemblyBytes: Int = 8 << 20,
    births: Int = 65_536,
    metricsPerBirth: Int = 16_384
  ) {
    self.payloadBytes = payloadBytes
    self.depth = depth
    self.readingsPerMessage = readingsPerMessage
    self.notesPerMessage = notesPerMessage
    self.earliest = earliest
    self.aheadMilliseconds = aheadMilliseconds
    self.openAssemblies = openAssemblies
    self.assemblyBytes = assemblyBytes
    self.births = births
    self.metricsPerBirth = metricsPerBirth
  }
}

/// Which topics carry which format.
public struct TopicRoute: Sendable {
  /// Name of the route in configuration and notes.
  public var id: String
  /// Topics it takes, with captures.
  public var template: TopicTemplate
  /// How payloads are written.
  public var format: PayloadFormat
  /// Enterprise, when the topic does not capture it.
  public var enterprise: String?
  /// Gateway, when the topic does not capture it.
  public var gateway: String?

  /// Makes a route.
  public init(
    id: String,
    template: TopicTemplate,
    format: PayloadFormat,
    enterprise: String? = nil,
    gateway: String? = nil
  ) {
    self.id = id
    self.template = template
    self.format = format
    self.enterprise = enterprise
    self.gateway = gateway
  }
}

/// The formats that gateways speak.
public enum PayloadFormat: Sendable {
  /// Davy's own JSON.
  case davyJSON
  /// Foreign JSON, taken apart by a declared mapping.
  case mappedJSON(JSONMapping)
  /// SenML in JSON (RFC 8428).
  case senMLJSON
  /// SenML in CBOR (RFC 8428).
  case senMLCBOR
  /// InfluxDB line protocol.
  case influxLine(InfluxOptions)
  /// Sparkplug B 3.0, host role.
  case sparkplugB(SparkplugOptions)
  /// HJ 212 frames.
  case hj212(HJ212Options)
}

/// One device and its points.
public struct DeviceEntry: Sendable {
  /// Enterprise that owns it.
  public var enterprise: String
  /// Gateway that may publish for it; empty for any gateway of the enterprise.
  public var gateway: String
  /// Identifier as payloads name it (HJ 212: MN; Sparkplug: device or edge node).
  public var id: String
  /// Other names for it in payloads.
  public var aliases: [String]
  /// Its points.
  public var points: [PointEntry]
  /// What this source's status codes mean; numbers as decimal text.
  public var statusCodes: [String: SourceStatus]

  /// Makes a device.
  public init(
    enterprise: String,
    gateway: String,
    id: String,
    aliases: [String] = [],
    points: [PointEntry],
    statusCodes: [String: SourceStatus] = [:]
  ) {
    self.enterprise = enterprise
    self.gateway = gateway
    self.id = id
    self.aliases = aliases
    self.points = points
    self.statusCodes = statusCodes
  }
}

/// One point of a device: a name in payloads and the channel it feeds.
public struct PointEntry: Sendable {
  /// Name as payloads write it.
  public var name: String
  /// Other names for it in payloads.
  public var aliases: [String]
  /// Row of the channel.
  public var channel: ChannelIndex
  /// Unit of the channel; empty when it has none.
  public var unit: String
  /// Unit in which the device sends; nil when it is the channel's.
  public var sourceUnit: String?
  /// Channel value = sent value × scale + offset.
  public var scale: Double
  /// Channel value = sent value × scale + offset.
  public var offset: Double

  /// Makes a point.
  public init(
    name: String,
    channel: ChannelIndex,
    unit: String = "",
    scale: Double = 1,
    offset: Double = 0,
    sourceUnit: String? = nil,
    aliases: [String] = []
  ) {
    self.name = name
    self.channel = channel
    self.unit = unit
    self.scale = scale
    self.offset = offset
    self.sourceUnit = sourceUnit
    self.aliases = aliases
  }
}
