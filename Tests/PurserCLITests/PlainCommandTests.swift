import Glibc
import PurserModel
import Testing

/// Shell commands of plain words, which need no shell: what a user sees of it is nothing.
@Suite(.project)
struct PlainCommandTests {
  let project = TestProject.current

  @Test func `A plain command is a child of the run's own, others are the shell's`() throws {
    try project.write("who", "#!/bin/sh\ncat /proc/$PPID/comm > $1\n", mode: 0o755)
    try project.write(
      "purser.yaml",
      """
      tasks:
        plain: {command: './who plain', outputs: [plain]}
        other: {command: './who other; :', outputs: [other]}
      """)
    #expect(try project.runPipeline().code == 0)
    #expect(try project.text("plain") == "purser\n")
    #expect(try project.text("other") == "sh\n")
  }

  @Test func `Its variables and its folder are those that the shell would give it`() throws {
    // All but those that tell the run.
    let script =
      "#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ | grep -v -e ^PURSER_RUN= -e ^PURSER_RESULT= | sort > $1\n"
    try project.write("show", script, mode: 0o755)
    for said in [nil, "/"] as [ByteString?] {
      let environment = said.map { ["PWD": $0] } ?? [:]
      try project.write("purser.yaml", "tasks: {step: {command: './show out', outputs: [out]}}")
      #expect(try project.runPipeline("--force", environment: environment).code == 0)
      let plain = try project.text("out")
      try project.write("purser.yaml", "tasks: {step: {command: './show out && :', outputs: [out]}}")
      #expect(try project.runPipeline("--force", environment: environment).code == 0)
      #expect(try project.text("out") == plain)
      #expect(plain.contains("PWD=\(project.root.printable)\n"))
    }
  }

  @Test func `A program that is not there is the shell's to tell`() throws {
    try project.write("purser.yaml", "tasks: {step: {command: 'no-such-program a b'}}")
    let run = try project.purser("run")
    #expect(run.code == 1)
    #expect(run.errorText.contains("task 'step' failed: exit code 127"), "\(run.errorText)")
    #expect((run.outputText + run.errorText).contains("no-such-program: not found"))
  }

  @Test func `A script without a first line, and one that dies, end as under a shell`() throws {
    try project.write("bare", "echo bare > out\n", mode: 0o755)
    try project.write("dies", "#!/bin/sh\nkill -SEGV $$\n", mode: 0o755)
    try project.write(
      "purser.yaml", "tasks: {bare: {command: './bare x', outputs: [out]}, dies: {command: './dies x'}}")
    let run = try project.runPipeline("--keep-going")
    #expect(run.endings == ["bare": "ran", "dies": "failed"])
    #expect(try project.text("out") == "bare\n")
    #expect(run.errorText.contains("task 'dies' failed: killed by signal 11"), "\(run.errorText)")
  }

  @Test func `Text and words of the same command are two declarations, with and without a shell`() throws {
    try project.write("in", "1\n")
    try project.write("purser.yaml", "tasks: {step: {command: 'cp in out', inputs: [in], outputs: [out]}}")
    #expect(try project.runPipeline().endings == ["step": "ran"])
    #expect(try project.runPipeline().endings == ["step": "fresh"])
    try project.write("purser.yaml", "tasks: {step: {command: [cp, in, out], inputs: [in], outputs: [out]}}")
    #expect(try project.runPipeline().endings == ["step": "ran"])
  }
}
