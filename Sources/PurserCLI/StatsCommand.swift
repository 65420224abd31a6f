import Purser
import PurserModel
import PurserStore

let statsCommand = CommandSpec(
  name: "stats", summary: "how the store, the queue, the workers and the tasks are doing",
  options: [.value("limit", "N", "at most so many tasks and workers (default: 20)")],
  discussion: "From the views of the schema, which any SQLite client can ask too: see the page on the schema."
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  guard invocation.operands.isEmpty else { throw UsageError(message: "stats takes no operands", command: "stats") }
  let limit = try session.positiveNumber("limit", "stats")
  let rows = try MonitoringView.allCases.map { ($0, try cache.rows(of: $0, limit: limit ?? 20)) }
  if session.console.isJSON {
    session.console.print(
      .object(
        rows.map { view, rows in
          (view.rawValue, view == .systemHealth ? rows.first ?? .null : .array(rows))
        }))
    return 0
  }
  for (view, rows) in rows where !rows.isEmpty {
    session.console.print(session.console.paint(title(view), .bold))
    if view == .systemHealth {
      for case .object(let members) in rows {
        for (name, value) in members {
          session.console.print("  \(name.split(separator: "_").joined(separator: " ")): \(text(value))")
        }
      }
      continue
    }
    guard case .object(let first)? = rows.first else { continue }
    let names = first.map { $0.0.split(separator: "_").joined(separator: " ").uppercased() }
    let cells = rows.map { row -> [(text: String, style: Console.Style?)] in
      guard case .object(let members) = row else { return [] }
      return members.map { (text($0.1), nil) }
    }
    session.console.print(session.console.table(names, cells))
  }
  return 0
}

private func title(_ view: MonitoringView) -> String {
  switch view {
  case .systemHealth: "Store"
  case .activeTasks: "Tasks under way"
  case .pendingRuns: "Work that waits"
  case .queue: "Queue by state"
  case .activeWorkers: "Workers"
  case .workers: "What workers did"
  case .tasks: "What tasks take"
  }
}

private func text(_ value: JSON) -> String {
  switch value {
  case .null: "-"
  case .string(let text): text
  case .number(let number): String(Int64((number * 100).rounded()) / 100)
  default: value.serialized
  }
}
