import ArgumentParser
import DeviceCatalog
import MQTTTransport
import Synchronization

/// How to sign in at a broker that is named on the command line; secrets are never there themselves.
struct BrokerAccess: ParsableArguments {
  @Option(help: "User name.")
  var user: String?

  @Option(help: "File whose first line is the password; others must not be able to read it.")
  var passwordFile: String?

  @Option(help: "Environment variable that holds the password.")
  var passwordEnvironment: String?

  @Flag(name: .customLong("tls"), help: "Speak TLS and trust the system's certificates.")
  var usesTLS = false

  @Option(
    name: .customLong("tls-ca"),
    help: "Speak TLS and trust the certificates of this PEM file."
  )
  var authorities: String?

  @Option(name: .customLong("tls-certificate"), help: "PEM file of the client's certificate.")
  var certificate: String?

  @Option(name: .customLong("tls-key"), help: "PEM file of the client's key.")
  var key: String?

  @Option(
    name: .customLong("tls-server-name"),
    help: "Name that the broker's certificate must carry, where it is not the host's."
  )
  var serverName: String?

  /// The options that were given, as they are written.
  var given: [String] {
    [
      ("--user", user != nil), ("--password-file", passwordFile != nil),
      ("--password-environment", passwordEnvironment != nil), ("--tls", usesTLS),
      ("--tls-ca", authorities != nil), ("--tls-certificate", certificate != nil),
      ("--tls-key", key != nil), ("--tls-server-name", serverName != nil),
    ].filter { $0.1 }.map { $0.0 }
  }

  /// Refuses what would be passed over in silence.
  func check() throws {
    if passwordFile != nil, passwordEnvironment != nil {
      throw ValidationError("give the password by --password-file or by --password-environment")
    }
    if user == nil, passwordFile != nil || passwordEnvironment != nil {
      throw ValidationError("a password needs a name to go with it: --user")
    }
  }

  var credentials: MQTTCredentials? {
    let password: SecretSource? =
      passwordFile.map(SecretSource.file) ?? passwordEnvironment.map(SecretSource.environment)
    return user.map { MQTTCredentials(userName: .text($0), password: password) }
  }

  /// Nil speaks plain TCP.
  var tls: TLSOptions? {
    guard usesTLS || authorities != nil || certificate != nil || key != nil || serverName != nil
    else { return nil }
    return TLSOptions(
      caFile: authorities,
      certificateFile: certificate,
      keyFile: key,
      serverName: serverName
    )
  }
}

extension LinkFailure {
  /// What to do about it; nil where the reason says all there is to say.
  var remedy: LocalizedText? {
    switch self {
    case .refused(0x04), .refused(0x86):
      LocalizedText(
        zh: "核对用户名与口令（服务文件的 broker.userName、broker.passwordFile）",
        en:
          "check user name and password (broker.userName and broker.passwordFile of a service file)"
      )
    case .refused(0x05), .refused(0x87):
      LocalizedText(
        zh: "给出用户名与口令（服务文件的 broker.userName、broker.passwordFile），或在 broker 中允许该用户和客户端标识连接",
        en:
          "give user name and password (broker.userName and broker.passwordFile of a service file), "
          + "or let this user and client id in at the broker"
      )
    case .refused(0x02), .refused(0x85):
      LocalizedText(
        zh: "换一个 broker 接受的客户端标识（broker.clientID）",
        en: "use a client id that the broker accepts (broker.clientID)"
      )
    case .refused(0x03), .refused(0x88), .refused(0x89):
      LocalizedText(zh: "稍后再试，查看 broker 的日志", en: "try later; see the broker's log")
    case .refused, .closed: LocalizedText(zh: "查看 broker 的日志", en: "see the broker's log")
    case .unreachable, .unknownHost, .handshakeTimeout:
      LocalizedText(
        zh: "检查地址、端口、防火墙以及 broker 是否在运行",
        en: "check host, port and firewall, and whether the broker runs"
      )
    case .tlsPort:
      LocalizedText(
        zh: "打开 TLS（服务文件的 broker.tls，命令的 --tls），或改用 broker 的明文端口（通常 1883）",
        en:
          "turn TLS on (broker.tls of a service file, --tls of a command), or name the broker's plain port, usually 1883"
      )
    case .plainPort:
      LocalizedText(
        zh: "改用 broker 的 TLS 端口（通常 8883），或关闭 TLS（服务文件的 broker.tls，命令的 --tls）",
        en:
          "name the broker's TLS port, usually 8883, or turn TLS off (broker.tls of a service file, --tls of a command)"
      )
    case .unanswered(place: _, isPlain: true):
      LocalizedText(
        zh: "若为 TLS 端口，请打开 TLS（服务文件的 broker.tls，命令的 --tls）；否则查看 broker 的日志",
        en:
          "if it is a TLS port, turn TLS on (broker.tls of a service file, --tls of a command); else see the broker's log"
      )
    case .unanswered(place: _, isPlain: false):
      LocalizedText(zh: "查看 broker 的日志", en: "see the broker's log")
    case .options, .tls, .unsupportedVersion, .keepAliveTimeout, .protocolError: nil
    }
  }
}

/// HOST:PORT as people write it.
struct BrokerAddress {
  let host: String
  let port: UInt16

  init(_ text: String) throws {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { throw ValidationError("'\(text)' is not HOST:PORT") }
    host = String(text[..<colon])
    guard !host.contains("@"), !host.contains("/") else {
      throw ValidationError(
        "the broker is HOST:PORT and no more: a user is given by --user, a password by --password-file or --password-environment"
      )
    }
    self.port = port
  }
}

/// How many publications the broker has settled.
final class SettledCount: Sendable {
  private let counts = Mutex((confirmed: 0, refused: 0))

  func add(_ outcome: PublishOutcome) {
    counts.withLock { counts in
      switch outcome {
      case .confirmed: counts.confirmed += 1
      case .refused: counts.refused += 1
      }
    }
  }

  var count: Int { counts.withLock { $0.confirmed + $0.refused } }
  var refused: Int { counts.withLock { $0.refused } }
}
