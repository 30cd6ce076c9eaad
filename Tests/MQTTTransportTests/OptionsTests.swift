import Foundation
import Glibc
import MQTTTransport
import Testing

@Suite struct OptionsTests {
  @Test("all problems are told at once, each with its place and remedy")
  func problems() throws {
    let options = MQTTOptions(
      host: "",
      port: 0,
      clientID: "",
      subscriptions: [
        Subscription(filter: "a/#/b"), Subscription(filter: "ok"), Subscription(filter: "ok"),
      ],
      credentials: MQTTCredentials(
        userName: .text("davy"),
        password: .file("/nonexistent/password")
      ),
      sessionExpiry: .zero,
      receiveMaximum: 0,
      keepAlive: .seconds(1),
      connectTimeout: .zero,
      will: LastWill(topic: "a/+", payload: []),
      backOff: BackOff(first: .seconds(2), maximum: .seconds(1)),
      maximumPayload: 0
    )
    let found = options.problems()
    let places = found.map(\.place)
    #expect(
      places == [
        "host", "port", "client id", "keep alive", "session expiry", "receive maximum", "back-off",
        "connect timeout", "maximum payload", "topic filter 'a/#/b'", "topic filter 'ok'",
        "will topic 'a/+'", "password file /nonexistent/password",
      ]
    )
    #expect(found.allSatisfy { !$0.remedy.isEmpty })
    #expect(throws: MQTTOptionsError(problems: found)) { try IntakeClient(options: options) }
  }

  @Test("secrets that must not be used are refused by name")
  func secrets() throws {
    let folder = try TestFolder.make()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let file = "\(folder)/password"
    func problem(_ bytes: [UInt8], mode: mode_t = 0o600) throws -> String? {
      try Data(bytes).write(to: URL(filePath: file))
      unsafe chmod(file, mode)
      var options = MQTTOptions(host: "h", clientID: "c")
      options.credentials = MQTTCredentials(userName: .text("davy"), password: .file(file))
      return options.problems().first?.description
    }
    #expect(try problem(Array("secret".utf8)) == nil)
    #expect(try problem(Array("secret\r\nsecond line".utf8)) == nil)
    for mode in [0o644, 0o604, 0o666] as [mode_t] {
      let text = try #require(try problem(Array("secret".utf8), mode: mode))
      #expect(text.contains("may be read by everybody") && text.contains("chmod 600 \(file)"))
    }
    #expect(try problem([])?.contains("is empty") == true)
    #expect(try problem([0xFF, 0x41])?.contains("UTF-8") == true)
    #expect(try problem([0x41, 0])?.contains("NUL") == true)
    #expect(try problem([UInt8](repeating: 65, count: 70_000))?.contains("64 KiB") == true)
    var options = MQTTOptions(host: "h", clientID: "c")
    options.credentials = MQTTCredentials(
      userName: .text("davy"),
      password: .environment("DAVY_TEST_NOT_SET")
    )
    #expect(options.problems().first?.description.contains("DAVY_TEST_NOT_SET") == true)
    options.credentials = MQTTCredentials(userName: .text("davy"), password: .file(folder))
    #expect(options.problems().first?.message == "is not a regular file")
  }

  @Test(
    "topic filters",
    arguments: [
      ("a", true), ("a/b", true), ("/", true), ("+", true), ("#", true), ("+/a/#", true),
      ("a//b", true), ("$SYS/#", true), ("$share/g/a/#", true), ("$share/g//", true),
      ("", false), ("a+", false), ("a/b#", false), ("#/a", false), ("a/#/b", false),
      ("$share/g", false), ("$share//a", false), ("$share/g+/a", false), ("$share/g/", false),
      ("a\u{0}b", false), ("a\u{7f}", false), (String(repeating: "a", count: 65_536), false),
    ]
  )
  func filters(filter: String, isValid: Bool) {
    #expect((TopicFilter.problem(filter) == nil) == isValid, "\(filter.prefix(20))")
  }

  @Test(
    "which topics a filter takes",
    arguments: [
      ("a/b", "a/b", true), ("a/b", "a/c", false), ("a/+", "a/b", true), ("a/+", "a/", true),
      ("a/+", "a", false), ("a/+", "a/b/c", false), ("+/+", "/b", true), ("+", "/b", false),
      ("a/#", "a", true), ("a/#", "a/b/c", true), ("a/#", "ab", false), ("#", "a/b", true),
      ("#", "$SYS/x", false), ("+/x", "$SYS/x", false), ("$SYS/#", "$SYS/x", true),
      ("$share/g/a/#", "a/b", true), ("a/b/#", "a", false), ("a", "a/", false), ("a/", "a", false),
    ]
  )
  func matching(filter: String, topic: String, expected: Bool) {
    #expect(TopicFilter.matches(filter, topic) == expected, "\(filter) \(topic)")
  }

  @Test(
    "which filters a filter covers, and which it overlaps",
    arguments: [
      ("a/b", "a/b", true, true), ("a/b", "a/c", false, false), ("a/+", "a/b", true, true),
      ("a/b", "a/+", false, true), ("a/+/c", "a/b/+", false, true), ("+/+", "a/#", false, true),
      ("a/#", "a", true, true), ("a/#", "a/+/c", true, true), ("a/#", "a/#", true, true),
      ("a/+", "a/#", false, true), ("a", "a/#", false, true), ("a/b/#", "a/#", false, true),
      ("a/b/#", "a", false, false), ("a/+", "a", false, false), ("a", "a/+", false, false),
      ("a/b", "a/b/c", false, false), ("a/", "a", false, false), ("+", "a/b", false, false),
      ("#", "a/+/#", true, true), ("#", "$SYS/#", false, false), ("+/x", "$SYS/x", false, false),
      ("$SYS/#", "#", false, false), ("$SYS/#", "$SYS/x", true, true),
      ("$share/g/a/#", "a/b", true, true), ("a/#", "$share/g/a/b", true, true),
      ("$share/g/#", "a/b", true, true), ("$share/g/a/b", "$share/h/a/+", false, true),
    ]
  )
  func covering(filter: String, other: String, covers: Bool, overlaps: Bool) {
    #expect(TopicFilter.covers(filter, other) == covers, "\(filter) \(other)")
    #expect(TopicFilter.overlap(filter, other) == overlaps, "\(filter) \(other)")
    #expect(TopicFilter.overlap(other, filter) == overlaps, "\(other) \(filter)")
  }

  @Test("the delay doubles up to its limit, however often it fails")
  func backOff() {
    let backOff = BackOff(first: .seconds(1), maximum: .seconds(30))
    let delays = [0, 1, 2, 3, 4, 5, 6, 7, 31, 32, 1_000_000].map(backOff.delay(afterFailures:))
    #expect(delays == [1, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30].map { .seconds($0) })
  }
}
