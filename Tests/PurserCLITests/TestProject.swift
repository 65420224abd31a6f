import Glibc
import PurserModel
import Testing

/// A project of a test's own, in a temporary folder that is removed after it: `@Suite(.project)`, then
/// `TestProject.current`.
///
/// What shall not be part of the project, such as the counts of executions, lies beside it.
struct TestProject: Sendable {
  @TaskLocal static var current = TestProject(folder: "/nonexistent")

  /// Holds the project and what lies beside it.
  let folder: ByteString
  /// The project's root.
  var root: ByteString { folder + "/project" }

  /// The tool, as built beside this test.
  static let tool: ByteString = {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    return ByteString(buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }).folder + "/purser"
  }()

  // MARK: Running

  /// The whole environment of whatever is started, but for what a test adds. Scripts count themselves in `$COUNTS`.
  var environment: [String: ByteString] {
    [
      "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder, "LC_ALL": "C", "COUNTS": folder + "/counts",
      "SWIFT_BACKTRACE": "enable=no", "TOOL": Self.tool,
    ]
  }

  /// Starts any program in the project.
  func start(
    _ argv: [ByteString], in inner: ByteString = ".", environment extra: [String: ByteString] = [:],
    input: ByteString = "/dev/null", merged: Bool = false
  ) throws -> RunningProcess {
    let number = Self.counter.next()
    let output = folder + ByteString("/printed/\(number).out")
    let variables = environment.merging(extra) { $1 }.map { ByteString($0.key + "=") + $0.value }
    return try RunningProcess(
      argv, in: self(inner), environment: variables, input: input, output: output,
      error: merged ? nil : folder + ByteString("/printed/\(number).err"))
  }

  /// Runs the tool in the project.
  @discardableResult
  func purser(
    _ arguments: ByteString..., in inner: ByteString = ".", environment: [String: ByteString] = [:],
    input: ByteString = "/dev/null", merged: Bool = false
  ) throws -> Outcome {
    try start([Self.tool] + arguments, in: inner, environment: environment, input: input, merged: merged).wait()
  }

  @discardableResult
  func purser(
    _ arguments: [ByteString], in inner: ByteString = ".", environment: [String: ByteString] = [:],
    input: ByteString = "/dev/null", merged: Bool = false
  ) throws -> Outcome {
    try start([Self.tool] + arguments, in: inner, environment: environment, input: input, merged: merged).wait()
  }

  /// Runs a shell script in the project.
  @discardableResult
  func shell(_ script: String, environment: [String: ByteString] = [:]) throws -> Outcome {
    try start(["/bin/sh", "-c", ByteString(script)], environment: environment).wait()
  }

  /// How often scripts have done `echo >> "$COUNTS/NAME"`.
  func executions(_ name: ByteString = "step") -> Int {
    (try? contents(ofFile: folder + "/counts/" + name))?.count { $0 == 0x0a } ?? 0
  }

  // MARK: Files, by names relative to the root

  func callAsFunction(_ name: ByteString) -> ByteString {
    name == "." ? root : name.hasPrefix("/") ? name : root + "/" + name
  }

  func write(_ name: ByteString, _ content: [UInt8], mode: mode_t = 0o644) throws {
    let parent = name.folder
    if !parent.isEmpty { try makeFolder(parent) }
    let descriptor = self(name).withCString { open($0, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode) }
    try #require(descriptor >= 0, "\(name.printable) cannot be written: \(String(cString: strerror(errno)))")
    defer { close(descriptor) }
    let written = content.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    try #require(written == content.count)
    try #require(fchmod(descriptor, mode) == 0)
  }

  func write(_ name: ByteString, _ content: String, mode: mode_t = 0o644) throws {
    try write(name, Array(content.utf8), mode: mode)
  }

  /// Writes an executable script that counts its executions.
  func script(_ name: ByteString, _ body: String, counting count: String = "step") throws {
    try write(name, "#!/bin/sh\necho >> \"$COUNTS/\(count)\"\n\(body)\n", mode: 0o755)
  }

  func makeFolder(_ name: ByteString) throws {
    let path = self(name)
    if path.withCString({ mkdir($0, 0o755) }) == 0 || errno == EEXIST { return }
    try #require(errno == ENOENT)
    try makeFolder(path.folder)
    try makeFolder(name)
  }

  func link(_ name: ByteString, to text: ByteString) throws {
    _ = self(name).withCString { unlink($0) }
    try #require(text.withCString { text in self(name).withCString { symlink(text, $0) } } == 0)
  }

  func remove(_ name: ByteString) throws { Self.removeTree(self(name)) }

  func rename(_ from: ByteString, _ to: ByteString) throws {
    try #require(self(from).withCString { from in self(to).withCString { Glibc.rename(from, $0) } } == 0)
  }

  func bytes(_ name: ByteString) throws -> [UInt8] { try contents(ofFile: self(name)) }

  func text(_ name: ByteString) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

  func setMode(_ name: ByteString, _ mode: mode_t) throws {
    try #require(self(name).withCString { chmod($0, mode) } == 0)
  }

  func mode(_ name: ByteString) throws -> mode_t { try status(name).st_mode & 0o7777 }

  func exists(_ name: ByteString) -> Bool { (try? status(name)) != nil }

  /// Not following a link.
  func status(_ name: ByteString) throws -> stat {
    var info = stat()
    let code = self(name).withCString { lstat($0, &info) }
    guard code == 0 else { throw Unreadable(path: name.printable, why: String(cString: strerror(errno))) }
    return info
  }

  func target(_ name: ByteString) throws -> ByteString {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = self(name).withCString { readlink($0, &buffer, buffer.count) }
    try #require(count >= 0, "\(name.printable) is no link")
    return ByteString(buffer[..<count].map { UInt8(bitPattern: $0) })
  }

  /// Names in a folder, sorted.
  func names(_ name: ByteString) -> [ByteString] { Self.names(self(name)) }

  private static func names(_ path: ByteString) -> [ByteString] {
    guard let stream = path.withCString({ opendir($0) }) else { return [] }
    defer { closedir(stream) }
    var names: [ByteString] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { ByteString($0.prefix { $0 != 0 }) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Every path below a folder, relative to it, sorted.
  func tree(_ name: ByteString) -> [ByteString] {
    names(name).flatMap { inner -> [ByteString] in
      let path = name + "/" + inner
      guard let info = try? status(path), info.st_mode & S_IFMT == S_IFDIR else { return [inner] }
      return [inner + "/"] + tree(path).map { inner + "/" + $0 }
    }
  }

  fileprivate static func removeTree(_ path: ByteString) {
    if path.withCString({ unlink($0) }) == 0 { return }
    _ = path.withCString { chmod($0, 0o700) }
    for name in names(path) { removeTree(path + "/" + name) }
    _ = path.withCString { rmdir($0) }
  }

  private static let counter = Counter()
}

extension ByteString {
  /// The part before the last slash; empty for a bare name.
  var folder: ByteString {
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "" }
    return ByteString(bytes[..<slash])
  }
}

/// Gives each test, and each case of a parameterised one, a project of its own.
struct ProjectTrait: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    var template = Array("/tmp/purser-cli-XXXXXX".utf8CString)
    let path = try #require(template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } })
    let project = TestProject(folder: ByteString(String(cString: path)))
    defer { TestProject.removeTree(project.folder) }
    for name in ["", "/project", "/counts", "/printed"] {
      _ = (project.folder + ByteString(name)).withCString { mkdir($0, 0o755) }
      // Another user may be made to work here.
      _ = (project.folder + ByteString(name)).withCString { chmod($0, 0o777) }
    }
    try await TestProject.$current.withValue(project) { try await function() }
  }
}

extension Trait where Self == ProjectTrait {
  static var project: Self { ProjectTrait() }
}
