import DeviceCatalog
import Foundation
import HazardLedger
import Telemetry

/// What is said of an alarm, in both languages.
extension HazardDesk {
  /// A rule as people know it.
  struct Description {
    /// Enterprise, site and device.
    var place: LocalizedText
    /// What the alarm says.
    var text: LocalizedText
    /// What is to be done about it.
    var response: LocalizedText
    var condition: String
    var unit: String
    var zone: TimeZone
  }

  /// The rule that an alarm's name speaks of; nil when the catalog no longer has it.
  func description(of name: AlarmName) -> Description? {
    guard let catalog, let row = places.channels[name.point],
      let rule = catalog.rules.first(where: { $0.channel == UInt32(row) && $0.id == name.rule })
    else { return nil }
    let channel = catalog.channels[row]
    let enterprise = places.enterprises[channel.enterprise]
    let site = enterprise?.sites.first { $0.id == channel.site }
    func joined(_ language: KeyPath<LocalizedText, String>) -> String {
      [enterprise?.name[keyPath: language], site?.name[keyPath: language]]
        .compactMap(\.self).joined(separator: " ") + " " + channel.name[keyPath: language]
    }
    return Description(
      place: LocalizedText(zh: joined(\.zh), en: joined(\.en)),
      text: rule.text,
      response: rule.response,
      condition: rule.condition,
      unit: channel.unit,
      zone: enterprise.flatMap { TimeZone(identifier: $0.timeZone) } ?? .gmt
    )
  }

  private static let colours: [LocalizedText] = [
    LocalizedText(zh: "蓝色", en: "blue"), LocalizedText(zh: "黄色", en: "yellow"),
    LocalizedText(zh: "橙色", en: "orange"), LocalizedText(zh: "红色", en: "red"),
  ]

  /// One sentence that can be read out.
  func sentence(
    on alarm: String,
    _ situation: LocalizedText,
    at time: Timestamp
  ) -> CalloutDispatch.Text {
    guard let name = AlarmName(alarm), let rule = description(of: name) else {
      return CalloutDispatch.Text(zh: "\(situation.zh)：\(alarm)", en: "\(situation.en): \(alarm)")
    }
    let colour = Self.colours[max(1, min(4, state.alarms[alarm]?.priority ?? 4)) - 1]
    let onset = name.onset ?? time
    let clock = WallTime(onset, zone: rule.zone).text
    return CalloutDispatch.Text(
      zh: "\(situation.zh)（\(colour.zh)）：\(rule.place.zh)，\(rule.text.zh)（\(rule.condition)），"
        + "\(clock)。\(rule.response.zh)",
      en: "\(situation.en) (\(colour.en)): \(rule.place.en), \(rule.text.en) (\(rule.condition)), "
        + "\(clock). \(rule.response.en)"
    )
  }

  /// The first report, filled in as far as the station knows: time, place, what, measures; the rest is left to write.
  func reportDraft(_ step: AlarmBody, at now: Timestamp) -> LedgerJSON {
    let name = AlarmName(point: step.point, rule: step.rule, onset: step.onset)
    guard let rule = description(of: name) else {
      return .object(["en": .string(step.alarm), "zh": .string(step.alarm)])
    }
    let onset = WallTime(step.onset, zone: rule.zone).text
    let known = WallTime(now, zone: rule.zone).text
    func figure(_ value: Double?) -> String { value.map { "\($0) \(step.unit)" } ?? "—" }
    let enterprise = places.enterprises[PlaceIndex.leading(1, of: step.point)]
    let code = enterprise?.creditCode ?? "—"
    let zh = """
      【突发事件信息首报】
      单位：\(enterprise?.name.zh ?? "")（统一社会信用代码 \(code)）
      地点：\(rule.place.zh)
      发生时间：\(onset)（系统获知：\(known)）
      基本情况：\(rule.text.zh)，实测 \(figure(step.value))，限值 \(figure(step.limit))（\(rule.condition)）
      应采取的措施：\(rule.response.zh)
      人员伤亡：（待填）
      已采取的措施：（待填）
      报告人及联系电话：（待填）
      """
    let en = """
      [First report]
      Enterprise: \(enterprise?.name.en ?? "") (credit code \(code))
      Place: \(rule.place.en)
      Time: \(onset) (known to the station: \(known))
      What: \(rule.text.en), measured \(figure(step.value)), limit \(figure(step.limit)) (\(rule.condition))
      What is to be done: \(rule.response.en)
      Casualties: (to be filled in)
      Measures taken: (to be filled in)
      Reported by, telephone: (to be filled in)
      """
    return .object(["en": .string(en), "zh": .string(zh)])
  }
}
