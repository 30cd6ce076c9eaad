public import AlarmEngine

/// A multivariate model as a file of the catalog: what `davy calibrate` writes and profiles name.
///
/// Every number is written so that it reads back as the same number, so that a catalog with a model is as
/// reproducible as one without.
public struct ModelFile: Sendable {
  /// Identifier; the file's name.
  public var id: String
  /// The points that the model's signals are, in order.
  public var points: [String]
  /// The model.
  public var model: MultivariateModel

  /// Makes a file's contents.
  public init(id: String, points: [String], model: MultivariateModel) {
    self.id = id
    self.points = points
    self.model = model
  }

  /// The file as YAML.
  ///
  /// - Parameter comment: lines about its origin, without their comment signs.
  /// - Returns: the text.
  public func text(comment: [String]) -> String {
    let parts = model.parts
    func list(_ values: [Double]) -> String {
      "[" + values.map { "\($0)" }.joined(separator: ", ") + "]"
    }
    var text = comment.map { "# \($0)\n" }.joined()
    text += "model: \(id)\n"
    text += "points: [\(points.map { "\"\($0)\"" }.joined(separator: ", "))]\n"
    text += "lags: \(parts.lags)\n"
    text += "smoothing: \(parts.smoothing)\n"
    text += "ridge: \(parts.ridge)\n"
    text += "exceedance: \(parts.exceedance)\n"
    text += "retained: \(parts.retained)\n"
    text += "limits: {t2: \(parts.t2Limit), spe: \(parts.speLimit), distance: "
    text += "\(parts.distanceLimit)}\n"
    text += "mean: \(list(parts.mean))\n"
    text += "inverse-deviation: \(list(parts.inverseDeviation))\n"
    text += "eigenvalues: \(list(parts.eigenvalues))\n"
    text += "loadings:\n"
    let size = parts.eigenvalues.count
    for row in 0..<size {
      text += "  - \(list(Array(parts.loadings[row * size..<(row + 1) * size])))\n"
    }
    return text
  }

  /// Reads a file; nil when something in it is wrong, which has been reported.
  static func read(_ map: YAMLMap, expectedID: String) -> ModelFile? {
    defer { map.finish() }
    let idValue = map.required("model")
    let id = idValue?.identifier()
    if let id, id != expectedID {
      idValue?.report(.profileName(expected: expectedID, found: id))
    }
    let points = map.required("points")?.strings() ?? []
    var parts = MultivariateModel.Parts()
    parts.lags = map.required("lags")?.integer() ?? 0
    parts.smoothing = map.required("smoothing")?.number() ?? 1
    parts.ridge = map.required("ridge")?.number() ?? 0
    parts.exceedance = map.required("exceedance")?.number() ?? 0.01
    parts.retained = map.required("retained")?.integer() ?? 0
    if let limits = map.required("limits")?.map() {
      parts.t2Limit = limits.required("t2")?.number() ?? 0
      parts.speLimit = limits.required("spe")?.number() ?? 0
      parts.distanceLimit = limits.required("distance")?.number() ?? 0
      limits.finish()
    }
    let any = 1...100_000
    parts.mean = map.required("mean")?.numbers(count: any) ?? []
    parts.inverseDeviation = map.required("inverse-deviation")?.numbers(count: any) ?? []
    parts.eigenvalues = map.required("eigenvalues")?.numbers(count: any) ?? []
    for row in map.required("loadings")?.list() ?? [] {
      parts.loadings += row.numbers(count: any) ?? []
    }
    guard id != nil, !points.isEmpty else { return nil }
    do throws(MultivariateModel.LearnError) {
      let model = try MultivariateModel(parts: parts)
      guard model.width == points.count else {
        throw MultivariateModel.LearnError.badParts(
          "\(points.count) points, \(model.width) signals"
        )
      }
      return ModelFile(id: expectedID, points: points, model: model)
    } catch {
      map.value.report(
        .other(
          code: "model-unusable",
          zh: "模型文件不可用：\(error)",
          en: "the model cannot be used: \(error)",
          remedyZh: "用 davy calibrate 重新生成",
          remedyEn: "make it anew with davy calibrate"
        )
      )
      return nil
    }
  }
}
