import AlarmEngine
import Telemetry

extension Catalog {
  /// What is allowed but questionable: the limit linter.
  ///
  /// - Parameter date: The day for which editions are judged; the linter reads no clock.
  /// - Returns: Warnings and notes, by file and line.
  public func lint(on date: CalendarDate) -> [Finding] {
    var linter = CatalogLinter(catalog: self, date: date)
    linter.run()
    return linter.findings.sorted(by: Finding.order)
  }
}

/// Walks a catalog and says what a safety engineer should look at.
private struct CatalogLinter {
  let catalog: Catalog
  let date: CalendarDate
  private(set) var findings: [Finding] = []

  init(catalog: Catalog, date: CalendarDate) {
    self.catalog = catalog
    self.date = date
  }

  mutating func run() {
    for rule in catalog.rules { check(rule) }
    for (rule, plan) in zip(catalog.rules, catalog.enginePlan.rules) {
      checkSuppression(rule, plan)
      guard case .window(let parameters, let signals) = plan.detector else { continue }
      checkWindow(rule, parameters, signals)
    }
    checkInstruments()
    checkDemands()
    checkChannels()
    checkEditions()
    checkExposurePolicy()
    for enterprise in catalog.enterprises { check(enterprise) }
    checkWelding()
    for missing in catalog.unconnected {
      add(
        .warning,
        "not-connected",
        at: missing.place,
        zh: "应联未联：\(missing.path) 没有对应的设备或测点",
        en: "should be connected, but there is no such device or point: \(missing.path)",
        remedyZh: "在该区域 devices 下登记设备，或从 should-be-connected 中删除",
        remedyEn: "add the device under the area's devices, or take it out of should-be-connected"
      )
    }
  }

  private mutating func checkWelding() {
    for enterprise in catalog.enterprises {
      for figure in enterprise.welding?.looser ?? [] {
        add(
          .warning,
          "looser-than-standard",
          at: figure.place,
          clause: figure.citation,
          zh: "焊接登记：\(figure.name) 为 \(figure.value / 60_000) 分钟，宽于标准的 \(figure.bound / 60_000) 分钟",
          en: "welding: \(figure.name) is \(figure.value / 60_000) min, looser than the standard's "
            + "\(figure.bound / 60_000) min",
          remedyZh: "恢复到标准限值",
          remedyEn: "return to the standard's bound"
        )
      }
    }
  }

  private mutating func add(
    _ severity: Finding.Severity,
    _ code: String,
    at place: Place,
    clause: String? = nil,
    zh: String,
    en: String,
    remedyZh: String,
    remedyEn: String
  ) {
    findings.append(
      Finding(
        severity: severity,
        code: code,
        place: place,
        message: LocalizedText(zh: zh, en: en),
        remedy: LocalizedText(zh: remedyZh, en: remedyEn),
        clause: clause
      )
    )
  }

  /// Where the device of a rule stands: what a site's engineer can change.
  private func device(of rule: RuleDescription) -> DeviceDescription? {
    let row = catalog.enginePlan.channels[Int(rule.channel)].device
    return catalog.devices[Int(row)]
  }

  // MARK: rules

  private mutating func check(_ rule: RuleDescription) {
    checkBound(rule)
    checkGasAlarm(rule)
    checkProof(rule)
  }

  private func clause(of rule: RuleDescription) -> String? {
    rule.source.origin == .standard ? rule.source.citation : nil
  }

  /// What a site has moved away from what the standard says.
  private mutating func checkBound(_ rule: RuleDescription) {
    if rule.isLooserThanBound, let bound = rule.bound, let deviation = rule.deviation {
      add(
        .warning,
        "looser-than-standard",
        at: rule.place,
        clause: clause(of: rule),
        zh: "\(rule.fullName)：\(rule.condition) 宽于标准 \(bound)，由 \(deviation.approvedBy) 于 "
          + "\(deviation.approvedOn) 批准（\(deviation.reason)）",
        en:
          "\(rule.fullName): \(rule.condition) is looser than the standard's \(bound); approved by "
          + "\(deviation.approvedBy) on \(deviation.approvedOn) (\(deviation.reason))",
        remedyZh: "恢复到标准限值，或定期复审该批准",
        remedyEn: "return to the standard's bound, or review the approval regularly"
      )
      // A day that has begun somewhere is no day to come: the one for which is judged may be UTC's.
      if deviation.approvedOn.daysSinceEpoch > date.daysSinceEpoch + 1 {
        add(
          .error,
          "approval-to-come",
          at: rule.place,
          clause: clause(of: rule),
          zh: "\(rule.fullName)：放宽的批准日期 \(deviation.approvedOn) 还没有到",
          en: "\(rule.fullName): the approval of the looser limit is of \(deviation.approvedOn), "
            + "which is still to come",
          remedyZh: "更正 approved-on；批准之前按标准限值执行",
          remedyEn: "correct approved-on, and keep the standard's bound until it is approved"
        )
      }
    }
    if rule.hasFixedRestore, rule.isRestoreChanged {
      add(
        .warning,
        "hysteresis-changed",
        at: rule.place,
        clause: clause(of: rule),
        zh: "\(rule.fullName)：标准规定了恢复值，现场改为 \(rule.restore.map(plain) ?? "?") \(rule.unit)",
        en: "\(rule.fullName): the standard fixes where this ends, and the site has moved it to "
          + "\(rule.restore.map(plain) ?? "?") \(rule.unit)",
        remedyZh: "删除 deadband/restore；抖动请用 off-delay",
        remedyEn: "remove deadband or restore; against chatter use off-delay"
      )
    }
  }

  /// What keeps a legal gas alarm from being raised by the first reading beyond its limit.
  private mutating func checkGasAlarm(_ rule: RuleDescription) {
    let channel = catalog.channels[Int(rule.channel)]
    guard rule.source.origin == .standard, channel.kind == .gas || channel.kind == .oxygen else {
      return
    }
    if rule.onDelayMilliseconds > 0 {
      add(
        .warning,
        "delayed-gas-alarm",
        at: rule.place,
        clause: clause(of: rule),
        zh: "\(rule.fullName)：法定气体报警带有 \(plain(Double(rule.onDelayMilliseconds) / 1000)) s 延时",
        en: "\(rule.fullName): a legal gas alarm is delayed by "
          + "\(plain(Double(rule.onDelayMilliseconds) / 1000)) s",
        remedyZh: "去掉 on-delay；确需时须公开显示延时（GB 16808-2025 5.5.1.3）",
        remedyEn: "remove on-delay; a delay must at least be displayed (GB 16808-2025 5.5.1.3)"
      )
    }
    if rule.isWindowed {
      add(
        .warning,
        "windowed-gas-alarm",
        at: rule.place,
        clause: clause(of: rule),
        zh: "\(rule.fullName)：法定气体报警按窗口统计值判定（\(rule.condition)），单个读数超限不报警",
        en: "\(rule.fullName): a legal gas alarm is judged on a window (\(rule.condition)); "
          + "one reading above the limit raises nothing",
        remedyZh: "去掉 window，另设 level: pattern 的规则看趋势",
        remedyEn: "remove \"window\"; watch the trend by another rule of level: pattern"
      )
    }
  }

  /// What nothing proves: that a cut-off happened, that a figure is the standard's.
  private mutating func checkProof(_ rule: RuleDescription) {
    if rule.needsFeedback, rule.feedback == nil, let device = device(of: rule) {
      add(
        .warning,
        "cut-off-unproven",
        at: device.place,
        clause: clause(of: rule),
        zh: "\(rule.fullName) 要求切断，但没有反馈信号证明切断已执行",
        en: "\(rule.fullName) demands a cut-off, and no signal proves that it happened",
        remedyZh: "接入阀位/馈电信号，并在设备的 feedback 下写明“设备/测点”",
        remedyEn:
          "connect the valve or feed signal and name \"device/point\" under the device's \"feedback\""
      )
    }
    if rule.source.origin == .standard, rule.source.mark == .unverified,
      let device = device(of: rule)
    {
      let note = rule.source.note.map { (" (\($0.zh))", " (\($0.en))") } ?? ("", "")
      add(
        .info,
        "unverified-limit",
        at: device.place,
        clause: clause(of: rule),
        zh: "\(rule.fullName)：限值出处未经核对\(note.0)",
        en: "\(rule.fullName): the figure's source has not been verified\(note.1)",
        remedyZh: "与标准原文核对后更新型谱的 mark",
        remedyEn: "compare with the standard and update the profile's mark"
      )
    }
  }

  /// Alarms that a condition keeps from being raised: by themselves, or against the standard that asks for them.
  private mutating func checkSuppression(_ rule: RuleDescription, _ plan: RulePlan) {
    guard let suppression = plan.suppression else { return }
    if suppression.signals.contains(plan.channel) {
      add(
        .warning,
        "suppressed-by-itself",
        at: rule.place,
        zh: "\(rule.fullName)：suppress-when 用到规则自己的测点，报警可能被其自身的数值抑制",
        en: "\(rule.fullName): \"suppress-when\" names the rule's own point: "
          + "the very value that alarms may suppress the alarm",
        remedyZh: "suppress-when 只用其他测点（如设备运行状态）",
        remedyEn: "name other points in \"suppress-when\", such as whether the machine runs"
      )
    }
    if rule.source.origin == .standard {
      add(
        .warning,
        "legal-alarm-suppressed",
        at: rule.place,
        clause: rule.source.citation,
        zh: "\(rule.fullName)：标准要求的报警可被 suppress-when 抑制",
        en: "\(rule.fullName): \"suppress-when\" can suppress an alarm that a standard demands",
        remedyZh: "去掉 suppress-when，或确认标准允许",
        remedyEn: "remove \"suppress-when\", or make sure that the standard allows it"
      )
    }
  }

  /// Windows that may be judged without readings that are on their way, or on those of another state.
  private mutating func checkWindow(
    _ rule: RuleDescription,
    _ window: WindowedStatistic.Parameters,
    _ signals: [ChannelIndex]
  ) {
    let channel = catalog.channels[Int(rule.channel)]
    switch window.shape {
    case .tumbling, .hopping, .session:
      let grace = "\(plain(Double(window.grace) / 1000)) s"
      guard let silence = channel.staleMilliseconds else {
        // Nothing says how long the readings may be on their way.
        guard window.grace == 0 else { return }
        add(
          .warning,
          "window-grace",
          at: rule.place,
          zh: "\(rule.fullName)：测点没有 stale，窗口到时即判，网关打包或补传的读数不再计入",
          en:
            "\(rule.fullName): the point has no \"stale\", so a window is judged as soon as its end has come, and readings "
            + "that a gateway packs or sends later are left out",
          remedyZh: "在 window 中写 grace（网关最长的打包与传输时间），或给测点设 stale",
          remedyEn:
            "write \"grace\" in the window (the longest that the gateway packs and sends), or give the point a \"stale\""
        )
        return
      }
      guard window.grace < silence else { return }
      add(
        .warning,
        "window-grace",
        at: rule.place,
        zh: "\(rule.fullName)：窗口只等 \(grace)，测点允许静默 \(plain(Double(silence) / 1000)) s，其间到达的读数不再计入",
        en: "\(rule.fullName): a window waits for \(grace), the point may be silent for "
          + "\(plain(Double(silence) / 1000)) s; readings that come in between are left out",
        remedyZh: "去掉 grace，或确认网关打包与传输不超过 \(grace)",
        remedyEn: "remove \"grace\", or make sure that the gateway packs and sends within \(grace)"
      )
    case .state:
      guard signals.count > 1 else { return }
      let device = catalog.enginePlan.devices[
        Int(catalog.enginePlan.channels[Int(rule.channel)].device)
      ]
      guard device.reorderAllowanceMilliseconds == 0 else { return }
      add(
        .info,
        "window-order",
        at: rule.place,
        zh: "\(rule.fullName)：状态取自另一测点；同一消息内若不按时间先后排列，状态变化附近的读数会算入相邻窗口",
        en:
          "\(rule.fullName): the state is another point's; where the readings of a message are not in order of time, those "
          + "around a change of state count for the window beside",
        remedyZh: "设备设 reorder-allowance（一条消息的时间跨度），或由网关按时间排列",
        remedyEn:
          "give the device a \"reorder-allowance\" (the time a message spans), or let the gateway put them in order"
      )
    case .sliding, .count: break
    }
  }

  /// HH and H on one instrument: the switch that is to save the tank must not share the gauge's fault.
  private mutating func checkInstruments() {
    let rulesOfChannel = Dictionary(grouping: catalog.rules, by: \.channel)
    for channel in catalog.channels where channel.kind == .level {
      let rules = rulesOfChannel[channel.index] ?? []
      for (outer, inner) in [(AlarmLevel.highHigh, AlarmLevel.high), (.lowLow, .low)] {
        guard let far = rules.first(where: { $0.level == outer }),
          rules.contains(where: { $0.level == inner })
        else { continue }
        let own = outer == .highHigh ? "level-hh" : "level-ll"
        add(
          .warning,
          "shared-instrument",
          at: far.place,
          clause: "GB 50074-2014 15.1",
          zh: "\(channel.path)：\(outer.rawValue) 与 \(inner.rawValue) 由同一仪表给出",
          en: "\(channel.path): \(outer.rawValue) and \(inner.rawValue) come from one instrument",
          remedyZh: "\(outer.rawValue) 用独立仪表（如 \(own)）",
          remedyEn: "give \(outer.rawValue) an instrument of its own (such as \(own))"
        )
      }
    }
  }

  /// What a standard asks of a device of this size and contents.
  private mutating func checkDemands() {
    for finding in catalog.demands {
      let demand = finding.demand
      let missing = finding.missing.joined(separator: ", ")
      let unstated = finding.unstated.joined(separator: ", ")
      if finding.missing.isEmpty {
        add(
          .info,
          "demand-undecided",
          at: finding.place,
          clause: demand.source.citation,
          zh: "\(finding.device)：未写明 \(unstated)，无法判断是否须有“\(demand.text.zh)”",
          en:
            "\(finding.device): whether \"\(demand.text.en)\" is demanded depends on \(unstated), "
            + "not stated here",
          remedyZh: "在 parameters 下写明 \(unstated)",
          remedyEn: "state \(unstated) under \"parameters\""
        )
      } else {
        add(
          .warning,
          "protection-missing",
          at: finding.place,
          clause: demand.source.citation,
          zh: "\(finding.device)：须有“\(demand.text.zh)”，缺少 \(missing)",
          en: "\(finding.device): \"\(demand.text.en)\" is demanded, and \(missing) is missing",
          remedyZh: "装设并接入 \(missing)，从 without 中删除",
          remedyEn: "install and connect \(missing); take it out of \"without\""
        )
      }
    }
  }

  // MARK: channels

  private mutating func checkChannels() {
    for channel in catalog.channels {
      if channel.responsible.isEmpty {
        add(
          .warning,
          "nobody-responsible",
          at: channel.place,
          zh: "\(channel.path)：没有责任人",
          en: "\(channel.path): nobody is responsible",
          remedyZh: "在设备、区域、站点或企业处写 responsible",
          remedyEn: "name somebody under \"responsible\" of device, area, site or enterprise"
        )
      }
      guard let volume = channel.molarVolume, let conversion = channel.conversion else { continue }
      let usual = volume == 22.4
      add(
        usual ? .info : .warning,
        "molar-volume",
        at: channel.place,
        zh: "\(channel.path)：\(conversion)" + (usual ? "" : "；国内 ppm 报警值按 22.4 L/mol 换算"),
        en: "\(channel.path): \(conversion)"
          + (usual ? "" : "; Chinese ppm set-points were made with 22.4 L/mol"),
        remedyZh: "与仪表说明书核对摩尔体积",
        remedyEn: "compare the molar volume with the instrument's manual"
      )
    }
    let areas = Dictionary(
      catalog.enterprises.flatMap(\.sites).flatMap(\.areas).map { ($0.path, $0) },
      uniquingKeysWith: { first, _ in first }
    )
    for device in catalog.devices {
      let path = String(device.path.dropLast(device.id.count + 1))
      guard let position = device.position, let area = areas[path],
        area.contains(position) == false
      else { continue }
      add(
        .warning,
        "outside-fence",
        at: device.place,
        zh: "\(device.path)：位置不在区域“\(area.name.zh)”的围栏内",
        en: "\(device.path): stands outside the fence of \"\(area.name.en)\"",
        remedyZh: "更正坐标或围栏",
        remedyEn: "correct the position or the fence"
      )
    }
  }

  // MARK: editions

  private mutating func checkEditions() {
    for standard in catalog.standards {
      let users = catalog.rules.count { $0.source.standard == standard.id }
      guard users > 0 else { continue }
      let successor = standard.replacedBy.map { ("，由 \($0) 代替", ", replaced by \($0)") } ?? ("", "")
      if let until = standard.effectiveUntil, until < date {
        add(
          .warning,
          "edition-expired",
          at: standard.place,
          clause: standard.id,
          zh: "\(standard.id) 已于 \(until) 失效\(successor.0)，仍有 \(users) 条规则引用",
          en: "\(standard.id) went out of force on \(until)\(successor.1); \(users) rules cite it",
          remedyZh: "改用现行版本并核对数值",
          remedyEn: "move to the edition in force and check the figures"
        )
      } else if let from = standard.effectiveFrom, date < from {
        add(
          .warning,
          "edition-not-in-force",
          at: standard.place,
          clause: standard.id,
          zh: "\(standard.id) 自 \(from) 起施行，现有 \(users) 条规则引用",
          en: "\(standard.id) comes into force on \(from); \(users) rules cite it already",
          remedyZh: "施行前按旧版执行，或确认提前采用",
          remedyEn: "keep the old edition until then, or confirm early use"
        )
      } else if standard.effectiveFrom == nil {
        add(
          .info,
          "edition-date-unknown",
          at: standard.place,
          clause: standard.id,
          zh: "\(standard.id) 的施行日期未核实",
          en: "the day on which \(standard.id) came into force is not established",
          remedyZh: "核对后填写 from",
          remedyEn: "look it up and fill in \"from\""
        )
      }
    }
  }

  // MARK: enterprises

  /// Which exposure limit sets level 1 is a decision, and the looser one must be a conscious one.
  private mutating func checkExposurePolicy() {
    let profiles = catalog.profiles.filter { profile in
      profile.values.contains { $0.by == "oel-policy" }
    }.map(\.id)
    for enterprise in catalog.enterprises {
      let users = catalog.devices.filter {
        $0.path.hasPrefix("\(enterprise.id)/") && profiles.contains($0.profile)
      }
      guard !users.isEmpty else { continue }
      switch enterprise.policies["oel-policy"] {
      case nil:
        add(
          .info,
          "oel-policy",
          at: enterprise.place,
          clause: "GB/T 50493-2019 5.5.2",
          zh: "未写明 oel-policy，按较严的 PC-TWA 执行",
          en: "oel-policy is not stated; the stricter PC-TWA is taken",
          remedyZh: "在 policies 下写明 pc-twa 或 pc-stel",
          remedyEn: "state pc-twa or pc-stel under \"policies\""
        )
      case "pc-stel":
        add(
          .warning,
          "oel-policy",
          at: enterprise.place,
          clause: "GB/T 50493-2019 5.5.2",
          zh: "没有 MAC 的气体按 PC-STEL 设一级报警，宽于 PC-TWA",
          en: "gases without a MAC have level 1 at the PC-STEL, looser than the PC-TWA",
          remedyZh: "确认该选择有书面依据，否则改为 pc-twa",
          remedyEn: "confirm that there is a written ground, else choose pc-twa"
        )
      default: break
      }
    }
  }

  private mutating func check(_ enterprise: Enterprise) {
    for person in enterprise.people where person.phone == nil {
      add(
        .info,
        "no-telephone",
        at: person.place,
        zh: "\(person.name) 没有电话，无法叫应",
        en: "\(person.name) has no telephone and cannot be called",
        remedyZh: "补上 phone",
        remedyEn: "add \"phone\""
      )
    }
    for site in enterprise.sites {
      for source in site.hazardSources {
        if !source.isMajor {
          add(
            .info,
            "not-major",
            at: source.place,
            clause: "GB 18218-2018",
            zh: "“\(source.name.zh)”不构成重大危险源：\(source.arithmetic)",
            en: "\"\(source.name.en)\" is no major hazard source: \(source.arithmetic)",
            remedyZh: "核对数量，或从清单中移出",
            remedyEn: "check the quantities, or take it off the list"
          )
        } else if source.guarantors.isEmpty {
          add(
            .warning,
            "no-guarantors",
            at: source.place,
            zh: "重大危险源“\(source.name.zh)”没有包保责任人（主要、技术、操作）",
            en:
              "major hazard source \"\(source.name.en)\" has no guarantors (principal, technical, operating)",
            remedyZh: "在 guarantors 下写明三人",
            remedyEn: "name the three under \"guarantors\""
          )
        }
      }
    }
  }
}
