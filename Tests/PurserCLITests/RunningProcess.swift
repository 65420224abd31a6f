import Glibc
import PurserModel
import Testing

// glibc's, since 2.29; Swift's Glibc module does not show it.
@_silgen_name("posix_spawn_file_actions_addchdir_np")
private func posix_spawn_file_actions_addchdir_np(
  _ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>, _ path: UnsafePointer<CChar>
) -> Int32

/// How a process ended and what it printed.
struct Outcome: Sendable {
  /// As a shell reports it: a signal gives 128 and its number.
  var code: Int32
  var output: [UInt8]
  var error: [UInt8]

  var outputText: String { String(decoding: output, as: UTF8.self) }
  var errorText: String { String(decoding: error, as: UTF8.self) }

  /// Standard output as JSON.
  func json() throws -> JSON { try JSON(parsing: output) }
}

/// A process that was started as from a shell: no signal blocked, each with its default action. It leads a group of its
/// own, and its output goes to files, so that no grandchild can hold a pipe of the test's open.
struct RunningProcess: Sendable {
  let pid: pid_t
  private let outputPath: ByteString
  private let errorPath: ByteString?

  /// - Parameter error: where standard error goes; `nil` for the same open file as standard output.
  init(
    _ argv: [ByteString], in folder: ByteString, environment: [ByteString], input: ByteString = "/dev/null",
    output: ByteString, error: ByteString?
  ) throws {
    outputPath = output
    errorPath = error
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    _ = folder.withCString { posix_spawn_file_actions_addchdir_np(&actions, $0) }
    _ = input.withCString { posix_spawn_file_actions_addopen(&actions, 0, $0, O_RDONLY, 0) }
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND
    _ = output.withCString { posix_spawn_file_actions_addopen(&actions, 1, $0, flags, 0o600) }
    if let error {
      _ = error.withCString { posix_spawn_file_actions_addopen(&actions, 2, $0, flags, 0o600) }
    } else {
      posix_spawn_file_actions_adddup2(&actions, 1, 2)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    let program = try #require(argv.first)
    var pid: pid_t = 0
    let code = Self.withCStrings(argv) { argv in
      Self.withCStrings(environment) { environment in
        program.withCString { posix_spawn(&pid, $0, &actions, &attributes, argv, environment) }
      }
    }
    try #require(code == 0, "\(program.printable) cannot be started: \(String(cString: strerror(code)))")
    self.pid = pid
  }

  private static func withCStrings<Result>(
    _ strings: [ByteString], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
  ) -> Result {
    let copies: [UnsafeMutablePointer<CChar>?] = strings.map { $0.withCString { strdup($0) } } + [nil]
    defer { for copy in copies { free(copy) } }
    return body(copies)
  }

  /// Waits for the end. After `seconds` the whole group is killed and the test fails.
  func wait(seconds: Int = 120) throws -> Outcome {
    var status: Int32 = 0
    let hasEnded = hasComeTrue(within: seconds) { waitpid(pid, &status, WNOHANG) != 0 }
    if !hasEnded {
      kill(-pid, SIGKILL)
      waitpid(pid, &status, 0)
    }
    let outcome = Outcome(
      code: status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f, output: try contents(ofFile: outputPath),
      error: try errorPath.map { try contents(ofFile: $0) } ?? [])
    try #require(hasEnded, "the process did not end within \(seconds) s; it printed: \(outcome.errorText)")
    return outcome
  }

  /// What it has printed so far on standard output.
  var outputSoFar: String { (try? String(decoding: contents(ofFile: outputPath), as: UTF8.self)) ?? "" }

  /// What it has printed so far on standard error.
  var errorSoFar: String {
    (try? errorPath.map { String(decoding: try contents(ofFile: $0), as: UTF8.self) }) ?? ""
  }

  func signal(_ number: Int32) { kill(pid, number) }
}

/// Looks at a state until it is there: `false` if it does not come in time.
func hasComeTrue(within seconds: Int = 30, state: () throws -> Bool) rethrows -> Bool {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while try !state() {
    if ContinuousClock.now > deadline { return false }
    usleep(1000)
  }
  return true
}

/// Whether a process is there and no zombie.
func isAlive(_ pid: pid_t) -> Bool {
  guard let status = try? contents(ofFile: ByteString("/proc/\(pid)/stat")) else { return false }
  guard let parenthesis = status.lastIndex(of: UInt8(ascii: ")")), parenthesis + 2 < status.count else { return false }
  return status[parenthesis + 2] != UInt8(ascii: "Z")
}

/// The processes whose current folder this is.
func processes(in folder: ByteString) -> [pid_t] {
  guard let stream = opendir("/proc") else { return [] }
  defer { closedir(stream) }
  var found: [pid_t] = []
  while let entry = readdir(stream) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    guard let pid = pid_t(name) else { continue }
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/\(pid)/cwd", &buffer, buffer.count)
    if count > 0, buffer[..<count].elementsEqual(folder.bytes.map { CChar(bitPattern: $0) }) { found.append(pid) }
  }
  return found
}

func contents(ofFile path: ByteString) throws -> [UInt8] {
  let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC) }
  guard descriptor >= 0 else { throw Unreadable(path: path.printable, why: String(cString: strerror(errno))) }
  defer { close(descriptor) }
  var content: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(descriptor, &buffer, buffer.count)
    guard count > 0 else { return content }
    content += buffer[..<count]
  }
}

struct Unreadable: Error {
  let path: String
  let why: String
}
