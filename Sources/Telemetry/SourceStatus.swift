/// What the source itself says of a reading, beside its value.
///
/// The union of the state codes that mine substations, gas controllers and HJ 212 data flags send.
/// Codes differ by vendor, so each source has its own table (see the device profiles); a code that
/// is in no table becomes ``unknown`` and an event, never ``normal``. Source status, alarm state and
/// hazard state are three machines and stay three.
public enum SourceStatus: UInt8, CaseIterable, Hashable, Sendable {
  /// 正常: measuring, nothing to say.
  case normal = 0
  /// 报警: the source's own alarm is active.
  case alarm = 1
  /// 断电: the source has cut the power it controls.
  case powerCut = 2
  /// 复电: the source has restored the power it controls.
  case powerRestored = 3
  /// 馈电异常: power was commanded off but feed is still present, or the reverse.
  case feedAbnormal = 4
  /// 标校: being calibrated.
  case calibration = 5
  /// 标校报警: above a limit while being calibrated.
  case calibrationAlarm = 6
  /// 超量程: above what the instrument can measure.
  case overRange = 7
  /// 负漂: below zero by drift.
  case negativeDrift = 8
  /// 传感器故障: the sensor reports a fault of its own.
  case sensorFault = 9
  /// 断线: the wire or link to the sensor is broken.
  case lineBroken = 10
  /// 分站故障: the substation or gateway before the sensor has failed.
  case substationFault = 11
  /// 不巡检: left out of the polling on purpose.
  case notPolled = 12
  /// 暂停: paused.
  case paused = 13
  /// 检修: under maintenance.
  case maintenance = 14
  /// 停用: taken out of use.
  case outOfUse = 15
  /// 未知: a code that no table of this source explains.
  case unknown = 16

  /// What a detector may do with a value that carries this status.
  public enum Use: Sendable {
    /// The value is a measurement: evaluate it.
    case evaluate
    /// The value comes from a calibration gas or a test: record it, raise nothing from it.
    case recordOnly
    /// The value is not a measurement at all: the channel has no value.
    case noValue
  }

  /// How detectors treat the value; ``unknown`` is evaluated, because a missed alarm is worse.
  @inlinable
  public var use: Use {
    switch self {
    case .normal, .alarm, .powerCut, .powerRestored, .feedAbnormal, .overRange, .unknown:
      .evaluate
    case .calibration, .calibrationAlarm, .maintenance:
      .recordOnly
    case .negativeDrift, .sensorFault, .lineBroken, .substationFault, .notPolled, .paused,
      .outOfUse:
      .noValue
    }
  }

  /// Whether the source reports a fault or an alarm of its own, whatever the value; nil where what it says neither raises
  /// nor takes back.
  ///
  /// People declare calibration, maintenance, pauses and points that are not polled, and a cut of power follows an alarm:
  /// what was reported before stands until the source is normal again, or the point is out of use.
  @inlinable
  public var reportsTrouble: Bool? {
    switch self {
    case .alarm, .feedAbnormal, .overRange, .negativeDrift, .sensorFault, .lineBroken,
      .substationFault:
      true
    case .normal, .powerRestored, .outOfUse: false
    case .powerCut, .calibration, .calibrationAlarm, .notPolled, .paused, .maintenance, .unknown:
      nil
    }
  }
}
