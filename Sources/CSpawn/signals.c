#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

// Dispositions belong to the process, so what is known about them is static. Handlers and pipes instead of a signalfd:
// a signalfd needs the signals blocked in every thread, and this process has threads (a runtime's pool, a library
// user's) that know nothing of it.

enum { SLOTS = 256 };

struct slot {
  // Written once, under the lock, before `active`; never closed, since a handler on another thread may still be about
  // to write to it, and the number could by then be somebody else's file.
  int pipe[2];
  bool made;
  bool taken;
  atomic_bool active;
  atomic_int child;
  atomic_int group;
  bool job_control;
  bool adopting;
  uint64_t adoptions;
  // Whether no other slot was held when this one began, and which one it was in the order of beginning.
  bool first;
  uint64_t turn;
  sigset_t mask;
};

static struct slot slots[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// Guarded by `lock`.
static int running;
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

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  int saved = errno;
  struct cspawn_signal signal = {.number = number, .origin = info->si_code};
  for (int index = 0; index < SLOTS; index++) {
    if (!atomic_load(&slots[index].active)) continue;
    // A full pipe (thousands of unread signals) drops the signal: better than blocking in a handler.
    ssize_t written = write(slots[index].pipe[1], &signal, sizeof signal);
    (void)written;
    // Stopping is done once for the whole process.
    if (number == SIGTSTP) break;
  }
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

int cspawn_signals_begin(bool job_control, bool adopting, uint64_t *ignored) {
  pthread_mutex_lock(&lock);
  int index = 0;
  while (index < SLOTS && slots[index].taken) index++;
  if (index == SLOTS) {
    pthread_mutex_unlock(&lock);
    return -EAGAIN;
  }
  struct slot *slot = &slots[index];
  int failure = slot->made ? 0 : cspawn_pipe(slot->pipe, 3);
  if (failure != 0) {
    pthread_mutex_unlock(&lock);
    return -failure;
  }
  slot->made = true;
  // What a handler wrote after the last owner had gone.
  struct cspawn_signal stale;
  while (cspawn_signals_next(index, &stale)) {
  }
  slot->taken = true;
  slot->job_control = job_control;
  atomic_store(&slot->active, true);
  slot->first = running == 0;
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

  sigset_t wanted;
  sigemptyset(&wanted);
  for (int each = 0; each < PASSED; each++) sigaddset(&wanted, passed_on[each]);
  for (int each = 0; each < JOBS; each++) sigaddset(&wanted, job_signals[each]);
  pthread_sigmask(SIG_UNBLOCK, &wanted, &slot->mask);
  return index;
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
  pthread_sigmask(SIG_SETMASK, &slots[slot].mask, NULL);
  pthread_mutex_lock(&lock);
  if (slots[slot].job_control && --controlling == 0) {
    for (int index = 0; index < JOBS; index++) sigaction(job_signals[index], &jobs_before[index], NULL);
  }
  if (slots[slot].adopting && --adopting_slots == 0) {
    prctl(PR_SET_CHILD_SUBREAPER, was_subreaper);
    adoptions++;
  }
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

// Under the lock, so that a stop by another thread never signals a group whose leader was reaped in between.
void cspawn_signals_set_child(int slot, pid_t pid, pid_t group) {
  pthread_mutex_lock(&lock);
  atomic_store(&slots[slot].child, pid);
  atomic_store(&slots[slot].group, group);
  pthread_mutex_unlock(&lock);
}

bool cspawn_signals_is_child(pid_t pid) {
  for (int index = 0; index < SLOTS; index++) {
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
  for (int index = 0; index < SLOTS; index++) {
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
