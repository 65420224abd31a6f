import PurserModel

/// Finds what a Python file imports, and how it changes where modules are looked for.
///
/// Import statements count wherever they stand: in functions, conditions, `try`, under `TYPE_CHECKING`. What the program
/// names by a literal counts too: `importlib.import_module("a.b")`, `sys.path.insert(0, "lib")`, folders that are made
/// of `__file__`. The rest is a remark.
struct PythonScanner {
  let source: PythonTokens
  /// Those of the statements that are complete; those of a formatted string's fields while these are looked through.
  var tokens: [PythonToken]
  var names = PythonNames()
  var paths: PythonPaths
  /// Up to where the literals of `__all__` were gathered, and statements with `exec` were looked through.
  var exportsEnd = 0
  var executionEnd = 0
  /// The last statement with `__path__`: where it ends, and what stands in it.
  var packageStatement = (end: 0, isSpread: false, isAssignment: false)

  private(set) var references = References()
  private var uses: Set<References.Use> = []
  private var remarks: Set<References.Remark> = []
  private var exports: Set<ByteString> = []

  static func references(in bytes: [UInt8]) -> References {
    let (source, lexicalError) = PythonTokens.prefix(of: bytes)
    var error = lexicalError
    if error == nil {
      do throws(PythonSyntaxError) {
        try PythonStructure.check(source)
      } catch let structural {
        error = structural
      }
    }
    var tokens = source.tokens
    if lexicalError != nil {
      let end = tokens.lastIndex { $0.kind == .newline } ?? -1
      tokens.removeSubrange((end + 1)...)
    }
    var scanner = PythonScanner(source: source, tokens: tokens)
    scanner.scan()
    if lexicalError != nil { scanner.scanLines(of: bytes, from: scanner.tokens.last?.end ?? 0) }
    if let error { scanner.insertRemark(error.line, "has a syntax error: " + error.message) }
    return scanner.references
  }

  private init(source: PythonTokens, tokens: [PythonToken]) {
    self.source = source
    self.tokens = tokens
    paths = PythonPaths(source: source, tokens: tokens)
  }

  // MARK: - Results

  mutating func use(_ use: References.Use) {
    if uses.insert(use).inserted { references.uses.append(use) }
  }

  mutating func remark(_ token: PythonToken, _ message: String) {
    let remark = References.Remark(line: token.line, message)
    if remarks.insert(remark).inserted { references.remarks.append(remark) }
  }

  mutating func export(_ name: ByteString) {
    if exports.insert(name).inserted { references.exports.append(name) }
  }

  /// Puts a remark where it belongs by its line.
  private mutating func insertRemark(_ line: Int, _ message: String) {
    let place = references.remarks.firstIndex { $0.line > line } ?? references.remarks.count
    references.remarks.insert(References.Remark(line: line, message), at: place)
  }

  // MARK: - The walk

  private mutating func scan() {
    PythonImports.forEach(in: tokens, source) { names.bind($0, in: source) }
    paths.names = names
    var index = 0
    while index < tokens.count {
      let token = tokens[index]
      switch token.kind {
      case .name:
        if token.keyword == .import || token.keyword == .from, PythonImports.isBegin(index, in: tokens) {
          index = PythonImports.read(tokens, source, at: index) { use($0.use(in: source)) }
          continue
        }
        if token.keyword == nil { scanName(at: index) }
      case .formattedString:
        scanFields(of: token)
      default:
        break
      }
      index += 1
    }
  }

  /// Looks for imports by a call in the fields of a formatted string.
  private mutating func scanFields(of token: PythonToken) {
    guard contains(token, "import") else { return }
    var fields = source.fieldTokens(of: token)
    swap(&fields, &tokens)
    for index in tokens.indices where tokens[index].kind == .name && tokens[index].keyword == nil {
      scanImportName(at: index)
    }
    swap(&fields, &tokens)
  }

  private func contains(_ token: PythonToken, _ text: StaticString) -> Bool {
    source.bytes.withUnsafeBufferPointer { bytes in
      text.withUTF8Buffer { text in
        var index = token.start
        while index + text.count <= token.end {
          if bytes[index] == text[0], (1..<text.count).allSatisfy({ bytes[index + $0] == text[$0] }) { return true }
          index += 1
        }
        return false
      }
    }
  }

  /// Import statements in the lines behind what could be read, as far as each can be read alone.
  private mutating func scanLines(of bytes: [UInt8], from start: Int) {
    var index = start
    while index < bytes.count {
      var end = Self.lineEnd(bytes, index)
      if Self.beginsImport(bytes, index..<end) {
        let first = bytes[index..<end]
        if first.contains(UInt8(ascii: "(")), !first.contains(UInt8(ascii: ")")) {
          // The names stand on the next lines.
          var last = end
          while last < bytes.count, bytes[last - 1] != UInt8(ascii: ")") {
            let next = Self.lineEnd(bytes, last)
            if Self.beginsImport(bytes, last..<next) { break }
            last = bytes[last..<next].firstIndex(of: UInt8(ascii: ")")).map { $0 + 1 } ?? next
          }
          if bytes[last - 1] == UInt8(ascii: ")") { end = last }
        }
        let line = Array(bytes[index..<end].drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") })
        if let line = try? PythonTokens(line), (try? PythonStructure.check(line)) != nil {
          PythonImports.forEach(in: line.tokens, line) { use($0.use(in: line)) }
        }
      }
      index = end
    }
  }

  /// The index behind the line that begins at an index.
  private static func lineEnd(_ bytes: [UInt8], _ start: Int) -> Int {
    bytes[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
  }

  private static func beginsImport(_ bytes: [UInt8], _ line: Range<Int>) -> Bool {
    let rest = bytes[line].drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    for word in ["import", "from"] where rest.starts(with: word.utf8) {
      let next = rest.dropFirst(word.utf8.count).first
      return next == UInt8(ascii: " ") || next == UInt8(ascii: "\t") || next == UInt8(ascii: ".")
    }
    return false
  }
}
