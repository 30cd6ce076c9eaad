/// 行政区划代码 (GB/T 2260, GB/T 10114): 6 digits down to the county, 9 to the township, 12 to the village.
///
/// Zeros at the end mean "all of it": `360000` is the province, `360700` the city, `360702` the district.
public struct AreaCode: Codable, Hashable, Sendable, CustomStringConvertible {
  /// The code as written.
  public let description: String
  /// The digits that say something: those before the closing groups of zeros.
  private let prefix: String

  /// Takes a code of 6, 9 or 12 digits; nil for anything else, and for a code that says nothing.
  public init?(_ text: String) {
    let digits = Array(text.utf8)
    guard [6, 9, 12].contains(digits.count), digits.allSatisfy({ (48...57).contains($0) }) else {
      return nil
    }
    var length = digits.count
    // Province, city and county have two digits each, township and village three.
    for (start, end) in [(9, 12), (6, 9), (4, 6), (2, 4)] where length == end {
      guard digits[start..<end].allSatisfy({ $0 == 48 }) else { break }
      length = start
    }
    guard digits[..<2] != [48, 48] else { return nil }
    description = text
    prefix = String(decoding: digits[..<length], as: UTF8.self)
  }

  /// Whether `other` is this area or lies within it.
  public func includes(_ other: AreaCode) -> Bool { other.prefix.hasPrefix(prefix) }

  /// Reads the code from its digits.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let code = AreaCode(text) else {
      throw DecodingError.dataCorruptedError(
        in: container,
        debugDescription: "\(text) is no area code: 6, 9 or 12 digits that begin with a province"
      )
    }
    self = code
  }

  /// Writes the code as its digits.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
