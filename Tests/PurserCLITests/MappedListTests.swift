import Glibc
import PurserModel
import Testing

/// A list that grows, shrinks or is ordered otherwise, and one that another storage key knows.
@Suite(.project)
struct MappedListTests: MappedSuite {
  let project = TestProject.current

  // MARK: Another list

  @Test(arguments: [MappedListTests.command, MappedListTests.withOutput])
  func `A list that grows runs only what is new`(_ fields: String) throws {
    try project.makeFolder("out")
    try project.writeMapped(fields)
    try project.writeList(["a", "b", "c"])
    #expect(try run() == ["a", "b", "c"])
    try project.writeList(["new", "a", "b", "c"])
    #expect(try run() == ["new"])
    #expect(try project.items(of: "work").map(\.key) == ["new", "a", "b", "c"])
    #expect(try project.items(of: "work").allSatisfy { $0.isDone })
    try project.writeList(["new", "a", "middle", "b", "c", "last"])
    #expect(try run("-j1") == ["last", "middle"])
    #expect(try project.status(of: "work") == "SUCCESS")
    #expect(try run() == [])
  }

  @Test func `Of 5000 items with one more at the front one runs`() throws {
    try project.script(
      "bundle.sh",
      #"""
      sed 's/^{"name":"\(.*\)"}$/\1/' "$PURSER_ITEMS" | tee -a "$COUNTS/items" |
        sed 's/.*/{"key":"&","status":"done"}/' >> "$PURSER_DONE"
      """#)
    try project.writeMapped("command: ./bundle.sh\nbundle_size: 100000\npure: true")
    let names = (0..<5000).map { "item \($0)" }
    try project.writeList(names)
    #expect(try run().count == 5000)
    #expect(try project.status(of: "work") == "SUCCESS")
    try project.writeList(["first"] + names)
    #expect(try run() == ["first"])
    let items = try project.items(of: "work")
    #expect(items.count == 5001)
    #expect(items.map(\.index) == Array(0...5000))
    #expect(items.map(\.key) == ["first"] + names)
    #expect(items.allSatisfy { $0.isDone })
    #expect(try run() == [])
    #expect(try run("--storage-key", "branch") == [], "it is pure: elsewhere it is known too")
    let there = try project.items(of: "work", environment: ["PURSER_STORAGE_KEY": "branch"])
    #expect(there.count == 5001)
    #expect(there.allSatisfy { $0.isDone })
    #expect(project.executions() == 0, "no bundle was started either")
  }

  @Test func `A list that shrinks runs nothing, and the output of what is gone goes`() throws {
    try project.makeFolder("out")
    try project.writeMapped(Self.withOutput)
    try project.writeList(["a", "b", "c"])
    #expect(try run() == ["a", "b", "c"])
    try project.write("out-side", "kept")
    try project.writeList(["a", "c"])
    #expect(try run() == [])
    #expect(project.names("out") == ["a", "c"])
    #expect(try project.items(of: "work").map(\.key) == ["a", "c"])
    #expect(try project.status(of: "work") == "SUCCESS")
    #expect(try run() == [])
    // It comes back without running.
    try project.writeList(["a", "b", "c"])
    #expect(try run() == [])
    #expect(try project.text("out/b") == "b")
  }

  @Test(arguments: ["b", "edited"])
  func `What an item made can be printed after it left the list`(_ content: String) throws {
    try project.makeFolder("out")
    try project.writeMapped(Self.withOutput)
    try project.writeList(["a", "b"])
    #expect(try run() == ["a", "b"])
    try project.write("out/b", content)
    try project.writeList(["a"])
    #expect(try run() == [])
    #expect(project.names("out") == ["a"])
    let saved = try project.purser("log", "work", "--saved", "out/b")
    #expect(saved.code == 0, "\(saved.errorText)")
    #expect(saved.outputText == content)
  }

  @Test(arguments: [MappedListTests.command, MappedListTests.withOutput])
  func `A list in another order runs nothing`(_ fields: String) throws {
    try project.makeFolder("out")
    try project.writeMapped(fields)
    let names = (1...20).map { "i\($0)" }
    try project.writeList(names)
    #expect(try run("-j3").count == 20)
    try project.writeList(names.reversed())
    #expect(try run() == [])
    #expect(try project.items(of: "work").map(\.key) == names.reversed())
    #expect(try project.items(of: "work").allSatisfy { $0.isDone })
    #expect(try project.status(of: "work") == "SUCCESS")
  }

  @Test func `A list that is made again and is the same runs nothing`() throws {
    try project.writeMapped(Self.command)
    try project.write("list.json", #"["a","b"]"#)
    #expect(try run() == ["a", "b"])
    try project.write("list.json", "[ \"a\",\n\"\\u0062\" ]")
    let second = try project.runPipeline()
    #expect(second.endings == ["list": "ran", "work": "fresh"])
  }

  // MARK: Another storage key

  @Test func `With outputs no item runs on another storage key and the outputs come back`() throws {
    try project.makeFolder("out")
    try project.writeMapped(Self.withOutput)
    try project.writeList(["a", "b", "c"])
    #expect(try run().count == 3)
    try project.remove("out/a")
    try project.write("out/b", "edited")
    try project.clearCounts()
    let other = try project.runPipeline("--storage-key", "other")
    #expect(other.code == 0)
    #expect(project.lines("items") == [])
    #expect(other.endings["work"] == "restored" || other.items["work"]?["ran"] == 0)
    for name in ["a", "b", "c"] { #expect(try project.text(ByteString("out/" + name)) == name) }
    #expect(try project.status(of: "work", environment: ["PURSER_STORAGE_KEY": "other"]) == "SUCCESS")
    // A list that is not the same there: what is known is put back, the rest runs.
    try project.remove("out/c")
    try project.writeList(["a", "c", "d"])
    try project.clearCounts()
    let third = try project.runPipeline("--storage-key", "third")
    #expect(third.code == 0)
    #expect(project.lines("items") == ["d"])
    #expect(try project.text("out/c") == "c")
    #expect(project.names("out") == ["a", "c", "d"])
  }

  @Test func `What only has an effect is done again on another storage key`() throws {
    try project.writeMapped(Self.command)
    try project.writeList(["a", "b"])
    #expect(try run() == ["a", "b"])
    #expect(try run("--storage-key", "other") == ["a", "b"])
    #expect(try run("--storage-key", "other") == [])
  }

  @Test(arguments: ["pure: true", "cache_result: true"])
  func `What is pure or keeps data is not done again on another storage key`(_ field: String) throws {
    try project.writeMapped(
      #"command: echo "$name" >> "$COUNTS/items"; echo 1 > "$PURSER_RESULT""# + "\n" + field)
    try project.writeList(["a", "b"])
    #expect(try run() == ["a", "b"])
    #expect(try run("--storage-key", "other") == [])
    try project.writeList(["a", "b", "c"])
    #expect(try run("--storage-key", "third") == ["c"])
  }
}
