import PurserModel

/// An option as the user writes it. One table serves parsing, `--help` and suggestions.
struct OptionSpec: Sendable {
  let name: String
  var short: String?
  /// The placeholder of its value; `nil` for a flag.
  var value: String?
  /// Whether it may be given more than once; else the last one counts.
  var repeats = false
  let help: String

  static func flag(_ name: String, short: String? = nil, _ help: String) -> OptionSpec {
    OptionSpec(name: name, short: short, help: help)
  }

  static func value(
    _ name: String, short: String? = nil, _ placeholder: String, _ help: String
  ) -> OptionSpec {
    OptionSpec(name: name, short: short, value: placeholder, help: help)
  }

  static func list(_ name: String, _ placeholder: String, _ help: String) -> OptionSpec {
    OptionSpec(name: name, value: placeholder, repeats: true, help: help)
  }
}

/// A command: what it takes, and what it does.
struct CommandSpec: Sendable {
  let name: String
  let summary: String
  /// What stands behind the options in the usage line.
  var operands = ""
  var options: [OptionSpec] = []
  /// Whether operands are allowed before `--`, and what follows `--` is a command.
  var takesOperands = false
  var takesCommand = false
  /// More to say in `--help`.
  var discussion = ""
  let run: @Sendable (Invocation) throws -> Int32
}

/// The options that stand before or after any command.
let globalOptions: [OptionSpec] = [
  .value("project", "DIR", "the project's root (default: found from the current folder)"),
  .value("store", "DIR", "the state folder (default: PURSER_STORE, else .purser in the root)"),
  .value("storage-key", "KEY", "the branch's name-space (default: PURSER_STORAGE_KEY, else the git branch)"),
  .value("pipeline", "NAME", "the pipeline (default: PURSER_PIPELINE, else the root's name)"),
  .flag("json", "print JSON"),
  .value("color", "WHEN", "auto, always or never"),
  .flag("quiet", short: "q", "print errors only"),
  .flag("verbose", short: "v", "say what was decided, and why"),
  .flag("help", short: "h", "show this help"),
]

/// A command line, taken apart.
struct Invocation: Sendable {
  /// In the order of the command line. A list, not a dictionary: there are few, and the first use of a dictionary's
  /// type costs more than looking through them.
  private var values: [(name: String, value: ByteString)] = []
  var operands: [ByteString] = []
  /// What stood behind `--`; `nil` where there was none.
  var command: [ByteString]?

  func has(_ name: String) -> Bool { values.contains { $0.name == name } }

  /// The last one given counts.
  func value(_ name: String) -> ByteString? { values.last { $0.name == name }?.value }

  func text(_ name: String) -> String? { value(name)?.escaped }

  func list(_ name: String) -> [ByteString] { values.filter { $0.name == name }.map(\.value) }
}

/// A command line that cannot be read.
struct UsageError: Error {
  let message: String
  var command: String?
}

extension Invocation {
  /// Takes arguments apart: `--name value`, `--name=value`, `-n`, operands, and a command behind `--`. Bytes are kept
  /// as they are.
  init(_ arguments: ArraySlice<ByteString>, _ options: [OptionSpec], command spec: CommandSpec?) throws {
    var rest = arguments
    while let argument = rest.popFirst() {
      if argument == "--" {
        command = Array(rest)
        break
      }
      guard argument.hasPrefix("-"), argument.count > 1 else {
        operands.append(argument)
        continue
      }
      let parts = argument.bytes.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      let name = ByteString(parts[0]).escaped
      var attached: ByteString?
      var option = options.first { name == "--\($0.name)" || $0.short.map { name == "-\($0)" } == true }
      if option == nil, !name.hasPrefix("--") {
        // `-j4`
        option = options.first { spec in spec.value != nil && spec.short.map { name.hasPrefix("-\($0)") } == true }
        attached = ByteString(argument.bytes.dropFirst(2))
      }
      guard let option else {
        let known = options.map { "--\($0.name)" }
        throw UsageError(message: "unknown option '\(name)'" + Suggestion.hint(name, among: known), command: spec?.name)
      }
      let value: ByteString
      if let placeholder = option.value {
        if let attached {
          value = attached
        } else if parts.count == 2 {
          value = ByteString(parts[1])
        } else if let next = rest.popFirst(), next != "--" {
          value = next
        } else {
          throw UsageError(message: "option '\(name)' needs a value: \(name) \(placeholder)", command: spec?.name)
        }
      } else {
        guard parts.count == 1 else {
          throw UsageError(message: "option '\(name)' takes no value", command: spec?.name)
        }
        value = ""
      }
      values.append((option.name, value))
    }
  }
}
