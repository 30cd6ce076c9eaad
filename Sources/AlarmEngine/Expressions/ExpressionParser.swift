/// Reads an expression by recursive descent and writes it down in postfix order as it goes.
///
/// Grammar, loosest first; `for` holds for everything before it up to its parenthesis:
///
///     condition  = or [ "for" duration ]
///     or         = and { "or" and }
///     and        = not { "and" not }
///     not        = "not" not | relation
///     relation   = sum [ (">" | ">=" | "<" | "<=" | "==" | "!=") sum ]
///     sum        = product { ("+" | "-") product }
///     product    = factor { ("*" | "/") factor }
///     factor     = "-" factor | number [ unit ] | "true" | "false" | name | "(" condition ")"
///                | function "(" arguments ")" | count "of" "(" condition { "," condition } ")"
struct ExpressionParser {
  /// A value of the stack as the parser knows it.
  private struct Operand {
    /// The unit of a quantity; nil for a condition.
    var unit: MeasurementUnit?
    /// Where in the code a literal stands that is all of the operand; −1 for anything else.
    var constantAt = -1
    var token: ExpressionToken
  }

  private let tokens: [ExpressionToken]
  private let resolve: (String) -> SignalType?
  private var next = 0
  private var nesting = 0
  private(set) var code: [Instruction] = []
  private(set) var signals: [SignalType] = []
  private(set) var windows: [CompiledExpression.Window] = []
  private(set) var persistences = 0

  init(_ text: String, _ resolve: @escaping (String) -> SignalType?) throws(ExpressionError) {
    guard text.utf8.count <= CompiledExpression.Limits.textLength else {
      throw ExpressionError(
        line: 1,
        column: 1,
        message: "the expression is longer than 8,192 bytes",
        remedy: "split it into several rules"
      )
    }
    tokens = try ExpressionLexer.tokens(text)
    self.resolve = resolve
  }

  private var token: ExpressionToken { tokens[next] }

  private func fail(_ token: ExpressionToken, _ message: String, _ remedy: String)
    -> ExpressionError
  {
    ExpressionError(line: token.line, column: token.column, message: message, remedy: remedy)
  }

  private mutating func accept(_ kind: ExpressionToken.Kind) -> Bool {
    guard token.kind == kind else { return false }
    next += 1
    return true
  }

  private mutating func expect(_ symbol: String, _ remedy: String) throws(ExpressionError) {
    guard accept(.symbol(symbol)) else {
      throw fail(token, "“\(symbol)” is missing before \(token.text)", remedy)
    }
  }

  private mutating func emit(_ instruction: Instruction, _ place: ExpressionToken)
    throws(ExpressionError)
  {
    guard code.count < CompiledExpression.Limits.instructions else {
      throw fail(place, "the expression has more than 1,024 steps", "split it into several rules")
    }
    code.append(instruction)
  }

  // MARK: - Conditions

  /// Reads all of the text; the result is a condition.
  mutating func parse() throws(ExpressionError) {
    let result = try condition()
    guard token.kind == .end else {
      throw fail(
        token,
        "\(token.text) comes after the end of the expression",
        "join conditions with and, or; check the parentheses"
      )
    }
    try require(truth: result)
  }

  private mutating func condition() throws(ExpressionError) -> Operand {
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= CompiledExpression.Limits.nesting else {
      throw fail(token, "parentheses are nested deeper than 64", "split it into several rules")
    }
    let operand = try or()
    let place = token
    guard accept(.keyword("for")) else { return operand }
    try require(truth: operand)
    let length = try duration("for")
    try emit(.persist(persistences, duration: length), place)
    persistences += 1
    return Operand(unit: nil, token: operand.token)
  }

  private mutating func or() throws(ExpressionError) -> Operand {
    var left = try and()
    while case .keyword("or") = token.kind {
      let place = token
      next += 1
      try require(truth: left)
      let right = try and()
      try require(truth: right)
      try emit(.or, place)
      left = Operand(unit: nil, token: left.token)
    }
    return left
  }

  private mutating func and() throws(ExpressionError) -> Operand {
    var left = try not()
    while case .keyword("and") = token.kind {
      let place = token
      next += 1
      try require(truth: left)
      let right = try not()
      try require(truth: right)
      try emit(.and, place)
      left = Operand(unit: nil, token: left.token)
    }
    return left
  }

  private mutating func not() throws(ExpressionError) -> Operand {
    // A row of "not"s is counted, not recursed into.
    let place = token
    var count = 0
    while accept(.keyword("not")) { count += 1 }
    let operand = try relation()
    guard count > 0 else { return operand }
    try require(truth: operand)
    for _ in 0..<count { try emit(.not, place) }
    return Operand(unit: nil, token: place)
  }

  private mutating func relation() throws(ExpressionError) -> Operand {
    let left = try sum()
    guard case .symbol(let text) = token.kind,
      let comparison = Instruction.Comparison(rawValue: text)
    else { return left }
    let place = token
    next += 1
    let right = try sum()
    _ = try align(left, right, place, "compared")
    try emit(.compare(comparison), place)
    if case .symbol(let again) = token.kind, Instruction.Comparison(rawValue: again) != nil {
      throw fail(token, "comparisons cannot be chained", "write a < b and b < c")
    }
    return Operand(unit: nil, token: left.token)
  }

  private func require(truth operand: Operand) throws(ExpressionError) {
    if operand.unit != nil {
      throw fail(
        operand.token,
        "\(operand.token.text) is a quantity where a condition is needed",
        "compare it with a limit, for example > 10"
      )
    }
  }

  private func quantity(_ operand: Operand) throws(ExpressionError) -> MeasurementUnit {
    guard let unit = operand.unit else {
      throw fail(
        operand.token,
        "\(operand.token.text) is a condition where a quantity is needed",
        "use and, or, not on conditions"
      )
    }
    return unit
  }

  // MARK: - Quantities

  /// Brings both to the left one's unit, or a literal on the left to the right one's.
  private mutating func align(
    _ left: Operand,
    _ right: Operand,
    _ place: ExpressionToken,
    _ what: String
  ) throws(ExpressionError) -> MeasurementUnit {
    let a = try quantity(left)
    let b = try quantity(right)
    guard a.dimension == b.dimension else {
      let nameA = a.isNumber ? "a plain number" : a.symbol
      let nameB = b.isNumber ? "a plain number" : b.symbol
      let known = (a.isNumber ? b : a)
      let example = known.siblings.isEmpty ? known.symbol : "\(known.symbol), \(known.siblings)"
      throw fail(
        place,
        "\(nameA) cannot be \(what) with \(nameB)",
        "give both the same kind of unit (\(example))"
      )
    }
    guard a.isAbsolute == b.isAbsolute else {
      throw fail(
        place,
        "a temperature cannot be \(what) with a difference of temperatures",
        "write a difference in K, a temperature in °C"
      )
    }
    guard a.factor != b.factor || a.offset != b.offset else { return a }
    if left.constantAt >= 0, case .constant(let value) = code[left.constantAt] {
      code[left.constantAt] = .constant(Self.convert(value, from: a, to: b))
      return b
    }
    if right.constantAt >= 0, case .constant(let value) = code[right.constantAt] {
      code[right.constantAt] = .constant(Self.convert(value, from: b, to: a))
      return a
    }
    try emit(
      .convert(factor: b.factor / a.factor, offset: (b.offset - a.offset) / a.factor),
      place
    )
    return a
  }

  static func convert(_ value: Double, from: MeasurementUnit, to: MeasurementUnit) -> Double {
    // One multiplication where the factors allow it, so that 1000 mm is exactly 1 m.
    if from.offset == 0, to.offset == 0 {
      return to.factor > from.factor
        ? value / (to.factor / from.factor) : value * (from.factor / to.factor)
    }
    return (value * from.factor + from.offset - to.offset) / to.factor
  }

  private mutating func sum() throws(ExpressionError) -> Operand {
    var left = try product()
    while case .symbol(let text) = token.kind, text == "+" || text == "-" {
      let place = token
      next += 1
      let right = try product()
      let unit = try add(left, right, place, isMinus: text == "-")
      left = Operand(unit: unit, token: left.token)
    }
    return left
  }

  private mutating func add(
    _ left: Operand,
    _ right: Operand,
    _ place: ExpressionToken,
    isMinus: Bool
  ) throws(ExpressionError) -> MeasurementUnit {
    let a = try quantity(left)
    let b = try quantity(right)
    if a.isAbsolute != b.isAbsolute, a.dimension == b.dimension {
      // A difference may be added to a temperature, or taken from it.
      guard a.isAbsolute || !isMinus else {
        throw fail(
          place,
          "a temperature cannot be taken from a difference",
          "write the temperature first"
        )
      }
      let (absolute, other) = a.isAbsolute ? (a, b) : (b, a)
      guard absolute.factor == other.factor else {
        throw fail(place, "°F and K cannot be added", "write both in °C and K")
      }
      try emit(isMinus ? .subtract : .add, place)
      return absolute
    }
    let unit = try align(left, right, place, isMinus ? "subtracted" : "added")
    guard isMinus || !unit.isAbsolute else {
      throw fail(
        place,
        "two temperatures cannot be added",
        "compare them, or take their mean with mean()/min()/max()"
      )
    }
    try emit(isMinus ? .subtract : .add, place)
    return unit.difference
  }

  private mutating func product() throws(ExpressionError) -> Operand {
    var left = try factor()
    while case .symbol(let text) = token.kind, text == "*" || text == "/" {
      let place = token
      next += 1
      let right = try factor()
      let a = try quantity(left)
      let b = try quantity(right)
      guard !a.isAbsolute, !b.isAbsolute else {
        throw fail(
          place,
          "a temperature on a scale cannot be multiplied or divided",
          "use a difference, for example T - 0 °C"
        )
      }
      try emit(text == "*" ? .multiply : .divide, place)
      left = Operand(unit: text == "*" ? a.times(b) : a.per(b), token: left.token)
    }
    return left
  }

  private mutating func factor() throws(ExpressionError) -> Operand {
    let place = token
    next += token.kind == .end ? 0 : 1
    switch place.kind {
    case .symbol("-"):
      return try negated(place)
    case .symbol("("):
      let inner = try condition()
      try expect(")", "close the parenthesis opened at \(place.line):\(place.column)")
      return Operand(unit: inner.unit, token: inner.token)
    case .number(let value):
      return try literal(value, place)
    case .keyword("true"), .keyword("false"):
      try emit(.truth(Truth(place.kind == .keyword("true"))), place)
      return Operand(unit: nil, token: place)
    case .name(let name):
      return token.kind == .symbol("(") ? try call(name, place) : try signal(name, place)
    case .end:
      throw fail(place, "the expression ends too early", "write a quantity or a condition")
    case .symbol, .keyword, .unit:
      throw fail(
        place,
        "\(place.text) stands where a quantity or a condition is needed",
        "write a number, a name, a function or a parenthesis"
      )
    }
  }

  private mutating func negated(_ place: ExpressionToken) throws(ExpressionError) -> Operand {
    var count = 1
    while accept(.symbol("-")) { count += 1 }
    let operand = try factor()
    let unit = try quantity(operand)
    if operand.constantAt >= 0, case .constant(let value) = code[operand.constantAt] {
      code[operand.constantAt] = .constant(count % 2 == 1 ? -value : value)
      return operand
    }
    guard !unit.isAbsolute else {
      throw fail(place, "a temperature on a scale cannot be negated", "turn the comparison round")
    }
    if count % 2 == 1 { try emit(.negate, place) }
    return Operand(unit: unit, token: place)
  }

  private mutating func literal(_ value: Double, _ place: ExpressionToken) throws(ExpressionError)
    -> Operand
  {
    if accept(.keyword("of")) { return try voting(value, place) }
    var unit = MeasurementUnit.number
    if case .unit(let text) = token.kind {
      guard let known = MeasurementUnit(text) else {
        throw fail(
          token,
          "“\(text)” is not a known unit",
          "use for example %, %CH4, ppm, %LEL, °C, K, kPa, m, s or a quotient such as K/min"
        )
      }
      unit = known
      next += 1
    }
    try emit(.constant(value), place)
    return Operand(unit: unit, constantAt: code.count - 1, token: place)
  }

  private mutating func voting(_ value: Double, _ place: ExpressionToken) throws(ExpressionError)
    -> Operand
  {
    try expect("(", "write the conditions to be counted in parentheses")
    var members = 0
    repeat {
      try require(truth: try condition())
      members += 1
    } while accept(.symbol(","))
    try expect(")", "close the list opened after “of”")
    guard value.rounded() == value, value >= 1, value <= Double(members) else {
      throw fail(
        place,
        "\(place.text) of \(members) can never be",
        "write a whole number from 1 to \(members)"
      )
    }
    try emit(.atLeast(needed: Int(value), members: members), place)
    return Operand(unit: nil, token: place)
  }

  private mutating func slot(_ name: String, _ place: ExpressionToken) throws(ExpressionError)
    -> (slot: Int, kind: SignalType.Kind)
  {
    guard let type = resolve(name) else {
      throw fail(
        place,
        "there is no signal “\(name)”",
        "write device.point as in the point list, in quotes if it holds other characters"
      )
    }
    if let slot = signals.firstIndex(of: type) { return (slot, type.kind) }
    guard signals.count < CompiledExpression.Limits.signals else {
      throw fail(place, "more than 64 signals in one expression", "split it into several rules")
    }
    signals.append(type)
    return (signals.count - 1, type.kind)
  }

  private mutating func signal(_ name: String, _ place: ExpressionToken) throws(ExpressionError)
    -> Operand
  {
    let (slot, kind) = try slot(name, place)
    switch kind {
    case .quantity(let unit):
      try emit(.signal(slot), place)
      return Operand(unit: unit, token: place)
    case .state:
      try emit(.state(slot), place)
      return Operand(unit: nil, token: place)
    }
  }

  // MARK: - Functions

  private mutating func call(_ name: String, _ place: ExpressionToken) throws(ExpressionError)
    -> Operand
  {
    next += 1
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= CompiledExpression.Limits.nesting else {
      throw fail(place, "functions are nested deeper than 64", "split it into several rules")
    }
    switch name {
    case "abs":
      let operand = try sum()
      let unit = try quantity(operand)
      guard !unit.isAbsolute else {
        throw fail(place, "abs of a temperature means nothing", "take a difference first")
      }
      try emit(.magnitude, place)
      try expect(")", "abs takes one argument")
      return Operand(unit: unit, token: place)
    case "known":
      guard case .name(let signalName) = token.kind else {
        throw fail(token, "known takes a signal's name", "write known(device.point)")
      }
      let at = token
      next += 1
      try emit(.known(try slot(signalName, at).slot), place)
      try expect(")", "known takes one name")
      return Operand(unit: nil, token: place)
    case "min", "max":
      return isWindowCall ? try window(name, place) : try extreme(name, place)
    default:
      return try window(name, place)
    }
  }

  /// True for “name, number unit )”: a window over a signal, not a choice among values.
  private var isWindowCall: Bool {
    guard case .name = token.kind, next + 3 < tokens.count,
      tokens[next + 1].kind == .symbol(","), case .number = tokens[next + 2].kind,
      case .unit(let unit) = tokens[next + 3].kind
    else { return false }
    return MeasurementUnit(unit)?.dimension == MeasurementUnit.Dimension(time: 1)
      && tokens[min(next + 4, tokens.count - 1)].kind == .symbol(")")
  }

  private mutating func extreme(_ name: String, _ place: ExpressionToken) throws(ExpressionError)
    -> Operand
  {
    var left = try sum()
    var unit = try quantity(left)
    while accept(.symbol(",")) {
      let right = try sum()
      unit = try align(left, right, place, "compared")
      try emit(name == "min" ? .smaller : .larger, place)
      left = Operand(unit: unit, token: place)
    }
    try expect(")", "separate the values by commas and close the parenthesis")
    return Operand(unit: unit, token: place)
  }

  private mutating func window(_ name: String, _ place: ExpressionToken) throws(ExpressionError)
    -> Operand
  {
    guard let function = WindowFunction(rawValue: name) else {
      let all = WindowFunction.allCases.map(\.rawValue).joined(separator: ", ")
      throw fail(place, "there is no function “\(name)”", "use abs, known, \(all)")
    }
    guard case .name(let signalName) = token.kind else {
      throw fail(
        token,
        "\(name) takes a signal's name first",
        "write \(name)(device.point, 60 s)"
      )
    }
    let at = token
    next += 1
    let (slot, kind) = try slot(signalName, at)
    guard case .quantity(let unit) = kind else {
      throw fail(at, "\(signalName) is a state, not a quantity", "use a quantity, or “for”")
    }
    try expect(",", "write \(name)(\(signalName), 60 s)")
    let span = try duration(name)
    try expect(")", "\(name) takes a signal and a duration")
    let wanted = CompiledExpression.Window(
      signal: slot,
      span: span,
      statistics: function.statistics
    )
    var index = windows.firstIndex { $0.signal == slot && $0.span == span }
    if let index {
      windows[index].statistics.formUnion(function.statistics)
    } else {
      guard windows.count < CompiledExpression.Limits.windows else {
        throw fail(place, "more than 32 windows in one expression", "split it into several rules")
      }
      windows.append(wanted)
      index = windows.count - 1
    }
    try emit(.window(index ?? 0, function), place)
    return Operand(unit: function.unit(of: unit), token: place)
  }

  /// A literal duration in milliseconds.
  private mutating func duration(_ what: String) throws(ExpressionError) -> Int64 {
    let place = token
    guard case .number(let value) = place.kind else {
      throw fail(place, "\(what) needs a duration", "write for example 10 s, 5 min, 1 h")
    }
    next += 1
    guard case .unit(let text) = token.kind, let unit = MeasurementUnit(text),
      unit.dimension == MeasurementUnit.Dimension(time: 1)
    else {
      throw fail(token, "the duration has no unit of time", "write ms, s, min, h or d after it")
    }
    next += 1
    let milliseconds = (value * unit.factor * 1000).rounded()
    guard milliseconds >= 1, milliseconds <= Double(WindowLimits.longestDuration) else {
      throw fail(place, "a duration must lie within 1 ms and 10 years", "choose another duration")
    }
    return Int64(milliseconds)
  }
}

extension MeasurementUnit {
  func times(_ other: MeasurementUnit) -> MeasurementUnit {
    if other.isNumber, other.factor == 1 { return self }
    if isNumber, factor == 1 { return other }
    return MeasurementUnit(
      symbol: "\(symbol)·\(other.symbol)",
      dimension: dimension * other.dimension,
      factor: factor * other.factor
    )
  }

  func per(_ other: MeasurementUnit) -> MeasurementUnit {
    if other.isNumber, other.factor == 1 { return self }
    return MeasurementUnit(
      symbol: "\(symbol)/\(other.symbol)",
      dimension: dimension / other.dimension,
      factor: factor / other.factor
    )
  }
}
