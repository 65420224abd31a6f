import PurserCode
import PurserModel
import Testing

@Suite("R scripts")
struct RScannerTests {
  private func scan(_ text: String) -> References {
    References(of: Array(text.utf8), in: .r)
  }

  /// Uses as text: `a.R`, `own:x.R`, `here:R/x.R`
  private func uses(_ text: String) -> [String] {
    scan(text).uses.map { use in
      guard case .file(let path, let base) = use else { return "\(use)" }
      return
        switch base
      {
      case .workingDirectory: path.escaped
      case .ownFolder: "own:" + path.escaped
      case .here: "here:" + path.escaped
      }
    }
  }

  private func remarks(_ text: String) -> [String] {
    scan(text).remarks.map { "\($0.line): \($0.message)" }
  }

  @Test(
    "Files that are sourced by a path that is written out",
    arguments: [
      (#"source("a.R")"#, ["a.R"]), (#"source('a.R')"#, ["a.R"]), (#"source(file = "a.R")"#, ["a.R"]),
      (#"source("file" = "a.R")"#, ["a.R"]), (#"source(`file` = "a.R")"#, ["a.R"]), (#"base::source("a.R")"#, ["a.R"]),
      (#"base:::source("a.R")"#, ["a.R"]), (#"base :: source("a.R")"#, ["a.R"]), (#"`source`("a.R")"#, ["a.R"]),
      (#"base::`source`("a.R")"#, ["a.R"]), (#"sys.source("a.R", envir = e)"#, ["a.R"]),
      (#"source("a.R", chdir = TRUE, local = new.env())"#, ["a.R"]), (#"source(local = TRUE, "a.R")"#, ["a.R"]),
      (#"source(echo = FALSE, file = "a.R", encoding = "UTF-8")"#, ["a.R"]), ("source (\n  \"a.R\"\n)", ["a.R"]),
      (#"source("a.R"); source("b.R"); source("a.R")"#, ["a.R", "b.R"]), (#"Rcpp::sourceCpp("a.cpp")"#, ["a.cpp"]),
      (#"sourceCpp(file = "a.cpp")"#, ["a.cpp"]), (#"if (x) source("a.R") else source("b.R")"#, ["a.R", "b.R"]),
      (#"f <- function() { source("a.R") }"#, ["a.R"]), (#"try(suppressWarnings(source("a.R")))"#, ["a.R"]),
      ("x <-\n  source(\"a.R\")$value", ["a.R"]), ("f(source\n(\"a.R\"))", ["a.R"]),
      (#"x[[source("a.R")$n]]"#, ["a.R"]), (#"a %in% source("a.R")"#, ["a.R"]), ("\u{feff}source(\"a.R\")", ["a.R"]),
      ("source(\"a.R\")\r\nsource(\"b.R\")\r\n", ["a.R", "b.R"]), (#"source(source("a.R")$value)"#, ["a.R"]),
    ])
  func literals(_ text: String, _ expected: [String]) {
    #expect(uses(text) == expected)
  }

  @Test(
    "Paths that here and file.path put together",
    arguments: [
      (#"source(here("R", "x.R"))"#, ["here:R/x.R"]), (#"source(here::here("R/x.R"))"#, ["here:R/x.R"]),
      (#"source(file = here::here("x.R"), echo = TRUE)"#, ["here:x.R"]),
      (#"source(file.path("R", "x.R"))"#, ["R/x.R"]), (#"source(base::file.path("", "x.R"))"#, ["/x.R"]),
      (#"source(file.path(here(), "x.R"))"#, ["here:x.R"]), (#"source(file.path(here("R"), "x.R"))"#, ["here:R/x.R"]),
      (#"source(here(file.path("R", "x.R")))"#, ["here:R/x.R"]), (#"sys.source(here("x.R"), e)"#, ["here:x.R"]),
      (#"sourceCpp(here("src", "x.cpp"))"#, ["here:src/x.cpp"]),
      (#"lapply(c(here("a.R"), file.path("R", "b.R"), "c.R"), source)"#, ["here:a.R", "R/b.R", "c.R"]),
    ])
  func joined(_ text: String, _ expected: [String]) {
    #expect(uses(text) == expected)
    #expect(remarks(text).isEmpty)
  }

  @Test(
    "source that is applied to a vector",
    arguments: [
      (#"lapply(c("a.R", "b.R"), source)"#, ["a.R", "b.R"]), (#"sapply(X = c("a.R"), FUN = source)"#, ["a.R"]),
      (#"purrr::walk(c("a.R", "b.R"), source)"#, ["a.R", "b.R"]), (#"map(list("a.R"), base::source)"#, ["a.R"]),
      (#"invisible(lapply(c(x = "a.R", y = "b.R"), source, echo = FALSE))"#, ["a.R", "b.R"]),
      (#"lapply("a.R", "source")"#, ["a.R"]), (#"lapply(c("a.R"), FUN = "source")"#, ["a.R"]),
      (#"Map(source, c("a.R"))"#, ["a.R"]), (#"walk(.x = c("a.R"), .f = source)"#, ["a.R"]),
      (#"lapply(c("a.R", source("b.R")$value), print)"#, ["b.R"]), (#"lapply(c("a.R"), print)"#, []),
    ])
  func applied(_ text: String, _ expected: [String]) {
    #expect(uses(text) == expected)
    #expect(remarks(text).isEmpty)
  }

  @Test(
    "Modules of box",
    arguments: [
      ("box::use(./x)", ["own:./x.R"], []), ("box::use(../m/x[...])", ["own:../m/x.R"], []),
      ("box::use(a = ./m/a[f, g = h], dplyr, stats[sd])", ["own:./m/a.R"], []),
      ("box::use(./`a b`)", ["own:./a b.R"], []),
      ("box::use(\n  ./x,\n  ../y,\n)", ["own:./x.R", "own:../y.R"], []), ("box::use(..)", ["own:../__init__.R"], []),
      ("box::use(app/logic/x)", [], ["1: uses a module from where 'box' looks for modules"]),
      ("use(./x)", [], []), ("other::use(./x)", [], []), ("box::use(x(./y))", [], []),
    ])
  func box(_ text: String, _ expected: [String], _ remarked: [String]) {
    #expect(uses(text) == expected)
    #expect(remarks(text) == remarked)
  }

  @Test(
    "What only running the script would tell is remarked on, at the line of the call",
    arguments: [
      ("\nsource(paste0(d, \"x.R\"))", "2: sources a file by a computed path"),
      ("source(\n x)", "1: sources a file by a computed path"), ("source()", "1: sources a file by a computed path"),
      (#"source("a.R"[1])"#, "1: sources a file by a computed path"),
      (#"source(("a.R"))"#, "1: sources a file by a computed path"),
      (#"source("")"#, "1: sources a file by a computed path"),
      (#"source("~/a.R")"#, "1: sources a file by a computed path"),
      ("x %>% source", "1: sources a file by a computed path"),
      (#""a.R" |> source()"#, "1: sources a file by a computed path"),
      (#"source(file.path("R", x))"#, "1: sources a file by a computed path"),
      (#"source(here("R", x, "y"))"#, "1: sources a file by a computed path"),
      ("lapply(files, source)", "1: sources a file by a computed path"),
      (#"lapply(c("a.R", x), source)"#, "1: sources a file by a computed path"),
      (#"c("a.R") |> walk(source)"#, "1: sources a file by a computed path"),
      (#"walk(c("a.R"), \(f) source(f))"#, "1: sources a file by a computed path"),
      (#"walk(c("a.R"), ~ source(.x))"#, "1: sources a file by a computed path"),
      (#"for (f in list.files("R")) source(f)"#, "1: sources a file by a computed path"),
      ("f(source)", "1: passes 'source' to another function"),
      ("f(x, y = source)", "1: passes 'source' to another function"),
      ("do.call(source, list(x))", "1: passes 'source' to another function"),
      (#"do.call("source", list(x))"#, "1: passes 'source' to another function"),
      ("s <- source\ns(\"x\")", "1: gives 'source' another name"),
      ("devtools::load_all(\".\")", "1: loads a package from its source files with 'load_all'"),
      ("load_all()", "1: loads a package from its source files with 'load_all'"),
      (#"source("https://example.org/a.R")"#, "1: sources a file from the network"),
      (#"source("http://example.org/a.R")"#, "1: sources a file from the network"),
      (#"source(url("https://example.org/a.R"))"#, "1: sources a file from the network"),
      (#"devtools::source_url("https://example.org/a.R")"#, "1: sources a file from the network"),
    ])
  func remarked(_ text: String, _ remark: String) {
    #expect(remarks(text) == [remark])
    #expect(uses(text).isEmpty)
  }

  @Test(
    "What only looks like sourcing is none",
    arguments: [
      "# source(\"a.R\")", #"x <- 'source("a.R")'"#, #"x <- "a\" source('a.R')""#, #"x <- r"(source("a.R"))""#,
      #"x <- R'---[source("a.R")]--]---'"#, #"x <- r"{")" source("a.R")}""#, #"x$source("a.R")"#, #"x@source("a.R")"#,
      #"x$`source`("a.R")"#, #"pkg::source("a.R")"#, #"pkg:::source("a.R")"#, "source = 3", "list(source = 3)",
      "source <- function(x) x", "source = function(x) x", "f <- function(source, y = 1) y", #"\(source) 1"#,
      "source\n(\"a.R\")", "x[source]", "x[[source]]", "filter(x, source == \"a\")", "x$source", "aes(y = source$x)",
      "resource(\"a.R\")", "source2(\"a.R\")", ".source(\"a.R\")", "source_x(\"a.R\")", "sourceCpp(code = \"int a;\")",
      "box::use(stats)", "lapply(x, print)", "2source(\"a\")", "if (source) 1", "x\n(source)", "{ x; (source) }",
      "-source", "",
    ])
  func nothing(_ text: String) {
    #expect(scan(text) == References())
  }

  @Test(
    "Strings are read as R reads them",
    arguments: [
      (#""a\x41\u{e9}\u00e9\101\t.R""#, "aAééA\t.R"), (#"'a"b\'.R'"#, "a\"b'.R"), (#"r"(a\n"b.R)""#, #"a\n"b.R"#),
      (#"R'--{a)}-'}.R}--'"#, "a)}-'}.R"), (#""\U{1F600}.R""#, "😀.R"), (#""a\\b""#, #"a\b"#),
    ])
  func strings(_ literal: String, _ path: String) {
    #expect(scan("source(\(literal))").uses == [.file(ByteString(path), from: .workingDirectory)])
  }

  @Test("A path need not be UTF-8")
  func bytes() {
    let text = Array("source(\"caf".utf8) + [0xe9] + Array(".R\")".utf8)
    let path = ByteString(bytes: Array("caf".utf8) + [0xe9] + Array(".R".utf8))
    #expect(References(of: text, in: .r).uses == [.file(path, from: .workingDirectory)])
  }

  @Test(
    "What R would refuse is remarked on once, and the rest is read",
    arguments: [
      ("source(\"a.R\")\n\nx <- \"b", ["a.R"], "3: has a syntax error: a string is not closed"),
      ("source(\"a.R\")\nx <- r\"-(b)\"\n", ["a.R"], "2: has a syntax error: a raw string is not closed"),
      ("r\"x\"; source(\"a.R\")", ["a.R"], "1: has a syntax error: a raw string does not begin with a bracket"),
      ("\n`a", [], "2: has a syntax error: a name in backquotes is not closed"),
      ("f(\n{\nsource(\"a.R\")", ["a.R"], "1: has a syntax error: '(' is not closed"),
      ("f <- function() {\n(1)\n", [], "1: has a syntax error: '{' is not closed"),
      (")\nsource(\"a.R\")\n]", ["a.R"], "1: has a syntax error: ')' closes nothing"),
      ("f((1, [2)\nsource(\"a.R\")", ["a.R"], "1: has a syntax error: ')' closes nothing"),
      ("5 %o 3\nsource(\"a.R\")", ["a.R"], "1: has a syntax error: an operator's second '%' is missing"),
      ("source(\"a.R\"", ["a.R"], "1: has a syntax error: '(' is not closed"),
    ])
  func syntaxErrors(_ text: String, _ expected: [String], _ remark: String) {
    #expect(uses(text) == expected)
    #expect(remarks(text) == [remark])
  }

  @Test("Uses and remarks come in the order of the calls")
  func order() {
    let text = """
      source("a.R")
      source(local({
        source(x)
        source("b.R")
      }))
      lapply(c("c.R", "a.R", "https://example.org"), source)
      """
    #expect(uses(text) == ["a.R", "b.R", "c.R"])
    #expect(
      remarks(text) == [
        "2: sources a file by a computed path", "3: sources a file by a computed path",
        "6: sources a file from the network",
      ])
  }

  @Test("Depth and length are no danger")
  func hostile() {
    for piece in ["(", "[", "{", "source(", "c(", "lapply(c(", "here(file.path(", "\"", "`", "r\"-", "f(function() {"] {
      SourceFuzzer.check(Array(String(repeating: piece, count: 30_000).utf8), in: .r)
    }
    let deep = String(repeating: "f({", count: 50_000) + "source(\"a.R\")" + String(repeating: "})", count: 50_000)
    #expect(scan(deep).uses == [.file("a.R", from: .workingDirectory)])
    #expect(scan(deep).remarks.isEmpty)
    let calls = String(repeating: "source(", count: 2_000) + "\"a.R\"" + String(repeating: ")", count: 2_000)
    #expect(remarks(calls) == ["1: sources a file by a computed path"])
  }

  @Test("No bytes make it fail, and what stands before damage is found")
  func fuzz() {
    var fuzzer = SourceFuzzer(seed: 3)
    let good = Array(
      #"""
      library(dplyr) # a comment
      source("R/a.R", local = TRUE); source(here::here("R", "b.R"))
      x <- r"---(raw " ')---"; y <- 'it\'s' ; `odd name` <- x %>% filter(a %in% b)
      lapply(c("c.R", file.path("R", "d.R")), source)
      f <- function(n, ...) { if (n > 1) f(n - 1) else x[["k"]][n, ] }
      box::use(./m/x[a, b], z = ../y)
      """#.utf8)
    let pieces = [
      "source", "(", ")", "[", "]", "{", "}", "\"a.R\"", "'", "`", "c", "lapply", ",", "=", "<-", "here", "file.path",
      "box::use",
      "./x", "\n", "r\"-(", ")-\"", "#", "|>", "%", "%>%", "$", "::", "base", " ", "\\", "function", "do.call", "url",
    ]
    for round in 0..<6_000 {
      switch round % 3 {
      case 0: SourceFuzzer.check(fuzzer.bytes(count: round % 60), in: .r)
      case 1:
        SourceFuzzer.check(fuzzer.damaged(good), in: .r)
        let before = Array("source(\"first.R\")\n".utf8)
        #expect(
          References(of: before + fuzzer.damaged(good), in: .r).uses.first == .file("first.R", from: .workingDirectory))
      default: SourceFuzzer.check(fuzzer.mixture(of: pieces, count: fuzzer.number(below: 40)), in: .r)
      }
    }
  }
}
