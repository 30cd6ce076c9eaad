/// The values of a window in order, for median and MAD.
///
/// Insertion and removal find their place in O(log n) and move at most 8n bytes; median is O(1), MAD
/// O(log n). For the window sizes that robust statistics are used with (tens to a few thousand
/// readings) the move is shorter than the cache misses of a tree would be.
package struct SortedValues: Sendable {
  package private(set) var values: [Double] = []

  package init() {}

  package var count: Int { values.count }

  package mutating func reserve(_ capacity: Int) {
    values.reserveCapacity(capacity)
  }

  package mutating func insert(_ value: Double) {
    values.insert(value, at: lowerBound(value))
  }

  /// Removes one value that was inserted before.
  package mutating func remove(_ value: Double) {
    let index = lowerBound(value)
    precondition(index < values.count && values[index] == value, "a value left that never came")
    values.remove(at: index)
  }

  package mutating func removeAll() {
    values.removeAll(keepingCapacity: true)
  }

  private func lowerBound(_ value: Double) -> Int {
    var low = 0
    var high = values.count
    while low < high {
      let middle = (low &+ high) >> 1
      if values[middle] < value { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  package var median: Double {
    let n = values.count
    guard n > 0 else { return .nan }
    return n & 1 == 1 ? values[n / 2] : midpoint(values[n / 2 - 1], values[n / 2])
  }

  /// The value with the share `share` of the others below it: rank ⌊share · (n − 1)⌋ from 0.
  package func quantile(_ share: Double) -> Double {
    guard !values.isEmpty else { return .nan }
    return values[Int(max(0, min(1, share)) * Double(values.count - 1))]
  }

  /// Median of |value − median|.
  ///
  /// Deviations of the values left and right of the median are two ascending sequences, so that the
  /// k-th smallest of both together is found by bisection without forming any of them.
  package var medianAbsoluteDeviation: Double {
    let n = values.count
    guard n > 0 else { return .nan }
    let centre = median
    let upper = deviation(rank: n / 2, about: centre)
    return n & 1 == 1 ? upper : midpoint(deviation(rank: n / 2 - 1, about: centre), upper)
  }

  /// The deviation with `rank` smaller ones before it, counted from 0.
  private func deviation(rank: Int, about centre: Double) -> Double {
    let n = values.count
    let split = n / 2  // left of it: values ≤ centre, from it on: values ≥ centre
    // Take i deviations from the left part and rank + 1 − i from the right, each part's smallest.
    var low = max(0, rank + 1 - (n - split))
    var high = min(split, rank + 1)
    while low < high {
      let fromLeft = (low + high) / 2
      let fromRight = rank + 1 - fromLeft
      // Too few from the left when the next one there is smaller than the last taken from the right.
      if centre - values[split - 1 - fromLeft] < values[split + fromRight - 1] - centre {
        low = fromLeft + 1
      } else {
        high = fromLeft
      }
    }
    let fromRight = rank + 1 - low
    var largest = 0.0
    if low > 0 { largest = max(largest, centre - values[split - low]) }
    if fromRight > 0 { largest = max(largest, values[split + fromRight - 1] - centre) }
    return largest
  }

  private func midpoint(_ a: Double, _ b: Double) -> Double {
    let sum = a + b
    return sum.isFinite ? sum / 2 : a / 2 + b / 2
  }

  package func write(into bytes: inout [UInt8]) {
    bytes.appendState(values.count)
    bytes.appendState(values)
  }

  package init(reading reader: inout StateReader) throws(StateReadError) {
    let count = try reader.count(in: 0...WindowLimits.largestCapacity)
    values = try reader.doubles(count)
    var index = 1
    while index < values.count {
      guard values[index - 1] <= values[index] else { throw .inconsistent }
      index += 1
    }
  }
}
