import DeviceCatalog
import Foundation
import Testing

private let columns = [
  ReadingListImport.Column(name: "甲烷", device: "GD-07", point: "gas"),
  ReadingListImport.Column(name: "t", device: "GD-07", point: "temp"),
]

private func read(
  _ bytes: [UInt8],
  unit: ReadingListImport.TimeUnit = .milliseconds
) -> ReadingListImport {
  ReadingListImport(
    bytes: bytes,
    file: "r.csv",
    timeColumn: "time",
    columns: columns,
    unit: unit
  )
}

private func read(
  _ text: String,
  unit: ReadingListImport.TimeUnit = .milliseconds
) -> ReadingListImport {
  read(Array(text.utf8), unit: unit)
}

@Suite("tables of readings")
struct ReadingListTests {
  @Test("UTF-8, with a byte order mark, and GB18030 say the same")
  func encodings() throws {
    let text = "time,甲烷,t,备注\n1795451234567,1.5,,好\n2026-11-23T17:07:15.5+08:00,2e1,-3,\"a,\nb\"\n"
    let encoding = String.Encoding(rawValue: 0x8000_0632)
    let files: [(bytes: [UInt8], encoding: String)] = [
      (Array(text.utf8), "UTF-8"),
      ([0xEF, 0xBB, 0xBF] + Array(text.utf8), "UTF-8 with byte order mark"),
      ([UInt8](try #require(text.data(using: encoding))), "GB18030"),
    ]
    for file in files {
      let list = read(file.bytes)
      #expect(list.findings.isEmpty, "\(list.findings)")
      #expect(list.encoding == file.encoding)
      #expect(list.rows.map(\.time) == [1_795_451_234_567, 1_795_424_835_500])
      #expect(list.rows.map(\.values) == [[1.5, nil], [20, -3]])
    }
  }

  @Test("seconds are taken for seconds when that is said")
  func seconds() {
    let list = read("time,甲烷,t\n1795451234,1,2\n1795451235.25,1,2\n", unit: .seconds)
    #expect(list.findings.isEmpty, "\(list.findings)")
    #expect(list.rows.map(\.time) == [1_795_451_234_000, 1_795_451_235_250])
  }

  @Test(
    "what cannot be read for certain is refused with its place, and nothing is taken",
    arguments: [
      ("", ["empty-file 0:0"]), ("time,甲烷\n1795451234567,1\n", ["unknown-column 1:1"]),
      ("time,甲烷,t\n", ["nothing-there 0:0"]),
      // A quote that stays open would swallow the rows after it, also in a column that is not taken.
      (
        "time,甲烷,t,n\n1795451234567,1,2,\"x\n1795451234568,1,2,y\n1795451234569,1,2,z\n",
        ["quote-not-closed 2:4"]
      ), ("time,甲烷,t,n\n1795451234567,1,2,\"x\"y\n", ["text-after-quote 2:4"]),
      ("time,甲烷,t\n1795451234567,1\n", ["missing-cell 2:3"]),
      ("time,甲烷,t\n1795451234567,1,2,3\n", ["surplus-cell 2:4"]),
      ("time,甲烷,t,甲烷\n1795451234567,1,2,3\n", ["duplicate-name 1:4"]),
      ("time,甲烷,t\n1795451234567,0x10,inf\n", ["wrong-type 2:2", "wrong-type 2:3"]),
      ("time,甲烷,t\n1795451234,1,2\n", ["time-out-of-range 2:1"]),
      ("time,甲烷,t\n1795451234567000,1,2\n", ["time-out-of-range 2:1"]),
      ("time,甲烷,t\n1999-12-31T00:00:00Z,1,2\n", ["time-out-of-range 2:1"]),
      ("time,甲烷,t\n2026-11-23T17:12:04,1,2\n", ["zone-missing 2:1"]),
      ("time,甲烷,t\n2026/11/23 8:05,1,2\n", ["zone-missing 2:1"]),
      ("time,甲烷,t\n2026-11-23T17:12:04Z?,1,2\n,1,2\n", ["wrong-type 2:1", "wrong-type 3:1"]),
      // A cell over two lines does not shift the lines after it.
      ("time,甲烷,t,n\n1795451234567,1,2,\"a\nb\"\n1795451234568,1,x,\n", ["wrong-type 4:3"]),
    ] as [(String, [String])]
  )
  func errors(text: String, expected: [String]) {
    let list = read(text)
    #expect(
      list.findings.map { "\($0.code) \($0.place.line):\($0.place.column)" } == expected,
      "\(list.findings)"
    )
    #expect(list.findings.allSatisfy { $0.place.file == "r.csv" && !$0.remedy.zh.isEmpty })
    #expect(list.rows.isEmpty)
  }

  @Test("numbers that look like seconds are told how to be taken for them")
  func secondsRemedy() {
    let list = read("time,甲烷,t\n1795451234,1,2\n")
    #expect(list.findings.first?.remedy.en.contains("--time-unit s") == true)
  }

  @Test("times without a zone are taken at the offset that is said, others by their own")
  func offset() {
    let cells = [
      "2026/11/23 8:05", "2026-11-23 08:05:06.25", "2026-11-23T08:05:06", "2026-11-23T00:05:06Z",
      "1795392306000",
    ]
    let text = "time,甲烷,t\n" + cells.map { "\($0),1,2\n" }.joined()
    let list = ReadingListImport(
      bytes: Array(text.utf8),
      file: "r.csv",
      timeColumn: "time",
      columns: columns,
      utcOffsetMinutes: 480
    )
    #expect(list.findings.isEmpty, "\(list.findings)")
    let second: Int64 = 1_795_392_306_000
    #expect(list.rows.map(\.time) == [second - 6_000, second + 250, second, second, second])
    for cell in ["2026/13/23 8:05", "2026/11/23 24:00", "2026/11/23", "11/23/2026 8:05"] {
      let wrong = ReadingListImport(
        bytes: Array("time,甲烷,t\n\(cell),1,2\n".utf8),
        file: "r.csv",
        timeColumn: "time",
        columns: columns,
        utcOffsetMinutes: 480
      )
      #expect(wrong.findings.map(\.code) == ["wrong-type"], "\(cell)")
    }
    #expect(ReadingListImport.utcOffset("+08:00") == 480)
    #expect(ReadingListImport.utcOffset("8") == nil)
  }

  @Test("a column of times of another name is told how to be named")
  func timeRemedy() {
    let list = read("时间,甲烷,t\n1795451234567,1,2\n")
    #expect(list.findings.map(\.code) == ["unknown-column"])
    #expect(list.findings.first?.remedy.en.contains("--time; the header has: 时间") == true)
  }

  @Test("bytes that are text in no encoding, and a file that is wrong from end to end")
  func limits() {
    #expect(read([0xFF, 0xFF, 0x00]).findings.map(\.code) == ["unreadable-file"])
    let list = read("time,甲烷,t\n" + String(repeating: "1795451234567,x,1\n", count: 1_000))
    #expect(list.findings.count == 21)
    #expect(list.findings.last?.code == "too-many-errors")
  }

  @Test("point lists and welding lists tell of a quote that is not closed, too")
  func otherLists() {
    let points = "site,area,device,point,设备名称\ns,a,D,p,\"x\ns,a,E,p,y\n"
    #expect(
      PointListImport(bytes: Array(points.utf8), file: "p.csv").findings.map(\.code)
        == ["quote-not-closed"]
    )
    let machines = "device,code,chip\nWM-1,QR-1,\"C-1\nWM-2,QR-2,C-2\n"
    #expect(
      WeldingListImport(bytes: Array(machines.utf8), file: "m.csv").findings.map(\.code)
        == ["quote-not-closed"]
    )
  }
}
