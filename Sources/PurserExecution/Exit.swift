/// How a command ended.
package enum Exit: Sendable, Equatable {
  /// It exited with this status, 0 to 255.
  case exited(Int32)
  /// This signal ended it.
  case signalled(Int32)
  /// It ran into its timeout and was ended, however it then exited.
  case timedOut

  /// The exit status to pass on to the user: the command's own, 128 + n for signal n, 124 for a timeout.
  package var code: Int32 {
    switch self {
    case .exited(let status): status
    case .signalled(let signal): 128 + signal
    case .timedOut: 124
    }
  }
}
