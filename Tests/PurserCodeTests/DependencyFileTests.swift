import PurserCode
import PurserModel
import Testing

@Suite("Dependency files")
struct DependencyFileTests {
  private func prerequisites(_ text: String) throws -> [ByteString] {
    try DependencyFile.prerequisites(in: Array(text.utf8))
  }

  @Test(
    "All prerequisites of all rules are found, each once",
    arguments: [
      ("", []), ("\n\n", []), ("# nothing\n", []), ("a.o:", []), ("a.o:\n", []), ("a.o: a.c", ["a.c"]),
      ("a.o: a.c a.h\n", ["a.c", "a.h"]), ("a.o: a.c \\\n a.h \\\n b.h\n", ["a.c", "a.h", "b.h"]),
      ("a.o: a.c\\\na.h\n", ["a.c", "a.h"]), ("a.o: \\\n  a.c\n", ["a.c"]), ("a.o \\\n b.o: a.c\n", ["a.c"]),
      ("a.o: a.c a.h\n\na.h:\n", ["a.c", "a.h"]), ("a.o: a.c a.h\nb.o: b.c a.h\n", ["a.c", "a.h", "b.c"]),
      ("a.o a.d: a.c\n", ["a.c"]), ("Main.o : Main.hs\n", ["Main.hs"]), ("a.o:a.c\n", ["a.c"]),
      ("a:b.o: a.c\n", ["a.c"]), ("a.o: x:y.h\n", ["x:y.h"]), ("a.o: b: c\n", ["b:", "c"]), ("a.o:: a.c\n", ["a.c"]),
      ("a.o: a.c \\\r\n a.h\r\n\r\na.h:\r\n", ["a.c", "a.h"]), ("a.o: a.c\t\ta.h  \n", ["a.c", "a.h"]),
      ("# DO NOT DELETE: Beginning of Haskell dependencies\nA.o : A.hs\nA.o : B.hi\n# End\n", ["A.hs", "B.hi"]),
      ("a.o: a.c # why: not\nb.o: b.c\n", ["a.c", "b.c"]), ("# a: b \\\n c: d\na.o: a.c\n", ["a.c"]),
      ("# x\\\\\na.o: a.c\n", ["a.c"]), ("a.o: a.c \\\n", ["a.c"]), ("  a.o: a.c\n", ["a.c"]),
      ("a.o: a.c | folder\n", ["a.c", "folder"]), ("a.o: a.c a\\|b\n", ["a.c", "a\\|b"]),
    ] as [(String, [ByteString])])
  func rules(_ text: String, _ expected: [ByteString]) throws {
    #expect(try prerequisites(text) == expected)
  }

  @Test(
    "Names are read as Make reads what compilers write",
    arguments: [
      ("a\\ b.h", ["a b.h"]), ("a\\\tb.h", ["a\tb.h"]), ("a\\\\ b.h", ["a\\", "b.h"]), ("a\\\\\\ b.h", ["a\\ b.h"]),
      ("a\\\\\\\\ b", ["a\\\\", "b"]), ("a\\\\\\\\\\ b", ["a\\\\ b"]), ("a\\b", ["a\\b"]), ("a\\\\b", ["a\\\\b"]),
      ("a\\#b", ["a#b"]), ("a\\\\#b", ["a\\#b"]), ("\\#a", ["#a"]), ("a#b", ["a#b"]), ("a$$b", ["a$b"]),
      ("$$$$a", ["$$a"]), ("a$", ["a$"]), ("a$b", ["a$b"]), ("a\\:b", ["a:b"]), ("a\\: b", ["a:", "b"]),
      ("a\\\\\n", ["a\\\\"]), ("a\\\\", ["a\\\\"]), ("a\\\nb", ["a", "b"]), ("a\\\\\\\nb", ["a\\", "b"]),
      ("\\ a", [" a"]), ("a\\ ", ["a "]), ("a\rb", ["a\rb"]), ("a*?[x].h ~/b %c", ["a*?[x].h", "~/b", "%c"]),
      ("'a b'", ["'a", "b'"]), ("é😀.h", ["é😀.h"]),
    ] as [(String, [ByteString])])
  func names(_ text: String, _ expected: [ByteString]) throws {
    #expect(try prerequisites("t: " + text) == expected)
  }

  @Test("A name need not be UTF-8")
  func bytes() throws {
    let name: [UInt8] = [0x6c, 0x61, 0x74, 0xe9, 0x2e, 0x68]
    let found = try DependencyFile.prerequisites(in: Array("a.o: ".utf8) + name + Array(" a.h\n".utf8))
    #expect(found == [ByteString(bytes: name), "a.h"])
  }

  @Test("What GCC 12 wrote for headers with odd names (-MMD -MP -MF)")
  func gcc() throws {
    let text = ##"""
      main.o: main.c a\ b.h c\#d.h e$$f.h g\h.h i\\\ j.h k\\#l.h m:n.h p%q.h \
       r\	s.h t\\\\\ u.h v'w.h x*y.h café.h z\$$.h \ lead.h \#hash.h \
       tr\ ail\ \x.h semi;c.h eq=u.h b|c.h
      a\ b.h:
      c\#d.h:
      e$$f.h:
      g\h.h:
      i\\\ j.h:
      k\\#l.h:
      m:n.h:
      p%q.h:
      \ lead.h:
      \#hash.h:

      """##
    #expect(
      try prerequisites(text) == [
        "main.c", "a b.h", "c#d.h", "e$f.h", #"g\h.h"#, #"i\ j.h"#, ##"k\#l.h"##, "m:n.h", "p%q.h", "r\ts.h",
        #"t\\ u.h"#, "v'w.h", "x*y.h", "café.h", #"z\$.h"#, " lead.h", "#hash.h", #"tr ail \x.h"#, "semi;c.h", "eq=u.h",
        "b|c.h",
      ])
    // It does not quote a backslash at the end of a name, here in an empty rule.
    #expect(try prerequisites("a.o: a.c\no\\:\n") == ["a.c"])
  }

  @Test("What Clang 21 wrote for a target with a colon (-MMD -MF)")
  func clang() throws {
    #expect(
      try prerequisites("o\\ ut:x$$.o: main.c a\\ b.h \\\n  e$$f.h z/$$.h\n") == ["main.c", "a b.h", "e$f.h", "z/$.h"])
  }

  @Test("What rustc 1.95 wrote (--emit=dep-info)")
  func rustc() throws {
    let text = #"""
      foo.d: a\ a#x.rs b.rs

      foo: a\ a#x.rs b.rs

      a\ a#x.rs:
      b.rs:

      # env-dep:HO ME2=x\\y\nz

      """#
    #expect(try prerequisites(text) == ["a a#x.rs", "b.rs"])
  }

  @Test(
    "What is no dependency file is refused, with the line",
    arguments: [
      ("a.o", "line 1: has no ':' after its targets; the file may have been cut off"),
      ("a.o: a.c\nb.o \\\n b.d\nc.o: c.c\n", "line 2: has no ':' after its targets; the file may have been cut off"),
      ("a.o: a.c\n: b.c\n", "line 2: names no target before the ':'"),
      ("a.o: a.c \\\n b\0.c\n", "line 2: holds a NUL byte, which no path can"),
      ("a.o: a.c\n# \0\n", "line 2: holds a NUL byte, which no path can"),
      ("a.o: a.c \\\n a.h \\", "line 2: ends in a backslash; the file may have been cut off"),
      ("a.o: a.c\\\\\\", "line 1: ends in a backslash; the file may have been cut off"),
      ("CC = gcc\n", "line 1: has no ':' after its targets; the file may have been cut off"),
      ("\nCC := gcc\n", "line 2: sets a variable, where only rules are read"),
      ("a.o: a.c\n\u{1}\u{2}", "line 2: has no ':' after its targets; the file may have been cut off"),
    ])
  func errors(_ text: String, _ message: String) {
    let error = #expect(throws: DependencyFileError.self) { try prerequisites(text) }
    #expect(error?.description == message)
  }

  /// As GCC writes a name.
  private func quoted(_ name: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    for (index, byte) in name.enumerated() {
      switch byte {
      case UInt8(ascii: " "), UInt8(ascii: "\t"):
        let backslashes = name[..<index].reversed().prefix { $0 == UInt8(ascii: "\\") }.count
        result += Array(repeating: UInt8(ascii: "\\"), count: backslashes + 1)
      case UInt8(ascii: "#"): result.append(UInt8(ascii: "\\"))
      case UInt8(ascii: "$"): result.append(byte)
      default: break
      }
      result.append(byte)
    }
    return result
  }

  @Test("Any name that GCC can quote is read as it was, however the lines are broken")
  func roundTrips() throws {
    var fuzzer = SourceFuzzer(seed: 1)
    for _ in 0..<2_000 {
      var names: [ByteString] = []
      for _ in 0..<fuzzer.number(below: 8) {
        let odd = Array("\\\\ \t#$ab/.|;=%*\u{7f}\"'".utf8) + [0xe9, 0xff, 0x01]
        var name = (0...fuzzer.number(below: 9)).map { _ in odd[fuzzer.number(below: odd.count)] }
        if name.last == UInt8(ascii: "\\") || name == Array("|".utf8) { name.append(UInt8(ascii: "z")) }
        if !names.contains(ByteString(bytes: name)) { names.append(ByteString(bytes: name)) }
      }
      let newline: [UInt8] = Array(fuzzer.number(below: 2) == 0 ? "\n".utf8 : "\r\n".utf8)
      var text = Array("x.o:".utf8)
      for name in names {
        text += Array(" ".utf8)
        if fuzzer.number(below: 3) == 0 { text += Array("\\".utf8) + newline + Array(" ".utf8) }
        text += quoted(name.bytes)
      }
      text += newline
      for name in names { text += quoted(name.bytes) + Array(":".utf8) + newline }
      #expect(try DependencyFile.prerequisites(in: text) == names)
    }
  }

  @Test("No bytes make it fail in another way than by an error")
  func fuzz() {
    var fuzzer = SourceFuzzer(seed: 2)
    let good = Array("a.o b\\ b.o: a.c \\\n a\\#.h $$x \\\\\\ y\n\na.h:\n# c \\\n c: d\nx:y\n".utf8)
    let pieces = ["a", ":", " ", "\\", "\n", "\r", "#", "$", "|", "=", "a.o: ", "\\\n", "\0"]
    for round in 0..<6_000 {
      let bytes =
        switch round % 3 {
        case 0: fuzzer.bytes(count: round % 40)
        case 1: fuzzer.damaged(good)
        default: fuzzer.mixture(of: pieces, count: fuzzer.number(below: 30))
        }
      let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
      do throws(DependencyFileError) {
        let found = try DependencyFile.prerequisites(in: bytes)
        #expect(Set(found).count == found.count)
        #expect(found.allSatisfy { !$0.isEmpty && !$0.bytes.contains(0) && !$0.bytes.contains(UInt8(ascii: "\n")) })
        #expect(!bytes.contains(0))
      } catch {
        #expect((1...lines).contains(error.line))
      }
    }
  }
}
