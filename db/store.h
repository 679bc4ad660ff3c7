/*
 * What the files of db/ share: the connection behind struct db, statements, errors, values for people and the
 * chain. Nothing outside db/ includes this (tests of db/ may).
 */
#ifndef DB_STORE_H
#define DB_STORE_H

#include <sqlite3.h>

#include "db/db.h"
#include "db/sign.h"
#include "db/statements.h"
#include "event/container.h"
#include "event/process.h"
#include "lib/arena.h"
#include "lib/digest.h"

#define DB_APPLICATION_ID 0x686c6466 /* "hldf" */
#define DB_HASH_SIZE	  32	     /* BLAKE2b-512 cut to 32 bytes, wherever the store itself hashes */

struct event;

/* One row of table batch. */
struct batch {
	int64_t seq;
	int64_t first, last; /* ids of its rows; last is first - 1 when it has none */
	uint64_t time;
	int64_t floor;			 /* every batch from this one on must be there; older ones were pruned */
	uint8_t kept[DB_HASH_SIZE];	 /* over the rows older than the floor that pruning kept */
	uint8_t baselines[DB_HASH_SIZE]; /* over the signatures of all signed baselines */
	uint8_t prev[DB_HASH_SIZE];
	uint8_t digest[DB_HASH_SIZE];
	uint8_t signature[SIGN_SIZE];
};

/* The batch that the current transaction is filling. */
struct chain {
	bool open;
	bool baselines_changed;
	struct batch prev; /* newest in the table; seq 0 when there is none */
	int64_t next;	   /* id of the next row */
	int64_t floor;
	uint8_t kept[DB_HASH_SIZE];
	struct digest *leaves; /* runs over the row digests */
};

/* What the transaction gave a row: one of them. */
struct fresh {
	struct process *process;
	struct container *container;
};

struct db {
	sqlite3 *h;
	sqlite3_stmt *stmts[STMT_COUNT];
	char *path;
	char *head_path, *key_path;
	enum db_mode mode;
	bool sync_full;
	uint64_t busy_ms, busy_since; /* mono */
	unsigned depth;
	bool doomed; /* an inner part rolled back: the outermost commit fails */
	struct buf error;
	const struct sign_key *key; /* borrowed */
	struct digest *blake;
	struct buf scratch;
	struct chain chain;
	struct fresh *fresh;
	size_t n_fresh, room_fresh;
	struct texts_total {
		bool known;
		int64_t version; /* of the database when it was: changes by what others commit */
		int64_t size;
		uint64_t trimmed; /* texts, since that was asked */
	} texts;
	uint64_t transaction;  /* its number */
	struct recent *recent; /* NULL: nothing was remembered yet */
};

/* --- db.c */
/* Keeps a text of the failure and returns its negative errno. rc is an SQLite result. */
int db_fail(struct db *d, int rc, const char *what);
/* The same without SQLite: text from a format. */
int db_failf(struct db *d, int r, const char *fmt, ...) _printf_(3, 4);
int db_errno(sqlite3 *h, int rc);
int db_exec(struct db *d, const char *sql);
/* Once, with the id of its row, for what the current transaction has stored: a rollback sets that to 0 again. */
int db_stored_process(struct db *d, struct process *p, int64_t row);
int db_stored_container(struct db *d, struct container *c, int64_t row);
/* A statement outside the table, for loops that call back; the caller finalizes. */
int db_prepare(struct db *d, const char *sql, sqlite3_stmt **ret);
/* From the table: prepared at first use, reset and without values. */
int db_stmt(struct db *d, enum statement id, sqlite3_stmt **ret);
/* 1 a row, 0 no more (and reset), or a negative errno (and reset). */
int db_step(struct db *d, sqlite3_stmt *st);
/* For statements without rows: 0 or a negative errno; reset. */
int db_run(struct db *d, sqlite3_stmt *st);
/* One number from SQL that is a constant; 0 when it has no row or NULL. */
int db_number(struct db *d, const char *sql, int64_t *ret);

static inline void stmt_finalizep(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}
#define _cleanup_finalize_ _cleanup_(stmt_finalizep)

/* "WAL" or "DELETE". Outside a transaction. -EBUSY: somebody else has it open, and it stays as it was. */
int db_set_journal(struct db *d, const char *mode);

/* BLAKE2b cut to DB_HASH_SIZE. */
int db_hash(struct db *d, const void *data, size_t len, uint8_t ret[DB_HASH_SIZE]);

/* --- migrations.c, views.c: the schema; migrate.c: what is done with it */
struct migration {
	int version;		/* user_version afterwards */
	const char *const *sql; /* statements, NULL-terminated */
};
struct schema {
	const struct migration *steps; /* of tables and indices, by version */
	size_t n;
	const char *const *views; /* as they are in the last version, NULL-terminated; each "CREATE VIEW..." */
};
extern const char *const db_views[];
extern const struct schema db_schema;
/* Brings h from its user_version to the last, in one transaction; views are made anew. An SQLite result. */
int db_migrate(sqlite3 *h, const struct schema *schema);
/*
 * After so many steps: 0, or -EMEDIUMTYPE with the name of what differs. Views of a database that is not up to date are not
 * looked at: nothing reads them before they are made anew.
 */
int db_check_schema(sqlite3 *h, const struct schema *schema, size_t steps, struct buf *ret_what);

/* --- display.c: values for people; views must never hand a control byte to a terminal */
/* Appends s escaped. */
void display_escape(struct buf *b, const char *s);
/* Printable as it is: valid UTF-8 without controls, overrides or backslash. */
bool display_plain(const char *s, size_t len);
/* Binds NULL when s is plain (the view then shows s itself), else the escaped form. */
int display_bind(sqlite3_stmt *st, int col, const char *s, size_t len, struct buf *scratch);
/* Binds text that is only ever shown: s itself, or escaped where it has to be. NULL stays NULL. */
int display_bind_text(sqlite3_stmt *st, int col, const char *s, struct buf *scratch);

/* --- recent.c: what this transaction has looked up or made; the record of a text for as long as there is room */
void recent_free(struct recent *r);
bool recent_str(struct db *d, const char *s, size_t len, int64_t *ret);
void recent_put_str(struct db *d, const char *s, size_t len, int64_t id);
bool recent_digest(struct db *d, int64_t row, uint8_t ret[DB_HASH_SIZE]);
void recent_put_digest(struct db *d, int64_t row, const uint8_t digest[DB_HASH_SIZE]);
/* record: encoded, with whatever else its text depends on. Borrowed, until the next is put; NULL: not known. */
const char *recent_json(struct db *d, const struct buf *record);
void recent_put_json(struct db *d, const struct buf *record, const struct buf *json);

/* --- process_store.c */
/* Row of p (and of its parents), made when it has none, and the digest that covers both. In a transaction. */
int process_store(struct db *d, struct process *p, int64_t *ret_row, uint8_t ret_digest[DB_HASH_SIZE]);
/* New reference in *ret; NULL when the row is not there. */
struct process_cache;
int process_load(struct db *d, struct process_cache *cache, int64_t row, struct process **ret);
int process_cache_new(struct process_cache **ret);
void process_cache_free(struct process_cache *c);
/* Digest of a stored row worked out again from what it holds now. */
int process_rehash(struct db *d, int64_t row, uint8_t ret[DB_HASH_SIZE]);
DEFINE_CLEANUP(struct process_cache *, process_cache_free)

/* --- container_store.c: the same for containers */
int container_store(struct db *d, struct container *c, int64_t *ret_row, uint8_t ret_digest[DB_HASH_SIZE]);
struct container_cache;
int container_load(struct db *d, struct container_cache *cache, int64_t row, struct container **ret);
/*
 * A row of a statement with STMT_EVENT_COLUMNS and STMT_EVENT_PLACE, and behind them the name of its status now. Process
 * and container are left out: their rows, 0: none.
 */
int event_of_row(struct db *d, sqlite3_stmt *st, struct event **ret, int64_t *ret_process, int64_t *ret_container);
int container_cache_new(struct container_cache **ret);
void container_cache_free(struct container_cache *c);
int container_rehash(struct db *d, int64_t row, uint8_t ret[DB_HASH_SIZE]);
DEFINE_CLEANUP(struct container_cache *, container_cache_free)

/* --- row.c: values go into the statement and into what is hashed at once */
struct row {
	struct db *d;
	sqlite3_stmt *st;
	int col;
	struct buf *hash;
	bool failed;
};
void row_null(struct row *r);
void row_int(struct row *r, bool have, int64_t value);
void row_blob(struct row *r, const void *data, size_t len);
/* A string as bytes (NULL is NULL), and the same with its escaped form, if it needs one, in the next column. */
void row_bytes(struct row *r, const char *s);
void row_shown(struct row *r, const char *s);
/* Text that is only shown: escaped when it has to be. */
void row_text(struct row *r, const char *s);
/* Text that is known to be printable ASCII. */
void row_ascii(struct row *r, const char *s);
/* What the above hashed, from the columns of a row. */
void row_hash_columns(struct buf *hash, sqlite3_stmt *st, int first, int n);

/* --- chain.c */
/* Needs an open transaction: reads the newest batch, once for each transaction. */
int chain_open(struct db *d);
/* Number for the next row, and its digest into the batch. */
int64_t chain_next_id(struct db *d);
int chain_append(struct db *d, const uint8_t leaf[DB_HASH_SIZE]);
/* Called before a transaction changes what baselines there are: -EBADMSG when somebody else did since the newest batch.
 */
int chain_change_baselines(struct db *d);
/* Called by the outermost db_commit: writes the batch, if there is one, before COMMIT and the head file after. */
int chain_seal(struct db *d, struct batch *ret, bool *ret_sealed);
void chain_committed(struct db *d, const struct batch *b);
void chain_reset(struct db *d);
int chain_batch_digest(struct db *d, struct batch *b, const uint8_t leaves[DB_HASH_SIZE]);
int chain_newest(struct db *d, struct batch *ret);
int chain_baselines_digest(struct db *d, uint8_t ret[DB_HASH_SIZE]);
void chain_batch_read(sqlite3_stmt *st, struct batch *ret);
/* In a transaction: what lies before batch `floor` (and what pruning kept) is what was signed, else -EBADMSG. */
int history_verify_below(struct db *d, int64_t floor);
/* Over id and digest of each row with a smaller id: those that pruning kept. */
int chain_kept_digest(struct db *d, int64_t below, uint8_t ret[DB_HASH_SIZE]);

#endif
