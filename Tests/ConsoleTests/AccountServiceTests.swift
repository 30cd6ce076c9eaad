import Accounts
import Foundation
import Testing

@Suite("Accounts") struct AccountServiceTests {
  static let day: Int64 = 86_400_000

  @Test("a password's hash reads back, opens for the password alone, and has a salt of its own")
  func hashes() throws {
    let cost = PasswordCost(logRounds: 4, blockSize: 1, parallelism: 1)
    let hash = try PasswordHash(of: "e\u{301}tage 42 blau", cost: cost)
    let same = try #require(PasswordHash(hash.description))
    #expect(same == hash)
    #expect(try same.matches("étage 42 blau"), "one way to write a character")
    for wrong in ["etage 42 blau", "", "étage 42 blau "] {
      let isRight = try hash.matches(wrong)
      #expect(!isRight, "\(wrong)")
    }
    let other = try PasswordHash(of: "e\u{301}tage 42 blau", cost: cost)
    #expect(other != hash)
    for text in ["", "scrypt$15$8$3$x$y", "bcrypt$4$1$1$AA==$AA==", "scrypt$99$8$3$AA==$AA=="] {
      #expect(PasswordHash(text) == nil, "\(text)")
    }
  }

  @Test("scrypt is the one of RFC 7914")
  func scryptVector() throws {
    // The RFC's second vector: P = "password", S = "NaCl", N = 1024, r = 8, p = 16, first 32 bytes.
    let salt = Data("NaCl".utf8).base64EncodedString()
    let bytes: [UInt8] = [
      0xfd, 0xba, 0xbe, 0x1c, 0x9d, 0x34, 0x72, 0x00, 0x78, 0x56, 0xe7, 0x19, 0x0d, 0x01, 0xe9,
      0xfe,
      0x7c, 0x6a, 0xd7, 0xcb, 0xc8, 0x23, 0x78, 0x30, 0xe7, 0x73, 0x76, 0x63, 0x4b, 0x37, 0x31,
      0x62,
    ]
    let text = "scrypt$10$8$16$\(salt)$\(Data(bytes).base64EncodedString())"
    #expect(try #require(PasswordHash(text)).matches("password"))
  }

  @Test("an account in use whose scope names an enterprise that is not here is found")
  func strangers() throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    try accounts.add("chen.gang", [.enterprise], Scope(enterprises: ["metec"]), password: nil)
    try accounts.add("li.wei", [.county], Scope(enterprises: ["metec", "mettec", "gone"]))
    try accounts.add("zhao.min", [.city], .everywhere, password: nil)
    _ = try accounts.machine("lower", [.relay], Scope(enterprises: ["theirs"]))
    let found = accounts.service.accounts(beyond: ["metec"])
    #expect(found.map(\.account) == ["li.wei"] && found.first?.names == ["gone", "mettec"])
  }

  @Test(
    "nobody is guessed in: five failures from an address lock it out of an account, for a while"
  )
  func lockOut() throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    try accounts.add("li.wei", [.operator], .everywhere)
    let service = accounts.service
    func attempt(_ password: String, from address: String, at now: Int64) -> AccountError? {
      do throws(AccountError) {
        _ = try service.signIn(account: "li.wei", password: password, address: address, now: now)
        return nil
      } catch {
        return error
      }
    }
    for round in 1...5 {
      let error = attempt("wrong", from: "10.0.0.1", at: 1_000)
      #expect(error == .wrongCredentials(hasLocked: round == 5), "\(round)")
    }
    let right = "correct horse battery"
    #expect(attempt(right, from: "10.0.0.1", at: 2_000) == .locked(milliseconds: 899_000))
    #expect(attempt(right, from: "10.0.0.2", at: 2_000) == nil, "another desk is not locked out")
    #expect(attempt(right, from: "10.0.0.1", at: 1_000 + 15 * 60_000) == nil)
    // A flood from many addresses locks the account itself.
    for round in 1...60 { _ = attempt("wrong", from: "10.1.0.\(round)", at: 5_000_000) }
    guard case .locked = attempt(right, from: "10.2.0.1", at: 5_000_001) else {
      Issue.record("a flood must lock the account")
      return
    }
  }

  @Test("sessions end: by sign-out, by age, by idleness, with the account, with a new password")
  func sessions() throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let service = accounts.service
    try accounts.add("li", [.operator], .everywhere)
    func open(_ now: Int64) throws -> Secret {
      try service.signIn(
        account: "li",
        password: "correct horse battery",
        address: "x",
        now: now
      ).secret
    }
    let idle = try open(0)
    #expect(service.authenticate(session: idle, now: 11 * 3_600_000) != nil)
    #expect(service.authenticate(session: idle, now: 24 * 3_600_000) == nil)
    let old = try open(0)
    for hour in 1...(29 * 24) {
      #expect(service.authenticate(session: old, now: Int64(hour) * 3_600_000) != nil)
    }
    #expect(service.authenticate(session: old, now: 31 * Self.day) == nil)
    let left = try open(0)
    try service.signOut(left)
    #expect(service.authenticate(session: left, now: 1) == nil)
    let kept = try open(0)
    let other = try open(0)
    try service.setPassword(
      of: "li",
      old: "correct horse battery",
      new: "another horse battery",
      session: kept,
      address: "x",
      now: 1
    )
    #expect(service.authenticate(session: kept, now: 2) != nil)
    #expect(service.authenticate(session: other, now: 2) == nil)
    #expect(service.authenticate(session: Secret(), now: 2) == nil)
    // What was open stays open over a restart.
    try service.sweep(now: 3)
    let again = try TestAccounts.open(accounts.folder)
    #expect(again.authenticate(session: kept, now: 4) != nil)
    let account = try #require(again.account("li"))
    let closed = AccountDraft(
      id: "li",
      displayName: "Li",
      roles: [.operator],
      scope: .everywhere,
      isActive: false
    )
    try again.keep(try again.change(closed, from: account.version, now: 5))
    #expect(again.authenticate(session: kept, now: 6) == nil)
  }

  @Test("a one-time link works once, before it runs out, and only the newest")
  func links() throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let service = accounts.service
    try accounts.add("li", [.operator], .everywhere, password: nil)
    let first = try service.invite("li", now: 0)
    let second = try service.invite("li", now: 0)
    #expect(throws: AccountError.deadLink) { try service.redeem(first, now: 1) }
    let opened = try service.redeem(second, now: 1)
    #expect(opened.account.id == "li")
    #expect(throws: AccountError.deadLink) { try service.redeem(second, now: 2) }
    let late = try service.invite("li", now: 0)
    #expect(throws: AccountError.deadLink) { try service.redeem(late, now: Self.day + 1) }
  }

  @Test("tokens and keys name their account, and end with it")
  func tokens() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let service = accounts.service
    try accounts.add("li", [.operator], .everywhere)
    let token = try await service.token(for: "li", now: 1_000, lifetime: 60_000).token
    #expect(await service.authenticate(bearer: token, now: 2_000)?.principal.subject == "li")
    #expect(await service.authenticate(bearer: token, now: 62_000) == nil)
    // Without signature, with another's, cut, and none at all.
    let parts = token.split(separator: ".")
    let none = Data(#"{"alg":"none"}"#.utf8).base64EncodedString()
    for forged in [
      "\(parts[0]).\(parts[1]).", "\(none).\(parts[1]).", String(token.dropLast(2)), "", "x.y.z",
    ] {
      #expect(await service.authenticate(bearer: forged, now: 2_000) == nil, "\(forged)")
    }
    try service.setPassword(
      of: "li",
      old: "correct horse battery",
      new: "another horse battery",
      session: nil,
      address: "x",
      now: 3_000
    )
    #expect(await service.authenticate(bearer: token, now: 4_000) == nil)

    let key = try accounts.machine("scraper", [.monitor], .everywhere)
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    #expect(await service.authenticate(bearer: key, now: now)?.principal.kind == .machine)
    #expect(await service.authenticate(bearer: key, now: now + 3_700_000) == nil)
    // One letter in the middle of the secret is another; the last may carry no bits.
    var letters = Array(key)
    letters[letters.count - 10] = letters[letters.count - 10] == "A" ? "B" : "A"
    #expect(await service.authenticate(bearer: String(letters), now: now) == nil)
    try service.removeKey(try #require(service.keys(of: "scraper").first).id)
    #expect(await service.authenticate(bearer: key, now: now) == nil)
  }

  @Test(
    "accounts that would mix what must stay apart are refused",
    arguments: [
      (["enterprise", "county"], "acme", "separation"), (["enterprise"], "*", "named enterprises"),
      (["monitor"], "*", "machines"), ([], "*", "at least one"), (["operator"], "", "empty scope"),
    ] as [([String], String, String)]
  )
  func faults(roles: [String], scope: String, why: String) throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let draft = AccountDraft(
      id: "li",
      displayName: "Li",
      roles: Set(roles.compactMap(Role.init)),
      scope: scope == "*" ? .everywhere : Scope(enterprises: scope.isEmpty ? [] : [scope])
    )
    #expect(throws: AccountError.self, "\(why)") { try accounts.service.create(draft, now: 1) }
  }

  @Test("the last administrator stays, and an edit of an old version is refused")
  func edits() throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let service = accounts.service
    guard case .needsAccount(let first) = try service.firstStart(now: 1) else {
      Issue.record("a new station needs an administrator")
      return
    }
    try service.keep(first)
    guard case .needsLink(account: first.id) = try service.firstStart(now: 2) else {
      Issue.record("who has no password needs a link")
      return
    }
    let demoted = AccountDraft(
      id: first.id,
      displayName: "x",
      roles: [.operator],
      scope: .everywhere
    )
    #expect(throws: AccountError.self) {
      try service.change(demoted, from: first.version, now: 3)
    }
    try accounts.add("second", [.administrator], .everywhere)
    #expect(throws: AccountError.changedMeanwhile(version: 1)) {
      try service.change(demoted, from: 9, now: 3)
    }
    try service.keep(try service.change(demoted, from: 1, now: 3))
    #expect(service.account(first.id)?.version == 2)
    guard case .done = try service.firstStart(now: 4) else {
      Issue.record("an administrator can sign in")
      return
    }
  }

  @Test("the store's file is its owner's alone")
  func permissions() throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let path = accounts.folder.appendingPathComponent("accounts.sqlite").path
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
  }

  @Test("a bucket gives its burst at once, then its rate, and forgets nobody early")
  func rates() {
    let limiter = RateLimiter(perSecond: 10, burst: 3)
    #expect((1...4).map { _ in limiter.take("a", now: 0) } == [nil, nil, nil, 100])
    #expect(limiter.take("b", now: 0) == nil)
    #expect(limiter.take("a", now: 100) == nil)
    #expect(limiter.take("a", now: 100) == 100)
    #expect((1...4).map { _ in limiter.take("a", now: 10_000) } == [nil, nil, nil, 100])
  }
}
