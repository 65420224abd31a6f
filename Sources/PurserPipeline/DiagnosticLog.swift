import PurserModel

/// Collects what is wrong with a file, within bounds: a small file can have a problem for every few bytes.
struct DiagnosticLog {
  /// Beyond this, problems are counted, not listed.
  static let maximumCount = 1000
  /// With how many names misspelt ones are compared in all; then it is not tried any more.
  static let maximumComparisons = 100_000

  private var diagnostics: [Diagnostic] = []
  private(set) var errorCount = 0
  private var unlisted = 0
  private var comparisonsLeft = Self.maximumComparisons

  mutating func error(_ message: String, at mark: SourceMark?) {
    report(Diagnostic(.error, message, at: mark))
  }

  mutating func warn(_ message: String, at mark: SourceMark?) {
    report(Diagnostic(.warning, message, at: mark))
  }

  mutating func report(_ diagnostic: Diagnostic) {
    defer { if diagnostic.severity == .error { errorCount += 1 } }
    if diagnostics.count < Self.maximumCount {
      diagnostics.append(diagnostic)
      return
    }
    unlisted += 1
    // An error behind many warnings is still named.
    if diagnostic.severity == .error, errorCount == 0 { diagnostics[diagnostics.count - 1] = diagnostic }
  }

  /// ``Suggestion/hint(_:among:)``, else the other advice.
  mutating func hint(_ word: String, among known: @autoclosure () -> [String], else advice: String = "") -> String {
    guard comparisonsLeft > 0 else { return advice }
    let known = known()
    comparisonsLeft -= known.count
    let hint = Suggestion.hint(word, among: known)
    return hint.isEmpty ? advice : hint
  }

  /// Everything that was found, in the order of the file, each once.
  var sorted: [Diagnostic] {
    var seen: Set<Diagnostic> = []
    func place(_ diagnostic: Diagnostic) -> SourceMark { diagnostic.mark ?? SourceMark(line: .max, column: 0) }
    var result = diagnostics.filter { seen.insert($0).inserted }.enumerated().sorted {
      let (left, right) = (place($0.element), place($1.element))
      return left == right ? $0.offset < $1.offset : left < right
    }.map(\.element)
    if unlisted > 0 {
      let number = unlisted == 1 ? "is 1 more problem" : "are \(unlisted) more problems"
      result.append(Diagnostic(.warning, "there \(number); mend these first", at: nil))
    }
    return result
  }
}
