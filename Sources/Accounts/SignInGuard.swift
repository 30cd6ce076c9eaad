/// Holds back guessing: counts failed sign-ins by account and by address, and locks for a while.
///
/// An account is locked for the address that failed, and for every address only after ten times as many failures: else
/// anybody could lock a duty officer out by guessing badly on purpose. A value with time handed in, so that it is tested
/// without waiting.
struct SignInGuard: Sendable {
  /// The limits.
  struct Limits: Hashable, Sendable {
    /// Failures of one account from one address before that pair is locked.
    var perPair = 5
    /// Failures of one account from anywhere before the account is locked.
    var perAccount = 50
    /// Failures from one address, whatever the account, before the address is locked.
    var perAddress = 30
    /// Failures older than this are forgotten, and a lock lasts as long, milliseconds.
    var window: Int64 = 15 * 60_000
    /// Names and addresses remembered.
    var remembered = 20_000
  }

  private struct Tally {
    var failures = 0
    var newest: Int64
  }

  let limits: Limits
  private var tallies: [String: Tally] = [:]

  init(limits: Limits = Limits()) {
    self.limits = limits
  }

  /// Milliseconds for which a sign-in must wait; nil when it may be tried now.
  func wait(account: String, address: String, now: Int64) -> Int64? {
    keys(account, address).compactMap { key, limit -> Int64? in
      guard let tally = tallies[key], tally.failures >= limit else { return nil }
      let left = tally.newest + limits.window - now
      return left > 0 ? left : nil
    }.max()
  }

  /// Counts a failure.
  ///
  /// - Returns: true when it brought a lock about.
  mutating func failed(account: String, address: String, now: Int64) -> Bool {
    if tallies.count > limits.remembered {
      tallies = tallies.filter { $0.value.newest + limits.window > now }
      // All of them recent: a flood of made-up names. Those are what the address's own tally is for.
      if tallies.count > limits.remembered {
        tallies = tallies.filter { $0.value.failures > 1 }
      }
    }
    var hasLocked = false
    for (key, limit) in keys(account, address) {
      var tally = tallies[key] ?? Tally(newest: now)
      if tally.newest + limits.window <= now { tally.failures = 0 }
      tally.failures += 1
      tally.newest = now
      tallies[key] = tally
      if tally.failures == limit { hasLocked = true }
    }
    return hasLocked
  }

  /// Forgets the failures of an account from an address, after a success there.
  mutating func succeeded(account: String, address: String) {
    tallies[pair(account, address)] = nil
  }

  /// Lets an account in again everywhere, when an administrator says so.
  mutating func unlock(account: String) {
    tallies = tallies.filter { key, _ in
      key != "account " + account && !key.hasPrefix("pair \(account) ")
    }
  }

  private func pair(_ account: String, _ address: String) -> String { "pair \(account) \(address)" }

  private func keys(_ account: String, _ address: String) -> [(String, Int)] {
    [
      (pair(account, address), limits.perPair), ("account " + account, limits.perAccount),
      ("address " + address, limits.perAddress),
    ]
  }
}
