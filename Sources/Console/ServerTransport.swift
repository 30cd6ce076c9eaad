import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import NIOSSL

/// How the server speaks: HTTP/1.1 with bounded headers, over TLS where a certificate is given.
enum ServerTransport {
  static func builder(tls: ConsoleTLS?) throws(ConsoleError) -> HTTPServerBuilder {
    let plain = HTTPServerBuilder.http1(
      configuration: HTTP1Channel.Configuration(
        httpDecoderConfiguration: .init(
          maxHeaderFieldSize: 8_192,
          maxHeaderListSize: 32_768,
          maxHeaderFieldCount: 100
        )
      )
    )
    guard let tls else { return plain }
    let chain = try reading(tls.certificate) {
      try NIOSSLCertificate.fromPEMFile(tls.certificate).map(NIOSSLCertificateSource.certificate)
    }
    let key = try reading(tls.key) {
      NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(file: tls.key, format: .pem))
    }
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain,
      privateKey: key
    )
    configuration.minimumTLSVersion = .tlsv12
    return try reading(tls.certificate) {
      // Made once here too, so that a key that is not the certificate's is told at the start.
      _ = try NIOSSLContext(configuration: configuration)
      return try .tls(plain, tlsConfiguration: configuration)
    }
  }

  private static func reading<Answer>(
    _ file: String,
    _ work: () throws -> Answer
  ) throws(ConsoleError) -> Answer {
    do {
      return try work()
    } catch {
      throw .tls(file: file, reason: "\(error)")
    }
  }
}
