/// What an account may do; an account may have several roles.
///
/// The words of the hazard workflow (`HazardRole`) are among them and are spelt alike.
public enum Role: String, CaseIterable, Codable, Hashable, Sendable {
  /// 企业: whose plant it is. Acknowledges, rectifies; never accepts, verifies or closes its own hazard.
  case enterprise
  /// 县（区）安委办: the county's safety committee office.
  case county
  /// 行业主管部门: the sector's department.
  case sector
  /// 市: the city's office.
  case city
  /// 审计 / 纪委: sees everything in its scope, decides nothing.
  case auditor
  /// Runs the service and its accounts; has no part in any alarm or hazard.
  case administrator
  /// 值班员: works the alarm wall.
  case `operator`
  /// 值班领导 / 指挥中心: leads call-outs (叫应).
  case dutyOfficer
  /// A machine that watches the service itself: metrics and status, no rows.
  case monitor
  /// A station below this one (下级站): passes on what its ledger says, and may do nothing else.
  case relay
}

/// Which part of the world an account may see: administrative areas, single enterprises, or everything.
public struct Scope: Codable, Hashable, Sendable {
  /// Everything, also what belongs to no enterprise.
  public var isEverywhere: Bool
  /// 行政区划代码 whose enterprises are included, with all that lies below them.
  public var areas: Set<AreaCode>
  /// Enterprises by id, besides those of the areas.
  public var enterprises: Set<String>

  /// Makes a scope; without arguments it includes nothing.
  public init(areas: Set<AreaCode> = [], enterprises: Set<String> = []) {
    isEverywhere = false
    self.areas = areas
    self.enterprises = enterprises
  }

  private init(isEverywhere: Bool) {
    self.init()
    self.isEverywhere = isEverywhere
  }

  /// Everything.
  public static let everywhere = Scope(isEverywhere: true)

  /// True where nothing is included.
  public var isEmpty: Bool { !isEverywhere && areas.isEmpty && enterprises.isEmpty }

  /// Whether an administrative area lies within the scope.
  public func includes(area: AreaCode) -> Bool {
    isEverywhere || areas.contains { $0.includes(area) }
  }

  /// Whether an enterprise, with the area code that the catalog gives it, lies within the scope.
  public func includes(enterprise: String, area: String?) -> Bool {
    if isEverywhere || enterprises.contains(enterprise) { return true }
    guard let area = area.flatMap(AreaCode.init) else { return false }
    return includes(area: area)
  }

  /// Whether everything that `other` includes is included here, as far as codes and ids alone can tell.
  public func covers(_ other: Scope) -> Bool {
    if isEverywhere { return true }
    return !other.isEverywhere && other.areas.allSatisfy(includes(area:))
      && other.enterprises.isSubset(of: enterprises)
  }
}

/// Who is at the other end of a request.
public struct Principal: Codable, Hashable, Sendable {
  /// A person or a machine.
  public enum Kind: String, CaseIterable, Codable, Hashable, Sendable {
    /// A person with a password.
    case person
    /// A program with a key.
    case machine
  }

  /// The account's id: what the ledger names as the actor.
  public var subject: String
  /// The name that people know it by.
  public var displayName: String
  /// A person or a machine.
  public var kind: Kind
  /// What it may do.
  public var roles: Set<Role>
  /// What it may see.
  public var scope: Scope

  /// Makes a principal.
  public init(
    subject: String,
    displayName: String,
    kind: Kind = .person,
    roles: Set<Role>,
    scope: Scope
  ) {
    self.subject = subject
    self.displayName = displayName
    self.kind = kind
    self.roles = roles
    self.scope = scope
  }

  /// Whether it has one of the roles.
  public func has(_ any: Role...) -> Bool { !roles.isDisjoint(with: any) }
}
