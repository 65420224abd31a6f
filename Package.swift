// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

// The house, from the roof down: a target may depend only on targets listed after it.
let package = Package(
  name: "purser",
  products: [
    .executable(name: "purser", targets: ["PurserCLI"]),
    .library(name: "Purser", targets: ["Purser"]),
    .executable(name: "purser-bench", targets: ["PurserBench"]),
  ],
  targets: [
    .executableTarget(
      name: "PurserCLI",
      dependencies: [
        "Purser", "PurserPipeline", "PurserCode", "PurserExecution", "PurserStore", "PurserHashing", "PurserModel",
      ],
      swiftSettings: settings
    ),
    // What scripts/bench measures within one process; nothing depends on it.
    .executableTarget(
      name: "PurserBench", dependencies: ["PurserSQLite", "PurserStore", "PurserModel"], swiftSettings: settings),
    .target(
      name: "Purser",
      dependencies: [
        "PurserPipeline", "PurserSchema", "PurserCode", "PurserExecution", "PurserStore", "PurserSQLite",
        "PurserBlobs", "PurserHashing", "PurserModel", "CLinux", "CSpawn",
      ],
      resources: [.embedInCode("Bridge/bridge.py")],
      swiftSettings: settings
    ),
    .target(name: "PurserPipeline", dependencies: ["PurserHashing", "PurserModel", "CYaml"], swiftSettings: settings),
    .target(name: "PurserCode", dependencies: ["PurserHashing", "PurserModel", "CLinux"], swiftSettings: settings),
    .target(name: "PurserExecution", dependencies: ["PurserModel", "CSpawn"], swiftSettings: settings),
    .target(
      name: "PurserSQLite",
      dependencies: ["PurserStore", "PurserModel", "CSQLite", "CLinux"],
      resources: [.embedInCode("Migrations")],
      swiftSettings: settings
    ),
    .target(
      name: "PurserBlobs",
      dependencies: ["PurserStore", "PurserHashing", "PurserModel", "CZstd", "CLinux"],
      swiftSettings: settings
    ),
    .target(name: "PurserStore", dependencies: ["PurserModel", "CLinux"], swiftSettings: settings),
    .target(name: "PurserHashing", dependencies: ["PurserModel", "CCrypto", "CLinux"], swiftSettings: settings),
    .target(name: "PurserSchema", dependencies: ["PurserModel"], swiftSettings: settings),
    .target(name: "PurserModel", swiftSettings: settings),
    .target(name: "CSpawn"),
    .target(name: "CLinux"),
    .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CCrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CYaml", providers: [.apt(["libyaml-dev"])]),
    .testTarget(name: "PurserPipelineTests", dependencies: ["PurserPipeline", "PurserModel"], swiftSettings: settings),
    .testTarget(
      name: "PurserCodeTests", dependencies: ["PurserCode", "PurserHashing", "PurserModel"], swiftSettings: settings),
    .testTarget(name: "PurserSchemaTests", dependencies: ["PurserSchema", "PurserModel"], swiftSettings: settings),
    .testTarget(name: "PurserModelTests", dependencies: ["PurserModel"], swiftSettings: settings),
    .testTarget(name: "PurserHashingTests", dependencies: ["PurserHashing", "PurserModel"], swiftSettings: settings),
    .testTarget(
      name: "PurserExecutionTests", dependencies: ["PurserExecution", "PurserModel"], swiftSettings: settings),
    // A record store that every contract test holds beside the real ones; no product has it.
    .target(
      name: "PurserMemoryStore", dependencies: ["PurserStore", "PurserModel"], path: "Tests/PurserMemoryStore",
      swiftSettings: settings),
    .testTarget(
      name: "PurserSQLiteTests",
      dependencies: ["PurserSQLite", "PurserMemoryStore", "PurserStore", "PurserHashing", "PurserModel"],
      swiftSettings: settings),
    .testTarget(
      name: "PurserBlobsTests", dependencies: ["PurserBlobs", "PurserStore", "PurserHashing", "PurserModel"],
      swiftSettings: settings),
    .testTarget(
      name: "PurserTests",
      dependencies: [
        "Purser", "PurserStore", "PurserSQLite", "PurserBlobs", "PurserHashing", "PurserPipeline", "PurserModel",
      ], swiftSettings: settings),
    .testTarget(name: "PurserCLITests", dependencies: ["PurserCLI", "PurserModel"], swiftSettings: settings),
  ]
)
