/*
 * The store: one SQLite file (WAL), one writer, any number of readers. Tables are ours; the views are the public
 * interface (holdfast-db(5)). A struct db is a connection and belongs to one thread.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cleanup.h"

enum db_mode {
	DB_READ,   /* existing database, read only */
	DB_WRITE,  /* existing database; migrated when it is older */
	DB_CREATE, /* made when absent (mode 0600, folder 0700) */
};

struct db_options {
	const char *path;
	const char *key;  /* private key file; NULL: signing.key beside the database */
	const char *head; /* head file; NULL: holdfast.head beside the database */
	bool sync_full;	  /* survive power loss at each commit */
	uint64_t busy_ms; /* wait for another writer; 0: 5000 */
	bool checked; /* another connection of this process has just found its tables in order: not looked at again */
};

struct db;

/*
 * Positive-free: 0, or -ENOENT (no database), -EMEDIUMTYPE (not a holdfast database, or corrupt), -EPROTONOSUPPORT
 * (made by a newer version), -EACCES, -EBUSY (locked), -EIO... with a text that says what to do next in err.
 */
int db_open(const struct db_options *o, enum db_mode mode, struct db **ret, struct buf *err);
void db_close(struct db *d);
/* Append the names that key and head have when the options leave them out: beside the database. -ENOMEM. */
int db_key_path(const struct db_options *o, struct buf *ret);
int db_head_path(const struct db_options *o, struct buf *ret);
/* Text of the last failure on this connection. */
const char *db_error(struct db *d);

/* Write transactions (BEGIN IMMEDIATE). Nest: only the outermost commits. db_commit seals what history got (history.h).
 */
int db_begin(struct db *d);
int db_commit(struct db *d);
void db_rollback(struct db *d);

/*
 * Everything read between these is of one moment, whatever others commit meanwhile. Not inside a write transaction; not
 * for long (the WAL cannot be cut while it lasts).
 */
int db_snapshot_begin(struct db *d);
void db_snapshot_end(struct db *d);

/* Bytes of the file (with WAL), for status and bounds. */
uint64_t db_size(struct db *d);
/* -ESTALE when another file stands under the name of the one that is open, or none. */
int db_in_place(struct db *d);

/* Gives back what is kept in memory of pages that were read: before a long time without a question. */
void db_rest(struct db *d);
/* What is in the log of writes goes into the file, which is cut to what is left in it, as far as readers let it. Never
 * waits. */
void db_checkpoint(struct db *d);

#define _cleanup_db_ _cleanup_(db_closep)
static inline void db_closep(struct db **d)
{
	if (*d)
		db_close(*d);
}

#endif
