import Glibc

/// A listening socket on loopback.
struct Listener {
  let descriptor: Int32
  let port: UInt16

  init() throws {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe bind(socket, address, length) == 0 && listen(socket, 16) == 0
          && getsockname(socket, address, &length) == 0
      }
    }
    guard bound else { throw TestFailure("cannot listen on loopback") }
    descriptor = socket
    port = UInt16(bigEndian: address.sin_port)
  }

  /// Takes a connection, or nil after the timeout.
  func accept(seconds: Double) -> Socket? {
    var descriptors = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&descriptors, 1, Int32(seconds * 1_000)) == 1 else { return nil }
    let connection = Glibc.accept(descriptor, nil, nil)
    return connection < 0 ? nil : Socket(descriptor: connection)
  }
}

/// An MQTT control packet.
struct Packet: Equatable, CustomStringConvertible {
  var header: UInt8
  var body: [UInt8]
  var type: UInt8 { header >> 4 }
  var description: String { "packet type \(type), \(body.count) bytes" }

  static let publish: UInt8 = 3
  static let puback: UInt8 = 4
  static let pingreq: UInt8 = 12
}

/// A blocking connection that speaks MQTT byte by byte, independently of any library.
final class Socket: Sendable {
  private let descriptor: Int32

  init(descriptor: Int32) { self.descriptor = descriptor }
  deinit { close(descriptor) }

  /// Connects to a port on loopback; nil when nobody listens there.
  static func connect(port: UInt16) -> Socket? {
    let connection = Socket(descriptor: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe Glibc.connect(
          connection.descriptor,
          address,
          socklen_t(MemoryLayout<sockaddr_in>.size)
        )
      }
    }
    return code == 0 ? connection : nil
  }

  func write(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { bytes in
        unsafe send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw TestFailure("peer is gone") }
      rest = rest.dropFirst(count)
    }
  }

  /// The next packet; nil when the peer has closed or nothing comes within the time.
  func read(seconds: Double = patience) throws -> Packet? {
    guard let header = try readBytes(1, seconds: seconds)?.first else { return nil }
    var length = 0
    var shift = 0
    while true {
      guard let byte = try readBytes(1, seconds: seconds)?.first else { return nil }
      length |= Int(byte & 127) << shift
      shift += 7
      guard byte & 128 != 0 else { break }
    }
    guard let body = try readBytes(length, seconds: seconds) else { return nil }
    return Packet(header: header, body: body)
  }

  private func readBytes(_ count: Int, seconds: Double) throws -> [UInt8]? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while bytes.count < count {
      var descriptors = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&descriptors, 1, Int32(seconds * 1_000)) == 1 else { return nil }
      let part = unsafe recv(descriptor, &buffer, min(buffer.count, count - bytes.count), 0)
      guard part > 0 else { return nil }
      bytes += buffer[..<part]
    }
    return bytes
  }
}

/// Bytes of MQTT packets.
enum Wire {
  static func string(_ text: String) -> [UInt8] { data(Array(text.utf8)) }

  static func data(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
  }

  static func packet(_ header: UInt8, _ body: [UInt8]) -> [UInt8] {
    var length = body.count
    var bytes = [header]
    repeat {
      bytes.append(UInt8(length & 127) | (length > 127 ? 128 : 0))
      length >>= 7
    } while length > 0
    return bytes + body
  }

  static func publish(
    topic: [UInt8],
    payload: [UInt8],
    qos: UInt8 = 0,
    id: UInt16 = 0,
    v5: Bool = false,
    retain: Bool = false
  ) -> [UInt8] {
    let identifier = qos > 0 ? [UInt8(id >> 8), UInt8(id & 255)] : []
    return packet(
      0x30 | qos << 1 | (retain ? 1 : 0),
      data(topic) + identifier + (v5 ? [0] : []) + payload
    )
  }
}

/// A publisher and subscriber of MQTT 3.1.1 made of nothing but bytes.
final class RawClient {
  let socket: Socket
  private var nextID: UInt16 = 1

  init(port: UInt16, id: String, cleanSession: Bool = true) throws {
    guard let socket = Socket.connect(port: port) else { throw TestFailure("no broker at \(port)") }
    self.socket = socket
    try socket.write(
      Wire.packet(
        0x10,
        Wire.string("MQTT") + [4, cleanSession ? 2 : 0, 0, 0] + Wire.string(id)
      )
    )
    guard try socket.read()?.body.last == 0 else { throw TestFailure("broker refuses \(id)") }
  }

  /// Publishes and waits for the whole handshake of its QoS.
  func publish(_ topic: String, _ payload: [UInt8], qos: UInt8 = 1, retain: Bool = false) throws {
    let id = nextID
    nextID = nextID == .max ? 1 : nextID + 1
    try socket.write(
      Wire.publish(
        topic: Array(topic.utf8),
        payload: payload,
        qos: qos,
        id: id,
        retain: retain
      )
    )
    let identifier = [UInt8(id >> 8), UInt8(id & 255)]
    switch qos {
    case 0: break
    case 1: try expect(0x40, identifier)
    default:
      try expect(0x50, identifier)
      try socket.write(Wire.packet(0x62, identifier))
      try expect(0x70, identifier)
    }
  }

  /// Publishes many messages at QoS 1, then waits for all acknowledgements.
  func publishAll(_ topic: String, _ payloads: [[UInt8]]) throws {
    var bytes: [UInt8] = []
    for (index, payload) in payloads.enumerated() {
      bytes += Wire.publish(
        topic: Array(topic.utf8),
        payload: payload,
        qos: 1,
        id: UInt16(index + 1)
      )
    }
    try socket.write(bytes)
    for _ in payloads {
      guard try socket.read()?.header == 0x40 else { throw TestFailure("no PUBACK") }
    }
  }

  func subscribe(_ filter: String, qos: UInt8 = 1) throws {
    try socket.write(Wire.packet(0x82, [0, 1] + Wire.string(filter) + [qos]))
    guard try socket.read()?.body == [0, 1, qos] else { throw TestFailure("no SUBACK") }
  }

  /// The next message, acknowledged; nil when none comes in time.
  func receive(seconds: Double = patience) throws -> (
    topic: String, payload: [UInt8], retain: Bool
  )? {
    guard let packet = try socket.read(seconds: seconds) else { return nil }
    guard packet.type == Packet.publish else { throw TestFailure("unexpected \(packet)") }
    let length = Int(packet.body[0]) << 8 | Int(packet.body[1])
    let topic = String(decoding: packet.body[2..<2 + length], as: UTF8.self)
    var rest = packet.body[(2 + length)...]
    if packet.header & 6 != 0 {
      try socket.write(Wire.packet(0x40, Array(rest.prefix(2))))
      rest = rest.dropFirst(2)
    }
    return (topic, Array(rest), packet.header & 1 != 0)
  }

  private func expect(_ header: UInt8, _ body: [UInt8]) throws {
    guard let packet = try socket.read(), packet == Packet(header: header, body: body) else {
      throw TestFailure("broker did not confirm")
    }
  }
}
