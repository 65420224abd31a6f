import Glibc
import Purser
import PurserModel

/// What commands read from the command line's values, from files and from standard input.
extension Session {
  /// A number above 0; `nil` where the option is not there.
  func positiveNumber(_ name: String, _ command: String) throws -> Int? {
    try invocation.text(name).map { text in
      guard let number = Int(text), number > 0 else {
        throw UsageError(message: "--\(name) is a number above 0, not '\(text)'", command: command)
      }
      return number
    }
  }

  /// The lines of a file, or the word itself where there is no such file.
  func keys(inFileOrGiven word: ByteString) throws -> [String] {
    var info = stat()
    guard word.withCString({ stat($0, &info) }) == 0, info.st_mode & S_IFMT == S_IFREG else { return [word.escaped] }
    return lines(in: try content(ofFileAt: word))
  }

  /// The lines of a file that are not empty.
  func lines(of descriptor: Int32) throws -> [String] { lines(in: try content(of: descriptor)) }

  private func lines(in content: [UInt8]) -> [String] {
    content.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
  }

  /// What is in a file, from where it stands.
  func content(of descriptor: Int32) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw PurserError(.io, "the input cannot be read: \(String(cString: strerror(errno)))")
      }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
  }

  /// A file's bytes; `-` is standard input.
  func content(ofFileNamed path: ByteString) throws -> [UInt8] {
    path == "-" ? try content(of: 0) : try content(ofFileAt: path)
  }

  private func content(ofFileAt path: ByteString) throws -> [UInt8] {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC) }
    guard descriptor >= 0 else {
      throw PurserError(.missing, "'\(path.printable)' cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    return try content(of: descriptor)
  }
}
