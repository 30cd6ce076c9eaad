/// SplitMix64 (Steele, Lea & Flood 2014): the one source of chance in a simulation, so that a seed is the whole report.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Begins the sequence of `seed`.
  public init(seed: UInt64) {
    state = seed
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// True once in `times` on average; never for 0.
  public mutating func isOneIn(_ times: Int) -> Bool {
    times > 0 && Int.random(in: 0..<times, using: &self) == 0
  }
}
