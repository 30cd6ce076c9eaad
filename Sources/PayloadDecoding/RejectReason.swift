/// Why a message or a reading was refused: a bounded list, so that it can label a counter.
///
/// The raw values are wire names: they appear in the ledger, in metrics and on the feedback topic,
/// and never change once released.
public enum RejectReason: String, CaseIterable, Hashable, Sendable {
  /// No route's template matches the topic.
  case unknownTopic
  /// The payload is longer than the limit.
  case oversize
  /// The payload breaks the grammar of its format.
  case malformedPayload
  /// Text that has to be UTF-8 is not.
  case invalidUTF8
  /// A JSON object names a member twice.
  case duplicateKey
  /// The payload nests deeper than the limit.
  case tooDeep
  /// The message carries more readings than the limit.
  case tooManyReadings
  /// A form or version of the format that is not supported.
  case unsupportedFormat
  /// Something required is absent.
  case missingField
  /// Something is there with the wrong type.
  case wrongType
  /// No such device in the catalog.
  case unknownDevice
  /// The device name fits several enterprises and the topic does not say which.
  case ambiguousDevice
  /// The device has no such point.
  case unknownPoint
  /// The publisher's enterprise or gateway does not own the device.
  case notOwner
  /// The value is NaN, infinite or too large for a double.
  case notFinite
  /// The time cannot be read.
  case timeMalformed
  /// The time is absurd: before 1970 or more than a century ahead.
  case timeOutOfRange
  /// The unit sent cannot be converted to the point's unit.
  case unitMismatch
  /// The declared length is not the length received.
  case lengthMismatch
  /// The check sum is wrong.
  case checksumMismatch
  /// The check sum is a Modbus CRC where HJ 212 asks for its own.
  case modbusChecksum
  /// Parts of a message that was sent in several never came.
  case incompleteParts
  /// A Sparkplug metric refers to an alias that no birth certificate defined.
  case unknownAlias
  /// Sparkplug data of a node or device whose birth certificate has not been seen.
  case notBorn
  /// The decoder already keeps as much state for this format as it may.
  case stateLimit
  /// A retained message without a time of its own: how old the value is, nobody knows.
  case retainedUntimed
  /// Of a reading only its status: it is in no table, or absent where it has to be sent. The reading is taken, its status
  /// as unknown.
  case unmappedStatus

  /// What the sender should do, in English.
  public var remedy: String { text.english }

  /// What the sender should do, in Chinese.
  public var remedyChinese: String { text.chinese }

  private var text: (english: String, chinese: String) {
    switch self {
    case .unknownTopic:
      (
        "Publish to a topic that the service's routes name, e.g. davy/v1/{enterprise}/{gateway}/readings.",
        "请发布到服务路由中登记的主题,例如 davy/v1/{企业}/{网关}/readings。"
      )
    case .oversize:
      (
        "Send fewer readings in a message; the limit is in the decoding limits.",
        "请减少单条消息中的测点数量,上限见解码限制配置。"
      )
    case .malformedPayload:
      (
        "Correct the syntax at the place given; check for a truncated message or a wrong format.",
        "请按所示位置修正报文语法,检查报文是否被截断或格式选错。"
      )
    case .invalidUTF8:
      (
        "Encode text as UTF-8; a gateway that sends GBK has to convert first.",
        "文本必须使用 UTF-8 编码;使用 GBK 的网关请先转码。"
      )
    case .duplicateKey:
      (
        "Name each member of a JSON object once; send several values as an array.",
        "同一 JSON 对象中的键不得重复;多个值请用数组发送。"
      )
    case .tooDeep:
      ("Nest arrays and objects less deeply.", "请减少数组和对象的嵌套层数。")
    case .tooManyReadings:
      ("Split the message into several.", "请将消息拆分为多条发送。")
    case .unsupportedFormat:
      (
        "Use a form and version listed on the format's page in the documentation.",
        "请使用格式文档中列出的形式和版本。"
      )
    case .missingField:
      ("Add the field named.", "请补充所示字段。")
    case .wrongType:
      (
        "Send the field with the type the format asks for (a number, not text; true and false only of states and counts).",
        "请按格式要求的类型发送该字段(数值而非文本;true/false 仅用于状态量和计数量)。"
      )
    case .unknownDevice:
      (
        "Add the device to the site's register, or correct its identifier at the gateway.",
        "请在站点设备台账中登记该设备,或在网关中更正设备编号。"
      )
    case .ambiguousDevice:
      (
        "Let the topic name enterprise and gateway, or make the device name unique.",
        "请在主题中写明企业和网关,或使设备编号唯一。"
      )
    case .unknownPoint:
      (
        "Add the point to the device's point list, or correct its name at the gateway.",
        "请在设备点表中登记该测点,或在网关中更正测点名称。"
      )
    case .notOwner:
      (
        "Publish under the enterprise and gateway that the register names as the device's owner.",
        "请使用台账中登记的该设备所属企业和网关的主题发布。"
      )
    case .notFinite:
      (
        "Send a finite number; say with the status that there is no measurement.",
        "请发送有限数值;无测量值时请用状态字段说明。"
      )
    case .timeMalformed:
      (
        "Send the time in the form the route declares, with its zone.",
        "请按路由声明的时间格式发送,并带时区。"
      )
    case .timeOutOfRange:
      (
        "Check the unit of the time stamp (seconds or milliseconds) and the device's clock.",
        "请检查时间戳单位(秒或毫秒)以及设备时钟。"
      )
    case .unitMismatch:
      (
        "Send the unit that the point list declares, or declare the unit sent as the source unit.",
        "请按点表声明的单位发送,或在点表中声明来源单位。"
      )
    case .lengthMismatch:
      (
        "Count the bytes of the data segment for the length field; check for truncation.",
        "长度字段应为数据段字节数,请检查报文是否被截断。"
      )
    case .checksumMismatch:
      (
        "Compute the check sum over the data segment as the standard says.",
        "请按标准对数据段计算校验码。"
      )
    case .modbusChecksum:
      (
        "This is a Modbus CRC. HJ 212 shifts the register before the exclusive or: use its annex A.",
        "该校验码是 Modbus CRC。HJ 212 先移位再异或,请按其附录 A 计算。"
      )
    case .incompleteParts:
      (
        "Send every part (PNO 1 to PNUM) with the same QN within the time allowed.",
        "请在规定时间内以同一 QN 发送全部分包(PNO 1 至 PNUM)。"
      )
    case .unknownAlias:
      (
        "List every metric with its alias in the birth certificate.",
        "请在出生证书(BIRTH)中列出全部指标及其别名。"
      )
    case .notBorn:
      (
        "Publish the birth certificate before data; a rebirth has been asked for.",
        "请先发布出生证书(BIRTH)再发送数据;已请求重新发布。"
      )
    case .stateLimit:
      (
        "Use fewer nodes or parallel multi-part messages, or raise the limit.",
        "请减少节点或并行分包数量,或提高限制。"
      )
    case .retainedUntimed:
      (
        "Send the time of measurement with each reading, or publish readings without the retain flag.",
        "请随每个读数发送测量时间,或发布读数时不要设置保留(retain)标志。"
      )
    case .unmappedStatus:
      (
        "Add the code to the device's or the mapping's status codes, or send the status where the mapping declares it.",
        "请在设备或映射的状态码表中登记该代码,或在映射声明的位置发送状态。"
      )
    }
  }
}
