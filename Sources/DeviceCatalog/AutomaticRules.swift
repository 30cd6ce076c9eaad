import AlarmEngine

/// The rules that no profile writes: what a point is to measure, how often it is to be heard and
/// what its source says of itself makes them.
extension RuleProfile {
  /// Outside what the instrument can measure.
  static func range(at place: Place) -> RuleProfile {
    instrument(
      "range",
      LocalizedText(zh: "超出仪表量程，数值不可信", en: "Outside the instrument's range"),
      .physicalRange,
      .range,
      at: place
    )
  }

  /// Silent for so many milliseconds.
  static func stale(after milliseconds: Int64, at place: Place) -> RuleProfile {
    instrument(
      "stale",
      LocalizedText(zh: "数据中断", en: "No data"),
      .stale(after: milliseconds),
      .stale,
      at: place
    )
  }

  /// What the source itself says of the point, beside the value.
  static func reported(at place: Place) -> RuleProfile {
    instrument(
      "reported",
      LocalizedText(
        zh: "来源自报异常（故障或报警）",
        en: "The source reports a fault or an alarm"
      ),
      .reported,
      .reported,
      response: LocalizedText(
        zh: "按来源所报状态查明：报警、馈电异常、超量程按真实险情处置；故障、断线检查传感器、"
          + "供电与通信，恢复前派人用便携仪表监测。",
        en: "See what it reports: answer an alarm, an abnormal feed and an over-range as real; for "
          + "a fault check sensor, supply and link, and measure by portable instrument until it is "
          + "back."
      ),
      at: place
    )
  }

  /// The clock of a device.
  static func clock(at place: Place) -> RuleProfile {
    instrument(
      "clock",
      LocalizedText(zh: "设备时钟异常，按接收时间判定", en: "Device clock wrong; judged by receive time"),
      .clockFault,
      .clock,
      response: LocalizedText(
        zh: "校正设备时钟（对时），检查电池与授时；恢复前以接收时间为准。",
        en: "Set the device's clock, check battery and time source; receive times until then."
      ),
      at: place
    )
  }

  /// The names of these rules, which no rule of a profile may have.
  static let automaticNames = ["range", "stale", "reported", "clock"]

  private static func instrument(
    _ id: String,
    _ text: LocalizedText,
    _ detector: DetectorProfile,
    _ level: AlarmLevel,
    response: LocalizedText = LocalizedText(
      zh: "检查传感器、供电与通信，恢复前派人用便携仪表监测。",
      en: "Check sensor, supply and link; measure by portable instrument until it is back."
    ),
    at place: Place
  ) -> RuleProfile {
    RuleProfile(
      id: id,
      text: text,
      detector: detector,
      level: level,
      priority: .yellow,
      onDelay: 0,
      offDelay: 0,
      isLatching: false,
      reAlarm: 0,
      bound: nil,
      source: RuleSource(origin: .design, mark: .verified),
      response: response,
      only: [],
      isOptional: false,
      fixedRestore: false,
      place: place
    )
  }
}
