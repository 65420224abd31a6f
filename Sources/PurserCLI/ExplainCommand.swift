import Purser
import PurserCode
import PurserModel

let explainCommand = CommandSpec(
  name: "explain", summary: "say which component of a task differs from its record, and why it last ran",
  operands: "TASK", takesOperands: true
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let tasks = try session.requiredTasks("explain")
  for task in tasks {
    let spec = try session.storedSpec(task, cache)
    let assessment = try cache.checkedAssessment(spec, DecisionOptions())
    let last = try cache.runs(of: task, limit: 1).first
    if session.console.isJSON {
      session.console.print(explanation(task, assessment, last))
    } else {
      session.console.print(text(task, assessment, last, session))
    }
  }
  cache.saveStatCache()
  return 0
}

private func explanation(_ task: String, _ assessment: Assessment, _ last: RunRecord?) -> JSON {
  let lastRun: JSON =
    last.map { run in
      .object([
        ("run", .integer(run.id)), ("kind", .string(run.kind)), ("state", .string(run.state.rawValue)),
        ("startedAt", .string(run.startedAt)), ("exitCode", run.exitCode.map { .integer(Int64($0)) } ?? .null),
        ("reasons", run.storedReasons), ("error", run.storedError),
      ])
    } ?? .null
  return .object([
    ("task", .string(task)), ("decision", .string(assessment.decision.word)),
    ("reasons", .array(assessment.decision.reasons.map(\.json))),
    ("fingerprint", .string(assessment.survey.fingerprint.actionKey.hex)), ("lastRun", lastRun),
    (
      "remarks",
      .array(
        assessment.survey.remarks.map { remark in
          .object([
            ("file", .string(remark.path.escaped)), ("line", remark.line > 0 ? .integer(Int64(remark.line)) : .null),
            ("message", .string(remark.message)),
          ])
        })
    ),
  ])
}

private func text(_ task: String, _ assessment: Assessment, _ last: RunRecord?, _ session: Session) -> String {
  let console = session.console
  let verdict =
    switch assessment.decision {
    case .fresh: console.paint("fresh", .green)
    case .restore: console.paint("not fresh", .yellow) + ", can be restored"
    case .run: console.paint("not fresh", .yellow) + ", has to run"
    }
  var lines = ["\(console.paint(task, .bold)): \(verdict)"]
  let reasons = JSON.array(assessment.decision.reasons.map(\.json))
  lines += evidence(reasons, console)
  if !assessment.survey.remarks.isEmpty {
    lines.append(console.paint("What of its code does not count, or not as asked:", .dim))
    lines += assessment.survey.remarks.map { "  \($0.text)" }
  }
  if let last {
    var line = "Last \(last.kind) (number \(last.id)): \(last.state.rawValue.lowercased())"
    line += " \(session.age(last.finishedAt ?? last.startedAt)) ago"
    if let duration = last.durationMicroseconds { line += ", took \(Timestamp.duration(microseconds: duration))" }
    if let code = last.exitCode { line += ", exit code \(code)" }
    lines.append(console.paint(line + ". It was done because:", .dim))
    lines += evidence(last.storedReasons, console)
    if let problem = last.storedError["kind"]?.string {
      let details = (last.storedError["names"] ?? last.storedError["paths"] ?? last.storedError["message"])?.array ?? []
      lines.append("  not stored: \(problem) \(details.compactMap(\.string).joined(separator: ", "))")
    }
  }
  return lines.joined(separator: "\n")
}

/// One line for each piece of evidence: the changed file first, then what it was and what it is.
private func evidence(_ reasons: JSON, _ console: Console) -> [String] {
  var lines: [String] = []
  for reason in reasons.array ?? [] {
    let kind = reason["kind"]?.string ?? ""
    if let changes = reason["changes"]?.array {
      for change in changes {
        let name = console.paint(printable(change["name"]?.string ?? ""), .yellow)
        let what: String =
          switch (change["was"]?.string, change["is"]?.string) {
          case (nil, let now?): "added, is \(short(now))"
          case (let was?, nil): "removed, was \(short(was))"
          case (let was?, let now?): "was \(short(was)), is \(short(now))"
          case (nil, nil): "changed"
          }
        lines.append("  \(name)  (\(change["group"]?.string ?? ""))  \(what)")
      }
    } else if let paths = reason["paths"]?.array {
      for path in paths.compactMap(\.string) {
        let what = kind == "outputMissing" ? "missing" : "modified"
        lines.append("  \(console.paint(printable(path), .yellow))  (outputs)  \(what)")
      }
    } else if let tasks = reason["tasks"]?.array {
      lines.append("  upstream not done: \(tasks.compactMap(\.string).joined(separator: ", "))")
    } else if kind == "invalidated" {
      let why = reason["why"]?.string ?? ""
      let mark = "  invalidated at \(reason["at"]?.string ?? "") by \(reason["by"]?.string ?? "")"
      lines.append(mark + (why.isEmpty ? "" : ": \(printable(why))"))
    } else {
      let words = [
        "neverRan": "it never ran", "forced": "it was forced", "failed": "it failed last time",
        "interrupted": "it was interrupted", "incomplete": "its last result was not stored",
      ]
      lines.append("  \(words[kind] ?? kind)")
    }
  }
  return lines
}

/// Escaped text for a terminal: without control characters.
private func printable(_ text: String) -> String {
  ByteString(escaped: text)?.printable ?? text
}

/// Digests are cut to 12 digits; other values stand in full.
private func short(_ value: String) -> String {
  let isDigest = value.count >= 64 && value.prefix(64).allSatisfy(\.isHexDigit)
  return isDigest ? String(value.prefix(12) + value.dropFirst(64)) : printable(value)
}
