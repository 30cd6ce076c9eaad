// The engine on the benchmark's workload; `tools/bench-engine` runs it beside the C yardstick.
//
// usage: corebench DIR [REPEAT]
//        corebench shards DIR COUNT
//        corebench DIR wasteful
//        corebench follow                 what `yardstick stream` writes, from the input

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
  report(&engine, workload, &out, windows, wallTime, cpuTime, later: cpuTime - (middle - cpu))
}

/// Runs what the yardstick writes, some seconds at a time: what reads and cuts them into batches is not timed, and the
/// yardstick goes on writing only when all has been read.
func follow() throws {
  let input = Input()
  let sensors = Int(try input.read(1, of: UInt32(0))[0])
  let portion = 10
  let order = try input.read(sensors, of: UInt32(0))
  let ids = Array(repeatElement(order, count: portion).joined())
  var workload = Workload(levels: try input.read(sensors, of: 0.0))
  var engine = try Engine(plan: workload.plan)
  var out: [Transition] = []
  out.reserveCapacity(1 << 20)
  var windows = WindowTotals()
  var (wallTime, cpuTime) = (0.0, 0.0)
  while true {
    let values = input.readUpTo(portion * sensors, of: 0.0)
    guard !values.isEmpty else { break }
    let times = values.indices.map { index in
      1_700_000_000_000 + Int64((workload.count + index) / sensors) * 1000
        + Int64(index % sensors) * 1000 / Int64(sensors)
    }
    workload.batches.removeAll()
    workload.add(ids, times, values, batchSize: 4000)
    let (wall, cpu) = (seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID))
    measured(&engine, workload.batches[...], &out, &windows)
    cpuTime += seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu
    wallTime += seconds(CLOCK_MONOTONIC) - wall
  }
  report(&engine, workload, &out, windows, wallTime, cpuTime, later: 0)
}

/// Lets fall due what does by the last readings, and prints the figures.
func report(
  _ engine: inout Engine,
  _ workload: Workload,
  _ out: inout [Transition],
  _ windows: WindowTotals,
  _ wallTime: Double,
  _ cpuTime: Double,
  later: Double
) {
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
    "later_cpu_s":\(later),\
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
} else if arguments == [arguments[0], "follow"] {
  try follow()
} else if arguments.count > 1 {
  let workload = Workload(directory: arguments[1], batchSize: 4000)
  for _ in 0..<(arguments.count > 2 ? Int(arguments[2]) ?? 1 : 1) { try run(workload) }
} else {
  print(
    "usage: corebench DIR [REPEAT] | corebench DIR wasteful | corebench shards DIR COUNT | corebench follow"
  )
  exit(2)
}
