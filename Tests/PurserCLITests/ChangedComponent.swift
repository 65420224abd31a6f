import PurserModel
import Testing

/// A component of a fingerprint in two situations.
struct ChangedComponent: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let group: String
  let name: String
  let first: Situation
  let second: Situation
  /// Whether the change is one of files or variables, so that the stored declaration shows it.
  var isOnDisk = false
  /// `check` leaves standard input alone.
  var isSeenByCheck = true

  struct Situation: Sendable {
    var value: Value
    var prepare: @Sendable (TestProject) throws -> Void = { _ in }
    var options: [ByteString] = []
    var arguments: [ByteString] = []
    var environment: [String: ByteString] = [:]
    var folder: ByteString = "."
    var input: ByteString = "/dev/null"
  }

  /// What a change shows as `was` or `is`.
  enum Value: Sendable {
    case text(String)
    case digest(of: String, suffix: String = "")
    /// The digest of a program of the system, copied.
    case program(ByteString)
    /// The command, with these behind it.
    case command(String)
    /// A digest that cannot be foretold.
    case secret
    case absent
  }

  func step(_ project: TestProject) throws -> Step {
    try project.makeFolder("a")
    try project.makeFolder("b")
    // Outside of the project, so that it is no code of its own.
    try project.script(
      project.folder + "/step.sh", #"wc -l < "$COUNTS/step" > "$ROOT/out"; echo made"#)
    return Step(project: project, component: self)
  }

  static let all: [ChangedComponent] = [
    file("code file", option: "--code", group: "code"),
    file("input file", option: "--input", group: "inputs"),
    ChangedComponent(
      testDescription: "argv", group: "code", name: "argv",
      first: Situation(value: .command("one"), arguments: ["one"]),
      second: Situation(value: .command("'two words'"), arguments: ["two words"])),
    ChangedComponent(
      testDescription: "declared variable", group: "code", name: "env MODE",
      first: Situation(value: .secret, options: ["--env", "MODE"], environment: ["MODE": "slow"]),
      second: Situation(value: .secret, options: ["--env", "MODE"], environment: ["MODE": "fast"]), isOnDisk: true),
    ChangedComponent(
      testDescription: "tool", group: "code", name: "tool mytool",
      first: tool("/usr/bin/true"), second: tool("/usr/bin/false"), isOnDisk: true),
    ChangedComponent(
      testDescription: "executable bit", group: "inputs", name: "in",
      first: Situation(
        value: .digest(of: "same"), prepare: { try $0.write("in", "same", mode: 0o644) }, options: ["--input", "in"]),
      second: Situation(
        value: .digest(of: "same", suffix: " executable"), prepare: { try $0.write("in", "same", mode: 0o755) },
        options: ["--input", "in"]), isOnDisk: true),
    ChangedComponent(
      testDescription: "link target", group: "inputs", name: "link in",
      first: link("one"), second: link("two"), isOnDisk: true),
    ChangedComponent(
      testDescription: "named argument", group: "code", name: "arg size",
      first: Situation(value: .text("1"), options: ["--arg", "size=1"]),
      second: Situation(value: .text("2=3"), options: ["--arg", "size=2=3"])),
    ChangedComponent(
      testDescription: "working directory", group: "code", name: "working directory",
      first: Situation(value: .text("a"), folder: "a"), second: Situation(value: .text("b"), folder: "b")),
    ChangedComponent(
      testDescription: "exclude", group: "inputs", name: "data/noise.tmp",
      first: Situation(value: .digest(of: "noise"), prepare: folder, options: ["--input", "data"]),
      second: Situation(value: .absent, prepare: folder, options: ["--input", "data", "--exclude", "*.tmp"])),
    ChangedComponent(
      testDescription: "standard input", group: "inputs", name: "standard input",
      first: input("first"), second: input("second"), isSeenByCheck: false),
    ChangedComponent(
      testDescription: "file in a folder", group: "inputs", name: "data/inner/x",
      first: inner("1"), second: inner("2"), isOnDisk: true),
    ChangedComponent(
      testDescription: "file added to a glob", group: "inputs", name: "data/new.csv",
      first: glob(.absent) { try $0.remove("data/new.csv") },
      second: glob(.digest(of: "new")) { try $0.write("data/new.csv", "new") }, isOnDisk: true),
  ]

  private static func file(_ what: String, option: ByteString, group: String) -> ChangedComponent {
    func situation(_ content: String) -> Situation {
      Situation(value: .digest(of: content), prepare: { try $0.write("lib/f", content) }, options: [option, "lib/f"])
    }
    return ChangedComponent(
      testDescription: what, group: group, name: "lib/f", first: situation("one"), second: situation("two"),
      isOnDisk: true)
  }

  private static func tool(_ program: ByteString) -> Situation {
    Situation(
      value: .program(program),
      prepare: { project in
        try project.write(project.folder + "/bin/mytool", try contents(ofFile: program), mode: 0o755)
      }, options: ["--tool", "mytool"])
  }

  private static func link(_ target: String) -> Situation {
    Situation(
      value: .text(target),
      prepare: { project in
        try project.write("one", "same")
        try project.write("two", "same")
        try project.link("in", to: ByteString(target))
      }, options: ["--input", "in"])
  }

  private static let folder: @Sendable (TestProject) throws -> Void = { project in
    try project.write("data/x", "x")
    try project.write("data/noise.tmp", "noise")
  }

  private static func input(_ content: String) -> Situation {
    Situation(
      value: .digest(of: content), prepare: { try $0.write($0.folder + "/" + ByteString(content), content) },
      options: ["--stdin"], input: ByteString(content))
  }

  private static func inner(_ content: String) -> Situation {
    Situation(
      value: .digest(of: content),
      prepare: { project in
        try project.write("data/other/y", "y")
        try project.write("data/inner/x", content)
      }, options: ["--input", "data"])
  }

  private static func glob(_ value: Value, _ change: @escaping @Sendable (TestProject) throws -> Void) -> Situation {
    Situation(
      value: value,
      prepare: { project in
        try project.write("data/old.csv", "old")
        try change(project)
      }, options: ["--input", "data/*.csv"])
  }
}

/// A task with one component that changes.
struct Step {
  let project: TestProject
  let component: ChangedComponent
  private let current = Current()

  private final class Current {
    var situation: ChangedComponent.Situation?
  }

  init(project: TestProject, component: ChangedComponent) {
    self.project = project
    self.component = component
  }

  func enter(_ situation: ChangedComponent.Situation) throws {
    try situation.prepare(project)
    current.situation = situation
  }

  func exec(_ options: [ByteString] = []) throws -> Outcome { try run("exec", options) }

  func check() throws -> Outcome { try run("check", ["--json"]) }

  func explain() throws -> JSON { try project.purser("explain", "--json", "step", environment: environment).json() }

  private var environment: [String: ByteString] {
    (current.situation?.environment ?? [:]).merging(
      ["ROOT": project.root, "PATH": project.folder + "/bin:/usr/bin:/bin"]
    ) { $1 }
  }

  private func run(_ command: ByteString, _ options: [ByteString]) throws -> Outcome {
    let situation = try #require(current.situation)
    let declared: [ByteString] = ["--project", project.root, "--task", "step", "--output", project.root + "/out"]
    return try project.purser(
      [command] + options + declared + situation.options + ["--", "sh", project.folder + "/step.sh"]
        + situation.arguments,
      in: situation.folder, environment: environment,
      input: situation.input.hasPrefix("/") ? situation.input : project.folder + "/" + situation.input)
  }

  /// The one reason, as JSON, that the change from one situation to another should give.
  func reasons(from first: ChangedComponent.Situation, to second: ChangedComponent.Situation) throws -> String {
    func json(_ value: ChangedComponent.Value) throws -> JSON {
      switch value {
      case .text(let text): return .string(text)
      case .digest(let content, let suffix):
        let copy = project.folder + "/digested"
        try project.write(copy, content)
        return .string(try project.digest(copy) + suffix)
      case .program(let path): return .string(try project.digest(path) + " executable")
      case .command(let arguments): return .string("sh \(project.folder.escaped)/step.sh \(arguments)")
      case .secret: return .string("secret")
      case .absent: return .null
      }
    }
    let change = JSON.object([
      ("group", .string(component.group)), ("name", .string(component.name)), ("was", try json(first.value)),
      ("is", try json(second.value)),
    ])
    let kind = component.group == "code" ? "codeChanged" : "inputsChanged"
    return JSON.array([.object([("kind", .string(kind)), ("changes", .array([change]))])]).serialized
  }

  /// The reasons that were given; digests that cannot be foretold become a word, once they are seen to differ.
  func masked(_ reasons: JSON?) throws -> String {
    let text = try #require(reasons).serialized
    guard case .secret = component.first.value, let change = reasons?.array?.first?["changes"]?.array?.first,
      let was = change["was"]?.string, let now = change["is"]?.string
    else { return text }
    #expect(was != now)
    #expect(was.count == 64 && now.count == 64)
    return text.replacing(was, with: "secret").replacing(now, with: "secret")
  }
}
