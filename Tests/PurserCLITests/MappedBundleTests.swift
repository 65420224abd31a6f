import Glibc
import PurserModel
import Testing

/// Several items in one process, and how many processes at once.
@Suite(.project)
struct MappedBundleTests {
  let project = TestProject.current

  @Test func `A bundle has its items in a file, a JSON object each`() throws {
    try project.script(
      "bundle.sh",
      #"""
      [ -z "${year+x}${site+x}" ]
      cat "$PURSER_ITEMS" >> "$COUNTS/lines"
      wc -l < "$PURSER_ITEMS" >> "$COUNTS/sizes"
      """#)
    try project.writeMapped("command: ./bundle.sh\nbundle_size: 3", over: "year,site")
    try project.write("list.json", #"[[1,"a"],[2,"b\"\n"],[3,"c"],[4,"ü"],[5,null],[6,[1, 2]],[7.50,{"x":true}]]"#)
    let run = try project.runPipeline("-j1")
    #expect(run.code == 0, "\(run.errorText)")
    #expect(project.executions() == 3)
    #expect(project.lines("sizes") == ["3", "3", "1"])
    let objects = try project.lines("lines").map { try JSON(parsing: $0.utf8) }
    #expect(
      project.lines("lines").map { $0.hasPrefix(#"{"year":7.50,"#) } == [
        false, false, false, false, false, false, true,
      ])
    #expect(
      objects.map { $0["site"]?.serialized } == [
        #""a""#, #""b\"\n""#, #""c""#, #""ü""#, "null", "[1,2]", #"{"x":true}"#,
      ])
    #expect(try project.items(of: "work").allSatisfy { $0.isDone })
    #expect(try project.runPipeline().endings["work"] == "fresh")
  }

  @Test(arguments: [0, 1])
  func `A bundle tells of its items, and what it leaves out goes by its exit code`(_ code: Int) throws {
    try project.script(
      "bundle.sh",
      #"""
      grep -o '"name":"[a-z]*"' "$PURSER_ITEMS" | cut -d '"' -f 4 >> "$COUNTS/items"
      [ ! -e ../mended ] || exit 0
      echo '{"key":"good","status":"done"}' >> "$PURSER_DONE"
      echo '{"key":"bad","status":"failed","error":"no such thing"}' >> "$PURSER_DONE"
      echo 'not JSON' >> "$PURSER_DONE"
      echo '{"key":"unknown","status":"done"}' >> "$PURSER_DONE"
      echo '{"key":"out","status":"perhaps"}' >> "$PURSER_DONE"
      printf '{"key":"unfinished","status":"done"' >> "$PURSER_DONE"
      exit \#(code)
      """#.replacing("\\#(code)", with: "\(code)"))
    try project.writeMapped("command: ./bundle.sh\nbundle_size: 10")
    try project.writeList(["good", "bad", "out", "unfinished"])
    let run = try project.runPipeline()
    #expect(run.code == 1)
    let isDone = code == 0
    let items = try project.items(of: "work")
    #expect(items.map(\.isDone) == [true, false, isDone, isDone])
    #expect(items[1].status == "failed")
    #expect(items[1].error == "no such thing")
    if !isDone { #expect(items[2].error?.contains("exit code 1") == true) }
    #expect(try project.status(of: "work") == "INCOMPLETE")
    try project.clearCounts()
    try project.write("../mended", "")
    #expect(try project.runPipeline().code == 0)
    #expect(project.lines("items") == (isDone ? ["bad"] : ["bad", "out", "unfinished"]))
    #expect(try project.status(of: "work") == "SUCCESS")
  }

  @Test func `The items of a bundle that failed are tried again one by one`() throws {
    try project.script(
      "bundle.sh",
      #"""
      cut -d '"' -f 4 "$PURSER_ITEMS" | paste -sd ' ' >> "$COUNTS/bundles"
      ! grep -q '"b"' "$PURSER_ITEMS"
      """#)
    try project.writeMapped("command: ./bundle.sh\nbundle_size: 3\nretries: 1")
    try project.writeList(["a", "b", "c", "d"])
    let run = try project.runPipeline("-j1")
    #expect(run.code == 1)
    #expect(project.lines("bundles") == ["a b c", "d", "a", "b", "c"])
    #expect(try project.items(of: "work").map(\.isDone) == [true, false, true, true])
  }

  @Test func `A bundle may return data with its items, and makes their outputs`() throws {
    try project.makeFolder("out")
    try project.script(
      "bundle.sh",
      #"""
      for name in $(cut -d '"' -f 4 "$PURSER_ITEMS"); do
        echo "$name" > "out/$name"
        data="{\"of\":\"$name\",\"n\":10000000000000000000001}"
        echo "{\"key\":\"$name\",\"status\":\"done\",\"data\":$data}" >> "$PURSER_DONE"
      done
      """#)
    try project.writeMapped("command: ./bundle.sh\nbundle_size: 2\noutputs: ['out/${name}']\ncache_result: true")
    try project.writeList(["a", "b", "c"])
    let run = try project.runPipeline()
    #expect(run.code == 0, "\(run.errorText)")
    let data = try project.purser("data", "get", "work").outputText
    #expect(
      data == #"[{"of":"a","n":10000000000000000000001},{"of":"b","n":10000000000000000000001},"#
        + #"{"of":"c","n":10000000000000000000001}]"# + "\n")
    try project.remove("out")
    try project.makeFolder("out")
    #expect(try project.runPipeline("--storage-key", "other").code == 0)
    #expect(project.executions() == 2)
    #expect(project.names("out") == ["a", "b", "c"])
    #expect(try project.purser("data", "get", "work", "--storage-key", "other").outputText == data)
  }

  /// With `sh` between them the bundle outlives a purser that is killed, until the next one is at work.
  @Test(arguments: ["[./bundle.sh]", "./bundle.sh"])
  func `What a bundle tells is on record while it runs and outlives kill -9`(_ command: String) throws {
    try project.script(
      "bundle.sh",
      #"""
      for name in $(cut -d '"' -f 4 "$PURSER_ITEMS"); do
        echo "$name" >> "$COUNTS/items"
        if [ "$name" = c ]; then until [ -e ../go ]; do sleep 0.01; done; fi
        echo "{\"key\":\"$name\",\"status\":\"done\"}" >> "$PURSER_DONE"
      done
      """#)
    try project.writeMapped("command: \(command)\nbundle_size: 10")
    try project.writeList(["a", "b", "c", "d"])
    let process = try project.start([TestProject.tool, "run"])
    #expect(hasComeTrue { project.lines("items").contains("c") })
    let isShown = try hasComeTrue { try project.items(of: "work").map(\.isDone) == [true, true, false, false] }
    #expect(isShown, "the items that are done do not show while the bundle runs")
    process.signal(SIGKILL)
    _ = try process.wait()
    #expect(try project.items(of: "work").map(\.isDone) == [true, true, false, false])
    #expect(try project.status(of: "work", "state") == "interrupted")
    let next = try project.start([TestProject.tool, "run"])
    #expect(hasComeTrue { project.executionsByItem()["c"] == 2 })
    try project.write("../go", "")
    #expect(try next.wait().code == 0)
    #expect(project.lines("items") == ["a", "b", "c", "c", "d"])
    #expect(try project.status(of: "work") == "SUCCESS")
  }

  // MARK: How many at once

  private static let counting = #"""
    mkdir -p ../running; : > "../running/$$"
    ls ../running | wc -l >> "$COUNTS/at-once"
    sleep 0.02
    ls ../running | wc -l >> "$COUNTS/at-once"
    rm "../running/$$"
    """#

  private var mostAtOnce: Int { project.lines("at-once").compactMap { Int($0) }.max() ?? 0 }

  @Test(arguments: [("group_size: 1", 1), ("group_size: 2", 2), ("bundle_size: 3\ngroup_size: 6", 2), ("", 4)])
  func `No more items are in flight than group_size and the jobs allow`(_ fields: String, _ most: Int) throws {
    try project.script("step.sh", Self.counting)
    try project.writeMapped("command: ./step.sh\n" + fields)
    try project.writeList((1...16).map { "i\($0)" })
    #expect(try project.runPipeline("-j4").code == 0)
    #expect(project.executions() == (fields.contains("bundle") ? 6 : 16))
    #expect(mostAtOnce <= most)
    #expect(mostAtOnce >= 1)
  }

  @Test func `As many are in flight as group_size allows`() throws {
    // Three at a time: each waits until there are three.
    try project.writeMapped(
      """
      command: |
        echo >> "$COUNTS/begun"
        until [ "$(wc -l < "$COUNTS/begun")" -ge 3 ]; do sleep 0.01; done
      group_size: 3
      """)
    try project.writeList((1...6).map { "i\($0)" })
    #expect(try project.runPipeline("-j4").code == 0)
  }

  @Test func `Other tasks run beside the items`() throws {
    try project.writeMapped(
      "command: until [ -e ../beside ]; do sleep 0.01; done\ngroup_size: 1",
      more: "  beside: {after: list, command: touch ../beside}")
    try project.writeList(["a", "b"])
    #expect(try project.runPipeline("-j2").code == 0)
  }
}
