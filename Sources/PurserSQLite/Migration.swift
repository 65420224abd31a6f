/// One numbered step of the schema, with the way back.
///
/// The SQL stands in `Migrations/`, is embedded in the binary, and is never changed once released: a checksum of the
/// up script is recorded when it is applied, and compared afterwards.
struct Migration: Sendable {
  let version: Int64
  let name: String
  let up: @Sendable () -> [UInt8]
  let down: @Sendable () -> [UInt8]

  static let all: [Migration] = [
    Migration(
      version: 1, name: "001_kptn_tables",
      up: { PackageResources._01_kptn_tables_up_sql }, down: { PackageResources._01_kptn_tables_down_sql }),
    Migration(
      version: 2, name: "002_runs_and_events",
      up: { PackageResources._02_runs_and_events_up_sql }, down: { PackageResources._02_runs_and_events_down_sql }),
    Migration(
      version: 3, name: "003_action_cache",
      up: { PackageResources._03_action_cache_up_sql }, down: { PackageResources._03_action_cache_down_sql }),
    Migration(
      version: 4, name: "004_progress",
      up: { PackageResources._04_progress_up_sql }, down: { PackageResources._04_progress_down_sql }),
    Migration(
      version: 5, name: "005_dependency_files",
      up: { PackageResources._05_dependency_files_up_sql }, down: { PackageResources._05_dependency_files_down_sql }),
    Migration(
      version: 6, name: "006_acceptance",
      up: { PackageResources._06_acceptance_up_sql }, down: { PackageResources._06_acceptance_down_sql }),
    Migration(
      version: 7, name: "007_queue",
      up: { PackageResources._07_queue_up_sql }, down: { PackageResources._07_queue_down_sql }),
    Migration(
      version: 8, name: "008_monitoring",
      up: { PackageResources._08_monitoring_up_sql }, down: { PackageResources._08_monitoring_down_sql }),
    Migration(
      version: 9, name: "009_executions",
      up: { PackageResources._09_executions_up_sql }, down: { PackageResources._09_executions_down_sql }),
    Migration(
      version: 10, name: "010_traces",
      up: { PackageResources._10_traces_up_sql }, down: { PackageResources._10_traces_down_sql }),
  ]

  /// The version that this build reads and writes.
  static let current: Int64 = 10

  /// FNV-1a, 64 bits, of the up script: told apart from an edited one, not from a forged one.
  var checksum: String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in up() { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 16)
  }
}
