#define _GNU_SOURCE
#include "tracefiles.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// What a command did with the files of a project, and where the names lead that it used. Only the tracer's process,
// which has one thread, is here.

// So many names are remembered; a command that uses more is said to have been followed in part.
enum { ENTRY_LIMIT = 1 << 20 };

struct entry {
  uint32_t flags;
  uint32_t length;
  char text[];
};

/// Texts by their hash, in the order of their coming.
struct table {
  struct entry **entries;
  size_t count;
  size_t capacity;
  // Open addressing; 0 for empty, else the entry's number and one.
  uint32_t *slots;
  size_t slot_count;
};

static struct table files;
// Folders as they were named, and where they are: the real path stands behind the name's NUL.
static struct table folders;
static const char *root;
static size_t root_length;
static bool has_made_folders;

static uint64_t hash(const char *text, size_t length) {
  uint64_t value = UINT64_C(0xcbf29ce484222325);
  for (size_t index = 0; index < length; index++) value = (value ^ (unsigned char)text[index]) * UINT64_C(0x100000001b3);
  return value ^ value >> 29;
}

// The slot of a text: where it stands, or where it would.
static size_t slot(const struct table *table, const char *text, size_t length) {
  size_t place = hash(text, length) & (table->slot_count - 1);
  while (table->slots[place] != 0) {
    const struct entry *entry = table->entries[table->slots[place] - 1];
    if (entry->length == length && memcmp(entry->text, text, length) == 0) break;
    place = (place + 1) & (table->slot_count - 1);
  }
  return place;
}

static struct entry *find(const struct table *table, const char *text, size_t length) {
  if (table->slot_count == 0) return NULL;
  uint32_t number = table->slots[slot(table, text, length)];
  return number == 0 ? NULL : table->entries[number - 1];
}

static bool grow(struct table *table) {
  if (table->count == table->capacity) {
    size_t capacity = table->capacity == 0 ? 256 : table->capacity * 2;
    struct entry **entries = realloc(table->entries, capacity * sizeof *entries);
    if (entries == NULL) return false;
    table->entries = entries;
    table->capacity = capacity;
  }
  if ((table->count + 1) * 2 <= table->slot_count) return true;
  struct table larger = *table;
  larger.slot_count = table->slot_count == 0 ? 1024 : table->slot_count * 2;
  larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
  if (larger.slots == NULL) return false;
  for (size_t index = 0; index < table->count; index++) {
    const struct entry *entry = table->entries[index];
    larger.slots[slot(&larger, entry->text, entry->length)] = (uint32_t)index + 1;
  }
  free(table->slots);
  *table = larger;
  return true;
}

// Adds a text that is not there, with room for more bytes behind it.
static struct entry *add(struct table *table, const char *text, size_t length, size_t more) {
  if (table->count >= ENTRY_LIMIT || !grow(table)) return NULL;
  struct entry *entry = malloc(sizeof *entry + length + 1 + more);
  if (entry == NULL) return NULL;
  entry->flags = 0;
  entry->length = (uint32_t)length;
  memcpy(entry->text, text, length);
  entry->text[length] = 0;
  table->slots[slot(table, text, length)] = (uint32_t)table->count + 1;
  table->entries[table->count++] = entry;
  return entry;
}

void tracefiles_begin(const char *project) {
  root = project;
  root_length = strlen(project);
  // "/" holds all.
  if (root_length == 1) root_length = 0;
}

bool tracefiles_is_inside(const char *path) {
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

void tracefiles_forget_folders(void) {
  for (size_t index = 0; index < folders.count; index++) free(folders.entries[index]);
  folders.count = 0;
  if (folders.slot_count > 0) memset(folders.slots, 0, folders.slot_count * sizeof *folders.slots);
}

// Where a folder is, links followed; what of it is not there is taken by its text. False if it leads nowhere.
static bool real_folder(const char *folder, char result[PATH_MAX]) {
  if (realpath(folder, result) != NULL) return true;
  if (errno != ENOENT && errno != ENOTDIR) return false;
  char prefix[PATH_MAX];
  size_t length = strlen(folder);
  if (length >= sizeof prefix) return false;
  memcpy(prefix, folder, length + 1);
  while (length > 1) {
    while (length > 1 && prefix[length - 1] == '/') length--;
    while (length > 1 && prefix[length - 1] != '/') length--;
    prefix[length] = 0;
    if (realpath(prefix, result) == NULL) continue;
    const char *rest = folder + length;
    // Beyond what is not there, ".." leads nowhere.
    if (strstr(rest, "..") != NULL) return false;
    size_t used = strlen(result);
    while (*rest != 0) {
      while (*rest == '/') rest++;
      size_t part = strcspn(rest, "/");
      if (part == 0) break;
      if (used + part + 2 > PATH_MAX) return false;
      if (result[used - 1] != '/') result[used++] = '/';
      memcpy(result + used, rest, part);
      used += part;
      rest += part;
    }
    result[used] = 0;
    return true;
  }
  return false;
}

// The same, remembered: most names that a program looks for are in few folders. NULL for outside of the project.
static const char *folder_inside(const char *folder, size_t length) {
  struct entry *known = find(&folders, folder, length);
  if (known == NULL) {
    char text[PATH_MAX], real[PATH_MAX];
    if (length >= sizeof text) return NULL;
    memcpy(text, folder, length);
    text[length] = 0;
    bool inside = real_folder(length == 0 ? "/" : text, real) && tracefiles_is_inside(real);
    size_t size = inside ? strlen(real) + 1 : 0;
    known = add(&folders, folder, length, size);
    if (known == NULL) return NULL;
    known->flags = inside;
    memcpy(known->text + length + 1, real, size);
  }
  return known->flags ? known->text + length + 1 : NULL;
}

bool tracefiles_resolve(const char *path, char result[PATH_MAX]) {
  if (path[0] != '/') return false;
  // What is there has no files.
  if (strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/sys/", 5) == 0) return false;
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  size_t start = length;
  while (start > 0 && path[start - 1] != '/') start--;
  size_t name = length - start;
  bool is_folder = name == 0 || (name == 1 && path[start] == '.') ||
                   (name == 2 && path[start] == '.' && path[start + 1] == '.');
  if (is_folder) {
    const char *folder = folder_inside(path, length);
    if (folder == NULL) return false;
    strcpy(result, folder);
    return true;
  }
  const char *folder = folder_inside(path, start > 1 ? start - 1 : 0);
  if (folder == NULL) return false;
  size_t used = strlen(folder);
  if (used + name + 2 > PATH_MAX) return false;
  memcpy(result, folder, used);
  if (used > 1) result[used++] = '/';
  memcpy(result + used, path + start, name);
  result[used + name] = 0;
  return true;
}

// How a path is called in the report: from the root.
static const char *name_of(const char *path) {
  if (path[root_length] == 0) return ".";
  return path + root_length + 1;
}

// Whether a folder above was made by the command.
static bool is_in_made_folder(const char *name) {
  if (!has_made_folders) return false;
  for (size_t length = strlen(name); length > 0; length--) {
    if (name[length] != '/') continue;
    const struct entry *entry = find(&files, name, length);
    if (entry != NULL && entry->flags & CTRACE_MADE) return true;
  }
  return false;
}

bool tracefiles_note(const char *path, uint32_t flags) {
  const char *name = name_of(path);
  size_t length = strlen(name);
  struct entry *entry = find(&files, name, length);
  // What the command has made itself tells nothing of what it was made from.
  const uint32_t asking = CTRACE_READ | CTRACE_RUN | CTRACE_LISTED | CTRACE_MISSING;
  bool is_own = entry != NULL && entry->flags & (CTRACE_WRITTEN | CTRACE_MADE);
  if (flags & asking && (is_own || is_in_made_folder(name))) flags &= ~asking;
  if (flags & CTRACE_REMOVED && (is_own || is_in_made_folder(name))) flags &= ~(uint32_t)CTRACE_REMOVED;
  if (flags == 0) return true;
  if (entry == NULL) entry = add(&files, name, length, 0);
  if (entry == NULL) return false;
  entry->flags |= flags;
  if (flags & CTRACE_MADE) has_made_folders = true;
  return true;
}

bool tracefiles_add_program(const char *path, uint32_t kind) {
  if (kind == 0) return true;
  // Not under its own name: it need not be in the project, and a leading NUL is in no name.
  char text[PATH_MAX + 1];
  size_t length = strlen(path);
  if (length >= PATH_MAX) return false;
  text[0] = 0;
  memcpy(text + 1, path, length);
  struct entry *entry = find(&files, text, length + 1);
  if (entry == NULL) entry = add(&files, text, length + 1, 0);
  if (entry == NULL) return false;
  entry->flags |= kind;
  return true;
}

void *tracefiles_report(uint32_t notes, size_t *size) {
  size_t total = sizeof(uint64_t) + sizeof notes;
  for (size_t index = 0; index < files.count; index++) total += 8 + files.entries[index]->length;
  char *report = malloc(total);
  if (report == NULL) return NULL;
  uint64_t length = total - sizeof length;
  char *end = report;
  memcpy(end, &length, sizeof length);
  end += sizeof length;
  memcpy(end, &notes, sizeof notes);
  end += sizeof notes;
  for (size_t index = 0; index < files.count; index++) {
    const struct entry *entry = files.entries[index];
    memcpy(end, &entry->flags, 4);
    memcpy(end + 4, &entry->length, 4);
    memcpy(end + 8, entry->text, entry->length);
    end += 8 + entry->length;
  }
  *size = total;
  return report;
}
