public import DeviceCatalog
public import HazardLedger

extension Catalog {
  /// Sites like that of a place, by path: where the same device profile stands; for a site, those of the same kind.
  public func sites(like place: String) -> [String] {
    PlaceIndex(self).sites(like: place)
  }

  /// The inhibitions of the response files.
  public var inhibitions: [Inhibition] { response.inhibitions.map(Inhibition.init) }
}
