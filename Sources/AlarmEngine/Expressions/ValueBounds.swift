/// What is known of a quantity: the ends between which it lies.
///
/// One that is known has equal ends, one of which nothing is known lies anywhere. In between are the largest and the smallest of
/// several: the larger of 60 and an unknown is at least 60, which decides whether it is above 25; and those of a window of which
/// not all readings are at hand. What is computed from a quantity by other means than ``scaled(by:plus:)`` and ``negated`` is
/// known only if it is.
struct ValueBounds: Hashable, Sendable {
  let low: Double
  let high: Double

  /// Nothing is known of it.
  static let unknown = ValueBounds(low: -.infinity, high: .infinity)

  private init(low: Double, high: Double) {
    self.low = low
    self.high = high
  }

  /// A value; unknown where that is not a number.
  init(_ value: Double) {
    self = value.isNaN ? .unknown : ValueBounds(low: value, high: value)
  }

  /// This or more.
  static func atLeast(_ value: Double) -> ValueBounds {
    value.isNaN ? .unknown : ValueBounds(low: value, high: .infinity)
  }

  /// This or less.
  static func atMost(_ value: Double) -> ValueBounds {
    value.isNaN ? .unknown : ValueBounds(low: -.infinity, high: value)
  }

  /// The value; not a number unless it is known.
  var value: Double { low == high ? low : .nan }

  /// The same in another unit; the factor is positive.
  func scaled(by factor: Double, plus offset: Double) -> ValueBounds {
    ValueBounds(low: low * factor + offset, high: high * factor + offset)
  }

  /// The opposite.
  var negated: ValueBounds { ValueBounds(low: -high, high: -low) }

  static func smaller(_ left: ValueBounds, _ right: ValueBounds) -> ValueBounds {
    ValueBounds(low: min(left.low, right.low), high: min(left.high, right.high))
  }

  static func larger(_ left: ValueBounds, _ right: ValueBounds) -> ValueBounds {
    ValueBounds(low: max(left.low, right.low), high: max(left.high, right.high))
  }
}

extension Instruction.Comparison {
  /// Whether it holds, wherever between their ends both lie; equality needs both to be known.
  func truth(_ left: ValueBounds, _ right: ValueBounds) -> Truth {
    switch self {
    case .above: left.low > right.high ? .yes : left.high <= right.low ? .no : .unknown
    case .atLeast: left.low >= right.high ? .yes : left.high < right.low ? .no : .unknown
    case .below: left.high < right.low ? .yes : left.low >= right.high ? .no : .unknown
    case .atMost: left.high <= right.low ? .yes : left.low > right.high ? .no : .unknown
    case .equal: equality(left, right)
    case .notEqual: !equality(left, right)
    }
  }

  private func equality(_ left: ValueBounds, _ right: ValueBounds) -> Truth {
    left.value.isNaN || right.value.isNaN ? .unknown : Truth(left.value == right.value)
  }
}
