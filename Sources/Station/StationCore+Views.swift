import AlarmEngine
import DeviceCatalog
import Telemetry

/// What edges see of the core; the engine's thread asks and hands copies on.
extension StationCore {
  /// The welding desk's machines, scans and register.
  public var welding: WeldingBoard { desks.welding.board }

  /// Who is on duty.
  public var duty: DutyBoard { desks.hazards.board }

  /// What people have changed of the call-out channels.
  public var channels: ChannelBoard { desks.hazards.channelBoard }

  /// The stations below this one.
  public var relay: RelayBoard { desks.relay.board }

  /// Rules that are shelved, suppressed by design or out of service, by catalog row; also those whose alarm has
  /// returned meanwhile.
  public var inhibited: [InhibitedRule] { inhibitions.rules }

  /// Changes whenever ``inhibited`` does.
  var inhibitionChanges: Int { inhibitions.changes }

  /// How the engines do: their counters, clocks and the rules that behave badly.
  ///
  /// Looks at every device and rule at once, which a running station cannot afford between two batches; see
  /// ``extend(_:rows:)``.
  public func engineReport() -> EngineReport {
    var walk = EngineReportWalk()
    while !extend(&walk, rows: .max) {}
    return walk.report
  }

  /// Takes the next `rows` devices and rules up into a report; true once it is whole.
  ///
  /// A report that a change of catalogs overtakes begins anew.
  func extend(_ walk: inout EngineReportWalk, rows: Int) -> Bool {
    if walk.catalog != catalog?.version { walk = EngineReportWalk(catalog: catalog?.version) }
    guard let catalog else {
      walk.report.lanes = laneReports
      return true
    }
    let devices = catalog.devices.count
    let all = devices + catalog.rules.count
    let end = rows < all - walk.row ? walk.row + rows : all
    while walk.row < end {
      // Only numbers are read: a copy of a description is a dozen reference counts.
      if walk.row < devices {
        let device = catalog.devices[walk.row].index
        if let clock = lanes.clock(ofDevice: device), clock.skewMilliseconds != nil {
          walk.report.clocks.append(EngineReport.Clock(device: device, clock))
        }
      } else {
        let rule = catalog.rules[walk.row - devices].index
        let channel = ChannelIndex(rawValue: catalog.rules[walk.row - devices].channel)
        if let statistics = lanes.lane(of: channel)?.statistics(ofRule: rule),
          statistics.raises > 0 || statistics.heldBack > 0
        {
          walk.report.rules.append(EngineReport.Rule(rule: rule, statistics))
        }
      }
      walk.row += 1
    }
    guard walk.row == all else { return false }
    walk.report.lanes = laneReports
    return true
  }

  private var laneReports: [EngineReport.LaneReport] {
    lanes.all.map {
      EngineReport.LaneReport(
        name: $0.name,
        counters: $0.engine.counters,
        quarantined: $0.engine.quarantinedDevices
      )
    }
  }
}
