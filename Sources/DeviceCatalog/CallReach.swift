import Glibc

extension ServiceConfiguration.CalloutSection {
  /// Where people may have channels go that they set in the console or by the API (`editedMayCall`).
  ///
  /// Whoever may set a channel sees the beginning of its answer, and could ask through the station what only the station
  /// can reach. Held when a channel is set, never when it calls: an alarm that does not go out is worse. Names are
  /// therefore not looked up. What the service file itself names is not held to it.
  public struct CallReach: Hashable, Sendable {
    /// True where the service file has a list: nothing but what it names can be set then.
    public private(set) var isLimited = false
    private var names: [String] = []
    private var networks: [Network] = []

    /// A network: the bits of an address that are held, and how many.
    private struct Network: Hashable, Sendable {
      var address: NetworkAddress
      var bits: Int

      /// Whether an address of the same family lies in it.
      func holds(_ other: NetworkAddress) -> Bool {
        other.isIPv4 == address.isIPv4 && other.isIn(address, bits)
      }
    }

    /// What is open without a list: whatever is not refused always.
    public init() {}

    /// The reach that a list names.
    ///
    /// - Parameter list: host names (`.example.org` is all below it), addresses, networks (`10.20.0.0/16`).
    /// - Returns: nil with the first entry that is none of these.
    public static func reading(_ list: [String]) -> (reach: CallReach?, fault: String?) {
      var reach = CallReach()
      reach.isLimited = true
      for entry in list {
        let parts = entry.split(separator: "/", omittingEmptySubsequences: false)
        if let address = NetworkAddress(String(parts[0])), parts.count <= 2 {
          let width = address.isIPv4 ? 32 : 128
          guard let bits = parts.count == 2 ? Int(parts[1]) : width, (0...width).contains(bits)
          else {
            return (nil, entry)
          }
          reach.networks.append(Network(address: address, bits: 128 - width + bits))
        } else if isName(entry) {
          reach.names.append(entry.lowercased())
        } else {
          return (nil, entry)
        }
      }
      return (reach, nil)
    }

    private static func isName(_ text: String) -> Bool {
      let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        .dropFirst(text.hasPrefix(".") ? 1 : 0)
      return text.utf8.count <= 253 && !labels.isEmpty
        && labels.allSatisfy { label in
          !label.isEmpty
            && label.utf8.allSatisfy { byte in
              UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            }
        }
        // "10.20.300.4" and "10.20" are mistyped addresses, not names.
        && labels.last?.utf8.contains { $0 > UInt8(ascii: "9") } == true
    }

    /// Why a channel may not be set to go to a host.
    ///
    /// - Parameter host: a name, or an address (IPv6 with or without brackets).
    /// - Returns: the reason; nil where there is none.
    public func refusal(settingHost host: String) -> String? {
      var host = host.filter { !"[]".contains($0) }.lowercased()
      if host.hasSuffix(".") { host.removeLast() }
      guard let address = NetworkAddress(host) ?? NetworkAddress(short: host) else {
        if Self.namesRefusedAlways.contains(host) {
          return "\(host) is a cloud's metadata service: no channel that is set here calls there"
        }
        return isLimited && !names(host) ? "\(host) is not \(Self.list)" : nil
      }
      if let range = Self.refusedAlways.first(where: { address.isIn($0.network, $0.bits) }) {
        return "\(host) is \(range.what): no channel that is set here calls there"
      }
      guard isLimited, !networks.contains(where: { $0.holds(address) }) else { return nil }
      return "\(host) is not \(Self.list)"
    }

    private func names(_ host: String) -> Bool {
      names.contains { $0.hasPrefix(".") ? host.hasSuffix($0) : host == $0 }
    }

    private static let list = "in the service file's list callout.editedMayCall"
    private static let namesRefusedAlways: Set<String> = ["metadata.google.internal", "metadata"]

    /// Never, also where a list names it: addresses that mean no host, neighbours without an address, and the services by which a
    /// cloud gives a machine its credentials.
    private static let refusedAlways: [(network: NetworkAddress, bits: Int, what: String)] = [
      ("0.0.0.0", 8, "no host's address"), ("::", 128, "no host's address"),
      ("169.254.0.0", 16, "a link-local address"), ("fe80::", 10, "a link-local address"),
      ("224.0.0.0", 3, "no single host's address"), ("ff00::", 8, "no single host's address"),
      // Alibaba Cloud, Azure, Oracle Cloud, Amazon, Google, where they are not link-local.
      ("100.100.100.200", 32, "a cloud's metadata service"),
      ("168.63.129.16", 32, "a cloud's metadata service"),
      ("192.0.0.192", 32, "a cloud's metadata service"),
      ("fd00:ec2::254", 128, "a cloud's metadata service"),
      ("fd20:ce::254", 128, "a cloud's metadata service"),
    ].map { text, bits, what in
      guard let address = NetworkAddress(text) else { preconditionFailure("\(text) is an address") }
      return (address, address.isIPv4 ? 96 + bits : bits, what)
    }
  }
}

/// An IP address as 16 bytes; IPv4 is written as IPv6 maps it (RFC 4291 2.5.5.2).
struct NetworkAddress: Hashable, Sendable {
  private(set) var bytes: [UInt8]

  /// Reads an address in its usual text; nil for anything else.
  init?(_ text: String) {
    var four = in_addr()
    if unsafe inet_pton(AF_INET, text, &four) == 1 {
      bytes = unsafe Self.mapped + withUnsafeBytes(of: four) { unsafe Array($0) }
      return
    }
    var six = in6_addr()
    guard unsafe inet_pton(AF_INET6, text, &six) == 1 else { return nil }
    bytes = unsafe withUnsafeBytes(of: six) { unsafe Array($0) }
    // A translator on the way (RFC 6052) makes IPv4 of these.
    if bytes.starts(with: [0, 0x64, 0xff, 0x9b] + [UInt8](repeating: 0, count: 8)) {
      bytes = Self.mapped + bytes[12...]
    }
  }

  /// Reads the shorter and stranger ways of writing IPv4 that a system's look-up takes for an address: `127.1`, `0x7f000001`.
  init?(short text: String) {
    var four = in_addr()
    guard text.utf8.allSatisfy({ $0 != UInt8(ascii: " ") }), unsafe inet_aton(text, &four) == 1
    else { return nil }
    bytes = unsafe Self.mapped + withUnsafeBytes(of: four) { unsafe Array($0) }
  }

  private static let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]

  var isIPv4: Bool { bytes.starts(with: Self.mapped) }

  /// Whether the first bits are those of a network.
  func isIn(_ network: NetworkAddress, _ bits: Int) -> Bool {
    let whole = bits / 8
    guard bytes.prefix(whole) == network.bytes.prefix(whole) else { return false }
    let rest = bits % 8
    return rest == 0 || (bytes[whole] ^ network.bytes[whole]) >> (8 - rest) == 0
  }
}
