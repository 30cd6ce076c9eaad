import Synchronization
import Telemetry

/// Something to call through a protocol.
private protocol Weighing: Sendable {
  func weigh(_ value: Double) -> Double
}

private final class Scales: Weighing {
  let tare: Double

  init(tare: Double) {
    self.tare = tare
  }

  @inline(never)
  func weigh(_ value: Double) -> Double { value - tare }
}

private let lastScales = Mutex<(any Weighing)?>(nil)

/// Does for each reading all that the hot path must not do, so that its gate can be seen to notice: allocates,
/// counts references, locks, and calls through a protocol.
@inline(never)
func measuredWastefully(_ batches: [ReadingBatch]) -> Double {
  var sum = 0.0
  for batch in batches {
    for index in 0..<batch.count {
      let value = batch.value[index]
      let scales = lastScales.withLock { last in
        last = Scales(tare: value)
        return last
      }
      sum += scales?.weigh(value) ?? 0
    }
  }
  return sum
}
