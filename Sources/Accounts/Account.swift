/// An account: what is told of it, without any secret.
public struct Account: Codable, Hashable, Sendable {
  /// Its id: lower-case letters, digits, `.`, `-`, `_`; never used again for somebody else.
  public var id: String
  /// The name that people know it by.
  public var displayName: String
  /// A person or a machine.
  public var kind: Principal.Kind
  /// What it may do.
  public var roles: Set<Role>
  /// What it may see.
  public var scope: Scope
  /// False once it is closed; accounts are never deleted, because the ledger names them.
  public var isActive: Bool
  /// Counts changes; the ETag of an edit.
  public var version: Int64
  /// Whether a password has been set.
  public var hasPassword: Bool
  /// When it was made, milliseconds since the Unix epoch.
  public var created: Int64
  /// When it was last changed.
  public var changed: Int64

  /// The account as the one who acts.
  public var principal: Principal {
    Principal(
      subject: id,
      displayName: displayName,
      kind: kind,
      roles: roles,
      scope: scope
    )
  }

  /// Whether a text can be an account's id.
  static func isValid(id: String) -> Bool {
    let letters = id.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
    // `engine` is the ledger's word for Davy itself.
    return letters && (2...48).contains(id.utf8.count) && id != "engine"
  }
}

/// What a person states when an account is made or changed.
public struct AccountDraft: Codable, Hashable, Sendable {
  /// Its id.
  public var id: String
  /// The name that people know it by.
  public var displayName: String
  /// A person or a machine.
  public var kind: Principal.Kind
  /// What it may do.
  public var roles: Set<Role>
  /// What it may see.
  public var scope: Scope
  /// False closes it.
  public var isActive: Bool

  /// Makes a draft.
  public init(
    id: String,
    displayName: String,
    kind: Principal.Kind = .person,
    roles: Set<Role>,
    scope: Scope,
    isActive: Bool = true
  ) {
    self.id = id
    self.displayName = displayName
    self.kind = kind
    self.roles = roles
    self.scope = scope
    self.isActive = isActive
  }

  /// Why it cannot be an account; nil when it can.
  var fault: String? {
    guard Account.isValid(id: id) else {
      return "id: 2 to 48 of a-z, 0-9, '.', '-', '_', and not 'engine'"
    }
    guard !displayName.isEmpty, displayName.count <= 64,
      displayName.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F })
    else { return "displayName: 1 to 64 characters, no control characters" }
    guard !roles.isEmpty else { return "roles: at least one" }
    guard !scope.isEmpty else {
      return "scope: name areas, enterprises or everywhere; an empty scope sees nothing"
    }
    guard scope.areas.count <= 1_000, scope.enterprises.count <= 10_000 else {
      return "scope: at most 1,000 areas and 10,000 enterprises"
    }
    let ids = scope.enterprises.allSatisfy {
      !$0.isEmpty && $0.utf8.count <= 128 && !$0.contains("/")
    }
    guard ids else { return "scope.enterprises: ids of enterprises, without '/'" }
    if roles.contains(.enterprise) {
      // Separation of duty: who belongs to an enterprise decides nothing for the authorities.
      let authorities: Set<Role> = [
        .county, .sector, .city, .auditor, .administrator, .dutyOfficer,
      ]
      guard roles.isDisjoint(with: authorities) else {
        return "roles: enterprise goes with operator only, never with a role of the authorities"
      }
      guard !scope.isEverywhere, scope.areas.isEmpty else {
        return "scope: an enterprise's account sees named enterprises only"
      }
    }
    for role in [Role.monitor, .relay] where roles.contains(role) {
      guard kind == .machine, roles.count == 1 else {
        return "roles: \(role.rawValue) is for machines and stands alone"
      }
    }
    return nil
  }
}

/// A key of a machine's account: what is told of it; the key itself is shown once, when it is made.
public struct MachineKey: Codable, Hashable, Sendable {
  /// Its id, part of the key.
  public var id: String
  /// Whose it is.
  public var account: String
  /// What it is for.
  public var purpose: String
  /// When it was made, milliseconds since the Unix epoch.
  public var created: Int64
  /// When it ends.
  public var expires: Int64
}

/// Why something about accounts failed.
public enum AccountError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Account or password is wrong; which of them is not told.
  case wrongCredentials(hasLocked: Bool)
  /// Too many failures: to be tried again after so many milliseconds.
  case locked(milliseconds: Int64)
  /// Too many sign-ins at this moment.
  case busy
  /// The link has been used, has run out, or never was one.
  case deadLink
  /// There is no such account.
  case unknownAccount(String)
  /// There is one already.
  case exists(String)
  /// Somebody else has changed it meanwhile; its version now.
  case changedMeanwhile(version: Int64)
  /// What was stated cannot be.
  case invalid(String)
  /// The password is not good enough: why.
  case weakPassword(String)
  /// The store does not work: what it says.
  case store(path: String, reason: String)

  /// The error in words.
  public var description: String {
    switch self {
    case .wrongCredentials: "account or password is wrong"
    case .locked(let milliseconds):
      "too many failed sign-ins; try again in \((milliseconds + 59_999) / 60_000) min"
    case .busy: "too many sign-ins at this moment; try again"
    case .deadLink: "this link has been used or has run out; ask for a new one"
    case .unknownAccount(let id): "there is no account \(id)"
    case .exists(let id): "there is an account \(id) already; ids are never used twice"
    case .changedMeanwhile(let version): "changed meanwhile; it is at version \(version) now"
    case .invalid(let why): why
    case .weakPassword(let why): "password: \(why)"
    case .store(let path, let reason):
      "the accounts' store \(path) cannot be used: \(reason); check disk and permissions"
    }
  }
}
