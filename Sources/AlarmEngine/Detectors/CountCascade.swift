/// Several lower grades make a higher one: 4 blue → yellow, 3 yellow → orange, 2 orange → red.
///
/// Formula, with whole division: yellow' = yellow + blue / 4, orange' = orange + yellow' / 3,
/// red' = red + orange' / 2; the grade is the highest that occurs. Source: GB 39496-2020 (tailings
/// ponds), within one item over its points and across items over items.
///
/// - Defaults: 4, 3 and 2 (2 … 1,000 each).
/// - A pure function of the counts that it is given: no warm-up, no freeze, no memory.
/// - Gap, bad status: a point stands where its rules left it, because what is not known neither raises nor clears an alarm
///   (``CascadeParameters``); one that has never been judged counts as none.
/// - Late reading: what it changes of a point's alarm now is counted from then on; the cascade is not judged again for the past.
public struct CountCascade: Hashable, Sendable {
  /// How many points stand at each grade.
  public struct Counts: Hashable, Sendable {
    /// Points at blue.
    public var blue: Int
    /// Points at yellow.
    public var yellow: Int
    /// Points at orange.
    public var orange: Int
    /// Points at red.
    public var red: Int

    /// Makes counts.
    public init(blue: Int = 0, yellow: Int = 0, orange: Int = 0, red: Int = 0) {
      self.blue = blue
      self.yellow = yellow
      self.orange = orange
      self.red = red
    }

    /// A point joined (`by` 1) or left (`by` −1) a grade.
    public mutating func change(_ priority: AlarmPriority, by delta: Int) {
      switch priority {
      case .blue: blue += delta
      case .yellow: yellow += delta
      case .orange: orange += delta
      case .red: red += delta
      }
    }
  }

  /// Blue points that make a yellow, 2 … 1,000.
  public let bluePerYellow: Int
  /// Yellow points that make an orange, 2 … 1,000.
  public let yellowPerOrange: Int
  /// Orange points that make a red, 2 … 1,000.
  public let orangePerRed: Int

  /// Makes a cascade.
  public init(
    bluePerYellow: Int = 4,
    yellowPerOrange: Int = 3,
    orangePerRed: Int = 2
  ) throws(DetectorError) {
    try DetectorError.check("bluePerYellow", Double(bluePerYellow), 2...1000)
    try DetectorError.check("yellowPerOrange", Double(yellowPerOrange), 2...1000)
    try DetectorError.check("orangePerRed", Double(orangePerRed), 2...1000)
    self.bluePerYellow = bluePerYellow
    self.yellowPerOrange = yellowPerOrange
    self.orangePerRed = orangePerRed
  }

  /// The grade of the whole, nil when no point stands at any.
  public func grade(of counts: Counts) -> AlarmPriority? {
    let yellow = counts.yellow + counts.blue / bluePerYellow
    let orange = counts.orange + yellow / yellowPerOrange
    if counts.red + orange / orangePerRed > 0 { return .red }
    if orange > 0 { return .orange }
    if yellow > 0 { return .yellow }
    return counts.blue > 0 ? .blue : nil
  }
}
