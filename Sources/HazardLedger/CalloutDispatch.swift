public import Telemetry

/// One call, message or question that the station wants brought to one person.
///
/// It stands in the ledger before anybody acts on it. Whoever delivers it uses ``id`` as idempotency key
/// and says what became of it with a ``CalloutReport``; without a word the call-out repeats and escalates by itself.
public struct CalloutDispatch: Hashable, Sendable, Codable {
  /// What the person is to do with it.
  public enum Purpose: String, CaseIterable, Hashable, Sendable, Codable {
    /// 叫应: to confirm in person.
    case call
    /// 跟踪反馈: to say what was done.
    case feedback
    /// 提醒: to know.
    case notice
  }

  /// Whom it is for.
  public struct Contact: Hashable, Sendable, Codable {
    /// Id in the people of the response file, or `enterprise/key` for people of a site file.
    public var id: String
    /// Name.
    public var name: String
    /// Office held.
    public var role: String
    /// Channel name → address there: a telephone number, a mail address, a robot's member id.
    ///
    /// `phone` is filled from the person's telephone.
    public var addresses: [String: String]

    /// Makes a contact.
    public init(id: String, name: String, role: String = "", addresses: [String: String] = [:]) {
      self.id = id
      self.name = name
      self.role = role
      self.addresses = addresses
    }
  }

  /// A text in both languages.
  public struct Text: Hashable, Sendable, Codable {
    /// Chinese.
    public var zh: String
    /// English.
    public var en: String

    /// Makes a text.
    public init(zh: String, en: String) {
      self.zh = zh
      self.en = en
    }
  }

  /// Identity, the same in every replay: `callout id` + `#` + number of the call within it; of a notice, `notice id` + `#` +
  /// number of the person + `.` + number of the try.
  public var id: String
  /// The call-out that it is part of; a notice's own subject otherwise.
  public var callout: String
  /// Number of the call within its call-out, from 1.
  public var number: Int
  /// What the person is to do.
  public var purpose: Purpose
  /// Whom it is for.
  public var contact: Contact
  /// Channels to use, by name, all of them; empty: every channel that the contact has an address for.
  public var channels: [String]
  /// Situation of the response file that called for it.
  public var situation: String
  /// Level of the chain, from 0.
  public var level: Int
  /// Name of the level.
  public var levelName: String
  /// Attempt within the level, from 1.
  public var attempt: Int
  /// True when it may have been delivered before: its outcome was lost in a restart.
  public var inDoubt: Bool
  /// 1 blue … 4 red.
  public var priority: Int
  /// One line.
  public var title: Text
  /// What to read out or show.
  public var text: Text
  /// Alarms and hazards that it is about.
  public var subjects: [String]
  /// Path that messages on one channel may be grouped by.
  public var group: String
  /// When it was decided.
  public var time: Timestamp
  /// False when it goes out before the ledger has confirmed its entry, because the disk is slow or dead: a call is
  /// not silenced by a disk.
  public var isRecorded = true

  /// Makes a dispatch.
  public init(
    id: String,
    callout: String,
    number: Int,
    purpose: Purpose,
    contact: Contact,
    channels: [String] = [],
    situation: String = "",
    level: Int = 0,
    levelName: String = "",
    attempt: Int = 1,
    inDoubt: Bool = false,
    priority: Int = 4,
    title: Text,
    text: Text,
    subjects: [String] = [],
    group: String = "",
    time: Timestamp
  ) {
    self.id = id
    self.callout = callout
    self.number = number
    self.purpose = purpose
    self.contact = contact
    self.channels = channels
    self.situation = situation
    self.level = level
    self.levelName = levelName
    self.attempt = attempt
    self.inDoubt = inDoubt
    self.priority = priority
    self.title = title
    self.text = text
    self.subjects = subjects
    self.group = group
    self.time = time
  }
}

/// What comes back from outside on a dispatch or call-out; it becomes an input like a reading.
public enum CalloutReport: Hashable, Sendable {
  /// A channel has taken the dispatch.
  case delivered(dispatch: String, channel: String, detail: String)
  /// No channel has taken the dispatch; dead-lettered.
  case failed(dispatch: String, channel: String, detail: String)
  /// The person has confirmed through a channel (a key pressed, a link opened).
  case confirmed(callout: String, person: String, channel: String)
  /// The person has told through a channel what was done.
  case feedback(callout: String, person: String, channel: String, text: String)
}

/// Takes dispatches whose ledger entries are durable.
public protocol CalloutDispatcher: Sendable {
  /// Takes them over; returns at once, does its work elsewhere and has limits of its own.
  func deliver(_ dispatches: [CalloutDispatch])
}
