import AlarmEngine
public import Telemetry

/// Whether what should be connected is: 应联尽联.
///
/// Counted from the catalog and the newest readings alone; neither ledger nor rules are asked.
public struct Coverage: Sendable {
  /// How one point stands.
  public enum State: String, CaseIterable, Codable, Sendable {
    /// Its newest reading is young enough.
    case reporting
    /// Its newest reading is older than the time after which it is stale.
    case silent
    /// Nothing came since the service started.
    case never
    /// The source says that it has no value: a broken line, a fault, out of use.
    case faulty
    /// The site lists it as one that should be connected, and the catalog has no such device or point.
    case unconnected
  }

  /// The newest reading of a channel, as far as it matters here.
  public struct Newest: Sendable {
    /// Receive time.
    public var received: Timestamp
    /// What the source says of it.
    public var status: SourceStatus

    /// Makes one.
    public init(received: Timestamp, status: SourceStatus) {
      self.received = received
      self.status = status
    }
  }

  /// A point with its state.
  public struct Point: Sendable {
    /// `enterprise/site/area/device/point`; without the point for a missing device.
    public var path: String
    /// How it stands.
    public var state: State
    /// Receive time of its newest reading; nil when there is none.
    public var received: Timestamp?
  }

  /// The points of one site, counted.
  public struct Count: Sendable {
    /// Enterprise id.
    public var enterprise: String
    /// Site id.
    public var site: String
    /// Points by state.
    public var points: [State: Int]
    /// Devices none of whose points report.
    public var silentDevices: Int
    /// Devices.
    public var devices: Int

    /// Points that should report.
    public var expected: Int { points.values.reduce(0, +) }
    /// Share that does, 0 to 1; nil where nothing is expected.
    public var share: Double? {
      expected == 0 ? nil : Double(points[.reporting] ?? 0) / Double(expected)
    }
  }

  /// Sites in the catalog's order.
  public private(set) var counts: [Count] = []
  /// Points that do not report, by path.
  public private(set) var missing: [Point] = []

  /// Takes stock.
  ///
  /// - Parameters:
  ///   - catalog: what should be there.
  ///   - newest: the newest reading of each channel, by row.
  ///   - now: the moment judged, receive time.
  ///   - usualSilence: milliseconds after which a point is silent whose profile names no time.
  ///   - includes: which enterprises count.
  public init(
    _ catalog: Catalog,
    newest: [Newest?],
    now: Timestamp,
    usualSilence: Int64 = 600_000,
    includes: (String) -> Bool
  ) {
    var rowOfSite: [String: Int] = [:]
    for enterprise in catalog.enterprises where includes(enterprise.id) {
      for site in enterprise.sites {
        rowOfSite[site.path] = counts.count
        counts.append(
          Count(
            enterprise: enterprise.id,
            site: site.id,
            points: [:],
            silentDevices: 0,
            devices: 0
          )
        )
      }
    }
    var reports = [Bool](repeating: false, count: catalog.devices.count)
    for (row, channel) in catalog.channels.enumerated() {
      guard let site = rowOfSite["\(channel.enterprise)/\(channel.site)"] else { continue }
      let reading = row < newest.count ? newest[row] : nil
      let state: State =
        if let reading {
          if now.milliseconds(since: reading.received) > channel.staleMilliseconds ?? usualSilence {
            .silent
          } else {
            reading.status.use == .noValue ? .faulty : .reporting
          }
        } else {
          .never
        }
      counts[site].points[state, default: 0] += 1
      if state == .reporting || state == .faulty {
        reports[Int(catalog.enginePlan.channels[row].device)] = true
      }
      if state != .reporting {
        missing.append(Point(path: channel.path, state: state, received: reading?.received))
      }
    }
    for (row, device) in catalog.devices.enumerated() {
      let levels = device.path.split(separator: "/")
      guard levels.count > 2, let site = rowOfSite["\(levels[0])/\(levels[1])"] else { continue }
      counts[site].devices += 1
      if !reports[row] { counts[site].silentDevices += 1 }
    }
    for expected in catalog.unconnected {
      let levels = expected.path.split(separator: "/")
      guard levels.count > 2, let site = rowOfSite["\(levels[0])/\(levels[1])"] else { continue }
      counts[site].points[.unconnected, default: 0] += 1
      missing.append(Point(path: expected.path, state: .unconnected, received: nil))
    }
    missing.sort { $0.path < $1.path }
  }
}

/// Something that a site lists as to be connected.
public struct ExpectedPoint: Codable, Sendable {
  /// `device`, or `device/point`.
  public var name: String
  /// Where it is listed.
  public var place: Place
}

extension Catalog {
  /// What sites list as to be connected and the catalog has no device or point for.
  public var unconnected: [(path: String, place: Place)] {
    let hasExpected = enterprises.contains { enterprise in
      enterprise.sites.contains { $0.areas.contains { !$0.expected.isEmpty } }
    }
    guard hasExpected else { return [] }
    let known = Set(devices.map(\.path)).union(channels.map(\.path))
    var missing: [(path: String, place: Place)] = []
    for enterprise in enterprises {
      for site in enterprise.sites {
        for area in site.areas {
          for expected in area.expected where !known.contains("\(area.path)/\(expected.name)") {
            missing.append(("\(area.path)/\(expected.name)", expected.place))
          }
        }
      }
    }
    return missing
  }
}
