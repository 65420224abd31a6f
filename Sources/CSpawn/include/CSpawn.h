// What Swift cannot do safely between the creation of a process and its exec, and inside a signal handler.
//
// Everything here is plain C on purpose: the child of cspawn_spawn shares the parent's memory until it execs, and the
// signal handler may run on any thread at any time, so neither may touch the Swift runtime, locks or the allocator.
#ifndef CSPAWN_H
#define CSPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// What cspawn_spawn is to run. All pointers stay the caller's and need to live until the call returns.
struct cspawn_request {
  /// Paths to try in turn, ended by NULL.
  const char *const *candidates;
  char *const *argv;
  /// argv for a file without a "#!" line: "/bin/sh", a slot that is overwritten, argv[1] and so on, NULL.
  char **shell_argv;
  char *const *envp;
  const char *directory;
  /// Become 0, 1 and 2; each has to be at least 3, so that none is overwritten before it was copied.
  int input;
  int output;
  int error;
  /// Whether the child leads a process group of its own.
  bool own_group;
  /// Signals that stay ignored in the child (bit n-1 for signal n); all others have their default action.
  uint64_t ignored;
  /// The tracer that is to follow the child and all that it starts; NULL for none.
  const struct ctrace *tracer;
};

/// The step at which a spawn failed.
enum cspawn_step {
  CSPAWN_STEP_NONE = 0,
  CSPAWN_STEP_CLONE,
  CSPAWN_STEP_DESCRIPTORS,
  CSPAWN_STEP_DIRECTORY,
  CSPAWN_STEP_GROUP,
  CSPAWN_STEP_EXEC,
};

struct cspawn_result {
  pid_t pid;
  /// Close-on-exec; the caller closes it.
  int pidfd;
  int step;
  /// errno of the step that failed.
  int failure;
  /// Index of the candidate that `failure` is about.
  size_t candidate;
  /// errno of what kept the tracer from following the child, which then runs as without it; 0 where it follows.
  int tracing_failure;
};

/// Starts a process; 0, or -1 with `step` and `failure` set and no process left behind.
///
/// The child is killed (SIGKILL) when the calling *thread* ends. Returns after the exec, so a failed exec is known.
int cspawn_spawn(const struct cspawn_request *request, struct cspawn_result *result);

/// Lets this thread give way to the commands that it starts, and to others: when it wakes, it waits until they have had
/// their turn (SCHED_BATCH), so that what surrounds short commands does not interrupt them. They do not inherit that.
/// For a thread of its own; one that has another policy than the usual one keeps it.
void cspawn_give_way(void);

/// For such a thread while it does somebody else's work, and for a child of one: takes part as others do.
void cspawn_take_part(void);

/// After cspawn_take_part.
void cspawn_give_way_again(void);

/// Reaps a process by its pidfd: 1 reaped, 0 still running, -1 errno. `waits` blocks until it can be reaped: one that is
/// followed has ended before its tracer gives it up. `signalled` tells whether `status` is a signal number or an exit
/// code.
int cspawn_reap(int pidfd, bool waits, bool *signalled, int *status);

/// Whether a process has ended otherwise than by exit code 0. It is not reaped.
bool cspawn_has_failed(int pidfd);

/// Reaps a child that this process adopted, by its pidfd, whenever it ends: at once if it has ended, else by a thread
/// that waits for it. The pidfd is closed. A zombie that stays would confuse whoever waits for any child.
void cspawn_reap_eventually(int pidfd);

/// A process that follows a command's system calls.
struct ctrace {
  pid_t pid;
  /// Close-on-exec, both.
  int pidfd;
  int socket;
};

/// What a command did with a file or a folder.
enum ctrace_flags {
  /// Opened it for reading, and had not written to it.
  CTRACE_READ = 1 << 0,
  /// Executed it.
  CTRACE_RUN = 1 << 1,
  /// Read the names in it.
  CTRACE_LISTED = 1 << 2,
  /// Looked for it, and it was not there.
  CTRACE_MISSING = 1 << 3,
  /// Opened it for writing, made, moved or removed it.
  CTRACE_WRITTEN = 1 << 4,
  /// Made it, a folder.
  CTRACE_MADE = 1 << 5,
  /// Removed it, or moved it away, though it had been there before.
  CTRACE_REMOVED = 1 << 6,
  /// A program for another kind of machine than the filter is for, which was killed; the name begins with a NUL.
  CTRACE_FOREIGN = 1 << 16,
  /// A program that would have had more privileges; the name begins with a NUL.
  CTRACE_PRIVILEGED = 1 << 17,
};

/// What is to be known of the report itself.
enum ctrace_notes {
  /// Some names could not be read, or were too many.
  CTRACE_INCOMPLETE = 1 << 0,
  /// A process used io_uring, which opens files without system calls.
  CTRACE_RING = 1 << 1,
  /// Nobody is followed any more.
  CTRACE_ALONE = 1 << 2,
};

/// Starts a tracer for the command that is spawned next, and tells its files by their paths from `root`, a real path.
/// 0, or errno: ENOSYS where this machine's architecture is not known here.
///
/// The tracer is a process of its own, so that it can stay with what outlives the command: a filter for system calls
/// cannot be taken away again, and without a tracer those calls would fail.
int ctrace_begin(const char *root, struct ctrace *tracer);

/// What was done until now, 0 or errno; the caller frees the report. A 64-bit length of what follows, 32 bits of
/// ctrace_notes, and for each file 32 bits of flags, 32 bits of length, and the name.
int ctrace_report(const struct ctrace *tracer, void **report, size_t *size);

/// Leaves the tracer alone: it ends when nothing that it follows is left. If that is so now (`is_alone`), its end is
/// waited for, so that nothing of it is left here either.
void ctrace_end(struct ctrace *tracer, bool is_alone);

/// For the child of cspawn_spawn: lets the tracer take hold of this process by a copy of its socket. 0, or errno.
int ctrace_join(int socket, pid_t tracer);

/// For the child of cspawn_spawn: from now on, the calls that matter stop for the tracer. 0, or errno.
int ctrace_filter(void);

/// Opens a pidfd (close-on-exec), or -1.
int cspawn_pidfd_open(pid_t pid);

/// Sends a signal through a pidfd: 0, or errno.
int cspawn_pidfd_kill(int pidfd, int signal);

/// Moves a descriptor that is where a closed standard stream was to 3 or above, close-on-exec; -1 and errno, with the
/// descriptor closed, if that fails. Others, and -1, are returned as they are.
int cspawn_raise(int descriptor);

/// A pipe, reading end first, close-on-exec, neither end below 3; `quiet` makes the named ends (1 reading, 2 writing)
/// non-blocking. 0, or errno.
int cspawn_pipe(int ends[2], int quiet);

/// Raises this process's limit on open files, as far as it may be and many commands at once need. The usual limit is
/// there for programs that use select(2), so commands do not inherit the raised one.
void cspawn_file_limit_raise(void);

/// Gives a child, before it executes anything, the limit that was before.
void cspawn_file_limit_restore(void);

/// A file in a folder that has no name (any more), for reading and writing, close-on-exec; -1 and errno if it fails.
int cspawn_unnamed_file(const char *directory);

/// Whether this process is in the foreground process group of its controlling terminal.
bool cspawn_in_foreground(void);

/// A signal that this process got.
struct cspawn_signal {
  int32_t number;
  /// siginfo's si_code: SI_KERNEL for one that a key on the terminal made.
  int32_t origin;
  /// Whether it came right after the same signal: sent twice for one cause.
  bool is_echo;
};

/// Makes SIGINT, SIGTERM, SIGHUP and SIGQUIT (and SIGTSTP, SIGCONT for `job_control`) readable from a slot, for as
/// long as one is held; those that the process was started ignoring stay ignored, and are put into `ignored`.
///
/// Meanwhile SIGPIPE and SIGXFSZ are ignored, SIGCHLD has its default action, and with `adopting` orphaned descendants
/// of this process become its children. Up to 1,024 slots may be held, by any threads; every slot sees every signal,
/// except SIGTSTP, which the first one sees.
/// Returns a slot, or -errno. The signals are unblocked in the calling thread until cspawn_signals_end.
int cspawn_signals_begin(bool job_control, bool adopting, uint64_t *ignored);

/// Takes a slot without a command, so that the process outlives SIGINT, SIGTERM, SIGHUP and SIGQUIT between commands;
/// job control has its usual effect there. Otherwise as cspawn_signals_begin, and ended and freed in the same way.
int cspawn_watch_begin(void);

/// The first interruption that a watch's slot got, or 0, and how many, those that are echoes not counted.
void cspawn_watch_state(int slot, int *first, int *count);

/// Blocks all those signals in the calling thread, so that they reach other threads of the process. While the thread
/// holds a slot, they are unblocked.
void cspawn_signals_leave(void);

/// Sees to it that what was sent to the process before can be read by cspawn_signals_next. For the thread that began.
/// Thoroughly: also what another thread has just taken; looks at the states of threads, and may wait for 50 ms.
void cspawn_signals_collect(bool thoroughly);

/// The descriptor to poll for the signals of a slot.
int cspawn_signals_descriptor(int slot);

/// Takes the next signal without blocking; false if there is none.
bool cspawn_signals_next(int slot, struct cspawn_signal *signal);

/// Ends the catching: the last slot restores the process's dispositions. True if this was the last. What came before
/// can still be read, until cspawn_signals_free. Has to be called on the thread that began, but for a watch.
bool cspawn_signals_end(int slot);

/// Gives the slot back.
void cspawn_signals_free(int slot);

/// Registers the command of a slot: its pid, and its process group if it leads one (else 0). Zeroes unregister.
void cspawn_signals_set_child(int slot, pid_t pid, pid_t group);

/// Tells that the slot's command is about to be started, or that it could not be: from the start on, it is a child of
/// this process that nobody knows, with copies of all that this process has open. Registering it ends that too.
void cspawn_signals_starting(int slot, bool starting);

/// Waits, for a second at most, until every command whose start was under way is registered; false if one is not.
bool cspawn_signals_settle(void);

/// Whether a pid is a registered command of any slot.
bool cspawn_signals_is_child(pid_t pid);

/// Whether this process adopted orphaned descendants, for any slot, at any time since this slot began.
bool cspawn_signals_adopted(int slot);

/// Whether this slot was the only command's all along: none was held when it began, none was begun since.
bool cspawn_signals_alone(int slot);

/// Stops the groups of all registered commands, then this process, as SIGTSTP does by default; when this process goes
/// on (or may not stop, as in an orphaned process group), lets the groups go on.
void cspawn_signals_stop(void);

#endif
