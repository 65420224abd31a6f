import Glibc
import PurserCode
import PurserModel
import Testing

/// Changes made-up programs in one place, and runs them: what changes the result must change the reach.
@Suite(
  "The reach of made-up programs", .temporaryFolder,
  .enabled(if: PythonChild.isAvailable, "no python3 from version 3.8 on is found in PATH"))
struct PythonReachSoundnessTests {
  private static let rounds = getenv("PURSER_TEST_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 45
  private static let seed: UInt64 = getenv("PURSER_TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 1

  /// Runs the programs in the folders "0", "1" and so on, and prints a line for each result.
  private static let runner = """
    import importlib, os, sys
    sys.dont_write_bytecode = True
    root, known, number = sys.argv[1], set(sys.modules), 0
    sys.path.insert(0, None)
    while os.path.exists(os.path.join(root, str(number))):
        sys.path[0] = os.path.join(root, str(number))
        importlib.invalidate_caches()
        for name in set(sys.modules) - known: del sys.modules[name]
        try: print(importlib.import_module("main").run())
        except Exception as error: print(type(error).__name__)
        number += 1
    """

  private static let changes: [PythonReachPrograms.Change] = [
    .number, .number, .number, .number, .number, .operator, .swap, .removal, .comment,
  ]

  private struct Variant {
    var number: Int
    var original: Int
    var change: PythonReachPrograms.Change?
    var project: PythonReachProject
  }

  @Test("A change that changes what a function gives changes its reach; a comment does not")
  func soundness() throws {
    var programs = PythonReachPrograms(seed: Self.seed)
    var variants: [Variant] = []
    func add(_ program: PythonReachPrograms.Program, _ original: Int?, _ change: PythonReachPrograms.Change?) throws {
      var files: PythonReachProject.Files = [:]
      for (path, statements) in program { files[path] = statements.map { $0 + "\n" }.joined() }
      let number = variants.count
      variants.append(
        Variant(
          number: number, original: original ?? number, change: change,
          project: try PythonReachProject(ByteString("\(number)"), files)))
    }
    for _ in 0..<Self.rounds {
      let program = programs.program()
      let original = variants.count
      try add(program, nil, nil)
      for change in Self.changes {
        if let changed = programs.changed(program, by: change) { try add(changed, original, change) }
      }
    }
    let output = try PythonChild.run(
      Self.runner, argument: TemporaryFolder.current("projects").escaped, input: [])
    let results = output.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    try #require(results.count == variants.count)

    let reaches = try variants.map { try $0.project.reach("run", in: PythonReachPrograms.entry) }
    var differing = 0
    var unchanged = 0
    for variant in variants {
      let changes = reaches[variant.original].changes(to: reaches[variant.number])
      // What fails is not kept: a statement that nothing uses may have become an error.
      guard let before = Int(results[variant.original]), let after = Int(results[variant.number]) else { continue }
      if before != after {
        differing += 1
        if changes.isEmpty { report(variant, variants[variant.original], results) }
        #expect(!changes.isEmpty)
      }
      if variant.change == .comment, reaches[variant.number].names.contains(where: { !$0.contains(":") }) == false {
        #expect(changes == [])
      }
      if changes.isEmpty, variant.change == .number { unchanged += 1 }
    }
    // Neither are the programs all broken, nor does everything count.
    #expect(differing > Self.rounds)
    #expect(unchanged > Self.rounds / 2)
    #expect(results.count { Int($0) != nil } > results.count / 2)
  }

  private func report(_ variant: Variant, _ original: Variant, _ results: [String]) {
    print("--- \(results[original.number]) became \(results[variant.number])")
    for (path, text) in original.project.files.sorted(by: { $0.key < $1.key }) {
      print("# \(path)\n\(text)")
      if let other = variant.project.files[path], other != text { print("# \(path), changed\n\(other)") }
    }
  }
}
