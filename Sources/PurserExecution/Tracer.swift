import CSpawn
import Glibc
import PurserModel

/// Follows one command's system calls, by a process of its own: what only Linux has, and some sandboxes do not permit.
final class Tracer {
  private let place: UnsafeMutablePointer<ctrace>
  private let isRunning: Bool
  /// Whether nobody is followed, or nobody any more.
  private var isAlone = true
  /// Why the command is not followed; 0 where it is.
  var failure: Int32

  /// Starts following nobody yet; a command that is spawned with ``handle`` comes under it.
  init(root: ByteString) {
    place = .allocate(capacity: 1)
    place.initialize(to: ctrace())
    failure = root.withCString { [place] in ctrace_begin($0, place) }
    isRunning = failure == 0
  }

  deinit {
    if isRunning { ctrace_end(place, isAlone) }
    place.deallocate()
  }

  /// For a request to spawn; `nil` where there is no tracer.
  var handle: UnsafePointer<ctrace>? { isRunning ? UnsafePointer(place) : nil }

  /// What was done until now. What outlives the command is followed on, but not reported.
  func report() -> Trace {
    guard failure == 0 else { return .missing(Self.words(for: failure)) }
    var bytes: UnsafeMutableRawPointer?
    var size = 0
    let code = ctrace_report(place, &bytes, &size)
    guard code == 0, let bytes else { return .missing("its tracer is gone: \(ExecutionError.text(code))") }
    defer { free(bytes) }
    let report = UnsafeRawBufferPointer(start: bytes, count: size)
    isAlone = size >= 4 && report.loadUnaligned(as: UInt32.self) & CTRACE_ALONE.rawValue != 0
    return Trace(report: Array(report))
      ?? .missing("its tracer said what nobody understands")
  }

  private static func words(for number: Int32) -> String {
    switch number {
    case ENOSYS: "this kernel, or this kind of machine, has no tracing that Purser knows"
    case EPERM, EACCES: "ptrace is not permitted here (a sandbox, or it is traced already)"
    default: "it cannot be traced: \(ExecutionError.text(number))"
    }
  }
}

extension Trace {
  fileprivate static func missing(_ why: String) -> Trace {
    var trace = Trace()
    trace.gap = why
    trace.isEmptyHanded = true
    return trace
  }

  /// Reads what `ctrace_report` gave; `nil` for anything else.
  init?(report: [UInt8]) {
    var reader = ByteReader(report)
    guard let notes: UInt32 = reader.readInteger() else { return nil }
    self.init()
    while !reader.isAtEnd {
      guard let flags: UInt32 = reader.readInteger(), let length: UInt32 = reader.readInteger(),
        let bytes = reader.readBytes(Int(length))
      else { return nil }
      if bytes.first == 0 {
        let program = ByteString(bytes[1...])
        if flags & CTRACE_FOREIGN.rawValue != 0 { refused.append(program) }
        if flags & CTRACE_PRIVILEGED.rawValue != 0 { privileged.append(program) }
      } else {
        uses[ByteString(bytes: bytes)] = Use(rawValue: flags)
      }
    }
    if notes & CTRACE_RING.rawValue != 0 {
      gap = "it uses io_uring, by which files are opened unseen"
    } else if notes & CTRACE_INCOMPLETE.rawValue != 0 {
      gap = "some of the names that it used could not be read"
    }
  }
}
