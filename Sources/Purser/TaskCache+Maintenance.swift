package import PurserModel
package import PurserStore

/// What may go when the store is cleaned up.
package struct MaintenanceOptions: Sendable {
  /// History that is younger stays.
  package var keptAge: Duration = .seconds(90 * 86_400)
  /// So many runs of each task stay, however old.
  package var runsOfEachTask = 20
  /// So many events stay, however old.
  package var events = 100_000

  package init() {}
}

extension TaskCache {
  /// The store as one that can be looked after.
  var maintained: (any MaintainedStore)? { records as? any MaintainedStore }

  private func asMaintained<Result>(_ body: (any MaintainedStore) throws -> Result) throws(PurserError) -> Result {
    guard let maintained else { throw PurserError(.usage, "this store looks after itself") }
    return try asking { try body(maintained) }
  }

  /// Cleans the record store up: old history, what dead processes left, statistics for its queries, free pages.
  package func maintain(_ options: MaintenanceOptions = MaintenanceOptions()) throws(PurserError) -> MaintenanceReport {
    let dead = lessor.endLeftovers(try asking { try records.heldLeases() })
    _ = try asking { try records.giveBack(dead, now: TaskCache.now()) }
    return try asMaintained { store in
      var report = try store.maintain(
        MaintenanceRequest(
          now: TaskCache.now(), cutoff: TaskCache.time(in: -options.keptAge.components.seconds),
          runsOfEachTask: options.runsOfEachTask, events: options.events))
      report.leases = dead.count
      return report
    }
  }

  /// Cleans up where that was not done for a week, or never and there is history from before. Failing costs nothing
  /// but space.
  package func maintainIfDue() {
    guard let maintained else { return }
    let due = TaskCache.time(in: -7 * 86_400)
    guard let last = try? maintained.lastMaintenance() ?? firstEventTime(), last < due else { return }
    _ = try? maintain()
  }

  private func firstEventTime() -> String? {
    var filter = EventFilter(limit: 1)
    filter.after = 0
    return (try? records.events(matching: filter))?.first?.time
  }

  /// Copies the records to a file that is not there yet.
  package func backUp(to path: ByteString) throws(PurserError) {
    try asMaintained { try $0.backUp(to: path) }
  }

  /// What a view says: rows as objects.
  package func rows(of view: MonitoringView, limit: Int) throws(PurserError) -> [JSON] {
    try asMaintained { try $0.rows(of: view, limit: limit) }
  }
}
