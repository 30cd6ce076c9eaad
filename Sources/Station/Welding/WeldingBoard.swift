import Crypto
public import DeviceCatalog
public import HazardLedger
import Synchronization

/// What others may see of the welding desk: pages of it, copied out under its lock.
///
/// Lists are ordered by id and go on after the last id of the page before; scans by journal sequence, newest first.
public final class WeldingBoard: Sendable {
  /// MQTT filters of the messages that the desk takes.
  public static let filters = ["davy/v1/+/+/welding/scan", "davy/v1/+/+/welding/report"]

  let state = Mutex(WeldingState())

  /// A page and where the next begins; nil after the last.
  public struct Page<Row: Sendable>: Sendable {
    /// The rows.
    public var rows: [Row]
    /// Id of the last row, when there are more.
    public var next: String?
  }

  /// A machine as it stands.
  public struct MachineRow: Sendable {
    /// `enterprise/device`: the row's id.
    public var key: String
    /// Enterprise.
    public var enterprise: String
    /// Device id.
    public var device: String
    /// Its path in the catalog.
    public var path: String
    /// Path of its current; its alarms hang there.
    public var point: String
    /// Its name.
    public var name: LocalizedText
    /// The register's entry; nil for a machine that is not registered.
    public var entry: WeldingRegister.Machine?
    /// `welding`, `released`, `locking`, `lock-failed`, `locked` or `unknown` (never heard).
    public var state: String
    /// Who may weld; nil while it is not released.
    public var welder: String?
    /// Their name.
    public var welderName: String?
    /// Under which permit.
    public var permit: String?
    /// Since when it is released, ms.
    public var releasedAt: Int64?
    /// Until when, ms.
    public var until: Int64?
    /// Since when it welds, ms.
    public var weldingSince: Int64?
    /// Newest current, A.
    public var current: Double?
    /// Time of it, ms.
    public var currentAt: Int64?
    /// When it was last heard, receive time, ms.
    public var heard: Int64?
    /// Where it is.
    public var position: Coordinates?
    /// Rules of its active alarms.
    public var alarms: [String]
  }

  /// An entry of the register.
  public struct Entry: Sendable {
    /// Enterprise.
    public var enterprise: String
    /// Id.
    public var id: String
    /// The entry as canonical JSON.
    public var value: HazardLedger.JSONValue

    /// The entry's ETag: another as soon as anything of it is another.
    public var tag: String { Self.tag(of: value) }

    static func tag(of value: HazardLedger.JSONValue) -> String {
      "\"\(Array(SHA256.hash(data: value.canonicalBytes()).prefix(12)).hex)\""
    }
  }

  /// A scan and its answer.
  public struct ScanRow: Sendable {
    /// Journal sequence: the page's cursor.
    public var sequence: UInt64
    /// Receive time, ms.
    public var time: Int64
    /// Enterprise that the topic named.
    public var enterprise: String
    /// Device; empty when the code is unknown.
    public var device: String
    /// What the code said.
    public var code: String
    /// Who asked.
    public var welder: String
    /// Permit that allowed it; empty when none did.
    public var permit: String
    /// Why not, or what could not be decided.
    public var reasons: [String]
    /// The answer.
    public var isAllowed: Bool
  }

  /// Enterprises with a welding register, in order.
  public var enterprises: [String] { state.withLock { $0.frame.enterprises.keys.sorted() } }

  /// Machines after `after`; those that weld or are released only, when `isActiveOnly`.
  public func machines(
    of enterprises: Set<String>,
    isActiveOnly: Bool,
    after: String?,
    limit: Int
  ) -> Page<MachineRow> {
    state.withLock { state in
      var rows: [MachineRow] = []
      for place in state.frame.places
      where place.key > after ?? "" && enterprises.contains(place.enterprise) {
        let machine = state.machines[place.key]
        if isActiveOnly, machine?.session == nil, machine?.arcSince == nil { continue }
        guard rows.count < limit else { return Page(rows: rows, next: rows.last?.key) }
        rows.append(state.row(place))
      }
      return Page(rows: rows, next: nil)
    }
  }

  /// Entries of one part of an enterprise's register after `after`.
  public func entries(
    _ part: WeldingRegisterPart,
    of enterprise: String,
    after: String?,
    limit: Int
  ) -> Page<Entry> {
    state.withLock { state in
      guard let book = state.books[enterprise] else { return Page(rows: [], next: nil) }
      let ids: [String] =
        switch part {
        case .machines: Array(book.machines.keys)
        case .welders: Array(book.welders.keys)
        case .permits: Array(book.permits.keys)
        case .bans: Array(book.bans.keys)
        case .commitments: Array(book.commitments.keys)
        }
      let page = ids.filter { $0 > after ?? "" }.sorted().prefix(limit + 1)
      let rows = page.prefix(limit).compactMap { id in
        book.json(part, id).map { Entry(enterprise: enterprise, id: id, value: $0) }
      }
      return Page(rows: rows, next: page.count > limit ? rows.last?.id : nil)
    }
  }

  /// One entry; nil when there is none.
  public func entry(_ part: WeldingRegisterPart, _ id: String, of enterprise: String) -> Entry? {
    state.withLock { state in
      state.books[enterprise]?.json(part, id).map {
        Entry(enterprise: enterprise, id: id, value: $0)
      }
    }
  }

  /// The newest scans before journal sequence `before`, newest first; the older ones are in the ledger only.
  public func scans(
    of enterprises: Set<String>,
    isAllowed: Bool?,
    before: UInt64?,
    limit: Int
  ) -> Page<ScanRow> {
    state.withLock { state in
      var rows: [ScanRow] = []
      for scan in state.scans.reversed()
      where scan.sequence < before ?? .max && enterprises.contains(scan.enterprise)
        && isAllowed ?? scan.isAllowed == scan.isAllowed
      {
        guard rows.count < limit else {
          return Page(rows: rows, next: rows.last.map { "\($0.sequence)" })
        }
        rows.append(
          ScanRow(
            sequence: scan.sequence,
            time: scan.time,
            enterprise: scan.enterprise,
            device: scan.device,
            code: scan.code,
            welder: scan.welder,
            permit: scan.permit,
            reasons: scan.reasons,
            isAllowed: scan.isAllowed
          )
        )
      }
      return Page(rows: rows, next: nil)
    }
  }
}

extension WeldingBook {
  /// An entry as the API writes it.
  func json(_ part: WeldingRegisterPart, _ id: String) -> HazardLedger.JSONValue? {
    switch part {
    case .machines: machines[id]?.json
    case .welders: welders[id]?.json
    case .permits: permits[id]?.json
    case .bans: bans[id]?.json
    case .commitments: commitments[id].map { .object(["hotWorks": .integer(Int64($0))]) }
    }
  }
}

extension WeldingState {
  /// A machine as it stands.
  func row(_ place: WeldingFrame.Place) -> WeldingBoard.MachineRow {
    let machine = machines[place.key]
    let book = books[place.enterprise]
    let session = machine?.session
    let state =
      if let cut = machine?.cut {
        cut.hasFailed ? "lock-failed" : "locking"
      } else if machine?.arcSince != nil {
        "welding"
      } else if session != nil {
        "released"
      } else {
        machine?.heard == nil ? "unknown" : "locked"
      }
    let permit = session.flatMap { book?.permits[$0.permit] }
    return WeldingBoard.MachineRow(
      key: place.key,
      enterprise: place.enterprise,
      device: place.device,
      path: place.path,
      point: place.point,
      name: place.name,
      entry: book?.machines[place.device],
      state: state,
      welder: session?.welder,
      welderName: session.flatMap { book?.welders[$0.welder]?.name },
      permit: session?.permit,
      releasedAt: session?.from,
      until: permit?.until,
      weldingSince: machine?.arcSince,
      current: machine?.current?.value,
      currentAt: machine?.current?.time,
      heard: machine?.heard,
      position: place.reportsPosition ? machine?.fix?.position : place.position,
      alarms: WeldingRule.allCases.map(\.rawValue).filter { alarms.isActive(place.point, $0) }
    )
  }
}
