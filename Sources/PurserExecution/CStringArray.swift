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
      for byte in string.bytes {
        next.pointee = CChar(bitPattern: byte)
        next += 1
      }
      next.pointee = 0
      next += 1
    }
    pointers[strings.count] = nil
  }

  deinit {
    pointers.deallocate()
    storage.deallocate()
  }
}
