import AlarmEngine
import PayloadDecoding
import Telemetry

/// Joins sites with profiles and lays devices, channels and rules out as rows.
struct CatalogCompiler {
  let library: ProfileLibrary
  let log: FindingLog

  private(set) var enginePlan = EnginePlan()
  private(set) var decodingPlan = DecodingPlan()
  private(set) var channels: [ChannelDescription] = []
  private(set) var rules: [RuleDescription] = []
  private(set) var devices: [DeviceDescription] = []
  private(set) var demands: [DemandFinding] = []

  /// Cut-off proofs named by rules, to be found when all channels are there.
  private var feedbacks: [(rule: Int, channel: String, place: Place)] = []
  /// Counts over other points' alarms, to be laid out when all rules are there.
  private var cascades: [(rule: ResolvedRule, channel: Int, spec: CascadeSpec)] = []
  private var names: [StableID: String] = [:]
  private var payloadNames: [String: Place] = [:]
  /// Devices, as `enterprise/device`, whose profile has errors that keep them from being laid out.
  private var skipped: Set<String> = []

  init(library: ProfileLibrary, log: FindingLog) {
    self.library = library
    self.log = log
  }

  /// Compiles all sites, in order.
  mutating func compile(_ sites: [SiteFile]) {
    var seen: [String: Place] = [:]
    for file in sites {
      decodingPlan.routes += file.routes.map(\.route)
      if let first = seen[file.enterprise.id] {
        log.report(
          .duplicateName(
            kind: "enterprise",
            kindZh: "企业",
            name: file.enterprise.id,
            first: first.text
          ),
          at: file.enterprise.place
        )
        continue
      }
      seen[file.enterprise.id] = file.enterprise.place
      for device in file.devices { compile(device, of: file.enterprise) }
    }
    layOutCascades()
    linkFeedbacks()
    checkPlan()
    do throws(TopicTemplateError) {
      let standard = try RouteSpec.standard()
      checkRoutes(of: sites, before: standard)
      decodingPlan.routes += standard
    } catch {
      preconditionFailure("a built-in topic template is malformed: \(error)")
    }
  }

  /// Says which routes never get a message, because one before them takes all their topics.
  private func checkRoutes(of sites: [SiteFile], before standard: [TopicRoute]) {
    var earlier: [RouteSpec] = []
    for spec in sites.flatMap(\.routes) {
      let template = spec.route.template
      if let first = earlier.first(where: { $0.route.template.takesAll(of: template) }) {
        log.report(.routeTaken(spec.route.id, by: first), at: spec.place, as: .warning)
        continue
      }
      earlier.append(spec)
      for other in standard where template.takesAll(of: other.template) {
        log.report(.standardRouteTaken(other.id), at: spec.place, as: .warning)
      }
    }
  }

  private mutating func linkFeedbacks() {
    let rows = Dictionary(
      channels.map { ("\($0.enterprise)/\($0.device)/\($0.point)", $0.index) },
      uniquingKeysWith: { first, _ in first }
    )
    for feedback in feedbacks {
      guard feedback.rule < rules.count else { continue }
      if let row = rows[feedback.channel] {
        rules[feedback.rule].feedback = row
      } else if !isSkipped(feedback.channel) {
        let enterprise = feedback.channel.prefix { $0 != "/" } + "/"
        let name = String(feedback.channel.dropFirst(enterprise.count))
        log.report(
          .unknownReference(
            kind: "channel",
            kindZh: "通道",
            name: name,
            // Of the same enterprise, as a site writes them.
            known: rows.keys.filter { $0.hasPrefix(enterprise) }
              .map { String($0.dropFirst(enterprise.count)) }.sorted()
          ),
          at: feedback.place
        )
      }
    }
  }

  /// Whether a channel, as `enterprise/device/point`, is not there because of an error in its device's profile.
  private func isSkipped(_ channel: String) -> Bool {
    let names = channel.split(separator: "/").map(String.init)
    guard names.count == 3 else { return false }
    if skipped.contains("\(names[0])/\(names[1])") { return true }
    let device = devices.first { $0.id == names[1] && $0.path.hasPrefix("\(names[0])/") }
    guard let device else { return false }
    return library.faults[device.profile]?.covers(point: names[2]) == true
  }

  /// Asks the engine itself, so that no catalog is accepted that it would refuse.
  private func checkPlan() {
    guard !log.hasErrors else { return }
    do throws(PlanError) {
      _ = try Engine(plan: enginePlan)
    } catch {
      for problem in error.problems {
        let place =
          switch problem.place {
          case .device(let row): devices[row].place
          case .channel(let row): devices[Int(enginePlan.channels[row].device)].place
          case .rule(let row): rules[row].place
          }
        log.report(
          .other(
            code: "plan-refused",
            zh: "引擎不接受：\(problem.message)",
            en: "the engine refuses it: \(problem.message)",
            remedyZh: "更正该处的数值",
            remedyEn: "correct the figure"
          ),
          at: place
        )
      }
    }
  }

  // MARK: device

  private mutating func compile(_ placed: SiteFile.PlacedDevice, of enterprise: Enterprise) {
    let spec = placed.spec
    let site = enterprise.sites[placed.site]
    let area = site.areas[placed.area]
    guard let profile = profile(of: spec, in: enterprise) else { return }
    claimNames(of: spec, in: enterprise)
    guard let gateway = gateway(spec, enterprise) else { return }
    let path = "\(area.path)/\(spec.id)"
    guard claim(path, at: spec.place) else { return }
    let resolver = DeviceResolver(
      profile: profile,
      spec: spec,
      policies: enterprise.policies,
      faults: library.faults[profile.id],
      log: log
    )
    let responsible =
      [
        spec.responsible.map(\.value), area.responsible, site.responsible, enterprise.responsible,
      ].first { !$0.isEmpty } ?? []

    let row = UInt32(devices.count)
    let timing = spec.timing.over(gateway.timing)
    enginePlan.devices.append(
      DevicePlan(
        id: StableID(name: path),
        clockToleranceMilliseconds: timing.clockTolerance ?? SourceTiming.standardTolerance,
        reorderAllowanceMilliseconds: timing.reorderAllowance ?? 0
      )
    )
    devices.append(
      DeviceDescription(
        index: row,
        path: path,
        id: spec.id,
        name: spec.name ?? profile.name,
        profile: profile.id,
        choices: resolver.rows.mapValues(\.id),
        gateway: gateway.id,
        position: spec.position,
        responsible: responsible,
        place: spec.place
      )
    )
    var draft = DeviceDraft(
      entry: DeviceEntry(
        enterprise: enterprise.id,
        gateway: gateway.id,
        id: spec.id,
        aliases: spec.aliases,
        points: [],
        statusCodes: statusCodes(spec, gateway)
      )
    )
    for point in resolver.points() {
      let channel = description(
        of: point,
        on: devices[Int(row)],
        in: (enterprise.id, site.id, area.id)
      )
      guard claim(channel.path, at: point.place) else { continue }
      layOut(point, as: channel, of: row, resolver, window: timing.window, &draft)
    }
    for (rule, channel) in draft.deferred {
      add(rule, to: channel, signals: draft.entry.points)
    }
    decodingPlan.devices.append(draft.entry)
    resolver.reportUnused()
    demands += resolver.unmetDemands(device: path, present: draft.present)
  }

  /// What comes together of a device while its points are laid out.
  private struct DeviceDraft {
    /// What payloads call it and its points.
    var entry: DeviceEntry
    /// Conditions over several points, which wait until all of them have their rows.
    var deferred: [(ResolvedRule, ChannelDescription)] = []
    /// Its points, and its rules as `point.rule`.
    var present: Set<String> = []
    /// The rule on its clock, which lies with the first point that it sends, is laid out.
    var hasClock = false
  }

  /// Lays out a point of the device with this row: its channel, what payloads call it, and the rules that look at it alone.
  private mutating func layOut(
    _ point: ResolvedPoint,
    as channel: ChannelDescription,
    of device: UInt32,
    _ resolver: DeviceResolver,
    window: ChannelWindow?,
    _ draft: inout DeviceDraft
  ) {
    let rules = resolver.rules(of: point)
    enginePlan.channels.append(
      ChannelPlan(
        id: StableID(name: channel.path),
        device: device,
        window: rules.contains(where: Self.isJudgedAgain) ? window : nil,
        unit: StableID(name: channel.unit)
      )
    )
    channels.append(channel)
    if !point.profile.isComputed {
      draft.entry.points.append(point.entry(channel: ChannelIndex(rawValue: channel.index)))
      if !draft.hasClock { add(resolver.clockRule(), to: channel, signals: []) }
      draft.hasClock = true
    }
    draft.present.insert(point.profile.id)
    for rule in rules {
      draft.present.insert("\(point.profile.id).\(rule.profile.id)")
      if let wanted = resolver.feedback(of: rule, at: point) {
        feedbacks.append(
          (
            rule: self.rules.count, channel: "\(channel.enterprise)/\(wanted.value)",
            place: wanted.place
          )
        )
      }
      if !layOut(rule, at: channel) { draft.deferred.append((rule, channel)) }
    }
  }

  /// Whether late readings are judged again by a rule.
  private static func isJudgedAgain(_ rule: ResolvedRule) -> Bool {
    switch rule.profile.detector {
    case .limit, .physicalRange: true
    case .stale, .rate, .stuck, .window, .expression, .interlock, .clockFault, .reported,
      .detect, .cascade:
      false
    }
  }

  /// The profile of a device; nil where there is none that can be used, and the device is passed over.
  private mutating func profile(of spec: DeviceSpec, in enterprise: Enterprise) -> DeviceProfile? {
    guard let wanted = spec.profile else { return nil }
    let faults = library.faults[wanted.value]
    let found = library.profiles.first { $0.id == wanted.value }
    // What follows from the profile's own errors would be reported as the site's.
    if let faults, found == nil || faults.isGeneral {
      skipped.insert("\(enterprise.id)/\(spec.id)")
      return nil
    }
    guard let found else {
      skipped.insert("\(enterprise.id)/\(spec.id)")
      log.report(
        .unknownReference(
          kind: "profile",
          kindZh: "型谱",
          name: wanted.value,
          known: library.profiles.map(\.id)
        ),
        at: wanted.place
      )
      return nil
    }
    return found
  }

  /// Notes the names by which payloads may speak of a device; each may name but one.
  private mutating func claimNames(of spec: DeviceSpec, in enterprise: Enterprise) {
    for name in [spec.id] + spec.aliases {
      let key = "\(enterprise.id)/\(name)"
      if let first = payloadNames[key] {
        log.report(
          .duplicateName(kind: "device", kindZh: "设备", name: name, first: first.text),
          at: spec.place
        )
      }
      payloadNames[key] = spec.place
    }
  }

  private func description(
    of point: ResolvedPoint,
    on device: DeviceDescription,
    in parent: (enterprise: String, site: String, area: String)
  ) -> ChannelDescription {
    ChannelDescription(
      index: UInt32(channels.count),
      path: "\(device.path)/\(point.profile.id)",
      enterprise: parent.enterprise,
      site: parent.site,
      area: parent.area,
      device: device.id,
      point: point.profile.id,
      name: LocalizedText(
        zh: "\(device.name.zh) \(point.profile.name.zh)",
        en: "\(device.name.en): \(point.profile.name.en)"
      ),
      unit: point.profile.unit.symbol,
      kind: point.profile.kind,
      low: point.low,
      high: point.high,
      staleMilliseconds: point.stale,
      states: Dictionary(
        point.profile.states.map { (plain($0.value), $0.text) },
        uniquingKeysWith: { first, _ in first }
      ),
      position: device.position,
      responsible: point.responsible.isEmpty ? device.responsible : point.responsible,
      conversion: point.conversion,
      molarVolume: point.molarVolume,
      place: point.place
    )
  }

  /// Lays a rule out that looks at its own point alone, or notes one that counts others' alarms; false where it has to wait.
  private mutating func layOut(_ rule: ResolvedRule, at channel: ChannelDescription) -> Bool {
    switch rule.profile.detector {
    case .cascade(let spec):
      cascades.append((rule, Int(channel.index), spec))
      return true
    case .window, .expression, .interlock, .detect:
      return false
    case .limit, .physicalRange, .stale, .rate, .stuck, .clockFault, .reported:
      guard rule.profile.suppression == nil else { return false }
      add(rule, to: channel, signals: [])
      return true
    }
  }

  private mutating func add(
    _ rule: ResolvedRule,
    to channel: ChannelDescription,
    signals: [PointEntry]
  ) {
    guard let detector = detector(of: rule, at: channel.index, signals: signals) else { return }
    var suppression: BoundExpression?
    if let text = rule.profile.suppression {
      suppression = bind(text, signals, at: rule.profile.place)
      guard suppression != nil else { return }
    }
    let fullName = "\(channel.path)#\(rule.profile.id)"
    guard claim(fullName, at: rule.place) else { return }
    enginePlan.rules.append(
      RulePlan(
        id: StableID(name: fullName),
        channel: ChannelIndex(rawValue: channel.index),
        detector: detector,
        priority: rule.profile.priority,
        onDelayMilliseconds: rule.onDelay,
        offDelayMilliseconds: rule.offDelay,
        isLatching: rule.profile.isLatching,
        reAlarmMilliseconds: rule.profile.reAlarm,
        suppression: suppression,
        escalation: rule.profile.escalation
      )
    )
    rules.append(
      RuleDescription(
        index: UInt32(rules.count),
        id: rule.profile.id,
        fullName: fullName,
        channel: channel.index,
        text: rule.profile.text,
        condition: rule.condition,
        level: rule.profile.level,
        priority: rule.profile.priority.name,
        setpoint: rule.setpoint,
        restore: rule.restore,
        unit: rule.profile.level == .clock ? "s" : rule.unit ?? channel.unit,
        bound: rule.bound,
        isLooserThanBound: rule.isLooserThanBound,
        source: rule.source,
        deviation: rule.deviation,
        onDelayMilliseconds: rule.onDelay,
        isWindowed: rule.window != nil,
        hasFixedRestore: rule.profile.fixedRestore,
        isRestoreChanged: rule.isRestoreChanged,
        needsFeedback: rule.profile.feedback != nil,
        feedback: nil,
        response: rule.profile.response,
        place: rule.place
      )
    )
  }

  // MARK: cascades

  /// Adds the cascades behind all rules: those over devices first, then those over the points of one device, which
  /// may count them.
  private mutating func layOutCascades() {
    for (rule, row, spec) in cascades {
      guard case .devices(let profile, let inArea) = spec.members else { continue }
      let own = channels[row]
      if !library.profiles.contains(where: { $0.id == profile }), library.faults[profile] == nil {
        log.report(
          .unknownReference(
            kind: "profile",
            kindZh: "型谱",
            name: profile,
            known: library.profiles.map(\.id)
          ),
          at: spec.place
        )
      }
      let members = channels.indices.filter { index in
        let channel = channels[index]
        let device = devices[Int(enginePlan.channels[index].device)]
        return device.profile == profile && channel.enterprise == own.enterprise
          && channel.site == own.site && (!inArea || channel.area == own.area)
      }
      addCascade(rule, row, spec, over: members)
    }
    for (rule, row, spec) in cascades {
      guard case .points(let names) = spec.members else { continue }
      let device = enginePlan.channels[row].device
      let members = channels.indices.filter { index in
        enginePlan.channels[index].device == device && names.contains(channels[index].point)
      }
      addCascade(rule, row, spec, over: members)
    }
    cascades = []
  }

  /// Adds a cascade over the grades of some channels; where none of them has a grade there is nothing to count.
  private mutating func addCascade(
    _ rule: ResolvedRule,
    _ row: Int,
    _ spec: CascadeSpec,
    over members: [Int]
  ) {
    var byChannel: [UInt32: [CascadeParameters.Member]] = [:]
    let wanted = Set(members.map(UInt32.init))
    for (index, description) in rules.enumerated()
    where description.level == .grade && wanted.contains(description.channel) {
      byChannel[description.channel, default: []].append(
        CascadeParameters.Member(
          rule: RuleIndex(rawValue: UInt32(index)),
          grade: enginePlan.rules[index].priority
        )
      )
    }
    let points = members.compactMap { byChannel[UInt32($0)] }
    guard !points.isEmpty else { return }
    var resolved = rule
    resolved.detector = .cascade(
      CascadeParameters(cascade: spec.cascade, grade: spec.grade, points: points)
    )
    add(resolved, to: channels[row], signals: [])
  }

  // MARK: names

  /// Takes a full name for this plan; false when it, or one with the same hash, is taken.
  private mutating func claim(_ name: String, at place: Place) -> Bool {
    let id = StableID(name: name)
    if let other = names[id] {
      if other == name {
        log.report(.duplicateName(kind: "name", kindZh: "名称", name: name, first: other), at: place)
      } else {
        log.report(.identityCollision(name: name, other: other), at: place)
      }
      return false
    }
    names[id] = name
    return true
  }

  private func gateway(_ spec: DeviceSpec, _ enterprise: Enterprise) -> Gateway? {
    guard let wanted = spec.gateway else {
      if enterprise.gateways.count == 1 { return enterprise.gateways[0] }
      log.report(.missingKey(key: "gateway"), at: spec.place)
      return nil
    }
    if let found = enterprise.gateways.first(where: { $0.id == wanted.value }) { return found }
    log.report(
      .unknownReference(
        kind: "gateway",
        kindZh: "网关",
        name: wanted.value,
        known: enterprise.gateways.map(\.id)
      ),
      at: wanted.place
    )
    return nil
  }

  private func statusCodes(_ spec: DeviceSpec, _ gateway: Gateway) -> [String: SourceStatus] {
    let place = spec.statusCodes?.place ?? gateway.place
    guard let name = spec.statusCodes?.value ?? gateway.statusCodes else { return [:] }
    if let codes = library.statusCodes[name] { return codes }
    log.report(
      .unknownReference(
        kind: "status code table",
        kindZh: "状态码表",
        name: name,
        known: library.statusCodes.keys.sorted()
      ),
      at: place
    )
    return [:]
  }
}

extension Place {
  /// `file:line`.
  var text: String { line > 0 ? "\(file):\(line)" : file }
}
