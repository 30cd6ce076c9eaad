import DeviceCatalog
import HazardLedger
import Telemetry

/// The air at work places: is combustible gas measured all the time, how strong is the wind.
extension WeldingState {
  /// Takes a reading of gas or wind.
  mutating func takeAir(
    _ reading: Reading,
    _ channel: Int,
    sequence: UInt64,
    received: Int64,
    into output: inout CoreOutput
  ) {
    guard let path = frame.airPaths[channel], reading.status.use == .evaluate,
      reading.value.isFinite,
      !reading.flags.contains(.historical)
    else { return }
    air[path] = Sample(value: reading.value, time: received)
    guard frame.airOfChannel[channel] == .wind else { return }
    // A change of the wind concerns those who work in it; a gust that changes nothing costs nothing.
    for area in frame.areasOfWind[path] ?? [] {
      for row in frame.placesInArea[area] ?? [] {
        let place = frame.places[row]
        guard let machine = machines[place.key], machine.session != nil,
          let policy = frame.enterprises[place.enterprise]?.welding.policy,
          case .speed(let speed) = wind(in: area, at: received, policy: policy),
          speed >= policy.windLimit
        else { continue }
        let moment = self.moment(
          max(received, machine.moment),
          received: received,
          sequence: sequence
        )
        judge(row, at: moment, isLater: false, into: &output)
      }
    }
  }

  /// The wind in an area.
  func wind(in area: String, at received: Int64, policy: WeldingPolicy) -> WindState {
    guard let points = frame.windPoints[area] else { return .unmeasured }
    let speeds = points.compactMap { air[$0] }.filter { received - $0.time <= policy.windAge }
    return speeds.map(\.value).max().map(WindState.speed) ?? .unknown
  }

  /// Until when the combustible gas of an area counts as measured; nil when it never was, or nothing measures it.
  func monitoredUntil(_ area: String, policy: WeldingPolicy) -> Int64? {
    (frame.gasPoints[area] ?? []).compactMap { air[$0]?.time }.max()
      .map { $0 + policy.monitorGap }
  }
}
