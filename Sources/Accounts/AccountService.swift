import Foundation
import Synchronization

/// Limits and lifetimes of accounts.
public struct AccountOptions: Sendable {
  /// A session that nobody uses ends after this, milliseconds.
  public var sessionIdle: Int64 = 12 * 3_600_000
  /// A session ends after this in any case.
  public var sessionLifetime: Int64 = 30 * 86_400_000
  /// A token lives at most this long.
  public var tokenLifetime: Int64 = 3_600_000
  /// A one-time link lives this long.
  public var invitationLifetime: Int64 = 24 * 3_600_000
  /// For this long after a link has been opened the password may be set without the old one.
  public var passwordGrace: Int64 = 15 * 60_000
  /// Sessions of one account; the oldest is ended for the next.
  public var sessionsPerAccount = 20
  /// Keys of one account.
  public var keysPerAccount = 20
  /// Accounts.
  public var accounts = 20_000
  /// Passwords hashed at the same time: each takes 32 MiB.
  public var hashing = 2
  /// Fewest characters of a password.
  public var passwordLength = 10
  /// How dear a hash is.
  public var cost = PasswordCost.standard

  /// The defaults.
  public init() {}
}

/// Who somebody turned out to be.
public struct Authenticated: Sendable {
  /// How it was shown.
  public enum Means: Hashable, Sendable {
    /// A browser's cookie.
    case session
    /// A signed token.
    case token
    /// A machine's key.
    case key
  }

  /// Who.
  public var principal: Principal
  /// By what.
  public var means: Means
}

/// A session just opened.
public struct OpenedSession: Sendable {
  /// What the browser keeps.
  public var secret: Secret
  /// Whose it is.
  public var account: Account
}

/// Accounts, sessions, tokens and keys of one station.
///
/// Everything is held in memory and written through; the file is this service's alone, but for invitations, which
/// `davy sign-in-link` may add. Changes of accounts come in two steps, checked and then kept, so that the caller can put
/// them into the ledger in between: what the ledger does not have is not in force.
public final class AccountService: Sendable {
  private struct State {
    var accounts: [String: AccountRecord]
    var sessions: [Data: SessionRecord]
    var keys: [String: KeyRecord]
    var unsavedSeen: [Data: Int64] = [:]
    var guarding = SignInGuard()
    var hashing = 0
  }

  /// The limits.
  public let options: AccountOptions
  private let store: AccountStore
  private let signer: TokenSigner
  private let state: Mutex<State>
  /// Compared with where there is no account, so that an unknown name takes as long as a wrong password.
  private let decoy: PasswordHash

  /// Opens the store, or begins one.
  ///
  /// - Parameters:
  ///   - path: the file; only its owner may read it.
  ///   - station: name of the station, the issuer of its tokens.
  ///   - options: limits.
  /// - Throws: why the store cannot be used.
  public init(
    path: String,
    station: String,
    options: AccountOptions = AccountOptions()
  ) throws(AccountError) {
    self.options = options
    store = try AccountStore(path: path)
    signer = TokenSigner(key: try store.secret("token", bytes: 32), issuer: "davy:" + station)
    state = Mutex(
      State(
        accounts: try store.accounts(),
        sessions: try store.sessions(),
        keys: try store.keys()
      )
    )
    decoy = PasswordHash.decoy(cost: options.cost)
  }

  // MARK: - Who is it

  /// The owner of a session; nil when it has ended or never was one.
  public func authenticate(session: Secret, now: Int64) -> Authenticated? {
    state.withLock { state in
      let digest = session.digest
      guard let record = state.sessions[digest], !hasEnded(record, now: now),
        let account = state.accounts[record.account]?.account, account.isActive
      else { return nil }
      state.sessions[digest]?.seen = now
      state.unsavedSeen[digest] = now
      return Authenticated(principal: account.principal, means: .session)
    }
  }

  /// The owner of what was sent as `Authorization: Bearer`: a machine's key or a token; nil for anything else.
  public func authenticate(bearer: String, now: Int64) async -> Authenticated? {
    if bearer.hasPrefix(Self.keyPrefix) {
      return authenticate(key: bearer.dropFirst(Self.keyPrefix.count), now: now)
    }
    guard bearer.utf8.count < 4_096, let claims = await signer.verify(bearer, now: now) else {
      return nil
    }
    return state.withLock { state in
      guard let record = state.accounts[claims.account], record.account.isActive,
        record.epoch == claims.epoch
      else { return nil }
      return Authenticated(principal: record.account.principal, means: .token)
    }
  }

  private static let keyPrefix = "davy_"

  private func authenticate(key text: Substring, now: Int64) -> Authenticated? {
    guard let dot = text.firstIndex(of: "."),
      let secret = Secret(String(text[text.index(after: dot)...]))
    else { return nil }
    return state.withLock { state in
      guard let record = state.keys[String(text[..<dot])], record.key.expires > now,
        zip(record.digest, secret.digest).reduce(UInt8(0), { $0 | ($1.0 ^ $1.1) }) == 0,
        let account = state.accounts[record.key.account]?.account, account.isActive
      else { return nil }
      return Authenticated(principal: account.principal, means: .key)
    }
  }

  // MARK: - Signing in and out

  /// Opens a session with a password; blocks for as long as a hash takes.
  public func signIn(
    account id: String,
    password: String,
    address: String,
    now: Int64
  ) throws(AccountError) -> OpenedSession {
    let wait = state.withLock { $0.guarding.wait(account: id, address: address, now: now) }
    if let wait { throw .locked(milliseconds: wait) }
    let record = state.withLock { $0.accounts[id] }
    let known = record.flatMap { $0.account.isActive ? $0.password : nil }
    let isRight = try hashing { try (known ?? decoy).matches(password) }
    guard isRight, known != nil, let account = record?.account else {
      let hasLocked = state.withLock {
        $0.guarding.failed(account: id, address: address, now: now)
      }
      throw .wrongCredentials(hasLocked: hasLocked)
    }
    state.withLock { $0.guarding.succeeded(account: id, address: address) }
    return try open(account, isByLink: false, now: now)
  }

  /// Opens a session with a one-time link, which is used up by it.
  public func redeem(_ link: Secret, now: Int64) throws(AccountError) -> OpenedSession {
    guard let id = try store.takeInvitation(link.digest, now: now),
      let account = state.withLock({ $0.accounts[id]?.account }), account.isActive
    else { throw .deadLink }
    return try open(account, isByLink: true, now: now)
  }

  /// Ends a session.
  public func signOut(_ session: Secret) throws(AccountError) {
    let digest = session.digest
    try store.removeSessions([digest])
    state.withLock { $0.sessions[digest] = nil }
  }

  private func open(
    _ account: Account,
    isByLink: Bool,
    now: Int64
  ) throws(AccountError) -> OpenedSession {
    let own = state.withLock { $0.sessions.filter { $0.value.account == account.id } }
      .sorted { $0.value.seen < $1.value.seen }
    if own.count >= options.sessionsPerAccount {
      try end(own.prefix(own.count - options.sessionsPerAccount + 1).map(\.key))
    }
    let secret = Secret()
    let record = SessionRecord(account: account.id, created: now, seen: now, isByLink: isByLink)
    try store.store(record, digest: secret.digest)
    state.withLock { $0.sessions[secret.digest] = record }
    return OpenedSession(secret: secret, account: account)
  }

  private func end(_ digests: [Data]) throws(AccountError) {
    guard !digests.isEmpty else { return }
    try store.removeSessions(digests)
    state.withLock { state in
      for digest in digests { state.sessions[digest] = nil }
    }
  }

  private func hasEnded(_ session: SessionRecord, now: Int64) -> Bool {
    now - session.seen > options.sessionIdle || now - session.created > options.sessionLifetime
  }

  /// Writes down when sessions were last used and forgets those that have ended; to be called every minute or so.
  public func sweep(now: Int64) throws(AccountError) {
    let (ended, seen) = state.withLock { state in
      defer { state.unsavedSeen = [:] }
      return (
        state.sessions.filter { hasEnded($0.value, now: now) }.map(\.key), state.unsavedSeen
      )
    }
    try store.updateSeen(seen)
    try end(ended)
  }

  // MARK: - Passwords and links

  /// Sets a person's own password and ends the account's other sessions and all its tokens.
  ///
  /// The password so far (`old`) is not needed while the account has none, or shortly after a one-time link.
  public func setPassword(
    of id: String,
    old: String?,
    new: String,
    session: Secret?,
    address: String,
    now: Int64
  ) throws(AccountError) {
    guard let record = state.withLock({ $0.accounts[id] }) else { throw .unknownAccount(id) }
    guard record.account.kind == .person else { throw .invalid("a machine has keys, no password") }
    if let current = record.password {
      let digest = session?.digest
      let isFresh = state.withLock { state in
        guard let digest, let session = state.sessions[digest] else { return false }
        return session.isByLink && now - session.created < options.passwordGrace
      }
      if !isFresh {
        if let wait = state.withLock({ $0.guarding.wait(account: id, address: address, now: now) })
        {
          throw .locked(milliseconds: wait)
        }
        let isRight = try hashing { try current.matches(old ?? "") }
        guard isRight else {
          let hasLocked = state.withLock {
            $0.guarding.failed(account: id, address: address, now: now)
          }
          throw .wrongCredentials(hasLocked: hasLocked)
        }
      }
    }
    try checkStrength(new, of: record.account)
    let hash = try hashing { try PasswordHash(of: new, cost: options.cost) }
    var next = record
    next.password = hash
    next.epoch += 1
    next.account.hasPassword = true
    next.account.version += 1
    next.account.changed = now
    try keep(next, replacing: record)
    let kept = session?.digest
    try end(
      state.withLock { state in
        state.sessions.filter { $0.value.account == id && $0.key != kept }.map(\.key)
      }
    )
  }

  private func checkStrength(_ password: String, of account: Account) throws(AccountError) {
    guard password.count >= options.passwordLength else {
      throw .weakPassword("at least \(options.passwordLength) characters")
    }
    guard password.utf8.count <= 512 else { throw .weakPassword("at most 512 bytes") }
    let lower = password.lowercased()
    guard !lower.contains(account.id), Set(lower).count >= 5 else {
      throw .weakPassword("not the account's id, and at least five different characters")
    }
  }

  /// Makes a one-time link's secret; earlier ones of the same account are void.
  public func invite(
    _ id: String,
    now: Int64,
    lifetime: Int64? = nil
  ) throws(AccountError) -> Secret {
    guard let account = state.withLock({ $0.accounts[id]?.account }), account.isActive else {
      throw .unknownAccount(id)
    }
    guard account.kind == .person else { throw .invalid("a machine has keys, no sign-in link") }
    let secret = Secret()
    let expires = now + min(lifetime ?? options.invitationLifetime, options.invitationLifetime)
    try store.storeInvitation(secret.digest, account: id, expires: expires)
    state.withLock { $0.guarding.unlock(account: id) }
    return secret
  }

  // MARK: - Tokens and keys

  /// A token for programs that act for a signed-in person.
  public func token(
    for id: String,
    now: Int64,
    lifetime: Int64
  ) async throws -> (token: String, expires: Int64) {
    guard let record = state.withLock({ $0.accounts[id] }), record.account.isActive else {
      throw AccountError.unknownAccount(id)
    }
    let lifetime = min(lifetime, options.tokenLifetime)
    let token = try await signer.sign(
      subject: id,
      epoch: record.epoch,
      now: now,
      lifetime: lifetime
    )
    return (token, (now / 1_000) * 1_000 + lifetime)
  }

  /// What a new key of a machine's account will be; ``keep(_:)`` puts it in force.
  public func makeKey(
    for id: String,
    purpose: String,
    now: Int64,
    lifetime: Int64
  ) throws(AccountError) -> (key: MachineKey, text: String, secret: Secret) {
    let (account, count) = state.withLock { state in
      (state.accounts[id]?.account, state.keys.values.count { $0.key.account == id })
    }
    guard let account, account.isActive else { throw .unknownAccount(id) }
    guard account.kind == .machine else {
      throw .invalid("keys are for machines; a person signs in with a password")
    }
    guard count < options.keysPerAccount else {
      throw .invalid("at most \(options.keysPerAccount) keys an account: remove one first")
    }
    let secret = Secret()
    let key = MachineKey(
      id: String(Secret().text.filter { $0.isLetter || $0.isNumber }.prefix(12)),
      account: id,
      purpose: purpose,
      created: now,
      expires: now + lifetime
    )
    return (key, "\(Self.keyPrefix)\(key.id).\(secret.text)", secret)
  }

  /// Puts a key in force.
  public func keep(_ key: MachineKey, secret: Secret) throws(AccountError) {
    let record = KeyRecord(key: key, digest: secret.digest)
    try store.store(record)
    state.withLock { $0.keys[key.id] = record }
  }

  /// The keys of an account.
  public func keys(of id: String) -> [MachineKey] {
    state.withLock { $0.keys.values.map(\.key).filter { $0.account == id } }
      .sorted { ($0.created, $0.id) < ($1.created, $1.id) }
  }

  /// Ends a key.
  public func removeKey(_ id: String) throws(AccountError) {
    try store.removeKey(id)
    state.withLock { $0.keys[id] = nil }
  }

  // MARK: - Accounts

  /// All accounts by id.
  public var accounts: [Account] {
    state.withLock { $0.accounts.values.map(\.account) }.sorted { $0.id < $1.id }
  }

  /// One account.
  public func account(_ id: String) -> Account? { state.withLock { $0.accounts[id]?.account } }

  /// Accounts in use whose scope names enterprises that are not among these, with those names.
  ///
  /// An enterprise that is gone they still see in the ledger; by a misspelt name they see nothing. Stations below speak
  /// for enterprises of their own.
  public func accounts(beyond enterprises: Set<String>) -> [(account: String, names: [String])] {
    accounts.filter { $0.isActive && !$0.roles.contains(.relay) }.compactMap {
      let names = $0.scope.enterprises.subtracting(enterprises)
      return names.isEmpty ? nil : (account: $0.id, names: names.sorted())
    }
  }

  /// Checks a new account and returns it as it will be; nothing is kept yet.
  public func create(_ draft: AccountDraft, now: Int64) throws(AccountError) -> Account {
    if let fault = draft.fault { throw .invalid(fault) }
    let (exists, count) = state.withLock { ($0.accounts[draft.id] != nil, $0.accounts.count) }
    guard !exists else { throw .exists(draft.id) }
    guard count < options.accounts else {
      throw .invalid("this station has \(count) accounts, the most it takes")
    }
    return Account(
      id: draft.id,
      displayName: draft.displayName,
      kind: draft.kind,
      roles: draft.roles,
      scope: draft.scope,
      isActive: draft.isActive,
      version: 1,
      hasPassword: false,
      created: now,
      changed: now
    )
  }

  /// Checks a change and returns the account as it will be; nothing is kept yet.
  public func change(
    _ draft: AccountDraft,
    from version: Int64,
    now: Int64
  ) throws(AccountError) -> Account {
    if let fault = draft.fault { throw .invalid(fault) }
    guard var account = account(draft.id) else { throw .unknownAccount(draft.id) }
    guard account.version == version else { throw .changedMeanwhile(version: account.version) }
    guard account.kind == draft.kind else { throw .invalid("kind: a person stays a person") }
    let isAdministrator = draft.isActive && draft.roles.contains(.administrator)
    let others = accounts.contains {
      $0.id != draft.id && $0.isActive && $0.kind == .person && $0.roles.contains(.administrator)
    }
    if account.roles.contains(.administrator), !isAdministrator, !others {
      throw .invalid("this is the last administrator; make another first")
    }
    account.displayName = draft.displayName
    account.roles = draft.roles
    account.scope = draft.scope
    account.isActive = draft.isActive
    account.version += 1
    account.changed = now
    return account
  }

  /// Puts an account, made or changed, in force; a closed one loses its sessions and tokens.
  public func keep(_ account: Account) throws(AccountError) {
    let former = state.withLock { $0.accounts[account.id] }
    var record = former ?? AccountRecord(account: account, password: nil, epoch: 1)
    guard (former?.account.version ?? 0) + 1 == account.version else {
      throw .changedMeanwhile(version: former?.account.version ?? 0)
    }
    record.account = account
    record.account.hasPassword = record.password != nil
    if !account.isActive { record.epoch += 1 }
    try keep(record, replacing: former)
    if !account.isActive {
      try end(
        state.withLock { state in
          state.sessions.filter { $0.value.account == account.id }.map(\.key)
        }
      )
    }
  }

  private func keep(
    _ record: AccountRecord,
    replacing former: AccountRecord?
  ) throws(AccountError) {
    let id = record.account.id
    let newest = state.withLock { $0.accounts[id]?.account.version }
    guard newest == former?.account.version else { throw .changedMeanwhile(version: newest ?? 0) }
    try store.store(record)
    state.withLock { $0.accounts[id] = record }
  }

  // MARK: - Hashing

  /// Hashes at most a few at a time: each takes 32 MiB and a core.
  private func hashing<Answer>(_ work: () throws -> Answer) throws(AccountError) -> Answer {
    let hasRoom = state.withLock { state in
      guard state.hashing < options.hashing else { return false }
      state.hashing += 1
      return true
    }
    guard hasRoom else { throw .busy }
    defer { state.withLock { $0.hashing -= 1 } }
    do {
      return try work()
    } catch {
      throw .store(path: store.path, reason: "scrypt: \(error)")
    }
  }
}
