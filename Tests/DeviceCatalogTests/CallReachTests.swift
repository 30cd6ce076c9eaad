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

  /// The list (nil: none), the host as set, and a word of the refusal (nil: it can be set).
  static let settings: [(list: [String]?, host: String, refusal: String?)] = [
    (nil, "sms.example.org", nil), (nil, "192.168.1.20", nil), (nil, "[fd12:3456::9]", nil),
    (nil, "localhost", nil), (nil, "127.0.0.1", nil), (nil, "[::1]", nil),
    (nil, "0.0.0.0", "no host's"), (nil, "::", "no host's"),
    (nil, "224.0.0.1", "no single host's"), (nil, "ff02::1", "no single host's"),
    // A cloud's services for the machine itself, however they are written.
    (nil, "169.254.169.254", "link-local"), (nil, "169.254.169.254.", "link-local"),
    (nil, "0xa9fea9fe", "link-local"), (nil, "169.254.43518", "link-local"),
    (nil, "[::ffff:169.254.169.254]", "link-local"),
    (nil, "64:ff9b::a9fe:a9fe", "link-local"), (nil, "fe80::1", "link-local"),
    (nil, "Metadata.Google.Internal", "metadata"), (nil, "metadata.google.internal.", "metadata"),
    (nil, "100.100.100.200", "metadata"), (nil, "168.63.129.16", "metadata"),
    (nil, "fd00:ec2::254", "metadata"), (nil, "100.100.100.201", nil),
    // With a list, what it names and nothing else; never what is refused always.
    (["sms.example.org"], "sms.example.org", nil), (["sms.example.org"], "SMS.Example.org.", nil),
    (["169.254.0.0/16"], "169.254.169.254", "link-local"),
    (["sms.example.org"], "xsms.example.org", "editedMayCall"),
    (["sms.example.org"], "sms.example.org.evil.net", "editedMayCall"),
    (["sms.example.org"], "10.0.0.1", "editedMayCall"),
    (["sms.example.org"], "localhost", "editedMayCall"),
    ([".example.org"], "a.b.example.org", nil), ([".example.org"], "example.org", "editedMayCall"),
    ([".example.org"], "evilexample.org", "editedMayCall"),
    // A name is not looked up: it has to be named.
    (["10.20.0.0/16"], "gateway.lan", "editedMayCall"), (["10.20.0.0/16"], "10.20.255.1", nil),
    (["10.20.0.0/16"], "10.21.0.1", "editedMayCall"), (["10.20.0.0/16"], "::ffff:10.20.0.1", nil),
    (["10.20.4.0/22"], "10.20.7.255", nil), (["10.20.4.0/22"], "10.20.8.0", "editedMayCall"),
    (["fd12:3456::/33"], "fd12:3456:7fff::1", nil),
    (["fd12:3456::/33"], "fd12:3456:8000::1", "editedMayCall"),
    // One family's network holds nothing of the other.
    (["0.0.0.0/0"], "fd12::1", "editedMayCall"), (["::/0"], "10.1.2.3", "editedMayCall"),
    (["0.0.0.0/0"], "10.1.2.3", nil), (["127.0.0.1"], "127.1", nil),
    (["127.0.0.1"], "127.0.0.2", "editedMayCall"), (["localhost"], "LocalHost", nil),
    ([], "sms.example.org", "editedMayCall"),
  ]

  @Test("a channel can be set to go to a host or not", arguments: settings.indices)
  func set(index: Int) throws {
    let (list, host, refusal) = Self.settings[index]
    let found = try Self.reach(list).refusal(settingHost: host)
    if let refusal {
      #expect(found?.contains(refusal) == true, "\(host): \(found ?? "can be set")")
    } else {
      #expect(found == nil, "\(host)")
    }
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
