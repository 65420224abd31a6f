#ifndef PURSER_CLINUX_H
#define PURSER_CLINUX_H

// What Purser needs of Linux and glibc that Swift cannot call directly. No header is included here: its types would then
// belong to this module and not to Glibc. Every function returns 0, a descriptor or a value on success, and a negative
// errno on failure.

/// flock(fd, LOCK_EX), waiting in the kernel's queue for at most `milliseconds`; -ETIMEDOUT when that is over.
///
/// There are two queues, 0 and 1. Nobody overtakes within one; those at the heads of both wait for the lock itself, first
/// come, first served. Only who comes while a place at the head, or the lock, is let go may get it before one that
/// sleeps has woken.
int purser_lock(int fd, int queue, int milliseconds);

/// Whether somebody, through another opening of the file, stands at the head of a queue.
int purser_lock_is_awaited(int fd, int queue);

/// Opens `path` beneath `directory`, following no symbolic link and no `..` out of it (openat2).
int purser_open_beneath(int directory, const char *path, int flags, unsigned mode);

/// Opens a folder as a starting point only (O_PATH).
int purser_open_root(const char *path);

/// Random bytes from the kernel; 0 or a negative errno.
int purser_random(void *buffer, long size);

/// Makes the whole of `to` share the extents of `from` (FICLONE); -EOPNOTSUPP where the file system cannot.
int purser_reflink(int to, int from);

/// 1 for a network or user-space file system (NFS, SMB, 9p, FUSE, Lustre, …), 0 for a local one.
int purser_is_network_filesystem(const char *path);

/// The `f_type` of the file system that an open file is on, or a negative errno.
long long purser_filesystem_type(int fd);

/// 1 where `size` bytes hold the `length` bytes at `value`, 0 where not.
int purser_contains(const void *bytes, long size, const void *value, long length);

/// Waits until the process ends, at most `milliseconds`; just so long where there is no such process.
void purser_wait_for_process(int pid, int milliseconds);

/// Takes one off a semaphore (`sem_t *`), waiting for at most `milliseconds` of the monotonic clock; 0 if it did, else
/// -ETIMEDOUT.
int purser_semaphore_wait(void *semaphore, int milliseconds);

#endif
