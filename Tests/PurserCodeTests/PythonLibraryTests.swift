import Glibc
import PurserCode
import PurserModel
import Testing

/// Compares what is read of Python's own library with what Python reads. A sample; all of it where
/// `PURSER_TEST_ROUNDS` is set.
@Suite(
  "Python's own library", .temporaryFolder,
  .enabled(if: PythonChild.isAvailable, "no python3 from version 3.8 on is found in PATH"))
struct PythonLibraryTests {
  private static let takesAll = getenv("PURSER_TEST_ROUNDS") != nil

  /// What Python says of one file.
  private struct Verdict {
    var path: ByteString
    var isAccepted = false
    /// The import statements, as `level`, module and names.
    var imports: Set<[String]> = []
    /// The strings that calls are given: names that a call may import.
    var arguments: Set<String> = []
  }

  /// Walks the library; for every Nth file says whether `ast` accepts it, and what it imports. Files that declare an
  /// encoding other than UTF-8 are left out.
  private static let survey = """
    import ast, io, os, sys, sysconfig, tokenize, unicodedata, warnings
    warnings.simplefilter("ignore")
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\\n")
    root = sysconfig.get_paths()["stdlib"]
    paths = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "site-packages"]
        paths += [os.path.join(folder, name) for name in files if name.endswith(".py")]
    paths.sort()
    line = lambda *fields: print(*fields, sep="\\t")
    for path in paths[::int(sys.argv[1])]:
        with open(path, "rb") as file: data = file.read()
        try:
            if tokenize.detect_encoding(io.BytesIO(data).readline)[0] not in ("utf-8", "utf-8-sig"): continue
        except SyntaxError: continue
        try: tree = ast.parse(data)
        except (SyntaxError, ValueError):
            line("refused", path)
            continue
        line("accepted", path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for name in node.names: line("import", 0, name.name, "")
            elif isinstance(node, ast.ImportFrom):
                line("import", node.level, node.module or "", ",".join(name.name for name in node.names))
            elif isinstance(node, ast.Call):
                for value in node.args + [keyword.value for keyword in node.keywords]:
                    if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.isprintable():
                        line("argument", value.value)
    """

  private func survey(every step: Int) throws -> [Verdict] {
    let output = try PythonChild.run(Self.survey, argument: "\(step)", input: [])
    var verdicts: [Verdict] = []
    for line in output.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false)
      let texts = fields.map { String(decoding: $0, as: UTF8.self) }
      switch texts[0] {
      case "accepted": verdicts.append(Verdict(path: ByteString(fields[1]), isAccepted: true))
      case "refused": verdicts.append(Verdict(path: ByteString(fields[1])))
      case "import": verdicts[verdicts.count - 1].imports.insert(Array(texts.dropFirst()))
      default: verdicts[verdicts.count - 1].arguments.insert(texts[1])
      }
    }
    return verdicts
  }

  @Test("What Python accepts is accepted, and its import statements are found")
  func acceptance() throws {
    let verdicts = try survey(every: Self.takesAll ? 1 : 23)
    #expect(verdicts.count > 50)
    var imports = 0
    for verdict in verdicts {
      let bytes = try PythonChild.bytes(of: verdict.path)
      let error = PythonTokens.prefix(of: bytes).error ?? structuralError(of: bytes)
      guard verdict.isAccepted else { continue }
      #expect(error == nil, "\(verdict.path)")
      var found: Set<[String]> = []
      for case .module(let path, let level, let names) in References(of: bytes, in: .python).uses {
        found.insert([
          "\(level)", path.map(\.escaped).joined(separator: "."), names.map(\.escaped).joined(separator: ","),
        ])
      }
      #expect(verdict.imports.subtracting(found) == [], "\(verdict.path)")
      // All that is found beyond is what a call is given.
      let others = found.subtracting(verdict.imports).filter { use in
        !verdict.arguments.contains(String(repeating: ".", count: Int(use[0]) ?? 0) + use[1])
      }
      #expect(others == [], "\(verdict.path)")
      imports += verdict.imports.count
    }
    #expect(imports > 200)
    let refused = verdicts.count { !$0.isAccepted }
    report("\(verdicts.count - refused) files that Python accepts, \(refused) that it does not; \(imports) imports")
  }

  private func structuralError(of bytes: [UInt8]) -> PythonSyntaxError? {
    do throws(PythonSyntaxError) {
      try PythonStructure.check(try PythonTokens(bytes))
      return nil
    } catch {
      return error
    }
  }

  private func report(_ text: String) {
    if Self.takesAll { print("Python's own library: " + text) }
  }

  // MARK: - Normal forms

  /// Reads pairs of sources, each with a line of their lengths before it, and says of each whether the trees of both are
  /// the same, docstrings aside where the line says so.
  private static let judge = """
    import ast, sys, warnings
    warnings.simplefilter("ignore")
    data = sys.stdin.buffer
    def dump(source, keeps):
        try: tree = ast.parse(source)
        except (SyntaxError, ValueError): return None
        for node in ast.walk(tree):
            if keeps or not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)): continue
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                del node.body[0]
        return ast.dump(tree)
    known = {}
    for line in iter(data.readline, b""):
        left, right, keeps = map(int, line.split())
        left, right = data.read(left), data.read(right)
        if (left, keeps) not in known: known = {(left, keeps): dump(left, keeps)}
        other = dump(right, keeps)
        print("invalid" if other is None else "same" if other == known[left, keeps] else "different")
    """

  /// Sources with equal forms, and where they come from.
  private struct Pair {
    var name: String
    var left: [UInt8]
    var right: [UInt8]
  }

  private func verdicts(on pairs: [Pair]) throws -> [String] {
    var input: [UInt8] = []
    for pair in pairs {
      let keeps = try PythonNormalForm.keepsDocstrings(in: PythonTokens(pair.left))
      input += Array("\(pair.left.count) \(pair.right.count) \(keeps ? 1 : 0)\n".utf8) + pair.left + pair.right
    }
    let output = try PythonChild.run(Self.judge, argument: "", input: input)
    return output.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Files that Python accepts, without the longest ones if it is a sample.
  private func sources(every step: Int) throws -> [(path: ByteString, bytes: [UInt8])] {
    var sources: [(path: ByteString, bytes: [UInt8])] = []
    for verdict in try survey(every: step) where verdict.isAccepted {
      let bytes = try PythonChild.bytes(of: verdict.path)
      if Self.takesAll || bytes.count < 30_000 { sources.append((verdict.path, bytes)) }
    }
    return sources
  }

  @Test("Another layout leaves the form and the tree as they are")
  func layouts() throws {
    var fuzzer = SourceFuzzer(seed: 11)
    var pairs: [Pair] = []
    for (path, bytes) in try sources(every: Self.takesAll ? 1 : 41) {
      let other = PythonLayout.changed(try PythonTokens(bytes), &fuzzer)
      #expect(try PythonNormalForm.bytes(of: other) == PythonNormalForm.bytes(of: bytes), "\(path)")
      pairs.append(Pair(name: path.escaped, left: bytes, right: other))
    }
    #expect(pairs.count { $0.left != $0.right } > 15)
    let verdicts = try verdicts(on: pairs)
    #expect(zip(pairs, verdicts).filter { $1 != "same" }.map { "\($0.1): \($0.0.name)" } == [])
    #expect(verdicts.count == pairs.count)
    report("\(pairs.count) other layouts")
  }

  @Test("Where forms are equal after a change, trees are equal")
  func changes() throws {
    var fuzzer = SourceFuzzer(seed: 12)
    var pairs: [Pair] = []
    var count = 0
    var refused = 0
    for (path, bytes) in try sources(every: Self.takesAll ? 1 : 41) where bytes.count > 100 {
      let form = try PythonNormalForm.bytes(of: bytes)
      for _ in 0..<(Self.takesAll ? 30 : 12) {
        let other = PythonLayout.damaged(bytes, &fuzzer)
        guard other != bytes else { continue }
        count += 1
        guard let otherForm = try? PythonNormalForm.bytes(of: other) else {
          refused += 1
          continue
        }
        if otherForm == form { pairs.append(Pair(name: path.escaped, left: bytes, right: other)) }
      }
    }
    #expect(pairs.count > 40 && pairs.count < count - refused)
    let verdicts = try verdicts(on: pairs)
    #expect(verdicts.count == pairs.count)
    #expect(zip(pairs, verdicts).filter { $1 == "different" }.map { $0.0.name } == [])
    let invalid = verdicts.count { $0 == "invalid" }
    report("\(count) changes: \(refused) refused, \(pairs.count) of equal form, \(invalid) of these refused by Python")
  }
}

/// Changes of sources that a fuzzer draws.
enum PythonLayout {
  /// The same tokens, with other blanks, comments, line ends and indentation.
  static func changed(_ source: PythonTokens, _ fuzzer: inout SourceFuzzer) -> [UInt8] {
    let units = ["\t", " ", "  ", "    ", "\t\t", "       "]
    let unit = units[fuzzer.number(below: units.count)]
    let lineEnd = fuzzer.number(below: 4) == 0 ? "\r\n" : "\n"
    let comments = ["# a", "#", "# ' \" ''' (", "#\t\\", "# é", "#: x"]
    func comment(_ fuzzer: inout SourceFuzzer) -> String { comments[fuzzer.number(below: comments.count)] }
    var text: [UInt8] = fuzzer.number(below: 8) == 0 ? [0xef, 0xbb, 0xbf] : []
    var level = 0
    var depth = 0
    var isLineBegin = true
    var previous = 0
    for token in source.tokens {
      switch token.kind {
      case .indent: level += 1
      case .dedent: level -= 1
      case .endOfFile: break
      case .newline:
        if fuzzer.number(below: 5) == 0 { text += Array("  ".utf8) }
        if fuzzer.number(below: 5) == 0 { text += Array(comment(&fuzzer).utf8) }
        text += Array(lineEnd.utf8)
        if fuzzer.number(below: 6) == 0 { text += Array(("   " + comment(&fuzzer) + lineEnd).utf8) }
        if fuzzer.number(below: 6) == 0 { text += Array((" \t\u{c}" + lineEnd).utf8) }
        isLineBegin = true
      default:
        if isLineBegin {
          text += Array(String(repeating: unit, count: level).utf8)
          isLineBegin = false
        } else {
          let isApart = token.start > previous
          switch fuzzer.number(below: 8) {
          case 0: text += Array("  \t".utf8)
          case 1 where depth > 0: text += Array((comment(&fuzzer) + lineEnd).utf8)
          case 2 where depth > 0: text += Array((lineEnd + lineEnd + " ").utf8)
          case 1: text += Array((" \\" + lineEnd + "   ").utf8)
          case 2: text += Array("\u{c}".utf8)
          default: if isApart { text += Array(" ".utf8) }
          }
        }
        text += source.text(of: token)
        if token.isSymbol("(") || token.isSymbol("[") || token.isSymbol("{") { depth += 1 }
        if token.isSymbol(")") || token.isSymbol("]") || token.isSymbol("}") { depth -= 1 }
      }
      previous = token.end
    }
    return text
  }

  /// The text with one change, as often in its blanks and line ends as elsewhere.
  static func damaged(_ text: [UInt8], _ fuzzer: inout SourceFuzzer) -> [UInt8] {
    var text = text
    var position = fuzzer.number(below: text.count)
    if fuzzer.number(below: 2) == 0 {
      let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\n") }
      position = text[position...].firstIndex(where: isBlank) ?? position
    }
    let line = (text[..<position].lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
    let next = (text[position...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count - 1) + 1
    let pieces = [
      " ", "\n", "\t", "    ", "#", "\\\n", ":", "'", "\"\"\"", "x", "_", ",", "(", ")", "=", ";", "\r\n", "f", "0",
      ".",
    ]
    let piece = Array(pieces[fuzzer.number(below: pieces.count)].utf8)
    switch fuzzer.number(below: 11) {
    case 0: text.replaceSubrange(position...position, with: piece)
    case 1: text.insert(contentsOf: piece, at: position)
    case 2: text.remove(at: position)
    case 3: text.removeSubrange(line..<next)
    case 4:
      let indentation = text[line..<next].prefix(4).prefix { $0 == UInt8(ascii: " ") }.count
      text.removeSubrange(line..<line + indentation)
    case 5: text.insert(contentsOf: Array("    ".utf8), at: line)
    case 6: text.insert(contentsOf: text[line..<next], at: line)
    case 7: text[position] ^= 0x01
    case 8, 9:
      // A statement that is a docstring if it is the first of its block.
      let indentation = text[line..<next].prefix { $0 == UInt8(ascii: " ") }
      text.insert(contentsOf: indentation + Array("'a'\n".utf8), at: line)
    default: text[next - 1] = UInt8(ascii: " ")
    }
    return text
  }
}

/// Runs Python programs.
enum PythonChild {
  struct Failure: Error {
    var status: Int32
  }

  /// Whether there is a Python that the programs run with.
  static let isAvailable: Bool = {
    let check = "import sys; sys.exit(sys.version_info < (3, 8))"
    return (try? status(check, argument: "", input: "/dev/null", output: "/dev/null")) == 0
  }()

  /// The output of a program; its input and its output pass through the test's folder.
  static func run(_ program: String, argument: String, input: [UInt8]) throws -> [UInt8] {
    let folder = TemporaryFolder.current
    try folder.write("input", input)
    let status = try status(program, argument: argument, input: folder("input"), output: folder("output"))
    guard status == 0 else { throw Failure(status: status) }
    return try folder.bytes("output")
  }

  static func bytes(of path: ByteString) throws -> [UInt8] {
    try TemporaryFolder(path: "").bytes(path)
  }

  private static func status(
    _ program: String, argument: String, input: ByteString, output: ByteString
  ) throws -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    _ = input.withCString { posix_spawn_file_actions_addopen(&actions, 0, $0, O_RDONLY, 0) }
    _ = output.withCString { posix_spawn_file_actions_addopen(&actions, 1, $0, O_WRONLY | O_CREAT | O_TRUNC, 0o600) }
    var arguments: [UnsafeMutablePointer<CChar>?] = []
    for argument in ["python3", "-c", program, argument] { arguments.append(strdup(argument)) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let code = posix_spawnp(&child, "python3", &actions, nil, &arguments, environ)
    guard code == 0 else { throw Failure(status: code) }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 {
      guard errno == EINTR else { throw Failure(status: errno) }
    }
    return status
  }
}
