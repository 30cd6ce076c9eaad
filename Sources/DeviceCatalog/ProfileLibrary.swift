import Synchronization
import Telemetry

/// Everything below `devices/`: editions, tables, status codes, profiles.
struct ProfileLibrary: Sendable {
  var standards: [Standard] = []
  var profiles: [DeviceProfile] = []
  var statusCodes: [String: [String: SourceStatus]] = [:]
  /// What the welding desk goes by; nil where the library has no `hot-work.yaml`.
  var hotWork: HotWorkRules?
  var models: [ModelFile] = []
  /// The profiles that have errors, by the id that their file gives them, whether anything could be read of them or not.
  var faults: [String: ProfileFaults] = [:]

  /// A library with the files that it was read from and all that was to be said of them.
  private struct Reading: Sendable {
    var files: [SourceFile]
    var isRecorded: Bool
    var library: ProfileLibrary
    var findings: [Finding]
  }

  /// The newest readings, newest last: at a reload, and at each catalog that a journal holds, `devices/` is mostly what it
  /// was, and it is by far the larger part of a catalog.
  private static let newest = Mutex<[Reading]>([])
  private static let kept = 4

  /// Reads the library out of all files; those of sites are passed over.
  static func read(_ files: [SourceFile], log: FindingLog) -> ProfileLibrary {
    let own = files.filter { $0.canonical.hasPrefix("devices/") }
    let isRecorded = log.isRecorded
    let former = newest.withLock { readings in
      readings.last { $0.isRecorded == isRecorded && isSame($0.files, own) }
    }
    if let known = former {
      log.append(contentsOf: known.findings)
      return known.library
    }
    let ownLog = FindingLog(isRecorded: isRecorded)
    let library = parse(own, log: ownLog)
    log.append(contentsOf: ownLog.findings)
    let reading = Reading(
      files: own,
      isRecorded: isRecorded,
      library: library,
      findings: ownLog.findings
    )
    newest.withLock { readings in
      readings.append(reading)
      if readings.count > kept { readings.removeFirst() }
    }
    return library
  }

  /// Whether two readings had the same bytes: texts that Unicode calls equal may name points by other bytes.
  private static func isSame(_ files: [SourceFile], _ others: [SourceFile]) -> Bool {
    files.count == others.count
      && zip(files, others).allSatisfy { file, other in
        file.canonical.utf8.elementsEqual(other.canonical.utf8)
          && file.shown.utf8.elementsEqual(other.shown.utf8)
          && file.text.utf8.elementsEqual(other.text.utf8)
      }
  }

  private static func parse(_ files: [SourceFile], log: FindingLog) -> ProfileLibrary {
    var library = ProfileLibrary()
    var tables: [String: [DeviceProfile.Row]] = [:]
    var columns: [String: [String]] = [:]
    var rest: [(id: String, map: YAMLMap)] = []
    // Editions first, then tables, then profiles: each may refer to what stands before it.
    let yaml = files.filter(\.isYAML)
    let parsed = yaml.compactMap { file -> (file: SourceFile, map: YAMLMap)? in
      let before = log.findings.count
      let map = parseYAML(file.text, file: file.shown, log: log)
      if map == nil {
        library.faults[name(of: file)] = ProfileFaults(log.findings[before...])
      }
      return map.map { (file: file, map: $0) }
    }
    for (file, map) in parsed where file.canonical == "devices/standards.yaml" {
      library.standards = readStandards(map)
    }
    for (file, map) in parsed {
      let name = name(of: file)
      switch name.split(separator: "/").first {
      case "standards": break
      case "hot-work": library.hotWork = HotWorkRules.read(map, standards: library.standards)
      case "status-codes":
        for (key, _, value) in map.identified() {
          guard let entry = value.map() else { continue }
          _ = entry.required("about")?.text()
          library.statusCodes[key] = entry.required("codes")?.map().map(DeviceCatalog.statusCodes)
          entry.finish()
        }
      case "tables":
        let table = map.required("table")?.identifier()
        _ = map.required("about")?.text()
        let names = map.required("columns")?.strings() ?? []
        if let table, let rows = map.required("rows")?.map() {
          tables[table] = ProfileReader.rows(rows, columns: names, standards: library.standards)
          columns[table] = names
        }
        map.finish()
      case "models":
        let id = String(name.dropFirst("models/".count))
        if let model = ModelFile.read(map, expectedID: id) { library.models.append(model) }
      default: rest.append((name, map))
      }
    }
    let reader = ProfileReader(
      standards: library.standards,
      tables: tables,
      tableColumns: columns,
      log: log
    )
    library.profiles = rest.compactMap { id, map in
      let before = log.findings.count
      let profile = reader.profile(map, expectedID: id)
      let faults = ProfileFaults(log.findings[before...])
      if !faults.isEmpty { library.faults[id] = faults }
      return profile
    }
    return library
  }

  /// A file's path below `devices/`, without its extension.
  private static func name(of file: SourceFile) -> String {
    let path = file.canonical.dropFirst("devices/".count)
    return String(path.dropLast(path.hasSuffix(".yml") ? ".yml".count : ".yaml".count))
  }
}
