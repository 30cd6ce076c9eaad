import AlarmEngine
import ArgumentParser
import CTimex
import DeviceCatalog
import Foundation
import Glibc
import HazardLedger
import MQTTTransport
import SwiftASN1
import Synchronization
import X509

/// `davy doctor`.
struct Doctor: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Look for what keeps a station from working well; each finding with its remedy.",
    discussion: """
      Looks at configuration, broker, clock, disk, commit time, certificates, secrets, stored data and silent points. \
      Changes nothing and may run beside the service. Ends with 1 when a fault is found, with 0 otherwise.
      """
  )

  @Argument(help: "The service file.", completion: .file())
  var serviceFile: String

  @Flag(help: "Findings as JSON, one object a line.")
  var json = false

  @Option(help: "Commits of 4 KiB to time on the data folder's disk.")
  var commits = 50

  @Flag(
    help: "Only whether the service runs and answers, in a moment: for a container's health check."
  )
  var alive = false

  func run() async throws {
    guard !alive else {
      try await examineLife()
      return
    }
    let loaded = try LoadedConfiguration(serviceFile: serviceFile)
    var report = DoctorReport()
    report.well(
      "configuration",
      zh: "\(loaded.catalog.channels.count) 个测点，\(loaded.catalog.rules.count) 条规则",
      en: "\(loaded.catalog.channels.count) points, \(loaded.catalog.rules.count) rules"
    )
    for finding in loaded.service.blindSpots(file: serviceFile, catalog: loaded.catalog) {
      report.add(
        finding.severity == .error ? .fault : .warning,
        "subscriptions",
        finding.message,
        remedy: finding.remedy
      )
    }
    examineBroker(loaded, &report)
    examineClock(&report)
    examineDisk(loaded.service, &report)
    examineSecrets(loaded.service, &report)
    examineCertificates(loaded.service, &report)
    await examineService(loaded.service, &report)
    examineData(loaded, &report)
    try print(report)
    guard report.isWell else { throw ExitCode(1) }
  }

  private func print(_ report: DoctorReport) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    for finding in report.findings {
      if json {
        Terminal.line(String(decoding: try encoder.encode(finding), as: UTF8.self))
        continue
      }
      Terminal.line(
        "\(finding.grade.rawValue): \(finding.subject): \(finding.found.en) / \(finding.found.zh)"
      )
      if let remedy = finding.remedy {
        Terminal.line("    remedy: \(remedy.en) / \(remedy.zh)")
      }
    }
  }

  // MARK: - Broker

  private func examineBroker(_ loaded: LoadedConfiguration, _ report: inout DoctorReport) {
    let place = "\(loaded.service.broker.host):\(loaded.service.broker.port)"
    let state = Mutex(LinkState.connecting(attempt: 1))
    let settled = DispatchSemaphore(value: 0)
    let client: PublishClient
    do {
      client = try PublishClient(
        options: loaded.mqttOptions(role: "doctor"),
        onStateChange: { new in
          state.withLock { $0 = new }
          switch new {
          case .connected, .waiting: settled.signal()
          case .connecting, .subscriptionRefused, .stopped: break
          }
        }
      )
    } catch {
      report.add(
        .fault,
        "broker",
        LocalizedText(zh: "\(error)", en: "\(error)"),
        remedy: LocalizedText(zh: "修改服务文件的 broker 一节", en: "mend the service file's section broker")
      )
      return
    }
    defer { client.stop(grace: .zero) }
    _ = settled.wait(timeout: .now() + 15)
    let found = state.withLock { $0 }
    var remedy = LocalizedText(
      zh: "按所述原因处理；broker 恢复前网关的消息留在 broker 或网关",
      en: "see the reason; until then messages wait at broker or gateway"
    )
    if case .waiting(let failure, _, _) = found, let special = failure.remedy { remedy = special }
    if case .connected = found {
      report.well("broker", zh: "\(place) 已连接", en: "\(place): \(found)")
    } else {
      report.add(
        .fault,
        "broker",
        LocalizedText(zh: "\(place) 未连接：\(found)", en: "\(place): \(found)"),
        remedy: remedy
      )
    }
  }

  // MARK: - Clock

  private func examineClock(_ report: inout DoctorReport) {
    var state = timex()
    let code = unsafe adjtimex(&state)
    let error = Double(state.maxerror) / 1_000
    guard code != TIME_ERROR, code >= 0, state.status & Int32(STA_UNSYNC) == 0 else {
      report.add(
        .warning,
        "clock",
        LocalizedText(zh: "系统时钟未与时间服务器同步", en: "the system clock is not synchronised"),
        remedy: LocalizedText(
          zh: "启用 chrony 或 systemd-timesyncd；设备时钟的偏差以本机接收时间判断",
          en:
            "run chrony or systemd-timesyncd; device clocks are judged by this machine's receive time"
        )
      )
      return
    }
    report.well(
      "clock",
      zh: "已同步，最大误差 \(error) ms",
      en: "synchronised, maximum error \(error) ms"
    )
  }

  // MARK: - Disk

  private func examineDisk(_ service: ServiceConfiguration, _ report: inout DoctorReport) {
    let folder = existingFolder(service.dataFolder)
    do {
      let attributes = try FileManager.default.attributesOfFileSystem(forPath: folder)
      let free = (attributes[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
      let used = try size(of: service.dataFolder + "/journal")
      let wanted = max(0, service.journal.maximumBytes - used)
      let gibibytes = { (bytes: Int64) in
        String(format: "%.1f GiB", Double(bytes) / Double(1 << 30))
      }
      if free < 1 << 30 {
        report.add(
          .fault,
          "disk",
          LocalizedText(
            zh: "\(folder) 只剩 \(gibibytes(free))",
            en: "\(folder) has \(gibibytes(free)) left"
          ),
          remedy: LocalizedText(
            zh: "腾出空间：写满后停止应答，报警标记为未入账",
            en: "make room: when it is full nothing is acknowledged and alarms go out unrecorded"
          )
        )
      } else if free < wanted {
        report.add(
          .warning,
          "disk",
          LocalizedText(
            zh: "剩余 \(gibibytes(free))，少于日志还可增长的 \(gibibytes(wanted))",
            en: "\(gibibytes(free)) left, the journal may still grow by \(gibibytes(wanted))"
          ),
          remedy: LocalizedText(
            zh: "扩容或减小 journal.maximumGibibytes",
            en: "enlarge the volume or lower journal.maximumGibibytes"
          )
        )
      } else {
        report.well("disk", zh: "剩余 \(gibibytes(free))", en: "\(gibibytes(free)) left")
      }
      try examineCommitTime(folder, &report)
    } catch {
      report.add(
        .fault,
        "disk",
        LocalizedText(zh: "\(folder) 无法写入：\(error)", en: "\(folder) cannot be written: \(error)"),
        remedy: LocalizedText(
          zh: "检查 data 目录的属主与权限",
          en: "check owner and mode of the folder named by data"
        )
      )
    }
  }

  private func examineCommitTime(_ folder: String, _ report: inout DoctorReport) throws {
    let path = folder + "/.doctor-\(getpid())"
    let descriptor = unsafe open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    defer {
      close(descriptor)
      unsafe unlink(path)
    }
    let block = [UInt8](repeating: 0x44, count: 4_096)
    var times: [Double] = []
    for _ in 0..<max(1, commits) {
      let start = ContinuousClock.now
      guard unsafe Glibc.write(descriptor, block, block.count) == block.count,
        fdatasync(descriptor) == 0
      else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
      times.append((ContinuousClock.now - start) / .milliseconds(1))
    }
    times.sort()
    let median = times[times.count / 2]
    let worst = times[times.count * 99 / 100]
    let text = String(format: "p50 %.2f ms, p99 %.2f ms", median, worst)
    guard worst < 100 else {
      report.add(
        .warning,
        "commit time",
        LocalizedText(zh: "4 KiB 落盘 \(text)", en: "4 KiB to the disk in \(text)"),
        remedy: LocalizedText(
          zh: "提交超过 200 ms 的报警先以未入账发出；请用更快或更空闲的磁盘",
          en:
            "an alarm whose commit takes over 200 ms goes out unrecorded first; use a faster or less busy disk"
        )
      )
      return
    }
    report.well("commit time", zh: "4 KiB 落盘 \(text)", en: "4 KiB to the disk in \(text)")
  }

  private func existingFolder(_ path: String) -> String {
    var folder = URL(fileURLWithPath: path)
    while !FileManager.default.fileExists(atPath: folder.path), folder.path != "/" {
      folder.deleteLastPathComponent()
    }
    return folder.path
  }

  private func size(of folder: String) throws -> Int64 {
    guard FileManager.default.fileExists(atPath: folder) else { return 0 }
    return try FileManager.default.contentsOfDirectory(atPath: folder).reduce(0) { sum, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: folder + "/" + name)
      return sum + ((attributes?[.size] as? NSNumber)?.int64Value ?? 0)
    }
  }

  // MARK: - Secrets and certificates

  private func examineSecrets(_ service: ServiceConfiguration, _ report: inout DoctorReport) {
    for path in [service.broker.passwordFile, service.broker.tls?.key].compactMap(\.self) {
      do {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let mode = (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0
        if mode & 0o077 == 0 {
          report.well("secret", zh: "\(path) 仅属主可读", en: "\(path): for its owner only")
        } else {
          report.add(
            .warning,
            "secret",
            LocalizedText(zh: "\(path) 其他用户可读", en: "\(path): others may read it"),
            remedy: LocalizedText(zh: "chmod 600 \(path)", en: "chmod 600 \(path)")
          )
        }
      } catch {
        report.add(
          .fault,
          "secret",
          LocalizedText(zh: "\(path) 无法读取：\(error)", en: "\(path) cannot be read: \(error)"),
          remedy: LocalizedText(
            zh: "放好文件并让服务用户可读",
            en: "put it there, readable by the service's user"
          )
        )
      }
    }
  }

  private func examineCertificates(_ service: ServiceConfiguration, _ report: inout DoctorReport) {
    guard let tls = service.broker.tls else { return }
    for path in [tls.ca, tls.certificate].compactMap(\.self) {
      // Not as text: what is no UTF-8 is no PEM either, whatever it is.
      guard let bytes = FileManager.default.contents(atPath: path) else {
        let fault = FileFault(reading: path)
        report.add(
          .fault,
          "certificate",
          LocalizedText(
            zh: "\(path) 无法读取：\(fault.reason.zh)",
            en: "\(path) cannot be read: \(fault.reason.en)"
          ),
          remedy: fault.remedy
        )
        continue
      }
      do {
        let blocks = String(decoding: bytes, as: UTF8.self)
          .components(separatedBy: "-----BEGIN CERTIFICATE-----").dropFirst()
        for block in blocks {
          let certificate = try Certificate(pemEncoded: "-----BEGIN CERTIFICATE-----" + block)
          judge(certificate, path, &report)
        }
        if blocks.isEmpty { throw CocoaError(.fileReadCorruptFile) }
      } catch {
        report.add(
          .fault,
          "certificate",
          LocalizedText(zh: "\(path) 不是 PEM 格式的证书", en: "\(path) holds no certificate in PEM form"),
          remedy: LocalizedText(zh: "提供 PEM 格式的证书", en: "give a certificate in PEM form")
        )
      }
    }
  }

  private func judge(_ certificate: Certificate, _ path: String, _ report: inout DoctorReport) {
    let days = Int(certificate.notValidAfter.timeIntervalSinceNow / 86_400)
    let subject = "\(certificate.subject)"
    guard days < 30 else {
      report.well(
        "certificate",
        zh: "\(path)（\(subject)）还有 \(days) 天到期",
        en: "\(path) (\(subject)) expires in \(days) days"
      )
      return
    }
    report.add(
      days < 0 ? .fault : .warning,
      "certificate",
      LocalizedText(
        zh: days < 0 ? "\(path)（\(subject)）已过期" : "\(path)（\(subject)）\(days) 天后到期",
        en: days < 0
          ? "\(path) (\(subject)) has expired" : "\(path) (\(subject)) expires in \(days) days"
      ),
      remedy: LocalizedText(zh: "更换证书", en: "renew it")
    )
  }

  // MARK: - Service

  /// Ends with 1 when the service does not run or does not answer.
  private func examineLife() async throws {
    let (service, findings) = ServiceConfiguration.load(path: serviceFile)
    guard let service else {
      LoadedConfiguration.print(findings)
      throw ExitCode(1)
    }
    var report = DoctorReport()
    await examineService(service, &report)
    try print(report)
    guard report.findings.allSatisfy({ $0.grade == .well }) else { throw ExitCode(1) }
  }

  private func examineService(
    _ service: ServiceConfiguration,
    _ report: inout DoctorReport
  ) async {
    let folder = service.dataFolder
    guard let identifier = PidFile(dataFolder: folder).running else {
      report.add(
        .warning,
        "service",
        LocalizedText(zh: "没有服务在 \(folder) 上运行", en: "no service runs on \(folder)"),
        remedy: LocalizedText(zh: "systemctl start davy", en: "systemctl start davy")
      )
      return
    }
    if let fault = await ServicePulse.fault(service.http) {
      report.add(
        .fault,
        "service",
        LocalizedText(
          zh: "进程 \(identifier) 正在运行但无应答：\(fault)",
          en: "process \(identifier) runs and does not answer: \(fault)"
        ),
        remedy: LocalizedText(
          zh: "查看日志；改过 http 一节则重启服务",
          en: "see its log; restart it when the section http was changed since its start"
        )
      )
      return
    }
    report.well(
      "service",
      zh: "进程 \(identifier) 正在运行并应答",
      en: "process \(identifier) is running and answers"
    )
  }

  // MARK: - Data

  private func examineData(_ loaded: LoadedConfiguration, _ report: inout DoctorReport) {
    let folder = loaded.service.dataFolder
    let path = folder + "/ledger.sqlite"
    guard FileManager.default.fileExists(atPath: path) else {
      report.well("data", zh: "\(folder) 尚无数据", en: "\(folder): nothing stored yet")
      return
    }
    do {
      let glance = try LedgerGlance(path: path)
      report.well(
        "ledger",
        zh: "\(glance.entries) 条记录，\(glance.standing) 个未结报警",
        en: "\(glance.entries) entries, \(glance.standing) standing alarms"
      )
      let silent = loaded.silentPoints(among: glance.standingRules)
      if silent > 0 {
        report.add(
          .warning,
          "coverage",
          LocalizedText(zh: "\(silent) 个测点无数据", en: "\(silent) points are silent"),
          remedy: LocalizedText(
            zh: "在控制台的测点页查看，联系网关或设备的责任人",
            en:
              "see them on the console's page of points; call whoever is responsible for gateway or device"
          )
        )
      } else {
        report.well("coverage", zh: "没有测点断数", en: "no point is silent")
      }
    } catch {
      report.add(
        .fault,
        "ledger",
        LocalizedText(zh: "\(error)", en: "\(error)"),
        remedy: LocalizedText(zh: "运行 davy verify \(folder)", en: "run davy verify \(folder)")
      )
    }
  }
}

extension LoadedConfiguration {
  /// How many points have a staleness rule among the rules (`point#rule`) whose alarms stand.
  fileprivate func silentPoints(among standing: Set<String>) -> Int {
    var points: Set<UInt32> = []
    for rule in catalog.rules where standing.contains(rule.fullName) {
      guard case .stale = catalog.enginePlan.rules[Int(rule.index)].detector else { continue }
      points.insert(rule.channel)
    }
    return points.count
  }
}
