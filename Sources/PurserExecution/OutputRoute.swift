/// Where a command's output goes as it comes, besides being captured.
package enum OutputRoute: Sendable {
  /// Nowhere.
  case discard
  /// To this process's standard output and error, byte by byte as it is.
  case passThrough
  /// Line by line to a closure, with the stream (1 or 2) that it was printed to.
  ///
  /// A line comes without its newline, once that has come; what follows the last newline, when the stream ends. A line
  /// of more than 64 KiB comes in pieces of that size. Carriage returns are left in. The closure is called on the
  /// thread that runs the command; while it runs, the command's output waits, and so do signals and the timeout.
  case lines(@Sendable (_ stream: UInt8, _ line: [UInt8]) -> Void)
}
