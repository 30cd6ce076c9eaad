import DeviceCatalog
import Foundation
import Testing

@Suite("welding lists out of spreadsheets")
struct WeldingListTests {
  @Test("Chinese headers in GB18030 become the welding section")
  func welders() throws {
    let csv =
      "姓名,工号,证书编号,有效期起,有效期至,复审日期\n张师傅,w-1,T36,2024-01-01,2029-12-31,2027-01-01\n\"李,\"\"二\"\"\",w-2,T37,2024-01-01,2029-12-31,\n"
    let encoding = String.Encoding(rawValue: 0x8000_0632)
    let bytes = [UInt8](try #require(csv.data(using: encoding)))
    let list = WeldingListImport(bytes: bytes, file: "w.csv")
    #expect(list.findings.isEmpty)
    #expect(list.encoding == "GB18030")
    #expect(
      list.text == """
          welders:
            w-1: {name: "张师傅", certificate: "T36", from: 2024-01-01, until: 2029-12-31, review: 2027-01-01}
            w-2: {name: "李,\\"二\\"", certificate: "T37", from: 2024-01-01, until: 2029-12-31}

        """
    )
  }

  @Test("machines, and what is wrong is named with its line")
  func machines() {
    let good = WeldingListImport(
      bytes: Array("device,code,chip,current low,current high\nWM-1,QR-1,C-1,40,250\n".utf8),
      file: "m.csv"
    )
    #expect(
      good.text
        == "  machines:\n    WM-1: {code: \"QR-1\", chip: \"C-1\", normal-current: [40, 250]}\n"
    )
    let bad = WeldingListImport(
      bytes: Array("device,code,chip\nWM-1,QR-1,\nWM-1,QR-2,C\nA B,Q,C\n".utf8),
      file: "m.csv"
    )
    #expect(
      bad.findings.map { "\($0.place.line) \($0.code)" } == [
        "2 missing-key", "3 duplicate-name", "4 bad-identifier",
      ]
    )
    let unknown = WeldingListImport(bytes: Array("device,code,chup\n".utf8), file: "m.csv")
    #expect(unknown.findings.map(\.code) == ["unknown-key", "missing-key"])
  }
}
