import Purser
import PurserCode
import PurserModel

let explainCommand = CommandSpec(
  name: "explain", summary: "say what of a task differs from its record, where that began, and why it last ran",
  operands: "TASK…",
  options: [.value("against", "KEY", "compare with the record on another storage key")], takesOperands: true
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  let tasks = try session.requiredTasks("explain")
  let declaration = try session.declarations(cache)
  for task in tasks {
    let spec = try session.required(declaration(task), task, cache)
    let assessment = try cache.checkedAssessment(spec, DecisionOptions())
    if let other = invocation.text("against") {
      let changes = try cache.changes(of: assessment, against: other, task: task)
      if session.console.isJSON {
        session.console.print(comparison(task, other, changes))
      } else {
        session.console.print(text(task, other, changes, session.console))
      }
      continue
    }
    let last = try cache.runs(of: task, limit: 1).first
    let (causes, pending) = try Explainer(cache, declaration: declaration).causes(of: task)
    let words = try cache.acceptances(of: [task])[task] ?? []
    if session.console.isJSON {
      session.console.print(explanation(task, assessment, last, causes, pending, words))
    } else {
      session.console.print(text(task, assessment, last, causes, pending, words, session))
    }
  }
  cache.saveStatCache()
  return 0
}

private func comparison(_ task: String, _ key: String, _ changes: [Change]) -> JSON {
  .object([("task", .string(task)), ("against", .string(key)), ("changes", .array(changes.map(\.json)))])
}

private func text(_ task: String, _ key: String, _ changes: [Change], _ console: Console) -> String {
  guard !changes.isEmpty else { return "\(console.paint(task, .bold)): made from the same as on '\(key)'" }
  return
    (["\(console.paint(task, .bold)): differs from the record on '\(key)' (which was, and here is):"]
    + lines(JSON.array(changes.map(\.json)), console)).joined(separator: "\n")
}

/// Where differences began: of a task itself only where git can say more than the reasons have said.
private func text(_ causes: [RootCause], _ console: Console) -> [String] {
  var lines: [String] = []
  for cause in causes where cause.path.count > 1 || cause.commit != nil {
    let what: String =
      switch cause.evidence {
      case .change(let change): console.paint(change.printableLabel, .yellow)
      case .reason(let reason): reason.summary
      case .differentOutputs: "outputs that differ, though made from the same"
      }
    let way = cause.path.count > 1 ? "  \(cause.path.joined(separator: " <- "))" : ""
    lines.append("  \(what)  (\(cause.task))\(way)")
    if let commit = cause.commit {
      let since = commit.isOutdated ? ", and changed since" : ""
      let subject = ByteString(escaped: commit.subject)?.printable ?? commit.subject
      lines.append("    last commit \(commit.name.prefix(12)), \(commit.date), \(commit.author): \(subject)\(since)")
    }
  }
  return lines.isEmpty ? [] : [console.paint("It began at:", .dim)] + lines
}

private func json(_ cause: RootCause) -> JSON {
  var members: [(String, JSON)] = [
    ("task", .string(cause.task)), ("path", .array(cause.path.map { .string($0) })),
  ]
  switch cause.evidence {
  case .change(let change): members += [("kind", .string("change")), ("change", change.json)]
  case .reason(let reason): members += [("kind", .string("reason")), ("reason", reason.json)]
  case .differentOutputs: members.append(("kind", .string("differentOutputs")))
  }
  let commit: JSON =
    cause.commit.map { commit in
      .object([
        ("name", .string(commit.name)), ("author", .string(commit.author)), ("date", .string(commit.date)),
        ("subject", .string(commit.subject)), ("changedSince", .bool(commit.isOutdated)),
      ])
    } ?? .null
  return .object(members + [("commit", commit)])
}

private func explanation(
  _ task: String, _ assessment: Assessment, _ last: RunRecord?, _ causes: [RootCause], _ pending: [String],
  _ words: [Acceptance]
) -> JSON {
  let lastRun: JSON =
    last.map { run in
      .object([
        ("run", .integer(run.id)), ("kind", .string(run.kind)), ("state", .string(run.state.rawValue)),
        ("startedAt", .string(run.startedAt)), ("exitCode", run.exitCode.map { .integer(Int64($0)) } ?? .null),
        ("reasons", run.storedReasons), ("error", run.storedError),
      ])
    } ?? .null
  return .object([
    ("task", .string(task)), ("decision", .string(pending.isEmpty ? assessment.decision.word : "run")),
    ("reasons", .array(reasons(assessment, pending).map(\.json))),
    ("fingerprint", .string(assessment.survey.fingerprint.actionKey.hex)), ("rootCauses", .array(causes.map(json))),
    ("lastRun", lastRun),
    ("acceptances", .array(words.map(\.jsonWithChanges))),
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

/// With the tasks before it that are not fresh, as `plan` has it.
private func reasons(_ assessment: Assessment, _ pending: [String]) -> [Reason] {
  let own = assessment.decision.reasons
  var told: [String] = []
  for case .upstreamPending(let tasks) in own { told += tasks }
  let more = pending.filter { !told.contains($0) }
  return own + (more.isEmpty ? [] : [.upstreamPending(more)])
}

private func text(
  _ task: String, _ assessment: Assessment, _ last: RunRecord?, _ causes: [RootCause], _ pending: [String],
  _ words: [Acceptance], _ session: Session
) -> String {
  let console = session.console
  let verdict =
    switch assessment.decision {
    case .fresh where !pending.isEmpty:
      console.paint("not fresh", .yellow) + ", since what it follows is not; by itself it is"
    case .fresh: console.paint("fresh", .green)
    case .restore: console.paint("not fresh", .yellow) + ", can be restored"
    case .run: console.paint("not fresh", .yellow) + ", has to run"
    }
  var lines = ["\(console.paint(task, .bold)): \(verdict)"]
  lines += evidence(JSON.array(reasons(assessment, pending).map(\.json)), console)
  lines += text(causes, console)
  lines += text(words, session)
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

/// By whose word the record stands, last word first, and what was accepted.
private func text(_ words: [Acceptance], _ session: Session) -> [String] {
  words.flatMap { word -> [String] in
    let console = session.console
    let what = word.kind == .accepted ? "Accepted" : "Adopted"
    let head = "\(what) by \(word.by), \(session.age(word.at)) ago: \(printable(word.why))"
    return [console.paint(head, .dim)] + lines((try? JSON(parsing: word.changes.utf8)) ?? .array([]), console)
  }
}

/// One line for each change.
private func lines(_ changes: JSON, _ console: Console) -> [String] {
  (changes.array ?? []).map { change in
    let name = console.paint(printable(change["name"]?.string ?? ""), .yellow)
    let what: String =
      switch (change["was"]?.string, change["is"]?.string) {
      case (nil, let now?): "added, is \(short(now))"
      case (let was?, nil): "removed, was \(short(was))"
      case (let was?, let now?): "was \(short(was)), is \(short(now))"
      case (nil, nil): "changed"
      }
    return "  \(name)  (\(change["group"]?.string ?? ""))  \(what)"
  }
}

/// One line for each piece of evidence: the changed file first, then what it was and what it is.
private func evidence(_ reasons: JSON, _ console: Console) -> [String] {
  var lines: [String] = []
  for reason in reasons.array ?? [] {
    let kind = reason["kind"]?.string ?? ""
    if let changes = reason["changes"] {
      lines += PurserCLI.lines(changes, console)
      let paths = (changes.array ?? []).compactMap { $0["name"]?.string.flatMap { ByteString(escaped: $0) } }
      if kind == "refuted" {
        let options = paths.map { "--input \($0.shellQuoted)" }.joined(separator: " ")
        lines.append("    read, and not declared; to declare it: \(options)")
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
