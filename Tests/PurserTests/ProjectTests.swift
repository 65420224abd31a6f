import PurserModel
import Testing

@testable import Purser

@Suite("Finding the project")
struct ProjectTests {
  var folder: TemporaryFolder { TemporaryFolder.current }

  private func find(
    _ current: ByteString, _ options: Project.Options = Project.Options(), _ environment: [ByteString] = []
  ) throws -> Project {
    try Project.locate(
      options, environment: ProcessEnvironment(entries: environment), currentFolder: folder(current))
  }

  private func makeRepository(_ name: ByteString, head: String = "ref: refs/heads/main\n") throws {
    try folder.write(name + "/.git/HEAD", head)
  }

  /// As `git worktree add` makes it.
  private func makeWorktree(_ name: ByteString, of main: ByteString, id: ByteString, head: String) throws {
    let git = main + "/.git/worktrees/" + id
    try folder.write(git + "/HEAD", head)
    try folder.write(git + "/commondir", "../..\n")
    try folder.write(name + "/.git", "gitdir: \(folder(git))\n")
  }

  @Test("without any mark it is the current folder", .temporaryFolder)
  func bare() throws {
    try folder.makeFolders("plain/deep")
    let project = try find("plain/deep")
    #expect(project.root == folder("plain/deep") && project.store == folder("plain/deep/.purser"))
    #expect(project.storageKey == "default" && project.pipeline == "deep")
    #expect(project.currentFolder == folder("plain/deep"))
  }

  @Test(
    "it is the nearest folder with a mark", .temporaryFolder, arguments: [".purser/x", "purser.yaml", "kptn.yaml"])
  func marks(mark: String) throws {
    try makeRepository("top")
    try folder.write(ByteString("top/inner/" + mark), "")
    try folder.makeFolders("top/inner/deep/er")
    let project = try find("top/inner/deep/er")
    #expect(project.root == folder("top/inner") && project.pipeline == "inner")
    #expect(project.storageKey == "main")
    #expect(try find("top").root == folder("top"))
  }

  @Test("without a mark it is the top of the repository, and its branch is the storage key", .temporaryFolder)
  func repository() throws {
    try makeRepository("top", head: "ref: refs/heads/feature/größe\n")
    try folder.makeFolders("top/a/b")
    let project = try find("top/a/b")
    #expect(project.root == folder("top") && project.store == folder("top/.purser"))
    #expect(project.storageKey == "feature/größe" && project.pipeline == "top")
  }

  @Test("a root that is named need not have a mark", .temporaryFolder)
  func named() throws {
    try makeRepository("top")
    try folder.makeFolders("top/other")
    try folder.link("top/link", to: "other")
    for name: ByteString in ["other", "link", folder("top/other"), "../top/other/."] {
      #expect(try find("top", Project.Options(root: name)).root == folder("top/other"))
    }
    #expect(try find("top", Project.Options(root: "other")).storageKey == "main")
    try folder.write("top/file", "")
    for name: ByteString in ["missing", "file"] {
      let error = error { _ = try find("top", Project.Options(root: name)) }
      #expect(error == PurserError(.usage, "--project '\(name)' is not a folder; name an existing one"))
    }
  }

  @Test("store, storage key and pipeline follow option, then variable, then what is found", .temporaryFolder)
  func precedence() throws {
    try makeRepository("top")
    try folder.makeFolders("top/a")
    let environment: [ByteString] = ["PURSER_STORE=s", "PURSER_STORAGE_KEY=k", "PURSER_PIPELINE=p"]
    let fromEnvironment = try find("top/a", Project.Options(), environment)
    #expect(fromEnvironment.store == folder("top/a/s"))
    #expect(fromEnvironment.storageKey == "k" && fromEnvironment.pipeline == "p")
    let options = Project.Options(store: "../x/./y", storageKey: "kk", pipeline: "pp")
    let fromOptions = try find("top/a", options, environment)
    #expect(fromOptions.store == folder("top/x/y"))
    #expect(fromOptions.storageKey == "kk" && fromOptions.pipeline == "pp")
    #expect(try find("top", Project.Options(), ["PURSER_STORE=/abs/store"]).store == "/abs/store")
  }

  @Test("variables that are set but empty say nothing", .temporaryFolder)
  func emptyVariables() throws {
    try makeRepository("top")
    let project = try find("top", Project.Options(), ["PURSER_STORE=", "PURSER_STORAGE_KEY=", "PURSER_PIPELINE="])
    #expect(project.store == folder("top/.purser"))
    #expect(project.storageKey == "main" && project.pipeline == "top")
  }

  @Test(
    "a detached HEAD takes the branch that CI names, or its own digits", .temporaryFolder,
    arguments: [
      ([], "detached-0123456789ab"),
      (["GITHUB_HEAD_REF=", "GITHUB_REF_NAME="], "detached-0123456789ab"),
      (["GITHUB_HEAD_REF=topic", "GITHUB_REF_NAME=12/merge"], "topic"),
      (["GITHUB_HEAD_REF=", "GITHUB_REF_NAME=main"], "main"),
      (["CI_COMMIT_REF_NAME=release"], "release"),
      (["CI_COMMIT_REF_NAME=release", "PURSER_STORAGE_KEY=mine"], "mine"),
    ] as [([ByteString], String)])
  func detached(environment: [ByteString], expected: String) throws {
    try makeRepository("top", head: "0123456789abcdef0123456789abcdef01234567\n")
    #expect(try find("top", Project.Options(), environment).storageKey == expected)
  }

  @Test("on a branch, what CI names does not count", .temporaryFolder)
  func branchBeforeCI() throws {
    try makeRepository("top")
    #expect(try find("top", Project.Options(), ["GITHUB_REF_NAME=other"]).storageKey == "main")
  }

  @Test(
    "a HEAD that names no branch gives the default key", .temporaryFolder,
    arguments: ["ref: refs/remotes/origin/main\n", "ref: refs/heads/.invalid\n", ""])
  func strangeHead(head: String) throws {
    try makeRepository("top", head: head)
    #expect(try find("top").storageKey == "default")
  }

  @Test("a branch name that is not UTF-8 is escaped", .temporaryFolder)
  func rawBranch() throws {
    try folder.write("top/.git/HEAD", Array("ref: refs/heads/".utf8) + [0xff, 0x0a])
    #expect(try find("top").storageKey == "\\xff")
    #expect(try find("top").branch == ByteString(bytes: [0xff]))
  }

  @Test(
    "HEAD is read as git reads it, whatever there is of the branch", .temporaryFolder,
    arguments: [
      ("ref: refs/heads/main", "main"), ("ref:refs/heads/main\n", "main"), ("ref: \t refs/heads/main\r\n", "main"),
      ("ref: refs/heads/a/b/c\n", "a/b/c"), ("ref: refs/heads/日本\nmore", "日本"), ("ref: refs/heads/\n", "default"),
      ("ref: refs/tags/v1\n", "default"), ("not a commit\n", "default"),
      ("\(String(repeating: "ab", count: 32))\n", "detached-abababababab"),
    ])
  func heads(head: String, expected: String) throws {
    // Neither references nor packed ones: the branch is unborn.
    try makeRepository("top", head: head)
    #expect(try find("top").storageKey == expected)
    try folder.write("top/.git/packed-refs", "# pack-refs\n0123456789abcdef0123456789abcdef01234567 refs/heads/main\n")
    #expect(try find("top").storageKey == expected)
  }

  @Test("a HEAD that is a symbolic link names the branch that it points to", .temporaryFolder)
  func linkedHead() throws {
    try folder.makeFolders("top/.git/refs/heads/topic")
    try folder.link("top/.git/HEAD", to: "refs/heads/topic/one")
    #expect(try find("top").storageKey == "topic/one")
    try folder.write("top/.git/refs/heads/topic/one", "0123456789abcdef0123456789abcdef01234567\n")
    #expect(try find("top").storageKey == "topic/one")
  }

  @Test("a key that was named is no branch, so that nothing maps it", .temporaryFolder)
  func namedKey() throws {
    try makeRepository("top")
    #expect(try find("top").branch == "main")
    #expect(try find("top", Project.Options(storageKey: "main")).branch == nil)
    #expect(try find("top", Project.Options(), ["PURSER_STORAGE_KEY=main"]).branch == nil)
    try makeRepository("top", head: "0123456789abcdef0123456789abcdef01234567\n")
    #expect(try find("top").branch == nil)
    #expect(try find("top", Project.Options(), ["CI_COMMIT_REF_NAME=x"]).branch == "x")
    try folder.makeFolders("plain")
    #expect(try find("plain").branch == nil)
  }

  @Test("who opens a project finds the key that its branch is mapped to", .temporaryFolder)
  func mapped() throws {
    func key() throws -> String {
      try Project.find(environment: ProcessEnvironment(entries: []), currentFolder: folder("top")).storageKey
    }
    try makeRepository("top")
    #expect(try key() == "main")
    try folder.write("top/branch_conf/main.yaml", "storage_key: prod")
    #expect(try key() == "prod")
    try folder.write("top/purser.yaml", "settings: {storage_keys: {main: first}}\ntasks: {t: {command: 'true'}}\n")
    #expect(try key() == "first")
    try folder.write("top/purser.yaml", "tasks: {t: {command: [}}\n")
    #expect(error { _ = try key() }?.code == .pipeline)
    try folder.remove("top/purser.yaml")
    try folder.write("top/branch_conf/main.yaml", "storage_key: [")
    let expected = PurserError(.pipeline, "branch_conf/main.yaml:2:1: a value is expected here")
    #expect(error { _ = try key() } == expected)
  }

  @Test("a linked worktree shares the main one's store and pipeline, and has its own branch", .temporaryFolder)
  func worktree() throws {
    try makeRepository("main")
    try makeWorktree("linked", of: "main", id: "one", head: "ref: refs/heads/topic\n")
    try folder.makeFolders("linked/a")
    let project = try find("linked/a")
    #expect(project.root == folder("linked") && project.store == folder("main/.purser"))
    #expect(project.storageKey == "topic" && project.pipeline == "main")
    try folder.write("linked/sub/purser.yaml", "")
    let inner = try find("linked/sub")
    #expect(inner.root == folder("linked/sub") && inner.store == folder("main/sub/.purser"))
    #expect(inner.pipeline == "sub")
  }

  @Test(
    "a linked worktree inside the main one is a project of its own, before the first run and after",
    .temporaryFolder, arguments: [false, true])
  func nestedWorktree(hasStore: Bool) throws {
    try makeRepository("main")
    if hasStore { try folder.makeFolders("main/.purser") }
    try makeWorktree("main/.worktrees/one", of: "main", id: "one", head: "ref: refs/heads/topic\n")
    try folder.makeFolders("main/.worktrees/one/src")
    let project = try find("main/.worktrees/one/src")
    #expect(project.root == folder("main/.worktrees/one") && project.store == folder("main/.purser"))
    #expect(project.storageKey == "topic" && project.pipeline == "main")
  }

  @Test("a worktree that names its repository by a relative path is understood", .temporaryFolder)
  func relativeWorktree() throws {
    try makeRepository("main")
    try makeWorktree("linked", of: "main", id: "one", head: "ref: refs/heads/topic\n")
    try folder.write("linked/.git", "gitdir: ../main/.git/worktrees/one\n")
    let project = try find("linked")
    #expect(project.store == folder("main/.purser") && project.storageKey == "topic")
  }

  @Test("a submodule keeps its own store", .temporaryFolder)
  func submodule() throws {
    try makeRepository("main")
    try folder.write("main/.git/modules/sub/HEAD", "0123456789abcdef0123456789abcdef01234567\n")
    try folder.write("main/sub/.git", "gitdir: ../.git/modules/sub\n")
    let project = try find("main/sub")
    #expect(project.root == folder("main/sub") && project.store == folder("main/sub/.purser"))
    #expect(project.storageKey == "detached-0123456789ab")
    try folder.write("main/.git/modules/sub/HEAD", "ref: refs/heads/topic/a\n")
    #expect(try find("main/sub").storageKey == "topic/a")
  }

  @Test(
    "paths inside are named from the root, others in full", .temporaryFolder,
    arguments: [
      ("a.csv", "src/a.csv"), ("../raw/a.csv", "raw/a.csv"), ("./x/../y", "src/y"), ("..", "."), ("../", "."),
      (".", "src"), ("/etc/hosts", "/etc/hosts"), ("a//b/", "src/a/b"),
    ] as [(ByteString, ByteString)])
  func naming(path: ByteString, expected: ByteString) throws {
    try makeRepository("top")
    try folder.makeFolders("top/src")
    let project = try find("top/src")
    #expect(project.name(ofPath: path) == expected)
    #expect(
      project.location(of: expected)
        == (expected == "." ? project.root : expected.isAbsolutePath ? expected : project.root + "/" + expected))
  }

  @Test("a way that leads in through a link is inside, one that leads out is outside", .temporaryFolder)
  func namingThroughLinks() throws {
    try makeRepository("top")
    try folder.makeFolders("top/raw")
    try folder.link("alias", to: "top")
    let project = try find("top")
    #expect(project.name(ofPath: folder("alias/raw/a.csv")) == "raw/a.csv")
    #expect(project.name(ofPath: folder("top/raw/a.csv")) == "raw/a.csv")
    #expect(project.name(ofPath: "../elsewhere") == folder("elsewhere"))
    #expect(project.name(ofPath: folder("topper/a")) == folder("topper/a"))
    let raw = ByteString(bytes: [0x61, 0xff])
    #expect(project.name(ofPath: raw) == raw)
  }
}
