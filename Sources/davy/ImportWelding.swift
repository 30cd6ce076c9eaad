import ArgumentParser
import DeviceCatalog

/// `davy import welding`.
struct ImportWelding: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "welding",
    abstract:
      "Turn a list of welding machines or welders into the text of a site file's welding section.",
    discussion: """
      UTF-8 (with or without byte order mark) and GB18030 are recognised; headers may be Chinese or English, in any \
      order: 设备编号, 二维码, 芯片 for machines; 编号, 姓名, 证书编号, 有效期起, 有效期止, 复审日期 for welders. Changes nothing.

        davy import welding welders.csv
      """
  )

  @Argument(help: "The list, CSV.", completion: .file(extensions: ["csv"]))
  var csv: String

  func run() throws {
    let list = WeldingListImport(
      bytes: try GivenFile.bytes(csv),
      file: csv
    )
    LoadedConfiguration.print(list.findings)
    if list.findings.contains(where: { $0.severity == .error }) { throw ExitCode(1) }
    Terminal.error(
      "\(list.rows) rows, \(list.encoding); put this under `welding:` of the site file"
    )
    Terminal.line(list.text)
  }
}
