import Console
import DeviceCatalog
import HazardLedger
import NIOCore
import Station
import Synchronization
import Telemetry
import Testing

@Suite("Alarm stream") struct StreamTests {
  @Test("gives the standing alarms at the head, then every alarm entry with its place as id")
  func snapshotThenSteps() async throws {
    let station = try FakeStation()
    let standing = station.raise(onset: 1)
    station.note()
    try await withConsole(station) { port in
      let events = Collector()
      let head = try await EventStreamClient(port: port).read("/api/v1/alarms/stream") { event in
        let count = events.add(event)
        if event.name == "snapshot" {
          station.note()
          station.raise(onset: 2)
          station.raise(onset: 3)
        }
        return count("alarm") == 2
      }
      #expect(head.status == 200)
      #expect(head.lines.contains("Content-Type: text/event-stream; charset=utf-8"))
      let snapshot = try #require(events.all.first { $0.name == "snapshot" })
      #expect(snapshot.sequence == 2)
      #expect(snapshot.data.contains("\"head\":2"))
      #expect(snapshot.data.contains("\"alarm\":\"\(standing)\""))
      #expect(events.all.filter { $0.name == "alarm" }.map(\.sequence) == [4, 5])
    }
  }

  @Test("1,000 dropped and resumed streams: no gap, no repeat")
  func resume() async throws {
    let station = try FakeStation()
    station.raise(onset: 1)
    let total: Int64 = 4_000
    try await withConsole(station) { port in
      // What any reader takes, so that the writer keeps with the foremost: streams are dropped and resumed amid news.
      let (progress, taking) = AsyncStream.makeStream(of: Int64.self)
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask {
          var foremost: Int64 = 1
          var steps = progress.makeAsyncIterator()
          for onset in 2...total {
            // Every third entry is no alarm's, so that ids have holes a client must not take for gaps.
            if onset % 3 == 0 { station.note() } else { station.raise(onset: onset) }
            while foremost < onset - 100, let step = await steps.next() {
              foremost = max(foremost, step)
            }
          }
        }
        tasks.addTask {
          // Also when they fail: the writer waits for them.
          defer { taking.finish() }
          try await Self.dropAndResume(readers: 20, port: port, total: total, taking)
        }
        try await tasks.waitForAll()
      }
    }
  }

  private static func dropAndResume(
    readers: Int,
    port: Int,
    total: Int64,
    _ taking: AsyncStream<Int64>.Continuation
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      for reader in 0..<readers {
        tasks.addTask {
          let client = EventStreamClient(port: port)
          var random = SplitMix(seed: UInt64(reader))
          let seen = Mutex<[Int64]>([])
          let cursor = Mutex<String>("0")
          for drop in 0..<50 {
            let isLast = drop == 49
            let wanted = isLast ? Int.max : 1 + Int(random.next() % 60)
            let taken = Mutex(0)
            let resume = cursor.withLock { $0 }
            // Both ways of resuming, by the header of a browser and by the parameter.
            let useHeader = random.next() % 2 == 0
            _ = try await client.read(
              "/api/v1/alarms/stream" + (useHeader ? "?since=0" : "?since=\(resume)"),
              headers: useHeader ? ["Last-Event-ID: \(resume)"] : []
            ) { event in
              if let id = event.id { cursor.withLock { $0 = id } }
              if event.name == "alarm", let id = event.sequence {
                seen.withLock { $0.append(id) }
                taken.withLock { $0 += 1 }
                taking.yield(id)
                if isLast, id >= total - 1 { return true }
              }
              return taken.withLock { $0 } >= wanted
                || (drop % 7 == 3 && event.name == "heartbeat")
            }
          }
          let expected = (1...total).filter { $0 % 3 != 0 || $0 == 1 }
          #expect(seen.withLock { $0 } == expected, "reader \(reader)")
        }
      }
      try await tasks.waitForAll()
    }
  }

  @Test("a reader who stops reading is closed and counted, holds up nobody, and misses nothing")
  func stalled() async throws {
    let station = try FakeStation()
    station.raise(onset: 1)
    let total: Int64 = 8_000
    try await withConsole(station) {
      // Long enough for the other reader, which must not be taken for stalled on a machine that has no time.
      $0.streamStallLimit = .seconds(3)
    } body: { port in
      let client = EventStreamClient(port: port)
      let (gate, opener) = AsyncStream.makeStream(of: Void.self)
      let (begun, starter) = AsyncStream.makeStream(of: Void.self)
      let taken = Mutex<[Int64]>([])
      // Reads up to the snapshot, and then nothing more from its socket until it is told to.
      let reader = Task {
        do {
          _ = try await client.read("/api/v1/alarms/stream") { event in
            if event.name == "snapshot" {
              starter.yield()
              for await _ in gate { break }
            }
            if event.name == "alarm", let id = event.sequence {
              taken.withLock { $0.append(id) }
            }
            return false
          }
        } catch is IOError {
          // The service has closed the connection: that is the point.
        }
      }
      for await _ in begun { break }
      // Megabytes follow; another reader is told all of them meanwhile.
      let told = Mutex<[Int64]>([])
      let other = Task {
        _ = try await client.read("/api/v1/alarms/stream?since=1") { event in
          guard event.name == "alarm", let id = event.sequence else { return false }
          return told.withLock { told in
            told.append(id)
            return id == total
          }
        }
      }
      for onset in 2...total {
        station.raise(onset: onset)
        if onset.isMultiple(of: 200) { await Task.yield() }
      }
      try await other.value
      #expect(told.withLock { $0 } == Array(2...total))
      var metrics = ""
      let limit = ContinuousClock.now + .seconds(120)
      repeat {
        metrics = try await client.text(of: "/metrics")
      } while !metrics.contains("\ndavy_console_streams_shed_total 1\n")
        && ContinuousClock.now < limit
      #expect(metrics.contains("\ndavy_console_streams_shed_total 1\n"))
      opener.yield()
      try await reader.value
      // What lay in the sockets came, in order; the rest was kept for nobody, and comes when it is asked for.
      let first = taken.withLock { $0 }
      #expect(first == Array(2..<(2 + Int64(first.count))) && first.count < Int(total) - 1)
      let cursor = first.last ?? 1
      let rest = Mutex<[Int64]>([])
      _ = try await client.read("/api/v1/alarms/stream?since=\(cursor)") { event in
        guard event.name == "alarm", let id = event.sequence else { return false }
        return rest.withLock { rest in
          rest.append(id)
          return id == total
        }
      }
      #expect(rest.withLock { $0 } == Array((cursor + 1)...total))
      repeat {
        metrics = try await client.text(of: "/metrics")
      } while !metrics.contains("\ndavy_console_streams 0\n") && ContinuousClock.now < limit
      #expect(metrics.contains("\ndavy_console_streams 0\n"))
    }
  }

  @Test("an unknown cursor is answered by a reset and a snapshot")
  func unknownCursor() async throws {
    let station = try FakeStation()
    station.raise()
    try await withConsole(station) { port in
      let events = Collector()
      _ = try await EventStreamClient(port: port).read(
        "/api/v1/alarms/stream",
        headers: ["Last-Event-ID: 99"]
      ) { event in
        _ = events.add(event)
        return event.name == "heartbeat"
      }
      #expect(events.all.map(\.name) == ["reset", "snapshot", "heartbeat"])
      #expect(events.all[0].data.contains("unknown-cursor"))
      #expect(events.all[1].sequence == 1)
    }
  }

  @Test(
    "a cursor of another ledger is answered by a reset, although this one has come past it",
    arguments: [("2-01010102", true), ("2-01010101", false), ("2", false), ("0", false)]
  )
  func foreignCursor(cursor: String, isReset: Bool) async throws {
    let station = try FakeStation()
    for onset in 1...4 as ClosedRange<Int64> { station.raise(onset: onset) }
    try await withConsole(station) { port in
      let events = Collector()
      _ = try await EventStreamClient(port: port).read(
        "/api/v1/alarms/stream?heartbeat=1&since=\(cursor)"
      ) { event in
        _ = events.add(event)
        return event.name == "snapshot" || event.id == "4-01010101"
      }
      #expect(events.all.contains { $0.name == "reset" } == isReset)
      #expect(events.all.contains { $0.name == "alarm" } == !isReset)
    }
  }

  @Test("a cursor that is neither an id nor a sequence is refused")
  func unreadableCursor() async throws {
    let station = try FakeStation()
    try await withConsole(station) { port in
      for cursor in ["x", "-1", "7-", "7-0a1b", "7-0a1b2c3d4", "7-0a1b2c3x"] {
        let path = "/api/v1/alarms/stream?since=\(cursor)"
        let head = try await EventStreamClient(port: port).read(path) { _ in true }
        #expect(head.status == 400, "\(cursor)")
      }
    }
  }

  @Test("a cursor too far behind is answered by a reset and a snapshot")
  func farBehind() async throws {
    let station = try FakeStation()
    for onset in 1...40 { station.raise(onset: Int64(onset)) }
    try await withConsole(station) {
      $0.maximumStreamLag = 30
    } body: { port in
      let events = Collector()
      _ = try await EventStreamClient(port: port).read("/api/v1/alarms/stream?since=9") { event in
        _ = events.add(event)
        return event.name == "heartbeat"
      }
      #expect(events.all.map(\.name) == ["reset", "snapshot", "heartbeat"])
      #expect(events.all[0].data.contains("too-far-behind"))
      let within = Collector()
      _ = try await EventStreamClient(port: port).read("/api/v1/alarms/stream?since=10") { event in
        within.add(event)("alarm") == 30
      }
      #expect(
        within.all.filter { $0.name == "alarm" }.compactMap(\.sequence)
          == Array(11...40 as ClosedRange<Int64>)
      )
    }
  }

  @Test("an unrecorded announcement has no id, and is not told again once it is recorded")
  func unrecorded() async throws {
    let station = try FakeStation()
    station.note()
    let body = ScopeTests.raised("acme/plant/tanks/T-101/level", onset: 7, in: station)
    try await withConsole(station) { port in
      let client = EventStreamClient(port: port)
      let events = Collector()
      _ = try await client.read("/api/v1/alarms/stream") { event in
        _ = events.add(event)
        if event.name == "snapshot" { station.announceUnrecorded(body) }
        if event.name == "unrecorded" {
          #expect(event.id == nil)
          #expect(event.data.contains("\"alarm\":\"\(body.alarm)\""))
          station.raise(onset: 7)
        }
        return event.name == "alarm"
      }
      #expect(events.all.filter { $0.name == "unrecorded" }.count == 1)
      #expect(events.all.last?.sequence == 2)
      let later = Collector()
      _ = try await client.read("/api/v1/alarms/stream?heartbeat=1") { event in
        later.add(event)("heartbeat") == 2
      }
      #expect(!later.all.contains { $0.name == "unrecorded" })
    }
  }

  @Test("heartbeats come in time and carry the cursor past entries that are no alarm's")
  func heartbeat() async throws {
    let station = try FakeStation()
    station.raise()
    try await withConsole(station) {
      $0.heartbeat = .seconds(120)
    } body: { port in
      let events = Collector()
      let begin = ContinuousClock.now
      _ = try await EventStreamClient(port: port).read("/api/v1/alarms/stream?heartbeat=1") {
        event in
        if event.name == "snapshot" {
          for _ in 0..<5 { station.note() }
        }
        return events.add(event)("heartbeat") == 2
      }
      let took = ContinuousClock.now - begin
      #expect(took > .milliseconds(900) && took < .seconds(60), "took \(took)")
      #expect(events.all.last?.sequence == 6)
      #expect(events.all.last?.data.contains("\"link\":\"connected\"") == true)
    }
  }

  @Test("more streams than allowed are refused with a problem, and places are given back")
  func streamLimit() async throws {
    let station = try FakeStation()
    try await withConsole(station) {
      $0.maximumStreams = 1
    } body: { port in
      let client = EventStreamClient(port: port)
      _ = try await client.read("/api/v1/alarms/stream") { event in
        let refused = try await client.read("/api/v1/alarms/stream") { _ in true }
        #expect(refused.status == 503)
        return true
      }
      // The dropped stream's place is free as soon as the server has seen it go.
      var status = 0
      let limit = ContinuousClock.now + .seconds(600)
      repeat {
        status = try await client.read("/api/v1/alarms/stream") { _ in true }.status
      } while status != 200 && ContinuousClock.now < limit
      #expect(status == 200)
    }
  }

  @Test("a ledger that cannot be read for a while costs no event")
  func ledgerAway() async throws {
    let station = try FakeStation()
    station.raise(onset: 1)
    try await withConsole(station) { port in
      let events = Collector()
      _ = try await EventStreamClient(port: port).read("/api/v1/alarms/stream") { event in
        let count = events.add(event)
        if event.name == "snapshot" {
          let refusals = station.memory.fail(with: .inputOutput(path: "test", detail: "gone"))
          station.raise(onset: 2)
          Task {
            // Until it has been asked in vain twice, so that the pause between is tried too.
            var refused = 0
            for await _ in refusals {
              refused += 1
              if refused == 2 { break }
            }
            station.raise(onset: 3)
            station.memory.recover()
          }
        }
        return count("alarm") == 2
      }
      #expect(events.all.filter { $0.name == "alarm" }.compactMap(\.sequence) == [2, 3])
    }
  }

  @Test("a graceful stop ends open streams at once")
  func gracefulStop() async throws {
    let station = try FakeStation()
    station.raise()
    let (opened, opening) = AsyncStream.makeStream(of: Void.self)
    let ended = Counter()
    let took = try await withThrowingTaskGroup(of: Void.self, returning: Duration.self) { readers in
      let (ports, portFound) = AsyncStream.makeStream(of: Int.self)
      readers.addTask {
        for await port in ports {
          try await withThrowingTaskGroup(of: Void.self) { streams in
            for _ in 0..<50 {
              streams.addTask {
                _ = try await EventStreamClient(port: port).read("/api/v1/alarms/stream") { event in
                  if event.name == "heartbeat" { opening.yield() }
                  return false
                }
                ended.add()
              }
            }
            try await streams.waitForAll()
          }
        }
      }
      let took = try await withConsole(station) { port in
        portFound.yield(port)
        portFound.finish()
        var count = 0
        for await _ in opened {
          count += 1
          if count == 50 { break }
        }
      }
      try await readers.waitForAll()
      return took
    }
    // Heartbeats are further apart than that, and until one of them an open stream would hold the stop up.
    #expect(took < .seconds(8), "took \(took)")
    #expect(ended.value == 50)
  }
}

/// Counts across tasks.
final class Counter: Sendable {
  private let count = Mutex(0)

  var value: Int { count.withLock { $0 } }

  func add() {
    count.withLock { $0 += 1 }
  }
}

/// Gathers events across a stream's callback.
final class Collector: Sendable {
  private let events = Mutex<[ServerEvent]>([])

  var all: [ServerEvent] { events.withLock { $0 } }

  /// Adds an event; the result counts the events of a name so far.
  func add(_ event: ServerEvent) -> (_ name: String) -> Int {
    let events = events.withLock { events in
      events.append(event)
      return events
    }
    return { name in events.count { $0.name == name } }
  }
}

/// A small generator with a seed, so that a failing run can be run again.
struct SplitMix {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
