import Glibc
import Purser
import PurserModel

/// What every command needs: the console, the environment and, when asked for, the project's cache.
struct Session {
  let invocation: Invocation
  let console: Console
  let environment: ProcessEnvironment

  init(_ invocation: Invocation) throws {
    self.invocation = invocation
    environment = .current
    console = try Console(invocation, noColor: environment["NO_COLOR"].map { !$0.isEmpty } ?? false)
  }

  /// The project, without a look at its pipeline file: its branch is its storage key, whatever it is mapped to.
  func plainProject() throws -> Project {
    try Project.locate(
      Project.Options(
        root: invocation.value("project"), store: invocation.value("store"),
        storageKey: invocation.text("storage-key"), pipeline: invocation.text("pipeline")),
      environment: environment)
  }

  func cache() throws -> TaskCache {
    try TaskCache(project: project(), environment: environment)
  }

  /// The declaration of a task, which has to be known.
  func required(_ spec: TaskSpec?, _ task: String, _ cache: TaskCache) throws -> TaskSpec {
    guard let spec else { throw try unknownTask(task, cache) }
    return spec
  }

  func unknownTask(_ task: String, _ cache: TaskCache) throws -> PurserError {
    let known = try cache.taskRecords().map(\.key.task)
    if known.contains(task) {
      return PurserError(
        .missing,
        "task '\(task)' was not recorded by Purser, so its declaration is not known; give its options, or run it with "
          + "'purser exec'")
    }
    let hint = Suggestion.hint(task, among: known)
    return PurserError(
      .missing,
      "no task '\(task)' under storage key '\(cache.project.storageKey)' of pipeline "
        + "'\(cache.project.pipeline)'" + (hint.isEmpty ? "; see 'purser status'" : hint))
  }

  /// Operands as task ids, at least one.
  func requiredTasks(_ command: String) throws -> [String] {
    guard !invocation.operands.isEmpty else {
      throw UsageError(message: "name a task", command: command)
    }
    return invocation.operands.map(\.escaped)
  }

  /// How long ago, for people.
  func age(_ time: String?) -> String {
    guard let time, let then = Timestamp.microseconds(time), let now = Timestamp.microseconds(TaskCache.now()) else {
      return "-"
    }
    let seconds = max(0, (now - then) / 1_000_000)
    return switch seconds {
    case ..<60: "\(seconds) s"
    case ..<3600: "\(seconds / 60) min"
    case ..<172_800: "\(seconds / 3600) h"
    default: "\(seconds / 86_400) d"
    }
  }
}

/// `90`, `90s`, `1500ms`, `5m`, `1h30m`, `2d`; a bare number is seconds. `nil` for anything else, or nothing.
func parseDuration(_ text: String) -> Duration? {
  var total: Int64 = 0
  var digits = ""
  var rest = text[...]
  guard !rest.isEmpty else { return nil }
  while let character = rest.popFirst() {
    if character.isASCII, character.isNumber {
      digits.append(character)
      continue
    }
    guard let number = Int64(digits) else { return nil }
    digits = ""
    let unit: Int64
    switch character {
    case "d": unit = 86_400_000
    case "h": unit = 3_600_000
    case "m" where rest.first == "s":
      rest.removeFirst()
      unit = 1
    case "m": unit = 60_000
    case "s": unit = 1000
    default: return nil
    }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit)
    guard !overflow, product < 1 << 50 else { return nil }
    total += product
  }
  if !digits.isEmpty {
    guard let number = Int64(digits), number < 1 << 40 else { return nil }
    total += number * 1000
  }
  return .milliseconds(total)
}
