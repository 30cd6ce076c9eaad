import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

extension DeskState {
  /// A call-out channel as people have last left it.
  struct ChannelChange: Codable {
    /// Journal sequence of the change: what the next one has to have seen.
    var version: UInt64
    /// Canonical JSON; nil when the channel is as the service file has it, or removed.
    var setting: String?
    /// Secret → its identity in the folder of secrets.
    ///
    /// The secrets themselves are never here.
    var secrets: [String: String]
    var isRemoved: Bool
  }
}

extension HazardDesk {
  /// Most channels that people have changed or added.
  private static let channelLimit = 100
  /// Most names that anything is remembered of; those of the service file that are removed or put back are among them.
  private static let nameLimit = 1_000
  /// Longest setting, bytes of JSON.
  private static let settingLimit = 32_768
  /// What the console calls the secrets of all kinds of channels.
  private static let secretNames: Set<String> = ["url", "secret", "password"]

  /// Shows others what people have changed of the channels.
  func showChannels() {
    channelBoard.show(
      (state.channels ?? [:]).mapValues { change in
        ChannelBoard.Row(
          version: change.version,
          setting: change.setting,
          secrets: change.secrets,
          isRemoved: change.isRemoved
        )
      }
    )
  }

  /// `hazards/channel`, `channel-remove`, `channel-reset`: another setting, none, or the service file's again.
  ///
  /// What a kind of channel needs is held by the door, which knows the service file; here only what must not get
  /// into the ledger, and what other parts of the station rely on.
  func changeChannel(
    _ verb: Substring,
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    try caller.mustBe([.administrator], to: "changing a call-out channel")
    guard !caller.reason.isEmpty else { throw .incomplete("reason: must be given") }
    let name = try payload.text("channel", atMost: 128)
    let former = state.channels?[name]
    guard let seen = payload.json["version"]?.wholeNumber else {
      throw .incomplete("version: must be given")
    }
    guard seen == former?.version ?? 0 else {
      throw .refused("\(name) was changed meanwhile; look at it again", code: "version")
    }
    var change = DeskState.ChannelChange(
      version: record.sequence,
      setting: nil,
      secrets: [:],
      isRemoved: verb == "channel-remove"
    )
    var event = "channel.set"
    switch verb {
    case "channel":
      try holdLimit(former, payload)
      change.setting = try setting(payload)
      change.secrets = try secrets(payload)
    case "channel-remove":
      event = "channel.removed"
      guard former?.isRemoved != true else {
        throw .refused("\(name) is removed already", code: "state")
      }
      let users = policy.chains.values.filter { chain in
        chain.levels.contains { $0.channels.contains(name) }
      }
      guard users.isEmpty else {
        let chains = users.map(\.id).sorted().joined(separator: ", ")
        throw .refused("chains call by \(name): \(chains); change them first", code: "in-use")
      }
    default:
      event = "channel.reset"
      guard let former, former.setting != nil || former.isRemoved else {
        throw .refused("\(name) is as the service file has it", code: "state")
      }
    }
    var channels = state.channels ?? [:]
    // Of one that only people have set nothing is left, not even its name.
    channels[name] = change.isRemoved && payload.json["added"] == .bool(true) ? nil : change
    state.channels = channels
    // No place: it is the station's own, and nobody's who sees but one enterprise.
    var members: [String: LedgerJSON] = [
      "event": .string(event), "channel": .string(name), "reason": .string(caller.reason),
      "role": .string(caller.role.rawValue),
    ]
    if verb == "channel" {
      members["setting"] = payload.json["setting"]
      members["secrets"] = .object(change.secrets.mapValues { .string($0) })
    }
    output.drafts.append(
      LedgerDraft(
        time: Timestamp(milliseconds: record.input.received),
        kind: .register,
        subject: "channel/\(name)",
        actor: caller.actor,
        body: LedgerJSON.object(members).canonicalBytes(),
        origin: record.sequence
      )
    )
  }

  /// Refuses more channels than there may be.
  private func holdLimit(
    _ former: DeskState.ChannelChange?,
    _ payload: DeskPayload
  ) throws(ActError) {
    let channels = state.channels ?? [:]
    let isRoom =
      // A door before this one did not say which channels are only people's, and removed ones counted for ever.
      payload.json["added"] == nil
      ? former != nil || channels.count < Self.channelLimit
      : former?.setting != nil
        || channels.values.count { $0.setting != nil } < Self.channelLimit
          && (former != nil || channels.count < Self.nameLimit)
    guard isRoom else {
      throw .refused(
        "no more than \(Self.channelLimit) channels can be set here, nor \(Self.nameLimit) names remembered",
        code: "limit"
      )
    }
  }

  private func setting(_ payload: DeskPayload) throws(ActError) -> String {
    guard let setting = payload.json["setting"], let members = setting.members,
      members["kind"]?.text != nil
    else { throw .incomplete("setting: must be an object with a kind") }
    let bytes = setting.canonicalBytes()
    guard bytes.count <= Self.settingLimit, !bytes.contains(0) else {
      throw .incomplete("setting: at most \(Self.settingLimit) bytes")
    }
    // Neither secrets nor the names of files and variables to read them from.
    let secretKeys = Self.secretNames.subtracting(["url"])
    for key in members.keys.sorted()
    where secretKeys.contains(key) || key.hasSuffix("File") || key.hasSuffix("Environment") {
      throw .incomplete("setting.\(key): secrets do not belong into a setting")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func isIdentity(_ text: String) -> Bool {
    text.utf8.count == 32
      && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
  }

  private func secrets(_ payload: DeskPayload) throws(ActError) -> [String: String] {
    guard let members = payload.json["secrets"]?.members else { return [:] }
    var secrets: [String: String] = [:]
    for name in members.keys.sorted() {
      // A header field that the service file writes out stays there; its name alone comes here.
      let isHeader = name.hasPrefix("headers.") && name.utf8.count <= 128
      guard Self.secretNames.contains(name) || isHeader, let identity = members[name]?.text,
        identity == ChannelBoard.fileSecret || !isHeader && Self.isIdentity(identity)
      else { throw .incomplete("secrets.\(name.prefix(40)): must be an identity") }
      secrets[name] = identity
    }
    return secrets
  }
}
