import Crypto
public import DeviceCatalog
import Foundation
import HazardLedger
public import Logging
public import Station
import Synchronization

/// The call-out channels (叫应通道) in force: the service file's, and what people have changed of them.
///
/// What people change stands in the journal and the ledger and goes before the file until it is put back; the secrets of it lie
/// in a folder of the station's data.
public final class ChannelRegister: Sendable {
  /// Section `callout:` of the service file.
  public typealias Section = ServiceConfiguration.CalloutSection

  /// A channel as it stands.
  struct Entry: Sendable {
    /// Where it comes from.
    enum Origin: String {
      /// The service file, unchanged.
      case file
      /// The service file has it, people have changed it.
      case changed
      /// People have added it.
      case added
    }

    var name: String
    /// What is in force; nil when it is removed, or ``fault`` says why it cannot be used.
    var channel: Section.Channel?
    var origin: Origin
    /// What the next change has to have seen.
    var version: UInt64
    /// Secret → identity.
    var secrets: [String: String]
    var isRemoved: Bool
    /// Why it cannot be used; empty where it can.
    var fault = ""
    /// What is not as it was set, though it is used; empty where nothing is.
    var notice = ""
  }

  /// Path of the service file.
  let serviceFile: String
  let secrets: ChannelSecrets
  private let board: ChannelBoard?
  private let state: Mutex<Section>

  /// Makes a register.
  ///
  /// - Parameters:
  ///   - section: the service file's section; an empty one where it has none.
  ///   - serviceFile: that file's path, for people.
  ///   - board: what people have changed.
  ///   - folder: where secrets lie that people have entered.
  public init(section: Section, serviceFile: String, board: ChannelBoard?, folder: String) {
    state = Mutex(section)
    self.serviceFile = serviceFile
    self.board = board
    secrets = ChannelSecrets(folder: folder)
  }

  /// The service file's section, as it was last read.
  public var section: Section { state.withLock { $0 } }

  /// Takes the service file's section over as it reads now.
  public func adopt(_ section: Section) { state.withLock { $0 = section } }

  /// The channels that can be used.
  public var channels: [Section.Channel] { entries().compactMap(\.channel) }

  /// Whether there is, or was, a channel, usable or not.
  public var hasHadChannels: Bool { !section.channels.isEmpty || board?.rows.isEmpty == false }

  /// Says of each channel that is set and cannot be used why nobody is called by it, and what of the others is not as set.
  public func tellFaults(_ logger: Logger) {
    for entry in entries() where !entry.fault.isEmpty {
      logger.error(
        "a call-out channel is set but cannot be used: nobody is called by it",
        metadata: ["channel": "\(entry.name)", "fault": "\(entry.fault)"]
      )
    }
    for entry in entries() where !entry.notice.isEmpty {
      logger.warning(
        "a call-out channel is used otherwise than it is set",
        metadata: ["channel": "\(entry.name)", "notice": "\(entry.notice)"]
      )
    }
  }

  /// Rises with every change by people.
  public var revision: Int { board?.revision ?? 0 }

  /// Deletes secrets that a crash has left without the act that was to use them; for the start only.
  public func sweep(_ logger: Logger) {
    do {
      try secrets.keep(only: Set(board?.rows.values.flatMap(\.secrets.values) ?? []))
    } catch {
      logger.error(
        "secrets that nothing uses are not deleted",
        metadata: ["folder": "\(secrets.folder)", "error": "\(error)"]
      )
    }
  }

  // MARK: - As it stands

  /// The service file's channels in its order, then those that people have added, by name.
  func entries() -> [Entry] {
    let section = section
    let rows = board?.rows ?? [:]
    var entries = section.channels.map { entry(of: $0, rows[$0.name]) }
    let known = Set(section.channels.map(\.name))
    for (name, row) in rows.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
      if let setting = row.setting { entries.append(entry(name, row, setting, file: nil)) }
    }
    return entries
  }

  private func entry(of file: Section.Channel, _ row: ChannelBoard.Row?) -> Entry {
    if let row, let setting = row.setting { return entry(file.name, row, setting, file: file) }
    var secrets: [String: String] = [:]
    for (name, _) in ChannelSetting.secrets(of: file.kind)
    where ChannelSetting.secret(name, of: file) != nil {
      secrets[name] = ChannelBoard.fileSecret
    }
    for name in ChannelSetting.hidden(file) where ChannelSetting.header(name) != nil {
      secrets[name] = ChannelBoard.fileSecret
    }
    let isRemoved = row?.isRemoved == true
    return Entry(
      name: file.name,
      channel: isRemoved ? nil : file,
      origin: isRemoved ? .changed : .file,
      version: row?.version ?? 0,
      secrets: secrets,
      isRemoved: isRemoved
    )
  }

  private func entry(
    _ name: String,
    _ row: ChannelBoard.Row,
    _ setting: String,
    file: Section.Channel?
  ) -> Entry {
    var entry = Entry(
      name: name,
      channel: nil,
      origin: file == nil ? .added : .changed,
      version: row.version,
      secrets: row.secrets,
      isRemoved: false
    )
    do {
      let members = try HazardLedger.JSONValue(parsing: Array(setting.utf8)).members ?? [:]
      let channel = try read(members, name: name, secrets: row.secrets, file: file)
      // The file's secret was entered for where the file's channel goes.
      if let file, row.secrets.values.contains(ChannelBoard.fileSecret),
        ChannelSetting.target(file) != ChannelSetting.target(channel)
      {
        throw SettingFault(
          description: "the service file's channel goes elsewhere now; enter the secrets again"
        )
      }
      entry.channel = channel
      entry.notice = notices(channel, row.secrets, file)
    } catch {
      entry.fault = "\(error)"
    }
    return entry
  }

  /// What of a channel that can be used is not as it was set.
  private func notices(
    _ channel: Section.Channel,
    _ secrets: [String: String],
    _ file: Section.Channel?
  ) -> String {
    var notices = secrets.filter { $0.value == ChannelBoard.fileSecret }.keys.sorted()
      .compactMap(ChannelSetting.header).filter { Self.header($0, of: file) == nil }
      .map { "headers.\($0): the service file does not name it any more; it is left out" }
    if !goesWhereFileSays(channel, secrets, file),
      let host = ChannelSetting.host(channel, robot: nil),
      let refusal = section.editedMayCall.refusal(settingHost: host)
    {
      notices.append("\(refusal); it is called all the same, until it is changed or removed")
    }
    return notices.joined(separator: "; ")
  }

  /// A header field of a channel, whatever the case of its name.
  private static func header(_ name: String, of channel: Section.Channel?) -> String? {
    channel?.headers.first { $0.key.lowercased() == name.lowercased() }?.value
  }

  /// Whether a channel goes to the host and port to which the service file sends the channel of that name.
  func goesWhereFileSays(
    _ channel: Section.Channel,
    _ secrets: [String: String],
    _ file: Section.Channel?
  ) -> Bool {
    guard let file else { return false }
    // A robot's address is one of its secrets.
    if channel.robot != nil { return secrets["url"] == ChannelBoard.fileSecret }
    let authority = ChannelSetting.authority(channel)
    return authority != nil && authority == ChannelSetting.authority(file)
  }

  /// What is wrong with a setting, one line a fault.
  struct SettingFault: Error, CustomStringConvertible {
    var description: String
  }

  /// Reads a setting as the service file's would be read.
  ///
  /// - Throws: ``SettingFault``.
  func read(
    _ setting: [String: HazardLedger.JSONValue],
    name: String,
    secrets identities: [String: String],
    file: Section.Channel?
  ) throws(SettingFault) -> Section.Channel {
    var members = setting
    for (secret, identity) in identities where ChannelSetting.header(secret) == nil {
      members[secret + "File"] = .string(secrets.path(identity))
    }
    let json = String(
      decoding: HazardLedger.JSONValue.object(members).canonicalBytes(),
      as: UTF8.self
    )
    let (read, findings) = Section.Channel.load(json: json, name: name)
    guard var channel = read else {
      let faults = findings.filter { $0.severity == .error }
      throw SettingFault(
        description: faults.map { finding in
          let key = finding.place.key.isEmpty ? "" : finding.place.key + ": "
          return key + finding.message.en + " (" + finding.message.zh + ")"
        }.joined(separator: "; ")
      )
    }
    for (secret, identity) in identities where identity == ChannelBoard.fileSecret {
      if let header = ChannelSetting.header(secret) {
        // Without one that the file has dropped since: that may be what the gateway wants now, and a channel less is worse.
        if let value = Self.header(header, of: file) { channel.headers[header] = value }
        continue
      }
      guard let file, let place = ChannelSetting.secret(secret, of: file) else {
        throw SettingFault(description: "\(secret): the service file does not name it any more")
      }
      ChannelSetting.set(place, secret, of: &channel)
    }
    return channel
  }

  /// The service file's own channel of a name.
  func file(_ name: String) -> Section.Channel? {
    section.channels.first { $0.name == name }
  }

  /// What the next change of a channel has to have seen; 0 for one that people have never changed.
  func version(_ name: String) -> UInt64 { board?.rows[name]?.version ?? 0 }
}

extension ChannelRegister.Entry {
  /// Changes with the channel, whoever changed it: people, or a newer service file.
  var tag: String {
    var members = channel.map { ChannelSetting.json($0, showsAll: true) } ?? [:]
    members["secrets"] = .object(secrets.mapValues { .string($0) })
    members["removed"] = .bool(isRemoved)
    let bytes = HazardLedger.JSONValue.object(members).canonicalBytes()
    return "\"\(version)-\(Array(SHA256.hash(data: bytes).prefix(8)).hex)\""
  }
}
