/// Converts a value by `scale` and `offset` and settles it to 14 significant decimal digits where anything was converted.
///
/// Without it 0.0024 %VOL times 10,000 is 23.999999999999996 ppm, and a rule "≥ 24 ppm" is not met at exactly its
/// limit. 14 digits are far below any instrument's resolution and far above the error of two operations.
@inline(__always)
func converted(_ value: Double, scale: Double, offset: Double) -> Double {
  if scale == 1 && offset == 0 { return value }
  return settled(value * scale + offset)
}

@inline(never)
func settled(_ value: Double) -> Double {
  guard value.isFinite, value != 0 else { return value }
  // The decimal exponent from the binary one, at most one too small, which costs one digit of the fourteen.
  let exponent = Int((Double(value.exponent) * 0.301_029_995_663_981_2).rounded(.down))
  let digits = 13 - exponent
  guard digits >= 0, digits < powersOfTen.count else { return value }
  let power = powersOfTen[digits]
  return (value * power).rounded() / power
}

/// Powers of ten that a double holds exactly.
private let powersOfTen: [Double] = [
  1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
  1e18, 1e19, 1e20, 1e21, 1e22,
]
