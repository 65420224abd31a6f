import Glibc
import PurserModel
import Testing

@testable import Purser

/// Which commands need no shell, and what is executed then.
struct PlainCommandTests {
  @Test(
    arguments: [
      ("cp in/a.csv out", ["cp", "in/a.csv", "out"]),
      ("  ./tool   --level=3 -x +y a:b,c@d%e_f \n\n", ["./tool", "--level=3", "-x", "+y", "a:b,c@d%e_f"]),
      ("python3", ["python3"]),
    ] as [(ByteString, [ByteString])])
  func `A program and its arguments are plain`(_ text: ByteString, _ words: [ByteString]) {
    #expect(PlainCommand(text)?.words == words)
  }

  @Test(
    arguments: [
      "", " ", "\n", "cp a b; cp c d", "cp a b\ncp c d", "cp a b &", "a | b", "cp a b > c", "cp < a", "cp $A b",
      "cp ${A} b", "cp `a` b", "cp 'a b' c", "cp \"a\" b", "cp a\\ b c", "cp *.csv out", "cp a? b", "cp [ab] c",
      "cp ~/a b", "cp {a,b} c", "# cp a b", "cp a b # so", "A=1 cp a b", "! cp a b", "(cp a b)", "cp\ta b", "cp a b\r",
      "cp a b\0", "cp a ä", "cp a^b c", "cd in", "echo a", "test -e a", "true", "exit", ". a", ": a", "exec a", "if a",
      "time cp a b", "set -e", "umask", "printf a", "pwd", "kill 1", "wait", "command cp a b", "[ a",
    ] as [ByteString])
  func `What a shell expands, redirects or does by itself is its`(_ text: ByteString) {
    #expect(PlainCommand(text) == nil)
  }

  @Test(.temporaryFolder) func `The program is the one that a shell would find`() throws {
    let folder = TemporaryFolder.current
    let (first, second) = (folder("first"), folder("second"))
    try folder.write("first/tool", "", mode: 0o600)
    try folder.write("second/tool", "", mode: 0o700)
    try folder.write("own", "", mode: 0o700)
    func program(_ text: ByteString, path: ByteString, more: [ByteString] = []) -> ByteString? {
      let environment = ProcessEnvironment(entries: ["PATH=" + path] + more)
      return PlainCommand(text)?.program(environment, in: folder.path)
    }
    let path = first + ":" + second + ":/usr/bin:/bin"
    #expect(program("tool a", path: path) == second + "/tool")
    #expect(program("./own a", path: path) == "./own")
    #expect(program("own a", path: ":" + path) == "./own")
    // The shell says so itself.
    #expect(program("nothing a", path: path) == nil)
    #expect(program("./nothing a", path: path) == nil)
    #expect(program("./first a", path: path) == nil, "a folder")
    // Functions may be named like programs; another shell may do anything.
    #expect(program("tool a", path: path, more: ["BASH_FUNC_tool%%=() { exit 3; }"]) == nil)
    #expect(program("tool a", path: second) == nil, "no shell")
    try folder.write("second/sh", "", mode: 0o700)
    #expect(program("tool a", path: path) == nil)
  }

  @Test(.temporaryFolder) func `PWD keeps the name by which the folder was entered, where it is one`() throws {
    let folder = TemporaryFolder.current("project")
    let link = TemporaryFolder.current("link")
    try TemporaryFolder.current.write("project/file", "")
    #expect(folder.withCString { target in link.withCString { symlink(target, $0) } } == 0)
    func current(_ said: ByteString?) -> ByteString {
      PlainCommand.currentFolder(ProcessEnvironment(entries: said.map { ["PWD=" + $0] } ?? []), in: folder)
    }
    #expect(current(nil) == folder)
    #expect(current("/") == folder)
    #expect(current("relative") == folder)
    #expect(current(link + "/.") == folder)
    #expect(current(link) == link)
  }
}
