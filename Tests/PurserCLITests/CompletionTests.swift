import Glibc
import PurserModel
import Testing

/// Shells ask the tool what may follow.
@Suite(.project)
struct CompletionTests {
  let project = TestProject.current

  private func follow(_ words: ByteString...) throws -> [String] {
    let outcome = try project.purser(["complete", "--"] + words)
    #expect(outcome.code == 0)
    return outcome.outputText.split(separator: "\n").map(String.init)
  }

  private func record() throws {
    for (key, task) in [("main", "clean"), ("main", "plot"), ("feature/x", "clean")] as [(ByteString, ByteString)] {
      #expect(try project.purser("exec", "--storage-key", key, "--task", task, "--", "true").code == 0)
    }
  }

  @Test func `Commands and options come from the grammar`() throws {
    let commands = try follow("")
    for command in ["exec", "run", "status", "verify", "doctor", "gc", "completions", "help"] {
      #expect(commands.contains(command), "\(command)")
    }
    #expect(!commands.contains("complete"))
    #expect(try follow("ex") == ["exec", "explain"])
    #expect(try follow("exec", "--in") == ["--input"])
    #expect(try follow("-q", "gc", "--max-") == ["--max-age", "--max-size"])
    #expect(try follow("status", "--color", "a") == ["auto", "always"])
    #expect(try follow("db", "ma") == ["maintain"])
    #expect(try follow("data", "") == ["get", "set"])
    #expect(try follow("completions", "") == ["bash", "zsh", "fish"])
    #expect(try follow("queue", "re") == ["retry", "remove"])
    #expect(try follow("help", "ver") == ["verify"])
    #expect(try follow("nonsense", "") == [])
    #expect(try follow("exec", "--", "t") == [], "that is the command's own")
    #expect(try follow("exec", "--input", "") == [], "that is a file")
    #expect(project.names(".") == [], "nothing is made by asking")
  }

  @Test func `Names come from the records and from the pipeline file`() throws {
    try record()
    #expect(try follow("--storage-key", "main", "explain", "") == ["clean", "plot"])
    #expect(try follow("--storage-key=main", "explain", "clean", "p") == ["plot"])
    #expect(try follow("--storage-key", "feature/x", "log", "") == ["clean"])
    #expect(try follow("--storage-key", "main", "subtasks", "clean", "c") == ["create"])
    #expect(try follow("branch", "clone", "") == ["feature/x", "main"])
    #expect(try follow("branch", "diff", "main", "f") == ["feature/x"])
    #expect(try follow("explain", "--against", "") == ["feature/x", "main"])
    #expect(try follow("--pipeline", "") == ["project"])
    try project.write(
      "purser.yaml",
      """
      graphs:
        daily:
          tasks:
            load:
            fit: load
      tasks:
        load: {command: "true"}
        fit: {command: "true"}

      """)
    #expect(try follow("run", "") == ["fit", "load"])
    #expect(try follow("run", "--pipeline", "d") == ["daily"])
  }

  @Test func `bash completes by the script`() throws {
    try record()
    let script = """
      mkdir ../bin; ln -s "$TOOL" ../bin/purser; PATH="$PWD/../bin:$PATH"
      cat > ../try.bash <<'EOF'
      source <(purser completions bash)
      ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _purser purser "${@: -1}" "${@: -2:1}"; echo "${COMPREPLY[*]}"; }
      ask purser expl
      ask purser --storage-key main explain ''
      ask purser branch clone main f
      complete -p purser
      EOF
      exec bash ../try.bash
      """
    let outcome = try project.shell(script)
    #expect(outcome.error.isEmpty)
    #expect(outcome.outputText == "explain\nclean plot\nfeature/x\ncomplete -o default -F _purser purser\n")
  }

  @Test(.enabled(if: access("/usr/bin/zsh", X_OK) == 0, "zsh is not installed"))
  func `zsh reads the script`() throws {
    #expect(try project.shell("\"$TOOL\" completions zsh > ../_purser; zsh -n ../_purser").code == 0)
  }

  @Test(.enabled(if: access("/usr/bin/fish", X_OK) == 0, "fish is not installed"))
  func `fish reads the script`() throws {
    #expect(try project.shell("\"$TOOL\" completions fish > ../purser.fish; fish -n ../purser.fish").code == 0)
  }
}
