package import Telemetry

/// What `davy decode` says of a reading's time, which the decoder takes and the clock guard then judges.
package enum DecodedTime {
  /// The distance from the receive time that a gateway is granted where its site file says nothing, ms.
  private static let tolerance: Int64 = 300_000
  /// So near the receive time lies what was sent in seconds and is read as such, ms.
  private static let year: Int64 = 366 * 86_400_000

  /// A warning where the time lies far from the receive time.
  ///
  /// - Parameters:
  ///   - time: the reading's time, ms since 1970.
  ///   - received: the receive time.
  /// - Returns: the words, English and Chinese; nil where there is nothing to say.
  package static func warning(_ time: Timestamp, received: Timestamp) -> String? {
    let lead = time.milliseconds(since: received)
    guard abs(lead) > tolerance else { return nil }
    if abs(time.milliseconds * 1_000 - received.milliseconds) < year {
      return "seconds since 1970, where milliseconds are meant? As it stands the clock alarm comes"
        + " / 是否按秒发送？此处应为毫秒；照此将产生时钟报警"
    }
    let (zh, en) = lead < 0 ? ("早", "before") : ("晚", "after")
    let minutes = abs(lead) / 60_000
    return "\(minutes) min \(en) the receive time: live, the reading is late or the clock at fault"
      + " / 比接收时间\(zh) \(minutes) 分钟：在线时按迟到数据或时钟故障处理"
  }
}
