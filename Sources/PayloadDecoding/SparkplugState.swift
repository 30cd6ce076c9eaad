internal import Telemetry

/// What the host application remembers of Sparkplug nodes and devices.
///
/// It knows names, aliases and data types as the births gave them, but no rows of the plan, so that
/// it can be carried over to a decoder with another plan.
struct SparkplugState: Sendable {
  struct Metric: Sendable, Hashable {
    var name: [UInt8]
    var datatype: UInt64
  }

  /// A birth's metrics.
  struct Metrics: Sendable {
    var byAlias: [UInt64: Metric] = [:]
    var datatypes: [[UInt8]: UInt64] = [:]
  }

  struct Device: Sendable {
    var id: [UInt8]
    var isBorn = false
    var metrics = Metrics()
  }

  struct Node: Sendable {
    /// `group/edge node`.
    var key: [UInt8]
    var isBorn = false
    var birthSequence: UInt64?
    var nextSequence: UInt8 = 0
    /// Sequence numbers that came before their turn.
    var early = Set<UInt8>()
    /// When a rebirth is asked for unless the gap has closed.
    var gapDeadline: Timestamp?
    var lastRebirth: Timestamp?
    var rebirthInterval: Int64 = 0
    var metrics = Metrics()
    var devices: [Device] = []

    /// What a sequence number says.
    enum Arrival {
      case inOrder
      /// Something before it is missing; `opens` when that is new.
      case early(opens: Bool)
      /// It was here already, or came after its gap was given up.
      case late
    }

    mutating func take(_ sequence: UInt8) -> Arrival {
      if sequence == nextSequence {
        nextSequence &+= 1
        while early.remove(nextSequence) != nil { nextSequence &+= 1 }
        if early.isEmpty { gapDeadline = nil }
        return .inOrder
      }
      guard sequence &- nextSequence < 128 else { return .late }
      guard early.insert(sequence).inserted else { return .late }
      return .early(opens: gapDeadline == nil)
    }

    /// Goes on behind what has come, after a gap was given up.
    mutating func abandonGap() {
      var newest: UInt8?
      for sequence in early {
        if newest.map({ sequence &- nextSequence > $0 &- nextSequence }) ?? true {
          newest = sequence
        }
      }
      if let newest { nextSequence = newest &+ 1 }
      early.removeAll()
      gapDeadline = nil
    }
  }

  var nodes: [Node] = []
  /// No deadline is before this time, ms; so that a message need not look at every node.
  var dueHint = Int64.max
  /// Row of a node by its key; looked up, never iterated.
  var rows: [[UInt8]: Int] = [:]

  /// Births kept: nodes and devices.
  var count: Int { nodes.reduce(nodes.count) { $0 + $1.devices.count } }

  var nextDeadline: Timestamp? {
    var earliest: Timestamp?
    for node in nodes {
      if let deadline = node.gapDeadline, earliest.map({ deadline < $0 }) ?? true {
        earliest = deadline
      }
    }
    return earliest
  }
}
