extension Enterprise {
  /// Codes of the administrative areas that it lies in, from the narrowest to its province.
  package var administrativeAreas: [String] {
    administrativeCode.map(Self.administrativeAreas(of:)) ?? []
  }

  /// Codes of an area and of those that it lies in: `360981` lies in `360981`, `360900` and `360000`.
  ///
  /// GB/T 2260 gives province, city and county two digits each, GB/T 10114 township and village three more each; a
  /// group of zeros names nothing. A code of another form names one area.
  package static func administrativeAreas(of code: String) -> [String] {
    guard isAdministrativeCode(code) else { return [code] }
    let digits = Array(code.utf8)
    var areas: [String] = []
    for (start, end) in [(9, 12), (6, 9), (4, 6), (2, 4), (0, 2)] where end <= digits.count {
      guard digits[start..<end].contains(where: { $0 != 48 }) else { continue }
      areas.append(String(code.prefix(end)) + String(repeating: "0", count: max(0, 6 - end)))
    }
    return areas
  }

  /// Whether a text has the form of an area's code: 6, 9 or 12 digits that begin with a province.
  static func isAdministrativeCode(_ text: String) -> Bool {
    let digits = Array(text.utf8)
    return [6, 9, 12].contains(digits.count) && digits.allSatisfy { (48...57).contains($0) }
      && digits[..<2] != [48, 48]
  }
}
