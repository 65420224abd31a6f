#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

// Five for each of 1,024 commands, and as many for everything else.
enum { FILE_LIMIT = 10240 };

static struct rlimit limit_before;
static atomic_bool limit_raised;

void cspawn_file_limit_raise(void) {
  if (atomic_load(&limit_raised) || getrlimit(RLIMIT_NOFILE, &limit_before) != 0) return;
  struct rlimit wanted = limit_before;
  wanted.rlim_cur = wanted.rlim_max < FILE_LIMIT ? wanted.rlim_max : FILE_LIMIT;
  if (limit_before.rlim_cur >= wanted.rlim_cur || setrlimit(RLIMIT_NOFILE, &wanted) != 0) return;
  atomic_store(&limit_raised, true);
}

void cspawn_file_limit_restore(void) {
  if (atomic_load(&limit_raised)) setrlimit(RLIMIT_NOFILE, &limit_before);
}

int cspawn_raise(int descriptor) {
  if (descriptor < 0 || descriptor > 2) return descriptor;
  int high = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  int failure = errno;
  close(descriptor);
  errno = failure;
  return high;
}

int cspawn_pipe(int ends[2], int quiet) {
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  int failure = 0;
  for (int index = 0; index < 2; index++) {
    ends[index] = cspawn_raise(ends[index]);
    if (ends[index] < 0) failure = errno;
  }
  for (int index = 0; index < 2; index++) {
    bool wanted = quiet >> index & 1;
    if (failure == 0 && wanted && fcntl(ends[index], F_SETFL, O_NONBLOCK) != 0) failure = errno;
  }
  if (failure == 0) return 0;
  for (int index = 0; index < 2; index++) {
    if (ends[index] >= 0) close(ends[index]);
  }
  return failure;
}

int cspawn_unnamed_file(const char *directory) {
  int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  // Not every file system has files without a name; a kernel that does not know the flag says EISDIR.
  if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
  char *path = NULL;
  if (asprintf(&path, "%s/log.XXXXXX", directory) < 0) {
    errno = ENOMEM;
    return -1;
  }
  file = mkostemp(path, O_CLOEXEC);
  if (file >= 0) unlink(path);
  int failure = errno;
  free(path);
  errno = failure;
  return file;
}

bool cspawn_in_foreground(void) {
  int terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0) return false;
  bool result = tcgetpgrp(terminal) == getpgrp();
  close(terminal);
  return result;
}
