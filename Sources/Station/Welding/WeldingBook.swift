import DeviceCatalog
import Telemetry

/// One entry of the register as it was changed at run time; with nothing in it, one that was removed.
struct RegisterChange: Codable, Sendable {
  var machine: WeldingRegister.Machine?
  var welder: WeldingRegister.Welder?
  var permit: WeldingRegister.Permit?
  var ban: WeldingRegister.BannedPeriod?
  var commitment: WeldingRegister.Commitment?
}

/// The parts of the register.
public enum WeldingRegisterPart: String, CaseIterable, Sendable {
  /// Machines, by device id.
  case machines
  /// Welders, by id.
  case welders
  /// Tickets and declarations, by number.
  case permits
  /// Banned periods, by id.
  case bans = "banned-periods"
  /// Daily commitments, by day.
  case commitments
}

/// The register in force of one enterprise: what the catalog says, changed by what came at run time.
struct WeldingBook: Sendable {
  private(set) var machines: [String: WeldingRegister.Machine] = [:]
  private(set) var welders: [String: WeldingRegister.Welder] = [:]
  private(set) var permits: [String: WeldingRegister.Permit] = [:]
  private(set) var bans: [String: WeldingRegister.BannedPeriod] = [:]
  private(set) var commitments: [String: Int] = [:]
  private var deviceOfCode: [String: String] = [:]
  private var permitsOfDevice: [String: Set<String>] = [:]

  init(_ register: WeldingRegister) {
    for machine in register.machines {
      put(.machines, machine.device, RegisterChange(machine: machine))
    }
    for welder in register.welders { put(.welders, welder.id, RegisterChange(welder: welder)) }
    for permit in register.permits { put(.permits, permit.id, RegisterChange(permit: permit)) }
    for ban in register.bannedPeriods { put(.bans, ban.id, RegisterChange(ban: ban)) }
    for commitment in register.commitments {
      put(.commitments, "\(commitment.day)", RegisterChange(commitment: commitment))
    }
  }

  var isEmpty: Bool { machines.isEmpty && welders.isEmpty }

  mutating func put(_ part: WeldingRegisterPart, _ id: String, _ change: RegisterChange) {
    switch part {
    case .machines:
      if let old = machines[id] { deviceOfCode[old.code] = nil }
      machines[id] = change.machine
      if let machine = change.machine { deviceOfCode[machine.code] = id }
    case .welders: welders[id] = change.welder
    case .permits:
      for device in permits[id]?.machines ?? [] { permitsOfDevice[device]?.remove(id) }
      permits[id] = change.permit
      for device in change.permit?.machines ?? [] {
        permitsOfDevice[device, default: []].insert(id)
      }
    case .bans: bans[id] = change.ban
    case .commitments: commitments[id] = change.commitment?.hotWorks
    }
  }

  func machine(code: String) -> WeldingRegister.Machine? {
    deviceOfCode[code].flatMap { machines[$0] }
  }

  /// Permits that cover a device, in order of id.
  func permits(of device: String) -> [WeldingRegister.Permit] {
    (permitsOfDevice[device] ?? []).sorted().compactMap { permits[$0] }
  }

  /// The ban in force at a moment.
  func ban(at time: Int64) -> WeldingRegister.BannedPeriod? {
    bans.values.filter { $0.from <= time && time < $0.until }.min { $0.id < $1.id }
  }

  /// Moments at which a ban begins or ends after `time`.
  func nextBanEdge(after time: Int64) -> Int64? {
    bans.values.flatMap { [$0.from, $0.until] }.filter { $0 > time }.min()
  }

  /// What is wrong with a permit beside this register.
  func fault(of permit: WeldingRegister.Permit, policy: WeldingPolicy) -> PermitFault? {
    WeldingRegister(
      machines: permit.machines.compactMap { machines[$0] },
      welders: permit.welders.compactMap { welders[$0] }
    ).fault(of: permit, policy: policy)
  }
}
