import Station

extension UpwardRelay {
  /// Its figures for `/metrics`.
  public var metrics: String {
    let status = status
    var text = MetricsText()
    text.flag(
      "davy_relay_up_fault",
      "1 while nothing gets through to the station above.",
      status.fault != nil
    )
    text.gauge(
      "davy_relay_up_lag_entries",
      "Entries of the ledger that have not been passed on or over yet.",
      status.lag
    )
    text.gauge(
      "davy_relay_up_waiting_readings",
      "Readings that wait for the station above.",
      status.waitingReadings
    )
    text.counter(
      "davy_relay_up_entries_total",
      "Entries that the station above has taken.",
      status.entries
    )
    text.counter(
      "davy_relay_up_readings_total",
      "Readings that the station above has taken.",
      status.readings
    )
    text.counter(
      "davy_relay_up_duplicates_total",
      "Entries and readings that the station above had already.",
      status.duplicates
    )
    text.counter(
      "davy_relay_up_refused_total",
      "Entries and readings that the station above refused.",
      status.refused
    )
    text.counter(
      "davy_relay_up_failures_total",
      "Attempts that did not get through to the station above.",
      status.failures
    )
    text.counter(
      "davy_relay_up_dropped_total",
      "Readings that went because too many waited for the station above.",
      UInt64(clamping: status.droppedReadings)
    )
    if let heard = status.heard {
      text.moment(
        "davy_relay_up_heard_timestamp_seconds",
        "When the station above last answered.",
        milliseconds: heard
      )
    }
    return text.text
  }
}

extension RelayReceiver {
  /// Its figures for `/metrics`.
  public var metrics: String {
    let status = status
    var text = MetricsText()
    text.counter(
      "davy_relay_mqtt_batches_total",
      "Batches of stations below that came by the broker and were answered.",
      status.batches
    )
    text.counter(
      "davy_relay_mqtt_refused_total",
      "Batches that came by the broker and were refused for good.",
      status.refused
    )
    text.counter(
      "davy_relay_mqtt_held_total",
      "Times that a batch waited with the broker because the ledger did not take it yet.",
      status.held
    )
    text.counter(
      "davy_relay_mqtt_unanswered_total",
      "Answers to stations below that the broker did not take.",
      status.unanswered
    )
    text.counter(
      "davy_relay_mqtt_strange_total",
      "Messages on topics of the relay that name no station.",
      status.strange
    )
    text.flag(
      "davy_relay_mqtt_connected",
      "1 while stations below can pass on by the broker.",
      isConnected
    )
    return text.text
  }
}

extension Historian {
  /// Its figures for `/metrics`.
  public var metrics: String {
    let status = status
    var text = MetricsText()
    text.flag(
      "davy_historian_fault",
      "1 while nothing gets through to the historian.",
      status.fault != nil
    )
    text.gauge(
      "davy_historian_waiting",
      "Readings and minutes that wait for the historian.",
      status.waiting.readings + status.waiting.minutes
    )
    text.counter("davy_historian_lines_total", "Lines that the historian has taken.", status.lines)
    text.counter(
      "davy_historian_rejected_total",
      "Lines that the historian will never take.",
      status.rejected
    )
    text.counter(
      "davy_historian_failures_total",
      "Attempts that did not get through to the historian.",
      status.failures
    )
    text.counter(
      "davy_historian_dropped_total",
      "Readings and minutes that went because too many waited for the historian.",
      UInt64(clamping: status.waiting.dropped)
    )
    return text.text
  }
}
