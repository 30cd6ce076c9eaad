import CMosquitto
import Glibc

/// One connection to the broker, from the first attempt to its end; a reconnect makes a new one.
///
/// A new handle each time, because libmosquitto 2.0 leaves packets and locks behind when the broker
/// sends DISCONNECT.
///
/// **When bytes leave.** `mosquitto_threaded_set(true)` makes the library queue every packet, the
/// PUBACK of each message read included; its queue is one, first in, first out, and
/// `mosquitto_loop_write` empties all of it. So `flush()`, its only caller, must not run between
/// reading messages and their commit. `mosquitto_loop_misc` would queue its PINGREQ behind the
/// PUBACKs and end the connection when that does not leave in time, so it is never called: keep
/// alive is done here, with a PINGREQ written past the queue (`ping`). That is sound because nobody
/// else writes, and the queue is either untouched or written to the end of a packet (`isWriteBlocked`).
@safe final class Connection {
  private enum Stage {
    case opening(Opening)
    case handshake
    case active
    case closed
  }

  let inbox: Inbox
  let version: MQTTVersion
  let started: Int64
  private(set) var session: LinkSession?
  /// Whether the library's queue is written halfway, with the socket full.
  private(set) var isWriteBlocked = false
  /// Whether the last read found the socket empty.
  private(set) var isDrained = true
  private let handle: OpaquePointer
  /// Host and port, for messages.
  private let place: String
  private let usesTLS: Bool
  /// Whether the broker has sent anything.
  private var hasHeard = false
  private let clientKeepAlive: Duration
  private var keepAlive: Int64
  private var stage: Stage
  /// When the socket last took something.
  private var lastSent: Int64
  private var lastReceived: Int64
  /// When the first PINGREQ left since which nothing has come, or the broker was last seen to take what is before it.
  private var pingSent: Int64?
  /// How many bytes before it the broker's system had not taken then.
  private var unsent: Int32 = 0
  private var pingRest: [UInt8] = []

  /// Prepares a handle and starts to connect.
  init(
    _ options: MQTTOptions,
    version: MQTTVersion,
    cleanStart: Bool,
    now: Int64
  ) throws(MQTTOptionProblem) {
    let credentials = try options.credentials?.load()
    let tls: TLSContext? =
      if let tls = options.tls { try TLSContext(tls, host: options.host) } else { nil }
    let inbox = Inbox(
      maximumPayload: options.maximumPayload,
      oversizeSample: options.oversizeSample
    )
    let context = unsafe Unmanaged.passUnretained(inbox).toOpaque()
    _ = MosquittoLibrary.initialized
    guard let handle = unsafe mosquitto_new(options.clientID, cleanStart, context) else {
      throw MQTTOptionProblem(
        place: "client id",
        message: "is refused",
        remedy: "use a non-empty UTF-8 identifier"
      )
    }
    unsafe self.handle = handle
    self.inbox = inbox
    self.version = version
    place = "\(options.host):\(options.port)"
    usesTLS = tls != nil
    started = now
    lastSent = now
    lastReceived = now
    clientKeepAlive = options.keepAlive
    keepAlive = options.keepAlive.milliseconds
    unsafe mosquitto_threaded_set(handle, true)
    unsafe mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, Int32(version.rawValue))
    unsafe mosquitto_int_option(
      handle,
      MOSQ_OPT_RECEIVE_MAXIMUM,
      Int32(options.receiveMaximum)
    )
    // How much may be under way is the broker's and the sender's to say; the library's own limit is 20.
    unsafe mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, 65_535)
    unsafe installCallbacks(handle)
    if let tls {
      unsafe mosquitto_int_option(handle, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0)
      unsafe mosquitto_void_option(
        handle,
        MOSQ_OPT_SSL_CTX,
        UnsafeMutableRawPointer(tls.context)
      )
    }
    if let credentials {
      let code = unsafe mosquitto_username_pw_set(
        handle,
        credentials.userName,
        credentials.password
      )
      try unsafe Self.check(code, "user name", handle)
    }
    if let will = options.will {
      let code = unsafe will.payload.withUnsafeBufferPointer { payload in
        unsafe mosquitto_will_set(
          handle,
          will.topic,
          Int32(payload.count),
          payload.baseAddress,
          Int32(will.qos.rawValue),
          will.retain
        )
      }
      try unsafe Self.check(code, "will topic '\(will.topic)'", handle)
    }
    let opening = unsafe Opening(
      handle: handle,
      inbox: inbox,
      host: options.host,
      port: options.port,
      keepAlive: Int32(clamping: options.keepAlive.components.seconds),
      sessionExpiry: version == .v5 && !cleanStart
        ? UInt32(clamping: options.sessionExpiry.components.seconds) : nil
    )
    stage = .opening(opening)
    opening.start()
  }

  deinit { close() }

  /// Throws, and frees the handle, when the library refuses an option.
  private static func check(
    _ code: Int32,
    _ place: String,
    _ handle: OpaquePointer
  ) throws(MQTTOptionProblem) {
    guard code != MOSQ_ERR_SUCCESS.rawValue else { return }
    unsafe mosquitto_destroy(handle)
    throw MQTTOptionProblem(
      place: place,
      message: "is refused: \(unsafe String(cString: mosquitto_strerror(code)))",
      remedy: "correct it"
    )
  }

  /// Whether the broker has accepted the connection and it stands.
  var isActive: Bool { if case .active = stage { true } else { false } }

  private var isHandshake: Bool { if case .handshake = stage { true } else { false } }

  /// Whether something waits to be written.
  var wantsWrite: Bool {
    let isQueued = unsafe mosquitto_want_write(handle)
    return isQueued || !pingRest.isEmpty
  }

  /// What to wait for at which descriptor.
  var interest: pollfd? {
    switch stage {
    case .opening(let opening):
      pollfd(fd: opening.ended.descriptor, events: Int16(POLLIN), revents: 0)
    case .handshake:
      pollfd(
        fd: unsafe mosquitto_socket(handle),
        events: Int16(POLLIN | (wantsWrite ? POLLOUT : 0)),
        revents: 0
      )
    case .active:
      pollfd(
        fd: unsafe mosquitto_socket(handle),
        events: Int16(isWriteBlocked || !pingRest.isEmpty ? POLLOUT : POLLIN),
        revents: 0
      )
    case .closed: nil
    }
  }

  // MARK: Connecting

  /// Moves an attempt on as far as it goes without waiting; true when the broker has accepted it.
  func advance(now: Int64) throws(LinkFailure) -> Bool {
    switch stage {
    case .active: return true
    case .closed: throw .closed(nil)
    case .opening(let opening):
      guard let result = opening.result else { return false }
      guard result.code == MOSQ_ERR_SUCCESS.rawValue else {
        throw failure(code: result.code, error: result.error)
      }
      unsafe configureSocket(mosquitto_socket(handle))
      stage = .handshake
      return try advance(now: now)
    case .handshake:
      try flush(now: now)
      try hear()
      repeat {
        try readPacket(now: now)
        if inbox.answer == nil, peek() == .end { throw hungUp }
      } while !isDrained && inbox.answer == nil
      // TLS may have been agreed on just now, so that CONNECT can leave.
      try flush(now: now)
      guard let answer = inbox.answer else { return false }
      guard answer.code == 0 else { throw .refused(answer.code) }
      accept(answer)
      return true
    }
  }

  private enum Peek: Equatable {
    case nothing
    case byte(UInt8)
    case end
  }

  /// What comes next from the broker, left where it is; that it has hung up the library does not notice while TLS is being
  /// agreed on.
  private func peek() -> Peek {
    var byte: UInt8 = 0
    let count = unsafe recv(
      mosquitto_socket(handle),
      &byte,
      1,
      Int32(MSG_PEEK | MSG_DONTWAIT)
    )
    if count > 0 { return .byte(byte) }
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? .nothing : .end
  }

  /// The types of TLS records, none of which begins an MQTT packet of a broker's.
  private static let tlsRecords: ClosedRange<UInt8> = 0x14...0x17

  /// Holds the first byte that comes against what is spoken here: library and OpenSSL would call it a broken protocol.
  private func hear() throws(LinkFailure) {
    guard !hasHeard, case .byte(let first) = peek() else { return }
    hasHeard = true
    switch (usesTLS, Self.tlsRecords.contains(first)) {
    case (true, true), (false, false): break
    case (true, false): throw .plainPort(place: place)
    case (false, true): throw .tlsPort(place: place)
    }
  }

  /// Why there is no answer to CONNECT where the broker has hung up.
  private var hungUp: LinkFailure {
    !usesTLS || isTLSAgreed ? .unanswered(place: place, isPlain: !usesTLS) : tlsFailure
  }

  private var isTLSAgreed: Bool {
    guard let tls = unsafe mosquitto_ssl_get(handle) else { return false }
    return unsafe SSL_is_init_finished(OpaquePointer(tls)) == 1
  }

  /// Why TLS was not agreed on: what answers in another way, or hangs up at the first word of it, does not know it.
  private var tlsFailure: LinkFailure {
    let error = inbox.lastError
    let isForeign = error?.contains("wrong version number") ?? false
    let isSilent = !hasHeard && (error?.contains("unexpected eof") ?? true)
    if isForeign || isSilent { return .plainPort(place: place) }
    return .tls(error ?? "the broker hung up during the handshake")
  }

  private func accept(_ answer: ConnectAnswer) {
    unsafe mosquitto_log_callback_set(handle, nil)
    stage = .active
    let granted = answer.serverKeepAlive.map { Duration.seconds(Int64($0)) } ?? clientKeepAlive
    keepAlive = granted.milliseconds
    session = LinkSession(
      version: version,
      sessionPresent: answer.sessionPresent,
      keepAlive: granted
    )
  }

  private func configureSocket(_ descriptor: Int32) {
    var on: Int32 = 1
    // Without it a lone PUBACK or PINGREQ waits for the broker's TCP acknowledgement.
    unsafe setsockopt(
      descriptor,
      Int32(IPPROTO_TCP),
      TCP_NODELAY,
      &on,
      socklen_t(MemoryLayout<Int32>.size)
    )
  }

  // MARK: Reading and writing

  /// Reads at most one packet (with TLS: those already decrypted).
  func readPacket(now: Int64) throws(LinkFailure) {
    noteLife(now: now)
    let activity = inbox.activity
    var wouldBlock = false
    let code = unsafe cmosquitto_loop_read(handle, &wouldBlock)
    let error = errno
    if code != MOSQ_ERR_SUCCESS.rawValue { throw failure(code: code, error: error) }
    if unsafe mosquitto_socket(handle) < 0 { throw failure(code: code, error: error) }
    isDrained = wouldBlock && inbox.activity == activity
    if !isDrained { lastReceived = now }
    try expectLife(now: now)
  }

  /// Takes any byte that has come since PINGREQ for an answer: PINGRESP waits behind a message that is long in coming, of
  /// which the library tells only when it is complete.
  private func noteLife(now: Int64) {
    guard let pingSent, lastReceived < pingSent, case .byte = peek() else { return }
    lastReceived = now
  }

  /// Throws when nothing has come, and nothing been taken, for longer than the keep alive since PINGREQ left.
  ///
  /// Only a socket that was read empty shows that: while a commit blocks, nothing is read, and PINGRESP may wait in what TLS has
  /// taken from the socket.
  private func expectLife(now: Int64) throws(LinkFailure) {
    guard isDrained, let pingSent else { return }
    guard lastReceived < pingSent else {
      self.pingSent = nil
      return
    }
    guard now - pingSent > keepAlive else { return }
    // PINGREQ waits behind a message of ours that is long on its way: who takes some of it lives.
    let rest = cmosquitto_unsent(unsafe mosquitto_socket(handle))
    guard rest < unsent else { throw .keepAliveTimeout }
    unsent = rest
    self.pingSent = now
  }

  /// Whether the socket takes something at this moment.
  private var isWritable: Bool {
    var descriptors = [
      pollfd(fd: unsafe mosquitto_socket(handle), events: Int16(POLLOUT), revents: 0)
    ]
    waitForEvents(&descriptors, milliseconds: 0)
    return descriptors[0].revents != 0
  }

  /// Writes the library's queue: every acknowledgement included.
  func flush(now: Int64) throws(LinkFailure) {
    guard try finishPing(now: now) else { return }
    let takesSomething = !isWriteBlocked || isWritable
    isWriteBlocked = false
    while unsafe mosquitto_want_write(handle) {
      errno = 0
      let code = unsafe mosquitto_loop_write(handle, 1)
      let error = errno
      if code != MOSQ_ERR_SUCCESS.rawValue { throw failure(code: code, error: error) }
      if takesSomething { lastSent = now }
      if error == EAGAIN || error == EWOULDBLOCK {
        isWriteBlocked = unsafe mosquitto_want_write(handle)
        return
      }
    }
  }

  /// Holds small packets back until `false` is set, so that a thousand PUBACKs leave together.
  func setCork(_ on: Bool) {
    var value: Int32 = on ? 1 : 0
    unsafe setsockopt(
      mosquitto_socket(handle),
      Int32(IPPROTO_TCP),
      TCP_CORK,
      &value,
      socklen_t(MemoryLayout<Int32>.size)
    )
  }

  /// Writes a PINGREQ past the library's queue when it is time, and throws when the broker shows no sign of life.
  ///
  /// It is to be called now and then, whether anything comes or not; `readPacket` looks for the answer too.
  func ping(now: Int64) throws(LinkFailure) {
    guard isActive, keepAlive > 0 else { return }
    noteLife(now: now)
    try expectLife(now: now)
    // What leaves is no sign of life: the socket takes it although nobody may be there.
    let isQuiet = pingSent == nil && now - lastReceived >= keepAlive / 2
    guard try finishPing(now: now), isQuiet || now - lastSent >= keepAlive / 2 else { return }
    guard !isWriteBlocked else {
      // No PINGREQ can leave. A socket that takes nothing for so long, and brings nothing, has nobody at its other end.
      guard now - max(lastSent, lastReceived) <= keepAlive || isWritable || peek() != .nothing
      else { throw .keepAliveTimeout }
      return
    }
    pingRest = [0xC0, 0x00]
    if pingSent == nil {
      pingSent = now
      unsent = cmosquitto_unsent(unsafe mosquitto_socket(handle))
    }
    _ = try finishPing(now: now)
  }

  /// Says good-bye past the library's queue, so that no acknowledgement leaves that must not.
  ///
  /// Nothing is unsubscribed and the session expiry stays: the broker keeps what follows for us.
  func sayGoodbye() {
    guard isActive, !isWriteBlocked, pingRest.isEmpty else { return }
    _ = write([0xE0, 0x00])
  }

  /// Writes what is left of a PINGREQ; false when the socket is still full.
  private func finishPing(now: Int64) throws(LinkFailure) -> Bool {
    guard !pingRest.isEmpty else { return true }
    let count = write(pingRest)
    if count < 0 { throw failure(code: Int32(MOSQ_ERR_CONN_LOST.rawValue), error: errno) }
    pingRest.removeFirst(count)
    if pingRest.isEmpty { lastSent = now }
    return pingRest.isEmpty
  }

  /// Writes bytes to the socket, through TLS when there is some: the number written, -1 when it is lost.
  private func write(_ bytes: [UInt8]) -> Int {
    guard let tls = unsafe mosquitto_ssl_get(handle) else {
      let count = unsafe send(
        mosquitto_socket(handle),
        bytes,
        bytes.count,
        Int32(MSG_NOSIGNAL)
      )
      return count >= 0 ? count : errno == EAGAIN || errno == EINTR ? 0 : -1
    }
    ERR_clear_error()
    let session = OpaquePointer(tls)
    let count = unsafe SSL_write(session, bytes, Int32(bytes.count))
    guard count <= 0 else { return Int(count) }
    let reason = unsafe SSL_get_error(session, count)
    return reason == SSL_ERROR_WANT_WRITE || reason == SSL_ERROR_WANT_READ ? 0 : -1
  }

  // MARK: Requests

  /// Queues a SUBSCRIBE; the packet identifier under which the SUBACK comes.
  ///
  /// Retained messages are asked for only where the subscription is new (MQTT 5; 3.1.1 sends them always).
  func subscribe(_ filters: [String], qos: QoS) throws(LinkFailure) -> Int32 {
    var packet: Int32 = 0
    let copies = unsafe filters.map { unsafe strdup($0) }
    defer { unsafe copies.forEach { unsafe free($0) } }
    let code = unsafe mosquitto_subscribe_multiple(
      handle,
      &packet,
      Int32(filters.count),
      copies,
      Int32(qos.rawValue),
      version == .v5 ? Int32(MQTT_SUB_OPT_SEND_RETAIN_NEW.rawValue) : 0,
      nil
    )
    guard code == MOSQ_ERR_SUCCESS.rawValue else { throw failure(code: code, error: errno) }
    return packet
  }

  /// Queues a PUBLISH; the packet identifier under which its confirmation comes.
  func publish(_ publication: Publication) -> Result<Int32, PublishRefusal> {
    var packet: Int32 = 0
    var properties: OpaquePointer?
    if version == .v5 {
      for (name, value) in publication.userProperties {
        unsafe mosquitto_property_add_string_pair(
          &properties,
          Int32(MQTT_PROP_USER_PROPERTY.rawValue),
          name,
          value
        )
      }
    }
    if version == .v5, !publication.responseTopic.isEmpty {
      let added = unsafe mosquitto_property_add_string(
        &properties,
        Int32(MQTT_PROP_RESPONSE_TOPIC.rawValue),
        publication.responseTopic
      )
      guard added == Int32(MOSQ_ERR_SUCCESS.rawValue) else {
        unsafe mosquitto_property_free_all(&properties)
        return .failure(.invalid(unsafe String(cString: mosquitto_strerror(added))))
      }
    }
    if version == .v5, !publication.correlation.isEmpty {
      let added = unsafe publication.correlation.withUnsafeBytes { data in
        unsafe mosquitto_property_add_binary(
          &properties,
          Int32(MQTT_PROP_CORRELATION_DATA.rawValue),
          data.baseAddress,
          UInt16(clamping: data.count)
        )
      }
      guard added == Int32(MOSQ_ERR_SUCCESS.rawValue) else {
        unsafe mosquitto_property_free_all(&properties)
        return .failure(.invalid(unsafe String(cString: mosquitto_strerror(added))))
      }
    }
    if version == .v5, let expiry = publication.expiry {
      let added = unsafe mosquitto_property_add_int32(
        &properties,
        Int32(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue),
        UInt32(clamping: max(1, expiry.milliseconds / 1_000))
      )
      guard added == Int32(MOSQ_ERR_SUCCESS.rawValue) else {
        unsafe mosquitto_property_free_all(&properties)
        return .failure(.invalid(unsafe String(cString: mosquitto_strerror(added))))
      }
    }
    let code = unsafe publication.payload.withUnsafeBufferPointer { payload in
      unsafe mosquitto_publish_v5(
        handle,
        &packet,
        publication.topic,
        Int32(payload.count),
        payload.baseAddress,
        Int32(publication.qos.rawValue),
        publication.retain,
        properties
      )
    }
    unsafe mosquitto_property_free_all(&properties)
    switch code {
    case Int32(MOSQ_ERR_SUCCESS.rawValue): return .success(packet)
    case Int32(MOSQ_ERR_NO_CONN.rawValue): return .failure(.notConnected)
    default: return .failure(.invalid(unsafe String(cString: mosquitto_strerror(code))))
    }
  }

  // MARK: Ending

  /// Closes the socket without a word.
  func close() {
    defer { stage = .closed }
    switch stage {
    case .closed: return
    case .opening(let opening): if opening.abandon() { return }
    case .handshake, .active: break
    }
    unsafe mosquitto_destroy(handle)
  }

  /// What a return code of the library means here.
  private func failure(code: Int32, error: Int32) -> LinkFailure {
    if let answer = inbox.answer, answer.code != 0 {
      return answer.code == 0x84 || (answer.code == 1 && version == .v311)
        ? .unsupportedVersion : .refused(answer.code)
    }
    let code = mosq_err_t(code)
    switch code {
    case MOSQ_ERR_EAI:
      return .unknownHost(unsafe String(cString: gai_strerror(error)))
    case MOSQ_ERR_TLS: return tlsFailure
    case MOSQ_ERR_ERRNO where usesTLS && error == EPROTO: return tlsFailure
    case MOSQ_ERR_ERRNO where isHandshake && (error == ECONNRESET || error == EPIPE): return hungUp
    case MOSQ_ERR_ERRNO where !isActive && session == nil && error != 0:
      return .unreachable(SystemError.text(error))
    case MOSQ_ERR_SUCCESS, MOSQ_ERR_CONN_LOST, MOSQ_ERR_NO_CONN, MOSQ_ERR_ERRNO:
      // A broker's DISCONNECT closes the socket and leaves its reason code here.
      let reason = inbox.disconnectCode ?? 0
      if isHandshake, reason < 0x80 { return hungUp }
      return .closed(reason >= 0x80 ? UInt8(truncatingIfNeeded: reason) : nil)
    case MOSQ_ERR_MALFORMED_UTF8:
      return .protocolError(
        "the broker sent a topic that is not valid UTF-8; it will send it again until it is"
          + " removed from the session there"
      )
    default:
      return .protocolError(unsafe String(cString: mosquitto_strerror(Int32(code.rawValue))))
    }
  }
}

/// The library's process-wide set-up.
enum MosquittoLibrary {
  /// Set up at first use, never torn down.
  static let initialized: Bool = mosquitto_lib_init() == MOSQ_ERR_SUCCESS.rawValue
}
