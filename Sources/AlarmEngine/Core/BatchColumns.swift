import Telemetry

/// A batch's columns as pointers, for the length of one engine call.
@safe
struct BatchColumns {
  let count: Int
  private let channels: UnsafePointer<UInt32>
  private let times: UnsafePointer<Int64>
  private let values: UnsafePointer<Double>
  private let statuses: UnsafePointer<UInt8>
  private let flags: UnsafePointer<UInt8>
  private let origins: UnsafePointer<UInt32>
  private let baseSequence: UInt64

  /// Calls `body` with the columns of a batch that holds at least one reading.
  @inline(__always)
  static func with(_ batch: borrowing ReadingBatch, _ body: (BatchColumns) -> Void) {
    let (channels, times, values) = (batch.channel, batch.time, batch.value)
    let (statuses, flags, origins) = (batch.status, batch.flags, batch.originOffset)
    let baseSequence = batch.baseSequence
    let count = channels.count
    precondition(
      times.count == count && values.count == count && statuses.count == count
        && flags.count == count && origins.count == count,
      "a batch has columns of unequal length"
    )
    // The arrays are not touched and outlive the call, so their storage may be looked at without the
    // six nested closures, each with a context to allocate, that would say the same.
    withExtendedLifetime((channels, times, values, statuses, flags, origins)) {
      guard let channels = unsafe channels.withUnsafeBufferPointer({ $0.baseAddress }),
        let times = unsafe times.withUnsafeBufferPointer({ $0.baseAddress }),
        let values = unsafe values.withUnsafeBufferPointer({ $0.baseAddress }),
        let statuses = unsafe statuses.withUnsafeBufferPointer({ $0.baseAddress }),
        let flags = unsafe flags.withUnsafeBufferPointer({ $0.baseAddress }),
        let origins = unsafe origins.withUnsafeBufferPointer({ $0.baseAddress })
      else { return }
      unsafe body(
        BatchColumns(
          count: count,
          channels: channels,
          times: times,
          values: values,
          statuses: statuses,
          flags: flags,
          origins: origins,
          baseSequence: baseSequence
        )
      )
    }
  }

  /// The greatest row number in the batch.
  var greatestChannel: Int {
    var greatest: UInt32 = 0
    for index in 0..<count { greatest = unsafe max(greatest, channels[index]) }
    return Int(greatest)
  }

  /// True when every reading has normal status and no flag.
  func arePlain(_ range: Range<Int>) -> Bool {
    var special: UInt8 = 0
    for index in range { special |= unsafe statuses[index] | flags[index] }
    return special == 0
  }

  @inline(__always)
  func channel(_ index: Int) -> Int { unsafe Int(channels[index]) }

  @inline(__always)
  func time(_ index: Int) -> Int64 { unsafe times[index] }

  @inline(__always)
  func value(_ index: Int) -> Double { unsafe values[index] }

  @inline(__always)
  func sequence(_ index: Int) -> UInt64 { unsafe baseSequence &+ UInt64(origins[index]) }

  func reading(_ index: Int) -> Reading {
    unsafe Reading(
      channel: ChannelIndex(rawValue: channels[index]),
      time: Timestamp(milliseconds: times[index]),
      value: values[index],
      status: SourceStatus(rawValue: statuses[index]) ?? .unknown,
      flags: ReadingFlags(rawValue: flags[index])
    )
  }
}
