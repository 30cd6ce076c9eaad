import ArgumentParser
import DavyCommands
import Foundation
import HazardLedger
import Journal
import Telemetry
import Testing

@Suite("Importing readings") struct ImportTests {
  static func importing(_ csv: String, into folder: String) async throws {
    try await davy(
      "import",
      "readings",
      csv,
      "--into",
      folder,
      "--topic",
      "davy/v1/xinghe/gw-tank/readings",
      "--column",
      "甲烷=GD-07/gas"
    )
  }

  @Test("a GB18030 table becomes a recording")
  func gb18030() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let text = "time,甲烷\n1795451234567,1.5\n1795451235567,\n1795451236567,2\n"
    let encoding = String.Encoding(rawValue: 0x8000_0632)
    let csv = try folder.file("r.csv", [UInt8](try #require(text.data(using: encoding))))
    try await Self.importing(csv, into: folder.path + "/recording")
    let records = try Recording(path: folder.path + "/recording").read(from: 1, limit: 10)
    #expect(records.map(\.input.received) == [1_795_451_234_567, 1_795_451_236_567])
    #expect(
      records.first.map { String(decoding: $0.input.payload, as: UTF8.self) }
        == #"[{"device":"GD-07","point":"gas","t":1795451234567,"v":1.5}]"#
    )
  }

  @Test("rows are taken in the order of time, those of one time in that of the file")
  func sorted() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let csv = try folder.file(
      "r.csv",
      "time,甲烷\n1795451236567,3\n1795451235567,1\n1795451235567,2\n1795451234567,0\n"
    )
    try await Self.importing(csv, into: folder.path + "/recording")
    let records = try Recording(path: folder.path + "/recording").read(from: 1, limit: 10)
    #expect(
      records.map(\.input.received)
        == [1_795_451_234_567, 1_795_451_235_567, 1_795_451_235_567, 1_795_451_236_567]
    )
    let values = records.map { String(decoding: $0.input.payload, as: UTF8.self).suffix(6) }
    #expect(values.map(String.init) == ["v\":0}]", "v\":1}]", "v\":2}]", "v\":3}]"])
  }

  @Test("a mistake leaves nothing behind, so that the next try is like the first")
  func nothingLeft() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let recording = folder.path + "/recording"
    let csv = try folder.file("r.csv", "time,甲烷\n1795451234567,1.5\n1795451235567,0x10\n")
    await #expect(throws: ExitCode(1)) { try await Self.importing(csv, into: recording) }
    #expect(!FileManager.default.fileExists(atPath: recording))
    _ = try folder.file("r.csv", "time,甲烷\n1795451234567,1.5\n1795451235567,16\n")
    try await Self.importing(csv, into: recording)
    #expect(try Recording(path: recording).lastSequence == 2)
  }

  @Test("an imported recording that is replayed without rules is a failure, not an empty result")
  func replayWithoutCatalog() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let csv = try folder.file("r.csv", "time,甲烷\n1795451234567,1.5\n")
    try await Self.importing(csv, into: folder.path + "/recording")
    let recording = folder.path + "/recording"
    await #expect(throws: ExitCode(1)) { try await davy("replay", recording) }
  }

  @Test("a table that is given for a recording is no fault of the disk")
  func tableForRecording() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let csv = try folder.file("r.csv", "time,甲烷\n1795451234567,1.5\n")
    let error = await #expect(throws: JournalError.self) { try await davy("replay", csv) }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains("davy import readings") && !text.contains("disk"), "\(text)")
  }

  @Test("what a replay refuses is told with place and remedy, the most frequent first")
  func refusals() {
    func tally(_ reason: String, _ count: Int64) -> RejectTally {
      RejectTally(
        reason: reason,
        topic: "davy/v1/e/g/readings",
        device: "D",
        count: count,
        firstSequence: 1,
        lastSequence: 1,
        firstTime: Timestamp(milliseconds: 0),
        lastTime: Timestamp(milliseconds: 0),
        detail: "/device: D"
      )
    }
    let lines = RefusalWords.lines(of: [tally("wrongType", 1), tally("unknownDevice", 4)])
    #expect(lines.count == 2 && RefusalWords.lines(of: []).isEmpty)
    #expect(lines[0].hasPrefix("  4 × unknownDevice  davy/v1/e/g/readings  D  /device: D\n"))
    #expect(lines[0].contains("remedy: Add the device") && lines[0].contains("台账"))
    let many = (0..<10).map { tally("r\($0)", 1) }
    #expect(RefusalWords.lines(of: many).last == "  … and 2 more kinds")
  }

  @Test(
    "davy decode says where a time is far from the receive time, and knows seconds from milliseconds",
    arguments: [
      (1_795_451_234_567, nil), (1_795_451_000_000, nil), (1_795_451_234, "seconds since 1970"),
      (1_795_450_000_000, "20 min before"), (1_795_452_434_567, "20 min after"),
    ] as [(Int64, String?)]
  )
  func decodedTime(time: Int64, words: String?) {
    let found = DecodedTime.warning(
      Timestamp(milliseconds: time),
      received: Timestamp(milliseconds: 1_795_451_234_567)
    )
    #expect((found == nil) == (words == nil))
    if let words { #expect(found?.contains(words) == true, "\(found ?? "")") }
  }

  @Test("a recording that is not there is named, with what to do")
  func missingRecording() async throws {
    let error = await #expect(throws: (any Error).self) {
      try await davy("replay", "/nonexistent/recording")
    }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains("/nonexistent/recording: ") && text.contains("check the path"), "\(text)")
  }

  @Test("a file that is not there is named, with what to do")
  func missingFile() {
    let missing = "/nonexistent/list.csv"
    let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    let complaints = [
      complaint(
        "import",
        "readings",
        missing,
        "--into",
        "/nonexistent/r",
        "--topic",
        "t",
        "--column",
        "a=b/c"
      ), complaint("import", "welding", missing),
      complaint("score", missing, "--detector", "range-in-context"), complaint("verify", missing),
      complaint("decode", root + "/config/service.yaml", "--topic", "t", "--file", missing),
    ]
    for complaint in complaints {
      let text = complaint ?? ""
      #expect(text.contains(missing) && text.contains("there is no such file"), "\(text)")
      #expect(text.contains("没有这个文件") && !text.contains("NSCocoaErrorDomain"), "\(text)")
    }
  }
}
