import Foundation
import JWTKit

/// What a token says: whose it is, until when, and of which epoch of the account.
struct TokenClaims: JWTPayload {
  enum CodingKeys: String, CodingKey {
    case subject = "sub"
    case issuer = "iss"
    case issuedAt = "iat"
    case expires = "exp"
    case id = "jti"
    case epoch = "epoch"
  }

  var subject: SubjectClaim
  var issuer: IssuerClaim
  var issuedAt: IssuedAtClaim
  var expires: ExpirationClaim
  var id: IDClaim
  var epoch: Int64

  /// The account that the token is of.
  var account: String { subject.value }

  /// The signature is checked by the library, the time by ``TokenSigner/verify(_:now:)``, which is handed it.
  func verify(using algorithm: some JWTAlgorithm) async throws {}
}

/// Signs and checks JSON Web Tokens (RFC 7519, HS256) for programs that act for a signed-in person.
actor TokenSigner {
  private let keys = JWTKeyCollection()
  private let key: HMACKey
  private let issuer: String
  private var isReady = false

  init(key: Data, issuer: String) {
    self.key = HMACKey(from: key)
    self.issuer = issuer
  }

  func sign(subject: String, epoch: Int64, now: Int64, lifetime: Int64) async throws -> String {
    await prepare()
    func date(_ milliseconds: Int64) -> Date {
      Date(timeIntervalSince1970: Double(milliseconds / 1_000))
    }
    return try await keys.sign(
      TokenClaims(
        subject: SubjectClaim(value: subject),
        issuer: IssuerClaim(value: issuer),
        issuedAt: IssuedAtClaim(value: date(now)),
        expires: ExpirationClaim(value: date(now + lifetime)),
        id: IDClaim(value: Secret().text),
        epoch: epoch
      )
    )
  }

  /// The claims of a token that this service signed and that has not run out; nil for every other.
  func verify(_ token: String, now: Int64) async -> TokenClaims? {
    await prepare()
    // Whatever is wrong with a token that somebody sent, it is no token of ours: the caller answers 401.
    guard let claims = try? await keys.verify(token, as: TokenClaims.self) else { return nil }
    let end = Int64(claims.expires.value.timeIntervalSince1970 * 1_000)
    return claims.issuer.value == issuer && end > now ? claims : nil
  }

  private func prepare() async {
    guard !isReady else { return }
    await keys.add(hmac: key, digestAlgorithm: .sha256)
    isReady = true
  }
}
