import CSpawn
import Glibc
import PurserModel

/// Runs commands as child processes of this one.
///
/// The command's output goes through one pipe for each stream, also where this process's standard output and error are
/// one file (`2>&1`, a terminal). Two pipes do not tell in which order they were written, so the order across the streams
/// is that of arrival. A single pipe would keep it exactly, but a log that does not know its streams cannot be replayed
/// to two places: a later `> file` would hold what was an error message.
///
/// The command leads a process group of its own, so that signals and timeouts reach all of it; but if this process is
/// in the foreground of its terminal, the command stays in its group, so that Ctrl-C, Ctrl-Z and reading from the
/// terminal work as without us.
///
/// - Important: The command is killed when the *thread* that called ``run(_:capture:output:ready:started:ended:)`` ends
///   (PR_SET_PDEATHSIG). Call it from a thread that lives as long as the process, such as the main one, or from a
///   ``WorkerPool``.
package struct LocalExecutor: Executor {
  private let standardOutput: Int32
  private let standardError: Int32

  /// An executor that passes output on to two descriptors of the caller's. Any number of threads may use it at once.
  package init(standardOutput: Int32 = 1, standardError: Int32 = 2) {
    self.standardOutput = standardOutput
    self.standardError = standardError
  }

  package func run(
    _ command: Command,
    capture: LogSpool,
    output route: OutputRoute,
    ready: () throws -> Void,
    started: (ChildProcess) throws -> Void,
    ended: () -> Void
  ) throws -> Completion {
    let name = command.argv.first ?? ""
    let spawner = try Spawner(command)
    try ready()
    // Only now: who waits reads no signals, and many may wait, who had better not hold many open files.
    let output = try makePipe(for: name)
    let error = try makePipe(for: name)
    let ownGroup = !cspawn_in_foreground()
    let signals: SignalScope
    do throws(SystemError) {
      signals = try SignalScope(
        jobControl: ownGroup, adopting: command.adoptsOrphans && (command.timeout != nil || command.escalates))
    } catch {
      throw ExecutionError.system(
        "signals cannot be caught", command: name, errno: error.number,
        next: "raise the limit on open files (ulimit -n)")
    }
    do {
      var supervisor = try start(command, spawner, output, error, capture: capture, route: route, ownGroup, signals)
      let pid = supervisor.process.pid
      let child = ChildProcess(
        pid: pid, startTime: supervisor.descendants?.startTime ?? 0, processGroup: ownGroup ? pid : nil)
      do {
        try started(child)
      } catch {
        supervisor.abort(signals)
        throw error
      }
      var completion = supervisor.run(signals, ended: ended)
      let late = signals.end(raising: false)
      completion.interruption = completion.interruption ?? (command.isShielded ? nil : late)
      completion.trace = supervisor.process.tracer?.report()
      return completion
    } catch {
      _ = signals.end(raising: true)
      throw error
    }
  }

  /// Starts the command with its pipes, and closes our copies of the ends that it writes to.
  private func start(
    _ command: Command, _ spawner: consuming Spawner, _ output: consuming Pipe, _ error: consuming Pipe,
    capture: LogSpool, route: OutputRoute, _ ownGroup: Bool, _ signals: borrowing SignalScope
  ) throws(ExecutionError) -> Supervisor {
    let pipes = [output.inode, error.inode]
    signals.announce()
    let tracer = command.tracedRoot.map { Tracer(root: $0) }
    let earlier = ProcessTable.childrenOfFirstThread()
    let time = MonotonicTime.now()
    let process: Spawner.Spawned
    do throws(ExecutionError) {
      process = try spawner.spawn(
        output: output.writing.number, error: error.writing.number, ownGroup: ownGroup,
        ignoredSignals: signals.ignored, tracer: tracer)
    } catch {
      signals.renounce()
      throw error
    }
    signals.register(pid: process.pid, group: ownGroup ? process.pid : nil)
    let descendants = ProcessTable.entry(of: process.pid).map {
      Descendants(
        of: $0, ownGroup: ownGroup, pipes: pipes, earlier: earlier, adoptsOrphans: command.adoptsOrphans)
    }
    return Supervisor(
      command: command, capture: capture, process: process, ownGroup: ownGroup,
      first: stream(1, from: output.reading, route, passingTo: standardOutput),
      second: stream(2, from: error.reading, route, passingTo: standardError),
      descendants: descendants, started: time)
  }

  private func stream(
    _ number: UInt8, from source: consuming Descriptor, _ route: OutputRoute, passingTo target: Int32
  ) -> OutputStream {
    switch route {
    case .discard: OutputStream(number: number, source: source, sink: nil, lines: nil)
    case .passThrough: OutputStream(number: number, source: source, sink: OutputSink(target), lines: nil)
    case .lines(let deliver):
      OutputStream(
        number: number, source: source, sink: nil, lines: LineSplitter(stream: number, deliver: deliver))
    }
  }

  private func makePipe(for name: ByteString) throws(ExecutionError) -> Pipe {
    do throws(SystemError) {
      return try Pipe()
    } catch {
      throw .system(
        "no pipe could be made", command: name, errno: error.number, next: "raise the limit on open files (ulimit -n)")
    }
  }
}
