#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

int cspawn_pipe(int ends[2], int quiet) {
  int low[2];
  if (pipe2(low, O_CLOEXEC) != 0) return errno;
  int failure = 0;
  // Not where a closed standard stream was.
  ends[0] = fcntl(low[0], F_DUPFD_CLOEXEC, 3);
  ends[1] = fcntl(low[1], F_DUPFD_CLOEXEC, 3);
  if (ends[0] < 0 || ends[1] < 0) failure = errno;
  close(low[0]);
  close(low[1]);
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
