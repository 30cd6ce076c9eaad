/// What an engine remembers of those channels or devices only of which there is something to remember, as a snapshot keeps it.
protocol RowState {
  func append(to bytes: inout [UInt8])
  init(reading reader: inout StateReader) throws(StateReadError)
}

extension [UInt8] {
  /// Appends what is remembered of some rows, in their order; each is named by its identity.
  mutating func appendStates(_ states: [Int: some RowState], of identities: [StableID]) {
    appendState(states.count)
    for (row, state) in states.sorted(by: { $0.key < $1.key }) {
      appendState(identities[row].rawValue)
      state.append(to: &self)
    }
  }
}

extension RowsByIdentity {
  /// Reads what ``appendStates(_:of:)`` wrote, and keeps it of the rows that there are.
  func readStates<State: RowState>(
    into states: inout [Int: State],
    from reader: inout StateReader
  ) throws(StateReadError) {
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let row = self[try reader.word()]
      let state = try State(reading: &reader)
      if let row { states[row] = state }
    }
  }
}
