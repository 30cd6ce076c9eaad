/// How a station comes by its first administrator.
extension AccountService {
  /// Where a station stands with its first administrator.
  public enum FirstStart: Sendable {
    /// There is none: this account is to be put into the ledger and kept.
    case needsAccount(Account)
    /// There is one who has never set a password: a one-time link lets him in.
    case needsLink(account: String)
    /// An administrator can sign in.
    case done
  }

  /// Where the station stands with its first administrator.
  public func firstStart(now: Int64) throws(AccountError) -> FirstStart {
    let administrators = accounts.filter {
      $0.isActive && $0.kind == .person && $0.roles.contains(.administrator)
    }
    if administrators.contains(where: \.hasPassword) { return .done }
    if let known = administrators.first { return .needsLink(account: known.id) }
    return .needsAccount(
      try create(
        AccountDraft(
          id: "administrator",
          displayName: "管理员 Administrator",
          roles: [.administrator],
          scope: .everywhere
        ),
        now: now
      )
    )
  }
}
