import PurserModel

/// The commands whose words matter, and the words of the language.
enum ShellCommandName {
  /// `source`, `.`
  case source
  case dirname
  case cd
  case pwd
  case readlink
  case realpath
  /// What gives the variables that it names a value.
  case names
  case printf
  /// `export`, `local` and their like, which take assignments.
  case declare
  /// `command`, `builtin`
  case wrapper
  case other
  // Words of the language.
  case loop
  case `case`
  case esac
  case function
  case conditional
  case time
  /// One behind which a command may begin.
  case then

  var isReserved: Bool {
    switch self {
    case .loop, .case, .esac, .function, .conditional, .time, .then: true
    default: false
    }
  }

  private static let table: [[UInt8]: ShellCommandName] = {
    let lists: [(ShellCommandName, String)] = [
      (.source, "source ."), (.dirname, "dirname"), (.cd, "cd"), (.pwd, "pwd"), (.readlink, "readlink"),
      (.realpath, "realpath"), (.names, "read readarray mapfile unset getopts"), (.printf, "printf"),
      (.declare, "export readonly local declare typeset"), (.wrapper, "command builtin"), (.loop, "for select"),
      (.case, "case"), (.esac, "esac"), (.function, "function"), (.conditional, "[["), (.time, "time"),
      (.then, "then do else elif if while until ! { coproc"),
    ]
    var table: [[UInt8]: ShellCommandName] = [:]
    for (name, words) in lists {
      for word in words.split(separator: " ") { table[Array(word.utf8)] = name }
    }
    return table
  }()

  init?(_ word: ShellWord) {
    guard case .none = word.prefix, word.text.count <= 9, let name = Self.table[word.text] else { return nil }
    self = name
  }
}

/// Where in a list of commands reading is.
struct ShellCommands {
  enum Expected {
    case command
    case arguments
    /// Behind `for`.
    case loopVariable
    /// Behind the variable of a loop.
    case loopIn
    /// Behind `case`.
    case caseWord
    case caseIn
    case functionName
  }

  struct Open {
    enum Kind {
      case parenthesis
      /// Of `case`: where a pattern may begin, and the commands behind one.
      case pattern, clause
    }

    var kind: Kind
    var line: Int
  }

  /// What is known of the output so far.
  private enum Output {
    case none
    /// A folder was changed to.
    case changed(ShellWord)
    case word(ShellWord)
    case computed
  }

  var expected = Expected.command
  /// The command whose arguments are read.
  var name: ShellCommandName?
  var nest: [Open] = []
  var openParentheses = 0
  /// Whether no word of the pattern was read yet.
  var isAtPattern = false
  /// How many assignments there were before those that stand before the command's name, if there are any.
  var assignments: Int?
  /// Behind `command` and `time`.
  var takesOptions = false
  var isFirstArgument = false
  /// Behind `printf -v`.
  var isVariableNext = false
  /// Of a command that sources.
  var place = 0
  var line = 0
  private var operands: [ShellWord] = []
  private var flags: [UInt8] = []
  private var result = Output.none

  var isInPattern: Bool { nest.last?.kind == .pattern }

  var keepsArguments: Bool {
    switch name {
    case nil, .other, .wrapper: false
    default: true
    }
  }

  mutating func begin(_ name: ShellCommandName) {
    self.name = name
    expected = .arguments
    isFirstArgument = true
  }

  /// Another clause of `case` begins, or none.
  mutating func beginPatterns() {
    expected = .command
    guard nest.last?.kind == .clause else { return }
    nest[nest.count - 1].kind = .pattern
    isAtPattern = true
  }

  mutating func take(operand word: ShellWord) {
    if case .none = word.prefix, word.text.first == UInt8(ascii: "-"), word.text.count > 1 {
      if word.text.contains(UInt8(ascii: "=")) || flags.count > 64 { return spoil() }
      flags += word.text.dropFirst()
    } else if operands.count < 2 {
      operands.append(word)
    }
  }

  /// The output is not one that is understood.
  mutating func spoil() {
    result = .computed
  }

  mutating func reset() {
    expected = .command
    name = nil
    assignments = nil
    takesOptions = false
    isVariableNext = false
    if !operands.isEmpty { operands.removeAll() }
    if !flags.isEmpty { flags.removeAll() }
  }

  /// A command ends; what it has to do with the output.
  mutating func finish(endsPipeline: Bool) {
    if let name {
      switch (name, result) {
      case _ where !endsPipeline: result = .computed
      case (.dirname, .none) where operands.count == 1: result = .word(operands[0].folder)
      case (.realpath, .none) where operands.count == 1: result = .word(operands[0])
      case (.readlink, .none) where operands.count == 1 && isCanonical: result = .word(operands[0])
      case (.cd, .none) where operands.count == 1: result = .changed(operands[0])
      case (.pwd, .changed(let folder)) where operands.isEmpty: result = .word(folder)
      case (.names, .none): break
      default: result = .computed
      }
    }
    reset()
  }

  /// Whether `readlink` was told to give a whole path.
  private var isCanonical: Bool {
    flags.contains { $0 == UInt8(ascii: "f") || $0 == UInt8(ascii: "e") || $0 == UInt8(ascii: "m") }
  }

  var output: ShellWord? {
    if case .word(let word) = result { word } else { nil }
  }
}
