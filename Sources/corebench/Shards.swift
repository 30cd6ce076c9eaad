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
private let lot = 64

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

/// The workload on one engine and on several shards beside each other, whose outputs must be equal.
func runShards(_ workload: Workload, count: Int) throws {
  var engine = try Engine(plan: workload.plan)
  var expected: [Transition] = []
  expected.reserveCapacity(1 << 20)
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
  var found: [Transition] = []
  found.reserveCapacity(1 << 20)
  wall = seconds(CLOCK_MONOTONIC)
  cpu = seconds(CLOCK_PROCESS_CPUTIME_ID)
  several(&sharded, split, &found)
  let severalWall = seconds(CLOCK_MONOTONIC) - wall
  // What is not the shards' own is done in turn: handing out, putting in order.
  let rest = max(0, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu - busiest.total)
  let isEqual =
    expected.count == found.count
    && zip(expected, found).allSatisfy { "\($0)" == "\($1)" }
  print(
    """
    {"program":"davy","shards":\(count),"readings":\(workload.count),"transitions":\(found.count),\
    "equal":\(isEqual),"one_cpu_s":\(oneCPU),"one_wall_s":\(oneWall),\
    "busiest_cpu_s":\(busiest.longest),"rest_cpu_s":\(rest),"wall_s":\(severalWall),\
    "split_cpu_s":\(splitCPU)}
    """
  )
}
