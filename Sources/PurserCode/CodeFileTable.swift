import Glibc
package import PurserHashing
package import PurserModel
import Synchronization

/// Source files, each digested and scanned once.
final class CodeFileTable {
  /// Bytes of the largest file that is scanned: 64 MiB.
  static let scanLimit: Int64 = 64 << 20

  struct File {
    var path: ByteString
    var isLink: Bool
    var language: Language?
    /// Whether the first line tells the language.
    var isLanguageOpen = false
    var content: FileDigest?
    /// What it uses, by number in the table of uses.
    var uses: [Int] = []
    var remarks: [References.Remark] = []
    var exports: [ByteString] = []
    /// Counts how often it was looked through: again where its language came to be known late.
    var revision = 0
  }

  /// Every use that a file has.
  let uses = UseTable()

  private let root: ByteString
  private let hasher: FileHasher
  private let summaries: SummaryCache
  /// Where there are many; a few are found by looking through them (see <doc:HotPath>).
  private var index: Index?

  private final class Index {
    var numbers: [ByteString: Int] = [:]
  }

  private(set) var files: [File] = []
  private var isLoaded: [Bool] = []
  /// Counts the files whose language came to be known after they had been looked at.
  private(set) var generation = 0

  init(root: ByteString, hasher: FileHasher, summaries: SummaryCache) {
    self.root = root
    self.hasher = hasher
    self.summaries = summaries
  }

  /// The number of a file that is there.
  ///
  /// - Parameters:
  ///   - language: as who uses it takes it; the first who knows decides.
  ///   - content: as it was looked at, if it was.
  func number(of path: ByteString, language: Language.Guess, isLink: Bool, content: FileDigest? = nil) -> Int {
    if let number = known(path) {
      // Declared as a file of no known language, and now somebody reads it as one.
      if case .known(let known) = language, files[number].language == nil {
        files[number].language = known
        files[number].isLanguageOpen = false
        isLoaded[number] = false
        generation += 1
      }
      return number
    }
    var file = File(path: path, isLink: isLink)
    file.content = content
    switch language {
    case .known(let language): file.language = language
    case .unknown: file.isLanguageOpen = true
    case .none: break
    }
    files.append(file)
    isLoaded.append(false)
    if files.count > 16, index == nil {
      index = Index()
      for (number, file) in files.enumerated() { index?.numbers[file.path] = number }
    } else {
      index?.numbers[path] = files.count - 1
    }
    return files.count - 1
  }

  private func known(_ path: ByteString) -> Int? {
    if let index { return index.numbers[path] }
    return files.firstIndex { $0.path == path }
  }

  /// Digests and scans what was not yet, on all processors.
  func load(_ wanted: [Int]) throws(FileError) {
    let open = wanted.filter { !isLoaded[$0] }
    guard !open.isEmpty else { return }
    let unknown = open.filter { files[$0].content == nil }
    for (number, result) in zip(unknown, hasher.digests(of: unknown.map { root.appending(path: files[$0].path) })) {
      do {
        files[number].content = try result.get()
      } catch {
        var named = error
        named.path = files[number].path
        throw named
      }
    }
    var unread: [Int] = []
    for number in open where !recall(number) { unread.append(number) }
    if !unread.isEmpty { try scan(unread) }
    for number in open {
      isLoaded[number] = true
      files[number].revision += 1
    }
  }

  /// Takes what is known of a content; `false` if the file has to be read.
  private func recall(_ number: Int) -> Bool {
    guard let digest = files[number].content?.digest else { return false }
    if files[number].isLanguageOpen {
      guard let known = summaries.summary(.language, of: digest) else { return false }
      files[number].language = known.first.flatMap { Language(rawValue: $0) }
      files[number].isLanguageOpen = false
    }
    guard let language = files[number].language else { return true }
    guard let known = summaries.summary(.references(language), of: digest) else { return false }
    return take(known, for: number)
  }

  private func take(_ encoded: [UInt8], for number: Int) -> Bool {
    guard let found = References.decode(encoded, uses) else { return false }
    files[number].uses = found.uses
    files[number].remarks = found.remarks
    files[number].exports = found.exports
    return true
  }

  private struct Scanned {
    var digest: Digest
    var language: Language?
    var references: References
  }

  /// Reads files and scans them. What is remembered is remembered for the bytes that were read.
  private func scan(_ numbers: [Int]) throws(FileError) {
    let jobs = numbers.map { number in
      (path: root.appending(path: files[number].path), file: files[number])
    }
    let results = ParallelMap.map(jobs, workers: hasher.workers) { [overlay = hasher.overlay] job in
      Self.scan(job.path, job.file, overlay)
    }
    for (number, result) in zip(numbers, results) {
      guard let scanned = result else { throw .changed(files[number].path) }
      // Changed between the two readings: what was scanned is not what was digested.
      guard scanned.digest == files[number].content?.digest else { throw .changed(files[number].path) }
      if files[number].isLanguageOpen {
        summaries.set(.language, of: scanned.digest, [scanned.language?.rawValue ?? 0])
        files[number].isLanguageOpen = false
        files[number].language = scanned.language
      }
      guard let language = scanned.language else { continue }
      let encoded = scanned.references.encoded
      summaries.set(.references(language), of: scanned.digest, encoded)
      _ = take(encoded, for: number)
    }
  }

  private static func scan(_ path: ByteString, _ file: File, _ overlay: FileOverlay?) -> Scanned? {
    guard let content = file.content else { return nil }
    var language = file.language
    if file.isLanguageOpen {
      guard let start = SourceFile.read(path, limit: Language.firstLineLimit, in: overlay) else { return nil }
      language = Language(firstBytes: start)
    }
    guard let language else { return Scanned(digest: content.digest, language: nil, references: References()) }
    guard content.identity.size <= scanLimit else {
      var references = References()
      references.remarks = [
        References.Remark(line: 0, "is larger than \(scanLimit >> 20) MiB, and is not looked through for what it uses")
      ]
      return Scanned(digest: content.digest, language: language, references: references)
    }
    guard let bytes = SourceFile.read(path, limit: Int(scanLimit) + 1, in: overlay) else { return nil }
    return Scanned(
      digest: SHA256.digest(of: bytes), language: language, references: References(of: bytes, in: language))
  }
}

extension FileError {
  static func changed(_ path: ByteString) -> FileError {
    FileError(code: .unstable, path: path, message: "changed while it was read; run again when nobody writes to it")
  }
}

/// Reads whole source files.
package enum SourceFile {
  /// The first bytes of a file, up to a limit; `nil` where it cannot be read.
  ///
  /// - Parameter overlay: where the file may stand instead of the disk.
  package static func read(_ path: ByteString, limit: Int, in overlay: FileOverlay? = nil) -> [UInt8]? {
    switch overlay?.source(of: path, limit: limit) {
    case .bytes(let bytes)?: return bytes
    case .disk(let path)?: return read(path, limit: limit)
    case .missing?: return nil
    case nil: break
    }
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    let size = min(limit, Int(status.st_size))
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while count < size {
        let got = Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, size - count)
        if got < 0 {
          if errno == EINTR { continue }
          failed = true
        }
        if got <= 0 { break }
        count += got
      }
    }
    return failed ? nil : bytes
  }
}
