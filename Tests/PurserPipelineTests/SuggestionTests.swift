import PurserModel
import Testing

@Suite("Suggestions")
struct SuggestionTests {
  @Test(
    "the distance counts insertions, deletions, substitutions and swaps of neighbours",
    arguments: [
      ("", "", 0), ("a", "", 1), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 1), ("abcd", "acbd", 1),
      ("ca", "abc", 3), ("outputs", "ouputs", 1), ("Käse", "Kase", 1), ("same", "same", 0), ("abc", "xyz", 3),
    ])
  func distance(left: String, right: String, expected: Int) {
    #expect(Suggestion.distance(left, right) == expected)
    #expect(Suggestion.distance(right, left) == expected)
  }

  @Test(
    "the nearest name is suggested, if it is near",
    arguments: [
      ("ouputs", ["inputs", "outputs"], "; did you mean 'outputs'?"),
      ("clean", ["clear", "cleam"], "; did you mean 'clear'?"),
      ("xyz", ["outputs"], ""), ("a", ["b"], ""), ("ab", ["b"], "; did you mean 'b'?"), ("", ["a"], ""),
      ("interesting_name", ["interessing_nam"], "; did you mean 'interessing_nam'?"), ("abc", [], ""),
      ("caf", ["café"], "; did you mean 'café'?"), ("bell", ["bell\u{7}"], "; did you mean 'bell\\x07'?"),
    ] as [(String, [String], String)])
  func hints(word: String, known: [String], hint: String) {
    #expect(Suggestion.hint(word, among: known) == hint)
  }

  @Test("cutting short does not change what is found")
  func bounded() {
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<2000 {
      let word = String(decoding: generator.bytes(upTo: 8, from: Array("abc".utf8)), as: UTF8.self)
      let known = (0..<8).map { _ in
        String(decoding: generator.bytes(upTo: 8, from: Array("abc".utf8)), as: UTF8.self)
      }
      let distances = known.map { Suggestion.distance(word, $0) }
      let least = distances.min() ?? 0
      let isNear = least <= max(2, word.count / 3) && least < word.count
      let expected = isNear ? "; did you mean '\(known[distances.firstIndex(of: least) ?? 0])'?" : ""
      #expect(Suggestion.hint(word, among: known) == expected)
    }
  }

  @Test("a very long word is not compared")
  func long() {
    let word = String(repeating: "a", count: 100_000)
    #expect(Suggestion.hint(word, among: [word + "b"]) == "")
  }
}
