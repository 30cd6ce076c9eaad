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

  /// The time zone of the enterprise that a place belongs to.
  func zone(of place: String) -> TimeZone {
    places.enterprises[PlaceIndex.leading(1, of: place)]
      .flatMap { TimeZone(identifier: $0.timeZone) } ?? .gmt
  }

  /// The rule that an alarm's name speaks of; nil when the catalog no longer has it.
  func description(of name: AlarmName) -> Description? {
    guard let catalog, let row = places.channels[name.point],
      let rule = catalog.rules.first(where: { $0.channel == UInt32(row) && $0.id == name.rule })
    else { return weldingDescription(of: name) }
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
      zone: zone(of: name.point)
    )
  }

  /// A rule of the welding desk, which hangs at a machine's current, a certificate or a permit.
  private func weldingDescription(of name: AlarmName) -> Description? {
    guard let rule = WeldingRule(rawValue: name.rule), let catalog,
      let alarm = catalog.hotWork?.alarms[rule]
    else { return nil }
    let levels = name.point.split(separator: "/").map(String.init)
    guard let enterprise = levels.first.flatMap({ places.enterprises[$0] }) else { return nil }
    var place = enterprise.name
    if levels.count == 4, levels[1] == "welding" {
      let kind =
        levels[2] == "welders"
        ? LocalizedText(zh: "证书", en: "certificate of") : LocalizedText(zh: "作业票", en: "permit")
      place = LocalizedText(
        zh: "\(place.zh) \(kind.zh) \(levels[3])",
        en: "\(place.en) \(kind.en) \(levels[3])"
      )
    } else {
      let site = enterprise.sites.first { levels.count > 1 && $0.id == levels[1] }
      let device = catalog.devices.first { $0.path == PlaceIndex.leading(4, of: name.point) }
      place = LocalizedText(
        zh: [place.zh, site?.name.zh, device?.name.zh].compactMap(\.self).joined(separator: " "),
        en: [place.en, site?.name.en, device?.name.en].compactMap(\.self).joined(separator: " ")
      )
    }
    return Description(
      place: place,
      text: alarm.text,
      response: alarm.response,
      condition: alarm.source.origin == .standard ? alarm.source.citation : "",
      unit: "",
      zone: zone(of: name.point)
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
    let zh = rule.condition.isEmpty ? "" : "（\(rule.condition)）"
    let en = rule.condition.isEmpty ? "" : " (\(rule.condition))"
    return CalloutDispatch.Text(
      zh: "\(situation.zh)（\(colour.zh)）：\(rule.place.zh)，\(rule.text.zh)\(zh)，"
        + "\(clock)。\(rule.response.zh)",
      en: "\(situation.en) (\(colour.en)): \(rule.place.en), \(rule.text.en)\(en), "
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
