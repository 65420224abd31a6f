#define _GNU_SOURCE
#include "tracefiles.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__aarch64__)

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

// <sys/ptrace.h> and <linux/ptrace.h> do not go together.
long ptrace(int request, ...);

#ifdef __x86_64__
#define NATIVE_ARCH AUDIT_ARCH_X86_64
// Numbers from here on are those of x32, a third kind of program.
#define FOREIGN_NUMBERS 0x40000000
#else
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_NUMBERS 0xffffffff
#endif

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

enum { OF_INTEREST = 1, FOREIGN = 2, PAGE = 4096, SCRIPT_DEPTH = 4, END_MILLISECONDS = 1000 };

// What stops. A call that is not here costs nothing: the kernel knows by its number that the filter lets it pass.
#ifdef __x86_64__
#define OLD_CALLS(F)                                                                                             \
  F(SYS_open) F(SYS_creat) F(SYS_rename) F(SYS_link) F(SYS_symlink) F(SYS_unlink) F(SYS_rmdir) F(SYS_mkdir)      \
  F(SYS_mknod) F(SYS_getdents)
#else
#define OLD_CALLS(F)
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifdef SYS_renameat
#define RENAMEAT(F) F(SYS_renameat)
#else
#define RENAMEAT(F)
#endif
#define CALLS(F)                                                                                                 \
  OLD_CALLS(F) RENAMEAT(F) F(SYS_openat) F(SYS_openat2) F(SYS_execve) F(SYS_execveat) F(SYS_renameat2)           \
  F(SYS_linkat) F(SYS_symlinkat) F(SYS_unlinkat) F(SYS_mkdirat) F(SYS_mknodat) F(SYS_truncate) F(SYS_getdents64) \
  F(SYS_io_uring_setup)

#define STOP_AT(number)                                       \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),        \
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | OF_INTEREST),

static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | FOREIGN),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN_NUMBERS, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | FOREIGN),
    CALLS(STOP_AT)
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

// MARK: In the child that is about to execute the command

int ctrace_join(int socket, pid_t tracer) {
  // Where only descendants may be traced (Yama), one may name another tracer.
  prctl(PR_SET_PTRACER, tracer);
  pid_t self = getpid();
  if (write(socket, &self, sizeof self) != sizeof self) return EPIPE;
  int answer = EPIPE;
  return read(socket, &answer, sizeof answer) == sizeof answer ? answer : EPIPE;
}

int ctrace_filter(void) {
  struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
  // Otherwise the processor's speculation is held back in filtered processes, which costs time.
  const unsigned kinds[] = {SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0};
  for (int attempt = 0; attempt < 4; attempt++) {
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kinds[attempt & 1], &program) == 0) return 0;
    if (errno == EACCES) {
      // Without privileges, only who will never gain any may filter.
      if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    } else if (errno != EINVAL) {
      return errno;
    }
  }
  return errno;
}

// MARK: The tracer's process

static uint32_t notes;

// The process that stands still, and its call.
struct stop {
  pid_t pid;
  const __u64 *arguments;
};

// Two pieces, since what cannot be read of one takes it all.
static ssize_t read_memory(pid_t pid, uint64_t address, char *buffer, size_t size) {
  size_t first = PAGE - address % PAGE;
  if (first > size) first = size;
  struct iovec local = {.iov_base = buffer, .iov_len = size};
  struct iovec remote[2] = {{.iov_base = (void *)(uintptr_t)address, .iov_len = first},
                            {.iov_base = (void *)(uintptr_t)(address + first), .iov_len = size - first}};
  ssize_t count = process_vm_readv(pid, &local, 1, remote, size > first ? 2 : 1, 0);
  if (count > 0) return count;
  // A program that may be executed and not read lets nobody but its tracer look, word by word.
  size_t done = 0;
  while (done + sizeof(long) <= size) {
    errno = 0;
    long word = ptrace(PTRACE_PEEKDATA, pid, (void *)(uintptr_t)(address + done), NULL);
    if (errno != 0) break;
    memcpy(buffer + done, &word, sizeof word);
    done += sizeof word;
    if (memchr(&word, 0, sizeof word) != NULL) break;
  }
  return (ssize_t)done;
}

static bool read_link(char *result, const char *format, pid_t pid, int descriptor) {
  char link[64];
  snprintf(link, sizeof link, format, (int)pid, descriptor);
  ssize_t length = readlink(link, result, PATH_MAX - 1);
  if (length <= 0) return false;
  result[length] = 0;
  return true;
}

// A path as a process means it, absolute, links not followed.
static bool absolute_path(pid_t pid, int folder, const char *path, char result[PATH_MAX]) {
  size_t used = 0;
  if (path[0] != '/') {
    bool is_known = folder == AT_FDCWD ? read_link(result, "/proc/%d/cwd", pid, 0)
                                       : read_link(result, "/proc/%d/fd/%d", pid, folder);
    if (!is_known) {
      notes |= CTRACE_INCOMPLETE;
      return false;
    }
    used = strlen(result);
    // "pipe:[1]" and the like.
    if (result[0] != '/') return false;
    result[used++] = '/';
  }
  size_t length = strlen(path);
  if (used + length >= PATH_MAX) return false;
  memcpy(result + used, path, length + 1);
  return true;
}

// The absolute path of an argument; false where there is none.
static bool path_argument(const struct stop *stop, int folder, uint64_t address, char result[PATH_MAX]) {
  char path[PATH_MAX];
  if (address == 0) return false;
  ssize_t count = read_memory(stop->pid, address, path, sizeof path);
  // A path that is too long, or nowhere, is none for the kernel either.
  if (count <= 0 || memchr(path, 0, (size_t)count) == NULL || path[0] == 0) return false;
  return absolute_path(stop->pid, folder, path, result);
}

static void note(const char *path, uint32_t flags) {
  if (!tracefiles_note(path, flags)) notes |= CTRACE_INCOMPLETE;
}

static bool is_gone(void) { return errno == ENOENT || errno == ENOTDIR || errno == ELOOP; }

static void on_open(const struct stop *stop, int folder, uint64_t address, uint64_t flags) {
  char path[PATH_MAX], place[PATH_MAX];
  if (!path_argument(stop, folder, address, path) || !tracefiles_resolve(path, place)) return;
  struct stat info;
  bool is_there = stat(place, &info) == 0;
  if (!is_there && !is_gone()) return;
  if (flags & O_PATH) {
    if (!is_there) note(place, CTRACE_MISSING);
    return;
  }
  int mode = flags & O_ACCMODE;
  bool makes = !is_there && flags & O_CREAT;
  if (!is_there && !makes) {
    note(place, CTRACE_MISSING);
  } else if (is_there && !S_ISREG(info.st_mode)) {
    // Folders count when their names are read; devices and pipes have no content.
  } else if (is_there && flags & O_CREAT && flags & O_EXCL) {
    // Fails.
  } else {
    uint32_t done = 0;
    if (is_there && mode != O_WRONLY && !(flags & O_TRUNC)) done |= CTRACE_READ;
    if (makes || mode != O_RDONLY || flags & O_TRUNC) done |= CTRACE_WRITTEN;
    note(place, done);
  }
}

static void on_openat2(const struct stop *stop) {
  struct open_how how = {0};
  char bytes[sizeof how];
  if (read_memory(stop->pid, stop->arguments[2], bytes, sizeof bytes) < (ssize_t)sizeof how.flags) return;
  memcpy(&how, bytes, sizeof how);
  char path[PATH_MAX];
  if (how.resolve & RESOLVE_IN_ROOT && read_memory(stop->pid, stop->arguments[1], path, 1) == 1 && path[0] == '/') {
    notes |= CTRACE_INCOMPLETE;
    return;
  }
  on_open(stop, (int)stop->arguments[0], stop->arguments[1], how.flags);
}

// The interpreter that the first line names; false for anything but a script.
static bool interpreter(const char *path, char result[PATH_MAX]) {
  char line[256];
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  ssize_t count = read(file, line, sizeof line - 1);
  close(file);
  if (count < 3 || line[0] != '#' || line[1] != '!') return false;
  line[count] = 0;
  char *start = line + 2 + strspn(line + 2, " \t");
  start[strcspn(start, " \t\r\n")] = 0;
  strcpy(result, start);
  return start[0] != 0;
}

static void on_program(const struct stop *stop, char path[PATH_MAX], int depth) {
  char place[PATH_MAX];
  struct stat info;
  bool is_inside = tracefiles_resolve(path, place);
  if (stat(path, &info) != 0) {
    if (is_inside && is_gone()) note(place, CTRACE_MISSING);
    return;
  }
  if (!S_ISREG(info.st_mode) || !(info.st_mode & 0111)) return;
  if (is_inside) note(place, CTRACE_READ | CTRACE_RUN);
  bool is_privileged = info.st_mode & S_ISUID || (info.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) ||
                       getxattr(path, "security.capability", NULL, 0) > 0;
  char real[PATH_MAX];
  if (is_privileged && realpath(path, real) != NULL) tracefiles_add_program(real, CTRACE_PRIVILEGED);
  char other[PATH_MAX], whole[PATH_MAX];
  if (depth < SCRIPT_DEPTH && interpreter(path, other) && absolute_path(stop->pid, AT_FDCWD, other, whole)) {
    on_program(stop, whole, depth + 1);
  }
}

static void on_execute(const struct stop *stop, int folder, uint64_t address, uint64_t flags) {
  char path[PATH_MAX];
  bool is_named = path_argument(stop, folder, address, path);
  if (!is_named && flags & AT_EMPTY_PATH) is_named = read_link(path, "/proc/%d/fd/%d", stop->pid, folder);
  if (is_named) on_program(stop, path, 0);
}

// What appears at a path, replacing what was there.
static void on_made(const struct stop *stop, int folder, uint64_t address, uint32_t flags) {
  char path[PATH_MAX], place[PATH_MAX];
  if (path_argument(stop, folder, address, path) && tracefiles_resolve(path, place)) note(place, flags);
}

static void on_removed(const struct stop *stop, int folder, uint64_t address, uint32_t flags) {
  char path[PATH_MAX], place[PATH_MAX];
  struct stat info;
  if (!path_argument(stop, folder, address, path) || !tracefiles_resolve(path, place)) return;
  if (lstat(place, &info) != 0) return;
  // Folders are what is in them.
  if (S_ISDIR(info.st_mode) && flags == 0) return;
  note(place, flags | CTRACE_REMOVED);
  note(place, CTRACE_WRITTEN);
}

static void on_moved(const struct stop *stop, int from_folder, uint64_t from, int to_folder, uint64_t to, bool swaps) {
  char path[PATH_MAX], place[PATH_MAX];
  struct stat info;
  uint32_t made = CTRACE_WRITTEN;
  if (path_argument(stop, from_folder, from, path) && lstat(path, &info) == 0) {
    if (S_ISDIR(info.st_mode)) made |= CTRACE_MADE;
    // Its content goes on elsewhere: it was read.
    if (tracefiles_resolve(path, place)) {
      on_removed(stop, from_folder, from, S_ISREG(info.st_mode) ? CTRACE_READ : CTRACE_WRITTEN);
      if (swaps) note(place, made);
    }
    on_made(stop, to_folder, to, made);
  }
  tracefiles_forget_folders();
}

static void on_linked(const struct stop *stop, int from_folder, uint64_t from, int to_folder, uint64_t to) {
  on_open(stop, from_folder, from, O_RDONLY);
  on_made(stop, to_folder, to, CTRACE_WRITTEN);
}

static void on_folder_made(const struct stop *stop, int folder, uint64_t address) {
  char path[PATH_MAX], place[PATH_MAX];
  struct stat info;
  if (!path_argument(stop, folder, address, path) || !tracefiles_resolve(path, place)) return;
  if (lstat(place, &info) == 0 || !is_gone()) return;
  note(place, CTRACE_MADE);
  tracefiles_forget_folders();
}

static void on_listed(const struct stop *stop) {
  char path[PATH_MAX];
  if (!read_link(path, "/proc/%d/fd/%d", stop->pid, (int)stop->arguments[0])) {
    notes |= CTRACE_INCOMPLETE;
  } else if (tracefiles_is_inside(path)) {
    note(path, CTRACE_LISTED);
  }
}

static void on_call(pid_t pid, uint64_t number, const __u64 *a) {
  struct stop stop = {.pid = pid, .arguments = a};
  switch (number) {
#ifdef __x86_64__
  case SYS_open: return on_open(&stop, AT_FDCWD, a[0], a[1]);
  case SYS_creat: return on_open(&stop, AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC);
  case SYS_rename: return on_moved(&stop, AT_FDCWD, a[0], AT_FDCWD, a[1], false);
  case SYS_link: return on_linked(&stop, AT_FDCWD, a[0], AT_FDCWD, a[1]);
  case SYS_symlink:
    on_made(&stop, AT_FDCWD, a[1], CTRACE_WRITTEN);
    return tracefiles_forget_folders();
  case SYS_unlink:
  case SYS_rmdir: return on_removed(&stop, AT_FDCWD, a[0], 0);
  case SYS_mkdir: return on_folder_made(&stop, AT_FDCWD, a[0]);
  case SYS_mknod: return on_made(&stop, AT_FDCWD, a[0], CTRACE_WRITTEN);
  case SYS_getdents: return on_listed(&stop);
#endif
  case SYS_openat: return on_open(&stop, (int)a[0], a[1], a[2]);
  case SYS_openat2: return on_openat2(&stop);
  case SYS_execve: return on_execute(&stop, AT_FDCWD, a[0], 0);
  case SYS_execveat: return on_execute(&stop, (int)a[0], a[1], a[4]);
#ifdef SYS_renameat
  case SYS_renameat: return on_moved(&stop, (int)a[0], a[1], (int)a[2], a[3], false);
#endif
  case SYS_renameat2: return on_moved(&stop, (int)a[0], a[1], (int)a[2], a[3], a[4] & RENAME_EXCHANGE);
  case SYS_linkat: return on_linked(&stop, (int)a[0], a[1], (int)a[2], a[3]);
  case SYS_symlinkat:
    on_made(&stop, (int)a[1], a[2], CTRACE_WRITTEN);
    return tracefiles_forget_folders();
  case SYS_unlinkat: return on_removed(&stop, (int)a[0], a[1], 0);
  case SYS_mkdirat: return on_folder_made(&stop, (int)a[0], a[1]);
  case SYS_mknodat: return on_made(&stop, (int)a[0], a[1], CTRACE_WRITTEN);
  case SYS_truncate: return on_made(&stop, AT_FDCWD, a[0], CTRACE_WRITTEN);
  case SYS_getdents64: return on_listed(&stop);
  case SYS_io_uring_setup: notes |= CTRACE_RING; return;
  default: return;
  }
}

static void on_filtered(pid_t pid) {
  struct ptrace_syscall_info info;
  memset(&info, 0, sizeof info);
  if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_SECCOMP) return;
  if (info.seccomp.ret_data != FOREIGN) return on_call(pid, info.seccomp.nr, info.seccomp.args);
  char program[PATH_MAX];
  if (!read_link(program, "/proc/%d/exe", pid, 0)) strcpy(program, "?");
  tracefiles_add_program(program, CTRACE_FOREIGN);
  kill(pid, SIGKILL);
}

static bool send_all(int socket, const void *bytes, size_t size) {
  while (size > 0) {
    ssize_t count = send(socket, bytes, size, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = (const char *)bytes + count;
    size -= (size_t)count;
  }
  return true;
}

// What the other end wants: false when it is gone. Waiting for it is for when nobody is followed.
static bool serve(int socket, bool waits) {
  pid_t pid;
  ssize_t count = recv(socket, &pid, sizeof pid, waits ? 0 : MSG_DONTWAIT);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  if (count != sizeof pid) return false;
  if (pid != 0) {
    const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                         PTRACE_O_EXITKILL;
    int answer = ptrace(PTRACE_SEIZE, pid, NULL, options) == 0 ? 0 : errno;
    return send_all(socket, &answer, sizeof answer);
  }
  size_t size;
  void *report = tracefiles_report(notes | (waits ? CTRACE_ALONE : 0), &size);
  bool is_sent = report != NULL && send_all(socket, report, size);
  free(report);
  return is_sent;
}

static void go_on(pid_t pid, int status) {
  int signal = WSTOPSIG(status), event = status >> 16;
  if (event == PTRACE_EVENT_SECCOMP) on_filtered(pid);
  // A group that is stopped stays so, and its members can be continued by SIGCONT as ever.
  bool is_group_stop =
      event == PTRACE_EVENT_STOP &&
      (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU);
  // Failing means that it was killed meanwhile.
  if (is_group_stop) {
    ptrace(PTRACE_LISTEN, pid, NULL, NULL);
  } else {
    ptrace(PTRACE_CONT, pid, NULL, (long)(event == 0 ? signal : 0));
  }
}

static void interrupt(int number) { (void)number; }

static _Noreturn void follow(int socket) {
  // Nobody's signals are meant for this process; SIGUSR1 tells that something is to be read.
  sigset_t blocked;
  sigfillset(&blocked);
  sigdelset(&blocked, SIGUSR1);
  sigprocmask(SIG_SETMASK, &blocked, NULL);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = interrupt;
  sigaction(SIGUSR1, &action, NULL);
  prctl(PR_SET_NAME, "purser-trace");
  bool is_heard = serve(socket, true);
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid > 0) {
      if (WIFSTOPPED(status)) go_on(pid, status);
    } else if (!is_heard) {
      // Nobody is followed, and nobody asks.
      if (errno != EINTR) _exit(0);
    } else {
      is_heard = serve(socket, errno == ECHILD);
    }
  }
}

// All that was inherited would be kept open by whatever outlives the command.
static int keep_only(int socket) {
  if (dup2(socket, 3) < 0) return -1;
  fcntl(3, F_SETFD, FD_CLOEXEC);
  for (int number = 0; number < 3; number++) close(number);
  if (syscall(SYS_close_range, 4U, ~0U, 0) != 0) {
    for (int number = 4; number < 1 << 16; number++) close(number);
  }
  return 3;
}

int ctrace_begin(const char *root, struct ctrace *tracer) {
  uint32_t action = SECCOMP_RET_TRACE;
  if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) return errno;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return errno;
  for (int index = 0; index < 2; index++) ends[index] = cspawn_raise(ends[index]);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = ends[0] < 0 || ends[1] < 0 ? -1 : fork();
  int failure = errno;
  if (pid == 0) {
    cspawn_take_part();
    int socket = keep_only(ends[1]);
    setsid();
    if (socket < 0 || chdir("/") != 0) _exit(1);
    tracefiles_begin(root);
    int ready = 0;
    if (!send_all(socket, &ready, sizeof ready)) _exit(1);
    follow(socket);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (ends[1] >= 0) close(ends[1]);
  if (pid < 0) {
    if (ends[0] >= 0) close(ends[0]);
    return failure;
  }
  *tracer = (struct ctrace){.pid = pid, .pidfd = cspawn_pidfd_open(pid), .socket = ends[0]};
  // From now on it holds nothing of this process.
  int ready;
  ssize_t count;
  do {
    count = recv(tracer->socket, &ready, sizeof ready, MSG_WAITALL);
  } while (count < 0 && errno == EINTR);
  if (count == sizeof ready) return 0;
  ctrace_end(tracer, true);
  return EPIPE;
}

// Waits until there is something to be read, and wakes the tracer where it waits for those that it follows.
static int receive(const struct ctrace *tracer, void *bytes, size_t size) {
  int patience = 1;
  while (size > 0) {
    struct pollfd polled = {.fd = tracer->socket, .events = POLLIN};
    int ready = poll(&polled, 1, patience);
    if (ready == 0) {
      cspawn_pidfd_kill(tracer->pidfd, SIGUSR1);
      if (patience < 100) patience *= 2;
      continue;
    }
    ssize_t count = ready < 0 ? -1 : recv(tracer->socket, bytes, size, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return EPIPE;
    bytes = (char *)bytes + count;
    size -= (size_t)count;
  }
  return 0;
}

int ctrace_report(const struct ctrace *tracer, void **report, size_t *size) {
  const pid_t request = 0;
  if (!send_all(tracer->socket, &request, sizeof request)) return EPIPE;
  uint64_t length;
  int failure = receive(tracer, &length, sizeof length);
  if (failure != 0) return failure;
  *size = length;
  *report = malloc(length);
  if (*report == NULL) return ENOMEM;
  failure = receive(tracer, *report, length);
  if (failure != 0) free(*report);
  return failure;
}

void ctrace_end(struct ctrace *tracer, bool is_alone) {
  close(tracer->socket);
  struct pollfd polled = {.fd = tracer->pidfd, .events = POLLIN};
  if (is_alone) poll(&polled, 1, END_MILLISECONDS);
  if (tracer->pidfd >= 0) cspawn_reap_eventually(tracer->pidfd);
}

#else

int ctrace_join(int socket, pid_t tracer) {
  (void)socket, (void)tracer;
  return ENOSYS;
}

int ctrace_filter(void) { return ENOSYS; }

int ctrace_begin(const char *root, struct ctrace *tracer) {
  (void)root, (void)tracer;
  return ENOSYS;
}

int ctrace_report(const struct ctrace *tracer, void **report, size_t *size) {
  (void)tracer, (void)report, (void)size;
  return ENOSYS;
}

void ctrace_end(struct ctrace *tracer, bool is_alone) { (void)tracer, (void)is_alone; }

#endif
