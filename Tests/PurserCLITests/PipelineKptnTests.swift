import Glibc
import PurserModel
import Testing

/// kptn's own Python client reads the items and the data that our runs record.
@Suite(.project, .enabled(if: Kptn.isInstalled, "kptn is not installed for python3"))
struct PipelineKptnTests {
  let project = TestProject.current

  /// Runs a script against the client, which it finds as `client`, and returns what it prints.
  private func python(_ script: String, pipeline: String = "main") throws -> String {
    let preamble = """
      from kptn.caching.client.DbClientSQLite import DbClientSQLite
      from kptn.caching.models import TaskState
      client = DbClientSQLite(storage_key='default', pipeline='\(pipeline)', db_path='.purser/records.db')

      """
    let outcome = try project.start(
      ["/usr/bin/env", "python3", "-c", ByteString(preamble + script)], environment: Kptn.environment
    ).wait()
    try #require(outcome.code == 0, "\(outcome.errorText)")
    return outcome.outputText
  }

  private func makePipeline(_ command: String, fields: String = "") throws {
    try project.write(
      "purser.yaml",
      """
      graphs: {main: {tasks: {list: null, work: list}}}
      tasks:
        list:
          command: cat list.json > "$PURSER_RESULT"
          inputs: [list.json]
          cache_result: true
          iterable_item: name
        work: {command: '\(command)', map_over: name\(fields)}
      """)
  }

  private let show = """
    task = client.get_task('work')
    items = client.get_subtasks('work')
    print(task.status, len(items), [item.key for item in items if item.endTime is None])
    print([item.i for item in items] == list(range(len(items))), client.get_taskdata('list') == [i.key for i in items])

    """

  @Test func `It reads the items of an incomplete task and of a complete one`() throws {
    try makePipeline("[ \"$name\" != b ] || [ -e ../mended ]")
    try project.writeList(["a", "b", "c d", "ü"])
    #expect(try project.runPipeline().code == 1)
    #expect(try python(show) == "INCOMPLETE 4 ['b']\nTrue True\n")
    try project.write("../mended", "")
    #expect(try project.runPipeline().code == 0)
    #expect(try python(show) == "SUCCESS 4 []\nTrue True\n")
    #expect(try project.runPipeline().endings == ["list": "fresh", "work": "fresh"], "reading changes nothing")
  }

  @Test func `It reads a list of many bins`() throws {
    try makePipeline("true", fields: ", bundle_size: 10000")
    try project.writeList((0..<1201).map { "item \($0)" })
    #expect(try project.runPipeline().code == 0)
    #expect(try python(show) == "SUCCESS 1201 []\nTrue True\n")
    #expect(
      try python("print(client.get_task('list').taskdata_count, client.get_task('work').subtask_count)")
        == "1201 1201\n")
  }

  @Test func `It reads the keys of a subset`() throws {
    try makePipeline("true")
    try project.writeList(["a", "b", "c"])
    #expect(try project.runPipeline("work", "--subset", "c", "--subset", "a").code == 0)
    #expect(try python("print(client.get_taskdata('work', subset_mode=True))") == "['c', 'a']\n")
  }

  @Test func `What it records of items is shown, and ours are shown to it`() throws {
    #expect(try project.purser("subtasks", "load", "create", "a", "b", "c", "--pipeline", "main").code == 0)
    #expect(try project.purser("subtasks", "load", "done", "b", "--pipeline", "main").code == 0)
    #expect(
      try python(
        """
        print([(item.key, item.endTime is not None) for item in client.get_subtasks('load')])
        client.set_subtask_started('load', '0')
        client.set_subtask_ended('load', '0')
        """) == "[('a', False), ('b', True), ('c', False)]\n")
    let items = try project.items(of: "load", environment: ["PURSER_PIPELINE": "main"])
    #expect(items.map(\.isDone) == [true, true, false])
    #expect(try project.purser("subtasks", "load", "done", "c", "--pipeline", "main").code == 0)
    #expect(try project.items(of: "load", environment: ["PURSER_PIPELINE": "main"]).allSatisfy { $0.isDone })
  }
}
