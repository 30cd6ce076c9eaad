public import Telemetry

/// One step of a call-out: what is stored before anybody acts on it.
public struct CalloutStep: Hashable, Sendable, Codable {
  /// What happened.
  public enum Event: String, CaseIterable, Hashable, Sendable, Codable {
    /// The call-out began.
    case started
    /// A person is about to be called.
    case dispatching
    /// The channel has taken the call.
    case delivered
    /// The channel has refused the call.
    case failed
    /// Nobody is on duty on the level: the next one is called at once; beside the last, the nearest below it that has somebody.
    case nobody
    /// The next level is called.
    case escalated
    /// 叫而不应: the last level did not confirm in its attempts; it goes on being called.
    case unanswered
    /// A named person has confirmed.
    case confirmed
    /// Ended without a confirmation, by a person.
    case cancelled
    /// The person who has confirmed is about to be asked what was done.
    case feedbackDue
    /// The channel has taken the question.
    case feedbackDelivered
    /// The channel has refused the question.
    case feedbackFailed
    /// What was done.
    case feedback
    /// Another alarm has joined it; ``text`` names it.
    case joined
    /// Others are on duty on the level now; ``persons`` names them.
    case dutyChanged
  }

  /// What happened.
  public var event: Event
  /// When: a deadline's own time, not the tick's.
  public var time: Timestamp
  /// Level, from 0.
  public var level = 0
  /// Attempt within the level, from 1.
  public var attempt = 0
  /// Number of the call within the call-out, from 1; 0 where no call is meant.
  public var dispatch = 0
  /// Who is called, has confirmed, cancelled or reported.
  public var person = ""
  /// True for a call that may have been made before: its outcome was lost in a restart.
  public var inDoubt = false
  /// Why, what was done, or which alarm has joined.
  public var text = ""
  /// Priority of the alarm that has joined; 0 otherwise.
  public var priority = 0
  /// Who has come on duty; empty otherwise.
  public var persons: [String] = []
}

/// Why an input to a call-out was refused.
public enum CalloutRefusal: Error, Hashable, Sendable {
  /// It has ended.
  case ended
  /// The person is on none of the levels called so far.
  case notNamed
  /// There is no such call, or its outcome is known.
  case unknownDispatch
  /// Nobody has been asked for feedback.
  case noFeedbackAsked
}
