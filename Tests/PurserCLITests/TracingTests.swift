import Glibc
import PurserModel
import Testing

/// Commands that are followed: what they used undeclared, hits that are refuted, and inputs that are found.
@Suite(.project)
struct TracingTests {
  let project = TestProject.current

  private func reasons(_ arguments: ByteString...) throws -> String? {
    try project.purser(["check", "--json"] + arguments).json()["tasks"]?.array?.first?["reasons"]?.serialized
  }

  private func names(_ kind: String, of task: ByteString = "step") throws -> [String] {
    let told = try project.purser("trace", "--json", task).json()["tasks"]?.array?.first
    return (told?[kind]?.array ?? []).compactMap { entry in
      entry["path"]?.string.map { $0 + (entry["declared"]?.bool == true ? "" : " undeclared") }
    }
  }

  // MARK: Undeclared files

  @Test func `What is read and written undeclared is told, and how to declare it`() throws {
    try project.script(
      "step.sh", "cat a 'b b' > made; echo x > other; cat made; cat gone 2>&-; ls d > /dev/null; rm -f other.tmp")
    for name in ["a", "b b", "d/x"] as [ByteString] { try project.write(name, name.escaped) }
    let ran = try project.purser(
      "exec", "--trace", "--task", "step", "--input", "a", "--output", "made", "--", "./step.sh")
    #expect(ran.code == 0)
    #expect(
      ran.errorText == """
        warning: task 'step' read b b without declaring it; see 'purser trace step'
        warning: task 'step' wrote other without declaring it; see 'purser trace step'

        """)
    #expect(
      try project.purser("trace", "step").outputText == """
        step: run 1 read 3, wrote 2, looked in vain for 1, and read the names in 1
          read     a
          read     b b  (undeclared)
          read     step.sh
          written  made
          written  other  (undeclared)
        To declare the rest, with 'purser exec':
          --input 'b b' --output other
        in the pipeline file:
            inputs: ["b b"]
            outputs: ["other"]

        """)
    #expect(
      try project.purser("trace", "step", "--json").outputText
        == #"{"tasks":[{"task":"step","run":1,"gap":null,"read":[{"path":"a","declared":true},"#
        + #"{"path":"b b","declared":false},{"path":"step.sh","declared":true}],"#
        + #""listed":[{"path":"d","declared":false}],"missing":[{"path":"gone","declared":false}],"#
        + #""written":[{"path":"made","declared":true},{"path":"other","declared":false}],"#
        + #""declarations":{"inputs":["b b"],"outputs":["other"]}}]}"# + "\n")
    let options: [ByteString] = ["--input", "a", "--input", "b b", "--output", "made", "--output", "other"]
    let declared = try project.purser(["exec", "--trace", "--task", "step"] + options + ["--", "./step.sh"])
    #expect(declared.errorText == "")
    #expect(try !project.purser("trace", "step").outputText.contains("undeclared"))
  }

  @Test func `A task that was never traced has no trace`() throws {
    #expect(try project.purser("exec", "--task", "step", "--", "true").code == 0)
    let outcome = try project.purser("trace", "step")
    #expect(outcome.code == 66)
    #expect(
      outcome.errorText == """
        error: task 'step' was never traced on storage key 'default'; run it with 'purser exec --trace', or with \
        'trace: true' in the pipeline file

        """)
  }

  @Test func `A hit is refuted where an undeclared file has changed, traced again or not`() throws {
    try project.script("step.sh", "cat a > made")
    try project.write("a", "1")
    let step: [ByteString] = ["--task", "step", "--output", "made", "--", "./step.sh"]
    try project.purser(["exec", "--trace"] + step)
    // The second one is kept as a hit of its own, which the third one takes.
    for _ in 0..<3 { #expect(try project.purser(["exec"] + step).code == 0) }
    #expect(project.executions() == 1)
    try project.write("a", "2")
    let (was, isNow) = (try digest("1"), try digest("2"))
    #expect(
      try reasons("step")
        == #"[{"kind":"refuted","changes":[{"group":"inputs","name":"a","was":"\#(was)","is":"\#(isNow)"}]}]"#)
    let explained = try project.purser("explain", "step").outputText
    #expect(explained.hasPrefix("step: not fresh, has to run\n  a  (inputs)  was "))
    #expect(explained.contains("\n    read, and not declared; to declare it: --input a\n"))
    let ran = try project.purser(["exec", "-v"] + step)
    #expect(
      ran.errorText == """
        purser: step: running (refuted, an undeclared file that it read has changed: a; declare it: --input a)

        """)
    #expect(try project.text("made") == "2")
    // Nobody followed this one: the declarations alone speak for it.
    #expect(project.executions() == 2)
  }

  private func digest(_ content: String) throws -> String {
    try project.write("../digest", content)
    return String(try project.shell("sha256sum < ../digest").outputText.prefix(64))
  }

  @Test func `A result that is refuted comes back when the file does`() throws {
    try project.script("step.sh", "cat a > made")
    let step: [ByteString] = ["exec", "-v", "--trace", "--task", "step", "--output", "made", "--", "./step.sh"]
    for content in ["1", "2"] {
      try project.write("a", content)
      try project.purser(step)
    }
    #expect(project.executions() == 2)
    try project.write("a", "1")
    #expect(try project.purser(step).errorText.hasPrefix("purser: step: restored, saved "))
    #expect(try project.text("made") == "1")
    // One of before, which nobody traced, would not be trusted any more.
    try project.write("a", "3")
    try project.purser(step)
    #expect(project.executions() == 3)
    #expect(try project.text("made") == "3")
  }

  @Test func `A result that nobody traced is not put back where one that was traced is refuted`() throws {
    try project.script("step.sh", "cat a > made")
    let step: [ByteString] = ["--task", "step", "--output", "made", "--", "./step.sh"]
    try project.write("a", "1")
    try project.purser(["exec"] + step)
    try project.write("a", "2")
    try project.purser(["exec", "--trace", "--force"] + step)
    try project.write("a", "3")
    try project.purser(["exec"] + step)
    #expect(try project.text("made") == "3")
  }

  @Test func `What was looked for and appears refutes; a change that is declared harmless does not`() throws {
    try project.script("step.sh", "cat a 2>&- || :")
    let step: [ByteString] = ["exec", "--trace", "--task", "step", "--", "./step.sh"]
    for _ in 0..<2 { try project.purser(step) }
    #expect(project.executions() == 1)
    try project.write("a", "1")
    #expect(try reasons("step")?.contains(#""name":"a","was":null,"is":""#) == true)
    #expect(try project.purser("accept", "step", "--why", "nothing").code == 0)
    #expect(try reasons("step") == "[]")
    try project.write("a", "2")
    #expect(try reasons("step")?.contains("refuted") == true)
  }

  @Test func `What the command made itself, and what is left out, refutes nothing`() throws {
    try project.script(
      "step.sh",
      "echo $$ > tmp; cat tmp; mkdir -p w; echo $$ > w/f; cat w/f; cat left/out .git/HEAD > made; cat made; rm tmp")
    try project.write("left/out", "1")
    try project.write(".git/HEAD", "ref: refs/heads/main\n")
    let step: [ByteString] = [
      "exec", "--trace", "--exclude", "left", "--output", "made", "--task", "step", "--", "./step.sh",
    ]
    let ran = try project.purser(step)
    #expect(ran.errorText == "warning: task 'step' wrote w/f without declaring it; see 'purser trace step'\n")
    try project.write("left/out", "2")
    try project.write("tmp", "x")
    try project.write("w/f", "x")
    #expect(try project.purser(step).errorText == "")
    #expect(project.executions() == 1)
  }

  @Test func `With --strict, a run that used undeclared files is no result`() throws {
    try project.script("step.sh", "cat a > made; echo x > other")
    try project.write("a", "1")
    let step: [ByteString] = ["exec", "--strict", "--task", "step", "--output", "made"]
    let ran = try project.purser(step + ["--", "./step.sh"])
    #expect(ran.code == 0)
    #expect(
      ran.errorText == """
        warning: task 'step' is not stored: it read a without declaring it; declare it: --input a
        warning: task 'step' is not stored: it wrote other without declaring it; declare it: --output other

        """)
    #expect(try project.purser("check", "step").code == 1)
    #expect(try names("read") == ["a undeclared", "step.sh"])
    let declared: [ByteString] = step + ["--input", "a", "--output", "other", "--", "./step.sh"]
    for _ in 0..<2 { #expect(try project.purser(declared).errorText == "") }
    #expect(project.executions() == 2)
  }

  @Test func `In a pipeline, a strict task that used undeclared files has failed`() throws {
    try project.write("a", "1")
    try project.write(
      "purser.yaml",
      """
      tasks:
        told: {command: cat a, trace: true}
        strict: {command: cat a, trace: strict}
      graphs: {main: {tasks: {told: null, strict: null}}}
      """)
    let run = try project.runPipeline("--keep-going")
    #expect(run.endings == ["told": "ran", "strict": "failed"])
    #expect(run.errorText.contains("task 'told' read a without declaring it; see 'purser trace told'"))
    #expect(
      run.errorText.contains("task 'strict' is not stored: it read a without declaring it; declare it: --input a"))
    #expect(try project.runPipeline("told").endings == ["told": "fresh"])
    #expect(try project.runPipeline("told").endings == ["told": "fresh"])
    try project.write("a", "2")
    #expect(try project.purser("plan", "told", "--json").outputText.contains(#""kind":"refuted""#))
    #expect(try project.purser("status", "--json").outputText.contains(#""kind":"refuted""#))
    #expect(try project.runPipeline("told").endings == ["told": "ran"])
  }

  // MARK: Inputs that are found

  private func makeProgram() throws {
    func task(_ name: String) -> String {
      "  \(name): {command: 'echo >> \"$COUNTS/\(name)\"; gcc -Ifirst -Isecond -c \(name).c -o \(name).o', inputs: auto, "
        + "outputs: [\(name).o]}\n"
    }
    try project.write(
      "purser.yaml",
      """
      tasks:
      \(task("a"))\(task("b"))\
        main: {command: 'echo >> "$COUNTS/main"; gcc -o main a.o b.o', inputs: auto, outputs: [main]}
      graphs: {main: {tasks: {a: null, b: null, main: [a, b]}}}
      """)
    try project.write("a.c", "#include \"one.h\"\nint b(void);\nint main(void) { return ONE + b(); }\n")
    try project.write("b.c", "#include \"two.h\"\nint b(void) { return TWO; }\n")
    try project.write("second/one.h", "#define ONE 1\n")
    try project.write("second/two.h", "#define TWO 2\n")
    try project.makeFolder("first")
  }

  /// What was run since the last time.
  private func built() throws -> [String] {
    try project.clearCounts()
    let run = try project.runPipeline()
    #expect(run.code == 0, "\(run.errorText)")
    return ["a", "b", "main"].filter { project.executions(ByteString($0)) > 0 }
  }

  @Test func `A C program without dep files: just what includes a header is compiled again`() throws {
    guard access("/usr/bin/gcc", X_OK) == 0 else { return }
    try makeProgram()
    #expect(try built() == ["a", "b", "main"])
    #expect(try built() == [])
    try project.write("second/two.h", "#define TWO 3\n")
    #expect(try built() == ["b", "main"])
    #expect(try project.shell("./main").code == 4)
    // The same content, at another time.
    try project.write("second/two.h", "#define TWO 3\n")
    try project.write("second/unused.h", "")
    #expect(try built() == [])
    try project.write("first/one.h", "#define ONE 10\n")
    #expect(try built() == ["a", "main"])
    #expect(try project.shell("./main").code == 13)
    try project.remove("first/one.h")
    #expect(try built() == [])
    #expect(try project.shell("./main").code == 4)
    #expect(try names("read", of: "a") == ["a.c", "first/one.h"])
  }

  @Test func `A Python program: modules by way of their compiled forms, names in folders, data`() throws {
    guard access("/usr/bin/python3", X_OK) == 0 else { return }
    try project.write("main.py", "import os, pkg.m\nprint(pkg.m.x, open('data').read(), sorted(os.listdir('d')))\n")
    try project.write("pkg/__init__.py", "")
    try project.write("pkg/m.py", "x = 1\n")
    try project.write("data", "d")
    try project.write("d/one", "")
    let step: [ByteString] = ["exec", "-v", "--auto-inputs", "--task", "step", "--", "/usr/bin/python3", "main.py"]
    #expect(try project.purser(step).outputText == "1 d ['one']\n")
    // From now on, the modules are read in their compiled form.
    #expect(try project.purser(step + ["second"]).outputText == "1 d ['one']\n")
    #expect(try names("read") == ["data", "main.py", "pkg/__init__.py", "pkg/m.py"])
    func next() throws -> String {
      try project.purser(step + ["second"]).errorText.split(separator: ",").first.map(String.init) ?? ""
    }
    #expect(try next() == "purser: step: fresh")
    try project.write("pkg/m.py", "x = 22\n")
    #expect(try next() == "purser: step: running (inputs changed: pkg/m.py)\n")
    try project.write("d/two", "")
    #expect(try next() == "purser: step: running (inputs changed: names in d)\n")
    try project.write("d/two", "other")
    #expect(try next() == "purser: step: fresh")
    try project.write("elsewhere/x", "")
    #expect(try next().hasPrefix("purser: step: "))
  }

  @Test func `A command that changes what it reads has no found inputs`() throws {
    try project.script("step.sh", "cat a; echo more >> a")
    try project.write("a", "1")
    let ran = try project.purser("exec", "--auto-inputs", "--task", "step", "--", "./step.sh")
    #expect(ran.code == 0)
    #expect(
      ran.errorText.contains(
        "warning: task 'step' is not stored: it read a and changed it; declare what it makes, or let it write elsewhere\n"
      ))
    #expect(try project.purser("check", "step").code == 1)
  }

  @Test func `A task that finds its inputs never takes the result of one that declares them`() throws {
    try project.script("step.sh", "cat a")
    try project.write("a", "1")
    let step: [ByteString] = ["--pure", "--task", "step", "--", "./step.sh"]
    try project.purser(["exec"] + step)
    try project.write("a", "2")
    #expect(try project.purser(["exec", "--auto-inputs"] + step).outputText == "2")
    try project.write("a", "3")
    #expect(try project.purser(["exec", "--auto-inputs"] + step).outputText == "3")
    #expect(project.executions() == 3)
  }

  // MARK: Where it cannot be

  @Test func `Where ptrace is not permitted, the command runs untraced, and only found inputs are not stored`() throws {
    guard access("/usr/bin/strace", X_OK) == 0 else { return }
    try project.script("step.sh", "cat a; exit 0")
    try project.write("a", "1")
    // Whoever is traced already cannot be traced by another.
    func traced(_ arguments: ByteString...) throws -> Outcome {
      try project.start(
        ["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=none", TestProject.tool, "exec"] + arguments
          + ["--task", "step", "--", "./step.sh"]
      ).wait()
    }
    let why = "warning: task 'step' ran untraced: ptrace is not permitted here (a sandbox, or it is traced already)\n"
    let ran = try traced("--trace")
    #expect(ran.code == 0 && ran.outputText == "1")
    #expect(ran.errorText == why)
    #expect(try project.purser("check", "step").code == 0)
    let found = try traced("--auto-inputs")
    #expect(found.code == 0 && found.outputText == "1")
    #expect(
      found.errorText == why + """
        warning: task 'step' is not stored: nobody knows all that it read; run it where it can be traced, or declare what \
        it reads

        """)
    #expect(try project.purser("check", "step").code == 1)
  }

  @Test func `A program for 32 bits fails the run, with a message`() throws {
    try project.write(
      "old.c", "int main(void) { int n = 20; __asm__ volatile(\"int $0x80\" : \"+a\"(n)); return 0; }\n")
    guard try project.shell("gcc -o old old.c 2>&-").code == 0 else { return }
    let ran = try project.purser("exec", "--trace", "--task", "step", "--", "sh", "-c", "./old || true")
    #expect(ran.code == 126)
    #expect(
      ran.errorText.hasSuffix(
        """
        error: task 'step' ran '\(project("old").printable)', a program for 32 bits, which cannot be traced, and which was \
        stopped; run the task untraced

        """))
    #expect(try project.purser("check", "step").code == 1)
  }

  @Test(.enabled(if: getuid() == 0, "needs root to give a folder away"))
  func `Without root's rights a command is followed too, and a program with privileges of its own is named`() throws {
    #expect(try project.shell("cp /bin/true special; chmod 4755 special; echo 1 > a; chown 65534:65534 .").code == 0)
    let ran = try project.unprivileged(
      "exec", "--trace", "--task", "step", "--input", "a", "--input", "special", "--", "sh", "-c", "cat a; ./special")
    #expect(ran.code == 0 && ran.outputText == "1\n")
    #expect(
      ran.errorText == """
        warning: task 'step' is traced, and so \(project("special").printable) ran without the privileges that it has \
        otherwise

        """)
  }

  @Test func `Exit codes are the command's`() throws {
    for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] as [(ByteString, Int32)] {
      #expect(try project.purser("exec", "--trace", "--task", "step", "--", "sh", "-c", script).code == code)
    }
    #expect(
      try project.purser("exec", "--trace", "--timeout", "100ms", "--task", "step", "--", "sleep", "60").code == 124)
    #expect(try project.purser("exec", "--trace", "--task", "step", "--", "no-such-command").code == 127)
  }
}
