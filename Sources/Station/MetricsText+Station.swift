import Synchronization
import Telemetry

extension MetricsText {
  /// Writes the station's; `now` is in monotonic milliseconds.
  init(
    status: StationStatus,
    counters: StationCounters,
    exchange: Exchange,
    trends: TrendStore?,
    now: Int64
  ) {
    self.init()
    addIntake(status, counters)
    addRecords(status, counters, exchange)
    addAnnouncements(counters)
    addPublishing(counters, at: now)
    addReplies(counters, exchange)
    if let trends { addTrends(trends) }
  }

  private mutating func addIntake(_ status: StationStatus, _ counters: StationCounters) {
    counter("davy_ingest_messages_total", "Messages taken in.", status.messages)
    counter("davy_ingest_readings_total", "Readings evaluated.", status.readings)
    family(
      "davy_ingest_rejects_total",
      "Messages and readings refused, by reason; of unmappedStatus only their status is, the readings are taken.",
      .counter,
      by: "reason",
      counters.rejectCountsByReason.sorted { $0.key < $1.key }
    )
    flag(
      "davy_link_connected",
      "1 while the broker link stands.",
      counters.linkReport.state == "connected"
    )
    gauge(
      "davy_clock_behind_seconds",
      "By how much the server's clock is behind the newest receive time; time goes on a tenth slower until it is there.",
      counters.clockBehind.load(ordering: .relaxed) / 1_000
    )
    counter(
      "davy_clock_leaps_total",
      "Times that the server's clock has gone ahead by 10 s or more at once; points may have been told stale that did report.",
      counters.clockLeaps
    )
    if let last = status.lastMessage {
      moment(
        "davy_ingest_last_message_timestamp_seconds",
        "Receive time of the newest message.",
        milliseconds: last.milliseconds
      )
    }
  }

  /// Journal, ledger and snapshots.
  private mutating func addRecords(
    _ status: StationStatus,
    _ counters: StationCounters,
    _ exchange: Exchange
  ) {
    gauge(
      "davy_journal_sequence",
      "Newest durable journal sequence.",
      Int64(status.journalSequence)
    )
    flag(
      "davy_journal_fault",
      "1 while the journal does not take commits.",
      status.journalFault != nil
    )
    gauge(
      "davy_journal_damaged_segments",
      "Journal segments that could not be opened, read, continued or closed in order; `davy verify` names them.",
      Int64(status.damagedSegments)
    )
    counter(
      "davy_journal_commit_failures_total",
      "Journal commits that failed.",
      counters.journalFailures
    )
    gauge(
      "davy_ledger_position",
      "Journal sequence that the ledger stands at.",
      Int64(status.ledgerPosition)
    )
    gauge("davy_ledger_sequence", "The ledger's head.", status.ledgerHead)
    flag(
      "davy_ledger_fault",
      "1 while the ledger does not take commits.",
      status.ledgerFault != nil
    )
    counter(
      "davy_ledger_commit_failures_total",
      "Ledger commits that failed.",
      counters.ledgerFailures
    )
    gauge(
      "davy_ledger_waiting_entries",
      "Entries that wait for their commit.",
      Int64(exchange.waitingDrafts)
    )
    counter(
      "davy_snapshot_failures_total",
      "Engine snapshots that could not be written.",
      counters.snapshotFailures
    )
    counter(
      "davy_snapshots_before_trends_total",
      "Engine snapshots that waited for the trends in vain: a start from one may leave a hole in them.",
      counters.snapshotsBeforeTrends
    )
    counter(
      "davy_ledger_checkpoints_total",
      "Checkpoints of the ledger signed.",
      counters.checkpoints
    )
    counter(
      "davy_ledger_checkpoint_failures_total",
      "Checkpoints that could not be signed.",
      counters.checkpointFailures
    )
  }

  /// What goes to people and to whoever listens.
  private mutating func addAnnouncements(_ counters: StationCounters) {
    counter(
      "davy_alarm_published_total",
      "Alarm messages that the broker has taken.",
      counters.published
    )
    counter(
      "davy_alarm_unrecorded_total",
      "Alarm steps announced before they could be recorded.",
      counters.unrecorded
    )
    let announcer = counters.announcer.withLock { $0 }
    counter(
      "davy_alarm_unrecorded_dropped_total",
      "Unrecorded alarm steps for which the MQTT publisher had no room; they go out when recorded.",
      announcer.unrecordedDropped
    )
    counter(
      "davy_alarm_refused_total",
      "Alarm messages that the broker refused; recorded steps and what stands are sent again.",
      announcer.refused
    )
    counter(
      "davy_alarm_given_up_total",
      "Alarm messages that the broker will never take (topic, size), or of which too many were refused; the ledger has them.",
      announcer.givenUp
    )
    flag(
      "davy_alarm_refused",
      "1 while the broker refuses alarm messages.",
      announcer.refusal != nil
    )
    counter(
      "davy_alarm_announce_read_failures_total",
      "Reads of the ledger by the announcer that failed.",
      announcer.ledgerReads
    )
    counter(
      "davy_alarm_cursor_failures_total",
      "Times the announcement cursor could not be kept.",
      announcer.cursorWrites
    )
    counter(
      "davy_callout_dispatches_total",
      "Calls and messages to persons handed to their channels.",
      counters.dispatches
    )
    counter(
      "davy_callout_failed_total",
      "Calls and messages to persons that no channel has taken.",
      counters.failedDispatches
    )
  }

  /// Whether what is to go to the broker gets there.
  private mutating func addPublishing(_ counters: StationCounters, at now: Int64) {
    let links = counters.publishLinks.withLock { $0 }
    if !links.isEmpty {
      family(
        "davy_publish_connected",
        "1 while the broker link stands over which alarms, or answers and commands of desks, are sent.",
        .gauge,
        by: "link",
        links.sorted { $0.key < $1.key }
          .map { (key: $0.key, value: $0.value.isConnected ? 1 : 0) }
      )
    }
    let announcer = counters.announcer.withLock { $0 }
    gauge(
      "davy_alarm_waiting",
      "Ledger entries from the first on that is to go to the broker and is not there yet.",
      announcer.waiting
    )
    gauge(
      "davy_alarm_waiting_seconds",
      "For how long none of them has got there.",
      announcer.waitingSince.map { max(0, now - $0) / 1_000 } ?? 0
    )
  }

  /// What goes back to gateways and machines.
  private mutating func addReplies(_ counters: StationCounters, _ exchange: Exchange) {
    counter(
      "davy_reply_published_total",
      "Replies of formats (rebirth requests, HJ 212 answers) handed to the MQTT publisher.",
      counters.replies
    )
    counter(
      "davy_feedback_published_total",
      "Refusals told to gateways on their feedback topics.",
      counters.feedback
    )
    counter(
      "davy_feedback_held_back_total",
      "Refusals that the rate limit of the feedback topics kept from being told.",
      counters.feedbackHeldBack
    )
    counter(
      "davy_reply_dropped_total",
      "Replies and words to gateways that found no room.",
      counters.outgoingDropped.load(ordering: .relaxed) + exchange.outgoingDropped
    )
    let answers = counters.answers.withLock { $0 }
    counter("davy_answers_total", "Answers and commands of desks sent.", answers.sent)
    counter(
      "davy_answers_unrecorded_total",
      "Answers and commands sent before they could be recorded.",
      answers.unrecorded
    )
    counter(
      "davy_answers_dropped_total",
      "Answers and commands never sent because the broker took none.",
      answers.dropped
    )
  }

  private mutating func addTrends(_ trends: TrendStore) {
    counter("davy_trend_write_failures_total", "Writes of trends that failed.", trends.failures)
    counter(
      "davy_trend_dropped_total",
      "Minutes, and readings chosen for others, dropped because the trends could not be written for too long.",
      trends.dropped
    )
    gauge(
      "davy_trend_position",
      "Journal sequence up to which trends are written.",
      Int64(trends.writtenPosition)
    )
  }

  private mutating func counter(
    _ name: String,
    _ help: String,
    _ count: borrowing Atomic<UInt64>
  ) {
    counter(name, help, count.load(ordering: .relaxed))
  }
}
