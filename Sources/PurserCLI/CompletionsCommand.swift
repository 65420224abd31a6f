import Purser
import PurserModel
import PurserPipeline

let completionsCommand = CommandSpec(
  name: "completions", summary: "print what makes a shell complete commands, options, tasks and branches",
  operands: "bash | zsh | fish", takesOperands: true,
  discussion: """
    bash   purser completions bash > ~/.local/share/bash-completion/completions/purser
    zsh    purser completions zsh > a folder of $fpath, as _purser
    fish   purser completions fish > ~/.config/fish/completions/purser.fish

    The scripts ask purser itself at each completion, so that they never grow old.
    """
) { invocation in
  let session = try Session(invocation)
  let shells = ["bash": bashCompletions, "zsh": zshCompletions, "fish": fishCompletions]
  let shell = invocation.operands.first?.escaped ?? ""
  guard invocation.operands.count == 1, let script = shells[shell] else {
    throw UsageError(
      message: "completions is followed by bash, zsh or fish" + Suggestion.hint(shell, among: shells.keys.sorted()),
      command: "completions")
  }
  session.console.print(script)
  return 0
}

private let bashCompletions = """
  # Completions of purser for bash: purser itself says what may follow.
  _purser() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
      COMPREPLY+=("$(printf '%q' "$word")")
    done < <("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  }
  complete -o default -F _purser purser
  """

private let zshCompletions = """
  #compdef purser
  # Completions of purser for zsh: purser itself says what may follow.
  _purser() {
    local -a found
    found=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -a found; else _files; fi
  }
  if [[ "$funcstack[1]" = _purser ]]; then _purser "$@"; else compdef _purser purser; fi
  """

private let fishCompletions = """
  # Completions of purser for fish: purser itself says what may follow.
  complete -c purser -a '(purser complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
  """

/// What the scripts call, with the words behind `purser` up to the one that is being written: prints what may stand in
/// its place, a line each; nothing where that is a file's name, or nobody knows.
let hiddenCommand: (name: String, spec: @Sendable () -> CommandSpec) = (
  "complete",
  {
    CommandSpec(name: "complete", summary: "say what may follow", operands: "-- WORD…", takesCommand: true) {
      invocation in
      let words = (invocation.command ?? []).map(\.escaped)
      let session = try Session(invocation)
      var completion = Completion(words: words, session: session)
      let found = completion.candidates().filter { $0.hasPrefix(words.last ?? "") }
      if !found.isEmpty { session.console.print(found.joined(separator: "\n")) }
      return 0
    }
  }
)

/// What may follow on a command line, by the tables that it is parsed with.
struct Completion {
  let words: [String]
  let session: Session
  /// The global options that were written, which say where names are to be looked for.
  private var given: [String] = []

  init(words: [String], session: Session) {
    self.words = words
    self.session = session
  }

  mutating func candidates() -> [String] {
    let before = words.dropLast()
    if before.contains("--") { return [] }
    var command: CommandSpec?
    var operands: [String] = []
    var options = globalOptions
    /// The option whose value comes next.
    var open: OptionSpec?
    for word in before {
      if let option = open {
        if globalOptions.contains(where: { $0.name == option.name }) { given += ["--\(option.name)", word] }
        open = nil
      } else if word.hasPrefix("-") {
        open = options.first {
          $0.value != nil && (word == "--\($0.name)" || $0.short.map { word == "-\($0)" } == true)
        }
        if globalOptions.contains(where: { word.hasPrefix("--\($0.name)=") }) { given.append(word) }
      } else if command == nil, word != "help" {
        guard let known = commands.first(where: { $0.name == word })?.spec() else { return [] }
        command = known
        options += known.options
      } else {
        operands.append(word)
      }
    }
    if let open { return values(of: open, command) }
    if words.last?.hasPrefix("-") == true {
      return options.map { "--\($0.name)" } + (command?.takesCommand == true ? ["--"] : [])
    }
    guard let command else { return commands.map(\.name) + (operands.isEmpty ? ["help"] : []) }
    return values(ofOperands: operands, command)
  }

  private func values(of option: OptionSpec, _ command: CommandSpec?) -> [String] {
    switch option.value {
    case "KEY": storageKeys()
    case "TASK": tasks()
    case "WHEN": ["auto", "always", "never"]
    case "NAME" where option.name == "pipeline": pipelines()
    default: []
    }
  }

  /// By what the usage line says, such as `[list] | clone FROM TO | drop KEY`.
  private func values(ofOperands operands: [String], _ command: CommandSpec) -> [String] {
    var found: [String] = []
    for form in command.operands.split(separator: " | ") {
      var parts = form.split(separator: " ").map { $0.filter { !"[]".contains($0) } }.filter { !$0.hasPrefix("-") }
      parts.removeAll { ["TEXT", "OPTIONS", "COMMAND", "ARGUMENT…", "NAME"].contains($0) }
      let repeats = parts.last?.hasSuffix("…") == true
      parts = parts.map { $0.filter { $0 != "…" } }
      let leads = zip(parts, operands).allSatisfy { part, operand in
        part.first?.isLowercase != true || part.split(separator: "|").contains { $0 == operand }
      }
      guard leads, let last = parts.last else { continue }
      if operands.count < parts.count {
        found += values(of: parts[operands.count], command)
      } else if repeats {
        found += values(of: last, command)
      }
    }
    return found.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  private func values(of part: String, _ command: CommandSpec) -> [String] {
    if part.first?.isLowercase == true { return part.split(separator: "|").map(String.init) }
    return switch part {
    case "TASK": tasks()
    case "GRAPH": pipelines()
    case "FROM", "TO", "A", "B", "KEY": command.name == "branch" ? storageKeys() : []
    default: []
    }
  }

  // MARK: Names

  /// A session with the options that were written so far.
  private var asked: Session? {
    (try? Invocation(ArraySlice(given.map { ByteString($0) }), globalOptions, command: nil)).flatMap {
      try? Session($0)
    }
  }

  private func file(_ session: Session) -> PipelineFile? {
    (try? session.plainProject()).flatMap { try? session.pipelineFile($0) }?.file
  }

  private func tasks() -> [String] {
    guard let session = asked else { return [] }
    var names = file(session)?.tasks.map(\.name) ?? []
    if let records = try? session.cache().taskRecords() { names += records.map(\.key.task) }
    return Set(names).sorted()
  }

  private func pipelines() -> [String] {
    guard let session = asked else { return [] }
    var names = file(session)?.graphs.map(\.name) ?? []
    if let keys = try? session.cache().storageKeys() { names += keys.flatMap(\.pipelines) }
    return Set(names).sorted()
  }

  private func storageKeys() -> [String] {
    guard let keys = try? asked?.cache().storageKeys() else { return [] }
    return keys.map(\.storageKey)
  }
}
