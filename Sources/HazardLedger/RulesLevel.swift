/// Which rules the machines of the ledger go by.
///
/// A journal is replayed by the rules that were in force when it was written: a newer release that did otherwise would
/// give its state steps that the ledger does not have. So rules that write other entries than those before get a level
/// of their own, and a catalog record of the journal raises it, see `docs/ledger.md`.
public enum RulesLevel: Int, CaseIterable, Hashable, Comparable, Sendable, Codable {
  /// Those of the first release: what clocks tell stays in the ledger, permits and certificates have none, duty is looked
  /// up once for a call-out, whose levels with nobody on duty are left out, and the word on the question what was done
  /// changes nothing.
  case first
  /// Clocks and overdue hazards are told to persons; a level with nobody on duty is looked up anew when its turn comes;
  /// the question what was done is asked until a channel takes it.
  case notices
  /// Areas above and below the county have floods, and what the levels before had wrong.
  ///
  /// - Floods: found in cities, provinces, townships and villages too, not only in the area that an enterprise's code names. A
  ///   flood names the rules of the highest priority first, not those of most alarms.
  /// - Readings: what comes retained and without a time counts as bad news only; the readings of a message are judged in the
  ///   order of their times; what of them comes with a status that no table explains is one entry for each device and code.
  ///   What a source reports of itself by a reading's status is an alarm, also without a number. A clock that begins at 1970
  ///   is found as any wrong one.
  /// - Alarms: the raise of a group's says what it was raised on (``AlarmBody/Evidence``). Nothing is shelved or taken out of
  ///   service by the name of an earlier occurrence while another stands. A rule that was set aside without an alarm is in force
  ///   again in the ledger too when an alarm has come meanwhile. An alarm quiets its consequences while its condition
  ///   stands, no longer until it is acknowledged, nor while it is only set aside.
  /// - Hazards: every rule behind a finished one may propose another. An alarm that comes under a policy by a rise of its priority
  ///   becomes one when it stands too long. A site where a check is finished can be set to check again.
  /// - Catalogs: no limit that one brings is held against a value that was stale when it came, and points that it brings are
  ///   waited for from then on. Alarms that wait for a call by a situation that it no longer has are called out by those that
  ///   fit them.
  /// - Times: retention runs once for days that a clock has leapt over. While what waited at the broker comes in, neither acts nor
  ///   catalogs let a deadline fire. Behind records that the journal has lost, nothing gets a number that one of them may have given.
  case areas

  /// Those of this release.
  public static let newest = RulesLevel.areas

  /// The level of a journal record; one of a later release goes by the newest rules known here.
  public init(journaled level: Int) {
    self = RulesLevel(rawValue: level) ?? (level > 0 ? .newest : .first)
  }

  /// In the order in which they came.
  public static func < (left: RulesLevel, right: RulesLevel) -> Bool {
    left.rawValue < right.rawValue
  }
}
