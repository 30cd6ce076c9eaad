internal import Telemetry

/// Why a snapshot cannot be restored.
public enum DecoderSnapshotError: Error, Hashable, Sendable {
  /// Written by a version that this one does not read.
  case unsupportedVersion(UInt8)
  /// Not what a decoder wrote; with the offset where that showed.
  case damaged(offset: Int)
}

/// The state of stateful formats as bytes: Sparkplug births and HJ 212 parts.
extension Decoder {
  private static let snapshotVersion: UInt8 = 1

  /// The state as bytes; equal states give equal bytes.
  public func snapshot() -> [UInt8] {
    var writer = SnapshotWriter()
    writer.byte(Self.snapshotVersion)
    writer.number(sparkplug.nodes.count)
    for node in sparkplug.nodes {
      writer.bytes(node.key)
      writer.byte(node.isBorn ? 1 : 0)
      writer.optional(node.birthSequence.map { Int64(bitPattern: $0) })
      writer.byte(node.nextSequence)
      writer.bytes(node.early.sorted())
      writer.optional(node.gapDeadline?.milliseconds)
      writer.optional(node.lastRebirth?.milliseconds)
      writer.integer(node.rebirthInterval)
      writer.metrics(node.metrics)
      writer.number(node.devices.count)
      for device in node.devices {
        writer.bytes(device.id)
        writer.byte(device.isBorn ? 1 : 0)
        writer.metrics(device.metrics)
      }
    }
    writer.number(hj212.assemblies.count)
    for assembly in hj212.assemblies {
      writer.bytes(assembly.key)
      writer.bytes(assembly.device)
      writer.integer(assembly.deadline.milliseconds)
      writer.number(assembly.bytes)
      writer.number(assembly.parts.count)
      for part in assembly.parts {
        writer.byte(part == nil ? 0 : 1)
        if let part { writer.bytes(part) }
      }
    }
    writer.number(hj212.completed.count)
    for (key, until) in hj212.completed {
      writer.bytes(key)
      writer.integer(until.milliseconds)
    }
    return writer.output
  }

  /// Takes over a state written by ``snapshot()``, also by a decoder with another plan.
  ///
  /// On an error the decoder is as it was.
  public mutating func restore(_ bytes: [UInt8]) throws(DecoderSnapshotError) {
    var reader = SnapshotReader(bytes)
    let version = try reader.byte()
    guard version == Self.snapshotVersion else { throw .unsupportedVersion(version) }
    var sparkplug = SparkplugState()
    for _ in 0..<(try reader.number()) {
      var node = SparkplugState.Node(key: try reader.bytes())
      node.isBorn = try reader.byte() != 0
      node.birthSequence = try reader.optional().map { UInt64(bitPattern: $0) }
      node.nextSequence = try reader.byte()
      node.early = Set(try reader.bytes())
      node.gapDeadline = try reader.optional().map { Timestamp(milliseconds: $0) }
      node.lastRebirth = try reader.optional().map { Timestamp(milliseconds: $0) }
      node.rebirthInterval = try reader.integer()
      node.metrics = try reader.metrics()
      for _ in 0..<(try reader.number()) {
        var device = SparkplugState.Device(id: try reader.bytes())
        device.isBorn = try reader.byte() != 0
        device.metrics = try reader.metrics()
        node.devices.append(device)
      }
      sparkplug.rows[node.key] = sparkplug.nodes.count
      sparkplug.nodes.append(node)
    }
    var hj212 = HJ212State()
    for _ in 0..<(try reader.number()) {
      let key = try reader.bytes()
      let device = try reader.bytes()
      let deadline = Timestamp(milliseconds: try reader.integer())
      let size = try reader.number(unbounded: true)
      var parts: [[UInt8]?] = []
      for _ in 0..<(try reader.number()) {
        parts.append(try reader.byte() == 0 ? nil : try reader.bytes())
      }
      guard !parts.isEmpty else { throw .damaged(offset: reader.position) }
      hj212.assemblies.append(
        HJ212State.Assembly(
          key: key,
          device: device,
          deadline: deadline,
          parts: parts,
          bytes: size
        )
      )
    }
    for _ in 0..<(try reader.number()) {
      let key = try reader.bytes()
      hj212.completed.append((key, Timestamp(milliseconds: try reader.integer())))
    }
    guard reader.isAtEnd else { throw .damaged(offset: reader.position) }
    sparkplug.dueHint = sparkplug.nextDeadline?.milliseconds ?? .max
    hj212.findDue()
    self.sparkplug = sparkplug
    self.hj212 = hj212
  }
}

/// Little-endian numbers and counted bytes.
private struct SnapshotWriter {
  var output: [UInt8] = []

  mutating func byte(_ value: UInt8) {
    output.append(value)
  }

  mutating func integer(_ value: Int64) {
    for shift in stride(from: 0, to: 64, by: 8) {
      output.append(UInt8(truncatingIfNeeded: value >> Int64(shift)))
    }
  }

  mutating func number(_ value: Int) {
    integer(Int64(value))
  }

  mutating func optional(_ value: Int64?) {
    byte(value == nil ? 0 : 1)
    if let value { integer(value) }
  }

  mutating func bytes(_ value: [UInt8]) {
    number(value.count)
    output += value
  }

  /// In the order of aliases and names, because a dictionary has none.
  mutating func metrics(_ metrics: SparkplugState.Metrics) {
    number(metrics.byAlias.count)
    for (alias, metric) in metrics.byAlias.sorted(by: { $0.key < $1.key }) {
      integer(Int64(bitPattern: alias))
      bytes(metric.name)
      integer(Int64(bitPattern: metric.datatype))
    }
    number(metrics.datatypes.count)
    let names = metrics.datatypes.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    for (name, datatype) in names {
      bytes(name)
      integer(Int64(bitPattern: datatype))
    }
  }
}

private struct SnapshotReader {
  private let input: [UInt8]
  private(set) var position = 0

  init(_ input: [UInt8]) {
    self.input = input
  }

  var isAtEnd: Bool { position == input.count }

  private func damaged() -> DecoderSnapshotError { .damaged(offset: position) }

  mutating func byte() throws(DecoderSnapshotError) -> UInt8 {
    guard position < input.count else { throw damaged() }
    position += 1
    return input[position - 1]
  }

  mutating func integer() throws(DecoderSnapshotError) -> Int64 {
    guard input.count - position >= 8 else { throw damaged() }
    var value: UInt64 = 0
    for index in 0..<8 { value |= UInt64(input[position + index]) << UInt64(index * 8) }
    position += 8
    return Int64(bitPattern: value)
  }

  /// A count; of things that take at least a byte each, unless said otherwise.
  mutating func number(unbounded: Bool = false) throws(DecoderSnapshotError) -> Int {
    let value = try integer()
    guard value >= 0, unbounded || value <= Int64(input.count - position) else { throw damaged() }
    return Int(value)
  }

  mutating func optional() throws(DecoderSnapshotError) -> Int64? {
    try byte() == 0 ? nil : try integer()
  }

  mutating func bytes() throws(DecoderSnapshotError) -> [UInt8] {
    let count = try number()
    position += count
    return Array(input[position - count..<position])
  }

  mutating func metrics() throws(DecoderSnapshotError) -> SparkplugState.Metrics {
    var metrics = SparkplugState.Metrics()
    for _ in 0..<(try number()) {
      let alias = UInt64(bitPattern: try integer())
      let name = try bytes()
      metrics.byAlias[alias] = SparkplugState.Metric(
        name: name,
        datatype: UInt64(bitPattern: try integer())
      )
    }
    for _ in 0..<(try number()) {
      let name = try bytes()
      metrics.datatypes[name] = UInt64(bitPattern: try integer())
    }
    return metrics
  }
}
