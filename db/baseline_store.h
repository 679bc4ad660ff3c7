/* What the baseline_*.c files share. */
#ifndef DB_BASELINE_STORE_H
#define DB_BASELINE_STORE_H

#include "db/baseline.h"
#include "db/store.h"

enum baseline_state { BASELINE_BUILDING, BASELINE_SIGNED, BASELINE_DELETING };

/* Columns of file, as STMT_FILE_ADD numbers its values. */
enum file_column {
	FILE_ID = 1,
	FILE_NAME,
	FILE_TM,
	FILE_UID,
	FILE_GID,
	FILE_SIZE,
	FILE_MTIME,
	FILE_CTIME,
	FILE_INO,
	FILE_NLINK,
	FILE_DIGEST,
	FILE_FLAGS,
	FILE_XSET,
	FILE_UNREAD,
	FILE_DEV,
	FILE_HAVE,
	FILE_TARGET,
	FILE_RDEV,
	FILE_MIME,
	FILE_SHOW,
	FILE_TARGET_SHOW,
	FILE_COLUMNS = FILE_TARGET_SHOW,
};
#define FILE_ROWS 16 /* in one STMT_FILE_ADD_ROWS: a third cheaper than as many statements */

/* Letters of record.type by their number in column tm; 0 is unknown. */
static const char file_types[] = "?fdlpsbc";

/* One row of chunk. */
struct chunk_row {
	uint32_t seq;
	int64_t base;
	uint32_t n;
	uint8_t digest[DB_HASH_SIZE];
	bool has_dev, has_have;
	uint64_t dev;
	uint32_t have;
	const char *first; /* borrowed from the statement, not NUL-terminated */
	size_t first_len;
	uint8_t layers[CHUNK_MAX]; /* rec.layer of each entry, 0 for none */
};
/* -EMEDIUMTYPE when it holds what no writer puts there. */
int chunk_row_read(struct db *d, sqlite3_stmt *st, struct chunk_row *ret);

/* Inserts chunks of one baseline; used by init, import and edits. All in an open transaction. */
struct chunk_writer;
int chunk_writer_new(struct db *d, int64_t baseline, struct chunk_writer **ret);
void chunk_writer_free(struct chunk_writer *w);
/* After each BEGIN: others may have used the numbers that were free before. */
int chunk_writer_begin(struct chunk_writer *w);
/* Adds c below folder row dir_id, or (0) below the row of c->dir, made when it is not there. */
int chunk_writer_add(struct chunk_writer *w, const struct chunk *c, int64_t dir_id);
int chunk_writer_dir(struct chunk_writer *w, const char *path, int64_t *ret);
/* Removes the rows of file that a chunk row names. */
int chunk_remove_files(struct db *d, int64_t base);
DEFINE_CLEANUP(struct chunk_writer *, chunk_writer_free)

/*
 * What the signature covers besides the head row. tree: over all leaves of a baseline in order: path, seq, n, first
 * name and digest of each chunk. layers: over the layer of each entry, in the same order; for images alone.
 */
struct baseline_seal {
	uint8_t tree[DB_HASH_SIZE];
	uint8_t layers[DB_HASH_SIZE];
};
int baseline_seal_make(struct db *d, int64_t id, struct baseline_seal *ret);
/* One chunk in the digest over layers. */
int layers_hash_leaf(struct digest *layers, struct buf *scratch, const void *path, size_t path_len, uint32_t seq,
		     const uint8_t *numbers, size_t n);
/* Numbers of the layers of a chunk's entries; false when none of them has one. */
bool chunk_layers(const struct chunk *c, uint8_t ret[CHUNK_MAX]);
/* One leaf of it. */
int tree_hash_leaf(struct digest *tree, struct buf *scratch, const void *path, size_t path_len, uint32_t seq,
		   uint32_t n, const void *first, size_t first_len, const uint8_t digest[DB_HASH_SIZE]);
/* The bytes that are signed. */
void baseline_message(struct buf *b, const struct baseline_info *info, const struct baseline_seal *seal);
/* Signs in the open transaction with what is in the tables and the counts in info. */
int baseline_sign(struct db *d, struct baseline_info *info, const struct sign_key *key);
/*
 * An exported baseline: a first line, then blocks (u8 tag, u32 length, bytes): H the signed head, K the public key, S
 * the signature, L one for each leaf in order, C one for each chunk in the same order, E the end.
 */
#define EXPORT_MAGIC	 "holdfast-export 1\n"
#define EXPORT_BLOCK_MAX (64 * MIB)
int export_error(struct buf *err, int r, const char *text);

/* Names are shown everywhere: no controls, valid UTF-8, 1 to 200 bytes. */
bool baseline_name_valid(const char *name);
/* The row of a baseline with what is signed: -EMEDIUMTYPE when it cannot be one. */
int baseline_seal_read(struct db *d, int64_t id, struct arena *a, struct baseline_info *info,
		       uint8_t tree[DB_HASH_SIZE], uint8_t signature[SIGN_SIZE]);
int baseline_info_read(sqlite3_stmt *st, struct arena *a, struct baseline_info *ret);
/* History rows: what happened to a baseline, and the end of all its open deviations. */
int baseline_note(struct db *d, const struct baseline_info *info, const char *what);
int baseline_note_end(struct db *d, int64_t id, const char *name, const char *why);
/* Removes the rows of a baseline that no longer shows, in transactions of bounded size. */
int baseline_purge(struct db *d, int64_t id);
/* The same for what dead builders and unfinished removals left. */
int baseline_purge_leftovers(struct db *d);
/* Names the process that builds, by boot, pid and start: a dead one is known as such. */
void baseline_builder(long pid, struct buf *ret);

#endif
