import Glibc
import PurserModel
import Testing

/// What the command of an item is given, and that no value is ever more than a value.
@Suite(.project)
struct MappedItemTests {
  let project = TestProject.current

  @Test func `An item is in the environment, the words, the outputs and the logs`() throws {
    try project.makeFolder("out")
    try project.script(
      "step.sh",
      #"""
      echo "$1 and $name of $PURSER_TASK"
      printf '%s|%s' "$1" "$name" > "out/$name.txt"
      [ -z "${PURSER_ITEMS+x}${PURSER_DONE+x}" ]
      """#)
    try project.writeMapped(
      """
      command: [./step.sh, "<${name}>"]
      outputs: ["out/${name}.txt"]
      logs: "logs/${name}.log"
      """)
    try project.writeList(["one", "two", "three"])
    let run = try project.runPipeline("-j2")
    #expect(run.code == 0, "\(run.errorText)")
    #expect(run.items == ["work": ["total": 3, "ran": 3, "restored": 0, "kept": 0, "failed": 0]])
    for name in ["one", "two", "three"] {
      #expect(try project.text(ByteString("out/\(name).txt")) == "<\(name)>|\(name)")
      #expect(try project.text(ByteString("logs/\(name).log")) == "<\(name)> and \(name) of work\n")
      #expect(run.errorText.contains("work[\(name)] | <\(name)> and \(name) of work\n"))
    }
    #expect(project.executions() == 3)
    let items = try project.items(of: "work")
    #expect(items.map(\.key) == ["one", "two", "three"])
    #expect(items.map(\.index) == [0, 1, 2])
    #expect(items.allSatisfy { $0.isDone })
    #expect(try project.runPipeline().endings == ["list": "fresh", "work": "fresh"])
    #expect(project.executions() == 3)
    let log = try project.purser("log", "work").outputText
    #expect(Set(log.split(separator: "\n")) == Set(["one", "two", "three"].map { "<\($0)> and \($0) of work" }))
  }

  @Test(arguments: [
    #"[[2020, "a"], [2021, "b"]]"#, #"[{"year": 2020, "site": "a", "x": 1}, {"site": "b", "year": 2021}]"#,
  ])
  func `Several names take the parts of each element`(_ list: String) throws {
    try project.makeFolder("out")
    try project.writeMapped(
      """
      command: ['sh', '-euc', 'printf "%s" "$1" > "out/$2-$3.txt"', sh, '${site} in ${year}', '${year}', '${site}']
      outputs: ["out/${year}-${site}.txt"]
      """, over: "year,site")
    try project.write("list.json", list)
    let run = try project.runPipeline()
    #expect(run.code == 0, "\(run.errorText)")
    #expect(try project.items(of: "work").map(\.key) == ["2020,a", "2021,b"])
    #expect(project.names("out") == ["2020-a.txt", "2021-b.txt"])
    #expect(try project.text("out/2021-b.txt") == "b in 2021")
  }

  @Test func `Values that are no strings are given as JSON`() throws {
    try project.writeMapped(#"command: printf '%s\n' "$name" >> "$COUNTS/items""#)
    try project.write(
      "list.json", "[1, 1.50, -0, 1e3, true, null, 123456789012345678901234567890, {\"b\": [1, \"x\"]}, \"1.5\"]")
    let run = try project.runPipeline("-j1")
    #expect(run.code == 0, "\(run.errorText)")
    #expect(
      project.lines("items").prefix(7) == ["1", "1.50", "-0", "1e3", "true", "null", "123456789012345678901234567890"])
    #expect(project.lines("items").count == 9)
    #expect(project.lines("items").last == "1.5")
  }

  static let hostile = [
    "plain", "two words", " lead", "tail ", "it's", "say \"hi\"", "$(touch canary)", "`touch canary`", "; touch canary",
    "& touch canary &", "| tee canary", "> canary", "*", "?", "[a-z]", "{a,b}", "${HOME}", "$name", "${name}", "-rf",
    "--",
    "back\\slash", "\\n", "new\nline", "tab\there", "percent%sd", "#hash", "~", "!!", "ünïcödé", "日本語", "e\u{301}",
    "a,b", "\u{1}\u{7f}", "'; touch canary; '", "\"; touch canary; \"", "CON", "a=b", "(x)", "<y>",
  ]

  @Test(arguments: [
    #"command: [./step.sh, "${name}"]"#, #"command: ./step.sh "$name""#,
    #"command: [sh, -euc, './step.sh "$1"', '${name}', '${name}']"#,
  ])
  func `No value is interpreted`(_ command: String) throws {
    try project.makeFolder("out")
    try project.script("step.sh", #"[ "$1" = "$name" ]; printf '%s' "$1" > "out/x$1.txt""#)
    try project.writeMapped(command + "\noutputs: ['out/x${name}.txt']\nlogs: 'logs/x${name}.log'")
    try project.writeList(Self.hostile)
    let run = try project.runPipeline("-j3")
    #expect(run.code == 0, "\(run.errorText)")
    #expect(project.names("out").count == Self.hostile.count)
    for value in Self.hostile {
      let path = ByteString("out/x\(value).txt")
      #expect(try project.text(path) == value)
      #expect(project.exists(ByteString("logs/x\(value).log")))
    }
    #expect(try project.items(of: "work").map(\.key) == Self.hostile)
    expectNoCanary()
    // And back again, elsewhere.
    try project.remove("out")
    try project.makeFolder("out")
    let other = try project.runPipeline("--storage-key", "other")
    #expect(other.code == 0, "\(other.errorText)")
    #expect(project.executions() == Self.hostile.count)
    for value in Self.hostile { #expect(try project.text(ByteString("out/x\(value).txt")) == value) }
    expectNoCanary()
  }

  private func expectNoCanary() {
    for folder in [".", "..", "out"] as [ByteString] {
      #expect(!project.names(folder).contains { $0.hasPrefix("canary") })
    }
  }

  @Test(arguments: ["a/b", "../x", "..", ".", "", "/etc/x", "a/../b", "a/../../b"])
  func `A value that would lead an output elsewhere is refused`(_ value: String) throws {
    try project.write("out/kept", "kept")
    try project.makeFolder("out/a")
    try project.writeMapped(
      #"command: echo "$name" >> "$COUNTS/items"; echo made > "out/$name""# + "\noutputs: ['out/${name}']")
    try project.writeList([value])
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings == ["list": "ran", "work": "failed"])
    #expect(run.errorText.contains("'\(value)'"), "\(run.errorText)")
    #expect(run.errorText.contains("'out/*'"), "\(run.errorText)")
    #expect(project.lines("items") == [], "nothing ran")
    #expect(!project.exists("x"))
    #expect(!project.exists("out/b"))
    #expect(try project.status(of: "work") != "SUCCESS")
  }

  @Test func `A value that is in no output may hold anything`() throws {
    try project.writeMapped(#"command: printf '%s\n' "$name" >> "$COUNTS/items""#)
    try project.writeList(["../x", "/", "a/b", ""])
    #expect(try project.runPipeline("-j1").code == 0)
    #expect(project.lines("items") == ["../x", "/", "a/b", ""])
  }

  @Test func `Items that stand twice are refused and named`() throws {
    try project.writeMapped(#"command: echo "$name" >> "$COUNTS/items""#)
    try project.writeList(["a", "b", "a", "c", "b"])
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings["work"] == "failed")
    #expect(
      run.errorText.contains("task 'work' has items that stand more than once in its list: 'a', 'b'; "),
      "\(run.errorText)")
    #expect(project.lines("items") == [])
  }

  @Test(arguments: [
    (#"{"a": 1}"#, #"'list' returned no list but {"a": 1}"#), ("3", "'list' returned no list but 3"),
    (#""abc""#, #"'list' returned no list but "abc""#), ("null", "'list' returned no list but null"),
  ])
  func `An upstream task that returned no list is named`(_ data: String, _ message: String) throws {
    try project.writeMapped(#"command: echo "$name" >> "$COUNTS/items""#)
    try project.write("list.json", data)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.endings["work"] == "failed")
    #expect(
      run.errorText.contains("task 'work' cannot map over 'name': ") && run.errorText.contains(message),
      "\(run.errorText)")
    #expect(project.lines("items") == [])
  }

  @Test(arguments: [#"[["a", 1], ["b"]]"#, #"["a"]"#, #"[{"x": 1, "z": 2}]"#, "[1]"])
  func `An element without the parts that are mapped over is named`(_ data: String) throws {
    try project.writeMapped(#"command: echo "$x" >> "$COUNTS/items""#, over: "x,y")
    try project.write("list.json", data)
    let run = try project.runPipeline()
    #expect(run.code == 1)
    #expect(run.errorText.contains("element \(data.contains("[\"b\"]") ? 1 : 0) of 'list' is "), "\(run.errorText)")
    #expect(project.lines("items") == [])
  }

  @Test func `A NUL in a value fails that item alone`() throws {
    try project.writeMapped(#"command: echo "$name" >> "$COUNTS/items""#)
    try project.write("list.json", #"["a", "b\u0000c", "d"]"#)
    let run = try project.runPipeline("-j1")
    #expect(run.code == 1)
    #expect(run.errorText.contains("NUL"), "\(run.errorText)")
    #expect(!project.lines("items").contains { $0.hasPrefix("b") })
    #expect(try project.status(of: "work") != "SUCCESS")
  }

  @Test func `An empty list is done at once`() throws {
    try project.writeMapped(#"command: echo "$name" >> "$COUNTS/items""#)
    try project.writeList([])
    let run = try project.runPipeline()
    #expect(run.code == 0)
    #expect(project.lines("items") == [])
    #expect(try project.status(of: "work") == "SUCCESS")
    #expect(try project.runPipeline().endings == ["list": "fresh", "work": "fresh"])
    try project.writeList(["a"])
    #expect(try project.runPipeline().code == 0)
    #expect(project.lines("items") == ["a"])
  }

  @Test func `What items return is a list in their order`() throws {
    try project.writeMapped(
      """
      command: |
        echo "$name" >> "$COUNTS/items"
        printf '{"of":"%s","n":12345678901234567890123}' "$name" > "$PURSER_RESULT"
      cache_result: true
      """, more: "  use: {after: work, command: 'echo >> \"$COUNTS/use\"'}")
    let names = (1...30).map { "i\($0)" }
    try project.writeList(names)
    #expect(try project.runPipeline("-j4").code == 0)
    let expected = "[" + names.map { #"{"of":"\#($0)","n":12345678901234567890123}"# }.joined(separator: ",") + "]\n"
    #expect(try project.purser("data", "get", "work").outputText == expected)
    // Elsewhere the data comes back item by item, and so does that of a list that is ordered otherwise.
    #expect(try project.runPipeline("--storage-key", "other").code == 0)
    #expect(try project.purser("data", "get", "work", "--storage-key", "other").outputText == expected)
    try project.writeList(names.reversed())
    #expect(try project.runPipeline().code == 0)
    #expect(project.lines("items").count == 30)
    let first = try project.purser("data", "get", "work").json().array?.first
    #expect(first?["of"]?.string == "i30")
    #expect(project.executions("use") == 3, "it ran for each storage key, and for the new order of the data")
  }

  @Test func `An item that keeps data and returns none, or no JSON, has failed`() throws {
    try project.writeMapped(
      """
      command: case "$name" in none) ;; bad) echo 'oops {' > "$PURSER_RESULT";; *) echo 1 > "$PURSER_RESULT";; esac
      cache_result: true
      """)
    try project.writeList(["good", "none", "bad"])
    let run = try project.runPipeline("-j1")
    #expect(run.code == 1)
    let items = try project.items(of: "work")
    #expect(items.map(\.isDone) == [true, false, false])
    #expect(items[1].status == "failed")
    #expect(items[2].error?.contains("oops {") == true, "\(items[2].error ?? "")")
    #expect(try project.purser("data", "get", "work").code == 66)
  }

  @Test func `A task after a mapped one sees all of its outputs`() throws {
    try project.makeFolder("out")
    try project.writeMapped(
      #"command: echo "$name" > "out/$name""# + "\noutputs: ['out/${name}']",
      more: "  sum: {after: work, command: 'cat out/* > sum', inputs: ['out/*'], outputs: [sum]}")
    try project.writeList(["a", "b"])
    #expect(try project.runPipeline().code == 0)
    #expect(try project.text("sum") == "a\nb\n")
    try project.writeList(["a", "b", "c"])
    #expect(try project.runPipeline().endings == ["list": "ran", "work": "ran", "sum": "ran"])
    #expect(try project.text("sum") == "a\nb\nc\n")
    #expect(try project.runPipeline().endings.values.allSatisfy { $0 == "fresh" })
  }
}
