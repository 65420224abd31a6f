import CLinux
import Glibc
import Synchronization

/// The clock that file systems stamp their files with.
package protocol FileClock: Sendable {
  /// Nanoseconds since 1970, UTC, no later than the time that a write would be stamped with from now on.
  func now() -> Int64

  /// How far apart two stamps of one file system may be and still read the same, in nanoseconds.
  ///
  /// - Parameters:
  ///   - descriptor: any open file on the file system.
  ///   - device: that file's device; answers are remembered by it.
  func granularity(ofDescriptor descriptor: Int32, device: UInt64) -> Int64
}

/// The kernel's coarse clock, which stamps files.
package final class SystemFileClock: FileClock {
  /// Two seconds: FAT's, and the safe guess for a file system that is not known.
  package static let coarsest: Int64 = 2_000_000_000

  /// `f_type` of the file systems that stamp with CLOCK_REALTIME_COARSE or finer: ext4, xfs, btrfs, tmpfs, overlayfs.
  private static let fine: [Int64] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630]

  private let twoTicks: Int64
  /// A list: there are few devices, and the first use of a dictionary's type costs a short-lived process more.
  private let byDevice = Mutex<[(device: UInt64, granularity: Int64)]>([])

  package init() {
    var resolution = timespec()
    // 4 ms at 250 Hz; 10 ms, the longest tick of any kernel, where the call fails.
    let known = clock_getres(CLOCK_REALTIME_COARSE, &resolution) == 0
    twoTicks = 2 * (known ? FileIdentity.nanoseconds(resolution) : 10_000_000)
  }

  package func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME_COARSE, &time)
    return FileIdentity.nanoseconds(time)
  }

  package func granularity(ofDescriptor descriptor: Int32, device: UInt64) -> Int64 {
    if let known = byDevice.withLock({ $0.first { $0.device == device } }) { return known.granularity }
    let type = purser_filesystem_type(descriptor)
    guard type >= 0 else { return Self.coarsest }
    let granularity = Self.fine.contains(type) ? twoTicks : Self.coarsest
    byDevice.withLock { $0.append((device, granularity)) }
    return granularity
  }
}
