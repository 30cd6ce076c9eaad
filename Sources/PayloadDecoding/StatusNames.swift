public import Telemetry

extension SourceStatus {
  /// The status that Davy's own formats mean by `text`: an English wire name or the Chinese term.
  public init?(wireName text: String) {
    guard let status = SourceStatus.allCases.first(where: { $0.names.contains(text) }) else {
      return nil
    }
    self = status
  }

  /// The English wire name.
  public var wireName: String { names[0] }

  /// Wire name, Chinese term, then other terms in use for the same.
  package var names: [String] {
    switch self {
    case .normal: ["normal", "正常"]
    case .alarm: ["alarm", "报警"]
    case .powerCut: ["powerCut", "断电"]
    case .powerRestored: ["powerRestored", "复电"]
    case .feedAbnormal: ["feedAbnormal", "馈电异常"]
    case .calibration: ["calibration", "标校", "调校"]
    case .calibrationAlarm: ["calibrationAlarm", "标校报警"]
    case .overRange: ["overRange", "超量程", "溢出"]
    case .negativeDrift: ["negativeDrift", "负漂"]
    case .sensorFault: ["sensorFault", "传感器故障", "故障"]
    case .lineBroken: ["lineBroken", "断线"]
    case .substationFault: ["substationFault", "分站故障", "分站不通"]
    case .notPolled: ["notPolled", "不巡检"]
    case .paused: ["paused", "暂停"]
    case .maintenance: ["maintenance", "检修"]
    case .outOfUse: ["outOfUse", "停用"]
    case .unknown: ["unknown", "未知"]
    }
  }
}
