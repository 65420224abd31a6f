import PurserPipeline
import Testing

@Suite("Damaged pipeline files")
struct FuzzTests {
  static let words = [
    "{", "}", "[", "]", ":", ": ", "- ", "\n", "\n  ", "&a", "*a", "<<: ", "!!str ", "|\n", ">", "'", "\"", "#", "? ",
    ",",
    "~", "null", "\t", "---\n", "...\n", "%YAML 1.1\n", "\\", "\0", "${", "deps", "args", "extends: base", "ref: fetch",
    "map_over: x", "after: clean", "\u{feff}", "é", "\u{2028}", "0x", "1:30", ".inf", "@", "`",
  ].map { Array($0.utf8) }

  /// Nothing to expect but that each is answered, and that an answer without an error holds together.
  @Test("20,000 mutations of good files are all answered", arguments: [1, 2])
  func mutations(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let dialect: PipelineFile.Dialect = seed == 1 ? .purser : .kptn
    let original = Array((seed == 1 ? Sample.purser : Sample.kptn).utf8)
    var accepted = 0
    for _ in 0..<10_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &generator) { mutate(&bytes, &generator) }
      guard let file = try? PipelineFile.parse(bytes, dialect: dialect, defaultGraph: "main") else { continue }
      accepted += 1
      let names = Set(file.tasks.map(\.name))
      for graph in file.graphs {
        let members = Set(graph.nodes.map(\.task))
        #expect(!graph.nodes.isEmpty && members.count == graph.nodes.count && members.isSubset(of: names))
        #expect(graph.nodes.allSatisfy { members.isSuperset(of: $0.dependencies) })
      }
    }
    #expect(accepted > 500 && accepted < 9500)
  }

  private func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    let place = Int.random(in: 0...bytes.count, using: &generator)
    let end = min(bytes.count, place + Int.random(in: 0...12, using: &generator))
    switch Int.random(in: 0..<5, using: &generator) {
    case 0: bytes.removeSubrange(place..<end)
    case 1: bytes.insert(contentsOf: Self.words.randomElement(using: &generator) ?? [], at: place)
    case 2: bytes.insert(contentsOf: generator.bytes(upTo: 3), at: place)
    case 3: bytes.insert(contentsOf: Array(bytes[place..<end]), at: Int.random(in: 0...bytes.count, using: &generator))
    default: bytes.replaceSubrange(place..<end, with: Self.words.randomElement(using: &generator) ?? [])
    }
  }

  @Test("a damaged compact form is none")
  func encoded() throws {
    var generator = SeededGenerator(seed: 3)
    let file = try parse(Sample.purser)
    let good = file.encoded
    for length in 0..<good.count { #expect(PipelineFile(encoded: Array(good[..<length])) == nil) }
    for _ in 0..<5000 {
      var bytes = good
      let place = Int.random(in: bytes.indices, using: &generator)
      bytes[place] ^= UInt8.random(in: 1...255, using: &generator)
      #expect(PipelineFile(encoded: bytes) == nil)
    }
    for _ in 0..<5000 { #expect(PipelineFile(encoded: [1, 1] + generator.bytes(upTo: 100)) == nil) }
  }
}
