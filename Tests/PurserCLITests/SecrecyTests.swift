import Glibc
import PurserModel
import Testing

/// What is stored is closed to others, and no value of a declared variable is in it.
@Suite(.project)
struct SecrecyTests {
  let project = TestProject.current

  @Test func `The value of a declared variable is nowhere in the store`() throws {
    let secret: ByteString = "hunter2-canary-9f3a"
    try project.script("step.sh", "echo made > out; [ \"$TOKEN\" = \(secret) ] && echo knows it >&2; [ ! -e ../fail ]")
    let arguments: [ByteString] = [
      "exec", "-v", "--task", "step", "--env", "TOKEN", "--env", "ABSENT", "--output", "out", "--", "./step.sh",
    ]
    let environment: [String: ByteString] = ["TOKEN": secret]
    let first = try project.purser(arguments, environment: environment)
    #expect(first.code == 0)
    #expect(first.errorText.contains("knows it"))
    try project.write("../fail", "")
    try project.purser(["exec", "--force"] + arguments.dropFirst(), environment: environment)
    try project.remove("../fail")
    try project.purser(arguments, environment: ["TOKEN": "other"])
    let said = try ["status", "runs", "explain", "check"].map { command in
      try project.purser(
        [ByteString(command), "--json"] + (command == "status" || command == "runs" ? [] : ["step"]),
        environment: environment)
    }
    for outcome in said { #expect(!outcome.outputText.contains(secret.escaped)) }
    let names = project.tree(".purser").filter { $0.bytes.last != 0x2f }
    #expect(names.contains("records.db") && names.contains("key"))
    for name in names {
      let content = try project.bytes(".purser/" + name)
      #expect(content.firstRange(of: secret.bytes) == nil, "it is in \(name)")
    }
  }

  @Test func `The store is closed to others whatever the umask`() throws {
    try project.script("step.sh", "seq 20000 > big; echo small > small; umask > ../umask")
    let outcome = try project.shell(
      """
      umask 000
      "$TOOL" exec --task step --env HOME --output big --output small -- ./step.sh
      rm big; "$TOOL" exec --task step --env HOME --output big --output small -- ./step.sh
      "$TOOL" gc
      """)
    #expect(outcome.code == 0, "\(outcome.errorText)")
    #expect(try project.text("../umask") == "0000\n", "the command keeps its own")
    #expect(try project.mode(".purser") == 0o700)
    let names = project.tree(".purser")
    #expect(names.count > 5)
    for name in names {
      let isFolder = name.bytes.last == UInt8(ascii: "/")
      let path = ".purser/" + (isFolder ? ByteString(name.bytes.dropLast()) : name)
      #expect(try project.mode(path) == (isFolder ? 0o700 : 0o600), "\(name)")
    }
    #expect(project.executions() == 1)
  }

  @Test func `The store says that it is a cache and none of git's business`() throws {
    try project.purser("exec", "--task", "step", "--", "true")
    #expect(try project.text(".purser/.gitignore") == "*\n")
    #expect(try project.text(".purser/CACHEDIR.TAG").hasPrefix("Signature: 8a477f597d28d172789f06886806bc55\n"))
  }

  @Test func `Nothing is executed to decide`() throws {
    for name: ByteString in ["python3", "git", "sh", "mytool"] {
      try project.write("bin/" + name, "#!/bin/sh\necho >> \"$COUNTS/fake\"\n", mode: 0o755)
    }
    let outcome = try project.purser(
      "check", "--json", "--tool", "mytool", "--code", "bin", "--", "python3", "x",
      environment: ["PATH": project.root + "/bin:/usr/bin:/bin"])
    #expect(outcome.code == 1)
    #expect(project.executions("fake") == 0)
  }

  @Test func `Values that tasks printed or wrote are found, and never told`() throws {
    let secret = "hunter22-and-more"
    let environment: [String: ByteString] = ["TOKEN": ByteString(secret), "SHORT": "abc", "CLEAN": "something-else"]
    // In the log, it is in two pieces.
    try project.script("log.sh", "printf hunter22; sleep 0.1; echo -and-more")
    try project.script("out.sh", "head -c 100000 /dev/zero > large; echo $TOKEN >> large")
    for (task, output) in [("log", nil), ("out", "large")] as [(ByteString, ByteString?)] {
      let options: [ByteString] = ["--env", "TOKEN", "--env", "SHORT", "--env", "CLEAN", "--task", task]
      let outputs: [ByteString] = output.map { ["--output", $0] } ?? []
      try project.purser(["exec"] + options + outputs + ["--", "./" + task + ".sh"], environment: environment)
    }
    let told = try project.purser("doctor", "--secrets", "--json", environment: environment)
    #expect(told.code == 1)
    #expect(!told.outputText.contains(secret))
    let findings = (try told.json()["findings"]?.array ?? []).filter { $0["check"]?.string == "secrets" }
    #expect(
      Set(findings.compactMap { $0["message"]?.string }) == [
        "not looked for, since unset here or shorter than six bytes: SHORT",
        "the value of TOKEN stands in what it printed, task 'log' on 'default'",
        "the value of TOKEN stands in its output 'large', task 'out' on 'default'",
      ])
    var other = environment
    other["TOKEN"] = "not-that-one"
    let clean = try project.purser("doctor", "--secrets", environment: other)
    #expect(clean.code == 0)
    #expect(clean.outputText.contains("contents hold no value of CLEAN, TOKEN\n"))
    #expect(try !project.purser("doctor", environment: environment).outputText.contains("secrets"))
  }

  @Test(.enabled(if: getuid() == 0, "needs root to give a folder away"))
  func `A store that belongs to somebody else is not trusted`() throws {
    #expect(try project.shell("chown 65534 .; mkdir -m 777 .purser; chmod 777 .").code == 0)
    let outcome = try project.unprivileged("exec", "--task", "step", "--", "sh", "-c", "exit 3")
    #expect(outcome.code == 3)
    #expect(
      outcome.errorText == """
        warning: the store '\(project.root)/.purser' belongs to user 0, whose records cannot be trusted; name another \
        with --store; 'step' runs uncached

        """)
  }
}
