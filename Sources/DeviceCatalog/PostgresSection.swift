extension ServiceConfiguration {
  /// Section `ledger:` of the service file: a ledger in PostgreSQL instead of SQLite.
  public struct PostgresSection: Sendable {
    /// A libpq connection string of keywords, without password.
    public var connection: String
    /// File that holds the password; nil leaves it to `PGPASSWORD` or `PGPASSFILE`.
    public var passwordFile: String?
  }
}

extension ServiceConfiguration.PostgresSection {
  init(_ map: YAMLMap, file: (YAMLValue?) -> String?) {
    connection = map.required("postgres")?.connectionString() ?? ""
    passwordFile = file(map["passwordFile"])
    map.finish()
  }
}

extension YAMLValue {
  /// Keywords and values as libpq takes them, none of them a password.
  fileprivate func connectionString() -> String? {
    guard let text = string() else { return nil }
    guard text.contains("="), !text.contains("://") else {
      report(
        .wrongType(
          expected: "keywords and values such as host=db.example port=5432 dbname=davy user=davy",
          expectedZh: "形如 host=db.example port=5432 dbname=davy user=davy 的键值",
          found: text
        )
      )
      return nil
    }
    guard !text.contains("password") else {
      report(
        .other(
          code: "secret-written-out",
          zh: "口令是机密，不得写在配置文件里",
          en: "a password is a secret and must not stand in a configuration file",
          remedyZh: "写入只有本服务可读的文件，并用 passwordFile 指明；或用环境变量 PGPASSWORD、PGPASSFILE",
          remedyEn:
            "put it into a file that only the service can read, named by passwordFile, or use "
            + "the environment variables PGPASSWORD or PGPASSFILE"
        )
      )
      return nil
    }
    return text
  }
}
