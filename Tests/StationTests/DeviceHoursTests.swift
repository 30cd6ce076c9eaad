import DeviceCatalog
import Simulation
import Station
import Telemetry
import Testing

/// What the matrix of devices and hours shows, against counting it anew.
@Suite("Hours of devices")
struct DeviceHoursTests {
  @Test(
    "readings, bad ones, late ones, the longest silence",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func model(seed: UInt64) throws {
    let catalog = try Fixture.catalog()
    let devices = Dictionary(
      uniqueKeysWithValues: catalog.devices.enumerated().map { ($0.element.path, $0.offset) }
    )
    let deviceOfChannel = try catalog.channels.map { channel in
      let end = try #require(channel.path.lastIndex(of: "/"))
      return try #require(devices[String(channel.path[..<end])])
    }
    var generator = SeededGenerator(seed: seed)
    var hours = DeviceHours(catalog)
    var model = Model(devices: devices.count)
    var received: Int64 = 1_700_000_000_000
    for _ in 0..<400 {
      var batch: [CoreOutput.ChannelReading] = []
      for _ in 0..<Int.random(in: 1...40, using: &generator) {
        received += Self.step(&generator)
        let channel = Int.random(in: 0...catalog.channels.count, using: &generator)
        let reading = LatestReading(
          time: Timestamp(
            milliseconds: received - Int64.random(in: -9...90_000, using: &generator)
          ),
          received: Timestamp(milliseconds: received),
          value: Int.random(in: 0..<9, using: &generator) == 0 ? .nan : 1,
          status: Int.random(in: 0..<9, using: &generator) == 0 ? .sensorFault : .normal
        )
        batch.append(CoreOutput.ChannelReading(channel: channel, reading: reading))
        guard channel < deviceOfChannel.count else { continue }
        model.add(reading, device: deviceOfChannel[channel])
      }
      hours.add(batch)
    }
    for (device, row) in hours.rows.enumerated() {
      #expect(row.newest?.milliseconds == model.newest[device])
      for number in 0..<DeviceHours.hours {
        let slot = model.slots[device][number]
        #expect(row.cell(hour: slot?.hour ?? Int64(number)) == slot?.cell ?? DeviceHours.Cell())
      }
    }
  }

  /// Mostly a moment; now and then some hours, more than a day, or back: a recording that is sent once more.
  private static func step(_ generator: inout SeededGenerator) -> Int64 {
    switch Int.random(in: 0..<300, using: &generator) {
    case 0: Int64.random(in: 0...30, using: &generator) * 3_600_000
    case 1: -Int64.random(in: 0...30, using: &generator) * 3_600_000
    case 2..<60: Int64.random(in: 0...400_000, using: &generator)
    default: Int64.random(in: 0...1_000, using: &generator)
    }
  }

  /// One slot for hours a day apart, which the newest of them has.
  private struct Model {
    var newest: [Int64?]
    var slots: [[(hour: Int64, cell: DeviceHours.Cell)?]]

    init(devices: Int) {
      newest = Array(repeating: nil, count: devices)
      slots = Array(repeating: Array(repeating: nil, count: DeviceHours.hours), count: devices)
    }

    mutating func add(_ reading: LatestReading, device: Int) {
      let received = reading.received.milliseconds
      let hour = received / 3_600_000
      let number = Int(hour % Int64(DeviceHours.hours))
      var slot = slots[device][number] ?? (hour, DeviceHours.Cell())
      guard slot.hour <= hour else { return }
      if slot.hour < hour { slot = (hour, DeviceHours.Cell()) }
      slot.cell.count += 1
      if reading.value.isNaN || reading.status == .sensorFault { slot.cell.bad += 1 }
      if received - reading.time.milliseconds > DeviceHours.lateness { slot.cell.late += 1 }
      let silence = received - max(newest[device] ?? .min, hour * 3_600_000)
      slot.cell.gap = max(slot.cell.gap, silence)
      slots[device][number] = slot
      newest[device] = max(newest[device] ?? .min, received)
    }
  }
}
