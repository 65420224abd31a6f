import PurserModel
import Testing

/// A task looks at what its upstream made, not at whether it ran.
@Suite(.project)
struct UpstreamTests {
  let project = TestProject.current

  private func makeChain() throws {
    try project.write("in", "1")
    try project.script("first.sh", "grep -c . in > first", counting: "first")
    try project.script("second.sh", "cat first > second", counting: "second")
  }

  private func first() throws -> Outcome {
    try project.purser("exec", "--task", "first", "--input", "in", "--output", "first", "--", "./first.sh")
  }

  private func second(_ options: [ByteString] = []) throws -> Outcome {
    try project.purser(
      ["exec", "--task", "second", "--after", "first", "--output", "second"] + options + ["--", "./second.sh"])
  }

  @Test func `An upstream that runs again with the same output leaves what follows fresh`() throws {
    try makeChain()
    #expect(try first().code == 0)
    #expect(try second().code == 0)
    try project.write("in", "2")
    let pending = try project.purser("check", "--json", "first").json()["tasks"]?.array?.first
    #expect(pending?["decision"]?.string == "run")
    #expect(try first().code == 0)
    #expect(project.executions("first") == 2)
    #expect(try project.purser("check", "second").outputText == "second: fresh\n")
    #expect(try second().code == 0)
    #expect(project.executions("second") == 1)
  }

  @Test func `An upstream with another output makes what follows run`() throws {
    try makeChain()
    _ = try first()
    _ = try second()
    try project.write("in", "1\n2\n")
    _ = try first()
    let task = try project.purser("check", "--json", "second").json()["tasks"]?.array?.first
    let reasons = try #require(task?["reasons"]?.array)
    #expect(reasons.compactMap { $0["kind"]?.string } == ["inputsChanged"])
    #expect(reasons[0]["changes"]?.array?.compactMap { $0["name"]?.string } == ["outputs of first"])
    #expect(try second().code == 0)
    #expect(try project.text("second") == "2\n")
    #expect(project.executions("second") == 2)
  }

  @Test func `An upstream output edited by hand makes what follows run`() throws {
    try makeChain()
    _ = try first()
    _ = try second()
    try project.write("first", "edited\n")
    let task = try project.purser("check", "--json", "second").json()["tasks"]?.array?.first
    #expect(task?["decision"]?.string == "run")
    #expect(task?["reasons"]?.array?.first?["changes"]?.array?.first?["name"]?.string == "outputs of first")
    #expect(try second().code == 0)
    #expect(try project.text("second") == "edited\n")
    #expect(try first().code == 0, "restored")
    #expect(try project.text("first") == "1\n")
    #expect(try second().code == 0)
    #expect(try project.text("second") == "1\n")
    #expect(project.executions("first") == 1)
    #expect(project.executions("second") == 2, "the second time it was restored")
  }

  @Test func `An upstream output edited while the command runs is a moved input`() throws {
    try makeChain()
    _ = try first()
    try project.script("second.sh", "cat first > second; echo more >> first", counting: "second")
    let outcome = try second()
    #expect(outcome.code == 0)
    #expect(
      outcome.errorText == "warning: task 'second' is not stored: outputs of first changed while it ran; run it again\n"
    )
    #expect(try second().code == 0)
    #expect(project.executions("second") == 2)
  }

  @Test func `A failed or invalid upstream holds back what follows`() throws {
    try makeChain()
    #expect(try second().code == 66)
    try project.script("first.sh", "exit 1", counting: "first")
    #expect(try first().code == 1)
    let outcome = try second()
    #expect(outcome.code == 66)
    #expect(
      outcome.errorText == """
        error: task 'second' comes after 'first', which has no standing result under storage key 'default'; run \
        'first' first

        """)
    #expect(project.executions("second") == 0)
  }

  @Test func `A change upstream is followed on another storage key without running`() throws {
    try makeChain()
    _ = try first()
    _ = try second()
    for key: ByteString in ["other", "third"] {
      try project.remove("first")
      try project.remove("second")
      #expect(
        try project.purser(
          "--storage-key", key, "exec", "--task", "first", "--input", "in", "--output", "first", "--", "./first.sh"
        ).code == 0)
      #expect(try second(["--storage-key", key]).code == 0)
      #expect(try project.text("second") == "1\n")
    }
    #expect(project.executions("first") == 1)
    #expect(project.executions("second") == 1)
  }
}
