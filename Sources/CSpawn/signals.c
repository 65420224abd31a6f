#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Dispositions belong to the process, so what is known about them is static. Handlers and pipes instead of a signalfd:
// a signalfd needs the signals blocked in every thread, and this process has threads (a runtime's pool, a library
// user's) that know nothing of it.

// With so many slots, the usual limit on open files comes in sight.
enum { SLOTS = 1024, MANY = 64, SETTLE_MILLISECONDS = 1000, PATIENCE_MILLISECONDS = 50 };

// What came that soon after the same signal is taken for the same: timeout(1) signals its child and then the group
// that the child is in, npm passes on what the terminal has sent already. Nobody presses a key twice in that time.
static const int64_t echo_nanoseconds = 100 * 1000 * 1000;

struct slot {
  // Written once, under the lock, before `active`; never closed, since a handler on another thread may still be about
  // to write to it, and the number could by then be somebody else's file.
  int pipe[2];
  bool made;
  bool taken;
  atomic_bool active;
  atomic_int child;
  atomic_int group;
  // How many starts began and ended: odd while a process may be there that `child` does not tell.
  atomic_uint starts;
  // Holds no command, see cspawn_watch_begin; what it got so far.
  atomic_bool watching;
  atomic_int first_interruption;
  atomic_int interruptions;
  bool job_control;
  bool adopting;
  uint64_t adoptions;
  // Whether no other command's slot was held when this one began, and which one it was in the order of beginning.
  bool first;
  uint64_t turn;
  // The thread that began, and its mask before.
  pthread_t thread;
  atomic_int tid;
  sigset_t mask;
};

static struct slot slots[SLOTS];
// Slots from here on were never taken.
static atomic_int used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// Guarded by `lock`.
static int running;
static int commands;
static int controlling;
static uint64_t begun;
static uint64_t ignored_signals;
static int adopting_slots;
// How often the adopting ended.
static uint64_t adoptions;
static int was_subreaper;

enum { PASSED = 4, JOBS = 2, QUIET = 3 };
static const int passed_on[PASSED] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int job_signals[JOBS] = {SIGTSTP, SIGCONT};
static const int quiet[QUIET] = {SIGPIPE, SIGXFSZ, SIGCHLD};
static struct sigaction passed_before[PASSED], jobs_before[JOBS], quiet_before[QUIET];
// When one of `passed_on` came last that was no echo; 0 for never.
static _Atomic int64_t came[PASSED];
// How many threads are within the handler.
static atomic_int handling;

static bool is_echo(int number) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  int64_t now = time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
  for (int index = 0; index < PASSED; index++) {
    if (passed_on[index] != number) continue;
    int64_t before = atomic_load(&came[index]);
    if (before != 0 && now - before < echo_nanoseconds) return true;
    // Another thread that is at the same signal at the same time wins: then this one is the echo.
    return !atomic_compare_exchange_strong(&came[index], &before, now);
  }
  return false;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  int saved = errno;
  atomic_fetch_add(&handling, 1);
  bool of_jobs = number == SIGTSTP || number == SIGCONT;
  struct cspawn_signal signal = {.number = number, .origin = info->si_code, .is_echo = is_echo(number)};
  int end = atomic_load(&used);
  for (int index = 0; index < end; index++) {
    struct slot *slot = &slots[index];
    if (!atomic_load(&slot->active)) continue;
    if (atomic_load(&slot->watching)) {
      if (of_jobs) continue;
      int none = 0;
      atomic_compare_exchange_strong(&slot->first_interruption, &none, number);
      if (!signal.is_echo) atomic_fetch_add(&slot->interruptions, 1);
    }
    // A full pipe (thousands of unread signals) drops the signal: better than blocking in a handler.
    ssize_t written = write(slot->pipe[1], &signal, sizeof signal);
    (void)written;
    // Stopping is done once for the whole process.
    if (number == SIGTSTP) break;
  }
  atomic_fetch_sub(&handling, 1);
  errno = saved;
}

static struct sigaction catching(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&action.sa_mask);
  return action;
}

// Leaves alone what the process was started ignoring (nohup, a background job of a plain shell).
static void catch_signals(const int *numbers, int count, struct sigaction *before) {
  struct sigaction action = catching();
  for (int index = 0; index < count; index++) {
    sigaction(numbers[index], NULL, &before[index]);
    bool is_ignored = !(before[index].sa_flags & SA_SIGINFO) && before[index].sa_handler == SIG_IGN;
    if (is_ignored && numbers[index] != SIGCONT) {
      ignored_signals |= UINT64_C(1) << (numbers[index] - 1);
    } else {
      sigaction(numbers[index], &action, NULL);
    }
  }
}

static void begin_process(void) {
  ignored_signals = 0;
  for (int index = 0; index < PASSED; index++) atomic_store(&came[index], 0);
  catch_signals(passed_on, PASSED, passed_before);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  for (int index = 0; index < QUIET; index++) {
    // With SIGCHLD ignored (inherited), the kernel would reap the command and its exit code would be lost.
    action.sa_handler = quiet[index] == SIGCHLD ? SIG_DFL : SIG_IGN;
    sigaction(quiet[index], &action, &quiet_before[index]);
  }
}

static void end_process(void) {
  for (int index = 0; index < PASSED; index++) sigaction(passed_on[index], &passed_before[index], NULL);
  for (int index = 0; index < QUIET; index++) sigaction(quiet[index], &quiet_before[index], NULL);
}

static void fill_with_caught(sigset_t *set) {
  sigemptyset(set);
  for (int index = 0; index < PASSED; index++) sigaddset(set, passed_on[index]);
  for (int index = 0; index < JOBS; index++) sigaddset(set, job_signals[index]);
}

// A slot that is taken, with an empty pipe, not active yet; or -errno. Under the lock.
static int take_slot(void) {
  int index = 0;
  while (index < SLOTS && slots[index].taken) index++;
  if (index == SLOTS) return -EAGAIN;
  struct slot *slot = &slots[index];
  if (index >= MANY) cspawn_file_limit_raise();
  int failure = slot->made ? 0 : cspawn_pipe(slot->pipe, 3);
  if (failure != 0) return -failure;
  slot->made = true;
  // What a handler wrote after the last owner had gone.
  struct cspawn_signal stale;
  while (cspawn_signals_next(index, &stale)) {
  }
  slot->taken = true;
  if (atomic_load(&used) <= index) atomic_store(&used, index + 1);
  return index;
}

static void unblock_caught(struct slot *slot) {
  sigset_t wanted;
  fill_with_caught(&wanted);
  slot->thread = pthread_self();
  atomic_store(&slot->tid, (pid_t)syscall(SYS_gettid));
  pthread_sigmask(SIG_UNBLOCK, &wanted, &slot->mask);
}

int cspawn_signals_begin(bool job_control, bool adopting, uint64_t *ignored) {
  pthread_mutex_lock(&lock);
  int index = take_slot();
  if (index < 0) {
    pthread_mutex_unlock(&lock);
    return index;
  }
  struct slot *slot = &slots[index];
  slot->job_control = job_control;
  atomic_store(&slot->watching, false);
  atomic_store(&slot->active, true);
  slot->first = commands++ == 0;
  slot->turn = ++begun;
  if (running++ == 0) begin_process();
  if (job_control && controlling++ == 0) catch_signals(job_signals, JOBS, jobs_before);
  slot->adopting = adopting;
  slot->adoptions = adoptions;
  if (adopting && adopting_slots++ == 0) {
    was_subreaper = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &was_subreaper);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
  }
  *ignored = ignored_signals;
  pthread_mutex_unlock(&lock);
  unblock_caught(slot);
  return index;
}

int cspawn_watch_begin(void) {
  pthread_mutex_lock(&lock);
  int index = take_slot();
  if (index < 0) {
    pthread_mutex_unlock(&lock);
    return index;
  }
  struct slot *slot = &slots[index];
  slot->job_control = false;
  slot->adopting = false;
  atomic_store(&slot->first_interruption, 0);
  atomic_store(&slot->interruptions, 0);
  atomic_store(&slot->watching, true);
  atomic_store(&slot->active, true);
  if (running++ == 0) begin_process();
  pthread_mutex_unlock(&lock);
  unblock_caught(slot);
  return index;
}

void cspawn_watch_state(int slot, int *first, int *count) {
  *first = atomic_load(&slots[slot].first_interruption);
  *count = atomic_load(&slots[slot].interruptions);
}

void cspawn_signals_leave(void) {
  sigset_t caught;
  fill_with_caught(&caught);
  pthread_sigmask(SIG_BLOCK, &caught, NULL);
}

// Whether a thread wants a processor, or has one. The state follows the name, which may hold anything.
static bool is_runnable(pid_t tid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  ssize_t count = read(descriptor, text, sizeof text - 1);
  close(descriptor);
  if (count <= 0) return false;
  text[count] = 0;
  const char *name_end = strrchr(text, ')');
  return name_end != NULL && name_end[1] == ' ' && name_end[2] == 'R';
}

// Whether a thread that takes these signals may be at one that it has not written down yet.
static bool may_be_at_one(pid_t own) {
  if (atomic_load(&handling) > 0) return true;
  pid_t first = getpid();
  if (first != own && is_runnable(first)) return true;
  int end = atomic_load(&used);
  for (int index = 0; index < end; index++) {
    pid_t tid = atomic_load(&slots[index].tid);
    if (atomic_load(&slots[index].active) && tid != own && tid != first && is_runnable(tid)) return true;
  }
  return false;
}

void cspawn_signals_collect(bool thoroughly) {
  sigset_t caught, before;
  fill_with_caught(&caught);
  // A signal to the process waits for the thread that the kernel chose, which may not have run since. To unblock it
  // here is to take it here.
  pthread_sigmask(SIG_BLOCK, &caught, &before);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  // That thread may have taken it, and have lost its processor before the handler's first instruction. Then it is
  // runnable; one that sleeps has nothing in hand.
  pid_t own = (pid_t)syscall(SYS_gettid);
  for (int patience = PATIENCE_MILLISECONDS; thoroughly && patience > 0 && may_be_at_one(own); patience--) {
    poll(NULL, 0, 1);
  }
}

int cspawn_signals_descriptor(int slot) { return slots[slot].pipe[0]; }

bool cspawn_signals_next(int slot, struct cspawn_signal *signal) {
  for (;;) {
    ssize_t count = read(slots[slot].pipe[0], signal, sizeof *signal);
    if (count == (ssize_t)sizeof *signal) return true;
    if (count < 0 && errno == EINTR) continue;
    return false;
  }
}

bool cspawn_signals_end(int slot) {
  // A watch may be ended by another thread, whose mask is not this one's to set.
  if (pthread_equal(slots[slot].thread, pthread_self())) pthread_sigmask(SIG_SETMASK, &slots[slot].mask, NULL);
  pthread_mutex_lock(&lock);
  if (slots[slot].job_control && --controlling == 0) {
    for (int index = 0; index < JOBS; index++) sigaction(job_signals[index], &jobs_before[index], NULL);
  }
  if (slots[slot].adopting && --adopting_slots == 0) {
    prctl(PR_SET_CHILD_SUBREAPER, was_subreaper);
    adoptions++;
  }
  if (!atomic_load(&slots[slot].watching)) commands--;
  bool last = --running == 0;
  if (last) end_process();
  pthread_mutex_unlock(&lock);
  return last;
}

void cspawn_signals_free(int slot) {
  pthread_mutex_lock(&lock);
  atomic_store(&slots[slot].active, false);
  atomic_store(&slots[slot].child, 0);
  atomic_store(&slots[slot].group, 0);
  slots[slot].taken = false;
  pthread_mutex_unlock(&lock);
}

void cspawn_signals_starting(int slot, bool starting) {
  unsigned before = atomic_load(&slots[slot].starts);
  if ((before & 1) != starting) atomic_store(&slots[slot].starts, before + 1);
}

bool cspawn_signals_settle(void) {
  int end = atomic_load(&used);
  int patience = SETTLE_MILLISECONDS;
  for (int index = 0; index < end; index++) {
    unsigned seen = atomic_load(&slots[index].starts);
    while (seen & 1 && atomic_load(&slots[index].starts) == seen) {
      if (patience-- == 0) return false;
      poll(NULL, 0, 1);
    }
  }
  return true;
}

// Under the lock, so that a stop by another thread never signals a group whose leader was reaped in between.
void cspawn_signals_set_child(int slot, pid_t pid, pid_t group) {
  pthread_mutex_lock(&lock);
  atomic_store(&slots[slot].child, pid);
  atomic_store(&slots[slot].group, group);
  cspawn_signals_starting(slot, false);
  pthread_mutex_unlock(&lock);
}

bool cspawn_signals_is_child(pid_t pid) {
  int end = atomic_load(&used);
  for (int index = 0; index < end; index++) {
    if (atomic_load(&slots[index].child) == pid) return true;
  }
  return false;
}

bool cspawn_signals_adopted(int slot) {
  pthread_mutex_lock(&lock);
  bool adopted = adopting_slots > 0 || slots[slot].adoptions != adoptions;
  pthread_mutex_unlock(&lock);
  return adopted;
}

bool cspawn_signals_alone(int slot) {
  pthread_mutex_lock(&lock);
  bool alone = slots[slot].first && slots[slot].turn == begun;
  pthread_mutex_unlock(&lock);
  return alone;
}

static void signal_groups(int signal) {
  pthread_mutex_lock(&lock);
  int end = atomic_load(&used);
  for (int index = 0; index < end; index++) {
    pid_t group = atomic_load(&slots[index].group);
    if (group > 0) kill(-group, signal);
  }
  pthread_mutex_unlock(&lock);
}

void cspawn_signals_stop(void) {
  signal_groups(SIGTSTP);
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  sigaction(SIGTSTP, &action, &before);
  raise(SIGTSTP);
  sigaction(SIGTSTP, &before, NULL);
  signal_groups(SIGCONT);
}
