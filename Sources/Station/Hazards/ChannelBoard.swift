import Synchronization

/// What people have changed of the call-out channels (叫应通道), for whoever runs and shows the channels.
///
/// The service file's channels are not the desk's: it knows the changes alone, which go before the file. The desk of
/// hazards alone changes it.
public final class ChannelBoard: Sendable {
  /// What people have last done to a channel.
  public struct Row: Hashable, Sendable {
    /// Journal sequence of that: what the next change has to have seen.
    public var version: UInt64
    /// The channel as people have set it, canonical JSON with the keys of the service file and without secrets; nil when
    /// it is as the service file has it, or removed.
    public var setting: String?
    /// Each secret that it has: an identity in the station's folder of secrets, or ``fileSecret``.
    public var secrets: [String: String]
    /// Removed, also where the service file has it.
    public var isRemoved: Bool
  }

  /// What stands for a secret that lies where the service file says.
  public static let fileSecret = "file"

  private let state: Mutex<(rows: [String: Row], revision: Int)> = Mutex(([:], 0))

  /// The changed channels, by name.
  public var rows: [String: Row] { state.withLock { $0.rows } }
  /// Rises with every change.
  public var revision: Int { state.withLock { $0.revision } }

  func show(_ rows: [String: Row]) {
    state.withLock { state in
      guard state.rows != rows else { return }
      state.rows = rows
      state.revision += 1
    }
  }
}
