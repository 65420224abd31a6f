import CSpawn
import Glibc
import PurserModel

/// Turns a command into a process. What can be made before there is one is made with this.
struct Spawner: ~Copyable {
  /// A process of ours that is not reaped yet, so that its pid is its own.
  struct Spawned: ~Copyable {
    let pid: Int32
    let pidfd: Descriptor
    /// Follows it.
    let tracer: Tracer?
  }

  private let command: Command
  private let name: ByteString
  /// What may be executed, in the order in which it is tried.
  private let candidates: [ByteString]
  private let input: Descriptor
  private let argv: CStringArray
  private let shellArgv: CStringArray
  private let environment: CStringArray
  private let directory: CStringArray

  init(_ command: Command) throws(ExecutionError) {
    let name = command.argv.first ?? ""
    guard
      !CStringArray.cannotHold(command.argv) && !CStringArray.cannotHold(command.environment)
        && !CStringArray.cannotHold([command.workingDirectory])
    else {
      throw .system(
        "an argument, a variable or the folder holds a NUL byte", command: name, errno: EINVAL, next: "remove it")
    }
    let input = try Self.openInput(of: command, name)
    self.command = command
    self.name = name
    self.input = input
    candidates = command.program.map { [$0] } ?? PathSearch.candidates(for: name, environment: command.environment)
    argv = CStringArray(command.argv)
    // The second element is replaced by the script's path, in the child.
    shellArgv = CStringArray(["/bin/sh", ""] + command.argv.dropFirst())
    environment = CStringArray(command.environment)
    directory = CStringArray([command.workingDirectory])
  }

  /// Starts the command, once.
  ///
  /// - Parameters:
  ///   - output: becomes its standard output, `error` its standard error; both are 3 or more.
  ///   - ownGroup: whether it leads a process group of its own.
  ///   - ignoredSignals: those that stay ignored, bit n - 1 for signal n.
  func spawn(
    output: Int32, error: Int32, ownGroup: Bool, ignoredSignals: UInt64, tracer: Tracer? = nil
  ) throws(ExecutionError) -> Spawned {
    // To look is cheaper than to try: an execve that fails has made room for a program by then.
    let missing = candidates.prefix { $0.isAbsolutePath && $0.withCString { access($0, F_OK) } != 0 && errno == ENOENT }
    let present = missing.count == candidates.count ? candidates : Array(candidates[missing.count...])
    let candidateList = CStringArray(present)
    var request = cspawn_request()
    request.candidates = UnsafeRawPointer(candidateList.pointers).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
    request.argv = UnsafePointer(argv.pointers)
    request.shell_argv = shellArgv.pointers
    request.envp = UnsafePointer(environment.pointers)
    request.directory = UnsafePointer(directory.pointers[0])
    request.input = input.number
    request.output = output
    request.error = error
    request.own_group = ownGroup
    request.ignored = ignoredSignals
    request.tracer = tracer?.handle
    var result = cspawn_result()
    let status = cspawn_spawn(&request, &result)
    withExtendedLifetime(candidateList) {}
    if result.tracing_failure != 0 { tracer?.failure = result.tracing_failure }
    guard status == 0 else { throw failure(result, of: present) }
    return Spawned(pid: result.pid, pidfd: Descriptor(result.pidfd), tracer: tracer)
  }

  private static func openInput(of command: Command, _ name: ByteString) throws(ExecutionError) -> Descriptor {
    do throws(SystemError) {
      if let given = command.standardInput { return try Descriptor.high(copyOf: given) }
      return try Descriptor.high(open("/dev/null", O_RDONLY | O_CLOEXEC))
    } catch {
      throw .system(
        "its standard input cannot be opened", command: name, errno: error.number,
        next: "check --stdin and the limit on open files (ulimit -n)")
    }
  }

  private func failure(_ result: cspawn_result, of candidates: [ByteString]) -> ExecutionError {
    switch cspawn_step(UInt32(result.step)) {
    case CSPAWN_STEP_EXEC:
      return executionFailure(result.failure, path: candidates[result.candidate])
    case CSPAWN_STEP_DIRECTORY:
      return .system(
        "the working directory '\(command.workingDirectory.printable)' cannot be entered", command: name,
        errno: result.failure, next: "create it, or start from another")
    default:
      return .system(
        "no process could be started", command: name, errno: result.failure,
        next: "check the limits on processes, open files and memory (ulimit -a)")
    }
  }

  private func executionFailure(_ number: Int32, path: ByteString) -> ExecutionError {
    let shown = name.printable
    switch number {
    case ENOENT, ENOTDIR, ENAMETOOLONG:
      let reason: String
      if !name.bytes.contains(UInt8(ascii: "/")) && !candidateExists(name) {
        reason = "no such command on PATH; install it, or give its path"
      } else if number == ENOENT && candidateExists(name) {
        reason = "the interpreter that its first line names does not exist; correct that line, or install it"
      } else {
        reason = "\(ExecutionError.text(number)); check the path (it is relative to the working directory)"
      }
      return ExecutionError(
        code: .commandNotFound, command: name, errno: number, message: "cannot run '\(shown)': \(reason)")
    case EACCES:
      return ExecutionError(
        code: .notExecutable, command: name, errno: number,
        message: "cannot run '\(shown)': '\(path.printable)' may not be executed: \(ExecutionError.text(number)); "
          + "make it executable (chmod +x), or run it with its interpreter")
    case E2BIG:
      return ExecutionError(
        code: .notExecutable, command: name, errno: number,
        message: "cannot run '\(shown)': \(ExecutionError.text(number)); pass the list in a file, or on standard input")
    default:
      return ExecutionError(
        code: .notExecutable, command: name, errno: number,
        message: "cannot run '\(shown)': '\(path.printable)' could not be executed: \(ExecutionError.text(number)); "
          + "check that it is a program for this machine")
    }
  }

  /// Whether a file of that name is there after all, so that what is missing is its interpreter.
  private func candidateExists(_ name: ByteString) -> Bool {
    PathSearch.candidates(for: name, environment: command.environment).contains { candidate in
      !candidate.isEmpty
        && PathSearch.location(of: candidate, in: command.workingDirectory).withCString { access($0, F_OK) == 0 }
    }
  }
}
