/// A cross-signal condition, parsed once and evaluated without allocation.
///
/// `mean(T101.level, 60 s) > 85 % and not valve.closed for 10 s`,
/// `2 of (A.ch4 >= 1 %CH4, B.ch4 >= 1 %CH4, C.ch4 >= 1 %CH4)`.
///
/// Quantities carry units and are only compared or added with their like; literals are converted to
/// the signal's unit when the expression is read, so that a limit means the very same number. Every
/// signal can be unknown (stale, bad status, never seen); what depends on it is then unknown, unless the
/// known part decides (Kleene's logic): of `or` and `and`, and of `max` and `min`, by which `max(a, b) > 25 %` is true when
/// either is above. `for` holds for the whole condition before it, up to its
/// parenthesis. Windows are (t − span, t] by event time; of one that has more readings than it may hold is known what
/// those that it holds leave no doubt of (its maximum is theirs at least), for a mean over a part of it would mislead. Division
/// by zero is unknown.
///
/// Source: three-valued logic is that of S. C. Kleene, Introduction to Metamathematics (1952), § 64; `n of` is the voting (MooN)
/// of IEC 61511; the window statistics are at ``WindowSummary``. The language is Davy's own.
///
/// - Defaults: none, the text says all. Durations 1 ms … 10 years; the bounds are ``Limits``.
/// - Warm-up: unknown where it hangs on a signal without a value; a window speaks from its first reading on, and for what
///   needs two of them (`stddev`, `slope`) from the second. `for` begins when the condition has become true; where nothing is
///   known of the time before, it is unknown, not false, until it has run out.
/// - Freeze: none; nothing is learnt.
/// - Bad status: its signal is unknown until its next good reading. Gap: values last until the signal is stale, then it is unknown;
///   readings leave windows by time.
/// - Late reading: left out of windows; the engine does not hand one in.
public struct CompiledExpression: Hashable, Sendable {
  /// Bounds of one expression.
  public enum Limits {
    /// UTF-8 bytes of text.
    public static let textLength = 8192
    /// Steps.
    public static let instructions = 1024
    /// Nested parentheses.
    public static let nesting = 64
    /// Different signals.
    public static let signals = 64
    /// Different windows.
    public static let windows = 32
    /// Readings one window may hold.
    public static let windowCapacity = 65_536
  }

  struct Window: Hashable, Sendable {
    var signal: Int
    var span: Int64
    var statistics: WindowStatistics
  }

  /// The signals it reads; evaluation names them by their place here.
  public let signals: [SignalType]
  let code: [Instruction]
  let windows: [Window]
  let persistences: Int
  let depth: Int

  /// Reads an expression; `resolve` turns a name into a signal.
  public init(
    _ text: String,
    resolve: @escaping (String) -> SignalType?
  ) throws(ExpressionError) {
    var parser = try ExpressionParser(text, resolve)
    try parser.parse()
    signals = parser.signals
    code = parser.code
    windows = parser.windows
    persistences = parser.persistences
    var height = 0
    var depth = 0
    for instruction in code {
      let effect = instruction.effect
      height += effect.leaves - effect.takes
      depth = max(depth, height)
    }
    precondition(height == 1, "an expression must leave one value")
    self.depth = depth
  }
}

/// The running state of one expression: newest values, windows, `for` clocks.
///
/// The engine evaluates it at every reading of one of its signals, when one of them goes stale, and at
/// ``nextDeadline``; between those the condition is taken to last (sample and hold). A reading that is
/// late for a window is left out of it.
public struct ExpressionEvaluator: Sendable {
  /// What is evaluated.
  public let expression: CompiledExpression
  private var values: [Double]
  private var windows: [SlidingWindow]
  private var clocks: [Persistence]
  private var stack: [ValueBounds]

  /// Starts with every signal unknown.
  public init(_ expression: CompiledExpression) {
    self.expression = expression
    values = [Double](repeating: .nan, count: expression.signals.count)
    windows = expression.windows.map { window in
      do {
        return try SlidingWindow(
          span: window.span,
          capacity: CompiledExpression.Limits.windowCapacity,
          statistics: window.statistics
        )
      } catch {
        preconditionFailure("the parser let a bad window pass: \(error)")
      }
    }
    clocks = [Persistence](repeating: Persistence(), count: expression.persistences)
    stack = [ValueBounds](repeating: .unknown, count: max(1, expression.depth))
  }

  /// A signal (by its place in `signals`) has a new value.
  public mutating func update(signal: Int, time: Int64, value: Double) {
    values[signal] = value
    for index in windows.indices where expression.windows[index].signal == signal {
      windows[index].step(time: time, value: value)
    }
  }

  /// A signal has no value any more: stale, or of bad status.
  public mutating func invalidate(signal: Int) {
    values[signal] = .nan
  }

  /// Whether a signal has a value.
  func isKnown(signal: Int) -> Bool { !values[signal].isNaN }

  /// When the condition could change without a reading: the end of a running `for`.
  public var nextDeadline: Int64? {
    var earliest: Int64?
    for instruction in expression.code {
      guard case .persist(let slot, let duration) = instruction,
        let due = clocks[slot].deadline(duration: duration)
      else { continue }
      earliest = min(earliest ?? due, due)
    }
    return earliest
  }

  /// Whether the condition holds at `time`.
  public mutating func evaluate(at time: Int64) -> Truth {
    for index in windows.indices { windows[index].advance(to: time) }
    var top = -1
    for instruction in expression.code {
      switch instruction {
      case .constant(let value):
        top += 1
        stack[top] = ValueBounds(value)
      case .truth(let truth):
        top += 1
        stack[top] = Self.number(truth)
      case .signal(let slot):
        top += 1
        stack[top] = ValueBounds(values[slot])
      case .state(let slot):
        top += 1
        stack[top] = Self.number(values[slot].isNaN ? .unknown : Truth(values[slot] != 0))
      case .known(let slot):
        top += 1
        stack[top] = Self.number(Truth(!values[slot].isNaN))
      case .window(let index, let function):
        top += 1
        let isKnown = !values[expression.windows[index].signal].isNaN
        stack[top] = isKnown ? windows[index].contents.bounds(of: function) : .unknown
      case .convert(let factor, let offset):
        stack[top] = stack[top].scaled(by: factor, plus: offset)
      case .negate: stack[top] = stack[top].negated
      case .magnitude: stack[top] = ValueBounds(stack[top].value.magnitude)
      case .not: stack[top] = Self.number(!truth(top))
      case .persist(let slot, let duration):
        let held = clocks[slot].step(time: time, condition: truth(top), duration: duration)
        stack[top] = Self.number(held)
      case .atLeast(let needed, let members):
        var yes = 0
        var unknown = 0
        for place in (top - members + 1)...top {
          switch truth(place) {
          case .yes: yes += 1
          case .unknown: unknown += 1
          case .no: break
          }
        }
        top -= members - 1
        stack[top] = Self.number(.atLeast(needed, yes: yes, unknown: unknown))
      case .add, .subtract, .multiply, .divide, .smaller, .larger, .compare, .and, .or:
        top -= 1
        stack[top] = combine(instruction, top)
      }
    }
    return truth(0)
  }

  private func truth(_ place: Int) -> Truth {
    stack[place].low == 2 ? .yes : stack[place].low == 0 ? .no : .unknown
  }

  private static func number(_ truth: Truth) -> ValueBounds { ValueBounds(Double(truth.rawValue)) }

  private func combine(_ instruction: Instruction, _ place: Int) -> ValueBounds {
    let left = stack[place]
    let right = stack[place + 1]
    switch instruction {
    case .add: return known(left.value + right.value)
    case .subtract: return known(left.value - right.value)
    case .multiply: return known(left.value * right.value)
    case .divide: return known(left.value / right.value)
    case .smaller: return .smaller(left, right)
    case .larger: return .larger(left, right)
    case .and: return Self.number(truth(place) && truth(place + 1))
    case .or: return Self.number(truth(place) || truth(place + 1))
    case .compare(let comparison): return Self.number(comparison.truth(left, right))
    case .constant, .truth, .signal, .state, .known, .window, .convert, .negate, .magnitude, .not,
      .atLeast, .persist:
      preconditionFailure("not a step with two operands")
    }
  }

  /// What leaves the range of numbers is not known.
  private func known(_ value: Double) -> ValueBounds {
    value.isFinite ? ValueBounds(value) : .unknown
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    bytes.appendState(values.count)
    bytes.appendState(values)
    for window in windows { window.write(into: &bytes) }
    for clock in clocks { clock.write(into: &bytes) }
  }

  /// Reads back state that was written for the same expression.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    guard try reader.count(in: 0...Int.max) == values.count else { throw .inconsistent }
    values = try reader.doubles(values.count)
    for index in windows.indices { try windows[index].restore(from: &reader) }
    for index in clocks.indices { clocks[index] = try Persistence(reading: &reader) }
  }
}

extension SampleWindow {
  /// Between what a statistic lies: where readings are missing for want of room, the others may tell what it is at least.
  func bounds(of function: WindowFunction) -> ValueBounds {
    guard isTruncated else { return ValueBounds(value(of: function)) }
    return switch function {
    case .max, .range: .atLeast(value(of: function))
    case .count: .atLeast(Double(count) + 1)
    case .min: .atMost(minimum)
    case .last: ValueBounds(last)
    case .mean, .stddev, .slope, .median, .first, .sum: .unknown
    }
  }

  func value(of function: WindowFunction) -> Double {
    switch function {
    case .mean: mean
    case .min: minimum
    case .max: maximum
    case .range: maximum - minimum
    case .stddev: variance.squareRoot()
    case .slope: slope
    case .median: median
    case .first: first
    case .last: last
    case .sum: isEmpty ? .nan : sum
    case .count: Double(count)
    }
  }
}
