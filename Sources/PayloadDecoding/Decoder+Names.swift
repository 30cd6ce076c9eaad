import Telemetry

/// Devices, points and status codes by the names that payloads give them.
extension Decoder {
  /// A device found, or why not.
  enum Found {
    case row(Int)
    case refused(RejectReason)
  }

  /// No name, code, time or unit is longer, bytes.
  ///
  /// A message may give one for all its readings, and each reading would take as long as the text is to compare it.
  static let wordLimit = 512

  @inline(__always)
  func findDevice(_ name: ByteView, _ match: TopicMatch) -> Found {
    if let row = hot.deviceNames.find(name, scope: match.ownScope), row < CompiledPlan.ambiguous {
      return .row(Int(row))
    }
    return findDeviceElsewhere(name, match)
  }

  @inline(never)
  private func findDeviceElsewhere(_ name: ByteView, _ match: TopicMatch) -> Found {
    if let row = hot.deviceNames.find(name, scope: match.sharedScope),
      row < CompiledPlan.ambiguous
    {
      return .row(Int(row))
    }
    guard let row = hot.deviceNames.find(name, scope: CompiledPlan.everywhere) else {
      return .refused(.unknownDevice)
    }
    guard row == CompiledPlan.ambiguous || match.enterprise != nil else {
      let owner = plan.devices[Int(row)].gateway
      let isOwned = match.gateway == nil || owner.isEmpty || owner == match.gateway
      return isOwned ? .row(Int(row)) : .refused(.notOwner)
    }
    // A topic without a gateway names the enterprise only: its gateways' devices are its own.
    if match.gateway == nil, let enterprise = match.enterprise {
      let owned = plan.devices.indices.filter {
        plan.devices[$0].enterprise == enterprise && name.equals(Array(plan.devices[$0].id.utf8))
      }
      if owned.count == 1 { return .row(owned[0]) }
      if owned.count > 1 { return .refused(.ambiguousDevice) }
    }
    return .refused(match.enterprise == nil ? .ambiguousDevice : .notOwner)
  }

  @inline(__always)
  func findPoint(_ name: ByteView, device: Int) -> Int? {
    hot.pointNames.find(name, scope: UInt32(truncatingIfNeeded: device)).map {
      Int($0)
    }
  }

  /// The meaning of a status code; nil when no table has it.
  @inline(__always)
  func findStatus(
    _ code: ByteView,
    device: Int,
    _ match: TopicMatch,
    ownNames: Bool
  ) -> SourceStatus? {
    if let raw = hot.statusCodes.find(code, scope: UInt32(truncatingIfNeeded: device))
      ?? hot.statusCodes.find(code, scope: match.statusScope)
    {
      return SourceStatus(rawValue: UInt8(truncatingIfNeeded: raw))
    }
    guard ownNames, let raw = hot.statusNames.find(code, scope: 0) else { return nil }
    return SourceStatus(rawValue: UInt8(truncatingIfNeeded: raw))
  }
}
