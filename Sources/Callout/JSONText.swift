import HazardLedger
import Telemetry

/// JSON in the making; canonical, so that what is signed is what is sent.
struct JSONText {
  private var value: JSONValue

  init(_ value: JSONValue) { self.value = value }

  var text: String { String(decoding: value.canonicalBytes(), as: UTF8.self) }

  /// A text as it stands inside a JSON string, without the quotes.
  static func escaped(_ text: String) -> String {
    String(JSONText(.string(text)).text.dropFirst().dropLast())
  }
}

extension Notice {
  /// The message as Davy's own receivers get it: webhook and MQTT.
  var json: JSONValue {
    .object([
      "schema": "davy-notice/1",
      "id": .string(id),
      "kind": .string(kind.rawValue),
      "priority": .integer(Int64(priority)),
      "time": .integer(time.milliseconds),
      "title": .object(["zh": .string(title.zh), "en": .string(title.en)]),
      "text": .object(["zh": .string(text.zh), "en": .string(text.en)]),
      "recipients": .array(
        recipients.map { .object(["name": .string($0.name), "address": .string($0.address)]) }
      ),
      "dispatches": .array(dispatches.map(\.json)),
    ])
  }
}

extension CalloutDispatch {
  fileprivate var json: JSONValue {
    .object([
      "id": .string(id), "callout": .string(callout), "number": .integer(Int64(number)),
      "purpose": .string(purpose.rawValue), "person": .string(contact.id),
      "name": .string(contact.name), "role": .string(contact.role),
      "situation": .string(situation), "level": .integer(Int64(level)),
      "levelName": .string(levelName), "attempt": .integer(Int64(attempt)),
      "inDoubt": .bool(inDoubt), "recorded": .bool(isRecorded),
      "priority": .integer(Int64(priority)), "time": .integer(time.milliseconds),
      "title": .object(["zh": .string(title.zh), "en": .string(title.en)]),
      "text": .object(["zh": .string(text.zh), "en": .string(text.en)]),
      "subjects": .array(subjects.map { .string($0) }),
    ])
  }
}
