public import DeviceCatalog
import Synchronization
public import Telemetry

/// What others may see of duty (值班): the rosters in force, exchanges, and who can be named.
///
/// The desk of hazards alone changes it.
public final class DutyBoard: Sendable {
  /// A roster as it stands.
  public struct Row: Sendable {
    /// The roster in force.
    public var roster: ResponsePolicy.Roster
    /// Journal sequence of its last change by people; 0 when it has always been the response file's.
    public var version: UInt64
    /// True while people's change is in force and not the response file's roster.
    public var isChanged: Bool
    /// Exchanges of duty (换班) that have not ended, in the order in which they were entered; the last one that fits
    /// a time goes before the roster.
    public var exchanges: [Exchange]

    /// Who is on duty at a time.
    public func onDuty(at time: Timestamp) -> [String] {
      let exchanged = exchanges.last { $0.from <= time && time < $0.until }
      return exchanged?.persons ?? roster.onDuty(at: time)
    }
  }

  /// An exchange of duty for a time.
  public struct Exchange: Sendable {
    /// Its beginning.
    public var from: Timestamp
    /// Its end.
    public var until: Timestamp
    /// Who has the duty then.
    public var persons: [String]
  }

  /// Everything at one moment.
  public struct Content: Sendable {
    /// The rosters by id.
    public var rows: [String: Row] = [:]
    /// Who can be called, by id.
    public var contacts: [String: ResponsePolicy.Contact] = [:]

    /// No rosters, and nobody who can be called.
    public init() {}
  }

  private let state = Mutex(Content())

  /// What it shows at this moment.
  public var content: Content { state.withLock { $0 } }

  func show(_ content: Content) { state.withLock { $0 = content } }
}
