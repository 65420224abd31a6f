import Glibc
import PurserModel
import Testing

/// A folder of a test's own, removed after it: `@Test(.temporaryFolder)`, then `TemporaryFolder.current`.
struct TemporaryFolder: Sendable {
  @TaskLocal static var current = TemporaryFolder(path: "/nonexistent")

  let path: ByteString

  func callAsFunction(_ name: ByteString) -> ByteString { path + "/" + name }

  func write(_ name: ByteString, _ content: [UInt8], mode: mode_t = 0o644) throws {
    var parent = ByteString(bytes: [])
    for part in name.bytes.split(separator: UInt8(ascii: "/")).dropLast() {
      parent = parent.isEmpty ? ByteString(part) : parent + "/" + ByteString(part)
      _ = self(parent).withCString { mkdir($0, 0o755) }
    }
    let descriptor = self(name).withCString { open($0, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode) }
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let written = content.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    try #require(written == content.count)
    try #require(fchmod(descriptor, mode) == 0)
  }

  func write(_ name: ByteString, _ content: String, mode: mode_t = 0o644) throws {
    try write(name, Array(content.utf8), mode: mode)
  }

  func makeFolder(_ name: ByteString) throws {
    try #require(self(name).withCString { mkdir($0, 0o755) } == 0)
  }

  func link(_ name: ByteString, to text: ByteString) throws {
    try #require(text.withCString { text in self(name).withCString { symlink(text, $0) } } == 0)
  }

  func rename(_ from: ByteString, _ to: ByteString) throws {
    try #require(self(from).withCString { from in self(to).withCString { Glibc.rename(from, $0) } } == 0)
  }

  func remove(_ name: ByteString) throws {
    try #require(self(name).withCString { unlink($0) } == 0)
  }

  func bytes(_ name: ByteString) throws -> [UInt8] {
    let descriptor = self(name).withCString { open($0, O_RDONLY | O_CLOEXEC) }
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var status = stat()
    try #require(fstat(descriptor, &status) == 0)
    var content = [UInt8](repeating: 0, count: Int(status.st_size))
    let count = content.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    try #require(count == content.count)
    return content
  }
}

struct TemporaryFolderTrait: TestTrait, SuiteTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    var template = Array("/tmp/purser-code-XXXXXX".utf8CString)
    let path = try #require(template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } })
    let folder = TemporaryFolder(path: ByteString(String(cString: path)))
    defer { Self.remove(folder.path) }
    try await TemporaryFolder.$current.withValue(folder) { try await function() }
  }

  private static func remove(_ path: ByteString) {
    if let folder = path.withCString({ opendir($0) }) {
      while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
        if name == [0x2e] || name == [0x2e, 0x2e] { continue }
        let child = path + "/" + ByteString(bytes: name)
        if child.withCString({ unlink($0) }) != 0 { remove(child) }
      }
      closedir(folder)
    }
    _ = path.withCString { rmdir($0) }
  }
}

extension Trait where Self == TemporaryFolderTrait {
  static var temporaryFolder: Self { TemporaryFolderTrait() }
}
