/// What the template of a message to a person may name, as `{{field}}`.
///
/// The service file's templates are held to these names when they are read, and the channel fills in every one of them
/// when it calls: neither can know a field that the other does not.
public enum NoticeField: String, CaseIterable, Sendable {
  /// Idempotency key, the same for every try.
  case id
  /// What the message is for: `callout`, `test` or `heartbeat`.
  case kind
  /// The person's name.
  case name
  /// The person's address on this channel.
  case address
  /// 1 blue … 4 red.
  case priority
  /// One line in Chinese.
  case title
  /// What to read out in Chinese.
  case text
  /// One line in English.
  case englishTitle = "title_en"
  /// What to read out in English.
  case englishText = "text_en"
  /// When the message was put together, milliseconds since the Unix epoch.
  case time
  /// The call-out; empty in tests and heartbeats.
  case callout
  /// Name of the chain's level; empty in tests and heartbeats.
  case level
  /// `call`, `feedback` or `notice`; of a test or heartbeat its kind.
  case purpose
  /// The channel's secret.
  case secret
}
