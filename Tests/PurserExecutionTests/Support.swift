import Glibc
import PurserExecution
import PurserModel
import Synchronization
import Testing

/// What a command left behind.
struct Ran: Sendable {
  var completion: Completion
  var frames: [Frame]
  var failure: Int32?

  var exit: Exit { completion.exit }
  var output: [UInt8] { frames.filter { $0.stream == 1 }.flatMap(\.bytes) }
  var error: [UInt8] { frames.filter { $0.stream == 2 }.flatMap(\.bytes) }
  var outputText: String { String(decoding: output, as: UTF8.self) }
}

struct Frame: Sendable, Equatable {
  var stream: UInt8
  var bytes: [UInt8]
}

extension Command {
  /// The same command, followed by a tracer if these tests are run for commands that are: `PURSER_TEST_TRACED=1`. All
  /// that is asked of a command holds for those, too; `scripts/test` runs the target both ways.
  var asAsked: Command {
    var command = self
    if getenv("PURSER_TEST_TRACED") != nil { command.tracedRoot = "/tmp" }
    return command
  }
}

/// Runs a command under `/bin/sh`-like circumstances, its output captured only.
func run(
  _ argv: [ByteString],
  environment: [ByteString] = ["PATH=/usr/bin:/bin"],
  workingDirectory: ByteString = "/",
  standardInput: Int32? = nil,
  timeout: Duration? = nil,
  grace: Duration = .seconds(5),
  spoolDirectory: ByteString = "/tmp",
  memoryLimit: Int = 1 << 20,
  passingTo descriptors: (Int32, Int32)? = nil,
  escalates: Bool = false,
  tracedRoot: ByteString? = nil,
  isFollowed: Bool = true,
  started: @escaping @Sendable (ChildProcess) throws -> Void = { _ in },
  lines: (@Sendable (UInt8, [UInt8]) -> Void)? = nil
) async throws -> Ran {
  var command = Command(
    argv: argv, environment: environment, workingDirectory: workingDirectory, standardInput: standardInput,
    timeout: timeout, grace: grace, escalates: escalates
  ).asAsked
  if let tracedRoot { command.tracedRoot = tracedRoot }
  if !isFollowed { command.tracedRoot = nil }
  let prepared = command
  let route: OutputRoute = lines.map { .lines($0) } ?? (descriptors == nil ? .discard : .passThrough)
  return try await onThread {
    let spool = LogSpool(directory: spoolDirectory, memoryLimit: memoryLimit)
    let executor = descriptors.map { LocalExecutor(standardOutput: $0.0, standardError: $0.1) } ?? LocalExecutor()
    let completion = try executor.run(prepared, capture: spool, output: route, started: started)
    return Ran(
      completion: completion, frames: spool.withContents(frames), failure: spool.failure)
  }
}

func shell(_ script: String) -> [ByteString] {
  ["sh", "-c", ByteString(script)]
}

/// Runs `body` on a thread of its own, which lives until it returns: the executor kills its command when the calling
/// thread ends, and the threads of the runtime's pool must not be blocked.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    let job = Unmanaged.passRetained(Job { continuation.resume(with: Swift.Result(catching: body)) })
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<Job>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, job.toOpaque())
    precondition(status == 0, "a thread could not be started")
    pthread_detach(thread)
  }
}

private final class Job: Sendable {
  let run: @Sendable () -> Void

  init(_ run: @escaping @Sendable () -> Void) {
    self.run = run
  }
}

/// Decodes a log on its own account, so that the tests do not believe the code they test.
func frames(_ contents: LogContents) -> [Frame] {
  let bytes: [UInt8]
  switch contents {
  case .memory(let content): bytes = content
  case .file(let descriptor, let size): bytes = read(descriptor, count: Int(size))
  }
  var result: [Frame] = []
  var rest = bytes[...]
  while let stream = rest.first {
    let length = rest.dropFirst().prefix(4).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    result.append(Frame(stream: stream, bytes: Array(rest.dropFirst(5).prefix(length))))
    rest = rest.dropFirst(5 + length)
  }
  return result
}

func read(_ descriptor: Int32, count: Int) -> [UInt8] {
  var buffer = [UInt8](repeating: 0, count: count)
  var done = 0
  while done < count {
    let got = buffer.withUnsafeMutableBytes {
      pread(descriptor, $0.baseAddress?.advanced(by: done), count - done, done)
    }
    if got <= 0 { break }
    done += got
  }
  return Array(buffer[..<done])
}

/// A pipe whose reading end is emptied by a thread, so that writing never blocks.
final class Collector: Sendable {
  let writing: Int32
  private let reading: Int32
  private let content = Mutex<[UInt8]>([])

  init() {
    var ends: [Int32] = [0, 0]
    precondition(pipe(&ends) == 0)
    (reading, writing) = (ends[0], ends[1])
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  }

  /// Reads until the writing end is closed by `body`'s end.
  func collect<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> (Result, [UInt8]) {
    async let all: Void = onThread { [self] in
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        let count = Glibc.read(reading, &buffer, buffer.count)
        if count <= 0 { break }
        content.withLock { $0.append(contentsOf: buffer[..<count]) }
      }
      close(reading)
    }
    do {
      let result = try await body()
      close(writing)
      try await all
      return (result, content.withLock { $0 })
    } catch {
      close(writing)
      throw error
    }
  }
}

/// A fresh folder, removed afterwards.
func withTemporaryDirectory<Result>(_ body: (ByteString) async throws -> Result) async throws -> Result {
  var template = Array("/tmp/purser-execution.XXXXXX".utf8CString)
  try #require(mkdtemp(&template) != nil)
  let path = ByteString(bytes: template.dropLast().map(UInt8.init(bitPattern:)))
  defer { path.withCString { directory in removeTree(String(cString: directory)) } }
  return try await body(path)
}

/// Links are removed, never followed.
private func removeTree(_ path: String) {
  if unlink(path) == 0 { return }
  if let folder = opendir(path) {
    while let item = readdir(folder) {
      let name = withUnsafePointer(to: &item.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { removeTree(path + "/" + name) }
    }
    closedir(folder)
  }
  remove(path)
}

func writeFile(_ path: ByteString, _ content: String, mode: mode_t = 0o644) {
  let file = path.withCString { open($0, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode) }
  let bytes = Array(content.utf8)
  _ = write(file, bytes, bytes.count)
  close(file)
}

/// Waits for a state, by looking; a state that never comes is caught by the test's time limit.
func waitUntil(_ state: () -> Bool) async throws {
  while !state() { try await Task.sleep(for: .milliseconds(2)) }
}

/// A time to sleep, in seconds, by which a process of this test run can be found, and of no other.
func unique(_ seconds: Int) -> String {
  "\(seconds).\(getpid())"
}

/// Whether any process runs `sleep` with this argument, which the test made unique.
func sleeps(_ seconds: String) -> Bool {
  guard let folder = opendir("/proc") else { return false }
  defer { closedir(folder) }
  let wanted = Array("sleep\0\(seconds)\0".utf8)
  while let item = readdir(folder) {
    let name = withUnsafePointer(to: &item.pointee.d_name) { pointer in
      pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    let file = open("/proc/\(name)/cmdline", O_RDONLY | O_CLOEXEC)
    if file < 0 { continue }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = Glibc.read(file, &buffer, buffer.count)
    if count > 0 && Array(buffer[..<count]) == wanted { return true }
  }
  return false
}
