import Glibc
import PurserExecution
import PurserModel

/// A shell's command of plain words, which is executed without a shell in between, as make does: a program and its
/// arguments, with nothing that a shell would expand, redirect or do by itself.
///
/// A shell costs as much as a small command does. What is executed is the same, with the same arguments, folder and
/// variables; the shell stays where it could make a difference, also in what it says of a program that is not there.
struct PlainCommand {
  let words: [ByteString]

  /// - Returns: `nil` where only a shell knows what the text means. O(bytes).
  init?(_ text: ByteString) {
    let blank = UInt8(ascii: " ")
    var rest = text.bytes[...]
    while let last = rest.last, last == UInt8(ascii: "\n") || last == blank { rest.removeLast() }
    words = rest.split(separator: blank).map { ByteString($0) }
    guard rest.allSatisfy({ $0 == blank || Self.isPlain($0) }), let name = words.first,
      !name.bytes.contains(UInt8(ascii: "=")), !Self.doneByShells.contains(name)
    else { return nil }
  }

  /// The file that a shell would execute.
  ///
  /// - Returns: `nil` where the shell is needed after all: the program is not found, the `sh` of PATH is not the
  ///   system's, or functions are passed on in variables, as bash does.
  func program(_ environment: ProcessEnvironment, in folder: ByteString) -> ByteString? {
    let entries = environment.entries
    guard !entries.contains(where: { $0.hasPrefix("BASH_FUNC_") }),
      let shell = PathSearch.executable(for: "sh", environment: entries, workingDirectory: folder),
      shell == "/bin/sh" || shell == "/usr/bin/sh"
    else { return nil }
    return PathSearch.executable(for: words[0], environment: entries, workingDirectory: folder)
  }

  /// What a shell sets `PWD` to in a folder: its name by way of links is kept where that is what `PWD` says already.
  static func currentFolder(_ environment: ProcessEnvironment, in folder: ByteString) -> ByteString {
    guard let said = environment["PWD"], said != folder, said.isAbsolutePath, said.normalizedPath == said else {
      return folder
    }
    var (first, second) = (stat(), stat())
    let isSame =
      said.withCString { stat($0, &first) } == 0 && folder.withCString { stat($0, &second) } == 0
      && first.st_dev == second.st_dev && first.st_ino == second.st_ino
    return isSame ? said : folder
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "/"), UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "+"), UInt8(ascii: "@"),
      UInt8(ascii: "%"), UInt8(ascii: "="):
      true
    default: false
    }
  }

  /// Reserved words and built-in commands of sh, dash, bash, busybox, ksh, mksh and yash that are no files everywhere, or
  /// do something else as one.
  private static let doneByShells: Set<ByteString> = [
    ".", ":", "alias", "array", "autoload", "bg", "bind", "bindkey", "break", "builtin", "caller", "case", "cd",
    "chdir", "command", "compgen", "complete", "compopt", "continue", "coproc", "declare", "dirs", "disown", "do",
    "done",
    "echo", "elif", "else", "enable", "esac", "eval", "exec", "exit", "export", "false", "fc", "fg", "fi", "for",
    "function", "functions", "getconf", "getopts", "global", "hash", "help", "hist", "history", "if", "in", "integer",
    "jobs", "kill", "let", "local", "login", "logout", "mapfile", "nameref", "namespace", "newgrp", "popd", "print",
    "printf", "pushd", "pwd", "r", "read", "readarray", "readonly", "rename", "return", "select", "set", "shift",
    "shopt", "source", "stop", "suspend", "test", "then", "time", "times", "trap", "true", "type", "typeset", "ulimit",
    "umask", "unalias", "unset", "until", "wait", "whence", "while",
  ]
}
