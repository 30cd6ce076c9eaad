import AlarmEngine
import DeviceCatalog
import Foundation
import PayloadDecoding
import Telemetry
import Testing

/// One row of the recording: a minute with up to eight sensors.
private struct Minute {
  var time: Int64
  var text: String
  var values: [(device: String, value: Double)]
}

private func recording() throws -> [Minute] {
  let text = try String(
    contentsOfFile: "\(repository)/Tests/Recordings/methane-site/ch4.csv",
    encoding: .utf8
  )
  let lines = text.split(whereSeparator: \.isNewline)
  let names = try #require(lines.first).split(separator: ",").map(String.init)
  let format = ISO8601DateFormatter()
  return try lines.dropFirst().map { line in
    let cells = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let date = try #require(format.date(from: cells[0]))
    let values = zip(names, cells).compactMap { name, cell in
      name.hasPrefix("ch4_") ? Double(cell).map { (device: name, value: $0) } : nil
    }
    return Minute(
      time: Int64(date.timeIntervalSince1970 * 1000),
      text: cells[0],
      values: values
    )
  }
}

private func releases() throws -> [ClosedRange<Int64>] {
  let text = try String(
    contentsOfFile: "\(repository)/Tests/Recordings/methane-site/releases.csv",
    encoding: .utf8
  )
  let format = ISO8601DateFormatter()
  return try text.split(whereSeparator: \.isNewline).dropFirst().map { line in
    let cells = line.split(separator: ",").map(String.init)
    let start = try #require(format.date(from: cells[1])).timeIntervalSince1970
    let end = try #require(format.date(from: cells[2])).timeIntervalSince1970
    return Int64(start * 1000)...Int64(end * 1000)
  }
}

@Suite("the demonstration on recorded data")
struct MethaneDemoTests {
  @Test("a week of real methane raises the alarms that its limits say, in every release")
  func week() throws {
    let result = Catalog.load(
      devices: "\(repository)/devices",
      site: ["\(repository)/config/sites/methane-demo.yaml"]
    )
    let catalog = try #require(result.catalog, "\(result.findings)")
    var decoder = PayloadDecoding.Decoder(plan: catalog.decodingPlan)
    var engine = try Engine(plan: catalog.enginePlan)
    var transitions: [Transition] = []
    var notes: [DecodingNote] = []
    var batch = ReadingBatch()
    let topic = Array("davy/v1/metec/gw-1/readings".utf8)

    // What must come, from nothing but the values and the limits 5 (back below 4) and 20 (below 18).
    var standing: Set<String> = []
    var expected: [String] = []
    for (index, minute) in try recording().enumerated() {
      let readings = minute.values.map {
        "{\"device\":\"\($0.device)\",\"point\":\"ch4\",\"t\":\"\(minute.text)\",\"v\":\($0.value)}"
      }
      let received = Timestamp(milliseconds: minute.time)
      batch.reset(received: received, baseSequence: UInt64(index + 1))
      decoder.decode(
        topic: topic,
        payload: Array("[\(readings.joined(separator: ","))]".utf8),
        sequence: UInt64(index + 1),
        received: received,
        into: &batch,
        notes: &notes
      )
      engine.apply(batch, into: &transitions)
      for (device, value) in minute.values {
        for (rule, limit, restore) in [("H", 5.0, 4.0), ("HH", 20, 18)] {
          let name = "\(device) \(rule)"
          if value >= limit, standing.insert(name).inserted {
            expected.append("\(minute.time) \(name)")
          } else if value < restore {
            standing.remove(name)
          }
        }
      }
    }
    #expect(notes.isEmpty, "\(notes.prefix(3))")

    let raised = transitions.filter { $0.kind == .raised }
    let limits = raised.filter {
      ["H", "HH"].contains(catalog.rules[Int($0.rule.rawValue)].id)
    }
    let found = limits.map { transition in
      let rule = catalog.rules[Int(transition.rule.rawValue)]
      return
        "\(transition.time.milliseconds) \(catalog.channels[Int(rule.channel)].device) \(rule.id)"
    }
    #expect(found.sorted() == expected.sorted())
    #expect(expected.count == 579 + 104)
    let detected = try releases().filter { release in
      limits.contains { release.contains($0.time.milliseconds) }
    }
    #expect(detected.count == 17)

    // The south-east sensor was silent for over three hours; nobody else for 15 minutes.
    let stale = raised.filter { catalog.rules[Int($0.rule.rawValue)].id == "stale" }.map {
      catalog.channels[Int($0.channel.rawValue)].device
    }
    #expect(Set(stale) == ["ch4_se"])
  }
}
