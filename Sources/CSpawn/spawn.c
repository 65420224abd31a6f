#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
// glibc has P_PIDFD as an enumerator, which #ifdef cannot see.
#define WAIT_BY_PIDFD ((idtype_t)3)

// Enough for the handful of frames below; execve itself runs on the kernel's stack.
enum { STACK_SIZE = 16 * 1024, THREAD_STACK_SIZE = 64 * 1024, LAST_SIGNAL = 64, BUSY_ATTEMPTS = 100 };

struct child {
  const struct cspawn_request *request;
  struct cspawn_result *result;
  pid_t parent;
  bool gives_way;
};

// Whether this thread's policy was changed, by itself or, for a thread that it was inherited by, before it began.
static _Thread_local bool gives_way;
static atomic_bool anyone_gives_way;

static void be_scheduled(int policy) {
  const struct sched_param none = {0};
  sched_setscheduler(0, policy, &none);
}

void cspawn_give_way(void) {
  int policy = sched_getscheduler(0);
  // What the process was started with stays, batch too.
  if (policy != SCHED_OTHER && !(policy == SCHED_BATCH && atomic_load(&anyone_gives_way))) return;
  atomic_store(&anyone_gives_way, true);
  gives_way = true;
  be_scheduled(SCHED_BATCH);
}

void cspawn_give_way_again(void) {
  if (gives_way) be_scheduled(SCHED_BATCH);
}

void cspawn_take_part(void) {
  if (gives_way) be_scheduled(SCHED_OTHER);
}

static int fail(struct child *child, int step) {
  child->result->step = step;
  child->result->failure = errno;
  return 127;
}

// By system call, since the wrappers refuse the two real-time signals that the C library keeps for itself, and those
// too may have been inherited as ignored. An all-zero kernel sigaction is SIG_DFL in every architecture's layout.
static void reset_signals(uint64_t ignored) {
  unsigned long action[8];
  memset(action, 0, sizeof action);
  for (int signal = 1; signal <= LAST_SIGNAL; signal++) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    action[0] = ignored >> (signal - 1) & 1 ? (unsigned long)SIG_IGN : (unsigned long)SIG_DFL;
    syscall(SYS_rt_sigaction, signal, action, NULL, LAST_SIGNAL / 8);
  }
}

static void close_from(unsigned first) {
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
  // Kernels before 5.9, and sandboxes that do not know the call.
  long limit = sysconf(_SC_OPEN_MAX);
  if (limit < 0 || limit > 1 << 20) limit = 1 << 20;
  for (long descriptor = first; descriptor < limit; descriptor++) close((int)descriptor);
}

// A program that is open for writing cannot be executed. Where this process wrote it, and closed it again, another
// child of ours that is just being started may still hold a copy, but not for long.
static void execute(struct child *child, const char *path) {
  const struct timespec pause = {.tv_nsec = 1000 * 1000};
  for (int attempt = 0; attempt < BUSY_ATTEMPTS; attempt++) {
    if (attempt > 0) nanosleep(&pause, NULL);
    execve(path, child->request->argv, child->request->envp);
    if (errno != ETXTBSY) return;
  }
}

// As execvp: a missing file leads to the next candidate, one that may not be run is remembered, a file that is no
// binary and has no "#!" line is a shell script.
static int try_candidates(struct child *child) {
  const struct cspawn_request *request = child->request;
  int denied = 0;
  size_t denied_at = 0;
  child->result->candidate = 0;
  errno = ENOENT;
  for (size_t index = 0; request->candidates[index] != NULL; index++) {
    const char *path = request->candidates[index];
    child->result->candidate = index;
    execute(child, path);
    if (errno == ENOEXEC) {
      request->shell_argv[1] = (char *)path;
      execve("/bin/sh", request->shell_argv, request->envp);
      return fail(child, CSPAWN_STEP_EXEC);
    }
    if (errno == EACCES && denied == 0) {
      denied = EACCES;
      denied_at = index;
    }
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES && errno != ENAMETOOLONG && errno != ESTALE &&
        errno != ENODEV && errno != ETIMEDOUT) {
      return fail(child, CSPAWN_STEP_EXEC);
    }
  }
  if (denied != 0) {
    child->result->candidate = denied_at;
    errno = denied;
  }
  return fail(child, CSPAWN_STEP_EXEC);
}

// Whoever cannot be followed runs all the same.
static void be_traced(struct child *child, int socket) {
  int failure = socket < 0 ? errno : ctrace_join(socket, child->request->tracer->pid);
  if (socket >= 0) close(socket);
  child->result->tracing_failure = failure == 0 ? ctrace_filter() : failure;
}

// Runs in the child, in the parent's memory, on a stack of its own, with all signals blocked: system calls only.
static int run_child(void *argument) {
  struct child *child = argument;
  const struct cspawn_request *request = child->request;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before that call; then nobody would ever kill this child.
  if (getppid() != child->parent) return 128 + SIGKILL;
  // As early as can be: until then this is one more holder of all that the parent has open, and a program that it has
  // just written cannot be executed by anyone.
  if (dup2(request->input, 0) < 0 || dup2(request->output, 1) < 0 || dup2(request->error, 2) < 0) {
    return fail(child, CSPAWN_STEP_DESCRIPTORS);
  }
  // None of those above is needed any more.
  int tracer = request->tracer == NULL ? -1 : dup2(request->tracer->socket, 3);
  close_from(tracer < 0 ? 3 : 4);
  if (request->own_group && setpgid(0, 0) != 0) return fail(child, CSPAWN_STEP_GROUP);
  reset_signals(request->ignored);
  if (chdir(request->directory) != 0) return fail(child, CSPAWN_STEP_DIRECTORY);
  cspawn_file_limit_restore();
  if (child->gives_way) be_scheduled(SCHED_OTHER);
  if (request->tracer != NULL) be_traced(child, tracer);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  return try_candidates(child);
}

int cspawn_spawn(const struct cspawn_request *request, struct cspawn_result *result) {
  memset(result, 0, sizeof *result);
  result->pidfd = -1;
  struct child child = {.request = request, .result = result, .parent = getpid(), .gives_way = gives_way};
  // On this thread's own stack, since it stands still until the child is done with it. A mapping of its own would have
  // to be taken out of every processor's tables again.
  _Alignas(16) char stack[STACK_SIZE];
  // A handler of ours that ran in the child would write to our memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  pid_t pid = clone(run_child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &child, &pidfd);
  if (pid < 0) {
    fail(&child, CSPAWN_STEP_CLONE);
  } else if (result->step != CSPAWN_STEP_NONE) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    close(pidfd);
  } else {
    result->pid = pid;
    result->pidfd = pidfd;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result->step == CSPAWN_STEP_NONE ? 0 : -1;
}

int cspawn_reap(int pidfd, bool waits, bool *signalled, int *status) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  while (waitid(WAIT_BY_PIDFD, (id_t)pidfd, &info, WEXITED | (waits ? 0 : WNOHANG)) != 0) {
    if (errno != EINTR) return -1;
  }
  if (info.si_pid == 0) return 0;
  *signalled = info.si_code != CLD_EXITED;
  *status = info.si_status;
  return 1;
}

bool cspawn_has_failed(int pidfd) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  int options = WEXITED | WNOHANG | WNOWAIT;
  if (waitid(WAIT_BY_PIDFD, (id_t)pidfd, &info, options) != 0 || info.si_pid == 0) return false;
  return info.si_code != CLD_EXITED || info.si_status != 0;
}

static void *wait_for(void *argument) {
  int pidfd = (int)(intptr_t)argument;
  siginfo_t info;
  while (waitid(WAIT_BY_PIDFD, (id_t)pidfd, &info, WEXITED) != 0 && errno == EINTR) {
  }
  close(pidfd);
  return NULL;
}

void cspawn_reap_eventually(int pidfd) {
  bool signalled;
  int status;
  if (cspawn_reap(pidfd, false, &signalled, &status) != 0) {
    close(pidfd);
    return;
  }
  // The thread takes no signals; it inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
  pthread_t thread;
  // Without a thread, the zombie stays until this process ends.
  if (pthread_create(&thread, &attributes, wait_for, (void *)(intptr_t)pidfd) != 0) close(pidfd);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int cspawn_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int cspawn_pidfd_kill(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 ? 0 : errno;
}
