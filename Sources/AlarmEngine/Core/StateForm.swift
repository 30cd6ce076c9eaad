import Telemetry

/// What the state of a detector depends on, folded into one number (FNV-1a): the same in every process and on every machine.
struct StateForm {
  private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325

  init() {}

  init(_ expression: CompiledExpression, _ identities: [StableID]) {
    add(expression)
    add(identities)
  }

  /// A baseline that is learnt outlives a change of how many readings it is learnt from.
  init(_ baseline: ControlBaseline) {
    switch baseline {
    case .given(let mean, let deviation):
      add(1)
      add(mean)
      add(deviation)
    case .learned:
      add(0)
    }
  }

  mutating func add(_ word: UInt64) {
    var rest = word
    for _ in 0..<8 {
      hash = (hash ^ (rest & 0xff)) &* 0x0000_0100_0000_01b3
      rest >>= 8
    }
  }

  mutating func add(_ number: Int) { add(UInt64(bitPattern: Int64(number))) }
  mutating func add(_ number: Double) { add(number.bitPattern) }
  mutating func add(_ text: String) {
    for byte in text.utf8 { add(UInt64(byte)) }
    add(UInt64.max)
  }

  mutating func add(_ identities: [StableID]) {
    add(identities.count)
    for identity in identities { add(identity.rawValue) }
  }

  mutating func add(_ numbers: [Double]) {
    add(numbers.count)
    for number in numbers { add(number) }
  }

  mutating func add(_ model: MultivariateModel) {
    add(model.parameters.lags)
    add(model.parameters.smoothing)
    add(model.mean)
    add(model.inverseDeviation)
    add(model.loadings)
  }

  mutating func add(_ expression: CompiledExpression) {
    add(expression.windows.count)
    for window in expression.windows {
      add(window.signal)
      add(Int(window.span))
      add(Int(window.statistics.rawValue))
    }
    add(expression.code.count)
    for instruction in expression.code { add(instruction) }
  }

  private mutating func add(_ instruction: Instruction) {
    switch instruction {
    case .constant(let value):
      add("constant")
      add(value)
    case .truth(let truth):
      add("truth")
      add(Int(truth.rawValue))
    case .signal(let slot):
      add("signal")
      add(slot)
    case .state(let slot):
      add("state")
      add(slot)
    case .known(let slot):
      add("known")
      add(slot)
    case .window(let index, let function):
      add("window")
      add(index)
      add(function.rawValue)
    case .convert(let factor, let offset):
      add("convert")
      add(factor)
      add(offset)
    case .compare(let comparison):
      add("compare")
      add(comparison.rawValue)
    case .atLeast(let needed, let members):
      add("at least")
      add(needed)
      add(members)
    case .persist(let slot, let duration):
      add("persist")
      add(slot)
      add(Int(duration))
    case .add: add("add")
    case .subtract: add("subtract")
    case .multiply: add("multiply")
    case .divide: add("divide")
    case .negate: add("negate")
    case .magnitude: add("magnitude")
    case .smaller: add("smaller")
    case .larger: add("larger")
    case .and: add("and")
    case .or: add("or")
    case .not: add("not")
    }
  }
}
