import CMosquitto
import Glibc

/// An OpenSSL context made from the options, with errors that name the file at fault.
///
/// libmosquitto could make its own, but reports a wrong file only to its log, and checks the
/// certificate's name against the host alone.
@safe final class TLSContext {
  /// The context, for `MOSQ_OPT_SSL_CTX`; the library takes a reference of its own.
  let context: OpaquePointer

  /// Loads certificates and key.
  init(_ options: TLSOptions, host: String) throws(MQTTOptionProblem) {
    guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
      throw Self.problem("TLS", "no context can be made", "check the OpenSSL installation")
    }
    unsafe self.context = context
    _ = unsafe cmosquitto_tls_minimum(
      context,
      options.minimumVersion == .v13 ? TLS1_3_VERSION : TLS1_2_VERSION
    )
    _ = unsafe cmosquitto_tls_moving_buffer(context)
    try loadTrust(options)
    try loadIdentity(options)
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    let name = options.serverName ?? host
    let parameters = unsafe SSL_CTX_get0_param(context)
    unsafe X509_VERIFY_PARAM_set_hostflags(
      parameters,
      UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)
    )
    // An address is looked for among the certificate's addresses, any other text among its names.
    if unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) != 1 {
      guard unsafe X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1 else {
        throw Self.problem("TLS server name \(name)", "is refused", "name the broker's host")
      }
    }
    ERR_clear_error()
  }

  deinit { unsafe SSL_CTX_free(context) }

  private func loadTrust(_ options: TLSOptions) throws(MQTTOptionProblem) {
    if options.caFile == nil, options.caPath == nil {
      guard unsafe SSL_CTX_set_default_verify_paths(context) == 1 else {
        throw Self.problem("TLS", "no system certificates", "name a CA file")
      }
    }
    if let file = options.caFile, unsafe SSL_CTX_load_verify_file(context, file) != 1 {
      throw Self.problem(
        "TLS CA file \(file)",
        "cannot be loaded",
        "name a readable PEM file of certificates"
      )
    }
    if let path = options.caPath {
      var status = stat()
      guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
        unsafe SSL_CTX_load_verify_dir(context, path) == 1
      else {
        throw Self.problem(
          "TLS CA path \(path)",
          "is no readable folder",
          "name a folder made by openssl rehash"
        )
      }
    }
  }

  private func loadIdentity(_ options: TLSOptions) throws(MQTTOptionProblem) {
    guard let certificate = options.certificateFile, let key = options.keyFile else {
      guard options.certificateFile == nil, options.keyFile == nil else {
        throw MQTTOptionProblem(
          place: "TLS client certificate",
          message: "certificate and key are not both given",
          remedy: "give both or neither"
        )
      }
      return
    }
    guard unsafe SSL_CTX_use_certificate_chain_file(context, certificate) == 1 else {
      throw Self.problem(
        "TLS certificate file \(certificate)",
        "cannot be loaded",
        "name a readable PEM file with the client's certificate first"
      )
    }
    try SecretFile.check(key, place: "TLS key file \(key)")
    guard unsafe SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1,
      unsafe SSL_CTX_check_private_key(context) == 1
    else {
      throw Self.problem(
        "TLS key file \(key)",
        "cannot be loaded or does not belong to \(certificate)",
        "name the unencrypted PEM key of that certificate"
      )
    }
  }

  /// A problem with what OpenSSL says about it.
  private static func problem(
    _ place: String,
    _ message: String,
    _ remedy: String
  ) -> MQTTOptionProblem {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0, let text = unsafe ERR_reason_error_string(code) else {
      return MQTTOptionProblem(place: place, message: message, remedy: remedy)
    }
    return MQTTOptionProblem(
      place: place,
      message: "\(message): \(unsafe String(cString: text))",
      remedy: remedy
    )
  }
}
