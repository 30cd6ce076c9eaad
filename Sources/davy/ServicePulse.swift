import Callout
import DeviceCatalog

/// Whether a running service answers, as one finds out who asks it.
enum ServicePulse {
  /// Asks `/healthz` at the address where the service file has it listen.
  ///
  /// - Returns: why there is no answer; nil when there is one, or when the port is any free one and nobody can know it.
  static func fault(_ http: ServiceConfiguration.HTTP) async -> String? {
    guard http.port != 0 else { return nil }
    let host =
      switch http.host {
      case "0.0.0.0", "": "127.0.0.1"
      case "::": "[::1]"
      case let host where host.contains(":") && !host.hasPrefix("["): "[\(host)]"
      case let host: host
      }
    let place = "\(http.certificate == nil ? "http" : "https")://\(host):\(http.port)/healthz"
    do {
      // The certificate names the station as others call it, and nothing is told to whoever answers.
      let sender = try HTTPSender(verifiesServer: false)
      let reply = await sender.send(HTTPCall(method: "GET", url: place))
      try await sender.shutdown()
      switch reply {
      case .success(let reply) where reply.status == 200: return nil
      case .success(let reply): return "\(place): HTTP \(reply.status) \(reply.brief)"
      case .failure(let failure): return "\(place): \(failure.cause)"
      }
    } catch {
      return "\(place): \(error)"
    }
  }
}
