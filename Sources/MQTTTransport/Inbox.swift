import CMosquitto
import Glibc

/// The broker's answer to CONNECT.
struct ConnectAnswer {
  var code: UInt8
  var sessionPresent: Bool
  var serverKeepAlive: UInt16?
}

/// What one connection's callbacks leave behind for the thread that drives it.
///
/// libmosquitto calls back only from within calls made by that thread, so nothing here is locked.
final class Inbox {
  let maximumPayload: Int
  let oversizeSample: Int
  var batch = MessageBatch()
  /// Messages read at QoS 1 or 2 whose acknowledgement waits in the library's queue.
  var unacknowledged = 0
  /// Counts callbacks; tells whether a read made progress.
  var activity = 0
  var answer: ConnectAnswer?
  var grants: [(packet: Int32, codes: [UInt8])] = []
  var confirmations: [(packet: Int32, code: UInt8)] = []
  var disconnectCode: Int32?
  /// The library's last error message while connecting; the only place where it tells of TLS.
  var lastError: String?

  init(maximumPayload: Int, oversizeSample: Int) {
    self.maximumPayload = maximumPayload
    self.oversizeSample = oversizeSample
  }

  fileprivate static func of(_ pointer: UnsafeMutableRawPointer?) -> Inbox? {
    guard let pointer = unsafe pointer else { return nil }
    return unsafe Unmanaged<Inbox>.fromOpaque(pointer).takeUnretainedValue()
  }
}

/// Sets all callbacks of a handle.
///
/// They capture nothing and are formed where nothing is isolated.
nonisolated func installCallbacks(_ handle: OpaquePointer) {
  unsafe mosquitto_connect_v5_callback_set(handle, onConnect)
  unsafe mosquitto_disconnect_v5_callback_set(handle, onDisconnect)
  unsafe mosquitto_message_v5_callback_set(handle, onMessage)
  unsafe mosquitto_subscribe_v5_callback_set(handle, onSubscribe)
  unsafe mosquitto_publish_v5_callback_set(handle, onPublish)
  unsafe mosquitto_log_callback_set(handle, onLog)
}

private func onConnect(
  _: OpaquePointer?,
  _ context: UnsafeMutableRawPointer?,
  code: Int32,
  flags: Int32,
  properties: OpaquePointer?
) {
  guard let inbox = unsafe Inbox.of(context) else { return }
  inbox.activity &+= 1
  var keepAlive: UInt16 = 0
  let found = unsafe mosquitto_property_read_int16(
    properties,
    Int32(MQTT_PROP_SERVER_KEEP_ALIVE.rawValue),
    &keepAlive,
    false
  )
  inbox.answer = ConnectAnswer(
    code: UInt8(truncatingIfNeeded: code),
    sessionPresent: flags & 1 != 0,
    serverKeepAlive: unsafe found == nil ? nil : keepAlive
  )
}

private func onDisconnect(
  _: OpaquePointer?,
  _ context: UnsafeMutableRawPointer?,
  code: Int32,
  _: OpaquePointer?
) {
  guard let inbox = unsafe Inbox.of(context), inbox.disconnectCode == nil else { return }
  inbox.disconnectCode = code
}

private func onMessage(
  _: OpaquePointer?,
  _ context: UnsafeMutableRawPointer?,
  message: UnsafePointer<mosquitto_message>?,
  properties: OpaquePointer?
) {
  guard let context = unsafe context, let message = unsafe message?.pointee else { return }
  // The connection holds it as long as it may be called back: nothing is counted for a message.
  unsafe Unmanaged<Inbox>.fromOpaque(context)._withUnsafeGuaranteedRef { inbox in
    unsafe inbox.take(message, properties)
  }
}

extension Inbox {
  /// Keeps a message that the library hands over for the length of the call.
  @unsafe
  fileprivate func take(_ message: mosquitto_message, _ properties: OpaquePointer?) {
    activity &+= 1
    if unsafe message.qos > 0 { unacknowledged += 1 }
    let topic = unsafe UnsafeRawBufferPointer(
      start: message.topic,
      count: message.topic.map { unsafe strlen($0) } ?? 0
    )
    let payload = unsafe UnsafeRawBufferPointer(
      start: message.payload,
      count: message.payload == nil ? 0 : Int(message.payloadlen)
    )
    let flags = unsafe UInt8(message.qos & 3) | (message.retain ? 4 : 0)
    unsafe batch.append(
      topic: topic,
      payload: payload,
      flags: flags,
      properties: properties == nil ? [] : userProperties(properties),
      request: properties == nil ? nil : requestProperties(properties),
      maximum: maximumPayload,
      sample: oversizeSample
    )
  }
}

private func onSubscribe(
  _: OpaquePointer?,
  _ context: UnsafeMutableRawPointer?,
  packet: Int32,
  count: Int32,
  codes: UnsafePointer<Int32>?,
  _: OpaquePointer?
) {
  guard let inbox = unsafe Inbox.of(context) else { return }
  inbox.activity &+= 1
  let codes = unsafe UnsafeBufferPointer(start: codes, count: Int(count))
  unsafe inbox.grants.append((packet, codes.map { UInt8(truncatingIfNeeded: $0) }))
}

private func onPublish(
  _: OpaquePointer?,
  _ context: UnsafeMutableRawPointer?,
  packet: Int32,
  code: Int32,
  _: OpaquePointer?
) {
  guard let inbox = unsafe Inbox.of(context) else { return }
  inbox.activity &+= 1
  inbox.confirmations.append((packet, UInt8(truncatingIfNeeded: code)))
}

private func onLog(
  _: OpaquePointer?,
  _ context: UnsafeMutableRawPointer?,
  level: Int32,
  text: UnsafePointer<CChar>?
) {
  guard level == MOSQ_LOG_ERR || level == MOSQ_LOG_WARNING, let inbox = unsafe Inbox.of(context),
    let text = unsafe text
  else { return }
  inbox.lastError = unsafe String(cString: text)
}

/// Copies the user properties of a message.
private func userProperties(_ list: OpaquePointer?) -> [(String, String)] {
  var pairs: [(String, String)] = []
  var property = unsafe list
  while let current = unsafe property {
    if unsafe mosquitto_property_identifier(current)
      == Int32(MQTT_PROP_USER_PROPERTY.rawValue)
    {
      var name: UnsafeMutablePointer<CChar>?
      var value: UnsafeMutablePointer<CChar>?
      _ = unsafe mosquitto_property_read_string_pair(
        current,
        Int32(MQTT_PROP_USER_PROPERTY.rawValue),
        &name,
        &value,
        false
      )
      if let name = unsafe name, let value = unsafe value {
        unsafe pairs.append((String(cString: name), String(cString: value)))
      }
      unsafe free(name)
      unsafe free(value)
    }
    unsafe property = mosquitto_property_next(current)
  }
  return pairs
}

/// Copies response topic and correlation data of a message; nil when it has neither.
private func requestProperties(_ list: OpaquePointer?) -> RequestProperties? {
  var text: UnsafeMutablePointer<CChar>?
  _ = unsafe mosquitto_property_read_string(
    list,
    Int32(MQTT_PROP_RESPONSE_TOPIC.rawValue),
    &text,
    false
  )
  var data: UnsafeMutableRawPointer?
  var length: UInt16 = 0
  _ = unsafe mosquitto_property_read_binary(
    list,
    Int32(MQTT_PROP_CORRELATION_DATA.rawValue),
    &data,
    &length,
    false
  )
  defer {
    unsafe free(text)
    unsafe free(data)
  }
  guard unsafe text != nil || data != nil else { return nil }
  return RequestProperties(
    responseTopic: unsafe text.map { unsafe String(cString: $0) } ?? "",
    correlation: unsafe data.map {
      unsafe Array(UnsafeRawBufferPointer(start: $0, count: Int(length)))
    } ?? []
  )
}
