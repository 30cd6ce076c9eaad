import Glibc

extension ServiceConfiguration.CalloutSection {
  /// Where channels may go whose address people have set in the console or by the API (`editedMayCall`).
  ///
  /// Whoever may set a channel sees the beginning of its answer, and could ask through the station what only the station
  /// can reach. An address that the service file itself names is not held to it.
  public struct CallReach: Hashable, Sendable {
    /// True where the service file has a list: nothing but what it names is called then.
    public private(set) var isLimited = false
    private var names: [String] = []
    private var networks: [Network] = []

    /// A network: the bits of an address that are held, and how many.
    private struct Network: Hashable, Sendable {
      var address: NetworkAddress
      var bits: Int
    }

    /// What is open without a list: whatever is neither this machine nor refused always.
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

    /// Why a channel may not be set to go to a host, so far as that can be told before its name is looked up.
    ///
    /// - Parameter host: a name, or an address (IPv6 with or without brackets).
    /// - Returns: the reason; nil where there is none, or where only the name's address will tell.
    public func refusal(settingHost host: String) -> String? {
      let host = host.filter { !"[]".contains($0) }.lowercased()
      if NetworkAddress(host) != nil { return refusal(calling: host, at: host) }
      guard !names(host) else { return nil }
      if host == "localhost" || host.hasSuffix(".localhost") {
        return ["127.0.0.1", "::1"].allSatisfy { refusal(calling: host, at: $0) != nil }
          ? Self.isThisMachine : nil
      }
      return isLimited && networks.isEmpty ? "\(host) is not \(Self.list)" : nil
    }

    /// Why a channel may not call an address.
    ///
    /// - Parameters:
    ///   - host: the host that its setting names.
    ///   - text: the address that the name stands for at this moment.
    /// - Returns: the reason; nil where there is none.
    public func refusal(calling host: String, at text: String) -> String? {
      guard let address = NetworkAddress(text) else { return "\(text) is no address" }
      let place = host == text ? host : "\(host) is \(text), which"
      if let range = Self.refusedAlways.first(where: { address.isIn($0.network, $0.bits) }) {
        return "\(place) is \(range.what): no channel that is set here calls there"
      }
      if names(host.lowercased()) || networks.contains(where: { address.isIn($0.address, $0.bits) })
      {
        return nil
      }
      if address.isThisMachine { return Self.isThisMachine }
      return isLimited ? "\(place) is not \(Self.list)" : nil
    }

    private func names(_ host: String) -> Bool {
      names.contains { $0.hasPrefix(".") ? host.hasSuffix($0) : host == $0 }
    }

    private static let list = "in the service file's list callout.editedMayCall"
    private static let isThisMachine =
      "this is the station's own machine; a channel that is set here calls there only when it is \(list)"

    /// Never, also where a list names it: addresses that mean no host, neighbours without an address, and the services by which a
    /// cloud gives a machine its credentials.
    private static let refusedAlways: [(network: NetworkAddress, bits: Int, what: String)] = [
      ("0.0.0.0", 8, "no host's address"), ("::", 128, "no host's address"),
      ("169.254.0.0", 16, "a link-local address"), ("fe80::", 10, "a link-local address"),
      ("224.0.0.0", 3, "no single host's address"), ("ff00::", 8, "no single host's address"),
      // Alibaba Cloud, Oracle Cloud, Amazon, Google; the others' are link-local.
      ("100.100.100.200", 32, "a cloud's metadata service"),
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

  private static let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]

  var isIPv4: Bool { bytes.starts(with: Self.mapped) }

  /// 127.0.0.0/8 or ::1.
  var isThisMachine: Bool {
    isIPv4 ? bytes[12] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
  }

  /// Whether the first bits are those of a network.
  func isIn(_ network: NetworkAddress, _ bits: Int) -> Bool {
    let whole = bits / 8
    guard bytes.prefix(whole) == network.bytes.prefix(whole) else { return false }
    let rest = bits % 8
    return rest == 0 || (bytes[whole] ^ network.bytes[whole]) >> (8 - rest) == 0
  }
}
