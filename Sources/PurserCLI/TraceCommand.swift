import Purser
import PurserModel

let traceCommand = CommandSpec(
  name: "trace", summary: "show what tasks were seen to read and write when they were last traced",
  operands: "TASK…", takesOperands: true,
  discussion: """
    A task is traced by 'purser exec --trace', or with 'trace: true' in the pipeline file. What it used without declaring
    it is marked, and the declarations that would cover it are printed, to be pasted. With --verbose, names that it
    looked for and did not find, and folders whose names it read, are listed too.
    JSON: {"tasks":[{"task","run","gap","read":[{"path","declared"}],"listed","missing","written","declarations":
    {"inputs","outputs"}}]}; "gap" says why the trace is not all, or is null. 66: a task was never traced.
    """
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  var found: [JSON] = []
  for task in try session.requiredTasks("trace") {
    guard let (run, trace) = try cache.trace(of: task) else {
      throw PurserError(
        .missing,
        "task '\(task)' was never traced on storage key '\(cache.project.storageKey)'; run it with 'purser exec --trace', "
          + "or with 'trace: true' in the pipeline file")
    }
    if session.console.isJSON {
      found.append(json(task, run, trace))
    } else {
      session.console.print(text(task, run, trace, session.console))
    }
  }
  if session.console.isJSON { session.console.print(.object([("tasks", .array(found))])) }
  return 0
}

private func json(_ task: String, _ run: Int64, _ trace: TaskTrace) -> JSON {
  func list(_ use: TaskTrace.Use) -> JSON {
    .array(
      trace.entries.filter { $0.use == use }
        .map { .object([("path", .string($0.path.escaped)), ("declared", .bool($0.isDeclared))]) })
  }
  func paths(_ use: TaskTrace.Use) -> JSON { .array(trace.undeclared(use).map { .string($0.escaped) }) }
  return .object([
    ("task", .string(task)), ("run", .integer(run)), ("gap", trace.gap.map { .string($0) } ?? .null),
    ("read", list(.read)), ("listed", list(.listed)), ("missing", list(.missing)), ("written", list(.written)),
    ("declarations", .object([("inputs", paths(.read)), ("outputs", paths(.written))])),
  ])
}

private func text(_ task: String, _ run: Int64, _ trace: TaskTrace, _ console: Console) -> String {
  func count(_ use: TaskTrace.Use) -> Int { trace.entries.count { $0.use == use } }
  var lines = [
    "\(console.paint(task, .bold)): run \(run) read \(count(.read)), wrote \(count(.written)), looked in vain for "
      + "\(count(.missing)), and read the names in \(count(.listed))"
  ]
  if let gap = trace.gap { lines.append("  not all is known: \(gap)") }
  let words: [TaskTrace.Use: String] = [
    .read: "read", .listed: "listed", .missing: "missing", .written: "written",
  ]
  for entry in trace.entries {
    let isMain = entry.use == .read || entry.use == .written
    guard isMain || console.verbosity == .verbose else { continue }
    let word = words[entry.use] ?? ""
    let pad = String(repeating: " ", count: 9 - word.utf8.count)
    let path = entry.path.printable
    lines.append(
      "  \(word)\(pad)" + (entry.isDeclared ? path : console.paint(path, .yellow) + (isMain ? "  (undeclared)" : "")))
  }
  let (inputs, outputs) = (trace.undeclared(.read), trace.undeclared(.written))
  guard !inputs.isEmpty || !outputs.isEmpty else { return lines.joined(separator: "\n") }
  let options = inputs.map { "--input \($0.shellQuoted)" } + outputs.map { "--output \($0.shellQuoted)" }
  lines.append(console.paint("To declare the rest, with 'purser exec':", .dim))
  lines.append("  " + options.joined(separator: " "))
  lines.append(console.paint("in the pipeline file:", .dim))
  if !inputs.isEmpty { lines.append("    inputs: " + list(inputs)) }
  if !outputs.isEmpty { lines.append("    outputs: " + list(outputs)) }
  return lines.joined(separator: "\n")
}

/// As YAML has it, which knows JSON's strings.
private func list(_ paths: [ByteString]) -> String {
  "[" + paths.map { JSON.string($0.escaped).serialized }.joined(separator: ", ") + "]"
}
