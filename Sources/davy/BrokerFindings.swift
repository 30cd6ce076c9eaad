package import DeviceCatalog
import MQTTTransport

extension ServiceConfiguration {
  /// What keeps `davy serve` from using what the service file says of brokers: its own, and that of the station above.
  ///
  /// Password files, certificates and keys are opened as the service would open them.
  ///
  /// - Parameters:
  ///   - file: path of the service file.
  ///   - catalog: what it names, for the topics that are subscribed to; nil where that has errors.
  /// - Returns: one finding for each mistake.
  package func brokerFindings(file: String, catalog: Catalog?) -> [Finding] {
    var options = broker.options(clientID: broker.clientID)
    options.subscriptions = broker.subscriptions
    if let catalog {
      options = LoadedConfiguration(service: self, catalog: catalog).mqttOptions(role: "")
    }
    var findings = broker.findings(for: options, file: file)
    if let relay, case .broker(let above) = relay.way {
      findings += above.findings(for: above.options(clientID: above.clientID), file: file)
    }
    return findings
  }
}

extension ServiceConfiguration.Broker {
  fileprivate func findings(for options: MQTTOptions, file: String) -> [Finding] {
    options.problems().map { problem in
      let key = self.key(of: problem)
      let chinese = Self.chinese(key)
      return Finding(
        // The environment of whoever checks is not that of the service.
        severity: key == "passwordEnvironment" ? .warning : .error,
        code: "broker-\(key.split(separator: ".").first ?? "options")",
        place: places[key] ?? Place(file: file, line: 0, column: 0, key: "broker"),
        message: LocalizedText(
          zh: "\(chinese.message)（\(problem.place)）",
          en: "\(problem.place): \(problem.message)"
        ),
        remedy: LocalizedText(zh: chinese.remedy, en: problem.remedy)
      )
    }
  }

  /// The key of the service file that a problem is about.
  private func key(of problem: MQTTOptionProblem) -> String {
    let place = problem.place
    if place.hasPrefix("topic filter") {
      // Of a filter that is given twice, the second is one too many.
      let index = filters.lastIndex { place == "topic filter '\($0.filter)'" }
      return index.map { "filters.\($0)" } ?? "filters"
    }
    return Self.keys.first { place.hasPrefix($0.place) }?.key ?? "options"
  }

  /// How the places of problems begin, with the keys that they come from; the longer before the shorter.
  private static let keys: [(place: String, key: String)] = [
    ("host", "host"), ("port", "port"), ("client id", "clientID"), ("keep alive", "keepAlive"),
    ("session expiry", "sessionExpiry"), ("receive maximum", "receiveMaximum"),
    ("user name", "userName"), ("password file", "passwordFile"),
    ("password from environment", "passwordEnvironment"), ("TLS CA", "tls.ca"),
    ("TLS certificate file", "tls.certificate"), ("TLS key file", "tls.key"),
    ("TLS server name", "tls.serverName"), ("TLS", "tls"),
  ]

  private static func chinese(_ key: String) -> (message: String, remedy: String) {
    switch key {
    case "host": ("broker 地址为空", "写明 broker 的主机名或地址")
    case "port": ("broker 端口为 0", "写 broker 的端口，通常 1883，TLS 为 8883")
    case "clientID": ("客户端标识不能用", "给每个客户端一个固定的标识")
    case "keepAlive": ("keepAlive 不在 5 s 到 65535 s 之间", "写 30s")
    case "sessionExpiry": ("sessionExpiry 短于 1 s 或过长", "写服务离线多久仍不得丢消息，如 7d")
    case "receiveMaximum": ("receiveMaximum 为 0", "写 65535")
    case "userName": ("用户名不能用", "更正用户名")
    case "passwordFile":
      ("口令文件不能用", "放好文件，第一行只写口令，chmod 600，服务用户可读")
    case "passwordEnvironment": ("此处的环境变量没有口令", "为服务设置该环境变量")
    case "tls.ca": ("CA 证书不能用", "指定可读的 PEM 证书文件")
    case "tls.certificate": ("客户端证书不能用", "指定可读的 PEM 文件，客户端证书在最前")
    case "tls.key": ("客户端私钥不能用", "指定该证书未加密的 PEM 私钥，chmod 600，服务用户可读")
    case "tls.serverName": ("服务器名不能用", "写 broker 证书上的名称")
    case "tls": ("TLS 设置不能用", "certificate 与 key 要么都写，要么都不写")
    case _ where key.hasPrefix("filters"): ("主题过滤器无效或重复", "更正过滤器，同一个只写一次")
    default: ("broker 的设置不能用", "按英文说明更正")
    }
  }
}
