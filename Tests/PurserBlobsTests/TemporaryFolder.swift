import Glibc
import PurserModel
import Testing

/// A folder of a test's own, removed after it: `@Test(.temporaryFolder)`, then `TemporaryFolder.current`.
struct TemporaryFolder: Sendable {
  @TaskLocal static var current = TemporaryFolder(path: "/nonexistent")

  let path: ByteString

  /// The path of something in it.
  func callAsFunction(_ name: ByteString) -> ByteString { path + "/" + name }

  func write(_ name: ByteString, _ content: [UInt8]) throws {
    let descriptor = self(name).withCString { open($0, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644) }
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    try #require(content.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) } == content.count)
  }

  func makeFolder(_ name: ByteString) throws {
    try #require(self(name).withCString { mkdir($0, 0o755) } == 0)
  }

  /// The bytes of a file; `nil` where there is none.
  func bytes(_ name: ByteString) throws -> [UInt8]? {
    let descriptor = self(name).withCString { open($0, O_RDONLY | O_CLOEXEC) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    try #require(fstat(descriptor, &status) == 0)
    var content = [UInt8](repeating: 0, count: Int(status.st_size))
    let count = content.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    try #require(count == content.count)
    return content
  }

  /// Permission bits; `nil` where there is nothing.
  func mode(_ name: ByteString) -> mode_t? {
    var status = stat()
    return self(name).withCString { lstat($0, &status) } == 0 ? status.st_mode & 0o7777 : nil
  }

  /// The names in it, sorted.
  func names(in name: ByteString) -> [ByteString] {
    var names: [ByteString] = []
    guard let folder = self(name).withCString({ opendir($0) }) else { return [] }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { ByteString($0.prefix { $0 != 0 }) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}

struct TemporaryFolderTrait: TestTrait, TestScoping {
  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    var template = Array("/tmp/purser-blobs-XXXXXX".utf8CString)
    let path = try #require(template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } })
    let folder = TemporaryFolder(path: ByteString(String(cString: path)))
    defer { Self.remove(folder.path) }
    try await TemporaryFolder.$current.withValue(folder) { try await function() }
  }

  private static func remove(_ path: ByteString) {
    for name in TemporaryFolder(path: path).names(in: ".") {
      let child = path + "/" + name
      if child.withCString({ unlink($0) }) != 0 { remove(child) }
    }
    _ = path.withCString { rmdir($0) }
  }
}

extension Trait where Self == TemporaryFolderTrait {
  static var temporaryFolder: Self { TemporaryFolderTrait() }
}
