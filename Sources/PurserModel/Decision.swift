/// What to do about a task.
public enum Decision: Sendable {
  /// As recorded, and the outputs on disk are as its manifest says.
  case fresh(TaskRecord)
  /// Made before, somewhere; can be put back without running.
  case restore(ActionResult, [Reason])
  /// Has to run.
  case run([Reason])

  /// `fresh`, `restore` or `run`.
  public var word: String {
    switch self {
    case .fresh: "fresh"
    case .restore: "restore"
    case .run: "run"
    }
  }

  /// Why it is not fresh; empty if it is.
  public var reasons: [Reason] {
    switch self {
    case .fresh: []
    case .restore(_, let reasons), .run(let reasons): reasons
    }
  }
}

/// One reason why a task is not fresh, with its evidence.
public enum Reason: Sendable, Hashable {
  case neverRan
  case forced
  case invalidated(Invalidation)
  case failed
  case interrupted
  case incomplete(done: Int, total: Int)
  case codeChanged([Change])
  case inputsChanged([Change])
  case dataChanged([Change])
  case upstreamPending([String])
  case outputMissing([ByteString])
  case outputModified([ByteString])
  /// What the recorded run read without declaring it is another now.
  case refuted([Change])

  /// The name that JSON uses.
  public var kind: String {
    switch self {
    case .neverRan: "neverRan"
    case .forced: "forced"
    case .invalidated: "invalidated"
    case .failed: "failed"
    case .interrupted: "interrupted"
    case .incomplete: "incomplete"
    case .codeChanged: "codeChanged"
    case .inputsChanged: "inputsChanged"
    case .dataChanged: "dataChanged"
    case .upstreamPending: "upstreamPending"
    case .outputMissing: "outputMissing"
    case .outputModified: "outputModified"
    case .refuted: "refuted"
    }
  }

  /// One line for a message, the first few names in full.
  public var summary: String {
    switch self {
    case .neverRan: "never ran"
    case .forced: "forced"
    case .invalidated(let mark): "invalidated" + (mark.why.isEmpty ? "" : " (\(mark.why))")
    case .failed: "failed last time"
    case .interrupted: "was interrupted"
    case .incomplete(0, 1): "its last result was not stored"
    case .incomplete(let done, let total): "incomplete, \(done) of \(total) done"
    case .codeChanged(let changes): "code changed: " + Reason.list(changes.map(\.printableLabel))
    case .inputsChanged(let changes): "inputs changed: " + Reason.list(changes.map(\.printableLabel))
    case .dataChanged(let changes): "data changed: " + Reason.list(changes.map(\.printableLabel))
    case .upstreamPending(let tasks): "upstream not done: " + Reason.list(tasks)
    case .outputMissing(let paths): "output missing: " + Reason.list(paths.map(\.printable))
    case .outputModified(let paths): "output modified: " + Reason.list(paths.map(\.printable))
    case .refuted(let changes):
      "refuted, an undeclared file that it read has changed: " + Reason.list(changes.map(\.printableLabel))
        + "; declare it: --input \(changes.first?.name.shellQuoted ?? "")"
    }
  }

  private static func list(_ names: [String]) -> String {
    let shown = names.prefix(3).joined(separator: ", ")
    return names.count > 3 ? "\(shown) and \(names.count - 3) more" : shown
  }

  /// The documented JSON form: `{"kind":…}` and its evidence.
  public var json: JSON {
    var fields: [(String, JSON)] = [("kind", .string(kind))]
    switch self {
    case .neverRan, .forced, .failed, .interrupted: break
    case .invalidated(let mark):
      fields += [("at", .string(mark.at)), ("by", .string(mark.by)), ("why", .string(mark.why))]
    case .incomplete(let done, let total):
      fields += [("done", .integer(Int64(done))), ("total", .integer(Int64(total)))]
    case .codeChanged(let changes), .inputsChanged(let changes), .dataChanged(let changes), .refuted(let changes):
      fields.append(("changes", .array(changes.map(\.json))))
    case .upstreamPending(let tasks): fields.append(("tasks", .array(tasks.map { .string($0) })))
    case .outputMissing(let paths), .outputModified(let paths):
      fields.append(("paths", .array(paths.map { .string($0.escaped) })))
    }
    return .object(fields)
  }
}

extension Change {
  /// `{"group","name","was","is"}`; null where the component was added or removed, or is absent.
  public var json: JSON {
    .object([
      ("group", .string(tag.group.description)), ("name", .string(label)),
      ("was", was?.text.map { .string($0) } ?? .null), ("is", now?.text.map { .string($0) } ?? .null),
    ])
  }
}
