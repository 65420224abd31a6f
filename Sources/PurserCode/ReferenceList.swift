import PurserModel

/// Gathers what a source file uses, in the order in which it begins to say so.
///
/// A call is complete only where it ends, and others may stand within it: it reserves its place where it begins.
struct ReferenceList {
  enum Entry {
    /// A place that is reserved, or turned out to be of no interest.
    case nothing
    case file(ByteString, from: References.Base)
    /// A folder that the script goes to.
    case folder(ByteString)
    case remark(References.Remark)
    case several([Entry])
  }

  private var entries: [Entry] = []
  private var syntaxErrorPlace: Int?

  /// How many places there are, for ``truncate(to:)``.
  var count: Int { entries.count }

  mutating func append(_ entry: Entry) {
    entries.append(entry)
  }

  mutating func remark(line: Int, _ message: String) {
    entries.append(.remark(References.Remark(line: line, message)))
  }

  /// The first one counts: an interpreter goes no further.
  mutating func syntaxError(line: Int, _ message: @autoclosure () -> String) {
    guard syntaxErrorPlace == nil else { return }
    syntaxErrorPlace = entries.count
    remark(line: line, "has a syntax error: " + message())
  }

  /// A place to be filled later.
  mutating func reserve() -> Int {
    entries.append(.nothing)
    return entries.count - 1
  }

  mutating func fill(_ place: Int, with entry: Entry) {
    entries[place] = entry
  }

  /// Forgets what came after.
  mutating func truncate(to count: Int) {
    entries.removeLast(entries.count - count)
    if let place = syntaxErrorPlace, place >= count { syntaxErrorPlace = nil }
  }

  /// Each file and each remark once.
  func references() -> References {
    var references = References()
    var uses: Set<References.Use> = []
    var remarks: Set<References.Remark> = []
    func add(_ entry: Entry) {
      switch entry {
      case .nothing: break
      case .file(let path, let base):
        let use = References.Use.file(path, from: base)
        if uses.insert(use).inserted { references.uses.append(use) }
      case .folder(let path):
        let use = References.Use.searchFolder(path, from: .workingDirectory)
        if uses.insert(use).inserted { references.uses.append(use) }
      case .remark(let remark):
        if remarks.insert(remark).inserted { references.remarks.append(remark) }
      case .several(let entries): entries.forEach(add)
      }
    }
    entries.forEach(add)
    return references
  }
}
