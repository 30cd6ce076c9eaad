/// Mail by SMTP.
public struct MailChannel: NotificationChannel {
  /// How the connection is secured.
  public enum Security: String, CaseIterable, Hashable, Sendable {
    /// TLS after STARTTLS; a server without it is refused.
    case starttls
    /// TLS from the first byte (port 465).
    case tls
    /// None: for a relay on the same machine.
    case none
  }

  /// The server and how to speak with it.
  public struct Server: Hashable, Sendable {
    /// Host.
    public var host: String
    /// Port.
    public var port: Int
    /// How the connection is secured.
    public var security: Security
    /// PEM file of certificate authorities to trust beside the system's.
    public var authorities: String?
    /// User name; nil does not log in.
    public var userName: String?
    /// Its password.
    public var password: ChannelSecret?
    /// Address of the sender.
    public var from: String
    /// A whole delivery takes no longer.
    public var timeout: Duration

    /// Makes a server.
    public init(
      host: String,
      port: Int,
      security: Security = .starttls,
      authorities: String? = nil,
      userName: String? = nil,
      password: ChannelSecret? = nil,
      from: String,
      timeout: Duration = .seconds(30)
    ) {
      self.host = host
      self.port = port
      self.security = security
      self.authorities = authorities
      self.userName = userName
      self.password = password
      self.from = from
      self.timeout = timeout
    }
  }

  /// The server.
  public var server: Server
  /// One mail a person, so that nobody's address shows to others.
  public var isShared: Bool { false }

  /// Makes a channel.
  public init(server: Server) {
    self.server = server
  }

  /// Sends a message.
  public func send(_ notice: Notice) async -> DeliveryOutcome {
    for recipient in notice.recipients where !MailMessage.isAddress(recipient.address) {
      return .refused("\"\(recipient.address)\" is no mail address")
    }
    guard !notice.recipients.isEmpty else { return .refused("nobody to send it to") }
    do {
      let password = try server.password?.read()
      return try await SMTPClient(server: server, password: password).send(
        MailMessage(from: server.from, notice: notice)
      )
    } catch let error as SMTPError {
      return error.outcome
    } catch let error as SecretError {
      return .refused(error.description)
    } catch {
      return .unavailable("\(server.host):\(server.port): \(error)", retryAfter: nil)
    }
  }
}
