// What the tracer knows of the files that a command uses; see tracefiles.c.
#ifndef TRACEFILES_H
#define TRACEFILES_H

#include "CSpawn.h"

#include <limits.h>

/// Takes the project's root, a real path that stays the caller's. What is outside of it is not remembered.
void tracefiles_begin(const char *project);

/// Whether a path without links is in the project.
bool tracefiles_is_inside(const char *path);

/// Where an absolute path leads, links on the way followed but for the last; false for outside of the project.
bool tracefiles_resolve(const char *path, char result[PATH_MAX]);

/// To be called where folders, or links to such, may have changed.
void tracefiles_forget_folders(void);

/// Adds what was done (CTRACE_...) to a path as it was resolved; false if it cannot be remembered.
bool tracefiles_note(const char *path, uint32_t flags);

/// Adds a program that is special, wherever it is.
bool tracefiles_add_program(const char *path, uint32_t kind);

/// All that is known, as it is sent; NULL without memory. The caller frees it.
void *tracefiles_report(uint32_t notes, size_t *size);

#endif
