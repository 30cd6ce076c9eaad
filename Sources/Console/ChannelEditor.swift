import DeviceCatalog
import Foundation
import HTTPTypes
import HazardLedger
import Logging
import Station

/// Makes of what somebody has entered for a channel what may stand in journal and ledger: a setting that the service file
/// could hold as well, and the identities of secrets, which it puts aside.
struct ChannelEditor {
  typealias JSON = HazardLedger.JSONValue

  /// What is ready to become an act.
  struct Prepared {
    var setting: [String: JSON]
    /// Secret → identity.
    var secrets: [String: String]
    /// Identities of secrets that were put aside for it.
    var written: [String]
  }

  let register: ChannelRegister
  let name: String
  /// The channel as it stands; nil for a new one.
  let current: ChannelRegister.Entry?
  let logger: Logger

  /// Reads what was entered, holds it to the rules of the service file, and puts new secrets aside.
  ///
  /// - Parameters:
  ///   - wish: the setting.
  ///   - secrets: a text for each secret to be set, null for one to be dropped; what is not named stays, also the header
  ///     fields that are not shown (`headers.Authorization`), which can only be dropped here.
  /// - Returns: what may become an act.
  /// - Throws: a problem 422 that names what is wrong; nothing is put aside then.
  func prepare(_ wish: [String: JSON], secrets: [String: JSON]) throws -> Prepared {
    guard let kind = wish["kind"]?.text.flatMap(ChannelSetting.Kind.init(rawValue:)) else {
      let kinds = ChannelSetting.Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw Self.fault("kind: must be one of \(kinds)")
    }
    let known = ChannelSetting.secrets(of: kind)
    for key in wish.keys.sorted()
    where key.hasSuffix("File") || key.hasSuffix("Environment")
      || known.contains(where: { $0.name == key })
    {
      throw Self.fault("\(key): send secrets in the member secrets; they are never shown again")
    }
    let hidden = kind == .http ? hiddenHeaders(wish) : []
    let given = try texts(secrets, known: known.map(\.name), hidden: hidden)
    let file = register.file(name)
    var identities: [String: String] = [:]
    for (secret, _) in known {
      switch given[secret] {
      case .some(.some): identities[secret] = Self.awaited
      case .some(.none): break
      case .none: identities[secret] = current?.secrets[secret]
      }
    }
    // A mail server that asks for no account has no password.
    if kind == .smtp, wish["userName"]?.text ?? "" == "" { identities["password"] = nil }
    // Places that are only now to be filled look like any other to the reader.
    let channel: ChannelSetting.Channel
    do throws(ChannelRegister.SettingFault) {
      channel = try register.read(wish, name: name, secrets: identities, file: file)
    } catch {
      throw Self.fault(error.description)
    }
    guard kind != .http || Self.methods.contains(channel.method) else {
      throw Self.fault("method: must be one of \(Self.methods.joined(separator: ", "))")
    }
    // These stay where the service file has them: what is set here stands in the ledger.
    let kept = hidden.filter { given[$0] == nil }
    for header in kept { identities[header] = current?.secrets[header] }
    try holdTarget(channel, identities)
    try holdHost(channel, identities, given["url"] ?? nil)
    try holdSecrets(channel)
    var prepared = Prepared(
      setting: ChannelSetting.json(channel, showsAll: true),
      secrets: identities,
      written: []
    )
    do {
      for (secret, _) in known {
        guard identities[secret] == Self.awaited, let text = given[secret] ?? nil else { continue }
        let identity = try register.secrets.add(text)
        prepared.secrets[secret] = identity
        prepared.written.append(identity)
      }
    } catch {
      discard(prepared.written)
      throw Problem(
        .serviceUnavailable,
        "secret-not-kept",
        "the secret cannot be written: \(error.localizedDescription)"
      )
    }
    return prepared
  }

  /// How a gateway may be asked.
  private static let methods = ["GET", "POST", "PUT"]

  /// Stands for a secret that is entered with this change.
  private static let awaited = "new"

  private static func fault(_ detail: String) -> Problem {
    Problem(.unprocessableContent, "channel-setting", detail)
  }

  /// Deletes secrets that were put aside for a change that does not come about; the next start finds those that stay.
  private func discard(_ identities: [String]) {
    do {
      try register.secrets.remove(identities)
    } catch {
      logger.error(
        "secrets that nothing uses are not deleted",
        metadata: ["channel": "\(name)", "error": "\(error)"]
      )
    }
  }

  /// The header fields that the channel has, that are not shown, and that are not entered anew.
  private func hiddenHeaders(_ wish: [String: JSON]) -> [String] {
    let entered = Set((wish["headers"]?.members ?? [:]).keys.map { $0.lowercased() })
    return (current?.secrets ?? [:]).keys.filter { name in
      ChannelSetting.header(name).map { !entered.contains($0.lowercased()) } ?? false
    }.sorted()
  }

  private func texts(
    _ secrets: [String: JSON],
    known: [String],
    hidden: [String]
  ) throws -> [String: String?] {
    var texts: [String: String?] = [:]
    for (secret, value) in secrets.sorted(by: { $0.key < $1.key }) {
      if hidden.contains(secret) {
        guard value == .null else {
          throw Self.fault(
            "secrets.\(secret): can be null, which drops it; to change it set the header field to "
              + "{{secret}} and send the secret"
          )
        }
        texts[secret] = .some(nil)
        continue
      }
      guard known.contains(secret) else {
        throw Self.fault(
          "secrets.\(secret.prefix(40)): this kind knows \(known.isEmpty ? "none" : known.joined(separator: ", "))"
        )
      }
      if value == .null {
        texts[secret] = .some(nil)
        continue
      }
      let text = value.text?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
      guard !text.isEmpty, text.utf8.count <= ChannelSecrets.limit,
        !text.utf8.contains(where: { $0 < 32 })
      else {
        throw Self.fault("secrets.\(secret): one line of 1 to \(ChannelSecrets.limit) bytes")
      }
      if secret == "url", !text.hasPrefix("https://"), !text.hasPrefix("http://") {
        throw Self.fault("secrets.url: an address that begins with https:// or http://")
      }
      texts[secret] = text
    }
    return texts
  }

  /// Refuses to send a secret that is kept to somewhere else than it was entered for.
  private func holdTarget(
    _ channel: ChannelSetting.Channel,
    _ identities: [String: String]
  ) throws {
    guard identities.values.contains(where: { $0 != Self.awaited }) else { return }
    // A channel that was removed or cannot be read says nothing of where its secrets went.
    let former = current?.channel ?? (current?.isRemoved == true ? register.file(name) : nil)
    guard let former, ChannelSetting.target(former) == ChannelSetting.target(channel) else {
      throw Problem(
        .unprocessableContent,
        "secret-again",
        "the kind or the target changes: enter the secrets again"
      )
    }
  }

  /// Refuses a host that the service file does not let people set, and one that is filled in only at the call.
  private func holdHost(
    _ channel: ChannelSetting.Channel,
    _ identities: [String: String],
    _ robot: String?
  ) throws {
    guard !register.goesWhereFileSays(channel, identities, register.file(name)),
      let host = ChannelSetting.host(channel, robot: robot)
    else { return }
    if host.contains("{{") {
      throw Problem(
        .unprocessableContent,
        "channel-host",
        "\(host): a host that is filled in at the call can only be set in the service file"
      )
    }
    guard let refusal = register.section.editedMayCall.refusal(settingHost: host) else { return }
    throw Problem(.unprocessableContent, "channel-host", refusal)
  }

  /// Refuses secrets where they would stand in the ledger for everybody to read.
  private func holdSecrets(_ channel: ChannelSetting.Channel) throws {
    var places: [String] = []
    if ChannelSetting.holdsSecret(address: channel.url) { places.append("url") }
    if ChannelSetting.holdsSecret(text: channel.body) { places.append("body") }
    for (key, value) in channel.headers.sorted(by: { $0.key < $1.key })
    where ChannelSetting.holdsSecret(header: key, value) {
      places.append("headers.\(key)")
    }
    guard places.isEmpty else {
      throw Problem(
        .unprocessableContent,
        "secret-written-out",
        "\(places.joined(separator: ", ")): looks like a secret, and settings stand in the ledger; "
          + "write {{secret}} there (kind http) and send the secret in the member secrets"
      )
    }
  }
}
