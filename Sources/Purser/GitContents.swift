import PurserExecution
import PurserHashing
import PurserModel
import Synchronization

/// Contents of files from git's objects, as a checkout would write them: by one process each for files and for links,
/// which is kept for as long as this is.
///
/// `git cat-file --batch --filters` tells the size that an object has before the filters; so each question is followed
/// by one for an object that does not exist, whose answer is the end of the first.
final class GitContents: OverlayContents {
  struct Object {
    var id: ByteString
    /// Relative to the repository's top.
    var path: ByteString
    var isLink: Bool
  }

  private let objects: [Object]
  private let files: Mutex<Reader?>
  private let links: Mutex<Reader?>

  /// Starts git now, if anything can be asked for: it ends with the thread that starts it.
  init(_ objects: [Object], _ git: GitCommand) throws(PurserError) {
    self.objects = objects
    let hasFiles = objects.contains { !$0.isLink }
    let hasLinks = objects.contains { $0.isLink }
    files = Mutex(hasFiles ? try Reader(git.ask(["cat-file", "--batch", "--filters"])) : nil)
    links = Mutex(hasLinks ? try Reader(git.ask(["cat-file", "--batch"])) : nil)
  }

  func read(_ number: Int, at path: ByteString, _ body: (UnsafeRawBufferPointer) -> Void) throws(FileError) {
    let object = objects[number]
    // Filters go by the name; those two characters cannot be in a question, nor a blank at its beginning.
    var name = object.path.bytes.map { $0 == 0x0a || $0 == 0 ? UInt8(ascii: "?") : $0 }
    if name.first == 0x20 || name.first == 0x09 { name[0] = UInt8(ascii: "?") }
    let failure = files.withLock { $0.map { $0.read(object.id.bytes + [0x20] + name, body) } ?? "it was not started" }
    if let failure { throw Self.error(path, failure) }
  }

  /// The text of a symbolic link, to which no filter applies.
  func linkText(_ number: Int) throws(FileError) -> ByteString {
    let object = objects[number]
    var text: [UInt8] = []
    let failure = links.withLock { $0.map { $0.read(object.id.bytes) { text += $0 } } ?? "it was not started" }
    if let failure { throw Self.error(object.path, failure) }
    return ByteString(bytes: text)
  }

  private static func error(_ path: ByteString, _ why: String) -> FileError {
    FileError(code: .io, path: path, message: "git does not give its content: \(why)")
  }

  /// One process.
  private final class Reader: @unchecked Sendable {
    // Guard: the mutex that holds it.
    private let git: Dialogue
    private let token: [UInt8]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)

    init(_ git: Dialogue) {
      self.git = git
      var random = SystemRandomNumberGenerator()
      token = Array("purser-\(String(random.next(), radix: 16))-\(String(random.next(), radix: 16))".utf8)
    }

    deinit { buffer.deallocate() }

    /// Gives an object's content to `body`; returns what went wrong.
    func read(_ question: [UInt8], _ body: (UnsafeRawBufferPointer) -> Void) -> String? {
      guard git.ask(question + [0x0a] + token + [0x0a]) else { return complaint }
      let end = [0x0a] + token + Array(" missing\n".utf8)
      // What has come and not been given on: the first line, then as much as may be part of the end.
      var held: [UInt8] = []
      var isInContent = false
      var failure: String?
      while true {
        guard let count = git.read(into: buffer), count > 0 else { return complaint }
        held += buffer[..<count]
        if !isInContent {
          guard let newline = held.firstIndex(of: 0x0a) else { continue }
          let words = held[..<newline].split(separator: 0x20)
          if words.count == 3, words[1].elementsEqual("blob".utf8) {
            held.removeSubrange(...newline)
          } else {
            failure = "'\(ByteString(held[..<newline]).printable)'"
            held.removeSubrange(..<newline)
          }
          isInContent = true
        }
        let isAtEnd = held.suffix(end.count).elementsEqual(end)
        let given = held.count - end.count
        if given > 0, failure == nil {
          held.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<given])) }
        }
        if given > 0 { held.removeFirst(given) }
        if isAtEnd { return failure }
      }
    }

    private var complaint: String {
      let text = git.errorText
      return text.isEmpty ? "it has ended" : text.printable
    }
  }
}
