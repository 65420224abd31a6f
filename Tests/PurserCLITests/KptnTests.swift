import Glibc
import PurserModel
import Testing

/// kptn's own Python client opens our store, reads it and writes it.
@Suite(.project, .enabled(if: Kptn.isInstalled, "kptn is not installed for python3"))
struct KptnTests {
  let project = TestProject.current

  private func makeTask() throws {
    try project.script("step.sh", "cat in > out; echo done")
    try project.write("in", "content")
    #expect(try exec().code == 0)
  }

  private func exec() throws -> Outcome {
    try project.purser("exec", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh")
  }

  /// Runs a script against the client, which it finds as `client`, and returns what it prints.
  private func python(_ script: String) throws -> String {
    let preamble = """
      from kptn.caching.client.DbClientSQLite import DbClientSQLite
      from kptn.caching.models import TaskState
      client = DbClientSQLite(storage_key='default', pipeline='project', db_path='.purser/records.db')

      """
    let outcome = try project.start(
      ["/usr/bin/env", "python3", "-c", ByteString(preamble + script)], environment: Kptn.environment
    ).wait()
    try #require(outcome.code == 0, "\(outcome.errorText)")
    return outcome.outputText
  }

  @Test func `It lists our tasks`() throws {
    try makeTask()
    let listed = try python("for task in client.get_tasks(): print(task.status, task.end_time is not None)")
    #expect(listed == "SUCCESS True\n")
    let task = try python(
      """
      task = client.get_task('step')
      print(len(task.code_hashes), len(task.input_hashes), len(task.outputs_version), len(task.code_version))
      """)
    #expect(task.hasPrefix("64 64 64 "))
    #expect(try exec().error.isEmpty)
    #expect(try project.purser("check", "step").code == 0, "reading changes nothing")
    #expect(project.executions() == 1)
  }

  @Test func `What it writes is shown by status and our runs go on`() throws {
    try makeTask()
    _ = try python(
      """
      client.create_task('theirs', TaskState(status='SUCCESS', code_hashes=[{'f': 'abc'}], start_time='2026-01-01T00:00:00'))
      client.create_task('listed', TaskState(status='RUNNING'), data=['a', 'b'])
      client.create_subtasks('listed', [str(i) for i in range(1200)])
      client.set_subtask_started('listed', '600')
      """)
    let status = try project.purser("status", "--json")
    #expect(status.code == 0)
    let tasks = try #require(try status.json()["tasks"]?.array)
    #expect(tasks.compactMap { $0["task"]?.string } == ["listed", "step", "theirs"])
    #expect(tasks.compactMap { $0["state"]?.string }.dropFirst() == ["fresh", "success"])
    try project.write("in", "new")
    #expect(try exec().errorText == "")
    #expect(project.executions() == 2)
    #expect(try project.purser("check", "step").code == 0)
    #expect(
      try python("print(len(client.get_subtasks('listed')), client.get_taskdata('listed'))") == "1200 ['a', 'b']\n")
    let explanation = try project.purser("explain", "theirs")
    #expect(explanation.code == 66)
    #expect(
      explanation.errorText == """
        error: task 'theirs' was not recorded by Purser, so its declaration is not known; give its options, or run it \
        with 'purser exec'

        """)
  }

  @Test(arguments: [
    "client.create_task('step', TaskState(status='SUCCESS'))",
    "t = client.get_task('step'); client.create_task('step', t)",
    "client.delete_task('step')",
    "client.update_task('step', TaskState(code_hashes='other', status='SUCCESS'))",
    "client.set_task_ended('step', status='FAILURE')",
  ])
  func `A record that it replaces or changes is not ours any more`(_ change: String) throws {
    try makeTask()
    _ = try python(change)
    let check = try project.purser("check", "--task", "step", "--input", "in", "--output", "out", "--", "./step.sh")
    #expect(check.code == 1)
    #expect(try exec().code == 0)
    #expect(try project.purser("check", "step").code == 0)
    #expect(try project.text("out") == "content")
  }

  @Test func `A store that it made alone is left as it is`() throws {
    try project.makeFolder(".purser")
    _ = try python("client.create_task('theirs', TaskState(status='SUCCESS'))")
    let outcome = try project.purser("status")
    #expect(outcome.code == 69)
    #expect(
      outcome.errorText == """
        error: '\(project.root)/.purser/records.db' is a database of another program; it is left as it is: move it away, \
        or use --store

        """)
    try project.script("step.sh", "cat in > out; exit 3")
    try project.write("in", "content")
    #expect(try exec().code == 3, "the command runs all the same")
    #expect(try python("print(len(client.get_tasks()))") == "1\n")
  }
}

enum Kptn {
  /// Where the user's Python is may depend on more than the tests' own environment.
  static let environment: [String: ByteString] = {
    var variables: [String: ByteString] = [:]
    for name in ["PATH", "HOME", "VIRTUAL_ENV", "PYENV_ROOT"] {
      if let value = getenv(name) { variables[name] = ByteString(String(cString: value)) }
    }
    return variables
  }()

  static let isInstalled: Bool = {
    let process = try? RunningProcess(
      ["/usr/bin/env", "python3", "-c", "import kptn.caching.client.DbClientSQLite"], in: "/",
      environment: environment.map { ByteString($0.key + "=") + $0.value }, output: "/dev/null", error: "/dev/null")
    return (try? process?.wait().code) == 0
  }()
}
