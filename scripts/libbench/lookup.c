// lookup DATABASE FILE…: the least work that can answer "is this step up to date?": open a SQLite database
// in WAL mode, read one record by its key, stat each file.
// lookup --make DATABASE: writes that database.
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int fail(sqlite3 *db, const char *what) {
  fprintf(stderr, "lookup: %s: %s\n", what, sqlite3_errmsg(db));
  return 1;
}

static int make(const char *path) {
  sqlite3 *db;
  if (sqlite3_open(path, &db) != SQLITE_OK) return fail(db, "open");
  // Otherwise the last connection to close removes the WAL, and the reader's first act would be to create
  // it again: not the state of a store in use.
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
  const char *sql =
      "PRAGMA journal_mode=WAL;"
      "CREATE TABLE record (key TEXT PRIMARY KEY, value BLOB NOT NULL);"
      "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)"
      " INSERT INTO record SELECT 'step-' || i, zeroblob(400) FROM n;";
  if (sqlite3_exec(db, sql, 0, 0, 0) != SQLITE_OK) return fail(db, "make");
  return sqlite3_close(db) != SQLITE_OK;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--make") == 0) return make(argv[2]);
  if (argc < 2) return 64;

  sqlite3 *db;
  sqlite3_stmt *statement;
  if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY, 0) != SQLITE_OK) return fail(db, "open");
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
  if (sqlite3_prepare_v2(db, "SELECT value FROM record WHERE key = ?1", -1, &statement, 0) != SQLITE_OK)
    return fail(db, "prepare");
  sqlite3_bind_text(statement, 1, "step-42", -1, SQLITE_STATIC);
  if (sqlite3_step(statement) != SQLITE_ROW || sqlite3_column_bytes(statement, 0) != 400)
    return fail(db, "read");
  sqlite3_finalize(statement);
  sqlite3_close(db);

  for (int i = 2; i < argc; i++) {
    struct stat info;
    if (stat(argv[i], &info) != 0) {
      perror(argv[i]);
      return 1;
    }
  }
  return 0;
}
