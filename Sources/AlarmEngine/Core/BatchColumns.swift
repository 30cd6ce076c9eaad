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

  /// Looks at a batch's columns; nil for a batch without readings.
  ///
  /// The caller holds the batch for as long as it uses the columns. Storage is looked at directly, because
  /// six nested closures would each put a context, and with it every sum of the loop, into memory.
  @inline(__always)
  @unsafe
  init?(_ batch: borrowing ReadingBatch) {
    let count = batch.count
    precondition(
      batch.time.count == count && batch.value.count == count && batch.status.count == count
        && batch.flags.count == count && batch.originOffset.count == count,
      "a batch has columns of unequal length"
    )
    guard let channels = unsafe batch.channel.withUnsafeBufferPointer({ $0.baseAddress }),
      let times = unsafe batch.time.withUnsafeBufferPointer({ $0.baseAddress }),
      let values = unsafe batch.value.withUnsafeBufferPointer({ $0.baseAddress }),
      let statuses = unsafe batch.status.withUnsafeBufferPointer({ $0.baseAddress }),
      let flags = unsafe batch.flags.withUnsafeBufferPointer({ $0.baseAddress }),
      let origins = unsafe batch.originOffset.withUnsafeBufferPointer({ $0.baseAddress }),
      count > 0
    else { return nil }
    self.count = count
    unsafe self.channels = channels
    unsafe self.times = times
    unsafe self.values = values
    unsafe self.statuses = statuses
    unsafe self.flags = flags
    unsafe self.origins = origins
    baseSequence = batch.baseSequence
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
