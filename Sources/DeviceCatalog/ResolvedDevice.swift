import AlarmEngine
import PayloadDecoding
import Telemetry

/// A point of a device with its figures.
struct ResolvedPoint {
  var profile: PointProfile
  var low: Double?
  var high: Double?
  var stale: Int64?
  var override: PointOverride?
  var responsible: [String]
  var scale = 1.0
  var offset = 0.0
  var conversion: String?
  var molarVolume: Double?
  var place: Place

  /// What the instrument can measure.
  var span: ClosedRange<Double>? {
    guard let low, let high, low <= high else { return nil }
    return low...high
  }

  /// The decoder's row for it.
  func entry(channel: ChannelIndex) -> PointEntry {
    // A unit conversion comes first, then the site's own scale and offset on top of it.
    let siteScale = override?.scale ?? 1
    let siteOffset = override?.offset ?? 0
    return PointEntry(
      name: override?.name ?? profile.id,
      channel: channel,
      unit: profile.unit.symbol,
      scale: scale * siteScale,
      offset: offset * siteScale + siteOffset,
      sourceUnit: override?.unit?.symbol,
      aliases: profile.aliases + (override?.aliases ?? [])
    )
  }
}

/// A rule of a point as the profile has it, with what the device's site says of it.
struct RuleSetting {
  /// `point.rule`.
  let name: String
  let profile: RuleProfile
  let point: ResolvedPoint
  let override: LimitOverride?
}

/// A rule of a device with its figures.
struct ResolvedRule {
  var profile: RuleProfile
  var detector: Detector
  var onDelay: Int64
  var offDelay: Int64
  var setpoint: Double?
  var restore: Double?
  /// Large values alarm; nil where there is no limit.
  var isHigh: Bool?
  var condition = ""
  /// The window, whose signals are known when all points have their rows.
  var window: WindowedStatistic.Parameters?
  /// The unit of the figures where it is not the point's.
  var unit: String?
  var bound: String?
  var isLooserThanBound = false
  var isRestoreChanged = false
  var source: RuleSource
  var deviation: ApprovedDeviation?
  var place: Place
}
