import DeviceCatalog

/// Which sites are alike, and who answers for a place: made once a catalog.
struct PlaceIndex {
  /// Site path → profiles of its devices.
  private var profiles: [String: Set<String>] = [:]
  /// Site path → kind.
  private var kinds: [String: String] = [:]
  /// Device path → profile.
  private var profileOfDevice: [String: String] = [:]
  /// Point path → row of its channel.
  private(set) var channels: [String: Int] = [:]
  /// Enterprise ids.
  private(set) var enterprises: [String: Enterprise] = [:]

  init() {}

  init(_ catalog: Catalog) {
    for enterprise in catalog.enterprises {
      enterprises[enterprise.id] = enterprise
      for site in enterprise.sites {
        profiles[site.path] = []
        kinds[site.path] = site.kind
      }
    }
    for device in catalog.devices {
      profileOfDevice[device.path] = device.profile
      profiles[Self.leading(2, of: device.path), default: []].insert(device.profile)
    }
    for (row, channel) in catalog.channels.enumerated() { channels[channel.path] = row }
  }

  /// True when the catalog has this site.
  func hasSite(_ path: String) -> Bool { profiles[path] != nil }

  /// Sites like that of a place, by path: where the same device profile stands; without a device, sites of the same kind.
  func sites(like place: String) -> [String] {
    let own = Self.leading(2, of: place)
    let isAlike: (String) -> Bool
    if let profile = profileOfDevice[Self.leading(4, of: place)] {
      isAlike = { profiles[$0]?.contains(profile) == true }
    } else if let kind = kinds[own] {
      isAlike = { kinds[$0] == kind }
    } else {
      return []
    }
    return profiles.keys.filter { $0 != own && isAlike($0) }.sorted()
  }

  /// The leading parts of a path.
  static func leading(_ parts: Int, of path: String) -> String {
    path.split(separator: "/", omittingEmptySubsequences: false).prefix(parts)
      .joined(separator: "/")
  }
}
