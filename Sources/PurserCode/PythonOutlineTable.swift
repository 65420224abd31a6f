import PurserHashing
import PurserModel

/// The outlines of Python files, each made or recalled once.
final class PythonOutlineTable {
  enum Entry {
    case module(PythonReachModule)
    /// There is none; why.
    case none(References.Remark)
  }

  private let root: ByteString
  private let hasher: FileHasher
  private let summaries: SummaryCache
  private let files: CodeFileTable
  private var entries: [Entry?] = []
  private(set) var names = Names()

  /// The names of all files, with a number each.
  struct Names {
    private(set) var texts: [ByteString] = []
    private var numbers: [ByteString: Int] = [:]

    mutating func number(of text: ByteString) -> Int {
      if let number = numbers[text] { return number }
      numbers[text] = texts.count
      texts.append(text)
      return texts.count - 1
    }
  }

  init(root: ByteString, hasher: FileHasher, summaries: SummaryCache, files: CodeFileTable) {
    self.root = root
    self.hasher = hasher
    self.summaries = summaries
    self.files = files
  }

  /// The outline of a file that was loaded.
  subscript(file: Int) -> Entry? { file < entries.count ? entries[file] : nil }

  func number(of name: ByteString) -> Int { names.number(of: name) }

  /// Makes the outlines of Python files that are loaded in the file table. A content that was seen before is not read.
  ///
  /// - Throws: `unstable` for a file that is not any more what was digested.
  func load(_ wanted: [Int]) throws(FileError) {
    if entries.count < files.files.count {
      entries += Array(repeating: nil, count: files.files.count - entries.count)
    }
    var unread: [Int] = []
    for number in wanted where entries[number] == nil {
      guard let digest = files.files[number].content?.digest else { continue }
      if let known = summaries.summary(.outline, of: digest), let entry = entry(of: known) {
        entries[number] = entry
      } else {
        unread.append(number)
      }
    }
    let (root, overlay) = (root, hasher.overlay)
    let jobs = unread.map { (path: root.appending(path: files.files[$0].path), content: files.files[$0].content) }
    let made = ParallelMap.map(jobs, workers: hasher.workers) { job in
      Self.summary(of: job.path, job.content, overlay)
    }
    for (number, summary) in zip(unread, made) {
      guard let summary, let digest = files.files[number].content?.digest, let entry = entry(of: summary) else {
        throw .changed(files.files[number].path)
      }
      summaries.set(.outline, of: digest, summary)
      entries[number] = entry
    }
  }

  /// An outline; or a line and why there is none. `nil` if the file is not what was digested.
  private static func summary(
    of path: ByteString, _ content: FileDigest?, _ overlay: FileOverlay?
  ) -> [UInt8]? {
    guard let content else { return nil }
    guard content.identity.size <= CodeFileTable.scanLimit else {
      return refusal(References.Remark(line: 0, "is too large to be looked through"))
    }
    guard let bytes = SourceFile.read(path, limit: Int(CodeFileTable.scanLimit) + 1, in: overlay),
      SHA256.digest(of: bytes) == content.digest
    else { return nil }
    do throws(PythonSyntaxError) {
      let outline = try PythonOutline(of: bytes)
      return outline.refusal.map(refusal) ?? [1] + outline.encoded
    } catch {
      return refusal(References.Remark(line: error.line, "has a syntax error (\(error.message))"))
    }
  }

  private static func refusal(_ remark: References.Remark) -> [UInt8] {
    var writer = ByteWriter()
    writer.append(byte: 0)
    writer.append(littleEndian: UInt32(clamping: remark.line))
    writer.append(Array(remark.message.utf8))
    return writer.bytes
  }

  private func entry(of summary: [UInt8]) -> Entry? {
    switch summary.first {
    case 1?:
      guard let outline = PythonOutline(encoded: Array(summary.dropFirst())) else { return nil }
      return .module(PythonReachModule(outline, &names))
    case 0?:
      var reader = ByteReader(summary)
      guard reader.readByte() != nil, let line: UInt32 = reader.readInteger() else { return nil }
      return .none(References.Remark(line: Int(line), String(decoding: summary.dropFirst(5), as: UTF8.self)))
    default: return nil
    }
  }
}
