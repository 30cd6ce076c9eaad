/// Checks that a plant interlock did what it must, in time: cause, expected response, deadline.
///
/// Davy is not the interlock. When the cause appears (gas at the cut-off level), the response (power
/// feed gone) must be seen within `deadline`; else the interlock has failed: 馈电异常. A response lost
/// again while the cause stands must be back within the same deadline. With `restoreDeadline`, the
/// response must also end within that time after the cause has gone.
///
/// Source: 馈电异常 of mine monitoring, one of the states that such systems upload, put for any cause and response.
///
/// - Defaults: no restore deadline; deadline and restore deadline 0 … 10 years.
/// - A response exactly at the deadline is in time (closed edge); ``advance(to:)`` is called with the
///   deadline's own time after the readings of that time.
/// - Unknown cause: neither starts nor ends anything. Unknown response at the deadline: `unverified`,
///   which is unknown, not false; nobody may take silence for a working interlock.
/// - Another plan: begun anew while its alarm stands, it is `unverified` until cause and response say more. Under other deadlines
///   what is awaited must happen within them, counted from when its wait began.
/// - Warm-up, freeze: none. Bad status and silence: what depends on the signal is unknown. Late readings are not handed in.
/// - Gap: what was last known lasts, until the signal is stale; a deadline falls due in a gap too.
/// - A response without a cause is the plant's business and says nothing.
public struct InterlockVerification: Hashable, Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Time the response may take, milliseconds, 0 … 10 years.
    public var deadline: Int64
    /// Time the response may outlast the cause, milliseconds, 0 … 10 years; nil when it may stay.
    public var restoreDeadline: Int64?

    /// Makes parameters.
    public init(deadline: Int64, restoreDeadline: Int64? = nil) {
      self.deadline = deadline
      self.restoreDeadline = restoreDeadline
    }
  }

  /// Where the verification stands.
  public enum State: UInt8, CaseIterable, Hashable, Sendable {
    /// No cause.
    case idle
    /// Cause there, response awaited.
    case awaitingResponse
    /// Cause and response there.
    case verified
    /// Response not seen in time.
    case failed
    /// At the deadline nothing was known of the response.
    case unverified
    /// Cause gone, end of the response awaited.
    case awaitingRestore
    /// The response did not end in time.
    case notRestored
    /// When the response should have ended, nothing was known of it.
    case restoreUnverified
  }

  /// The parameters.
  public let parameters: Parameters
  /// Where the verification stands.
  public private(set) var state = State.idle
  /// When the awaited thing must have happened.
  public private(set) var deadline: Int64?
  /// How long the newest verified response took, milliseconds.
  public private(set) var latency: Int64?
  /// Whether what is awaited must now happen sooner than when the state that was read back was written.
  private(set) var waitsLessLong = false
  private var since: Int64 = 0
  private var response = Truth.unknown
  /// It began in the alarm of another, and has seen no cause appear yet: what came before is not known.
  private var isDoubtful = false

  /// Makes a verification without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check(duration: "deadline", parameters.deadline)
    try DetectorError.check(duration: "restoreDeadline", parameters.restoreDeadline ?? 0)
    self.parameters = parameters
  }

  /// The alarm condition: true when the interlock failed or did not let go.
  public var condition: Truth {
    switch state {
    case .awaitingRestore where isDoubtful: .unknown
    case .idle, .awaitingResponse, .verified, .awaitingRestore: .no
    case .failed, .notRestored: .yes
    case .unverified, .restoreUnverified: .unknown
    }
  }

  /// Goes on in place of another verification, in whose alarm the plant stands: whether that goes on, cause and response decide.
  mutating func doubt() {
    state = .unverified
    isDoubtful = true
  }

  /// Takes cause and response as they are at `time`, after the deadlines before it.
  @discardableResult
  public mutating func step(time: Int64, cause: Truth, response: Truth) -> Truth {
    if let deadline, time > deadline { advance(to: deadline) }
    self.response = response
    switch cause {
    case .unknown:
      follow(time)
    case .yes:
      switch state {
      case .idle, .awaitingRestore, .notRestored, .restoreUnverified: begin(time)
      case .awaitingResponse, .verified, .failed, .unverified: break
      }
      follow(time)
    case .no:
      causeGone(time)
    }
    return condition
  }

  /// Lets a deadline at or before `time` fall due.
  @discardableResult
  public mutating func advance(to time: Int64) -> Truth {
    guard let due = deadline, time >= due else { return condition }
    deadline = nil
    switch state {
    case .awaitingResponse: state = response == .unknown ? .unverified : .failed
    case .awaitingRestore: state = response == .unknown ? .restoreUnverified : .notRestored
    case .idle, .verified, .failed, .unverified, .notRestored, .restoreUnverified: break
    }
    return condition
  }

  private mutating func begin(_ time: Int64) {
    state = .awaitingResponse
    isDoubtful = false
    since = time
    deadline = time + parameters.deadline
  }

  /// The response while the cause stands (or is not known to be gone).
  private mutating func follow(_ time: Int64) {
    switch (state, response) {
    case (.awaitingResponse, .yes):
      state = .verified
      deadline = nil
      latency = time - since
    case (.failed, .yes), (.unverified, .yes):
      state = .verified
      latency = isDoubtful ? nil : time - since
    case (.unverified, .no):
      state = .failed
    case (.verified, .no):
      begin(time)
    case (.awaitingRestore, .no), (.notRestored, .no), (.restoreUnverified, .no):
      state = .idle
      deadline = nil
    case (.restoreUnverified, .yes):
      state = .notRestored
    case (.awaitingResponse, _), (.failed, _), (.unverified, .unknown), (.verified, _),
      (.awaitingRestore, _), (.notRestored, _), (.restoreUnverified, .unknown), (.idle, _):
      break
    }
  }

  private mutating func causeGone(_ time: Int64) {
    switch state {
    case .awaitingResponse, .verified, .failed, .unverified:
      // A failure ends with its cause; whether the response lets go is a question of its own.
      if let restore = parameters.restoreDeadline, response != .no {
        state = .awaitingRestore
        since = time
        deadline = time + restore
      } else {
        state = .idle
        deadline = nil
      }
    case .awaitingRestore, .notRestored, .restoreUnverified:
      follow(time)
    case .idle:
      break
    }
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    bytes.append(state.rawValue)
    bytes.appendState(deadline != nil)
    bytes.appendState(deadline ?? 0)
    bytes.appendState(latency != nil)
    bytes.appendState(latency ?? 0)
    bytes.appendState(since)
    bytes.append(response.rawValue)
    bytes.appendState(isDoubtful)
  }

  /// Reads back state; what is awaited in it must happen within these parameters' time of when its wait began.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    guard let state = State(rawValue: try reader.byte()) else { throw .inconsistent }
    self.state = state
    let hasDeadline = try reader.flag()
    let due = try reader.integer()
    let former = hasDeadline ? due : never
    let hasLatency = try reader.flag()
    let took = try reader.integer()
    latency = hasLatency ? took : nil
    since = try reader.integer()
    deadline =
      switch state {
      case .awaitingResponse: since + parameters.deadline
      case .awaitingRestore: parameters.restoreDeadline.map { since + $0 }
      case .idle, .verified, .failed, .unverified, .notRestored, .restoreUnverified: nil
      }
    waitsLessLong = deadline ?? never < former
    guard let response = Truth(rawValue: try reader.byte()) else { throw .inconsistent }
    self.response = response
    isDoubtful = try reader.flag()
  }
}
