import HazardLedger
import Station
import Telemetry

extension LedgerEntry {
  /// Whether the entry is a step of an alarm whose body is still kept.
  var isAlarmStep: Bool { kind == .alarm && body != nil }

  /// Where a stream that has told the entry goes on.
  var place: StreamPlace { StreamPlace(sequence: sequence, hash: hash) }

  /// The entry as JSON; its body is embedded as it stands in the ledger.
  var json: [UInt8] { JSONWriter.object(write) }

  /// Writes the entry's members.
  func write(to writer: inout JSONWriter) {
    writer.member("sequence", sequence)
    writer.member("time", time.milliseconds)
    writer.member("kind", kind.rawValue)
    writer.member("subject", subject)
    writer.member("actor", actor)
    writer.member("origin", origin)
    writer.member("previousHash", previousHash.hex)
    writer.member("hash", hash.hex)
    writer.key("body")
    if let body { writer.raw(body) } else { writer.null() }
  }
}

extension AlarmView {
  /// Writes the alarm's members.
  func write(to writer: inout JSONWriter) {
    writer.member("alarm", id)
    writer.member("point", point)
    writer.member("rule", rule)
    writer.member("onset", onset.milliseconds)
    writer.member("state", state.rawValue)
    writer.member("priority", priority)
    writer.member("firstSequence", firstSequence)
    writer.member("sequence", last.sequence)
    writer.member("time", last.time.milliseconds)
    writer.member("raised", raised?.time.milliseconds)
    writer.member("acknowledged", acknowledged?.time.milliseconds)
    writer.member("returned", returned?.time.milliseconds)
    writer.member("reset", reset?.time.milliseconds)
    writer.member("acknowledgedBy", acknowledgedBy)
    writer.member("acknowledgedReason", acknowledgedReason)
    writer.member("actor", actor)
    writer.member("reason", reason)
    writer.member("until", shelvedUntil?.milliseconds)
    writer.member("value", value)
    writer.member("limit", limit)
    writer.member("unit", unit)
    writer.member("catalog", catalog)
    writer.member("steps", steps)
    writer.member("revisions", revisions)
  }
}

/// The standing alarms and the ledger sequence that they are complete to.
struct StandingAlarms: Sendable {
  /// Every entry up to here is in `alarms`.
  var place: StreamPlace
  /// Every alarm that is not normal, oldest first.
  ///
  /// While alarms are being written, single ones may already show a step after `head`; each tells
  /// by its own sequence, so a client that skips steps it has seen stays exact.
  var alarms: [AlarmView]

  /// Reads both, and again if something was written in between.
  init(_ ledger: ScopedLedger) throws {
    var before = try ledger.newest
    alarms = try ledger.standingAlarms()
    for _ in 0..<3 {
      let after = try ledger.newest
      if after == before { break }
      before = after
      alarms = try ledger.standingAlarms()
    }
    place = StreamPlace(sequence: before.sequence, hash: before.hash)
  }

  var json: [UInt8] { JSONWriter.object(write) }

  /// Writes both.
  func write(to writer: inout JSONWriter) {
    writer.member("head", place.sequence)
    writer.key("alarms")
    writer.array(alarms) { writer, alarm in
      writer.object(alarm.write)
    }
  }
}

extension UnrecordedAnnouncement {
  /// Whose it is; nobody's when its body cannot be read, and then only unlimited scopes are told.
  var enterprise: String {
    guard let body = try? AlarmBody(decoding: body) else { return "" }
    return LedgerScope.enterprise(ofPath: body.point)
  }

  /// Writes the announcement's members.
  func write(to writer: inout JSONWriter) {
    writer.member("number", number)
    writer.key("body")
    writer.raw(body)
  }
}
