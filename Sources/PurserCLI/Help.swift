/// The texts of `--help`, made from the same tables as the parser.
enum Help {
  static func overview(_ commands: [CommandSpec]) -> String {
    """
    Purser: a content-addressed cache for the steps of a pipeline.

    Usage: purser [OPTIONS] COMMAND …

    Commands:
    \(columns(commands.map { ($0.name, $0.summary) }))

    Options, before or after the command:
    \(columns(globalOptions.map(row)))

    'purser COMMAND --help' says more.

    """
  }

  static func page(_ command: CommandSpec) -> String {
    let own = command.options.isEmpty ? "" : "\nOptions:\n\(columns(command.options.map(row)))\n"
    let discussion = command.discussion.isEmpty ? "" : "\n\(command.discussion)\n"
    let operands = command.operands.isEmpty ? "" : " \(command.operands)"
    return """
      purser \(command.name): \(command.summary).

      Usage: purser \(command.name)\(command.options.isEmpty ? "" : " [OPTIONS]")\(operands)
      \(own)
      Global options:
      \(columns(globalOptions.map(row)))
      \(discussion)
      """
  }

  private static func row(_ option: OptionSpec) -> (String, String) {
    let short = option.short.map { "-\($0), " } ?? ""
    let value = option.value.map { " \($0)" } ?? ""
    return ("\(short)--\(option.name)\(value)", option.help + (option.repeats ? " (repeatable)" : ""))
  }

  private static func columns(_ rows: [(String, String)]) -> String {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { "  \($0.0)\(String(repeating: " ", count: width - $0.0.count))  \($0.1)" }
      .joined(separator: "\n")
  }
}
