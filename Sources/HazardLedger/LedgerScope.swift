/// Which enterprises' rows a reader of the ledger may see.
///
/// Everything that belongs to somebody belongs to an enterprise, whose id is the first level of every path: a caller's
/// administrative areas come to a set of enterprises before the ledger is asked.
public enum LedgerScope: Hashable, Sendable {
  /// Everything, also what belongs to no enterprise: genesis, catalogs, the station's own condition.
  case everything
  /// What belongs to one of these enterprises, and nothing else.
  case enterprises(Set<String>)

  /// Whether an enterprise's rows may be seen.
  public func includes(enterprise: String) -> Bool {
    switch self {
    case .everything: true
    case .enterprises(let ids): ids.contains(enterprise)
    }
  }

  /// Whether what lies at a path (`enterprise/site/area/device/point`, or a part of it from the left) may be seen.
  ///
  /// An alarm's id begins with its point's path, so it may be handed in as well.
  public func includes(path: some StringProtocol) -> Bool {
    switch self {
    case .everything: true
    case .enterprises(let ids): ids.contains(Self.enterprise(ofPath: path))
    }
  }

  /// The enterprise that a path begins with.
  public static func enterprise(ofPath path: some StringProtocol) -> String {
    String(path.prefix { $0 != "/" && $0 != "#" })
  }
}
