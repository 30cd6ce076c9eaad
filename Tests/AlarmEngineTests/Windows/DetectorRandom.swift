/// A seeded generator (SplitMix64) for the oracle tests; a failing seed is a complete report.
struct DetectorRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    // (Not times the step: all seeds would then have one stream, each a draw further on than the one before.)
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  /// Uniform on [0, 1).
  mutating func unit() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  mutating func below(_ bound: Int) -> Int {
    Int(next() % UInt64(bound))
  }

  /// Standard normal, by inversion.
  mutating func normal() -> Double {
    inverseNormal(max(unit(), 0x1p-54))
  }
}

/// Quantile of the standard normal distribution, by the rational approximation of Acklam (relative
/// error below 1.15e-9).
func inverseNormal(_ p: Double) -> Double {
  let a = [
    -3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02, 1.383577518672690e+02,
    -3.066479806614716e+01, 2.506628277459239e+00,
  ]
  let b = [
    -5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01,
    -1.328068155288572e+01,
  ]
  let low = 0.02425
  if p < low || p > 1 - low {
    return tailQuantile(p)
  }
  let q = p - 0.5
  let r = q * q
  let numerator = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q
  let denominator = ((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1
  return numerator / denominator
}

private func tailQuantile(_ p: Double) -> Double {
  let c = [
    -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00, -2.549732539343734e+00,
    4.374664141464968e+00, 2.938163982698783e+00,
  ]
  let d = [
    7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00,
  ]
  let tail = min(p, 1 - p)
  let q = (-2 * naturalLogarithm(tail)).squareRoot()
  let numerator = ((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]
  let denominator = (((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1
  let quantile = numerator / denominator
  return p < 0.5 ? quantile : -quantile
}

/// ln x by the series of artanh about the significand; enough digits for tests, and no libm.
func naturalLogarithm(_ x: Double) -> Double {
  let m = x.significand
  let y = (m - 1) / (m + 1)
  let y2 = y * y
  var term = y
  var sum = 0.0
  var k = 1.0
  while k < 60 {
    sum += term / k
    term *= y2
    k += 2
  }
  return 2 * sum + Double(x.exponent) * 0.693147180559945309417232121458
}
