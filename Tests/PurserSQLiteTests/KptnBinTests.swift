import Glibc
import PurserModel
import PurserStore
import Testing

@testable import PurserSQLite

/// kptn's own Python client reads the bins that we write, and we read those that it writes.
@Suite("Bins and kptn's client", .enabled(if: KptnClient.isInstalled, "kptn is not installed for python3"))
struct KptnBinTests {
  private let task = key("map")

  private func event(_ index: Int, _ status: Subtask.Status, day: Int, error: String? = nil) -> ItemProgress {
    ItemProgress(
      event: SubtaskEvent(
        index: index, status: status, time: Time.day(day), outputHash: status == .done ? "hash" : nil, error: error,
        contentKey: status == .done ? digest("k") : nil))
  }

  @Test("it reads our items, and goes on with them", .temporaryFolder)
  func items() throws {
    let store = try openSQLite()
    try store.setSubtasks((0..<1200).map { Subtask(index: $0, key: "é,\($0)") }, of: task, under: nil)
    try store.append(
      [
        event(0, .running, day: 1), event(0, .done, day: 2), event(600, .running, day: 3),
        event(600, .failed, day: 4, error: "exit 1"), event(1199, .running, day: 5),
      ], of: task, under: nil)
    try store.foldProgress(of: task)
    let printed = try KptnClient.run(
      """
      items = client.get_subtasks('map')
      print(len(items), client.get_task('map').subtask_count, items[1].key, items[1].startTime)
      for i in (0, 600, 1199): print(items[i].i, items[i].startTime, items[i].endTime, items[i].outputHash)
      client.set_subtask_ended('map', '600', 'theirs')
      client.set_subtask_started('map', '1')
      """)
    #expect(
      printed == """
        1200 1200 é,1 None
        0 \(Time.day(1)) \(Time.day(2)) hash
        600 \(Time.day(3)) None None
        1199 \(Time.day(5)) None None

        """)
    let list = try store.subtasks(of: task)
    #expect(list.map(\.key) == (0..<1200).map { "é,\($0)" })
    #expect(list.filter(\.isDone).map(\.index) == [0, 600])
    #expect(list[600].status == .done && list[600].outputHash == "theirs" && list[600].error == nil)
    #expect(list[600].attempt == 1 && list[0].contentKey == digest("k"))
    #expect(list[1].startTime != nil && !list[1].isDone)
    try store.append([event(1, .done, day: 6)], of: task, under: nil)
    try store.foldProgress(of: task)
    #expect(try KptnClient.run("print(client.get_subtasks('map')[1].endTime)") == "\(Time.day(6))\n")
  }

  @Test("we read its items and go on with them", .temporaryFolder)
  func theirs() throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    _ = try KptnClient.run(
      """
      client.create_task('map', TaskState(status='RUNNING'))
      client.create_subtasks('map', ['k\\u00e9y "%d"' % i for i in range(1001)])
      client.set_subtask_started('map', '1000')
      client.set_subtask_started('map', '2')
      client.set_subtask_ended('map', '2', 'abc')
      """)
    let list = try store.subtasks(of: task)
    #expect(list.map(\.key) == (0..<1001).map { "kéy \"\($0)\"" } && list.map(\.index) == Array(0..<1001))
    #expect(list.filter(\.isDone).map(\.index) == [2] && list[2].outputHash == "abc" && list[2].status == nil)
    #expect(list[1000].startTime != nil && list[1000].endTime == nil)
    try store.append([event(1000, .done, day: 2)], of: task, under: nil)
    #expect(try store.subtasks(of: task).filter(\.isDone).map(\.index) == [2, 1000])
    _ = try KptnClient.run("client.reset_subset_of_subtasks('map', ['k\\u00e9y \"700\"', 'k\\u00e9y \"701\"'])")
    // Thinned out, and its times set to null; events for what is gone are lost.
    #expect(try store.subtasks(of: task).map(\.index) == [700, 701])
    try store.append([event(701, .done, day: 3)], of: task, under: nil)
    #expect(code { try store.append([event(2, .done, day: 3)], of: task, under: nil) } == nil)
    try store.foldProgress(of: task)
    #expect(try store.subtasks(of: task).filter(\.isDone).map(\.index) == [701])
    #expect(try Database().count("subtask_events") == 0)
  }

  @Test(
    "it reads our data", .temporaryFolder,
    arguments: [
      (TaskData(isList: true, elements: (0..<1001).map { #"["a",\#($0)]"# }), "1001 ['a', 1000]"),
      (TaskData(isList: true, elements: ["1"]), "1 1"),
      (TaskData(isList: false, elements: [#"{"n": 1.50, "s": "é"}"#]), "{'n': 1.5, 's': 'é'}"),
      (TaskData(isList: true, elements: []), "[]"),
    ])
  func data(data: TaskData, printed: String) throws {
    let store = try openSQLite()
    for kind in [TaskDataKind.result, .subset] {
      try store.setTaskData(data, version: nil, of: task, kind, now: Time.day(1))
      let isSubset = kind == .subset ? "True" : "False"
      #expect(
        try KptnClient.run(
          """
          data = client.get_taskdata('map', subset_mode=\(isSubset))
          print(*(len(data), data[-1]) if isinstance(data, list) and data else (data,))
          """) == printed + "\n")
    }
  }

  @Test("we read its data", .temporaryFolder)
  func theirData() throws {
    let store = try openSQLite()
    _ = try store.migrate(now: Time.day(1))
    _ = try KptnClient.run(
      """
      client.create_task('map', TaskState(status='SUCCESS'), data=[{'i': i, 'x': [i, None]} for i in range(700)])
      client.create_task('single', TaskState(status='SUCCESS'), data={'a': 10 ** 30, 'b': 'caf\\u00e9'})
      """)
    let data = try #require(try store.taskData(of: task, .result))
    #expect(data.isList && data.elements.count == 700 && data.elements[699] == #"{"i": 699, "x": [699, null]}"#)
    #expect(data.canonicalText.hasSuffix(#",{"i":699,"x":[699,null]}]"#))
    #expect(try store.record(task)?.taskdataCount == 700)
    let single = try #require(try store.taskData(of: key("single"), .result))
    #expect(!single.isList && single.canonicalText == #"{"a":1\#(String(repeating: "0", count: 30)),"b":"café"}"#)
  }
}

enum KptnClient {
  static let isInstalled = system("python3 -c 'import kptn.caching.client.DbClientSQLite' >/dev/null 2>&1") == 0

  /// Runs a script against the client, which it finds as `client`, on the store of the test, and returns what it prints.
  static func run(_ script: String) throws -> String {
    let folder = TemporaryFolder.current
    let preamble = """
      import sys
      from kptn.caching.client.DbClientSQLite import DbClientSQLite
      from kptn.caching.models import TaskState
      client = DbClientSQLite(storage_key='main', pipeline='penguins', db_path=sys.argv[1])

      """
    try folder.write("script.py", Array((preamble + script).utf8))
    let command = "PYTHONIOENCODING=utf-8 python3 '\(folder("script.py"))' '\(folder("store/records.db"))' 2>&1"
    let pipe = try #require(popen(command, "r"))
    var output: [UInt8] = []
    while case let byte = fgetc(pipe), byte != EOF { output.append(UInt8(truncatingIfNeeded: byte)) }
    let text = String(decoding: output, as: UTF8.self)
    try #require(pclose(pipe) == 0, "\(text)")
    return text
  }
}
