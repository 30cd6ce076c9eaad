import AlarmEngine
import PayloadDecoding
import Telemetry

/// What a rule reads: its own point, others of the device, conditions over several.
extension CatalogCompiler {
  /// The engine's detector of a rule; nil, with a finding, when its expression is refused.
  func detector(
    of rule: ResolvedRule,
    at own: UInt32,
    signals: [PointEntry]
  ) -> Detector? {
    switch rule.profile.detector {
    case .limit, .physicalRange, .stale, .rate, .stuck, .clockFault, .reported, .cascade:
      return rule.detector
    case .detect(let spec): return detector(spec, rule.detector, signals)
    case .window(let spec, _):
      guard let parameters = rule.window else { return nil }
      var channels = [ChannelIndex(rawValue: own)]
      if let name = spec.statePoint {
        // Where the point is left out, there is no such rule.
        guard let channel = signal(name, among: signals) else { return nil }
        channels.append(channel)
      }
      return .window(parameters, signals: channels)
    case .expression(let text):
      return bind(text, signals, at: rule.profile.place).map {
        .expression($0.expression, signals: $0.signals)
      }
    case .interlock(let cause, let response, let within, let restore):
      guard let cause = bind(cause, signals, at: rule.profile.place),
        let response = bind(response, signals, at: rule.profile.place)
      else { return nil }
      return .interlock(
        InterlockVerification.Parameters(deadline: within, restoreDeadline: restore),
        cause: cause,
        response: response
      )
    }
  }

  /// The channel of a device's point: by the point's id, not by what the device calls it in payloads, which a site may
  /// change.
  private func signal(_ id: String, among signals: [PointEntry]) -> ChannelIndex? {
    signals.first { channels[Int($0.channel.rawValue)].point == id }?.channel
  }

  /// Gives a detector the other points of the device that it reads, and its model; nil, with a finding, when there is
  /// no such point or model.
  private func detector(
    _ spec: DetectorSpec,
    _ detector: Detector,
    _ signals: [PointEntry]
  ) -> Detector? {
    func channel(_ name: String) -> ChannelIndex? {
      if let channel = signal(name, among: signals) { return channel }
      if faults(in: spec.place.file)?.covers(point: name) == true { return nil }
      let known = signals.map { self.channels[Int($0.channel.rawValue)].point }
      log.report(.unknownPoint(name, among: known), at: spec.place)
      return nil
    }
    if let reference = spec.reference { return channel(reference).map(detector.with(reference:)) }
    guard let wanted = spec.model else { return detector }
    guard let model = library.models.first(where: { $0.id == wanted }) else {
      log.report(
        .unknownReference(
          kind: "model",
          kindZh: "模型",
          name: wanted,
          known: library.models.map(\.id)
        ),
        at: spec.place
      )
      return nil
    }
    guard model.points == spec.points else {
      log.report(
        .other(
          code: "model-points",
          zh: "模型“\(wanted)”的测点为 \(model.points.joined(separator: ", "))",
          en: "model \"\(wanted)\" was learnt on \(model.points.joined(separator: ", "))",
          remedyZh: "points 写成同样的测点与次序",
          remedyEn: "name the same points in the same order"
        ),
        at: spec.place
      )
      return nil
    }
    if spec.statistic == .spe, !model.model.leavesResidual {
      reportNoResidual(model, at: spec.place)
    }
    let channels = spec.points.compactMap(channel)
    guard channels.count == spec.points.count else { return nil }
    var decided = model.model
    decided.deciding = spec.statistic
    return .multivariate(decided, signals: channels)
  }

  /// With every component retained the patterns explain all there is: SPE is what rounding makes of 0, and so is its limit.
  private func reportNoResidual(_ model: ModelFile, at place: Place) {
    let retained = model.model.retained
    log.report(
      .other(
        code: "model-spe",
        zh: "模型“\(model.id)”保留了全部 \(retained) 个主成分，没有残差可供 spe 判断",
        en: "model \"\(model.id)\" retains all \(retained) components: nothing is left for spe",
        remedyZh: "写 statistic: distance 或 t2，或用 davy calibrate 生成保留较少主成分的模型",
        remedyEn: "write statistic: distance or t2, or learn a model that retains fewer"
      ),
      at: place
    )
  }

  /// Where the profile of a file has errors; nil where it has none.
  private func faults(in file: String) -> ProfileFaults? {
    library.faults.values.first { $0.file == file }
  }

  /// Reads an expression whose names are points of the device.
  func bind(_ text: String, _ points: [PointEntry], at place: Place) -> BoundExpression? {
    do throws(ExpressionError) {
      let expression = try CompiledExpression(text) { name in
        // By the point's id, not by what the device calls it in payloads, which a site may change.
        let row = points.lazy.map { Int($0.channel.rawValue) }
          .first {
            channels[$0].point == name || ExpressionNames.word(for: channels[$0].point) == name
          }
        guard let row else { return nil }
        if channels[row].kind == .state { return SignalType(index: row, kind: .state) }
        let unit = channels[row].unit
        let symbol = ["%VOL": "%vol", "degC": "°C", "1": ""][unit] ?? unit
        return SignalType(index: row, kind: .quantity(MeasurementUnit(symbol) ?? .number))
      }
      let signals = expression.signals.map { ChannelIndex(rawValue: UInt32($0.index)) }
      return BoundExpression(expression, signals: signals)
    } catch {
      if let faults = faults(in: place.file),
        ExpressionNames(text).points.contains(where: { faults.covers(word: $0) })
      {
        return nil
      }
      log.report(
        .badExpression(
          text: text,
          reason: "\(error.line):\(error.column): \(error.message)",
          reasonZh: "第 \(error.line) 行第 \(error.column) 列，\(error.message)",
          remedy: LocalizedText(zh: "按 docs/profiles.md 更正表达式", en: error.remedy)
        ),
        at: place
      )
      return nil
    }
  }
}
