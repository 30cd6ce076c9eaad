public import DeviceCatalog

/// The site file of a simulated fleet.
public enum FleetSite {
  /// Id of the enterprise that owns the fleet.
  public static let enterprise = "fleet"

  /// The text of a site file with `options.devices` devices, dealt out to one gateway for each format.
  ///
  /// The set-ups come in turn, so that with enough devices every family is there in every format.
  public static func text(_ options: FleetOptions, examples: [DeviceExample]) -> String {
    var lines = [
      "# Written by davy simulate: seed \(options.seed), \(options.devices) devices. Nothing here is real.",
      "enterprise: {id: \(enterprise), name: {zh: 模拟企业, en: Simulated enterprise}, responsible: duty}",
      "time-zone: Asia/Shanghai",
      "people: {duty: {name: 模拟值班员, role: 值班, phone: \"+86-000-0000\"}}",
      "gateways:",
    ]
    for format in options.formats {
      let name = "{zh: 模拟网关 \(format.rawValue), en: Simulated gateway for \(format.rawValue)}"
      lines.append(
        "  \(format.rawValue): {name: \(name), replay-source: \(options.isReplay)}"
      )
    }
    lines += routes(options.formats)
    lines += [
      "sites:", "  plant:", "    name: {zh: 模拟厂区, en: Simulated plant}", "    areas:",
    ]
    var byFamily: [String: [String]] = [:]
    for number in 0..<options.devices where !examples.isEmpty {
      // One step more on each round through the formats, so that a set-up meets all of them.
      let example = examples[number % examples.count]
      let turn = number + number / examples.count
      let format = options.formats[turn % options.formats.count]
      let family = String(example.profile.prefix { $0 != "/" })
      byFamily[family, default: []] +=
        ["          \(deviceID(number)):", "            gateway: \(format.rawValue)"]
        + example.lines.map { "            \($0)" }
    }
    for (family, devices) in byFamily.sorted(by: { $0.key < $1.key }) {
      lines += [
        "      \(family):", "        name: {zh: \(family) 模拟区, en: Simulated \(family)}",
        "        devices:",
      ]
      lines += devices
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The text of a service file beside `site.yaml`.
  public static func serviceText(devices: String, host: String, port: Int, http: Int) -> String {
    """
    # Written by davy simulate.
    station: fleet
    data: data
    devices: \(devices)
    sites: [site.yaml]
    broker: {host: \(host), port: \(port), clientID: davy-fleet}
    http: {port: \(http)}

    """
  }

  /// Identifier of a device in payloads.
  static func deviceID(_ number: Int) -> String {
    let digits = "\(number + 1)"
    return "SIM-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private static func routes(_ formats: [FleetFormat]) -> [String] {
    var lines: [String] = []
    for format in formats {
      switch format {
      case .mappedJSON:
        lines += [
          "  fleet-mapped:", "    topic: fleet/{enterprise}/{gateway}/telemetry",
          "    format: mapped-json", "    mapping:", "      time-format: epoch-ms",
          "      values:",
          "        - {value: /*/*/values/*, device: {key: 0}, point: {key: 2}, time: {pointer: /*/*/ts}}",
        ]
      case .sparkplugB:
        lines += [
          "  fleet-sparkplug:", "    topic: spBv1.0/{enterprise}/+/{gateway}/#",
          "    format: sparkplug-b",
        ]
      case .hj212:
        lines += [
          "  fleet-hj212:", "    topic: fleet/{enterprise}/{gateway}/up", "    format: hj-212",
          "    options: {reply-topic: \"fleet/{enterprise}/{gateway}/{device}/down\"}",
        ]
      case .davyJSON, .senMLJSON, .senMLCBOR, .influxLine: break
      }
    }
    return lines.isEmpty ? [] : ["routes:"] + lines
  }
}
