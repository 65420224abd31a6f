import Glibc

/// A large file's content, read by a second thread while the caller hashes.
///
/// A ring of four pieces, each filled by the one and emptied
/// by the other; two semaphores count them.
final class OverlappedReader: @unchecked Sendable {
  // Guard: piece number n is written by the reading thread between taking from `free` and giving to `filled`, and read
  // by the hashing one between taking from `filled` and giving to `free`; `counts` likewise.

  private static let pieces = 4
  private let pieceSize: Int
  private let memory: UnsafeMutableRawPointer
  /// Bytes in each piece; 0 at the end of the file, minus `errno` after an error.
  private let counts: UnsafeMutablePointer<Int>
  private let free: UnsafeMutablePointer<sem_t>
  private let filled: UnsafeMutablePointer<sem_t>

  private init(pieceSize: Int) {
    self.pieceSize = pieceSize
    memory = .allocate(byteCount: Self.pieces * pieceSize, alignment: 4_096)
    counts = .allocate(capacity: Self.pieces)
    counts.initialize(repeating: 0, count: Self.pieces)
    free = .allocate(capacity: 1)
    filled = .allocate(capacity: 1)
    sem_init(free, 0, UInt32(Self.pieces))
    sem_init(filled, 0, 0)
  }

  deinit {
    sem_destroy(free)
    sem_destroy(filled)
    free.deallocate()
    filled.deallocate()
    counts.deallocate()
    memory.deallocate()
  }

  /// Calls `consume` with the content, piece by piece, up to `size` bytes or the end of the file.
  ///
  /// - Returns: the number of bytes, or minus `errno`; `nil` if no thread could be started and nothing was read.
  static func read(
    _ descriptor: Int32, size: Int64, pieceSize: Int, _ consume: (UnsafeRawBufferPointer) -> Void
  ) -> Int64? {
    let ring = OverlappedReader(pieceSize: pieceSize)
    let threads = WorkerThreads()
    guard threads.start({ ring.fill(descriptor, size) }) else { return nil }
    defer { threads.join() }
    var total: Int64 = 0
    var piece = 0
    while true {
      ring.take(ring.filled)
      let count = ring.counts[piece]
      guard count > 0 else { return count < 0 ? Int64(count) : total }
      consume(UnsafeRawBufferPointer(start: ring.memory + piece * pieceSize, count: count))
      total += Int64(count)
      sem_post(ring.free)
      piece = (piece + 1) % Self.pieces
    }
  }

  /// The reading thread: ends with a piece that is empty, or that tells of an error.
  private func fill(_ descriptor: Int32, _ size: Int64) {
    var left = size
    var piece = 0
    while true {
      take(free)
      var count = 0
      if left > 0 {
        repeat {
          count = Glibc.read(descriptor, memory + piece * pieceSize, pieceSize)
        } while count < 0 && errno == EINTR
        if count < 0 { count = -Int(errno) }
      }
      counts[piece] = count
      sem_post(filled)
      guard count > 0 else { return }
      left -= Int64(count)
      piece = (piece + 1) % Self.pieces
    }
  }

  private func take(_ semaphore: UnsafeMutablePointer<sem_t>) {
    while sem_wait(semaphore) != 0 && errno == EINTR {}
  }
}
