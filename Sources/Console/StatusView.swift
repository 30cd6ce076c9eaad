import Station
import Telemetry

extension StationStatus {
  /// Whether the station takes readings in and records what it finds.
  var isReady: Bool {
    link == "connected" && journalFault == nil && ledgerFault == nil
  }

  /// Writes the status as a JSON object.
  func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.member("link", link)
      writer.member("linkReason", linkReason)
      writer.member("journalSequence", journalSequence)
      writer.member("ledgerPosition", ledgerPosition)
      writer.member("ledgerHead", ledgerHead)
      writer.member("journalFault", journalFault)
      writer.member("ledgerFault", ledgerFault)
      writer.member("lastMessage", lastMessage?.milliseconds)
      writer.member("messages", messages)
      writer.member("readings", readings)
      writer.member("rejects", rejects)
      writer.member("started", started.milliseconds)
      writer.member("catalogVersion", catalogVersion)
      writer.member("damagedSegments", damagedSegments)
    }
  }
}
