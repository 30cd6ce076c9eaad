import AlarmEngine
import Foundation
import PayloadDecoding

/// What can be wrong with a configuration file, with its words in both languages.
enum Problem {
  case syntax(problem: String)
  case emptyFile
  case unreadable(FileFault)
  case tooLarge(bytes: Int, limit: Int)
  case duplicateKey(keys: [String])
  case unknownKey(key: String, known: [String])
  case missingKey(key: String)
  case wrongType(expected: String, expectedZh: String, found: String)
  case notFinite(text: String)
  case badDate(text: String)
  case datesReversed(from: String, until: String)
  case badIdentifier(text: String)
  case notOneOf(text: String, choices: [String])
  case unknownUnit(text: String)
  case unknownReference(kind: String, kindZh: String, name: String, known: [String])
  case duplicateName(kind: String, kindZh: String, name: String, first: String)
  case identityCollision(name: String, other: String)
  case badExpression(
    text: String,
    reason: String,
    reasonZh: String,
    remedy: LocalizedText = .limitForms
  )
  case limitOrder(lower: String, lowerValue: Double, upper: String, upperValue: Double)
  case restoreSide(setpoint: Double, restore: Double, comparison: String)
  case restoreMissing
  case setpointOutsideRange(setpoint: Double, low: Double, high: Double)
  case rangeReversed(low: Double, high: Double)
  case siteValueMissing(name: String, zh: String)
  case unitConversion(from: String, to: String, reason: String, reasonZh: String)
  case nothing(kind: String, kindZh: String)
  case deviationUnapproved(rule: String)
  case profileName(expected: String, found: String)
  case other(code: String, zh: String, en: String, remedyZh: String, remedyEn: String)

  /// Earlier versions let it pass, so that journals and snapshots hold catalogs that have it, and they have to load: with
  /// them every alarm that stands would be forgotten.
  var wasLetPass: Bool {
    [
      "level-side", "scale-zero", "restore-outside-range", "unused-placeholder",
      "unknown-placeholder", "model-spe", "administrative-code",
    ].contains(code)
  }

  var code: String {
    switch self {
    case .syntax: "yaml-syntax"
    case .emptyFile: "empty-file"
    case .unreadable: "unreadable-file"
    case .tooLarge: "file-too-large"
    case .duplicateKey: "duplicate-key"
    case .unknownKey: "unknown-key"
    case .missingKey: "missing-key"
    case .wrongType: "wrong-type"
    case .notFinite: "not-finite"
    case .badDate: "bad-date"
    case .datesReversed: "dates-reversed"
    case .badIdentifier: "bad-identifier"
    case .notOneOf: "not-one-of"
    case .unknownUnit: "unknown-unit"
    case .unknownReference(let kind, _, _, _): "unknown-\(kind.replacing(" ", with: "-"))"
    case .duplicateName: "duplicate-name"
    case .identityCollision: "identity-collision"
    case .badExpression: "bad-expression"
    case .limitOrder: "limit-order"
    case .restoreSide: "restore-side"
    case .restoreMissing: "restore-missing"
    case .setpointOutsideRange: "setpoint-outside-range"
    case .rangeReversed: "range-reversed"
    case .siteValueMissing: "site-value-missing"
    case .unitConversion: "unit-conversion"
    case .nothing: "nothing-there"
    case .deviationUnapproved: "deviation-unapproved"
    case .profileName: "profile-name"
    case .other(let code, _, _, _, _): code
    }
  }

  var message: LocalizedText {
    switch self {
    case .syntax(let problem):
      text("YAML 语法错误：\(problem)", "not valid YAML: \(problem)")
    case .emptyFile: text("文件为空", "the file is empty")
    case .unreadable(let fault):
      text("文件无法读取：\(fault.reason.zh)", "the file cannot be read: \(fault.reason.en)")
    case .tooLarge(let bytes, let limit):
      text("文件 \(bytes) 字节，超过上限 \(limit)", "the file has \(bytes) bytes, the limit is \(limit)")
    case .duplicateKey(let keys):
      text("键重复：\(list(keys))", "the same key twice: \(list(keys))")
    case .unknownKey(let key, _): text("未知的键“\(key)”", "unknown key \"\(key)\"")
    case .missingKey(let key): text("缺少键“\(key)”", "the key \"\(key)\" is missing")
    case .wrongType(let expected, let zh, let found):
      text("应为\(zh)，实为 \(found)", "expected \(expected), found \(found)")
    case .notFinite(let found):
      text("数值必须有限，实为 \(found)", "a number must be finite, found \(found)")
    case .badDate(let found): text("不是有效日期：\(found)", "not a date: \(found)")
    case .datesReversed(let from, let until):
      text("起始 \(from) 晚于截止 \(until)", "begins on \(from), after its end on \(until)")
    case .badIdentifier(let found):
      text("标识符“\(found)”含有不允许的字符", "\"\(found)\" cannot be an identifier")
    case .notOneOf(let found, _): text("不认识的取值“\(found)”", "\"\(found)\" is not a known value")
    case .unknownUnit(let found): text("未知单位“\(found)”", "unknown unit \"\(found)\"")
    case .unknownReference(let kind, let zh, let name, _):
      text("没有名为“\(name)”的\(zh)", "there is no \(kind) named \"\(name)\"")
    case .duplicateName(let kind, let zh, let name, let first):
      text("\(zh)“\(name)”已在 \(first) 定义", "\(kind) \"\(name)\" is already defined at \(first)")
    case .identityCollision(let name, let other):
      text(
        "“\(name)”与“\(other)”的标识哈希相同",
        "\"\(name)\" and \"\(other)\" have the same identity hash"
      )
    case .badExpression(let found, let reason, let zh, _):
      text("无法理解“\(found)”：\(zh)", "cannot understand \"\(found)\": \(reason)")
    case .limitOrder(let lower, let lowerValue, let upper, let upperValue):
      text(
        "报警限次序错误：\(lower) = \(plain(lowerValue)) 应小于 \(upper) = \(plain(upperValue))",
        "limits out of order: \(lower) = \(plain(lowerValue)) must be below \(upper) = "
          + plain(upperValue)
      )
    case .restoreSide(let setpoint, let restore, let comparison):
      text(
        "恢复值 \(plain(restore)) 在报警值 \(comparison) \(plain(setpoint)) 的错误一侧",
        "restore value \(plain(restore)) is on the alarming side of "
          + "\(comparison) \(plain(setpoint))"
      )
    case .restoreMissing:
      text("限值没有说明如何恢复", "the limit does not say where it ends")
    case .setpointOutsideRange(let setpoint, let low, let high):
      text(
        "报警值 \(plain(setpoint)) 不在量程 \(plain(low))…\(plain(high)) 之内，永远不会触发",
        "set-point \(plain(setpoint)) lies outside the range \(plain(low)) to \(plain(high)) "
          + "and can never be reached"
      )
    case .rangeReversed(let low, let high):
      text(
        "量程下限 \(plain(low)) 不小于上限 \(plain(high))",
        "range \(plain(low)) to \(plain(high)) is empty"
      )
    case .siteValueMissing(let name, let zh):
      text(
        "“\(name)”（\(zh)）须由现场设定，但没有给出",
        "\"\(name)\" is set by the plant, and the site gives no value"
      )
    case .unitConversion(let from, let to, let reason, let zh):
      text("\(from) 不能换算为 \(to)：\(zh)", "\(from) does not convert to \(to): \(reason)")
    case .nothing(let kind, let zh): text("没有\(zh)", "there is no \(kind)")
    case .deviationUnapproved(let rule):
      text("“\(rule)”的放宽没有批准人", "the deviation of \"\(rule)\" has no approver")
    case .profileName(let expected, let found):
      text(
        "型谱名“\(found)”与文件路径“\(expected)”不符",
        "profile \"\(found)\" stands in the file of \"\(expected)\""
      )
    case .other(_, let zh, let en, _, _): text(zh, en)
    }
  }

  var remedy: LocalizedText {
    switch self {
    case .syntax:
      text(
        "检查缩进（只用空格，不用制表符）、冒号后的空格和引号",
        "check indentation (blanks only, no tabs), the blank after each colon, and quotes"
      )
    case .emptyFile: text("写入内容或删除该文件", "fill the file or remove it")
    case .unreadable(let fault): fault.remedy
    case .tooLarge: text("拆分为多个文件", "split it into several files")
    case .duplicateKey: text("保留其中一个", "keep one of them")
    case .unknownKey(let key, let known):
      slip(key, known) ?? text("可用的键：\(list(known))", "keys known here: \(list(known))")
    case .missingKey(let key): text("补上“\(key)”", "add \"\(key)\"")
    case .wrongType(let expected, let zh, _): text("改为\(zh)", "write \(expected)")
    case .notFinite: text("写一个有限的数", "write a finite number")
    case .badDate: text("写成 2025-06-01 的形式", "write it like 2025-06-01")
    case .datesReversed: text("更正其中一个日期", "correct one of the dates")
    case .badIdentifier:
      text("只用字母、数字和 - _ . :", "use letters, digits and - _ . : only")
    case .notOneOf(let found, let choices):
      slip(found, choices)
        ?? text("可选：\(list(choices))", "choose one of: \(list(choices))")
    case .unknownUnit(let found):
      slip(found, PointUnit.symbols)
        ?? text(
          "使用以下单位之一：" + PointUnit.symbols.joined(separator: ", "),
          "use one of: " + PointUnit.symbols.joined(separator: ", ")
        )
    case .unknownReference(_, let zh, let name, let known):
      slip(name, known)
        ?? (known.isEmpty || known.count > Self.listed
          ? text("先定义该\(zh)，或更正名称", "define it, or correct the name")
          : text(
            "先定义该\(zh)，或改用：\(list(known))",
            "define it, or name one of: \(list(known))"
          ))
    case .duplicateName: text("改名或删除其中一个", "rename or remove one of them")
    case .identityCollision: text("更改其中一个名称", "rename one of them")
    case .badExpression(_, _, _, let remedy): remedy
    case .limitOrder: text("按 LL < L < H < HH 设定", "set the limits so that LL < L < H < HH")
    case .restoreSide:
      text(
        "高限的恢复值不得高于报警值，低限不得低于报警值",
        "restore a high limit at or below its set-point, a low limit at or above it"
      )
    case .restoreMissing:
      text("给出 until 或 deadband", "give \"until\" (a restore value) or \"deadband\"")
    case .setpointOutsideRange: text("更正报警值或量程", "correct the set-point or the range")
    case .rangeReversed: text("写成 [下限, 上限]", "write [low, high]")
    case .siteValueMissing(let name, _):
      text(
        "在站点文件该设备下给出“\(name)”",
        "give \"\(name)\" under the device in the site file"
      )
    case .unitConversion:
      text(
        "写明 gas 化学式与 molar-volume（如 22.4），或改用同量纲单位",
        "state the gas formula and molar-volume (such as 22.4), or use a unit of one dimension"
      )
    case .nothing(_, let zh): text("至少定义一个\(zh)", "define at least one")
    case .deviationUnapproved:
      text("补上 reason、approved-by 和 approved-on", "add reason, approved-by and approved-on")
    case .profileName(let expected, _): text("改为“\(expected)”", "write \"\(expected)\"")
    case .other(_, _, _, let zh, let en): text(zh, en)
    }
  }

  /// As many names as a person still looks through.
  private static let listed = 20

  /// The name that was probably meant.
  private func slip(_ word: String, _ known: [String]) -> LocalizedText? {
    nearest(word, among: known).map {
      text("是否想写“\($0)”？", "did you mean \"\($0)\"?")
    }
  }

  private func text(_ zh: String, _ en: String) -> LocalizedText { LocalizedText(zh: zh, en: en) }

  private func list(_ words: [String]) -> String { words.sorted().joined(separator: ", ") }
}

extension LocalizedText {
  /// How limits are written.
  static let limitForms = LocalizedText(
    zh: "写成“>= 25”“>= alarm”“>= 2 * oel”或“>= site”的形式",
    en: "write it like \">= 25\", \">= alarm\", \">= 2 * oel\" or \">= site\""
  )
}

extension Problem {
  /// A code of which no area is known, so that nobody who supervises an area would see the enterprise.
  static func administrativeCode(_ text: String) -> Problem {
    .other(
      code: "administrative-code",
      zh: "“\(text)”不是行政区划代码：按区划授权的账号将看不到该企业",
      en: "\"\(text)\" is no code of an administrative area: whoever supervises an area would "
        + "not see the enterprise",
      remedyZh: "写 6 位（县级）、9 位（乡级）或 12 位（村级）数字，如 \"360702\"",
      remedyEn: "write 6 digits down to the county, 9 to the township or 12 to the village, as in "
        + "\"360702\""
    )
  }

  /// A route that never gets a message.
  static func routeTaken(_ id: String, by first: RouteSpec) -> Problem {
    .other(
      code: "route-taken",
      zh: "路由“\(id)”收不到任何报文：\(first.place.text) 的路由“\(first.route.id)”先取走其全部主题",
      en: "route \"\(id)\" never gets a message: route \"\(first.route.id)\" at "
        + "\(first.place.text) takes all its topics",
      remedyZh: "给它另一个主题，如写出企业编号；内容相同则删除其一",
      remedyEn: "give it a topic of its own, as with the enterprise written out, or remove one of "
        + "two that are alike"
    )
  }

  /// A route that takes all topics of one that every station has.
  static func standardRouteTaken(_ id: String) -> Problem {
    .other(
      code: "route-taken",
      zh: "内置路由“\(id)”收不到任何报文：本站所有网关发到其主题的报文都按此路由解析",
      en: "the built-in route \"\(id)\" never gets a message: what any gateway of the station "
        + "sends to its topics is read by this one",
      remedyZh: "改用其他主题",
      remedyEn: "choose another topic"
    )
  }

  /// A detector in which something is of the right type and yet of no use.
  static func unusable(_ key: String) -> Problem {
    .other(
      code: "detector-refused",
      zh: "“\(key)”不可用：某个时长为 0，或某个列表为空",
      en: "\"\(key)\" cannot be used: a length of time in it is 0, or a list empty",
      remedyZh: "更正该处的数值",
      remedyEn: "correct the figure"
    )
  }

  /// A standard that is not in the list of standards.
  ///
  /// One of a like number is not proposed as a slip of the pen is: the limit would cite what does not say it.
  static func unknownStandard(_ name: String) -> Problem {
    .other(
      code: "unknown-standard",
      zh: "standards.yaml 中没有标准“\(name)”",
      en: "standards.yaml has no standard \"\(name)\"",
      remedyZh: "核对编号与年号；确为该标准的，先写入 devices/standards.yaml",
      remedyEn: "check number and year, or enter it in devices/standards.yaml first"
    )
  }

  /// A high limit that alarms at small values, or a low one that alarms at large ones.
  static func levelSide(
    _ level: AlarmLevel,
    comparison: LimitParameters.Comparison
  ) -> Problem {
    let (zh, en) =
      comparison.isHigh ? ("低报", "a low alarm") : ("高报", "a high alarm")
    let signs = comparison.isHigh ? "<= / <" : ">= / >"
    let levels = comparison.isHigh ? "H / HH" : "L / LL"
    return .other(
      code: "level-side",
      zh: "级别 \(level.rawValue) 是\(zh)，when 却是“\(comparison.sign)”：正常值会报警，危险值不报警",
      en: "level \(level.rawValue) is \(en), and \"when\" is \"\(comparison.sign)\": "
        + "sound values would alarm and dangerous ones would not",
      remedyZh: "when 改用 \(signs)，或级别改为 \(levels)",
      remedyEn: "compare by \(signs), or write level \(levels)"
    )
  }

  /// An alarm that no value within the range ends.
  static func restoreOutsideRange(
    _ limit: LimitParameters,
    within reach: ClosedRange<Double>
  ) -> Problem {
    let sign = limit.comparison.isHigh ? "<" : ">"
    let range = (low: plain(reach.lowerBound), high: plain(reach.upperBound))
    return .other(
      code: "restore-outside-range",
      zh: "恢复条件 \(sign) \(plain(limit.restore)) 在量程 \(range.low)…\(range.high) 之内永远达不到，报警不会结束",
      en: "the alarm returns at \(sign) \(plain(limit.restore)), which no value in the range "
        + "\(range.low) to \(range.high) is: it never ends",
      remedyZh: "减小 deadband，或更正 restore，使恢复值在量程之内",
      remedyEn: "narrow \"deadband\" or correct \"restore\", so that it ends within the range"
    )
  }

  /// A factor that makes every value the same.
  static func scaleZero(_ text: String) -> Problem {
    .other(
      code: "scale-zero",
      zh: "scale 为 \(text)：每个读数都会变成同一个值",
      en: "scale is \(text): every reading would become the same value",
      remedyZh: "写出换算系数，不换算则删除 scale",
      remedyEn: "write the factor, or remove \"scale\" where there is none"
    )
  }

  /// A folder that is not there.
  static var noSuchFolder: Problem {
    .other(
      code: "unreadable-file",
      zh: "没有这个目录",
      en: "there is no such folder",
      remedyZh: "检查路径；相对路径从写它的文件所在目录算起",
      remedyEn: "check the path; a relative one begins at the folder of the file that says it"
    )
  }

  /// A table in an encoding that is not known.
  static var unreadableTable: Problem {
    .other(
      code: "unreadable-file",
      zh: "文件既不是 UTF-8 也不是 GB18030（GBK）文本",
      en: "the file is text in neither UTF-8 nor GB18030 (GBK)",
      remedyZh: "另存为 CSV UTF-8",
      remedyEn: "save it as CSV UTF-8"
    )
  }

  /// A point that the profile, or the device, does not have.
  static func unknownPoint(_ name: String, among known: [String]) -> Problem {
    .unknownReference(kind: "point", kindZh: "测点", name: name, known: known)
  }
}

/// A number as a person writes it: no trailing `.0`.
func plain(_ value: Double) -> String {
  if value == value.rounded(), abs(value) < 1e15 { return "\(Int64(value))" }
  return "\(value)"
}

/// A number for a sentence: at most six significant digits.
func brief(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return plain(value) }
  let digits = 5 - Int(log10(abs(value)).rounded(.down))
  guard (0...15).contains(digits) else { return plain(value) }
  let power = pow(10, Double(digits))
  return plain((value * power).rounded() / power)
}
