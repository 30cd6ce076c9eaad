import HazardLedger
import Telemetry

/// Test messages and the daily word that a channel works.
extension Dispatcher {
  /// Sends a test message past the queue and answers what became of it; nil for a channel that there is none.
  public func test(_ name: String, by person: String) async -> DeliveryOutcome? {
    guard let setup = lines[name]?.setup else { return nil }
    let words = CalloutDispatch.Text(
      zh: "这是由 \(person) 发起的测试，无需处理。",
      en: "A test started by \(person). Nothing is to be done."
    )
    return await pass(
      Notice(
        id: "test/\(name)/\(now.milliseconds)",
        kind: .test,
        recipients: setup.operators,
        title: CalloutDispatch.Text(zh: "叫应通道测试", en: "Call-out channel test"),
        text: words,
        time: now
      ),
      setup
    )
  }

  private func pass(_ notice: Notice, _ setup: ChannelSetup) async -> DeliveryOutcome {
    guard setup.channel.isShared || !setup.operators.isEmpty else {
      return .refused("the channel has no operators: to whom the message goes")
    }
    guard lines[setup.name]?.queue.pass(at: now) == true else {
      return .unavailable("the channel's rate is used up; try again in a minute", retryAfter: nil)
    }
    // Each of them, where the channel reaches one at a time; the first failure speaks for all.
    let recipients = setup.channel.isShared ? [notice.recipients] : notice.recipients.map { [$0] }
    var outcome = DeliveryOutcome.delivered("")
    for some in recipients {
      var one = notice
      one.recipients = some
      let answer = await setup.channel.send(one)
      note(one, answer, on: setup.name)
      if case .delivered = outcome { outcome = answer }
    }
    return outcome
  }

  func beat(_ name: String, _ generation: Int) async {
    guard let setup = lines[name]?.setup, let minute = setup.heartbeatMinute else { return }
    while !Task.isCancelled, lines[name]?.generation == generation {
      let due = book.nextHeartbeat(name, minute: minute)
      if due <= now {
        let notice = Notice(
          id: "heartbeat/\(name)/\(due.milliseconds)",
          kind: .heartbeat,
          recipients: setup.operators,
          title: CalloutDispatch.Text(zh: "叫应通道每日心跳", en: "Daily call-out heartbeat"),
          text: CalloutDispatch.Text(
            zh: "通道“\(name)”工作正常。若某日未收到本消息，请检查。",
            en: "Channel \(name) works. A day without this message is a fault."
          ),
          time: now
        )
        if case .delivered = await pass(notice, setup) {
          book.beat(name, at: now)
          saveBook()
        }
      }
      // A clock that was set, and a heartbeat that failed, are looked at again within the minute.
      try? await Task.sleep(
        for: .milliseconds(min(max(due.milliseconds - now.milliseconds, 30_000), 60_000))
      )
    }
  }
}
