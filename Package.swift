// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target of ours; dependencies and C targets are not affected.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "davy",
  platforms: [.macOS(.v26)],
  products: [
    .executable(name: "davy", targets: ["davy"]),
    .executable(name: "davy-postgres", targets: ["davy-postgres"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
    .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
  ],
  targets: [
    .systemLibrary(
      name: "CMosquitto",
      pkgConfig: "libmosquitto",
      providers: [.apt(["libmosquitto-dev", "libssl-dev"])]
    ),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .target(name: "Telemetry"),
    .systemLibrary(name: "CPrefetch"),
    .systemLibrary(name: "CTimex"),
    .target(name: "AlarmEngine", dependencies: ["Telemetry", "CPrefetch"]),
    .executableTarget(name: "corebench", dependencies: ["AlarmEngine", "Telemetry"]),
    .executableTarget(name: "decodebench", dependencies: ["PayloadDecoding", "Telemetry"]),
    .executableTarget(name: "detectbench", dependencies: ["AlarmEngine"]),
    .executableTarget(
      name: "ledgerbench",
      dependencies: ["HazardLedger", "PostgresLedger", "Telemetry"]
    ),
    .target(name: "PayloadDecoding", dependencies: ["Telemetry"]),
    .target(
      name: "DeviceCatalog",
      dependencies: [
        "Telemetry", "AlarmEngine", "PayloadDecoding", .product(name: "Yams", package: "Yams"),
        .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),
    .target(
      name: "Journal",
      dependencies: ["CZstd", .product(name: "GRDB", package: "GRDB.swift")]
    ),
    .target(
      name: "HazardLedger",
      dependencies: [
        "Telemetry", .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
        .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),
    .target(
      name: "Accounts",
      dependencies: [
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "CryptoExtras", package: "swift-crypto"),
        .product(name: "JWTKit", package: "jwt-kit"),
      ]
    ),
    .target(
      name: "PostgresLedger",
      dependencies: [
        "HazardLedger", "Telemetry", "CPostgres", .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),
    .target(
      name: "MQTTTransport",
      dependencies: ["CMosquitto", .product(name: "Logging", package: "swift-log")]
    ),
    .target(
      name: "Callout",
      dependencies: [
        "HazardLedger", "Telemetry",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ]
    ),
    .target(
      name: "Station",
      dependencies: [
        "Telemetry", "AlarmEngine", "PayloadDecoding", "DeviceCatalog", "Journal", "HazardLedger",
        "MQTTTransport", .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "Logging", package: "swift-log"),
      ]
    ),
    .target(
      name: "Relay",
      dependencies: [
        "Callout", "Station", "HazardLedger", "Telemetry", "MQTTTransport",
        .product(name: "Logging", package: "swift-log"),
      ]
    ),
    .target(
      name: "Console",
      dependencies: [
        "Accounts", "Station", "HazardLedger", "DeviceCatalog", "Telemetry",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "JWTKit", package: "jwt-kit"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "CryptoExtras", package: "swift-crypto"),
      ],
      resources: [.copy("Resources")]
    ),
    .target(
      name: "Simulation",
      dependencies: [
        "Station", "DeviceCatalog", "Journal", "HazardLedger",
        .product(name: "Logging", package: "swift-log"),
      ]
    ),
    .target(
      name: "DavyCommands",
      dependencies: [
        "Telemetry", "AlarmEngine", "PayloadDecoding", "DeviceCatalog", "Journal", "HazardLedger",
        "MQTTTransport", "Callout", "Accounts", "Station", "Relay", "Console", "Simulation",
        "CTimex",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "SwiftASN1", package: "swift-asn1"),
        .product(name: "X509", package: "swift-certificates"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      path: "Sources/davy"
    ),
    .executableTarget(
      name: "davy",
      dependencies: [
        "DavyCommands", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/davy-main"
    ),
    // The same command line with a ledger in PostgreSQL: alone in needing libpq.
    .executableTarget(
      name: "davy-postgres",
      dependencies: [
        "DavyCommands", "DeviceCatalog", "HazardLedger", "PostgresLedger",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]
    ),
    .testTarget(name: "ArchitectureTests"),
    .testTarget(
      name: "StationTests",
      dependencies: [
        "Station", "Simulation", "DeviceCatalog", "Journal", "HazardLedger", "Telemetry",
        "PayloadDecoding", "MQTTTransport",
        .product(name: "Logging", package: "swift-log"),
      ]
    ),
    .testTarget(name: "AlarmEngineTests", dependencies: ["AlarmEngine", "Telemetry"]),
    .testTarget(
      name: "PayloadDecodingTests",
      dependencies: ["PayloadDecoding", "DeviceCatalog", "Telemetry"]
    ),
    .testTarget(
      name: "DeviceCatalogTests",
      dependencies: ["DeviceCatalog", "Telemetry", "AlarmEngine", "PayloadDecoding"]
    ),
    .testTarget(name: "JournalTests", dependencies: ["Journal"]),
    .testTarget(
      name: "HazardLedgerTests",
      dependencies: [
        "HazardLedger", "PostgresLedger", "Telemetry",
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),
    .target(
      name: "HTTPTestSupport",
      dependencies: [
        "Callout",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
      ],
      path: "Tests/HTTPTestSupport"
    ),
    .testTarget(
      name: "CalloutTests",
      dependencies: [
        "Callout", "HazardLedger", "Telemetry", "HTTPTestSupport",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ]
    ),
    .testTarget(
      name: "RelayTests",
      dependencies: [
        "Relay", "Callout", "Console", "Accounts", "Station", "Simulation", "DeviceCatalog",
        "Journal", "HazardLedger", "Telemetry", "HTTPTestSupport",
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]
    ),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "DavyCommands", "DeviceCatalog", "HazardLedger", "Journal", "MQTTTransport", "Station",
        "Telemetry",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "NIOCore", package: "swift-nio"),
      ]
    ),
    .testTarget(name: "MQTTTransportTests", dependencies: ["MQTTTransport"]),
    .testTarget(
      name: "ConsoleTests",
      dependencies: [
        "Accounts", "Callout", "Console", "Station", "HazardLedger", "DeviceCatalog", "Journal",
        "PayloadDecoding", "Telemetry",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTesting", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Yams", package: "Yams"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]
    ),
  ]
)

for target in package.targets where target.type != .system {
  target.swiftSettings = (target.swiftSettings ?? []) + settings
}
