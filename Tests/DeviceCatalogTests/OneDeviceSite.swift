/// A site of one device, `D` at `e/s/a`, behind one gateway.
enum OneDeviceSite {
  /// The site file with the lines of the device, and more lines of the gateway and of the file's top.
  static func text(device: String, gateway: String = "", enterprise: String = "") -> String {
    """
    enterprise: {id: e, name: {zh: 企, en: E}, administrative-code: "360981"}
    time-zone: UTC
    \(enterprise)
    gateways:
      g:
        name: {zh: 关, en: G}
    \(indent(gateway, 4))
    sites:
      s:
        name: {zh: 场, en: S}
        areas:
          a:
            name: {zh: 区, en: A}
            devices:
              D:
    \(indent(device, 12))
    """
  }

  /// Lines so many blanks further in.
  static func indent(_ text: String, _ spaces: Int) -> String {
    text.split(separator: "\n").map { String(repeating: " ", count: spaces) + $0 }
      .joined(separator: "\n")
  }
}
