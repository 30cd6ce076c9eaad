import AlarmEngine

/// A random expression as a tree, written out as text for the parser and walked for the oracle.
indirect enum Tree {
  case literal(Double, String)
  case signal(Int)
  case window(String, Int, Int64)
  case arithmetic(String, Tree, Tree)
  case negative(Tree)
  case extreme(Bool, [Tree])
  case state(Int)
  case known(Int)
  case truth(Bool)
  case relation(String, Tree, Tree)
  case and(Tree, Tree)
  case or(Tree, Tree)
  case not(Tree)
  case count(Int, [Tree])
  case lasting(Int, Tree, Int64)

  static let quantities = 4
  static let names = ["a.level", "T101.temp", "气体.ch4", "GD-07 x", "pump.on", "valve.closed"]

  /// The members of which it is the smallest or the largest, itself or turned round.
  var choice: (isSmallest: Bool, members: [Tree])? {
    switch self {
    case .extreme(let isSmallest, let members): (isSmallest: isSmallest, members: members)
    case .negative(let inner):
      inner.choice.map { choice in
        (isSmallest: !choice.isSmallest, members: choice.members.map { Tree.negative($0) })
      }
    case .literal, .signal, .window, .arithmetic, .state, .known, .truth, .relation, .and, .or,
      .not, .count, .lasting:
      nil
    }
  }

  /// Text with more parentheses than needed now and then.
  func text(_ random: inout DetectorRandom) -> String {
    let plain: String
    switch self {
    case .literal(let value, let unit): plain = "\(value)\(unit)"
    case .signal(let index), .state(let index):
      let name = Self.names[index]
      plain = name.contains(" ") || random.below(5) == 0 ? "\"\(name)\"" : name
    case .window(let function, let index, let span):
      plain = "\(function)(\"\(Self.names[index])\", \(span) ms)"
    case .arithmetic(let symbol, let left, let right):
      plain = "(\(left.text(&random)) \(symbol) \(right.text(&random)))"
    case .negative(let inner): plain = "-(\(inner.text(&random)))"
    case .extreme(let isMin, let members):
      let list = members.map { $0.text(&random) }.joined(separator: ", ")
      plain = "\(isMin ? "min" : "max")(\(list))"
    case .known(let index): plain = "known(\"\(Self.names[index])\")"
    case .truth(let value): plain = value ? "true" : "false"
    case .relation(let symbol, let left, let right):
      plain = "(\(left.text(&random)) \(symbol) \(right.text(&random)))"
    case .and(let left, let right): plain = "(\(left.text(&random)) and \(right.text(&random)))"
    case .or(let left, let right): plain = "(\(left.text(&random)) or \(right.text(&random)))"
    case .not(let inner): plain = "not \(inner.text(&random))"
    case .count(let needed, let members):
      let list = members.map { $0.text(&random) }.joined(separator: " , ")
      plain = "\(needed) of (\(list))"
    case .lasting(_, let inner, let duration): plain = "(\(inner.text(&random)) for \(duration)ms)"
    }
    if case .not = self { return "(\(plain))" }
    return random.below(6) == 0 ? "( \(plain)\n)" : plain
  }
}

/// Draws trees that the type rules allow: all quantities are plain numbers.
struct TreeMaker {
  var random: DetectorRandom
  var clocks = 0

  mutating func quantity(_ depth: Int) -> Tree {
    switch random.below(depth > 0 ? 9 : 3) {
    case 0: return .literal(Double(random.below(200)) / 8, "")
    case 1: return .signal(random.below(Tree.quantities))
    case 2:
      let functions = [
        "mean", "min", "max", "range", "median", "first", "last", "sum", "count", "stddev",
      ]
      return .window(
        functions[random.below(functions.count)],
        random.below(Tree.quantities),
        Int64([500, 3000, 20_000][random.below(3)])
      )
    case 3...6:
      return .arithmetic(
        ["+", "-", "*", "/"][random.below(4)],
        quantity(depth - 1),
        quantity(depth - 1)
      )
    case 7: return .negative(quantity(depth - 1))
    default:
      // With three members it cannot be taken for a window.
      return .extreme(
        random.below(2) == 0,
        [quantity(depth - 1), quantity(depth - 1), quantity(depth - 1)]
      )
    }
  }

  mutating func condition(_ depth: Int) -> Tree {
    switch random.below(depth > 0 ? 12 : 4) {
    case 0: return .truth(random.below(2) == 0)
    case 1: return .state(Tree.quantities + random.below(2))
    case 2: return .known(random.below(Tree.names.count))
    case 3, 4, 5:
      return .relation(
        [">", ">=", "<", "<=", "==", "!="][random.below(6)],
        quantity(depth / 2),
        quantity(depth / 2)
      )
    case 6, 7: return .and(condition(depth - 1), condition(depth - 1))
    case 8: return .or(condition(depth - 1), condition(depth - 1))
    case 9: return .not(condition(depth - 1))
    case 10:
      let members = (0..<(random.below(4) + 1)).map { _ in condition(depth - 1) }
      return .count(random.below(members.count) + 1, members)
    default:
      clocks += 1
      let clock = clocks - 1
      return .lasting(clock, condition(depth - 1), Int64([1, 2000, 10_000][random.below(3)]))
    }
  }
}

/// Walks the tree over the whole history of every signal.
struct TreeWalker {
  var history = [[Sample]](repeating: [], count: Tree.names.count)
  var isKnown = [Bool](repeating: false, count: Tree.names.count)
  var since: [Int64?]
  /// By clock: what it holds back was last known to be false.
  var wasFalse: [Bool]

  init(clocks: Int) {
    since = [Int64?](repeating: nil, count: clocks)
    wasFalse = [Bool](repeating: false, count: clocks)
  }

  private func number(_ tree: Tree, _ now: Int64) -> Double? {
    let value: Double?
    switch tree {
    case .literal(let literal, _): value = literal
    case .signal(let index): value = isKnown[index] ? history[index].last?.value : nil
    case .window(let function, let index, let span):
      guard isKnown[index] else { return nil }
      let values = history[index].filter { $0.time > now - span }
      value = statistic(function, values)
    case .arithmetic(let symbol, let left, let right):
      guard let a = number(left, now), let b = number(right, now) else { return nil }
      value = symbol == "+" ? a + b : symbol == "-" ? a - b : symbol == "*" ? a * b : a / b
    case .negative(let inner): value = number(inner, now).map { -$0 }
    case .extreme:
      let least = number(tree, now, unknownAs: -.infinity)
      value = least == number(tree, now, unknownAs: .infinity) ? least : nil
    default: fatalError("not a quantity")
    }
    return value.flatMap { $0.isFinite ? $0 : nil }
  }

  /// What a quantity would be if all that is not known of it were this.
  private func number(_ tree: Tree, _ now: Int64, unknownAs unknown: Double) -> Double {
    switch tree {
    case .extreme(let isSmallest, let members):
      let values = members.map { number($0, now, unknownAs: unknown) }
      return (isSmallest ? values.min() : values.max()) ?? unknown
    case .negative(let inner): return -number(inner, now, unknownAs: -unknown)
    default: return number(tree, now) ?? unknown
    }
  }

  private func statistic(_ function: String, _ samples: [Sample]) -> Double? {
    if function == "count" { return Double(samples.count) }
    guard !samples.isEmpty else { return nil }
    let summary = oracle(samples[...])
    switch function {
    case "mean": return summary.mean
    case "min": return summary.minimum
    case "max": return summary.maximum
    case "range": return summary.maximum - summary.minimum
    case "median": return summary.median
    case "first": return summary.first
    case "last": return summary.last
    case "sum": return summary.sum
    case "stddev": return summary.variance.isNaN ? nil : summary.variance.squareRoot()
    default: fatalError("no statistic")
    }
  }

  /// The largest of some is above what any of them is above, the smallest what all of them are; and so on.
  private func relation(_ symbol: String, _ left: Tree, _ right: Tree, _ now: Int64) -> Bool? {
    let isEquality = symbol == "==" || symbol == "!="
    if !isEquality, let choice = left.choice {
      let members = choice.members.map { relation(symbol, $0, right, now) }
      return joined(members, byAny: choice.isSmallest == symbol.hasPrefix("<"))
    }
    if !isEquality, let choice = right.choice {
      let members = choice.members.map { relation(symbol, left, $0, now) }
      return joined(members, byAny: choice.isSmallest == symbol.hasPrefix(">"))
    }
    guard let a = number(left, now), let b = number(right, now) else { return nil }
    switch symbol {
    case ">": return a > b
    case ">=": return a >= b
    case "<": return a < b
    case "<=": return a <= b
    case "==": return a == b
    default: return a != b
    }
  }

  private func joined(_ members: [Bool?], byAny: Bool) -> Bool? {
    if members.contains(byAny) { return byAny }
    return members.contains(nil) ? nil : !byAny
  }

  /// Three-valued by trying out: nil is unknown.
  mutating func truth(_ tree: Tree, _ now: Int64) -> Bool? {
    switch tree {
    case .truth(let value): return value
    case .state(let index): return isKnown[index] ? history[index].last.map { $0.value != 0 } : nil
    case .known(let index): return isKnown[index]
    case .relation(let symbol, let left, let right): return relation(symbol, left, right, now)
    case .and(let left, let right):
      let a = truth(left, now)
      let b = truth(right, now)
      return a == false || b == false ? false : a == true && b == true ? true : nil
    case .or(let left, let right):
      let a = truth(left, now)
      let b = truth(right, now)
      return a == true || b == true ? true : a == false && b == false ? false : nil
    case .not(let inner): return truth(inner, now).map { !$0 }
    case .count(let needed, let members):
      var low = 0
      var high = 0
      for member in members {
        let value = truth(member, now)
        low += value == true ? 1 : 0
        high += value == false ? 0 : 1
      }
      return low >= needed ? true : high < needed ? false : nil
    case .lasting(let clock, let inner, let duration):
      let value = truth(inner, now)
      guard value == true else {
        since[clock] = nil
        wasFalse[clock] = value == false
        return value
      }
      let start = since[clock] ?? now
      since[clock] = start
      return now - start >= duration ? true : wasFalse[clock] ? false : nil
    default: fatalError("not a condition")
    }
  }
}
