/// Eigenvalues and eigenvectors of a real symmetric matrix, by cyclic Jacobi rotations.
///
/// Source: G. H. Golub and C. F. Van Loan, Matrix Computations, 8.5. Slow beside tridiagonal methods,
/// but short, needs no library, and finds small eigenvalues to high relative accuracy. Used when a
/// model is learned, never per reading.
package struct SymmetricEigen: Sendable {
  /// Eigenvalues, largest first.
  package private(set) var values: [Double]
  /// Eigenvectors: component `row` of vector `column` at `row * size + column`.
  package private(set) var vectors: [Double]
  /// Rows of the matrix.
  package let size: Int

  /// Decomposes a row-major symmetric matrix; nil when it does not converge (not finite).
  package init?(_ matrix: [Double], size: Int) {
    precondition(matrix.count == size * size, "a matrix needs size × size elements")
    self.size = size
    var a = matrix
    var v = [Double](repeating: 0, count: size * size)
    for index in 0..<size { v[index * size + index] = 1 }
    guard Self.diagonalise(&a, &v, size) else { return nil }
    let order = (0..<size).sorted {
      a[$0 * size + $0] != a[$1 * size + $1] ? a[$0 * size + $0] > a[$1 * size + $1] : $0 < $1
    }
    values = order.map { a[$0 * size + $0] }
    vectors = [Double](repeating: 0, count: size * size)
    for (column, from) in order.enumerated() {
      for row in 0..<size { vectors[row * size + column] = v[row * size + from] }
    }
  }

  private static func diagonalise(_ a: inout [Double], _ v: inout [Double], _ n: Int) -> Bool {
    var total = 0.0
    for element in a { total += element * element }
    guard total.isFinite else { return false }
    for _ in 0..<60 {
      var off = 0.0
      for p in 0..<n {
        for q in (p + 1)..<max(n, p + 1) { off += a[p * n + q] * a[p * n + q] }
      }
      if off <= total * 1e-30 { return true }
      for p in 0..<n {
        for q in (p + 1)..<max(n, p + 1) { rotate(&a, &v, n, p, q) }
      }
    }
    return false
  }

  private static func rotate(
    _ a: inout [Double],
    _ v: inout [Double],
    _ n: Int,
    _ p: Int,
    _ q: Int
  ) {
    let apq = a[p * n + q]
    guard apq != 0 else { return }
    let theta = (a[q * n + q] - a[p * n + p]) / (2 * apq)
    let t =
      theta.magnitude > 1e150
      ? 0.5 / theta
      : (theta < 0 ? -1 : 1) / (theta.magnitude + (theta * theta + 1).squareRoot())
    let c = 1 / (t * t + 1).squareRoot()
    let s = t * c
    for k in 0..<n {
      let akp = a[k * n + p]
      let akq = a[k * n + q]
      a[k * n + p] = c * akp - s * akq
      a[k * n + q] = s * akp + c * akq
    }
    for k in 0..<n {
      let apk = a[p * n + k]
      let aqk = a[q * n + k]
      a[p * n + k] = c * apk - s * aqk
      a[q * n + k] = s * apk + c * aqk
    }
    for k in 0..<n {
      let vkp = v[k * n + p]
      let vkq = v[k * n + q]
      v[k * n + p] = c * vkp - s * vkq
      v[k * n + q] = s * vkp + c * vkq
    }
  }
}
