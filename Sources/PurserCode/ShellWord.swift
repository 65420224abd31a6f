import PurserModel

/// What is known of a word of a shell script: how it begins, and the text after that.
struct ShellWord {
  enum Prefix {
    /// The word is its text.
    case none
    /// The path of the script: `$0`, `$BASH_SOURCE`
    case script
    /// The folder of the script.
    case ownFolder
    case variable(ByteString)
    /// The folder of the file that a variable names.
    case folder(ofVariable: ByteString)
    /// `<(…)`
    case process
    /// Something that only running the script would tell.
    case computed
  }

  var prefix = Prefix.none
  /// Without quotes.
  var text: [UInt8] = []
  var hasQuotes = false
  /// Whether the shell would look for names that match, put a home folder in, or make several words of it.
  var hasPattern = false
  /// The variable that is assigned, of which `prefix` and `text` then are the value.
  var assigned: ByteString?
  /// Whether the value is added to what the variable has, or is an array or an element of one.
  var addsValue = false

  static let computed = ShellWord(prefix: .computed)

  init(prefix: Prefix = .none, text: [UInt8] = []) {
    self.prefix = prefix
    self.text = text
  }

  private var isLiteral: Bool {
    if case .none = prefix { true } else { false }
  }

  /// Whether it stands there as it is, so that it may be a word of the language.
  var isPlain: Bool { isLiteral && !hasQuotes && !hasPattern }

  /// Whether it is a file descriptor, if a redirection follows.
  var isNumber: Bool {
    isPlain && !text.isEmpty && text.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  /// Puts the value of an expansion behind what there is.
  mutating func append(_ value: ShellWord) {
    if isLiteral && text.isEmpty {
      prefix = value.prefix
      text = value.text
    } else if value.isLiteral {
      text += value.text
    } else {
      prefix = .computed
    }
    if value.hasPattern { hasPattern = true }
  }

  /// What `dirname` makes of it.
  var folder: ShellWord {
    if hasPattern { return .computed }
    switch prefix {
    case .script where text.isEmpty: return ShellWord(prefix: .ownFolder)
    case .variable(let name) where text.isEmpty: return ShellWord(prefix: .folder(ofVariable: name))
    case .ownFolder, .variable, .folder:
      guard let slash = text.lastIndex(of: UInt8(ascii: "/")), slash + 1 < text.count,
        !text[(slash + 1)...].allSatisfy({ $0 == UInt8(ascii: ".") })
      else { return .computed }
      var head = text[..<slash]
      while head.last == UInt8(ascii: "/") { head = head.dropLast() }
      return ShellWord(prefix: prefix, text: Array(head))
    default: return .computed
    }
  }
}

/// The variables of a script: those that are assigned once, to something that is understood, stand for that.
struct ShellVariables {
  /// More than any path may have (PATH_MAX).
  private static let maximumLength = 4_096
  /// How far a variable's value may go through other variables.
  private static let maximumDepth = 8

  private struct Assignment {
    var name: ByteString
    /// `nil` if it cannot be told.
    var value: ShellWord?
  }

  /// A file that is sourced by a variable.
  private struct Open {
    var word: ShellWord
    var line: Int
    var place: Int
  }

  private var assignments: [Assignment] = []
  private var open: [Open] = []
  private var values: [ByteString: ShellWord?] = [:]
  private var resolved: [ByteString: ShellWord] = [:]

  /// For ``truncate(to:)``.
  var counts: (assignments: Int, open: Int) { (assignments.count, open.count) }

  /// Forgets what came after.
  mutating func truncate(to counts: (assignments: Int, open: Int)) {
    assignments.removeLast(assignments.count - counts.assignments)
    open.removeLast(open.count - counts.open)
  }

  mutating func assign(_ word: ShellWord) {
    guard let name = word.assigned else { return }
    let isKnown = !word.addsValue && !word.hasPattern && word.text.count <= Self.maximumLength
    var value = word
    value.assigned = nil
    assignments.append(Assignment(name: name, value: isKnown ? value : nil))
  }

  /// The value of the variable that the word names is not known.
  mutating func spoil(_ word: ShellWord) {
    if case .none = word.prefix { spoil(name: word.text[...]) }
  }

  mutating func spoil(name: ArraySlice<UInt8>) {
    assignments.append(Assignment(name: ByteString(name), value: nil))
  }

  /// The same of all assignments but the first ones.
  mutating func spoil(from count: Int) {
    for index in count..<assignments.count { assignments[index].value = nil }
  }

  // MARK: Files

  private static func remark(_ line: Int, _ message: String) -> ReferenceList.Entry {
    .remark(References.Remark(line: line, message))
  }

  private static func computed(_ line: Int) -> ReferenceList.Entry {
    remark(line, "sources a file by a computed path")
  }

  /// Takes the word that says what is sourced.
  mutating func use(_ word: ShellWord, line: Int, place: Int, in list: inout ReferenceList) {
    switch word.prefix {
    case .variable, .folder: open.append(Open(word: word, line: line, place: place))
    default: list.fill(place, with: Self.entry(of: word, line: line))
    }
  }

  private static func entry(of word: ShellWord, line: Int) -> ReferenceList.Entry {
    if case .process = word.prefix { return remark(line, "sources the output of a command") }
    guard !word.hasPattern, !word.text.contains(0) else { return computed(line) }
    switch word.prefix {
    case .none:
      let path = ByteString(bytes: word.text)
      if path == "/dev/stdin" || path.hasPrefix("/dev/fd/") { return remark(line, "sources its standard input") }
      return path.isEmpty ? computed(line) : .file(path, from: .workingDirectory)
    case .ownFolder:
      let path = word.text.drop { $0 == UInt8(ascii: "/") }
      guard !path.isEmpty, path.count < word.text.count else { return computed(line) }
      return .file(ByteString(path), from: .ownFolder)
    default: return computed(line)
    }
  }

  /// Says what the files are that are named by variables, now that all assignments are known. Their paths may become
  /// longer than the script only by so much.
  mutating func resolve(limit: Int, in list: inout ReferenceList) {
    guard !open.isEmpty else { return }
    for assignment in assignments {
      if values.updateValue(assignment.value, forKey: assignment.name) != nil {
        values.updateValue(nil, forKey: assignment.name)
      }
    }
    var left = limit
    for use in open {
      let word = resolve(use.word, depth: 0)
      left -= word.text.count
      list.fill(use.place, with: left < 0 ? Self.computed(use.line) : Self.entry(of: word, line: use.line))
    }
  }

  private mutating func resolve(_ word: ShellWord, depth: Int) -> ShellWord {
    let name: ByteString
    switch word.prefix {
    case .variable(let variable), .folder(let variable): name = variable
    default: return word
    }
    var value = resolved[name] ?? .computed
    if resolved[name] == nil, depth < Self.maximumDepth, let assigned = values[name] ?? nil {
      value = resolve(assigned, depth: depth + 1)
      if depth == 0 { resolved[name] = value }
    }
    if case .folder = word.prefix { value = value.folder }
    guard value.text.count + word.text.count <= Self.maximumLength else { return .computed }
    value.text += word.text
    if word.hasPattern { value.hasPattern = true }
    return value
  }
}

extension ShellReader {
  mutating func resolveVariables() {
    variables.resolve(limit: bytes.count + (1 << 20), in: &list)
  }
}
