import DeviceCatalog
import Testing

/// Where channels may go whose address people have set.
@Suite("Call reach") struct CallReachTests {
  typealias Reach = ServiceConfiguration.CalloutSection.CallReach

  private static func reach(_ list: [String]?) throws -> Reach {
    guard let list else { return Reach() }
    let (reach, fault) = Reach.reading(list)
    return try #require(reach, "\(fault ?? "")")
  }

  /// The list (nil: none), the host as set, the address that it stands for, and a word of the refusal (nil: called).
  static let calls: [(list: [String]?, host: String, address: String, refusal: String?)] = [
    (nil, "sms.example.org", "93.184.216.34", nil), (nil, "gateway.lan", "10.1.2.3", nil),
    (nil, "192.168.1.20", "192.168.1.20", nil), (nil, "sms6.lan", "fd12:3456::9", nil),
    // This machine, however it is spelt.
    (nil, "localhost", "127.0.0.1", "own machine"), (nil, "127.9.9.9", "127.9.9.9", "own machine"),
    (nil, "::1", "::1", "own machine"), (nil, "0x7f.1", "127.0.0.1", "own machine"),
    (nil, "mapped", "::ffff:127.0.0.1", "own machine"),
    (nil, "translated", "64:ff9b::7f00:1", "own machine"),
    (nil, "any", "0.0.0.0", "no host's"), (nil, "any6", "::", "no host's"),
    (nil, "all", "224.0.0.1", "no single host's"), (nil, "all6", "ff02::1", "no single host's"),
    // A cloud's services for the machine itself, by number or by name.
    (nil, "169.254.169.254", "169.254.169.254", "link-local"),
    (nil, "metadata.google.internal", "169.254.169.254", "link-local"),
    (nil, "mapped", "::ffff:169.254.169.254", "link-local"),
    (nil, "translated", "64:ff9b::a9fe:a9fe", "link-local"), (nil, "near", "fe80::1", "link-local"),
    (nil, "100.100.100.200", "100.100.100.200", "metadata"),
    (nil, "imds", "fd00:ec2::254", "metadata"), (nil, "100.100.100.201", "100.100.100.201", nil),
    // With a list, what it names and nothing else; never what is refused always.
    (["sms.example.org"], "sms.example.org", "93.184.216.34", nil),
    (["sms.example.org"], "SMS.Example.org", "10.0.0.8", nil),
    (["sms.example.org"], "sms.example.org", "169.254.169.254", "link-local"),
    (["sms.example.org"], "xsms.example.org", "93.184.216.34", "editedMayCall"),
    (["sms.example.org"], "sms.example.org.evil.net", "93.184.216.34", "editedMayCall"),
    ([".example.org"], "a.b.example.org", "93.184.216.34", nil),
    ([".example.org"], "example.org", "93.184.216.34", "editedMayCall"),
    ([".example.org"], "evilexample.org", "93.184.216.34", "editedMayCall"),
    (["10.20.0.0/16"], "gateway.lan", "10.20.255.1", nil),
    (["10.20.0.0/16"], "gateway.lan", "10.21.0.1", "editedMayCall"),
    (["10.20.0.0/16"], "gateway.lan", "::ffff:10.20.0.1", nil),
    (["10.20.4.0/22"], "10.20.7.255", "10.20.7.255", nil),
    (["10.20.4.0/22"], "10.20.8.0", "10.20.8.0", "editedMayCall"),
    (["fd12:3456::/33"], "six.lan", "fd12:3456:7fff::1", nil),
    (["fd12:3456::/33"], "six.lan", "fd12:3456:8000::1", "editedMayCall"),
    (["0.0.0.0/0"], "six.lan", "fd12::1", "editedMayCall"),
    (["0.0.0.0/0"], "169.254.169.254", "169.254.169.254", "link-local"),
    (["127.0.0.1"], "127.0.0.1", "127.0.0.1", nil), (["127.0.0.1"], "localhost", "127.0.0.1", nil),
    (["127.0.0.1"], "127.0.0.2", "127.0.0.2", "own machine"),
    (["localhost"], "localhost", "127.0.0.1", nil),
    ([], "sms.example.org", "93.184.216.34", "editedMayCall"),
  ]

  @Test("an address is called or not, at the moment of the call", arguments: calls.indices)
  func call(index: Int) throws {
    let (list, host, address, refusal) = Self.calls[index]
    let found = try Self.reach(list).refusal(calling: host, at: address)
    if let refusal {
      #expect(found?.contains(refusal) == true, "\(host) \(address): \(found ?? "called")")
    } else {
      #expect(found == nil, "\(host) \(address)")
    }
    // What is refused when it is set must not be what a call would be let through to.
    if refusal == nil { #expect(try Self.reach(list).refusal(settingHost: host) == nil, "\(host)") }
  }

  /// The list, the host as set, and whether it can be set before anybody has looked its name up.
  static let settings: [(list: [String]?, host: String, fits: Bool)] = [
    (nil, "sms.example.org", true), (nil, "192.168.1.20", true), (nil, "127.0.0.1", false),
    (nil, "[::1]", false), (nil, "LocalHost", false), (nil, "a.localhost", false),
    (nil, "169.254.169.254", false), (["a.example.org"], "b.example.org", false),
    (["a.example.org"], "A.example.org", true), (["a.example.org"], "10.0.0.1", false),
    // Only the look-up tells whether it lies in the network.
    (["10.0.0.0/8"], "gateway.lan", true), (["10.0.0.0/8"], "11.0.0.1", false),
    (["::1/128"], "localhost", true), (["10.0.0.0/8"], "localhost", false),
  ]

  @Test("a host is set or not, before its name is looked up", arguments: settings.indices)
  func set(index: Int) throws {
    let (list, host, fits) = Self.settings[index]
    #expect((try Self.reach(list).refusal(settingHost: host) == nil) == fits, "\(host)")
  }

  @Test(
    "what is neither name nor address nor network is found in the service file",
    arguments: [
      "10.0.0.0/33", "10.0.0.0/", "10.0.0/8/8", "10.20", "10.0.0.300", "a b", "", ".", "http://a",
    ]
  )
  func faults(entry: String) {
    let (reach, fault) = Reach.reading(["sms.example.org", entry])
    #expect(reach == nil && fault == entry)
  }
}
