import Glibc
public import PurserModel

/// The variables that a process was given, as raw bytes. Injected everywhere, never read behind one's back.
public struct ProcessEnvironment: Sendable {
  /// `NAME=value`, in the order of the process.
  public private(set) var entries: [ByteString]

  /// Takes entries as they are.
  public init(entries: [ByteString]) {
    self.entries = entries
  }

  /// This process's own variables.
  public static var current: ProcessEnvironment {
    var entries: [ByteString] = []
    var next: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> = environ
    while let entry = next.pointee {
      entries.append(ByteString(UnsafeRawBufferPointer(start: entry, count: strlen(entry))))
      next += 1
    }
    return ProcessEnvironment(entries: entries)
  }

  /// The value of a variable; `nil` if it is not set. The first entry counts, as for `getenv`. O(entries).
  public subscript(name: ByteString) -> ByteString? {
    let prefix = name + "="
    return entries.first { $0.hasPrefix(prefix) }.map { ByteString($0.bytes.dropFirst(prefix.count)) }
  }

  /// The value of a variable; `nil` if it is not set or empty.
  subscript(nonEmpty name: ByteString) -> ByteString? {
    self[name].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The folders of PATH, in their order; absolute ones without "." and "..". O(entries).
  var searchFolders: [ByteString] {
    (self["PATH"] ?? "").bytes.split(separator: UInt8(ascii: ":")).map { bytes in
      let folder = ByteString(bytes)
      return folder.isAbsolutePath ? folder.normalizedPath : folder
    }
  }

  /// `user@host`, as far as it tells.
  var author: String {
    var name = utsname()
    uname(&name)
    let host = withUnsafeBytes(of: &name.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let user = self["USER"] ?? self["LOGNAME"]
    return "\(user?.escaped ?? "uid \(getuid())")@\(host)"
  }

  /// Sets or replaces a variable, given as `NAME=value`.
  mutating func set(entry: ByteString) {
    remove(ByteString(bytes: Array(entry.bytes.prefix { $0 != UInt8(ascii: "=") })))
    entries.append(entry)
  }

  /// Removes a variable.
  mutating func remove(_ name: ByteString) {
    let prefix = name + "="
    guard entries.contains(where: { $0.hasPrefix(prefix) }) else { return }
    entries.removeAll { $0.hasPrefix(prefix) }
  }

  /// Sets or replaces a variable.
  public mutating func set(_ name: ByteString, to value: ByteString) {
    remove(name)
    entries.append(name + "=" + value)
  }
}
