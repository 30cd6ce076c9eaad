import Foundation
import Glibc
import MQTTTransport

extension TestBroker {
  /// A broker that demands a client certificate; certificates are made anew in its folder.
  static func withTLS() throws -> TestBroker {
    try TestBroker(
      extra: """
        cafile %folder%/ca.crt
        certfile %folder%/server.crt
        keyfile %folder%/server.key
        require_certificate true
        """,
      prepare: makeCertificates
    )
  }

  /// What a client needs to be let in.
  var tlsOptions: TLSOptions {
    TLSOptions(
      caFile: "\(folder)/ca.crt",
      certificateFile: "\(folder)/client.crt",
      keyFile: "\(folder)/client.key",
      serverName: "broker.test"
    )
  }

  /// Options for a publisher at this broker.
  func publisherOptions(tls: Bool) -> MQTTOptions {
    var options = testOptions(port: port, id: "publisher")
    if tls { options.tls = tlsOptions }
    return options
  }

  /// A CA, a server certificate for broker.test, a client certificate, and a CA that signed nothing.
  private static func makeCertificates(in folder: String) throws {
    let script = """
      set -e
      openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=test ca' -keyout ca.key -out ca.crt
      openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=other' -keyout other.key -out other.crt
      echo 'subjectAltName=DNS:broker.test' > names
      for who in server client; do
        openssl req -newkey rsa:2048 -nodes -subj "/CN=$who" -keyout $who.key -out $who.csr
        openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
          -extfile names -out $who.crt
      done
      chmod 600 *.key
      """
    try ChildProcess.run("/bin/sh", ["-c", "cd '\(folder)' && " + script])
  }
}
