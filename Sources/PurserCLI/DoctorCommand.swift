import Purser
import PurserModel

let doctorCommand = CommandSpec(
  name: "doctor", summary: "look at the store, its file system, the clock and the tools",
  options: [
    .flag("repair", "set right what can be"),
    .flag("secrets", "look for values of declared variables in all that is stored"),
  ],
  discussion: """
    Says what is wrong and what to do. With --repair, permissions are closed, leftovers of killed processes and damaged
    derived files removed, and a damaged 'records.db' is set aside as 'damaged-…/records.db' in the store (never deleted)
    after what can be read of it was saved into a new one. With --secrets, the values that declared variables have here,
    of six bytes and more, are looked for in everything that is stored; where one is found, the variable, the task and the
    place are told, never the value. The exit code is 0 where nothing is wrong (any more), else 1.
    """
) { invocation in
  let session = try Session(invocation)
  // A pipeline file that cannot be used is none of its business.
  let cache = TaskCache(project: try session.plainProject(), environment: session.environment)
  var doctor = try cache.examine(repairing: invocation.has("repair"))
  if invocation.has("secrets") { doctor.add(try cache.searchSecrets()) }
  let console = session.console
  if console.isJSON {
    let findings = doctor.findings.map { finding in
      JSON.object([
        ("check", .string(finding.check)), ("state", .string(finding.state.rawValue)),
        ("message", .string(finding.message)), ("advice", finding.advice.map { .string($0) } ?? .null),
      ])
    }
    console.print(.object([("healthy", .bool(doctor.isHealthy)), ("findings", .array(findings))]))
    return doctor.isHealthy ? 0 : 1
  }
  for finding in doctor.findings where console.verbosity != .quiet || finding.state == .problem {
    let style: Console.Style =
      switch finding.state {
      case .ok: .green
      case .note: .blue
      case .problem: .red
      case .repaired: .yellow
      }
    let state = finding.state.rawValue
    let padding = String(repeating: " ", count: max(0, 8 - state.count))
    console.print("\(console.paint(state, style))\(padding)  \(finding.check): \(finding.message)")
    if let advice = finding.advice { console.print("          \(advice)") }
  }
  return doctor.isHealthy ? 0 : 1
}
