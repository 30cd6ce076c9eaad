import AlarmEngine

extension MetricsText {
  private static var engineCounters:
    [(name: String, help: String, field: KeyPath<EngineCounters, UInt64>)]
  {
    [
      ("readings_late_total", "Readings older than their channel's newest.", \.late),
      (
        "readings_late_judged_total", "Late readings judged again within their window.",
        \.lateJudged
      ),
      (
        "readings_late_unjudged_total", "Late readings too late for what their point keeps.",
        \.lateUnjudged
      ),
      ("readings_duplicate_total", "Readings equal to their channel's newest.", \.duplicates),
      ("readings_historical_total", "Readings marked historical.", \.historical),
      ("readings_held_total", "Readings held back to be put in order.", \.reordered),
      ("readings_held_overflow_total", "Held readings let go early.", \.reorderOverflows),
      (
        "readings_without_value_total", "Readings whose status says there is no value.",
        \.withoutValue
      ),
      ("readings_recorded_only_total", "Readings from calibration or maintenance.", \.recordedOnly),
      ("readings_not_finite_total", "Readings that are no finite number.", \.notFinite),
      (
        "readings_time_refused_total", "Readings of years that are not believed.", \.timesOutOfRange
      ),
      (
        "window_evictions_total", "Readings that left a window meant to be whole, for it was full.",
        \.windowOverflows
      ),
      ("clock_faults_total", "Clock faults found.", \.clockFaults),
      ("clock_steps_total", "Clocks set within tolerance and followed.", \.clockSteps),
      ("revisions_total", "Decisions that late readings have changed.", \.revisions),
      ("alarm_raises_total", "Alarms raised.", \.raises),
      (
        "alarm_chattering_total", "Raises that were the third or later within a minute.",
        \.chattering
      ),
      ("alarm_fleeting_total", "Alarms that returned unacknowledged within a minute.", \.fleeting),
      ("alarm_held_back_total", "Conditions that ended before their on-delay.", \.heldBack),
      (
        "alarm_superseded_total", "Occurrences closed because too many waited for acknowledgement.",
        \.supersededOccurrences
      ),
    ]
  }

  /// Writes the engines'.
  init(_ report: EngineReport, inhibited: [InhibitedRule]) {
    self.init()
    for counter in Self.engineCounters {
      family(
        "davy_engine_\(counter.name)",
        counter.help,
        .counter,
        by: "lane",
        report.lanes.map { (key: $0.name, value: $0.counters[keyPath: counter.field]) }
      )
    }
    family(
      "davy_engine_clock_quarantined",
      "Devices judged by receive time.",
      .gauge,
      by: "lane",
      report.lanes.map { (key: $0.name, value: $0.quarantined) }
    )
    family(
      "davy_engine_rules_inhibited",
      "Rules that do not annunciate, by reason.",
      .gauge,
      by: "state",
      ["shelved", "suppressedByDesign", "outOfService"].map { state in
        (key: state, value: inhibited.count { $0.state == state })
      }
    )
  }
}
