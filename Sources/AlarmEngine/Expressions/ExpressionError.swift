/// Why an expression is refused, with the place and what to do about it.
public struct ExpressionError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Line, from 1.
  public var line: Int
  /// Column, from 1, in characters.
  public var column: Int
  /// What is wrong.
  public var message: String
  /// What to do about it.
  public var remedy: String

  /// Line, column, message and remedy in one line.
  public var description: String { "\(line):\(column): \(message); \(remedy)" }
}

/// What a signal name stands for.
public struct SignalType: Hashable, Sendable {
  /// Kinds of signals.
  public enum Kind: Hashable, Sendable {
    /// A measured quantity with its unit.
    case quantity(MeasurementUnit)
    /// On or off: true when the value is not 0.
    case state
  }

  /// Number by which the caller knows the signal (a channel's row).
  public var index: Int
  /// What it is.
  public var kind: Kind

  /// Makes a signal's type.
  public init(index: Int, kind: Kind) {
    self.index = index
    self.kind = kind
  }
}

/// Statistics of a signal's window that an expression can ask for.
enum WindowFunction: String, CaseIterable, Hashable, Sendable {
  case mean, min, max, range, stddev, slope, median, first, last, sum, count

  var statistics: WindowStatistics {
    switch self {
    case .mean, .stddev, .slope, .sum: .moments
    case .min, .max, .range: .extrema
    case .median: .order
    case .first, .last, .count: []
    }
  }

  func unit(of unit: MeasurementUnit) -> MeasurementUnit {
    switch self {
    case .mean, .min, .max, .median, .first, .last: unit
    case .range, .stddev: unit.difference
    case .slope:
      MeasurementUnit(
        symbol: unit.symbol + "/s",
        dimension: unit.dimension / MeasurementUnit.Dimension(time: 1),
        factor: unit.factor
      )
    case .sum: unit.difference
    case .count: .number
    }
  }
}

/// One step of a compiled expression, in postfix order.
enum Instruction: Hashable, Sendable {
  case constant(Double)
  case truth(Truth)
  case signal(Int)
  case state(Int)
  case known(Int)
  case window(Int, WindowFunction)
  /// value · factor + offset.
  case convert(factor: Double, offset: Double)
  case add, subtract, multiply, divide, negate, magnitude, smaller, larger
  case compare(Comparison)
  case and, or, not
  case atLeast(needed: Int, members: Int)
  case persist(Int, duration: Int64)

  enum Comparison: String, CaseIterable, Hashable, Sendable {
    case above = ">"
    case atLeast = ">="
    case below = "<"
    case atMost = "<="
    case equal = "=="
    case notEqual = "!="
  }

  /// How many values it takes from the stack, and how many it leaves.
  var effect: (takes: Int, leaves: Int) {
    switch self {
    case .constant, .truth, .signal, .state, .known, .window: (0, 1)
    case .convert, .negate, .magnitude, .not, .persist: (1, 1)
    case .add, .subtract, .multiply, .divide, .smaller, .larger, .compare, .and, .or: (2, 1)
    case .atLeast(_, let members): (members, 1)
    }
  }
}
