import AlarmEngine
import Dispatch
import Glibc
import Synchronization
import Telemetry

/// How long the busiest shard of each call has computed, added up: what the call takes where every shard has
/// a core of its own, whoever else uses this machine.
final class BusiestShard: Sendable {
  private let sums = Mutex((longest: 0.0, total: 0.0))

  var longest: Double { sums.withLock { $0.longest } }
  var total: Double { sums.withLock { $0.total } }

  /// Runs the shards of a call on threads of their own.
  var team: ShardTeam {
    ShardTeam { count, work in
      let longest = Mutex(0.0)
      DispatchQueue.concurrentPerform(iterations: count) { number in
        let start = seconds(CLOCK_THREAD_CPUTIME_ID)
        work(number)
        let used = seconds(CLOCK_THREAD_CPUTIME_ID) - start
        longest.withLock { $0 = max($0, used) }
        self.sums.withLock { $0.total += used }
      }
      self.sums.withLock { $0.longest += longest.withLock { $0 } }
    }
  }
}

/// How many batches the shards get at once; they wait for each other after each lot.
private let lot = 256

@inline(never)
private func one(
  _ engine: inout Engine,
  _ batches: [ReadingBatch],
  _ out: inout [Transition]
) {
  for batch in batches { engine.apply(batch, into: &out) }
}

@inline(never)
private func several(
  _ engine: inout ShardedEngine,
  _ batches: [SplitBatch],
  _ out: inout [Transition]
) {
  for first in stride(from: 0, to: batches.count, by: lot) {
    engine.apply(batches[first..<min(first + lot, batches.count)], into: &out)
  }
}

/// An empty list whose memory has been touched: the system's first look at a page is nobody's work.
private func roomForTransitions() -> [Transition] {
  let nothing = Transition(
    kind: .raised,
    rule: RuleIndex(rawValue: 0),
    channel: ChannelIndex(rawValue: 0),
    onset: .distantPast,
    time: .distantPast,
    received: .distantPast,
    sequence: 0,
    value: 0,
    limit: 0,
    previous: .normal,
    state: .normal,
    priority: .blue
  )
  var list = [Transition](repeating: nothing, count: 1 << 15)
  list.removeAll(keepingCapacity: true)
  return list
}

/// Equal to the bit, so that values that are not numbers are, too.
private func isSame(_ one: Transition, _ other: Transition) -> Bool {
  var (one, other) = (one, other)
  let isSame =
    one.value.bitPattern == other.value.bitPattern && one.limit.bitPattern == other.limit.bitPattern
  (one.value, one.limit, other.value, other.limit) = (0, 0, 0, 0)
  return isSame && one == other
}

/// Lets as many cores work for two seconds: one of a virtual machine that has been idle is often given a share of a core at
/// first, and what is measured takes a tenth of a second.
private func keepBusy(_ plan: EnginePlan, _ batches: [SplitBatch], _ count: Int) throws {
  let end = seconds(CLOCK_MONOTONIC) + 2
  var out = roomForTransitions()
  while seconds(CLOCK_MONOTONIC) < end {
    var sharded = try ShardedEngine(plan: plan, shards: count, team: BusiestShard().team)
    several(&sharded, batches, &out)
    out.removeAll(keepingCapacity: true)
  }
}

/// The workload on one engine and on several shards beside each other, whose outputs must be equal.
func runShards(_ workload: Workload, count: Int) throws {
  var engine = try Engine(plan: workload.plan)
  var expected = roomForTransitions()
  var (wall, cpu) = (seconds(CLOCK_MONOTONIC), seconds(CLOCK_THREAD_CPUTIME_ID))
  one(&engine, workload.batches, &expected)
  let oneWall = seconds(CLOCK_MONOTONIC) - wall
  let oneCPU = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu

  let busiest = BusiestShard()
  var sharded = try ShardedEngine(plan: workload.plan, shards: count, team: busiest.team)
  cpu = seconds(CLOCK_THREAD_CPUTIME_ID)
  let split = workload.batches.map { batch in
    var parts = SplitBatch(shards: count)
    sharded.split(batch, into: &parts)
    return parts
  }
  let splitCPU = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu
  var found = roomForTransitions()
  // What a program does once when it first comes here is nobody's work either.
  sharded.apply(split[..<0], into: &found)
  try keepBusy(workload.plan, split, count)
  wall = seconds(CLOCK_MONOTONIC)
  cpu = seconds(CLOCK_PROCESS_CPUTIME_ID)
  several(&sharded, split, &found)
  let severalWall = seconds(CLOCK_MONOTONIC) - wall
  // What is not the shards' own is done in turn: handing out, putting in order.
  let rest = max(0, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu - busiest.total)
  let isEqual =
    expected.count == found.count
    && zip(expected, found).allSatisfy(isSame)
  print(
    """
    {"program":"davy","shards":\(count),"readings":\(workload.count),"transitions":\(found.count),\
    "equal":\(isEqual),"one_cpu_s":\(oneCPU),"one_wall_s":\(oneWall),\
    "busiest_cpu_s":\(busiest.longest),"rest_cpu_s":\(rest),"wall_s":\(severalWall),\
    "split_cpu_s":\(splitCPU),"shards_cpu_s":\(busiest.total)}
    """
  )
}
