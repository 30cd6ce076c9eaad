import Foundation

/// How a device of a profile can be set up, from the profile's own samples: what a site file would write below a
/// device's name.
///
/// For simulations and for people who begin a site file.
public struct DeviceExample: Hashable, Sendable {
  /// Id of the profile.
  public var profile: String
  /// Name of the sample.
  public var sample: String
  /// The device's keys (`profile`, `choose`, `parameters`, `limits`, `without`) as YAML, a line each, without indentation.
  public var lines: [String]
}

extension Catalog {
  /// The samples of all profiles as set-ups, in order of profile and sample; equal set-ups of a profile once.
  ///
  /// Units, scales and status codes of a sample are left out: an example sends what the profile says.
  ///
  /// - Parameter devices: folder of the profiles.
  /// - Returns: the set-ups; none where the folder holds no profile.
  public static func deviceExamples(devices: String) -> [DeviceExample] {
    let log = FindingLog()
    let files = SourceFile.read(folder: devices, canonical: "devices", log: log)
    let library = ProfileLibrary.read(files, log: log)
    return library.profiles.sorted { $0.id < $1.id }.flatMap { profile in
      var seen: Set<[String]> = []
      return profile.samples.compactMap { sample in
        let lines = ["profile: \(quoted(profile.id))"] + sample.device.bodyLines
        guard seen.insert(lines).inserted else { return DeviceExample?.none }
        return DeviceExample(profile: profile.id, sample: sample.name, lines: lines)
      }
    }
  }
}

extension DeviceSpec {
  /// What samples say of a device, as a site file writes it.
  fileprivate var bodyLines: [String] {
    var lines: [String] = []
    if !choose.isEmpty { lines.append("choose: \(flow(choose.mapValues { quoted($0.value) }))") }
    if !parameters.isEmpty {
      lines.append("parameters: \(flow(parameters.mapValues { plain($0.value) }))")
    }
    if !limits.isEmpty { lines.append("limits: \(flow(limits.mapValues(\.flowText)))") }
    if !without.isEmpty {
      lines.append("without: [\(without.map { quoted($0.value) }.joined(separator: ", "))]")
    }
    return lines
  }
}

extension LimitOverride {
  fileprivate var flowText: String {
    var members: [String: String] = [:]
    members["setpoint"] = setpoint.map(plain)
    members["restore"] = restore.map(plain)
    switch deadband {
    case .percentOfRange(let share): members["deadband"] = "\(plain(share)) %"
    case .absolute(let quantity): members["deadband"] = plain(quantity.factor)
    case nil: break
    }
    members["on-delay"] = onDelay.map { "\($0)ms" }
    members["off-delay"] = offDelay.map { "\($0)ms" }
    members["reason"] = reason.map(quoted)
    members["approved-by"] = approvedBy.map(quoted)
    members["approved-on"] = approvedOn.map { quoted("\($0)") }
    members["document"] = document.map(quoted)
    return flow(members)
  }
}

/// A YAML flow mapping with its keys in order.
private func flow(_ members: [String: String]) -> String {
  let entries = members.sorted { $0.key < $1.key }.map { "\(quoted($0.key)): \($0.value)" }
  return "{\(entries.joined(separator: ", "))}"
}

/// A double-quoted YAML scalar.
private func quoted(_ text: String) -> String {
  let escaped = text.replacingOccurrences(of: "\\", with: "\\\\")
    .replacingOccurrences(of: "\"", with: "\\\"")
  return "\"\(escaped)\""
}
