#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

// Only there to interrupt a wait: the handler has nothing to do.
static void wake(int signal) { (void)signal; }

// The place in front of the lock, one for each queue, beyond what the file holds. One process stands there at a time, and
// whoever comes back for the lock has to pass it too: else the last holder, which runs, takes the lock again and again
// before those that sleep have woken.
static struct flock place_of(int queue, short type) {
  return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (1 << 20) + queue, .l_len = 1};
}

static int front(int fd, int queue, short type, int command) {
  struct flock place = place_of(queue, type);
  return fcntl(fd, command, &place);
}

int purser_lock_is_awaited(int fd, int queue) {
  struct flock place = place_of(queue, F_WRLCK);
  return fcntl(fd, F_OFD_GETLK, &place) == 0 && place.l_type != F_UNLCK;
}

int purser_lock(int fd, int queue, int milliseconds) {
  int is_in_front = front(fd, queue, F_WRLCK, F_OFD_SETLK) == 0;
  // Where there are no such locks, it goes without.
  int is_crowded = !is_in_front && (errno == EAGAIN || errno == EACCES);
  if (!is_crowded) {
    int result = 0;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      result = -errno;
      break;
    }
    if (result != -EWOULDBLOCK) {
      if (is_in_front) front(fd, queue, F_UNLCK, F_OFD_SETLK);
      return result;
    }
  }

  // Contended: sleep in the kernel's queue, with a timer of this thread's own to bound the wait. The timer repeats,
  // because a single shot could fire between being armed and the wait.
  int number = SIGRTMIN + 6;
  struct sigaction action = {.sa_handler = wake};
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, 0);
  sigset_t only, before;
  sigemptyset(&only);
  sigaddset(&only, number);
  pthread_sigmask(SIG_UNBLOCK, &only, &before);

  int result = 0;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
  event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
    result = -errno;
  } else {
    struct itimerspec spec = {
        .it_value = {milliseconds / 1000, (milliseconds % 1000) * 1000000L},
        .it_interval = {0, 100000000L},
    };
    timer_settime(timer, 0, &spec, 0);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (1) {
      int failed = is_crowded ? front(fd, queue, F_WRLCK, F_OFD_SETLKW) : flock(fd, LOCK_EX);
      if (failed == 0 && is_crowded) {
        is_crowded = 0;
        is_in_front = 1;
        continue;
      }
      if (failed == 0) break;
      if (errno != EINTR) {
        result = -errno;
        break;
      }
      clock_gettime(CLOCK_MONOTONIC, &now);
      long long waited = (now.tv_sec - start.tv_sec) * 1000LL + (now.tv_nsec - start.tv_nsec) / 1000000;
      if (waited >= milliseconds) {
        result = -ETIMEDOUT;
        break;
      }
    }
    timer_delete(timer);
  }
  if (is_in_front) front(fd, queue, F_UNLCK, F_OFD_SETLK);
  pthread_sigmask(SIG_SETMASK, &before, 0);
  return result;
}

int purser_open_beneath(int directory, const char *path, int flags, unsigned mode) {
  struct open_how how = {
      .flags = (unsigned long long)(flags | O_CLOEXEC),
      .mode = (flags & O_CREAT) ? mode : 0,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  };
  int fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
  return fd < 0 ? -errno : fd;
}

int purser_open_root(const char *path) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int purser_random(void *buffer, long size) {
  ssize_t count = getrandom(buffer, (size_t)size, 0);
  return count == size ? 0 : count < 0 ? -errno : -EIO;
}

int purser_reflink(int to, int from) { return ioctl(to, FICLONE, from) == 0 ? 0 : -errno; }

int purser_is_network_filesystem(const char *path) {
  struct statfs info;
  if (statfs(path, &info) != 0) return 0;
  switch ((unsigned)info.f_type) {
  case 0x6969:      // NFS
  case 0x517B:      // SMB
  case 0xFF534D42u: // CIFS
  case 0xFE534D42u: // SMB2
  case 0x01021997:  // 9p
  case 0x65735546:  // FUSE
  case 0x0BD00BD0:  // Lustre
  case 0x5346414F:  // AFS
  case 0x6B414653:  // kAFS
  case 0x00C36400:  // Ceph
  case 0x47504653:  // GPFS
  case 0x19830326:  // BeeGFS
  case 0x73757245:  // Coda
  case 0x564c:      // NCP
    return 1;
  default:
    return 0;
  }
}

long long purser_filesystem_type(int fd) {
  struct statfs info;
  return fstatfs(fd, &info) == 0 ? (long long)(unsigned)info.f_type : -errno;
}

void purser_wait_for_process(int pid, int milliseconds) {
  struct pollfd entry = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
  poll(&entry, 1, milliseconds);
  if (entry.fd >= 0) close(entry.fd);
}

int purser_contains(const void *bytes, long size, const void *value, long length) {
  return memmem(bytes, (size_t)size, value, (size_t)length) != NULL;
}

int purser_semaphore_wait(void *semaphore, int milliseconds) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += milliseconds / 1000;
  end.tv_nsec += (milliseconds % 1000) * 1000000L;
  if (end.tv_nsec >= 1000000000L) {
    end.tv_sec++;
    end.tv_nsec -= 1000000000L;
  }
  int code;
  do {
    code = sem_clockwait(semaphore, CLOCK_MONOTONIC, &end);
  } while (code != 0 && errno == EINTR);
  return code == 0 ? 0 : -errno;
}
