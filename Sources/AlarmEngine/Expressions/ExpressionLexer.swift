/// A word of an expression and where it stands.
struct ExpressionToken: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    case number(Double)
    case name(String)
    case keyword(String)
    case symbol(String)
    /// A unit directly or after blanks behind a number.
    case unit(String)
    case end
  }

  var kind: Kind
  var line: Int
  var column: Int

  /// The token as the author wrote it, for error texts.
  var text: String {
    switch kind {
    case .number(let value): "\(value)"
    case .name(let text), .keyword(let text), .symbol(let text), .unit(let text): text
    case .end: "the end"
    }
  }
}

/// Cuts an expression into tokens.
struct ExpressionLexer {
  static let keywords: Set<String> = ["and", "or", "not", "for", "of", "true", "false"]
  private let characters: [Character]
  private var position = 0
  private var line = 1
  private var column = 1
  private var follows = false  // the token before was a number: a unit may come

  init(_ text: String) {
    characters = Array(text)
  }

  private func peek(_ distance: Int = 0) -> Character? {
    position + distance < characters.count ? characters[position + distance] : nil
  }

  private mutating func advance() {
    if characters[position].isNewline {
      line += 1
      column = 1
    } else {
      column += 1
    }
    position += 1
  }

  static func tokens(_ text: String) throws(ExpressionError) -> [ExpressionToken] {
    var lexer = ExpressionLexer(text)
    var tokens: [ExpressionToken] = []
    while true {
      let token = try lexer.next()
      tokens.append(token)
      if token.kind == .end { return tokens }
    }
  }

  private mutating func next() throws(ExpressionError) -> ExpressionToken {
    while let character = peek(), character.isWhitespace { advance() }
    let place = (line, column)
    func token(_ kind: ExpressionToken.Kind) -> ExpressionToken {
      ExpressionToken(kind: kind, line: place.0, column: place.1)
    }
    guard let character = peek() else { return token(.end) }
    let unitMayCome = follows
    follows = false
    if unitMayCome, Self.isUnitCharacter(character), let unit = takeUnit() {
      return token(.unit(unit))
    }
    if character.isASCII, character.isNumber {
      let value = try number()
      follows = true
      return token(.number(value))
    }
    if character == "\"" { return token(.name(try quoted())) }
    if Self.isNameStart(character) {
      let word = take { Self.isNameCharacter($0) }
      return token(Self.keywords.contains(word) ? .keyword(word) : .name(word))
    }
    for symbol in [
      ">=", "<=", "==", "!=", "≥", "≤", "≠", ">", "<", "(", ")", ",", "+", "-", "*", "/",
    ]
    where starts(with: symbol) {
      for _ in symbol { advance() }
      let plain = ["≥": ">=", "≤": "<=", "≠": "!="][symbol] ?? symbol
      return token(.symbol(plain))
    }
    let remedy =
      character == "="
      ? "write == to compare" : "use names, numbers with units, and, or, not, for, of"
    throw ExpressionError(
      line: line,
      column: column,
      message: "“\(character)” means nothing here",
      remedy: remedy
    )
  }

  private func starts(with symbol: String) -> Bool {
    var distance = 0
    for character in symbol {
      guard peek(distance) == character else { return false }
      distance += 1
    }
    return true
  }

  private mutating func take(while condition: (Character) -> Bool) -> String {
    var text = ""
    while let character = peek(), condition(character) {
      text.append(character)
      advance()
    }
    return text
  }

  static func isNameStart(_ character: Character) -> Bool { character.isLetter || character == "_" }

  static func isNameCharacter(_ character: Character) -> Bool {
    character.isLetter || character.isNumber || character == "_" || character == "."
  }

  private static func isUnitCharacter(_ character: Character) -> Bool {
    character.isLetter || "%‰°℃".contains(character)
  }

  /// The unit at the reading position: the longest run that is a unit; nil when a keyword stands there.
  private mutating func takeUnit() -> String? {
    var run = ""
    var distance = 0
    var best: String?
    while let character = peek(distance) {
      let inside =
        Self.isUnitCharacter(character)
        || !run.isEmpty
          && (character.isNumber || character == "/" || character == "²" || character == "³")
      guard inside else { break }
      run.append(character)
      distance += 1
      if MeasurementUnit(run) != nil { best = run }
    }
    while let last = run.last, last == "/" { run.removeLast() }
    if Self.keywords.contains(run) { return nil }
    let unit = best.flatMap { isCut($0, run) ? nil : $0 } ?? run
    for _ in unit { advance() }
    return unit
  }

  /// True when the unit found is only the beginning of a word ("mean" begins with "m").
  private func isCut(_ unit: String, _ run: String) -> Bool {
    let rest = run.dropFirst(unit.count)
    guard let next = rest.first else { return false }
    return next.isLetter || next.isNumber
  }

  private mutating func quoted() throws(ExpressionError) -> String {
    let place = (line, column)
    advance()
    let text = take { $0 != "\"" && !$0.isNewline }
    guard peek() == "\"", !text.isEmpty else {
      throw ExpressionError(
        line: place.0,
        column: place.1,
        message: "a quoted name has no end or is empty",
        remedy: "close it with \" on the same line"
      )
    }
    advance()
    return text
  }

  private mutating func number() throws(ExpressionError) -> Double {
    let place = (line, column)
    var text = take { $0.isASCII && ($0.isNumber || $0 == "_") }
    if peek() == ".", let digit = peek(1), digit.isASCII, digit.isNumber {
      advance()
      text += "." + take { $0.isASCII && $0.isNumber }
    }
    if peek() == "e" || peek() == "E" {
      let sign = peek(1) == "-" || peek(1) == "+"
      if let digit = peek(sign ? 2 : 1), digit.isASCII, digit.isNumber {
        advance()
        text += "e"
        if sign, let character = peek() {
          text.append(character)
          advance()
        }
        text += take { $0.isASCII && $0.isNumber }
      }
    }
    guard let value = Double(text.filter { $0 != "_" }), value.isFinite else {
      throw ExpressionError(
        line: place.0,
        column: place.1,
        message: "\(text) is not a number that can be held",
        remedy: "write a finite decimal number"
      )
    }
    return value
  }
}
