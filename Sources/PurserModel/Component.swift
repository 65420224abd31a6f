/// One named part of a fingerprint: what it is, what it is called, and its value or digest.
public struct Component: Sendable, Hashable {
  /// What kind of part this is; decides the group and the first byte of its encoding.
  public var tag: Tag
  /// The path, variable, tool or task it is about; empty where there is only one of the kind.
  public var name: ByteString
  /// What it was when the fingerprint was taken.
  public var value: Value

  /// Makes a component.
  public init(_ tag: Tag, _ name: ByteString, _ value: Value) {
    self.tag = tag
    self.name = name
    self.value = value
  }

  /// Which of the three columns of a task record a component belongs to.
  public enum Group: UInt8, Sendable, CaseIterable {
    case code = 1
    case inputs = 2
    case data = 3
  }

  /// The kinds of component. The raw value is part of the action key's format (see `ActionKey`): the high half is
  /// the group. A value is never re-used for another meaning.
  public enum Tag: UInt8, Sendable, CaseIterable {
    case codeFile = 0x10
    case codeTree = 0x11
    case codeLink = 0x12
    case codePattern = 0x13
    case argv = 0x14
    case argument = 0x15
    case environment = 0x16
    case toolPath = 0x17
    case toolFile = 0x18
    case toolConfiguration = 0x19
    case workingDirectory = 0x1a
    case outputPattern = 0x1b
    case form = 0x1c
    case codeForm = 0x1d
    case codeDefinition = 0x1e
    case usedFile = 0x1f
    case inputFile = 0x20
    case inputTree = 0x21
    case inputLink = 0x22
    case inputPattern = 0x23
    case standardInput = 0x24
    case upstreamOutputs = 0x25
    case tracedFile = 0x26
    case tracedFolder = 0x27
    case upstreamData = 0x30
    case parameter = 0x31

    /// The column of the task record that holds it.
    public var group: Group {
      switch rawValue >> 4 {
      case 1: .code
      case 2: .inputs
      default: .data
      }
    }
  }

  /// A component's value. Absent and empty differ, and so do the kinds.
  public enum Value: Sendable, Hashable {
    /// Not there, as an environment variable that is not set.
    case absent
    /// Literal bytes.
    case text(ByteString)
    /// The content of a regular file (`sha256sum`'s digest), and whether it may be executed.
    case file(Digest, isExecutable: Bool)
    /// The digest of anything else: a tree, a keyed digest of a secret, an upstream's version.
    case digest(Digest)
    /// A list of literals, such as argv.
    case list([ByteString])
  }

  /// The name as people see it: the path itself, or `env HOME`, `tool python3`, `argv`, `task clean`.
  public var label: String { label(name.escaped) }

  /// The same for messages: without control characters.
  public var printableLabel: String { label(name.printable) }

  private func label(_ text: String) -> String {
    switch tag {
    case .codeFile, .codeTree, .inputFile, .inputTree, .codeForm, .codeDefinition, .usedFile, .tracedFile: text
    case .codeLink, .inputLink: "link \(text)"
    case .codePattern, .inputPattern: "pattern \(text)"
    case .argv: "argv"
    case .argument: "arg \(text)"
    case .environment: "env \(text)"
    case .toolPath: "tool \(text) path"
    case .toolFile: "tool \(text)"
    case .toolConfiguration: "tool \(text) pyvenv.cfg"
    case .workingDirectory: "working directory"
    case .outputPattern: "output \(text)"
    case .form: "\(text)"
    case .standardInput: "standard input"
    case .upstreamOutputs: "outputs of \(text)"
    case .upstreamData: "data of \(text)"
    case .tracedFolder: "names in \(text)"
    case .parameter: "parameter \(text)"
    }
  }
}

extension Component.Group: CustomStringConvertible {
  public var description: String {
    switch self {
    case .code: "code"
    case .inputs: "inputs"
    case .data: "data"
    }
  }
}

extension Component.Value {
  /// The value in full: text as it is, a digest in hex; `nil` where absent.
  public var text: String? {
    switch self {
    case .absent: nil
    case .text(let bytes): bytes.escaped
    case .file(let digest, let isExecutable): isExecutable ? digest.hex + " executable" : digest.hex
    case .digest(let digest): digest.hex
    case .list(let items): items.map(\.shellQuoted).joined(separator: " ")
    }
  }

  /// The value for a table: digests cut to 12 digits.
  public var short: String {
    switch self {
    case .absent: "absent"
    case .text(let bytes): bytes.printable
    case .file(let digest, let isExecutable): isExecutable ? digest.short + " (executable)" : digest.short
    case .digest(let digest): digest.short
    case .list(let items): items.map(\.shellQuoted).joined(separator: " ")
    }
  }
}

extension ByteString {
  /// The bytes as a POSIX shell would need them: unchanged where that is safe, else in single quotes; bytes that are
  /// not UTF-8 and control characters appear escaped.
  public var shellQuoted: String {
    let isSafe =
      !bytes.isEmpty
      && bytes.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "_-./=:,+@%".utf8.contains(byte)
        }
      }
    if isSafe { return escaped }
    var text = "'"
    for scalar in printable.unicodeScalars {
      if scalar == "'" { text += "'\\''" } else { text.unicodeScalars.append(scalar) }
    }
    return text + "'"
  }
}
