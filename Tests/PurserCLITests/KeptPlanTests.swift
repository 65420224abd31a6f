import Glibc
import PurserModel
import Testing

/// A large graph, and what was fresh of it, are kept in the store; a run is as right with them as without.
@Suite(.project)
struct KeptPlanTests {
  let project = TestProject.current

  /// Chains of three tasks, each made from an input of its own and the task before; each counts itself by its name.
  private func writeChains(_ count: Int = 20, _ change: (inout String) -> Void = { _ in }) throws {
    var text = "tasks:\n"
    for chain in 0..<count {
      for (link, before) in [("a", ""), ("b", "a"), ("c", "b")] {
        let name = "\(link)\(chain)"
        text += "  \(name):\n    command: 'echo >> \"$COUNTS/\(name)\"; cp in/\(name) out/\(name)'\n"
        text += "    inputs: [in/\(name)]\n    outputs: [out/\(name)]\n"
        if !before.isEmpty { text += "    after: \(before)\(chain)\n" }
        if !project.exists(ByteString("in/\(name)")) { try project.write(ByteString("in/\(name)"), "\(name)\n") }
      }
    }
    change(&text)
    try project.write("purser.yaml", text)
    try project.makeFolder("out")
  }

  /// The tasks that a run ran.
  private func ran(_ arguments: ByteString..., environment: [String: ByteString] = [:]) throws -> [String] {
    try project.clearCounts()
    let outcome = try project.purser(["run"] + arguments, environment: environment)
    #expect(outcome.code == 0, "\(outcome.errorText)")
    return project.names("../counts").map(\.escaped).sorted()
  }

  /// Runs until nothing is left to be looked at closely: what was just written is not trusted yet.
  private func settle(_ environment: [String: ByteString] = [:]) throws {
    usleep(100_000)
    for _ in 1...2 { #expect(try ran(environment: environment) == []) }
  }

  private func kept() throws -> [ByteString] {
    project.names(".purser").filter { $0.hasPrefix("plan-") }.map { ".purser/" + $0 }.sorted { $0.count < $1.count }
  }

  @Test func `After a change the plan is kept on, and the next one is found`() throws {
    try writeChains()
    #expect(try ran().count == 60)
    try settle()
    try project.write("in/a7", "other\n")
    // Once from the file's text, and then from what was kept of it.
    #expect(try ran() == ["a7", "b7"])
    #expect(try kept().count == 2)
    try project.write("in/a7", "another\n")
    #expect(try ran() == ["a7", "b7"])
    try settle()
    let plan = try project.status(kept()[0])
    #expect(try ran() == [])
    let again = try project.status(kept()[0])
    #expect(plan.st_ino == again.st_ino && plan.st_mtim.tv_nsec == again.st_mtim.tv_nsec, "nothing was to be kept")
    try project.write("in/b7", "other\n")
    try project.write("in/a3", "other\n")
    try project.write("out/c12", "by hand\n")
    #expect(try ran() == ["a3", "b3", "b7", "c7"], "what was made before is put back")
    #expect(try project.text("out/c12") == "c12\n")
    try settle()
    #expect(try ran("a7") == [])
    #expect(try ran("--force", "b9") == ["a9", "b9"])
  }

  @Test func `A change that shows nowhere but in a time is looked at once`() throws {
    try writeChains()
    #expect(try ran().count == 60)
    try settle()
    #expect(try project.shell("touch in/b4").code == 0)
    usleep(100_000)
    #expect(try ran() == [])
    let plan = try project.status(kept()[0])
    #expect(try ran() == [])
    #expect(try project.status(kept()[0]).st_ino == plan.st_ino)
  }

  @Test func `A graph that was kept is for one text, PATH and storage key`() throws {
    try writeChains()
    #expect(try ran().count == 60)
    try settle()
    try project.write("in/a1", "other\n")
    #expect(try ran() == ["a1", "b1"])
    try settle()
    try writeChains { $0.replace("cp in/c5 out/c5", with: "cat in/c5 > out/c5") }
    #expect(try ran() == ["c5"])
    try settle()
    try writeChains { $0.replace("    after: b9\n", with: "") }
    #expect(try ran() == ["c9"], "c5 is put back")
    try settle()
    try writeChains {
      $0 +=
        "  new: {command: 'echo >> \"$COUNTS/new\"; cp in/c1 out/new', inputs: in/c1, outputs: out/new, after: c19}\n"
    }
    #expect(try ran() == ["new"])
    try settle()
    // A program of the project's own, before those of the system.
    try project.write("bin/cp", "#!/bin/sh\necho >> \"$COUNTS/own\"\nexec /bin/cp \"$@\"\n", mode: 0o755)
    let path: [String: ByteString] = ["PATH": project("bin") + ":/usr/bin:/bin"]
    #expect(try ran(environment: path) == [])
    try project.write("in/c2", "other\n")
    #expect(try ran(environment: path) == ["c2", "own"])
    #expect(try ran() == [])
    let elsewhere = try project.purser("run", "--storage-key", "other")
    #expect(elsewhere.errorText.contains("61 restored"), "\(elsewhere.errorText)")
    try project.write("in/c2", "and another\n")
    #expect(try ran("--storage-key", "other") == ["c2"])
  }

  @Test func `What is damaged of it costs time only`() throws {
    try writeChains()
    #expect(try ran().count == 60)
    try settle()
    try project.write("in/a1", "0\n")
    #expect(try ran() == ["a1", "b1"])
    let good = try kept().map { try project.bytes($0) }
    #expect(good.count == 2)
    let damages: [([UInt8]) -> [UInt8]] = [
      { _ in [] }, { Array($0.prefix(40)) }, { Array($0.dropLast()) }, { $0 + [0] },
      { $0.enumerated().map { $0 == 100 ? $1 ^ 1 : $1 } }, { Array($0.reversed()) }, { _ in Array("no plan".utf8) },
    ]
    for (number, damage) in damages.enumerated() {
      for (name, bytes) in zip(try kept(), good) { try project.write(name, damage(bytes), mode: 0o600) }
      let found = try project.purser("doctor", "--json").json()["findings"]?.array ?? []
      #expect(found.count { $0["check"]?.string == "plans" && $0["state"]?.string == "problem" } == 2)
      try project.write("in/a1", "\(number + 1)\n")
      #expect(try ran() == ["a1", "b1"])
      try project.write("in/c1", "\(number)\n")
      #expect(try ran() == ["c1"])
    }
    for name in try kept() { try project.write(name, "no plan", mode: 0o600) }
    #expect(try project.purser("doctor", "--repair").code == 0)
    #expect(try kept() == [])
    #expect(try ran() == [])
  }

  // MARK: Early cutoff

  @Test func `What a command touches behind it is looked at again`() throws {
    try writeChains { text in
      // Whatever a0 does, its output stays the same.
      text.replace("cp in/a0 out/a0", with: "echo a > out/a0; if [ -e ../sneak ]; then . ../sneak; fi")
      text.replace("cp in/c0 out/c0", with: "grep -c . in/c0 > out/c0")
      text +=
        "  d0: {command: 'echo >> \"$COUNTS/d0\"; cp in/b1 out/d0', inputs: in/b1, outputs: out/d0, after: [c0, c1]}\n"
      text += "  e0: {command: 'echo >> \"$COUNTS/e0\"; cp in/b1 out/e0', inputs: in/b1, outputs: out/e0, after: d0}\n"
    }
    #expect(try ran().count == 62)
    try settle()
    func change(_ sneak: String) throws -> [String] {
      try project.write("../sneak", sneak)
      try project.write("in/a0", sneak + "\n")
      let names = try ran()
      try settle()
      return names
    }
    // From the file's text, and from what was kept of it.
    for round in 1...2 {
      #expect(try change("# \(round)") == ["a0"])
      #expect(try change("echo \(round) > in/c0") == ["a0", "c0"], "d0 and e0 are behind it, and as they were")
      #expect(
        try change("echo \(round) >> in/c0") == (round == 1 ? ["a0", "c0", "d0"] : ["a0", "c0"]),
        "d0 is put back the second time")
      #expect(try change("echo \(round) > out/b0") == ["a0"])
      #expect(try project.text("out/b0") == "b0\n")
      #expect(try change("rm out/e0 # \(round)") == ["a0"])
      #expect(try project.text("out/e0") == "b1\n", "put back")
      #expect(try change("touch in/b0 in/c0 in/b1 # \(round)") == ["a0"])
    }
  }

  @Test func `What is invalidated meanwhile is not called fresh`() throws {
    try writeChains { text in
      text.replace("cp in/a0 out/a0", with: "echo a > out/a0; if [ -e ../mark ]; then \"$TOOL\" -q invalidate c0; fi")
    }
    #expect(try ran().count == 60)
    try settle()
    try project.write("../mark", "")
    try project.write("in/a0", "other\n")
    #expect(try ran() == ["a0", "c0"])
    try project.remove("../mark")
    try settle()
  }
}

extension String {
  /// Replaces what stands there once.
  fileprivate mutating func replace(_ text: String, with other: String) {
    let parts = split(separator: text, omittingEmptySubsequences: false)
    #expect(parts.count == 2, "\(text)")
    self = parts.joined(separator: other)
  }
}
