/// Names of members of Davy's own JSON, and of those that are taken for them.
enum DavyJSONMember {
  /// Why a member is passed over, with the name that was probably meant.
  ///
  /// A status under another name is no status, and its reading is taken as normal.
  static func ignored(_ name: String) -> String {
    "not a member Davy knows" + (meant(by: name).map { "; if \($0) is meant, call it so" } ?? "")
  }

  private static func meant(by name: String) -> String? {
    switch name.lowercased() {
    case "device", "deviceid", "id", "sn", "设备", "设备编号": "device"
    case "point", "tag", "测点": "point"
    case "t", "time", "ts", "timestamp", "时间": "t"
    case "v", "val", "value", "数值", "值": "v"
    case "s", "status", "state", "quality", "状态": "s"
    case "unit", "units", "单位": "unit"
    default: nil
    }
  }
}
