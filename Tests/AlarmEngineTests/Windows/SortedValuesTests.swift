import AlarmEngine
import Testing

@Suite("Values in order")
struct SortedValuesTests {
  /// In which order values come and go: what a window meets, and what is worst for runs of values.
  enum Course: CaseIterable {
    case noise, rising, falling, sawtooth, twoLevels, ties

    func value(_ index: Int, _ random: inout DetectorRandom) -> Double {
      switch self {
      case .noise: random.normal()
      case .rising: Double(index)
      case .falling: -Double(index)
      case .sawtooth: Double(index % 1700)
      case .twoLevels: Double(index / 900 % 2) * 100 + random.normal()
      case .ties: Double(random.below(5))
      }
    }
  }

  @Test("median, MAD and quantiles are those of a sorted array", arguments: Course.allCases)
  func order(course: Course) {
    for capacity in [1, 2, 60, 511, 512, 513, 1500, 20_000] {
      var random = DetectorRandom(seed: UInt64(capacity))
      var sorted = SortedValues()
      var held: [Double] = []
      for index in 0..<max(4000, 3 * capacity) {
        if held.count == capacity {
          sorted.remove(held.removeFirst())
          // Windows lose many readings at once after a silence.
          if random.below(capacity) == 0 {
            for _ in 0..<random.below(held.count + 1) { sorted.remove(held.removeFirst()) }
          }
        }
        held.append(course.value(index, &random))
        sorted.insert(held[held.count - 1])
        guard index % max(1, capacity / 8) == 0 else { continue }
        let samples = held.map { Sample(time: 0, value: $0) }
        let expected = oracle(samples[...])
        let share = Double(random.below(101)) / 100
        let matches =
          sorted.count == held.count && sorted.median == expected.median
          && sorted.medianAbsoluteDeviation == expected.medianAbsoluteDeviation
          && sorted.quantile(share) == held.sorted()[Int(share * Double(held.count - 1))]
        #expect(matches, "\(course) \(capacity) \(index)")
        if !matches { return }
      }
      #expect(sorted.values == held.sorted())
    }
  }

  @Test("runs stay few, whatever comes and goes", arguments: Course.allCases)
  func runs(course: Course) {
    var random = DetectorRandom(seed: 7)
    var sorted = SortedValues()
    var held: [Double] = []
    var oldest = 0
    for index in 0..<200_000 {
      held.append(course.value(index, &random))
      sorted.insert(held[index])
      // Fills to 60,000, and empties to 2,000 again and again.
      let most = index / 60_000 % 2 == 0 ? 60_000 : 2000
      while held.count - oldest > most {
        sorted.remove(held[oldest])
        oldest += 1
      }
      let bound = 1 + 2 * sorted.count / SortedValues.joinBelow
      if sorted.runCount > bound {
        Issue.record("\(course) \(index): \(sorted.runCount) runs for \(sorted.count) values")
        return
      }
    }
    sorted.removeAll()
    #expect(sorted.count == 0 && sorted.median.isNaN && sorted.runCount == 1)
    sorted.insert(3)
    #expect(sorted.median == 3)
  }

  @Test("bytes give the same values back, and what is not in order is refused")
  func roundTrip() throws {
    for count in [0, 1, 512, 5000] {
      var random = DetectorRandom(seed: 3)
      var sorted = SortedValues()
      for _ in 0..<count { sorted.insert(random.normal()) }
      var bytes: [UInt8] = []
      sorted.write(into: &bytes)
      var reader = StateReader(bytes)
      var restored = try SortedValues(reading: &reader)
      #expect(restored.values == sorted.values)
      #expect(restored.count == count && (count == 0 || restored.median == sorted.median))
      restored.insert(0)
      #expect(restored.count == count + 1)
    }
    var bytes: [UInt8] = []
    bytes.appendState(2)
    bytes.appendState([2.0, 1.0])
    #expect(throws: StateReadError.inconsistent) {
      var reader = StateReader(bytes)
      _ = try SortedValues(reading: &reader)
    }
  }
}
