import PurserHashing
public import PurserModel

/// `settings.storage_keys`: which branches' records stand under which key.
public struct StorageKeyRule: Sendable, Hashable {
  /// A branch, or a pattern of branches, as written.
  public var branch: String
  /// The storage key, as written.
  public var storageKey: String

  /// Makes a rule.
  public init(branch: String, storageKey: String) {
    self.branch = branch
    self.storageKey = storageKey
  }

  /// Whether it is for all branches that match, and not only for the one of its name.
  var isPattern: Bool { Glob.isPattern(ByteString(branch)) || branch.utf8.contains(UInt8(ascii: "{")) }
}

extension PipelineFile {
  /// The key that a branch is mapped to: by its own name, else by the first pattern that matches it. As Purser writes
  /// keys (see ``ByteString/escaped``); `nil` where no rule is for it.
  public func storageKey(ofBranch branch: ByteString) -> String? {
    let rule =
      storageKeys.first { ByteString($0.branch) == branch }
      ?? storageKeys.first { rule in
        rule.isPattern && (try? Glob(ByteString(rule.branch)))?.matches(branch) == true
      }
    return rule.map { ByteString($0.storageKey).escaped }
  }
}

extension PipelineParser {
  mutating func storageKeyRules(_ node: YAMLNode, _ field: @autoclosure () -> String) -> [StorageKeyRule] {
    var rules: [StorageKeyRule] = []
    for entry in entries(of: node, field()) {
      guard !entry.key.isEmpty else {
        error("\(field()) has an empty branch name; name a branch, or a pattern such as 'feature/*'", at: entry.mark)
        continue
      }
      guard let key = storageKey(entry.value, "the storage key of \(quoted(entry.key))") else { continue }
      let rule = StorageKeyRule(branch: entry.key, storageKey: key)
      if rule.isPattern {
        do throws(GlobError) {
          _ = try Glob(ByteString(rule.branch))
        } catch {
          self.error("the pattern \(quoted(entry.key)) of \(field()) \(error.message)", at: entry.mark)
        }
      }
      rules.append(rule)
    }
    return rules
  }

  /// A key that records can stand under.
  mutating func storageKey(_ node: YAMLNode, _ field: @autoclosure () -> String) -> String? {
    guard let key = text(node, field()) else { return nil }
    checkName(key, field(), at: node.mark)
    return key
  }
}

extension PipelineFileError {
  /// The first error with its place, and how many more there are: for who prints one line.
  package func summary(file: String) -> String {
    let errors = diagnostics.filter { $0.severity == .error }
    let first = errors.first.map { error in
      "\(file)\(error.mark.map { ":\($0.line):\($0.column)" } ?? ""): \(error.message)"
    }
    let more = errors.count > 1 ? " (and \(errors.count - 1) more)" : ""
    return (first ?? "\(file) cannot be used") + more
  }
}
