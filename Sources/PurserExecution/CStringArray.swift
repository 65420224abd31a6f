import Glibc
import PurserModel

/// A NULL-terminated array of C strings, as `execve` wants it; one allocation for the strings, one for the pointers.
struct CStringArray: ~Copyable {
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let storage: UnsafeMutablePointer<CChar>

  init(_ strings: [ByteString]) {
    storage = .allocate(capacity: strings.reduce(1) { $0 + $1.count + 1 })
    pointers = .allocate(capacity: strings.count + 1)
    var next = storage
    for (index, string) in strings.enumerated() {
      pointers[index] = next
      string.bytes.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress { memcpy(next, base, bytes.count) }
      }
      next[string.count] = 0
      next += string.count + 1
    }
    pointers[strings.count] = nil
  }

  /// Whether one of the strings holds a NUL byte, which would end it early.
  static func cannotHold(_ strings: [ByteString]) -> Bool {
    strings.contains { string in
      string.bytes.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return false }
        return memchr(base, 0, bytes.count) != nil
      }
    }
  }

  deinit {
    pointers.deallocate()
    storage.deallocate()
  }
}
