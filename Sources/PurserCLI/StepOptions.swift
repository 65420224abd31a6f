import Glibc
import Purser
import PurserHashing
import PurserModel

/// The options by which `exec` and `check` declare a step.
let stepOptions: [OptionSpec] = [
  .value("task", "ID", "the task's name (default: the program's name and a digest of the command)"),
  .list("code", "PATH", "a file, folder or glob of code"),
  .list("input", "PATH", "a file, folder or glob that the command reads"),
  .list("output", "PATH", "a file, folder or glob that the command makes; removed before it runs"),
  .list("env", "NAME", "an environment variable that matters"),
  .list("tool", "NAME", "a program that matters, looked up on PATH"),
  .list("arg", "K=V", "a named value that matters"),
  .list("after", "TASK", "a task whose outputs and data this one uses"),
  .list("exclude", "GLOB", "what folders and globs leave out"),
  .value("depfile", "PATH", "a dep file that the command writes (gcc -MMD -MF): what it names is code too"),
  .list("source-root", "DIR", "a folder in which Python looks for modules, as by PYTHONPATH"),
  .value("code-digest", "MODE", "what of Python code counts: raw, normalized or function"),
  .flag("trace", "follow the command: tell what it uses undeclared, and refute later hits where that has changed"),
  .flag("strict", "do not store a run that reads or writes undeclared files; implies --trace"),
  .flag("auto-inputs", "what the command is seen to read are its inputs; implies --trace"),
  .flag("pure", "no effect but outputs and what is printed: restorable everywhere"),
  .flag("keep-outputs", "leave outputs in place before the command runs"),
  .flag("stdin", "read standard input whole; it belongs to the key"),
  .flag("force", "run whatever is recorded"),
  .flag("no-restore", "never put a stored result back: run instead"),
]

extension Session {
  /// The task that the options declare. Paths are as the user sees them, from the current folder.
  func declaredSpec(_ project: Project) throws -> TaskSpec {
    guard let command = invocation.command, !command.isEmpty else {
      throw UsageError(message: "put '--' and the command behind the options")
    }
    let folder = project.name(ofPath: ".")
    var spec = TaskSpec(
      try taskID(command, folder), command: command,
      code: invocation.list("code").map { project.name(ofPath: $0) },
      inputs: invocation.list("input").map { project.name(ofPath: $0) },
      outputs: invocation.list("output").map { project.name(ofPath: $0) },
      upstream: invocation.list("after").map(\.escaped))
    spec.workingDirectory = folder
    spec.environment = invocation.list("env")
    spec.tools = invocation.list("tool")
    spec.excludes = invocation.list("exclude")
    spec.isPure = invocation.has("pure")
    spec.keepsOutputs = invocation.has("keep-outputs")
    spec.readsStandardInput = invocation.has("stdin")
    spec.arguments = try invocation.list("arg").map { argument in
      guard let equals = argument.bytes.firstIndex(of: UInt8(ascii: "=")), equals > 0 else {
        throw UsageError(message: "--arg is NAME=VALUE, not '\(argument.printable)'")
      }
      return TaskSpec.Argument(
        name: ByteString(argument.bytes[..<equals]), value: ByteString(argument.bytes[(equals + 1)...]))
    }
    spec.dependencyFile = invocation.value("depfile").map { project.name(ofPath: $0) }
    spec.isTraced = invocation.has("trace")
    spec.refusesUndeclared = invocation.has("strict")
    spec.findsInputs = invocation.has("auto-inputs")
    spec.sourceRoots = invocation.list("source-root").map { project.name(ofPath: $0) }
    switch invocation.text("code-digest") {
    case nil, "raw"?: break
    case "normalized"?: spec.codeDigest = .normalized
    case "function"?: spec.codeDigest = .function(nil)
    case let mode?: throw UsageError(message: "--code-digest is raw, normalized or function, not '\(mode)'")
    }
    for name in spec.environment where name.isEmpty || name.bytes.contains(UInt8(ascii: "=")) {
      throw UsageError(message: "--env takes a variable's name, not '\(name.printable)'; its value is read by Purser")
    }
    return spec
  }

  private func taskID(_ command: [ByteString], _ folder: ByteString) throws -> String {
    if let named = invocation.text("task") { return named }
    var writer = ByteWriter()
    for argument in command + [folder] { writer.append(lengthPrefixed: argument.bytes) }
    return command[0].lastPathComponent.escaped + "-" + SHA256.digest(of: writer.bytes).short
  }
}

/// Reads standard input to its end into a file, which then stands at its start, and returns the digest for the key.
func spoolStandardInput(into file: borrowing TemporaryFile) throws -> Digest {
  var hash = SHA256()
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 4096)
  defer { buffer.deallocate() }
  while true {
    let count = read(0, buffer.baseAddress, buffer.count)
    if count == 0 { break }
    guard count > 0 else {
      if errno == EINTR { continue }
      throw PurserError(.io, "standard input cannot be read: \(String(cString: strerror(errno)))")
    }
    let piece = UnsafeRawBufferPointer(rebasing: buffer[0..<count])
    hash.update(piece)
    try TemporaryFile.write(Array(piece), to: file.descriptor)
  }
  lseek(file.descriptor, 0, SEEK_SET)
  return hash.finalize()
}
