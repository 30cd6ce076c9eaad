import Callout
import DeviceCatalog
import Foundation
import HTTPTestSupport
import GRDB
import HazardLedger
import Journal
import Relay
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// A server that answers as InfluxDB does, and keeps what it takes: one value a series and time.
final class FakeInflux: Sendable {
  struct State {
    var points: [String: String] = [:]
    var lines = 0
    var queries: Set<String> = []
    var authorizations: Set<String> = []
    var statuses: [Int] = []
    /// What to answer before anything else.
    var script: [ServerAnswer] = []
    var most = Int.max
  }

  let state = Mutex(State())

  func answer(_ seen: SeenRequest) -> ServerAnswer {
    state.withLock { state in
      state.queries.insert(seen.query)
      state.authorizations.insert(seen.headers["authorization"] ?? "")
      var reply = ServerAnswer(status: 204)
      let lines = seen.body.split(separator: "\n").map(String.init)
      if !state.script.isEmpty {
        reply = state.script.removeFirst()
      } else if lines.count > state.most {
        reply = ServerAnswer(status: 413, body: #"{"code":"request too large"}"#)
      } else {
        // A partial write: what is good of the request is kept, the rest is told of.
        var bad = 0
        for line in lines {
          if line.contains("T-bad") {
            bad += 1
            continue
          }
          let parts = line.split(separator: " ")
          state.points["\(parts[0]) \(parts[parts.count - 1])"] = line
          state.lines += 1
        }
        if bad > 0 {
          reply = ServerAnswer(
            status: 400,
            body: #"{"code":"invalid","message":"partial write: dropped=\#(bad)"}"#
          )
        }
      }
      state.statuses.append(reply.status)
      return reply
    }
  }
}

@Suite("Historian") struct HistorianTests {
  /// Trends with readings that wait, put there as the trend thread does.
  private static func trends(_ scratch: Scratch, points: [String], each: Int) throws -> TrendStore {
    let all = try #require(PointPattern("#"))
    let outlet = ReadingOutlet(
      name: "historian",
      readings: [ReadingOutlet.Rule(points: all)],
      minutes: [all]
    )
    let trends = try TrendStore(path: scratch.file("trends.sqlite"), outlets: [outlet])
    let queue = try DatabaseQueue(path: scratch.file("trends.sqlite"))
    try queue.write { db in
      var number = 0
      for step in 0..<each {
        for point in points {
          number += 1
          let time = 1_760_000_000_000 + step * 1_000
          try db.execute(
            sql: "INSERT INTO outgoing VALUES ('historian', ?, ?, '%', ?, ?, 0)",
            arguments: [number, point, time, Double(step) + 0.5]
          )
        }
      }
      try db.execute(sql: "UPDATE outlet SET last = ?", arguments: [number])
    }
    try queue.close()
    return trends
  }

  private static func historian(
    _ url: String,
    _ trends: TrendStore,
    _ sender: HTTPSender,
    batch: Int = 100,
    rejects: String? = nil
  ) -> Historian {
    var options = Historian.Options(url: url, access: .none, batch: batch, rejects: rejects)
    options.firstPause = .milliseconds(1)
    options.longestPause = .milliseconds(10)
    return Historian(
      options: options,
      station: "county",
      trends: trends,
      unit: { _ in "%LEL" },
      sender: sender,
      clock: { 1_760_000_999_000 },
      logger: quiet
    )
  }

  private static func run(
    _ historian: Historian,
    until isDone: @escaping @Sendable (Historian.Status) -> Bool
  ) async throws {
    let task = Task { await historian.run() }
    defer { task.cancel() }
    try await RelayTests.until({ isDone(historian.status) }, comment: "\(historian.status)")
  }

  @Test("busy, limited, away, too large: everything is there once in the end")
  func troubles() async throws {
    let scratch = try Scratch()
    let trends = try Self.trends(
      scratch,
      points: ["acme/p/a/T-1/level", "acme/p/a/T-2/level"],
      each: 500
    )
    let influx = FakeInflux()
    influx.state.withLock { state in
      state.most = 40
      state.script = [
        ServerAnswer(status: 503), ServerAnswer(status: 429, headers: ["Retry-After": "1"]),
        ServerAnswer(status: 500),
        ServerAnswer(status: 204), ServerAnswer(status: 401),
      ]
    }
    // The fourth answer says that it has what it does not keep: those lines are lost there and not here.
    let begin = ContinuousClock.now
    try await withSender { sender in
      try await withServer {
        influx.answer($0)
      } _: { address in
        let historian = Self.historian("\(address)/api/v2/write?org=o&bucket=b", trends, sender)
        try await Self.run(historian) {
          $0.lines >= 1_000 && (try? trends.waiting(for: "historian").readings) == 0
        }
        #expect(historian.status.rejected == 0)
        #expect(historian.status.failures == 4, "\(historian.status)")
      }
    }
    #expect(ContinuousClock.now - begin >= .seconds(1), "Retry-After is kept")
    influx.state.withLock { state in
      #expect(state.points.count == 900, "\(state.points.count)")
      #expect(state.queries == ["org=o&bucket=b&precision=ms"])
      #expect(state.statuses.contains(413))
    }
    #expect(try trends.waiting(for: "historian").readings == 0)
  }

  @Test("a line that it never takes is put aside and holds up nothing")
  func poison() async throws {
    let scratch = try Scratch()
    let trends = try Self.trends(
      scratch,
      points: ["acme/p/a/T-1/level", "acme/p/a/T-bad/level", "acme/p/a/T-2/level"],
      each: 30
    )
    let influx = FakeInflux()
    let kept = scratch.file("refused.lp")
    try await withSender { sender in
      try await withServer {
        influx.answer($0)
      } _: { address in
        let historian = Self.historian("\(address)/write?db=davy", trends, sender, rejects: kept)
        try await Self.run(historian) {
          // What is put aside is confirmed after it is counted.
          $0.lines >= 60 && $0.rejected == 30
            && (try? trends.waiting(for: "historian").readings) == 0
        }
      }
    }
    #expect(influx.state.withLock { $0.points.count } == 60)
    let lines = try String(contentsOfFile: kept, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 30 && lines.allSatisfy { $0.contains("device=T-bad") })
    #expect(try trends.waiting(for: "historian").readings == 0)
  }

  @Test("an address at which nothing is ever taken rejects no line: it waits and says so")
  func wrongAddress() async throws {
    let scratch = try Scratch()
    let trends = try Self.trends(scratch, points: ["acme/p/a/T-bad/level"], each: 200)
    let influx = FakeInflux()
    try await withSender { sender in
      try await withServer {
        influx.answer($0)
      } _: { address in
        let historian = Self.historian("\(address)/write?db=none", trends, sender)
        try await Self.run(historian) { $0.failures >= 3 }
        #expect(historian.status.rejected == 0)
        #expect(historian.status.fault?.contains("takes none") ?? false)
      }
    }
    #expect(try trends.waiting(for: "historian").readings == 200)
  }

  @Test("lines as the line protocol wants them")
  func lines() {
    var lines = LineProtocol(station: "county 1,a=b")
    func reading(_ point: String, _ unit: String, _ value: Double?) -> RelayBatch.Reading {
      RelayBatch.Reading(
        number: 1,
        point: point,
        unit: unit,
        time: Timestamp(milliseconds: 1_760_000_000_123),
        value: value,
        status: value == nil ? .sensorFault : .normal
      )
    }
    let head = #"davy_reading,station=county\ 1\,a\=b,"#
    #expect(
      lines.line(reading("acme/plant/tanks/T-1/level", "%", 1.5))
        == head
        + #"enterprise=acme,site=plant,area=tanks,device=T-1,point=level,unit=% value=1.5,status="normal" 1760000000123"#
    )
    // What has no value has a status all the same.
    #expect(
      lines.line(reading("acme/plant/tanks/T-1/level", "%", nil)).hasSuffix(
        #" status="sensorFault" 1760000000123"#
      )
    )
    #expect(
      lines.line(reading("甲/a b/c,d/e=f/g\\", "m³/h\n", 1e-7))
        == head
        + #"enterprise=甲,site=a\ b,area=c\,d,device=e\=f,point=g_,unit=m³/h\  value=1e-07,status="normal" 1760000000123"#
    )
    #expect(lines.line(reading("a/p", "", .nan)).hasPrefix(head + #"enterprise=a,point=p status="#))
    #expect(LineProtocol.quoted(#"a"b\c"#) == #""a\"b\\c""#)
    var minute = MinuteReduction(time: 1_760_000_040_500, value: 2)
    minute.merge(MinuteReduction(time: 1_760_000_050_000, value: 4))
    #expect(
      lines.line(minute, point: "a/s/r/d/p", unit: "%LEL")
        == "davy_minute" + head.dropFirst("davy_reading".count)
        + "enterprise=a,site=s,area=r,device=d,point=p,unit=%LEL count=2i,mean=3.0,minimum=2.0,"
        + "maximum=4.0,maximum_time=1760000050000i,first=2.0,last=4.0 1760000040000"
    )
  }
}
