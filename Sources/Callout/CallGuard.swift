internal import NIOCore
internal import NIOPosix

/// Holds calls to addresses that may be called.
///
/// It looks a name up itself, and the call then goes to the very address that was judged: a name that stands for another
/// address a moment later changes nothing.
public struct CallGuard: Sendable {
  /// Why an address may not be called; nil where it may.
  public typealias Judge = @Sendable (_ host: String, _ address: String) -> String?

  private let judge: Judge
  private let lookUp: @Sendable (_ host: String) async throws -> String

  /// Makes a guard that looks names up as this machine does.
  public init(_ judge: @escaping Judge) {
    self.init(judge) { host in
      // The system's look-up blocks.
      let found = try await NIOThreadPool.singleton.runIfActive {
        try SocketAddress.makeAddressResolvingHost(host, port: 0)
      }
      guard let address = found.ipAddress else { throw SocketAddressError.unsupported }
      return address
    }
  }

  /// Makes a guard with a look-up of its own.
  package init(
    _ judge: @escaping Judge,
    lookUp: @escaping @Sendable (String) async throws -> String
  ) {
    self.judge = judge
    self.lookUp = lookUp
  }

  /// The address to call.
  ///
  /// - Throws: ``HTTPFailure`` when the name is unknown, or its address may not be called.
  func address(of host: String) async throws(HTTPFailure) -> String {
    let address: String
    do {
      address = try await lookUp(host)
    } catch {
      throw HTTPFailure(cause: "\(host): \(error)")
    }
    if let refusal = judge(host, address) { throw HTTPFailure(cause: refusal, isRefusal: true) }
    return address
  }
}
