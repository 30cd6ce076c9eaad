import DeviceCatalog
import PayloadDecoding

/// The core's state as bytes, so that a start need not begin at the journal's beginning.
extension StationCore {
  /// Everything needed to go on after ``position``, as versioned bytes with a checksum.
  public func snapshot() -> [UInt8] {
    var writer = SnapshotWriter()
    writer.put(position)
    writer.put(UInt8(isCatchingUp ? 1 : 0))
    writer.put(catalog?.sources ?? [])
    writer.put(decoder.snapshot())
    lanes.put(into: &writer)
    desks.put(into: &writer)
    return writer.finish()
  }

  /// Makes a core that goes on where the snapshot was taken, by this number of engines or another.
  ///
  /// - Throws: ``SnapshotFault`` when the bytes are damaged or of another version, or the catalog in them no longer
  ///   loads; recovery then takes an older snapshot or starts from the journal's beginning.
  public convenience init(snapshot bytes: [UInt8], shards: EngineShards = .one) throws {
    self.init(shards: shards)
    var reader = try SnapshotReader(bytes)
    position = try reader.integer()
    let catchingUp: UInt8 = try reader.integer()
    isCatchingUp = catchingUp != 0
    let sources = try reader.sources()
    let decoderState = try reader.block()
    let savedLanes = try Lanes.saved(in: &reader)
    let savedDesks = try Desks.saved(in: &reader)
    guard !sources.isEmpty else { return }
    let catalog = try CatalogRecord(sources: sources).load()
    // The level of the rules stands among the desks' state.
    try desks.restore(savedDesks, under: catalog, at: position)
    try lanes.restore(savedLanes, under: catalog, level: level)
    decoder = Decoder(plan: catalog.decodingPlan)
    try decoder.restore(decoderState)
    self.catalog = catalog
    inhibitions.find(in: lanes.all)
  }
}
