/// Whom to call in a situation, level by level, until somebody named confirms (叫应).
public struct CalloutPlan: Hashable, Sendable, Codable {
  /// One level of the chain.
  public struct Level: Hashable, Sendable, Codable {
    /// Name of the level, for example 县级值班.
    public var name: String
    /// Persons on duty, called at the same time; empty where nobody was when it was last looked up.
    public var persons: [String]
    /// How often they are called before the next level is.
    public var attempts: Int
    /// Time from one attempt to the next, and from the last to the next level.
    public var intervalMilliseconds: Int64

    /// Makes a level; at least one attempt and one second between attempts.
    public init(name: String, persons: [String], attempts: Int, intervalMilliseconds: Int64) {
      self.name = name
      self.persons = persons
      self.attempts = max(1, attempts)
      self.intervalMilliseconds = max(1_000, intervalMilliseconds)
    }
  }

  /// The levels, lowest first.
  public var levels: [Level]
  /// How long after the confirmation to ask what was done; 0 never asks.
  public var feedbackAfterMilliseconds: Int64

  /// Makes a plan.
  ///
  /// - Precondition: there is a level.
  public init(levels: [Level], feedbackAfterMilliseconds: Int64 = 0) {
    precondition(!levels.isEmpty, "no level to call")
    self.levels = levels
    self.feedbackAfterMilliseconds = feedbackAfterMilliseconds
  }
}

/// What a call-out is about.
public struct CalloutSubject: Hashable, Sendable, Codable {
  /// Situation of the response file; empty for a call-out begun by hand.
  public var situation: String
  /// Path that its alarms share.
  public var place: String
  /// 1 blue … 4 red: that of its most urgent alarm.
  public var priority: Int
  /// Alarms and hazards, in the order in which they joined.
  public var subjects: [String]
  /// What is said, in both languages.
  public var text: CalloutDispatch.Text

  /// Makes a subject.
  public init(
    situation: String = "",
    place: String = "",
    priority: Int = 4,
    subjects: [String] = [],
    text: CalloutDispatch.Text = CalloutDispatch.Text(zh: "", en: "")
  ) {
    self.situation = situation
    self.place = place
    self.priority = priority
    self.subjects = subjects
    self.text = text
  }
}
