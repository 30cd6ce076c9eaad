import AlarmEngine
public import HazardLedger
import Telemetry

extension LedgerEntry {
  /// The supervisors' scopes in whose streams the summary of their flood stands for the alarm's step: `enterprise:id`, then
  /// `area:code` from narrow to wide.
  ///
  /// None for a step of the highest priority: no summary stands for that.
  public var floods: [String] {
    guard kind == .alarm, let body, Self.contains(body, #""flood":"#) else { return [] }
    do throws(BodyError) {
      let step = try AlarmBody(decoding: body)
      guard step.priority < Int(AlarmPriority.red.rawValue) else { return [] }
      return step.flood?.split(separator: " ").map(String.init) ?? []
    } catch {
      // What cannot be read is shown: an alarm too many is better than one too few.
      return []
    }
  }

  /// The enterprise's scope was in flood when the step was taken: every stream shows the summary instead (``floods``).
  ///
  /// A flood of the area alone withholds nothing from the enterprise's own people; only its supervisors are shown the
  /// summary in place of the step.
  public var isSummarised: Bool { floods.contains { $0.hasPrefix("enterprise:") } }

  /// The supervisor's scope whose flood this entry tells of (begin, summary, end); nil for every other entry.
  public var floodScope: String? {
    guard kind == .system, subject.hasPrefix("enterprise:") || subject.hasPrefix("area:"),
      let body, Self.contains(body, #""event":"flood."#)
    else { return nil }
    return subject
  }

  private static func contains(_ body: [UInt8], _ text: String) -> Bool {
    let pattern = Array(text.utf8)
    guard body.count >= pattern.count else { return false }
    return (0...(body.count - pattern.count)).contains { start in
      body[start] == pattern[0] && body[start..<(start + pattern.count)].elementsEqual(pattern)
    }
  }
}

/// A flood's begin, summary or end as it goes out by MQTT: `davy/v1/floods/enterprise/<id>` or `…/area/<code>`.
package struct FloodMessage {
  package var topic: String
  /// The entry's body with its ledger `sequence` and `hash`.
  package var payload: [UInt8]

  /// The message for a ledger entry; nil when it tells of no flood, or has been redacted.
  package init?(entry: LedgerEntry) {
    guard let scope = entry.floodScope, let body = entry.body,
      let value = try? JSONValue(parsing: body), var members = value.members
    else { return nil }
    members["sequence"] = .integer(entry.sequence)
    members["hash"] = .string(entry.hash.hex)
    members["time"] = .integer(entry.time.milliseconds)
    topic =
      "davy/v1/floods/"
      + scope.replacing(":", with: "/", maxReplacements: 1).filter { $0 != "+" && $0 != "#" }
    payload = JSONValue.object(members).canonicalBytes()
  }
}
