import AlarmEngine
import Testing

/// What keeps its state over a restart.
protocol StateKeeping {
  func write(into bytes: inout [UInt8])
  mutating func restore(from reader: inout StateReader) throws(StateReadError)
}

extension TumblingWindow: StateKeeping {}
extension HoppingWindow: StateKeeping {}
extension SessionWindow: StateKeeping {}
extension WindowedStatistic: StateKeeping {}
extension BackgroundExcess: StateKeeping {}
extension InterlockVerification: StateKeeping {}
extension MultivariateMonitor: StateKeeping {}
extension ExpressionEvaluator: StateKeeping {}

/// What a keeper is after a restart: its state, written and read by a fresh one to the last byte.
func restarted<Keeper: StateKeeping>(
  _ keeper: Keeper,
  as fresh: Keeper,
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> Keeper {
  var bytes: [UInt8] = []
  keeper.write(into: &bytes)
  var copy = fresh
  var reader = StateReader(bytes)
  try copy.restore(from: &reader)
  #expect(reader.isAtEnd, sourceLocation: sourceLocation)
  return copy
}
