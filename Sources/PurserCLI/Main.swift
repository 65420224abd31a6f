import Glibc
import Purser
import PurserModel

/// The version that `purser --version` prints.
let version = "0.1.0"

/// Every command's name, and how to get its table: only that of the command in use is built.
let commands: [(name: String, spec: @Sendable () -> CommandSpec)] = [
  ("exec", { execCommand }), ("run", { runCommand }), ("plan", { planCommand }), ("check", { checkCommand }),
  ("status", { statusCommand }),
  ("explain", { explainCommand }), ("trace", { traceCommand }), ("invalidate", { invalidateCommand }),
  ("uninvalidate", { uninvalidateCommand }), ("accept", { acceptCommand }), ("branch", { branchCommand }),
  ("recover", { recoverCommand }), ("snapshot", { snapshotCommand }),
  ("runs", { runsCommand }), ("events", { eventsCommand }), ("queue", { queueCommand }),
  ("worker", { workerCommand }),
  ("types", { typesCommand }), ("stats", { statsCommand }),
  ("log", { logCommand }), ("subtasks", { subtasksCommand }), ("data", { dataCommand }), ("lint", { lintCommand }),
  ("schema", { schemaCommand }), ("hash", { hashCommand }), ("gc", { gcCommand }), ("db", { dbCommand }),
  ("verify", { verifyCommand }), ("doctor", { doctorCommand }), ("completions", { completionsCommand }),
]

/// Reads the command line as raw bytes (`CommandLine.arguments` would repair, and so change, what is not UTF-8), finds
/// the command and runs it.
@main
enum Main {
  static func main() {
    var arguments: [ByteString] = []
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[index] else { break }
      arguments.append(ByteString(UnsafeRawBufferPointer(start: argument, count: strlen(argument))))
    }
    // A standard descriptor that is closed would be given to the next file opened, the store's: what is printed would
    // be written into it.
    for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 { _ = open("/dev/null", O_RDWR) }
    // Nothing is buffered, and nobody registered work for the end: exit handlers would cost more than a hit's query.
    _exit(run(arguments))
  }

  private static func run(_ arguments: [ByteString]) -> Int32 {
    do {
      return try dispatch(arguments)
    } catch let error as UsageError {
      fail(error.message)
      Console.write("See 'purser \(error.command.map { $0 + " " } ?? "")--help'.\n", to: 2)
      return PurserError.Code.usage.rawValue
    } catch let error as PurserError {
      fail(error.message)
      return error.code.rawValue
    } catch {
      let error = PurserError(wrapping: error)
      fail(error.message)
      return error.code.rawValue
    }
  }

  private static func fail(_ message: String) {
    Console.write("error: \(message)\n", to: 2)
  }

  private static func dispatch(_ arguments: [ByteString]) throws -> Int32 {
    // Global options may stand before the command: its place is the first word that is no option, nor an option's value.
    var index = 0
    while index < arguments.count, arguments[index].hasPrefix("-"), arguments[index] != "--" {
      let name = arguments[index].escaped
      if name == "--version" {
        Console.write("purser \(version)\n", to: 1)
        return 0
      }
      let takesValue = globalOptions.contains { $0.value != nil && name == "--\($0.name)" }
      index += takesValue ? 2 : 1
    }
    guard index < arguments.count, arguments[index] != "--" else {
      let global = try Invocation(arguments[...], globalOptions, command: nil)
      guard global.has("help") else { throw UsageError(message: "name a command") }
      Console.write(Help.overview(commands.map { $0.spec() }), to: 1)
      return 0
    }
    let name = arguments[index].escaped
    if name == "help" {
      let topic = index + 1 < arguments.count ? arguments[index + 1].escaped : nil
      let command = commands.first { $0.name == topic }?.spec()
      Console.write(command.map(Help.page) ?? Help.overview(commands.map { $0.spec() }), to: 1)
      return 0
    }
    guard let command = (commands + [hiddenCommand]).first(where: { $0.name == name })?.spec() else {
      throw UsageError(message: "unknown command '\(name)'" + Suggestion.hint(name, among: commands.map(\.name)))
    }
    let words = arguments[..<index] + arguments[(index + 1)...]
    let invocation = try Invocation(ArraySlice(Array(words)), globalOptions + command.options, command: command)
    if invocation.has("help") {
      Console.write(Help.page(command), to: 1)
      return 0
    }
    if !command.takesOperands, let operand = invocation.operands.first {
      let hint = command.takesCommand ? "; put '--' before the command" : ""
      throw UsageError(message: "unexpected '\(operand.printable)'\(hint)", command: command.name)
    }
    if !command.takesCommand, invocation.command != nil {
      throw UsageError(message: "'\(command.name)' takes no command behind '--'", command: command.name)
    }
    return try command.run(invocation)
  }
}
