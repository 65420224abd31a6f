import Glibc
import PurserModel
import PurserPipeline

/// Files that a pipeline file's parser reads.
enum PipelineText {
  /// Why a file cannot be read.
  struct Failure: Error {
    var code: Int32
  }

  /// One byte more than the parser takes, so that it can refuse a file that is too large without reading all of it.
  static func read(_ path: ByteString) throws(Failure) -> [UInt8] {
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { throw Failure(code: errno) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while bytes.count <= PipelineFile.maximumSize {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Failure(code: errno) }
      if count == 0 { break }
      bytes += buffer[..<count]
    }
    return bytes
  }
}
