// tree hash|stat FOLDER: what two threads can do at best with a folder of folders of files.
// stat: walk, and fstatat every file. hash: open, fstat, read and SHA-256 (OpenSSL's EVP) as well.
// Prints the number of files, their bytes and, for hash, the XOR of their digests, so that the work can be checked.
// tree limit BYTES: the seconds that one core takes to hash as many bytes that lie in its cache.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { threads = 2, digest_size = 32, buffer_size = 1 << 16 };

static const char *root;
static int hashing;
static char **folders;
static size_t folder_count;
static atomic_size_t next_folder;

typedef struct {
  long files;
  long long bytes;
  unsigned char digest[digest_size];
} Total;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void hash(int folder, const char *name, EVP_MD_CTX *context, const EVP_MD *sha256, char *buffer, Total *total) {
  int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (file < 0 || fstat(file, &info) != 0) die(name);
  EVP_DigestInit_ex2(context, sha256, NULL);
  ssize_t count;
  // A file that was read up to its size needs no second read to find its end.
  long long left = info.st_size;
  while (left > 0 && (count = read(file, buffer, buffer_size)) > 0) {
    EVP_DigestUpdate(context, buffer, (size_t)count);
    left -= count;
  }
  if (left != 0) die(name);
  unsigned char digest[digest_size];
  EVP_DigestFinal_ex(context, digest, NULL);
  for (int i = 0; i < digest_size; i++) total->digest[i] ^= digest[i];
  total->bytes += info.st_size;
  close(file);
}

static void *work(void *argument) {
  Total *total = argument;
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  char *buffer = malloc(buffer_size);
  if (context == NULL || sha256 == NULL || buffer == NULL) die("start");
  for (size_t i; (i = atomic_fetch_add(&next_folder, 1)) < folder_count;) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root, folders[i]);
    DIR *folder = opendir(path);
    if (folder == NULL) die(path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
      if (entry->d_type != DT_REG) continue;
      total->files++;
      if (hashing) {
        hash(dirfd(folder), entry->d_name, context, sha256, buffer, total);
      } else {
        struct stat info;
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) die(entry->d_name);
        total->bytes += info.st_size;
      }
    }
    closedir(folder);
  }
  EVP_MD_CTX_free(context);
  EVP_MD_free(sha256);
  free(buffer);
  return NULL;
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int limit(long long bytes) {
  static char buffer[buffer_size];
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  unsigned char digest[digest_size];
  if (context == NULL || sha256 == NULL) die("start");
  double start = seconds();
  EVP_DigestInit_ex2(context, sha256, NULL);
  for (long long done = 0; done < bytes; done += buffer_size) EVP_DigestUpdate(context, buffer, buffer_size);
  EVP_DigestFinal_ex(context, digest, NULL);
  printf("%f\n", seconds() - start);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  if (strcmp(argv[1], "limit") == 0) return limit(atoll(argv[2]));
  hashing = strcmp(argv[1], "hash") == 0;
  root = argv[2];

  DIR *top = opendir(root);
  if (top == NULL) die(root);
  for (struct dirent *entry; (entry = readdir(top)) != NULL;) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    folders = realloc(folders, (folder_count + 1) * sizeof *folders);
    if (folders == NULL || (folders[folder_count++] = strdup(entry->d_name)) == NULL) die("list");
  }
  closedir(top);

  Total totals[threads] = {0};
  pthread_t ids[threads];
  for (int i = 0; i < threads; i++)
    if (pthread_create(&ids[i], NULL, work, &totals[i]) != 0) die("thread");
  Total all = {0};
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    all.files += totals[i].files;
    all.bytes += totals[i].bytes;
    for (int j = 0; j < digest_size; j++) all.digest[j] ^= totals[i].digest[j];
  }
  printf("%ld %lld ", all.files, all.bytes);
  for (int i = 0; i < digest_size; i++) printf("%02x", all.digest[i]);
  putchar('\n');
  return 0;
}
