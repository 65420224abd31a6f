import PurserCode
import PurserModel
import Testing

@Suite("Shell scripts")
struct ShellScannerTests {
  private func scan(_ text: String) -> References {
    References(of: Array(text.utf8), in: .shell)
  }

  /// Uses as text: `a.sh`, `own:lib.sh`
  private func uses(_ text: String) -> [String] {
    scan(text).uses.map { use in
      guard case .file(let path, let base) = use else { return "\(use)" }
      return (base == .ownFolder ? "own:" : base == .here ? "here:" : "") + path.escaped
    }
  }

  private func remarks(_ text: String) -> [String] {
    scan(text).remarks.map { "\($0.line): \($0.message)" }
  }

  private static let computed = "1: sources a file by a computed path"

  @Test(
    "A command that sources is found wherever a command may stand",
    arguments: [
      ". a", "source a", ". ./a\n", "  . a", ". a arg >log 2>&1", ">log . a", "2>&1 . a", "<in >>out . a", ". a&",
      "x; . a",
      "x && . a", "x || . a", "x | . a", "x |& . a", "x & . a", "(. a)", "( ( . a ) )", "{ . a; }", "! . a", "time . a",
      "time -p . a", "coproc . a", "if . a; then x; fi", "if x; then . a; fi", "if x; then y; elif . a; then z; fi",
      "if x; then y; else . a; fi", "while . a; do x; done", "until x; do . a; done", "for f in . source; do . a; done",
      "for f do . a; done", "for f\ndo . a; done", "for ((i = 0; i < 3; i++)); do . a; done", "for ((;;)) { . a; }",
      "select f in x; do . a; done", "case x in x) . a ;; esac", "case x in (x|.) . a; esac",
      "case x in\n x) ;; y) . a\nesac",
      "case x in x) y;& z) . a;;& esac", "case x in x) ;; esac; . a", "case . in source) ;; esac && . a",
      "case x\nin y) . a; esac",
      "x=$(case y in y) z;; esac); . a", "case x in \"a b\" | 'c)') . a;; esac", "case x in # )\n*) . a; esac",
      "f() { . a; }", "f () { . a; }", "f()\n{ . a; }", "function f { . a; }", "function f() { . a; }", "f() ( . a )",
      "source() { . a; }", "x $(. a)", "x \"$(. a)\"", "x `. a`", "x \"`. a`\"", "x \"${y:-$(. a)}\"", "x ${y:-`. a`}",
      "x `y \\`. a\\``", "x=$(. a) y", "x=\"$(y \"$(. a)\")\"", "x=(b $(. a))", "x <(. a)", "x > >(. a)", "x < <(. a)",
      "x $((1 + $(. a)))", "((x)); . a", "((x << 2)); . a", "((. a); b)", "((b); (. a))", "x $((. a); b)",
      "x=$((1 << 2)); . a", "[[ -f . && a < b ]] && . a", "[[ x =~ ^(a|b)$ ]]; . a", "[[ $(. a) ]]", "[ -f a ] && . a",
      "x=1 . a", "builtin source a", "command . a", "command -p . a", "\\. a", "'.' a", "\"source\" a", ". -- a",
      ". \\\n a", "x \\\n; . a", "x # . b\n. a", "x a#b; . a", "x '# ' \\# $#; . a", ". 'a'", ". \"a\"", ". \\a",
      ". $'a'",
      ". $'\\x61'", ". $\"a\"", ". a>log", ". a;x", "((x # $(. b)\n); . a)", "case x in y) z;; source) . a; esac",
      "x ${y#\"}\"}; . a", "x \"${y:-it's}\"; . a",
      "x ${y:-'}'}; . a",
      "x \"${y%'}'}\"; . a", "x ${#y} ${!y} ${y//\\}/z} $$ $! $? $-; . a", "x @(b|c) !(d) ?(e); . a",
      "x=$'it\\'s'; . a",
      "x y=(1 2); . a", "x[1]=(. b); . a", "x+=(. b); . a", "#!/bin/sh\n. a", "x\r\n. a\r\n", "\u{feff}. a",
      "x $ y; . a",
    ])
  func commands(_ text: String) {
    #expect(uses(text) == [text.hasPrefix(". ./") ? "./a" : "a"])
    #expect(remarks(text).isEmpty)
  }

  @Test(
    "What only looks like sourcing is none",
    arguments: [
      "echo . a", "echo source a", "# . a", "x # . a", "'. a'", "\". a\"", "x '\n. a\n'", "x \"\n. a\n\"", "source=a",
      ".a",
      "./a", "..", ".. a", "sourced a", "x source a", "command -v source a", "command -V . a", "[ . a ]", "[[ . a ]]",
      "x=. a=source", "x=(. a)", "x=( # )\n. a )", "for . in a; do x; done", "case . a in x) ;; esac",
      "trap '. a' EXIT",
      "x <<E\n. a\nE", "$'. a'", "alias s='. a'", "source", ".", "x\\\n. a", "x > . a", "x 2>. a", "x <<< . a",
      "x ${y:-. a}",
      "(( . a ))", "x $((. a))", "source() { x; }", "function . { x; }", "x \\. a", "", "\0. a",
    ])
  func nothing(_ text: String) {
    #expect(scan(text) == References())
  }

  @Test(
    "The texts of here-documents are passed over",
    arguments: [
      "x <<E\n. b '\nE\n. a", "x <<'E'\n$( \"\nE\n. a", "x <<\"E F\"\nE\nE F\n. a", "x <<\\E\n`\nE\n. a",
      "x <<-E\n\t. b\n\tE\n. a", "x << E\n. b\nE\n. a", "x <<E && . a\n. b\nE\n", "x <<E <<-F\n. b\nE\n. c\n\tF\n. a",
      "x=$(y <<E\n. b )\nE\n); . a", "x <<E # <<F\nE\n. a", "x <<E\n E\nE \nEE\nE\n. a", "x <<<E\n. a",
      "x <<''\n. b\n\n. a",
      "{ x <<E; }\n. b\nE\n. a", "x \"$(y <<E\n. b \"\nE\n)\"; . a", "if x <<E\n. b\nE\nthen . a; fi",
      "x <<E\r\n. b\r\nE\r\n. a",
      "x <<'E'Q\n. b\nEQ\n. a", "x <<E\nE\n<<F . a\n. b\nF",
    ])
  func hereDocuments(_ text: String) {
    #expect(uses(text) == ["a"])
    #expect(remarks(text).isEmpty)
  }

  @Test(
    "Paths from the script's own folder",
    arguments: [
      #"$(dirname "$0")/"#, #""$(dirname "$0")/""#, #""$(dirname "$0")"/"#, "$(dirname $0)/", #"$(dirname -- "$0")/"#,
      "${0%/*}/", #""${0%/*}/""#, #""${BASH_SOURCE%/*}/""#, #""${BASH_SOURCE[0]%/*}/""#,
      #""$(dirname "${BASH_SOURCE[0]}")/""#,
      #""$(dirname "$BASH_SOURCE")/""#, #""$(dirname "${BASH_SOURCE}")/""#, #""$(dirname "${BASH_SOURCE[0]:-$0}")/""#,
      #""$(cd "$(dirname "$0")" && pwd)/""#, #"$(cd $(dirname $0); pwd)/"#, #""$(cd "${0%/*}" && pwd -P)/""#,
      #""$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" >/dev/null 2>&1 && pwd -P)/""#,
      #""$( cd "$( dirname "${BASH_SOURCE[0]}" )" &> /dev/null && pwd )/""#,
      #""$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)/""#,
      #""$(unset CDPATH; cd "$(dirname "$0")" && pwd)/""#, #""$(command cd "$(dirname "$0")" && builtin pwd)/""#,
      "`dirname $0`/", #"`dirname "$0"`/"#, #""`dirname "$0"`/""#, #""`dirname \"$0\"`/""#,
      #""`cd \`dirname $0\` && pwd`/""#,
      #""$(dirname "$(readlink -f "$0")")/""#, #""$(dirname "$(realpath "${BASH_SOURCE[0]}")")/""#, "${0:A:h}/",
      "${0:h}/",
      #""$(cd "$(dirname "$0")/x/.." && pwd)/../""#,
    ])
  func ownFolder(_ prefix: String) {
    let expected = prefix.hasSuffix(#"../""#) ? "own:x/../../lib/a.sh" : "own:lib/a.sh"
    #expect(uses(". \(prefix)lib/a.sh") == [expected])
    #expect(remarks(". \(prefix)lib/a.sh").isEmpty)
  }

  @Test(
    "A variable that is assigned once stands for its value",
    arguments: [
      (#"DIR="$(cd "$(dirname "$0")" && pwd)"; . "$DIR/a.sh""#, "own:a.sh"), (#"D=${0%/*}; . ${D}/a.sh"#, "own:a.sh"),
      (#"D=`dirname $0`; . "$D"/a.sh"#, "own:a.sh"), (#"LIB=lib; . "$LIB/x.sh""#, "lib/x.sh"),
      ("A='l b'/x; . $A", "l b/x"),
      (#"L=lib/; . "${L}x.sh""#, "lib/x.sh"), (#"readonly D=$(dirname "$0"); . "$D/a""#, "own:a"),
      (#"export D="${BASH_SOURCE%/*}"; . "$D/a""#, "own:a"), (#"local -r D=lib; . "$D/a""#, "lib/a"),
      (#". "$D/a"; D=lib"#, "lib/a"), (#"f() { local D; D=lib; . "$D/a"; }"#, "lib/a"),
      (#"S=$0; D=$(dirname "$S"); . "$D/a""#, "own:a"), (#"S="${BASH_SOURCE[0]}"; . "${S%/*}/a""#, "own:a"),
      (#"D=$(dirname "$0"); U="$D/.."; . "$U/a""#, "own:../a"), (#"A=x; B=$A/y; C=$B/z; . $C/a"#, "x/y/z/a"),
      (#"D=$(dirname "$0"); . "$(cd "$D/.." && pwd)/a""#, "own:../a"),
      (#"D=${0%/*}; . "$(dirname "$D/x/y")/a""#, "own:x/a"),
      (#"((x "$(A=lib)"); . "$A/a")"#, "lib/a"),
      (#"L=x.sh L2=lib; . "$L2/$L/../a""#, nil), (#"A=a; A=b; . $A/x"#, nil), (#"A=a; A+=b; . $A/x"#, nil),
      (#". "$A/x""#, nil), (#"A=a cmd; . $A/x"#, nil), (#"A=x; read A; . $A/x"#, nil),
      (#"A=x; for A in a; do . $A; done"#, nil),
      (#"A=x; unset A; . $A/x"#, nil), (#"A=x; printf -v A y; . $A/x"#, nil), (#"A=(x); . $A/x"#, nil),
      (#"A=~/x; . $A/x"#, nil),
      (#"A=x; A[0]=y; . $A/x"#, nil), (#"A=lib/*; . $A"#, nil), (#": ${A:=x}; . $A/x"#, nil),
      (#"A=$(ls); . $A/x"#, nil),
      (#"A=$1; . $A/x"#, nil), (#"A=$B; B=$A; . $A/x"#, nil), (#"D=${0%/*}; . "${D}a""#, nil),
      (#"D=${0%/*}; . "$D""#, nil),
      (#"A=x; . "${A:-y}/x""#, nil), (#"A=x; . "${A%y}/x""#, nil), (#"A=x; . "${A[1]}/x""#, nil), (#"A=$0; . $A"#, nil),
    ] as [(String, String?)])
  func variables(_ text: String, _ expected: String?) {
    #expect(uses(text) == (expected.map { [$0] } ?? []))
    #expect(remarks(text) == (expected == nil ? [Self.computed] : []))
  }

  @Test(
    "A path that only running the script would tell is remarked on",
    arguments: [
      ". $1", ". \"$@\"", ". ~/a", ". ~user/a", ". lib/*.sh", ". a?", ". [ab]", ". {a,b}.sh", ". $(ls)", ". \"`ls`\"",
      ". \"$(cat a)/b\"", ". a/$x", ". \"\"", ". $0", ". \"$0/a\"", ". \"$(dirname \"$1\")/a\"", ". \"$(pwd)/a\"",
      ". \"$(dirname \"$0\" | cat)/a\"", ". \"$(dirname \"$0\")a\"", ". \"$(dirname \"$0\")\"", ". \"$(cd /x; ls)/a\"",
      ". \"$(readlink \"$0\")/a\"", ". \"${0##*/}\"", ". ${10}/a", ". $((1))", ". \"${x}\"", ". $'a\\0b'",
      ". ${BASH_SOURCE[1]%/*}/a",
      ". \"$(cd \"$(dirname \"$0\")\"/* && pwd)/a\"", ". \"$(cd \"${0%/*}\" | pwd)/a\"",
    ])
  func computedPaths(_ text: String) {
    #expect(uses(text).allSatisfy { $0.hasPrefix("searchFolder(/x") })
    #expect(remarks(text) == [Self.computed])
  }

  @Test("Output of commands and standard input are remarked on as what they are")
  func streams() {
    #expect(remarks("x\n. <(y)") == ["2: sources the output of a command"])
    #expect(remarks("source <(y; . a)") == ["1: sources the output of a command"])
    #expect(uses("source <(y; . a)") == ["a"])
    #expect(remarks(". /dev/stdin <<E\n. a\nE\n") == ["1: sources its standard input"])
    #expect(remarks(". /dev/fd/3") == ["1: sources its standard input"])
  }

  @Test("Lines are those of the commands, in their order")
  func lines() {
    let text = """
      x <<E
      "
      E
      x "
      " '
      ' $'
      ' `
      `
      . $a; . b \\
        c
      . "$(
        . $d
        . e
      )"
      x=( # ' "
      1
      ); [[ a
      ]]; (( 1 +
      2 )); : ${x:-
      }; . $f; x $'\\
      '; . $g
      """
    #expect(uses(text) == ["b", "e"])
    let computed = "sources a file by a computed path"
    #expect(
      remarks(text) == ["9: \(computed)", "11: \(computed)", "12: \(computed)", "20: \(computed)", "21: \(computed)"])
  }

  @Test("A path need not be UTF-8")
  func bytes() {
    let path: [UInt8] = [0x63, 0xe9, 0xff, 0x2e]
    for quote in ["", "'", "\""] {
      let text = Array(". \(quote)".utf8) + path + Array("\(quote)\n".utf8)
      #expect(References(of: text, in: .shell).uses == [.file(ByteString(bytes: path), from: .workingDirectory)])
    }
  }

  @Test(
    "What is not closed is remarked on once, and what stands before it is found",
    arguments: [
      (". a\nx '", "2: has a syntax error: a string is not closed"),
      (". a\nx \"\n", "2: has a syntax error: a string is not closed"),
      (". a\nx $'\\'", "2: has a syntax error: a string is not closed"),
      (". a\n\nx $(y", "3: has a syntax error: a substitution is not closed"),
      (". a\nx <(y", "2: has a syntax error: a substitution is not closed"),
      (". a\nx ${y", "2: has a syntax error: '${' is not closed"),
      (". a\nx `y", "2: has a syntax error: a backquote is not closed"),
      (". a\nx <<E\ny\n", "2: has a syntax error: a here-document is not closed"),
      (". a\nx <<E", "2: has a syntax error: a here-document is not closed"),
      ("x <<E <<F; . a\nE\nG\n", "1: has a syntax error: a here-document is not closed"),
      ("\n(\n. a", "2: has a syntax error: '(' is not closed"),
      ("((1 + 2\n. a", "1: has a syntax error: '(' is not closed"),
      ("case x in\nx) . a", "1: has a syntax error: 'case' is not closed"),
      ("x=(1\n. b\n", "1: has a syntax error: '(' is not closed"),
      (". a; [[ x", "1: has a syntax error: '[[' is not closed"),
      (". a\n)\n. a\n)", "2: has a syntax error: ')' closes nothing"),
      ("x `y '`; . a", "1: has a syntax error: a string is not closed"),
      (". a; x @(y", "1: has a syntax error: '(' is not closed"),
    ])
  func syntaxErrors(_ text: String, _ remark: String) {
    #expect(uses(text) == (text.contains(". a") ? ["a"] : []))
    #expect(remarks(text) == [remark])
  }

  @Test("Depth and length are no danger")
  func hostile() {
    let pieces = [
      "(", "((", "$(", "$((", "${", "\"$(", "`", "`\\`", "'", "<(", "a=(", "[[ ", "case x in x) ", "<<E ", "{ ", "@(",
      "((a);",
      ". ", "A=1 ", "[=", "\"${x:-", "x=$(",
    ]
    for piece in pieces {
      SourceFuzzer.check(Array(String(repeating: piece, count: 50_000).utf8), in: .shell)
    }
    let subshells = String(repeating: "( ", count: 50_000) + ". a" + String(repeating: ")", count: 50_000)
    #expect(uses(subshells) == ["a"])
    #expect(remarks(subshells).isEmpty)
    for (count, message) in [(90, nil), (120, "1: has a syntax error: expansions are nested too deeply")] {
      let nested = ". a; " + String(repeating: "x $(", count: count) + ". b" + String(repeating: ")", count: count)
      #expect(uses(nested) == (message == nil ? ["a", "b"] : ["a"]))
      #expect(remarks(nested) == (message.map { [$0] } ?? []))
    }
    // A long value that is used often does not make more text than the script is worth.
    let long = "A=" + String(repeating: "x", count: 4_000) + "\n" + (0..<2_000).map { ". $A/\($0)\n" }.joined()
    let references = scan(long)
    #expect(references.uses.count + references.remarks.count == 2_000)
    #expect(references.uses.count == 267)
    #expect(remarks("A=\(String(repeating: "x", count: 4_097)); . $A/b") == [Self.computed])
  }

  @Test("No bytes make it fail, and what stands before damage is found")
  func fuzz() {
    var fuzzer = SourceFuzzer(seed: 4)
    let good = Array(
      #"""
      #!/bin/bash
      DIR="$( cd "$( dirname "${BASH_SOURCE[0]}" )" >/dev/null 2>&1 && pwd )"
      . "$DIR/a.sh"; source lib/b.sh && x=`dirname \`pwd\`` # a comment
      cat <<-'E' <<F
      	. no 'quote
      	E
      $(
      F
      case "$1" in -h|--help) echo $'it\'s' ;; @(a|b)*) . ./c.sh ;& *) ;; esac
      for ((i = 0; i < $((1 << 2)); i++)); do arr+=("${arr[@]:1}" '}' "${x:-it's}"); done
      if [[ $x =~ ^(a|b)$ && -f "$y" ]]; then ( . "${0%/*}/d.sh" ) 2>&1 | tee >(cat); fi
      """#.utf8)
    let pieces = [
      ". ", "source ", "a", "'", "\"", "`", "$(", ")", "(", "((", "))", "${", "}", "{", "<<E", "\n", "E\n", "\\", "#",
      ";;", ";", "&&",
      "|", "case ", " in ", "esac", "A=", "$A", "/b", "[[ ", " ]]", "<(", ">", "for ", "do ", "dirname ", "$0", "cd ",
      "pwd", " ", "@(",
      "$'", "function ", "=(", "local ", "0",
    ]
    for round in 0..<6_000 {
      switch round % 3 {
      case 0: SourceFuzzer.check(fuzzer.bytes(count: round % 60), in: .shell)
      case 1:
        SourceFuzzer.check(fuzzer.damaged(good), in: .shell)
        let before = Array(". first\n".utf8)
        #expect(
          References(of: before + fuzzer.damaged(good), in: .shell).uses.first
            == .file("first", from: .workingDirectory))
      default: SourceFuzzer.check(fuzzer.mixture(of: pieces, count: fuzzer.number(below: 40)), in: .shell)
      }
    }
  }
}
