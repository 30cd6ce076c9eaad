public import AlarmEngine
public import PayloadDecoding
import Crypto
import Foundation

/// Everything that the station knows of devices, limits and people, compiled from `devices/` and sites.
///
/// A catalog is plain data and is rebuilt exactly from its ``sources``, so that the journal can carry
/// it and a replay can use the one that was in force.
public struct Catalog: Sendable {
  /// SHA-256 over all source files in canonical order, hexadecimal.
  public var version: String
  /// The files, by canonical path, in canonical order.
  public var sources: [(path: String, text: String)]
  /// What the engine is to watch.
  public var enginePlan: EnginePlan
  /// What the decoder is to understand.
  public var decodingPlan: DecodingPlan
  /// One row for each channel of the plan.
  public var channels: [ChannelDescription]
  /// One row for each rule of the plan.
  public var rules: [RuleDescription]
  /// One row for each device of the plan.
  public var devices: [DeviceDescription]
  /// The enterprises with sites, areas and people.
  public var enterprises: [Enterprise]
  /// The profiles.
  public var profiles: [DeviceProfile]
  /// The editions that the profiles cite.
  public var standards: [Standard]
  /// What is done about alarms: hazards, call-outs, clocks, inhibitions.
  public var response = ResponsePolicy()
  /// What the welding desk goes by; nil where `devices/` has no `hot-work.yaml`.
  public var hotWork: HotWorkRules?
  /// What standards ask devices to have, and they have not.
  var demands: [DemandFinding] = []
}

/// A catalog, if there are no errors, and all that is to be said of its files.
public struct CatalogResult: Sendable {
  /// The catalog; nil when a finding is an error.
  public var catalog: Catalog?
  /// Errors, warnings and notes, by file and line.
  public var findings: [Finding]

  /// Makes a result.
  public init(catalog: Catalog?, findings: [Finding]) {
    self.catalog = catalog
    self.findings = findings
  }
}

/// A device as the catalog knows it.
public struct DeviceDescription: Codable, Sendable {
  /// Row in the engine plan.
  public var index: UInt32
  /// `enterprise/site/area/device`.
  public var path: String
  /// Identifier in payloads.
  public var id: String
  /// Name.
  public var name: LocalizedText
  /// Id of the profile.
  public var profile: String
  /// What it chose: gas, mounting place.
  public var choices: [String: String]
  /// Gateway that publishes for it.
  public var gateway: String
  /// Where it stands.
  public var position: Coordinates?
  /// Keys of the responsible people, the nearest first.
  public var responsible: [String]
  /// Where it is defined.
  public var place: Place
}

/// A channel as the catalog knows it.
public struct ChannelDescription: Codable, Sendable {
  /// Row in the engine plan.
  public var index: UInt32
  /// `enterprise/site/area/device/point`.
  public var path: String
  /// Enterprise id.
  public var enterprise: String
  /// Site id.
  public var site: String
  /// Area id.
  public var area: String
  /// Device id.
  public var device: String
  /// Point id.
  public var point: String
  /// Name of the device and the point.
  public var name: LocalizedText
  /// Unit symbol.
  public var unit: String
  /// Kind of quantity.
  public var kind: PointProfile.Kind
  /// Least value that the instrument can show.
  public var low: Double?
  /// Largest value that the instrument can show.
  public var high: Double?
  /// Silent for longer than this is stale, ms; nil when it never is.
  public var staleMilliseconds: Int64?
  /// What values of a state mean, by value.
  public var states: [String: LocalizedText]
  /// Where the device stands.
  public var position: Coordinates?
  /// Keys of the responsible people, the nearest first.
  public var responsible: [String]
  /// How sent values become the channel's, when they are not taken as they are.
  public var conversion: String?
  /// Molar volume of that conversion, L/mol, when it is one of ppm and mg/m³.
  public var molarVolume: Double?
  /// Where it is defined.
  public var place: Place
}

/// A rule as the catalog knows it: what an operator reads beside an alarm.
public struct RuleDescription: Codable, Sendable {
  /// Row in the engine plan.
  public var index: UInt32
  /// Id within its point.
  public var id: String
  /// Point path, `#`, id: the name behind the rule's ``AlarmEngine/StableID``.
  public var fullName: String
  /// Row of the channel.
  public var channel: UInt32
  /// What the alarm says.
  public var text: LocalizedText
  /// The condition with its figures: `≥ 25 %LEL; returns < 24 %LEL`.
  public var condition: String
  /// Where it stands in the order of limits.
  public var level: AlarmLevel
  /// Colour: `red`, `orange`, `yellow`, `blue`.
  public var priority: String
  /// Set-point; nil where there is none.
  public var setpoint: Double?
  /// Restore value; nil where there is none.
  public var restore: Double?
  /// Unit of the figures.
  public var unit: String
  /// What the standard allows, as text: `≤ 25 %LEL`.
  public var bound: String?
  /// True when the set-point is looser than the standard's bound.
  public var isLooserThanBound: Bool
  /// Where the figure comes from.
  public var source: RuleSource
  /// Who allowed the site to differ.
  public var deviation: ApprovedDeviation?
  /// The condition must last this long before it is an alarm, ms.
  public var onDelayMilliseconds: Int64
  /// The condition is on a statistic of a window, not on each value.
  public var isWindowed: Bool
  /// The standard fixes where the alarm ends.
  public var hasFixedRestore: Bool
  /// The site has set another restore value than the profile.
  public var isRestoreChanged: Bool
  /// A cut-off belongs to this alarm, which a signal must prove.
  public var needsFeedback: Bool
  /// Row of the channel that proves it.
  public var feedback: UInt32?
  /// What the operator is to do.
  public var response: LocalizedText
  /// Where the rule, or the site's figure for it, stands.
  public var place: Place
}

extension Catalog {
  /// The routes that site files declare; those that every station has come behind them.
  public var siteRoutes: ArraySlice<TopicRoute> {
    decodingPlan.routes.dropLast(RouteSpec.standardCount)
  }

  /// Loads the profiles below a folder and the sites in files or folders.
  ///
  /// - Parameters:
  ///   - devices: Folder with `standards.yaml`, tables and profiles.
  ///   - site: Site files, or folders of them.
  ///   - response: Response files, or folders of them.
  /// - Returns: The catalog unless there are errors, and all findings.
  public static func load(
    devices: String,
    site: [String],
    response: [String] = []
  ) -> CatalogResult {
    let log = FindingLog()
    var files: [SourceFile] = []
    files += SourceFile.read(folder: devices, canonical: "devices", log: log)
    for (paths, canonical) in [(site, "sites"), (response, "response")] {
      for path in paths {
        files += SourceFile.read(fileOrFolder: path, canonical: canonical, log: log)
      }
    }
    return build(files, log: log)
  }

  /// Rebuilds a catalog from the texts it was made of.
  ///
  /// - Parameters:
  ///   - sources: The texts by their canonical paths.
  ///   - isRecorded: They were in force once: what an earlier version let pass and this one refuses is a warning only.
  /// - Returns: The catalog unless there are errors, and all findings.
  public static func load(
    sources: [(path: String, text: String)],
    isRecorded: Bool = false
  ) -> CatalogResult {
    let files = sources.map { SourceFile(canonical: $0.path, shown: $0.path, text: $0.text) }
    return build(files, log: FindingLog(isRecorded: isRecorded))
  }

  private static func build(_ files: [SourceFile], log: FindingLog) -> CatalogResult {
    let files = files.sorted { $0.canonical.utf8.lexicographicallyPrecedes($1.canonical.utf8) }
    for (one, next) in zip(files, files.dropFirst()) where one.canonical == next.canonical {
      log.report(
        .duplicateName(kind: "file", kindZh: "文件", name: one.canonical, first: one.shown),
        at: Place(file: next.shown, line: 0, column: 0, key: "")
      )
    }
    let library = ProfileLibrary.read(files, log: log)
    var sites: [SiteFile] = []
    for file in files where file.canonical.hasPrefix("sites/") && file.isYAML {
      guard let map = parseYAML(file.text, file: file.shown, log: log) else { continue }
      if let site = SiteReader(log: log, hotWork: library.hotWork).site(map) { sites.append(site) }
    }
    var compiler = CatalogCompiler(library: library, log: log)
    compiler.compile(sites)
    let responses = files.filter { $0.canonical.hasPrefix("response/") && $0.isYAML }
      .compactMap { parseYAML($0.text, file: $0.shown, log: log) }
    // What was in force once is not judged again, nor is what cannot be known because of errors elsewhere.
    let isJudged = !log.isRecorded && !log.hasErrors && !responses.isEmpty
    let response = ResponseReader(
      log: log,
      siteContacts: ResponseReader.contacts(of: sites.map(\.enterprise)),
      names: isJudged
        ? AlarmNames(
          enterprises: sites.map(\.enterprise),
          channels: compiler.channels,
          profiles: library.profiles
        ) : .unknown
    ).policy(responses)
    // What is wrong with a profile's rule is found again at every device of the profile.
    var seen: Set<Finding> = []
    let findings = log.findings.filter { seen.insert($0).inserted }.sorted(by: Finding.order)
    guard !log.hasErrors else { return CatalogResult(catalog: nil, findings: findings) }
    let catalog = Catalog(
      version: digest(files),
      sources: files.map { ($0.canonical, $0.text) },
      enginePlan: compiler.enginePlan,
      decodingPlan: compiler.decodingPlan,
      channels: compiler.channels,
      rules: compiler.rules,
      devices: compiler.devices,
      enterprises: sites.map(\.enterprise),
      profiles: library.profiles,
      standards: library.standards,
      response: response,
      hotWork: library.hotWork,
      demands: compiler.demands
    )
    return CatalogResult(catalog: catalog, findings: findings)
  }

  /// SHA-256 over path and text of every file, each behind its length, so that no two sets agree.
  private static func digest(_ files: [SourceFile]) -> String {
    var hash = SHA256()
    for part in files.flatMap({ [$0.canonical, $0.text] }) {
      let bytes = Array(part.utf8)
      var length = UInt64(bytes.count)
      var prefix: [UInt8] = []
      for _ in 0..<8 {
        prefix.append(UInt8(truncatingIfNeeded: length))
        length >>= 8
      }
      hash.update(data: prefix)
      hash.update(data: bytes)
    }
    let digits = Array("0123456789abcdef")
    return String(hash.finalize().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}

extension Finding {
  /// File, line, column, gravity.
  static func order(_ a: Finding, _ b: Finding) -> Bool {
    if a.place.file != b.place.file { return a.place.file < b.place.file }
    if a.place.line != b.place.line { return a.place.line < b.place.line }
    if a.place.column != b.place.column { return a.place.column < b.place.column }
    return a.severity > b.severity
  }
}

/// One file of the configuration.
struct SourceFile: Sendable {
  /// Path by which the catalog and the journal know it.
  var canonical: String
  /// Path by which people know it.
  var shown: String
  var text: String

  var isYAML: Bool { canonical.hasSuffix(".yaml") || canonical.hasSuffix(".yml") }

  /// Reads a file, or the YAML files below a folder.
  static func read(fileOrFolder path: String, canonical: String, log: FindingLog) -> [SourceFile] {
    var isFolder: ObjCBool = false
    if unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder),
      isFolder.boolValue
    {
      return read(folder: path, canonical: canonical, log: log)
    }
    let name = path.split(separator: "/").last.map(String.init) ?? path
    return read(path: path, canonical: "\(canonical)/\(name)", log: log).map { [$0] } ?? []
  }

  /// Reads the YAML files below a folder, in canonical order.
  static func read(folder: String, canonical: String, log: FindingLog) -> [SourceFile] {
    // Foundation's enumerator is silent about a folder that is not there, and about one behind a
    // symbolic link: so ask first, and follow the link.
    let real = URL(fileURLWithPath: folder).resolvingSymlinksInPath().path
    var isFolder: ObjCBool = false
    guard unsafe FileManager.default.fileExists(atPath: real, isDirectory: &isFolder),
      isFolder.boolValue, let names = FileManager.default.enumerator(atPath: real)
    else {
      log.report(
        .noSuchFolder,
        at: Place(file: folder, line: 0, column: 0, key: "")
      )
      return []
    }
    var found: [String] = []
    while let name = names.nextObject() as? String {
      if name.hasSuffix(".yaml") || name.hasSuffix(".yml") { found.append(name) }
    }
    return found.sorted().compactMap {
      read(path: "\(folder)/\($0)", canonical: "\(canonical)/\($0)", log: log)
    }
  }

  static func read(path: String, canonical: String, log: FindingLog) -> SourceFile? {
    do {
      let text = try String(contentsOfFile: path, encoding: .utf8)
      return SourceFile(canonical: canonical, shown: path, text: text)
    } catch {
      log.report(
        .unreadable(FileFault(reading: path)),
        at: Place(file: path, line: 0, column: 0, key: "")
      )
      return nil
    }
  }
}
