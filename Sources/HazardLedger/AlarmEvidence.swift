extension AlarmBody {
  /// What the alarm of a group of points was raised on: its statistics with their limits, and who contributes most.
  public struct Evidence: Hashable, Sendable {
    /// A statistic and the limit that the group's model has for it.
    public struct Statistic: Hashable, Sendable {
      /// The sample's.
      public var value: Double
      /// What is held to be normal at most.
      public var limit: Double

      /// Makes a statistic.
      public init(value: Double, limit: Double) {
        self.value = value
        self.limit = limit
      }
    }

    /// What a point contributes to the statistic that decided.
    public struct Contribution: Hashable, Sendable {
      /// Path of the point.
      public var point: String
      /// Its share of all points' contributions, 0 … 1.
      public var share: Double

      /// Makes a contribution.
      public init(point: String, share: Double) {
        self.point = point
        self.share = share
      }
    }

    /// By name: `t2`, `spe`, `distance`.
    public var statistics: [String: Statistic]
    /// Name of the one that decided.
    public var decided: String
    /// At most three, greatest first.
    public var contributions: [Contribution]

    /// Makes evidence.
    public init(
      statistics: [String: Statistic],
      decided: String,
      contributions: [Contribution]
    ) {
      self.statistics = statistics
      self.decided = decided
      self.contributions = contributions
    }

    var json: JSONValue {
      .object([
        "contributions": .array(
          contributions.map {
            .object(["point": .string($0.point), "share": .number($0.share)])
          }
        ),
        "decided": .string(decided),
        "statistics": .object(
          statistics.mapValues {
            .object(["limit": .number($0.limit), "value": .number($0.value)])
          }
        ),
      ])
    }

    /// Reads what ``json`` is; nil where it is something else.
    init?(_ json: JSONValue) {
      guard let decided = json["decided"]?.text, let named = json["statistics"]?.members,
        let parts = json["contributions"]?.elements
      else { return nil }
      self.decided = decided
      statistics = [:]
      contributions = []
      for (name, statistic) in named {
        guard let value = statistic["value"]?.double, let limit = statistic["limit"]?.double else {
          return nil
        }
        statistics[name] = Statistic(value: value, limit: limit)
      }
      for part in parts {
        guard let point = part["point"]?.text, let share = part["share"]?.double else { return nil }
        contributions.append(Contribution(point: point, share: share))
      }
    }
  }
}
