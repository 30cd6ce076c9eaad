import AlarmEngine
import Testing

@Suite("Scoring")
struct ScoringTests {
  /// Daily cycle with noise; one reading every five minutes.
  private func series(seed: UInt64, count: Int) -> [Sample] {
    var random = DetectorRandom(seed: seed)
    return (0..<count).map { index in
      let hour = index / 12 % 24
      let level = hour >= 8 && hour < 18 ? 80.0 : 40.0
      return Sample(time: Int64(index) * 300_000, value: level + 2 * random.normal())
    }
  }

  private func scores(_ name: String, _ samples: [Sample]) throws -> [Double] {
    var scorer = try Score.makeScorer(name)
    return samples.map { scorer.score(time: $0.time, value: $0.value) }
  }

  @Test("every score lies in [0, 1] and looks at nothing to come", arguments: Score.detectorNames)
  func causal(name: String) throws {
    for seed in 1...5 as ClosedRange<UInt64> {
      var samples = stream(seed: seed, count: 3000)
      let before = try scores(name, samples)
      #expect(before.allSatisfy { (0...1).contains($0) }, "SEED=\(seed)")
      for index in 2000..<3000 { samples[index].value = samples[index].value * -3 + 1e6 }
      let after = try scores(name, samples)
      #expect(Array(before[..<2000]) == Array(after[..<2000]), "SEED=\(seed)")
    }
  }

  @Test("scale and unit do not matter", arguments: ["range-in-context", "range"])
  func invariance(name: String) throws {
    let samples = series(seed: 3, count: 4000)
    let plain = try scores(name, samples)
    let scaled = try scores(name, samples.map { Sample(time: $0.time, value: $0.value * 1024) })
    #expect(plain == scaled)
  }

  @Test("robust z is over the newest readings, however far apart; an older one scores nothing")
  func places() throws {
    let samples = series(seed: 5, count: 2000)
    let near = try scores("robust-z", samples)
    let far = try scores("robust-z", samples.map { Sample(time: $0.time * 1000, value: $0.value) })
    #expect(near == far)
    #expect((near.max() ?? 0) > 0)
    var late = samples
    late.insert(Sample(time: samples[999].time - 1, value: 1e6), at: 1000)
    let marked = try scores("robust-z", late)
    #expect(marked[1000] == 0)
  }

  @Test("a reading that is normal at noon is reported at night, and not at noon")
  func context() throws {
    var samples = series(seed: 7, count: 288 * 14)
    let night = 288 * 13 + 2 * 12
    let noon = 288 * 13 + 12 * 12
    for index in night..<(night + 6) { samples[index].value = 80 }
    for index in noon..<(noon + 6) { samples[index].value = 81 }
    let scores = try scores("range-in-context", samples)
    #expect((scores[night..<(night + 6)].max() ?? 0) > Score.threshold)
    #expect((scores[noon..<(noon + 6)].max() ?? 1) < Score.threshold)
    let plain = try self.scores("range", samples)
    #expect(
      (plain[night..<(night + 6)].max() ?? 1) < Score.threshold,
      "the plain range is blind to it"
    )
  }

  @Test("a reading that is usual at this hour of the week is not reported by the seasonal detector")
  func seasonal() throws {
    var samples = series(seed: 11, count: 288 * 28)
    let night = 288 * 27 + 2 * 12
    let noon = 288 * 27 + 12 * 12
    for index in night..<(night + 6) { samples[index].value = 80 }
    for index in noon..<(noon + 6) { samples[index].value = 81 }
    let scores = try scores("seasonal", samples)
    #expect(scores[..<(288 * 14)].allSatisfy { $0 == 0 }, "warm-up")
    #expect((scores[night..<(night + 6)].max() ?? 0) > Score.threshold)
    #expect((scores[noon..<(noon + 6)].max() ?? 1) < Score.threshold)
  }

  @Test("one excursion is one report; a higher one within the refractory span is another")
  func refractory() throws {
    var samples = series(seed: 9, count: 3000)
    for index in 2500..<2540 { samples[index].value = 500 }
    samples[2520].value = 900
    let scores = try scores("range-in-context", samples)
    let reports = (2500..<2600).filter { scores[$0] >= Score.threshold }
    #expect(reports == [2500, 2520] || reports == [2500])
    #expect(reports.first == 2500)
  }

  @Test(
    "a value beyond every measure does not blind a range",
    arguments: ["range-in-context", "range"]
  )
  func absurd(name: String) throws {
    var samples = series(seed: 9, count: 288 * 15)
    for index in 4200..<4206 { samples[index].value = 5000 }
    let plain = try scores(name, samples)
    #expect((plain[4200..<4206].max() ?? 0) > Score.threshold)
    samples[100].value = 1e308
    samples[200].value = -1e308
    let scores = try scores(name, samples)
    #expect((scores[4200..<4206].max() ?? 0) > Score.threshold)
  }

  @Test("a constant, and noise, are not reported")
  func quiet() throws {
    var random = DetectorRandom(seed: 5)
    for name in Score.detectorNames where name.hasPrefix("range") {
      let constant = (0..<4000).map { Sample(time: Int64($0) * 300_000, value: 45) }
      #expect(try scores(name, constant).allSatisfy { $0 == 0 })
      let noise = (0..<4000).map {
        Sample(time: Int64($0) * 300_000, value: (random.unit() * 100).rounded())
      }
      #expect(try scores(name, noise)[750...].allSatisfy { $0 < Score.threshold })
    }
  }

  @Test("the table has a row for every row, copied as it stands")
  func table() throws {
    let csv = """
      timestamp,value\r
      2014-04-01 00:00:00,10\r
      2014-04-01 00:05:00,12.50\r
      2014-04-01 00:05:00,nan\r
      2014-04-01 00:10:00,\r
      2014-04-01 00:15:00,1e400
      2014-04-01 00:20:00,13
      2014-04-01 00:25:00

      """
    let lines = try Score.table(csv: csv, detector: "range").split { $0.isNewline }.map(String.init)
    #expect(lines.count == 8 && lines[0] == "timestamp,value,score")
    #expect(lines[1] == "2014-04-01 00:00:00,10,0.0")
    #expect(lines[3] == "2014-04-01 00:05:00,nan,0.0" && lines[4] == "2014-04-01 00:10:00,,0.0")
    #expect(lines[7] == "2014-04-01 00:25:00,,0.0")
    let reordered = try Score.table(
      csv: "\u{FEFF}id, Value ,Timestamp\n7,1,2014-04-01T00:00:00Z\n",
      detector: "range"
    )
    #expect(reordered == "timestamp,value,score\n2014-04-01T00:00:00Z,1,0.0\n")
    let quoted = try Score.table(
      csv: "\"note\",\"timestamp\",\"value\"\n\"a, b\",\"2014-04-01 00:00:00\",\"1.5\"\n",
      detector: "range"
    )
    #expect(quoted == "timestamp,value,score\n2014-04-01 00:00:00,1.5,0.0\n")
    let inches = try Score.table(
      csv: "note,timestamp,value\n2\" pipe,2014-04-01 00:00:00,1.5\n",
      detector: "range"
    )
    #expect(inches == quoted)
  }

  @Test("what cannot be scored is refused with its place")
  func refusals() {
    #expect(throws: Score.Failure.unknownDetector("htm")) { try Score.makeScorer("htm") }
    #expect(throws: Score.Failure.noHeader("a,b")) {
      try Score.table(csv: "a,b\n1,2\n", detector: "range")
    }
    #expect(throws: Score.Failure.noHeader("")) { try Score.table(csv: "", detector: "range") }
    #expect(
      throws: Score.Failure.badRow(
        line: 2,
        "“3,5” is no number; write it like 12.5, or leave the cell empty"
      )
    ) {
      try Score.table(csv: "timestamp,value\n2014-04-01 00:00:00,\"3,5\"\n", detector: "range")
    }
    #expect(throws: Score.Failure.badRow(line: 3, "1 columns where 2 are needed")) {
      try Score.table(csv: "value,timestamp\n1,2014-04-01 00:00:00\n2\n", detector: "range")
    }
  }

  @Test("time stamps")
  func stamps() {
    let good: [(String, Int64)] = [
      ("1970-01-01 00:00:00", 0), ("1970-01-01", 0), ("1969-12-31T23:59:59.999Z", -1),
      ("2026-11-23T17:12:04.567+08:00", 1_795_425_124_567), ("2000-02-29 12:00", 951_825_600_000),
      ("2026-11-23 17:12:04-0130", 1_795_459_324_000), ("2014-02-14 14:30:00.5", 1_392_388_200_500),
    ]
    for (text, want) in good { #expect(ScoreTimestamp.milliseconds(text) == want, "\(text)") }
    for text in [
      "", "2026", "2026-13-01", "2026-02-29", "1900-02-29", "2026-11-23 24:00:00",
      "2026-11-23 1:00",
      "2026-11-23 10:00:60", "2026-11-23 10:00:00.", "2026-11-23 10:00:00+8",
      "2026-11-23 10:00:00Zx",
      "0000-01-01", "20261123T101010",
    ] {
      #expect(ScoreTimestamp.milliseconds(text) == nil, "\(text)")
    }
  }
}
