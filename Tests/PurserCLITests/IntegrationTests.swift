import Glibc
import PurserModel
import Testing

/// What README.md says to copy into other tools, as it stands there.
@Suite(.project)
struct IntegrationTests {
  let project = TestProject.current

  // MARK: Snippets

  /// The one block of README.md in a language that holds a text.
  private func snippet(_ language: String, containing text: String) throws -> String {
    let readme = ByteString(#filePath).folder.folder.folder + "/README.md"
    let lines = try project.text(readme).split(separator: "\n", omittingEmptySubsequences: false)
    var found: [String] = []
    var block: [Substring]?
    for line in lines {
      if let open = block {
        block = line == "```" ? nil : open + [line]
        if block == nil { found.append(open.map { $0 + "\n" }.joined()) }
      } else if line == "```\(language)" {
        block = []
      } else if line.hasPrefix("```") {
        // Another language: its end would pass for a beginning.
        block = nil
      }
    }
    let matches = found.filter { $0.split(separator: "\n").contains { $0.contains(text) } }
    return try #require(matches.count == 1 ? matches[0] : nil, "'\(text)' in \(matches.count) blocks of \(language)")
  }

  // MARK: The project that the snippets are for

  private func makeProject() throws {
    try project.write("raw/a.csv", "a,1\n")
    try project.write("raw/b.csv", "b,2\n")
    try project.script("src/clean.sh", "mkdir -p build\nsort raw/*.csv > build/clean.csv", counting: "clean")
    try project.script("src/report.sh", "wc -l < build/clean.csv > build/report.txt", counting: "report")
    // Where `purser` is what was built.
    try project.makeFolder("../bin")
    try project.link("../bin/purser", to: TestProject.tool)
  }

  private var counts: [Int] { [project.executions("clean"), project.executions("report")] }

  private var path: ByteString { project.folder + "/bin:/usr/local/bin:/usr/bin:/bin" }

  @discardableResult
  private func shell(
    _ script: String, in folder: ByteString = ".", environment: [String: ByteString] = [:], code: Int32 = 0
  ) throws -> Outcome {
    let outcome = try project.start(
      ["/bin/sh", "-c", ByteString(script)], in: folder,
      environment: environment.merging(["PATH": path]) { given, _ in given }
    ).wait()
    #expect(outcome.code == code, "\(script): \(outcome.errorText)")
    return outcome
  }

  // MARK: Make

  @Test(.enabled(if: access("/usr/bin/make", X_OK) == 0, "make is not installed"))
  func `Make`() throws {
    try makeProject()
    // Make goes by times: what is written in the tick of the clock in which an output was is not newer to it.
    func afterTick() { usleep(20_000) }
    try project.write("Makefile", try snippet("make", containing: "--touch"))
    let upToDate = "make: 'build/report.txt' is up to date.\n"
    try shell("make")
    #expect(counts == [1, 1])
    #expect(try project.text("build/report.txt") == "2\n")
    #expect(try shell("make").outputText == upToDate)

    // Other times, the same contents.
    afterTick()
    try shell("touch raw/a.csv src/report.sh; make")
    #expect(counts == [1, 1])
    #expect(try shell("make").outputText == upToDate)

    afterTick()
    try project.write("raw/a.csv", "a,3\n")
    try shell("make")
    #expect(counts == [2, 2])
    afterTick()
    try project.script("src/report.sh", "wc -c < build/clean.csv > build/report.txt", counting: "report")
    try shell("make")
    #expect(counts == [2, 3])
    // What comes out the same stops there.
    afterTick()
    try project.script("src/clean.sh", "sort raw/*.csv > build/clean.csv", counting: "clean")
    try shell("make")
    #expect(counts == [3, 3])
    #expect(try shell("make").outputText == upToDate)

    try shell("rm -r build; mkdir build; make")
    #expect(counts == [3, 3], "put back")
    #expect(try project.text("build/report.txt") == "8\n")
    afterTick()
    try project.script("src/report.sh", "echo half > build/report.txt; exit 7", counting: "report")
    for _ in 0..<2 { #expect(try shell("make", code: 2).errorText.contains("Error 7")) }
    #expect(!project.exists("build/report.txt"))
  }

  // MARK: A shell script

  @Test func `A shell script`() throws {
    try makeProject()
    try project.write("pipeline.sh", try snippet("sh", containing: "set -eu"), mode: 0o755)
    for folder: ByteString in [".", "..", "/"] { try shell("'\(project("pipeline.sh").escaped)'", in: folder) }
    #expect(counts == [1, 1])
    #expect(try project.text("build/report.txt") == "2\n")
    try project.write("raw/c.csv", "c,3\n")
    try shell("./pipeline.sh")
    #expect(counts == [2, 2])
    #expect(try project.text("build/report.txt") == "3\n")
    try project.script("src/clean.sh", "exit 7", counting: "clean")
    try shell("./pipeline.sh", code: 7)
    #expect(counts == [3, 2], "what follows was not begun")
  }

  // MARK: CI

  private func writePipeline() throws {
    try project.write(
      "purser.yaml",
      """
      tasks:
        clean: {command: sh src/clean.sh, code: src/clean.sh, inputs: ['raw/*.csv'], outputs: build/clean.csv}
        report: {command: sh src/report.sh, code: src/report.sh, outputs: build/report.txt, after: clean}
      """)
  }

  @Test(.enabled(if: access("/usr/bin/git", X_OK) == 0, "git is not installed"))
  func `A job of CI goes on where the last one was`() throws {
    try makeProject()
    try writePipeline()
    try project.write(".gitignore", "build\n")
    let workflow = try snippet("yaml", containing: "actions/cache").split(separator: "\n")
    let commands = workflow.compactMap { line in
      line.contains("- run: ") ? line.split(separator: " ", maxSplits: .max).dropFirst(2).joined(separator: " ") : nil
    }
    #expect(commands.count == 2 && commands.first == "purser run")
    let cached = try #require(
      workflow.compactMap { $0.contains(" path: ") ? $0.split(separator: " ").last : nil }.first)
    try shell(
      """
      git init -q -b main && git add -A
      git -c user.name=T -c user.email=t@example.org commit -q -m first
      """)

    /// A job: a checkout at no branch, with the store that the last one has left, and leaves it to the next.
    func job(_ variables: [String: ByteString]) throws -> String? {
      try shell("rm -rf ../job && git clone -q . ../job && git -C ../job checkout -q --detach")
      try shell("[ ! -e ../cache ] || cp -r ../cache ../job/\(cached)")
      for command in commands { try shell(command, in: "../job", environment: variables) }
      try shell("rm -rf ../cache && cp -r ../job/\(cached) ../cache")
      #expect(try project.text("../job/build/report.txt") == "2\n")
      return try project.purser("status", "--json", in: "../job", environment: variables).json()["storageKey"]?.string
    }
    #expect(try job(["GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"]) == "main")
    #expect(counts == [1, 1])
    #expect(try job(["GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"]) == "main")
    #expect(try job(["GITHUB_HEAD_REF": "feature", "GITHUB_REF_NAME": "7/merge"]) == "feature")
    #expect(try job(["CI_COMMIT_REF_NAME": "topic"]) == "topic")
    #expect(counts == [1, 1])
  }

  // MARK: Cron

  @Test func `Cron`() throws {
    try makeProject()
    try writePipeline()
    try project.script("src/clean.sh", "mkdir -p build; sleep 0.2; echo > build/clean.csv", counting: "clean")
    let line = try snippet("cron", containing: "purser").dropLast()
    let fields = line.split(separator: " ", maxSplits: 5)
    #expect(fields.dropLast() == ["15", "3", "*", "*", "*"])
    // Where things lie here.
    var words = fields[5].split(separator: " ").map(String.init)
    #expect(words[0] == "/usr/local/bin/purser" && words[2] == "/srv/pipeline")
    words[0] = TestProject.tool.escaped
    words[2] = project.root.escaped
    let command = words.joined(separator: " ")
    // As cron does: in the home folder, with little in the environment. Twice at once.
    let jobs = try (0..<2).map { _ in
      try project.start(
        ["/usr/bin/env", "-i", "HOME=" + project.folder, "PATH=/usr/bin:/bin", "COUNTS=" + project.folder + "/counts"]
          + ["/bin/sh", "-c", ByteString(command)], in: "..")
    }
    for job in jobs {
      let outcome = try job.wait()
      #expect(outcome.code == 0 && outcome.outputText == "" && outcome.errorText == "")
    }
    #expect(counts == [1, 1])
  }

  // MARK: Slurm

  @Test func `Slurm`() throws {
    try makeProject()
    // What it wraps becomes a script, which runs in the folder that it was given in.
    try project.write(
      "../bin/sbatch",
      """
      #!/bin/sh
      [ $# -eq 2 ] && [ "$1" = --wrap ] || exit 64
      printf '#!/bin/sh\\n%s\\n' "$2" > ../job.sh
      sh ../job.sh > ../slurm.out 2>&1
      echo "Submitted batch job 1"
      """, mode: 0o755)
    let line = try snippet("sh", containing: "sbatch")
    for _ in 0..<2 { #expect(try shell(line).outputText == "Submitted batch job 1\n") }
    #expect(counts == [1, 0])
    #expect(try project.text("build/clean.csv") == "a,1\nb,2\n")
    try project.remove("build/clean.csv")
    try shell(line)
    #expect(counts == [1, 0])
    #expect(try project.text("build/clean.csv") == "a,1\nb,2\n")
    #expect(try project.text("../slurm.out") == "")
  }
}
