/// The values of a window in order, for median and MAD.
///
/// They lie in *runs* of at most ``runCapacity`` ascending values, and a tree of partial sums (Fenwick, 1994) over the
/// runs' counts finds a rank. Insertion and removal take O(log n) comparisons and move at most 4 KiB. A run that
/// fills is halved, one that empties joins its neighbour, and the tree is summed anew: n/256 steps, that at least
/// ``joinBelow`` insertions or removals have paid for. Median is O(log n), MAD O(log² n); what is asked for beside is
/// bounded by the window's capacity, which the plan states.
///
/// No exact median of a sliding window takes fewer comparisons than O(log n) a reading, for it sorts (Suomela, *Median
/// Filtering is Equivalent to Sorting*, 2014). Up to ``runCapacity`` values, which robust statistics are mostly taken
/// over, are one run: a sorted array.
package struct SortedValues: Sendable {
  /// Most values of one run.
  package static let runCapacity = 512
  /// A run of fewer values joins a neighbour, unless the two would be full but for as many.
  package static let joinBelow = runCapacity / 4

  /// How many values there are.
  package private(set) var count = 0
  /// None is empty, unless it is the only one.
  private var runs: [[Double]] = [[]]
  /// Memory of runs that joined others.
  private var spare: [[Double]] = []
  /// At `index` the counts of the `index & −index` runs before that index.
  private var sums = [0, 0]

  package init() {}

  /// All values, ascending.
  package var values: [Double] { Array(runs.joined()) }

  /// How many runs there are: of two neighbours at most one is shorter than ``joinBelow``.
  package var runCount: Int { runs.count }

  package mutating func reserve(_ capacity: Int) {
    if runs.count == 1 { runs[0].reserveCapacity(min(capacity, Self.runCapacity)) }
  }

  package mutating func insert(_ value: Double) {
    var index = min(run(reaching: value), runs.count - 1)
    if runs[index].count == Self.runCapacity {
      halve(index)
      if value > runs[index][Self.runCapacity / 2 - 1] { index += 1 }
    }
    runs[index].insert(value, at: lowerBound(of: value, in: index))
    change(index, by: 1)
  }

  /// Removes one value that was inserted before.
  package mutating func remove(_ value: Double) {
    let index = run(reaching: value)
    precondition(index < runs.count, "a value left that never came")
    let place = lowerBound(of: value, in: index)
    precondition(
      place < runs[index].count && runs[index][place] == value,
      "a value left that never came"
    )
    runs[index].remove(at: place)
    change(index, by: -1)
    if runs[index].count < Self.joinBelow, runs.count > 1 { join(index) }
  }

  package mutating func removeAll() {
    while runs.count > 1 { putAside(runs.count - 1) }
    runs[0].removeAll(keepingCapacity: true)
    sumAnew()
  }

  /// The first run that ends with `value` or a larger one; the count of runs when none does.
  private func run(reaching value: Double) -> Int {
    var low = 0
    var high = runs.count
    while low < high {
      let middle = (low &+ high) >> 1
      if let last = runs[middle].last, last < value { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  private func lowerBound(of value: Double, in run: Int) -> Int {
    var low = 0
    var high = runs[run].count
    while low < high {
      let middle = (low &+ high) >> 1
      if runs[run][middle] < value { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  private mutating func change(_ run: Int, by amount: Int) {
    count += amount
    var index = run + 1
    while index < sums.count {
      sums[index] += amount
      index += index & -index
    }
  }

  private mutating func halve(_ run: Int) {
    var upper = spare.popLast() ?? []
    upper.reserveCapacity(Self.runCapacity)
    upper.append(contentsOf: runs[run][(Self.runCapacity / 2)...])
    runs[run].removeLast(upper.count)
    runs.insert(upper, at: run + 1)
    sumAnew()
  }

  /// Puts a short run and a neighbour together, if they leave room for more.
  private mutating func join(_ run: Int) {
    if runs[run].isEmpty {
      putAside(run)
      return sumAnew()
    }
    for lower in [run, run - 1] where lower >= 0 && lower + 1 < runs.count {
      guard runs[lower].count + runs[lower + 1].count <= Self.runCapacity - Self.joinBelow
      else { continue }
      let upper = runs[lower + 1]
      runs[lower].append(contentsOf: upper)
      putAside(lower + 1)
      sumAnew()
      return
    }
  }

  private mutating func putAside(_ run: Int) {
    var memory = runs.remove(at: run)
    memory.removeAll(keepingCapacity: true)
    spare.append(memory)
  }

  private mutating func sumAnew() {
    sums.removeAll(keepingCapacity: true)
    sums.append(0)
    for run in runs { sums.append(run.count) }
    count = 0
    for index in 1..<sums.count {
      count += runs[index - 1].count
      let parent = index + (index & -index)
      if parent < sums.count { sums[parent] += sums[index] }
    }
  }

  /// The value with `rank` others before it, counted from 0; the caller has checked that there is one.
  private func value(rank: Int) -> Double {
    guard runs.count > 1 else { return runs[0][rank] }
    var run = 0
    var rest = rank
    var step = 1 << (Int.bitWidth - 1 - runs.count.leadingZeroBitCount)
    while step > 0 {
      if run + step < sums.count, sums[run + step] <= rest {
        run += step
        rest -= sums[run]
      }
      step >>= 1
    }
    return runs[run][rest]
  }

  package var median: Double {
    guard count > 0 else { return .nan }
    let upper = value(rank: count / 2)
    return count & 1 == 1 ? upper : midpoint(value(rank: count / 2 - 1), upper)
  }

  /// The value with the share `share` of the others below it: rank ⌊share · (n − 1)⌋ from 0.
  package func quantile(_ share: Double) -> Double {
    guard count > 0 else { return .nan }
    return value(rank: Int(max(0, min(1, share)) * Double(count - 1)))
  }

  /// Median of |value − median|.
  ///
  /// Deviations of the values left and right of the median are two ascending sequences, so that the
  /// k-th smallest of both together is found by bisection without forming any of them.
  package var medianAbsoluteDeviation: Double {
    guard count > 0 else { return .nan }
    let centre = median
    let upper = deviation(rank: count / 2, about: centre)
    return count & 1 == 1 ? upper : midpoint(deviation(rank: count / 2 - 1, about: centre), upper)
  }

  /// The deviation with `rank` smaller ones before it, counted from 0.
  private func deviation(rank: Int, about centre: Double) -> Double {
    let split = count / 2  // left of it: values ≤ centre, from it on: values ≥ centre
    // Take i deviations from the left part and rank + 1 − i from the right, each part's smallest.
    var low = max(0, rank + 1 - (count - split))
    var high = min(split, rank + 1)
    while low < high {
      let fromLeft = (low + high) / 2
      let fromRight = rank + 1 - fromLeft
      // Too few from the left when the next one there is smaller than the last taken from the right.
      let next = centre - value(rank: split - 1 - fromLeft)
      if next < value(rank: split + fromRight - 1) - centre {
        low = fromLeft + 1
      } else {
        high = fromLeft
      }
    }
    let fromRight = rank + 1 - low
    var largest = 0.0
    if low > 0 { largest = max(largest, centre - value(rank: split - low)) }
    if fromRight > 0 { largest = max(largest, value(rank: split + fromRight - 1) - centre) }
    return largest
  }

  private func midpoint(_ a: Double, _ b: Double) -> Double {
    let sum = a + b
    return sum.isFinite ? sum / 2 : a / 2 + b / 2
  }

  package func write(into bytes: inout [UInt8]) {
    bytes.appendState(count)
    bytes.appendState(values)
  }

  package init(reading reader: inout StateReader) throws(StateReadError) {
    let count = try reader.count(in: 0...WindowLimits.largestCapacity)
    let values = try reader.doubles(count)
    var index = 1
    while index < values.count {
      guard values[index - 1] <= values[index] else { throw .inconsistent }
      index += 1
    }
    guard let most = values.indices.last else { return }
    // Half full, so that the first readings after a restart halve none.
    let half = Self.runCapacity / 2
    runs = stride(from: 0, through: most, by: half).map { start in
      Array(values[start..<min(start + half, values.count)])
    }
    sumAnew()
  }
}
