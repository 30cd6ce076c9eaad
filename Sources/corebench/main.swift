// The engine on the benchmark's workload; `tools/bench-engine` runs it beside the C yardstick.
//
// usage: corebench DIR [REPEAT]
//        corebench shards DIR COUNT
//        corebench DIR wasteful

import AlarmEngine
import Glibc
import Telemetry

func seconds(_ clock: clockid_t) -> Double {
  var time = timespec()
  unsafe clock_gettime(clock, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Everything that is timed, and nothing else.
@inline(never)
func measured(
  _ engine: inout Engine,
  _ batches: ArraySlice<ReadingBatch>,
  _ out: inout [Transition],
  _ windows: inout WindowTotals
) {
  for batch in batches { engine.apply(batch, into: &out, windows: &windows) }
}

func rounded(_ value: Double) -> String {
  let thousandths = (value * 1000).rounded()
  let whole = (thousandths / 1000).rounded(.towardZero)
  let rest = String(Int(thousandths - whole * 1000))
  return "\(Int(whole))." + String(repeating: "0", count: 3 - rest.count) + rest
}

func run(_ workload: Workload) throws {
  var engine = try Engine(plan: workload.plan)
  var out: [Transition] = []
  out.reserveCapacity(1 << 20)
  var windows = WindowTotals()
  let (wall, cpu) = (seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID))
  let half = workload.batches.count / 2
  measured(&engine, workload.batches[..<half], &out, &windows)
  let middle = seconds(CLOCK_PROCESS_CPUTIME_ID)
  measured(&engine, workload.batches[half...], &out, &windows)
  let wallTime = seconds(CLOCK_MONOTONIC) - wall
  let cpuTime = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu
  let end = (workload.lastTime.max() ?? 0) + 60_000
  engine.advance(to: Timestamp(milliseconds: end), into: &out)
  var events = [[Int]](repeating: [0, 0], count: Workload.ruleNames.count)
  for transition in out
  where transition.time.milliseconds <= workload.lastTime[Int(transition.channel.rawValue)] {
    let rule = Int(transition.rule.rawValue) % Workload.ruleNames.count
    if transition.kind == .raised { events[rule][0] += 1 }
    if transition.kind == .returned { events[rule][1] += 1 }
  }
  let counts = zip(Workload.ruleNames, events)
    .map { "\"\($0)\":[\($1[0]),\($1[1])]" }.joined(separator: ",")
  print(
    """
    {"program":"davy","readings":\(workload.count),"wall_s":\(wallTime),"cpu_s":\(cpuTime),\
    "later_cpu_s":\(cpuTime - (middle - cpu)),\
    "state_bytes":\(rounded(engine.stateBytesPerChannel)),\
    "plan_bytes":\(rounded(engine.planBytesPerChannel)),\
    "sum_count":\(windows.count),"sum_mean":\(rounded(windows.mean)),\
    "sum_deviation":\(rounded(windows.deviation)),"sum_minimum":\(rounded(windows.minimum)),\
    "sum_maximum":\(rounded(windows.maximum)),"events":{\(counts)}}
    """
  )
}

let arguments = CommandLine.arguments
if arguments.count == 4, arguments[1] == "shards", let count = Int(arguments[3]), count > 0 {
  try runShards(Workload(directory: arguments[2], batchSize: 4000), count: count)
} else if arguments.count == 3, arguments[2] == "wasteful" {
  print(measuredWastefully(Workload(directory: arguments[1], batchSize: 4000).batches))
} else if arguments.count > 1 {
  let workload = Workload(directory: arguments[1], batchSize: 4000)
  for _ in 0..<(arguments.count > 2 ? Int(arguments[2]) ?? 1 : 1) { try run(workload) }
} else {
  print("usage: corebench DIR [REPEAT] | corebench DIR wasteful | corebench shards DIR COUNT")
  exit(2)
}
