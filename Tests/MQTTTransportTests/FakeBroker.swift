import Foundation
import Glibc
import Synchronization

/// A broker of bytes that follows a script, for what a real one cannot be made to do.
final class FakeBroker: Sendable {
  /// One accepted connection, with everything that came over it recorded.
  struct Peer {
    let socket: Socket
    let number: Int
    let connect: Packet
    fileprivate let recording: Recording

    /// The protocol version that the client asked for: 4 is MQTT 3.1.1, 5 is MQTT 5.
    var version: UInt8 { connect.body[6] }

    /// The next packet, PINGREQ answered on the way; nil when the client has gone.
    func read() throws -> Packet? {
      while let packet = try socket.read() {
        recording.packets.withLock { $0.append(packet) }
        guard packet.type == Packet.pingreq else { return packet }
        try socket.write([0xD0, 0])
      }
      return nil
    }

    /// Accepts the connection.
    func welcome(sessionPresent: Bool = false) throws {
      try socket.write(
        Wire.packet(0x20, [sessionPresent ? 1 : 0, 0] + (version == 5 ? [0] : []))
      )
    }

    /// Waits for SUBSCRIBE and answers it with these codes.
    func grant(_ codes: [UInt8]) throws {
      guard let packet = try read(), packet.type == 8 else { throw TestFailure("no SUBSCRIBE") }
      try socket.write(
        Wire.packet(0x90, Array(packet.body.prefix(2)) + (version == 5 ? [0] : []) + codes)
      )
    }

    func publish(_ topic: [UInt8], _ payload: [UInt8], qos: UInt8 = 1, id: UInt16) throws {
      try socket.write(
        Wire.publish(topic: topic, payload: payload, qos: qos, id: id, v5: version == 5)
      )
    }

    /// Reads, and so records, until the client has gone.
    func readToEnd() throws { while try read() != nil {} }
  }

  let port: UInt16
  private let listener: Listener
  private let recording = Recording()

  /// Starts to take connections, each by the script, on a thread of its own.
  init(_ script: @escaping @Sendable (Peer) throws -> Void) throws {
    let listener = try Listener()
    self.listener = listener
    port = listener.port
    Thread.detachNewThread { [recording] in
      var number = 0
      while let socket = listener.accept(seconds: 3_600) {
        number += 1
        let number = number
        Thread.detachNewThread {
          guard let connect = try? socket.read(), connect.type == 1 else { return }
          // A script that fails hangs up, which the test sees from the client's side.
          let peer = Peer(socket: socket, number: number, connect: connect, recording: recording)
          try? script(peer)
        }
      }
      close(listener.descriptor)
    }
  }

  deinit { shutdown(listener.descriptor, Int32(SHUT_RDWR)) }

  /// Everything received after CONNECT, over all connections.
  var packets: [Packet] { recording.packets.withLock { $0 } }

  func count(_ type: UInt8) -> Int { packets.count { $0.type == type } }
}

private final class Recording: Sendable {
  let packets = Mutex<[Packet]>([])
}
