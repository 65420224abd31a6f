package import PurserModel

/// What to run: an argument vector with its whole surroundings; nothing is inherited that is not named here.
package struct Command: Sendable {
  /// The arguments. `argv[0]` is looked up on the `PATH` of `environment` when it has no `/`, and kept as `argv[0]`.
  package var argv: [ByteString]

  /// The file to execute where it is known, absolute or relative to the working directory, instead of looking `argv[0]` up.
  package var program: ByteString?

  /// The whole environment, each element `NAME=value`.
  package var environment: [ByteString]

  /// Absolute path of the folder that the command starts in. Relative elements of `PATH` start there too.
  package var workingDirectory: ByteString

  /// An open descriptor that becomes the command's standard input; it stays the caller's. `nil` is `/dev/null`.
  package var standardInput: Int32?

  /// How long the command may run before it, and all that it started, is asked to end. `nil` is for ever.
  package var timeout: Duration?

  /// The time between SIGTERM and SIGKILL after a timeout.
  package var grace: Duration

  /// Whether a second SIGINT or SIGTERM that this process gets while the command runs kills it, and all that it
  /// started, at once. Otherwise that one is passed on like the first.
  ///
  /// What comes within a tenth of a second of the same signal is not a second one: `timeout(1)` and others send theirs
  /// to a process and to its group.
  package var escalates: Bool

  /// Passed on to the command as SIGTERM when it is requested; `nil` where nobody does.
  package var cancellation: Cancellation?

  /// Whether signals that this process gets are kept from the command; a key on the terminal still reaches it.
  package var isShielded = false
  /// Whether what the command leaves behind, its parent dead, becomes this process's for as long as the command runs, so
  /// that it can be found and ended with it. Not in a program that has other children: they could be taken for such.
  package var adoptsOrphans = true
  /// The folder, a real path, whose files the command is followed to, with all that it starts; `nil` to leave it alone.
  package var tracedRoot: ByteString?

  /// Describes a command; by default without input, without a timeout, with 5 seconds of grace.
  package init(
    argv: [ByteString],
    environment: [ByteString] = [],
    workingDirectory: ByteString = "/",
    standardInput: Int32? = nil,
    timeout: Duration? = nil,
    grace: Duration = .seconds(5),
    escalates: Bool = false
  ) {
    self.argv = argv
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.standardInput = standardInput
    self.timeout = timeout
    self.grace = grace
    self.escalates = escalates
  }
}
