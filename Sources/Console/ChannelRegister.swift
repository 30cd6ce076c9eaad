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
    var fault = ""
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

  /// Says of each channel that is set and cannot be used why nobody is called by it.
  public func tellFaults(_ logger: Logger) {
    for entry in entries() where !entry.fault.isEmpty {
      logger.error(
        "a call-out channel is set but cannot be used: nobody is called by it",
        metadata: ["channel": "\(entry.name)", "fault": "\(entry.fault)"]
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
      var channel = try read(members, name: name, secrets: row.secrets, file: file)
      // The file's secret was entered for where the file's channel goes.
      if let file, row.secrets.values.contains(ChannelBoard.fileSecret),
        ChannelSetting.target(file) != ChannelSetting.target(channel)
      {
        throw SettingFault(
          description: "the service file's channel goes elsewhere now; enter the secrets again"
        )
      }
      channel.isAddressEdited = !goesWhereFileSays(channel, row.secrets, file)
      entry.channel = channel
    } catch {
      entry.fault = "\(error)"
    }
    return entry
  }

  /// Whether people have left the channel's address to the service file.
  func goesWhereFileSays(
    _ channel: Section.Channel,
    _ secrets: [String: String],
    _ file: Section.Channel?
  ) -> Bool {
    guard let file, ChannelSetting.target(file) == ChannelSetting.target(channel) else {
      return false
    }
    // A robot's address is one of its secrets.
    return channel.robot == nil || secrets["url"] == ChannelBoard.fileSecret
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
        guard let value = file?.headers[header] else {
          throw SettingFault(description: "\(secret): the service file does not name it any more")
        }
        channel.headers[header] = value
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
    return "\"\(version)-\(Array(SHA256.hash(data: bytes).prefix(8)).hexadecimal)\""
  }
}
