/// Why a plan was refused: everything that is wrong with it.
public struct PlanError: Error, Hashable, Sendable {
  /// One thing that is wrong.
  public struct Problem: Hashable, Sendable {
    /// What the row is a row of.
    public enum Place: Hashable, Sendable {
      /// ``EnginePlan/devices``.
      case device(Int)
      /// ``EnginePlan/channels``.
      case channel(Int)
      /// ``EnginePlan/rules``.
      case rule(Int)
    }

    /// Where it is.
    public var place: Place
    /// What is wrong, in a sentence without a full stop.
    public var message: String

    /// Names a problem.
    public init(place: Place, message: String) {
      self.place = place
      self.message = message
    }
  }

  /// All problems, in the order of the plan.
  public var problems: [Problem]

  /// Makes an error of problems.
  public init(problems: [Problem]) {
    self.problems = problems
  }
}

/// Why a snapshot could not be restored.
public enum SnapshotError: Error, Hashable, Sendable {
  /// The bytes are no snapshot of this engine.
  case notASnapshot
  /// The snapshot was written by a version that this one cannot read.
  case unknownVersion(UInt64)
  /// The checksum does not fit, or the bytes end too early.
  case damaged
  /// The plan to restore into is inconsistent.
  case plan(PlanError)
}
