import AlarmEngine
public import DeviceCatalog
import Foundation
import HazardLedger
public import Telemetry

/// An alarm's or a rule's name as text: `point path#rule id`, with `@onset` in milliseconds for one occurrence.
public struct AlarmName: Hashable, Sendable {
  /// Path of the point, `enterprise/site/…/point`.
  public var point: String
  /// The rule's id within the point.
  public var rule: String
  /// Which occurrence; nil means the rule as such, or the one that stands.
  public var onset: Timestamp?

  /// Makes a name.
  public init(point: String, rule: String, onset: Timestamp?) {
    self.point = point
    self.rule = rule
    self.onset = onset
  }

  /// Reads a name; nil when `text` is not one.
  public init?(_ text: String) {
    guard let hash = text.lastIndex(of: "#") else { return nil }
    point = String(text[..<hash])
    let rest = text[text.index(after: hash)...]
    if let at = rest.lastIndex(of: "@") {
      guard let milliseconds = Int64(rest[rest.index(after: at)...]) else { return nil }
      rule = String(rest[..<at])
      onset = Timestamp(milliseconds: milliseconds)
    } else {
      rule = String(rest)
      onset = nil
    }
    guard !point.isEmpty, !rule.isEmpty else { return nil }
  }

  /// The name as text.
  public var text: String {
    "\(point)#\(rule)" + (onset.map { "@\($0.milliseconds)" } ?? "")
  }
}

/// What a journalled operator act looks like: JSON, so that anybody can read the recording.
private struct ActPayload: Codable {
  var act: String
  var alarm: String
  var actor: String
  var reason: String
  var until: Int64?
}

extension OperatorAct {
  /// The act as the payload of a command record.
  func journalPayload() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(
      try encoder.encode(
        ActPayload(
          act: kind.rawValue,
          alarm: alarm,
          actor: actor,
          reason: reason,
          until: until?.milliseconds
        )
      )
    )
  }

  /// Reads the payload of a command record.
  init(journalPayload: [UInt8]) throws(ActError) {
    guard let payload = try? JSONDecoder().decode(ActPayload.self, from: Data(journalPayload))
    else {
      throw .incomplete("the command record is not readable")
    }
    guard let kind = Kind(rawValue: payload.act) else {
      throw .incomplete("unknown act '\(payload.act)'")
    }
    self.init(
      kind: kind,
      alarm: payload.alarm,
      actor: payload.actor,
      reason: payload.reason,
      until: payload.until.map(Timestamp.init(milliseconds:))
    )
  }

  /// The engine's form of the act; nil when something it needs is missing, and for a note, which is not for the engine.
  var command: Command.Act? {
    switch kind {
    case .acknowledge: .acknowledge
    case .reset: .reset
    case .shelve: until.map(Command.Act.shelve(until:))
    case .shelveOnce: .shelveOnce
    case .unshelve: .unshelve
    case .removeFromService: .removeFromService
    case .returnToService: .returnToService
    case .note: nil
    }
  }
}

/// A catalog as a journal record: its source files, so that a replay needs nothing but the journal.
struct CatalogRecord {
  private struct Payload: Codable {
    struct Source: Codable {
      var path: String
      var text: String
    }
    /// Not written by stations that had no levels.
    var level: Int?
    var sources: [Source]
  }

  let sources: [(path: String, text: String)]
  /// The rules that the desks go by from this record on, unless they have gone by later ones before.
  let level: RulesLevel

  init(sources: [(path: String, text: String)], level: RulesLevel = .newest) {
    self.sources = sources
    self.level = level
  }

  init(journalPayload: [UInt8]) throws {
    let payload = try JSONDecoder().decode(Payload.self, from: Data(journalPayload))
    sources = payload.sources.map { ($0.path, $0.text) }
    level = RulesLevel(journaled: payload.level ?? 0)
  }

  func journalPayload() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let payload = Payload(
      level: level == .first ? nil : level.rawValue,
      sources: sources.map { Payload.Source(path: $0.path, text: $0.text) }
    )
    return Array(try encoder.encode(payload))
  }

  /// Loads the catalog.
  ///
  /// - Throws: ``CatalogFault`` with every finding that keeps it from loading.
  func load() throws(CatalogFault) -> Catalog {
    let result = Catalog.load(sources: sources, isRecorded: true)
    guard let catalog = result.catalog else { throw CatalogFault(findings: result.findings) }
    return catalog
  }
}

/// A catalog that does not load.
public struct CatalogFault: Error, Sendable {
  /// All that is wrong with it.
  public var findings: [Finding]
}
