/*
 * Removing a baseline that no longer shows, or that its builder left unfinished. Runs on the one thread that writes, in
 * transactions of bounded size: the monitor writes in between.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "db/baseline_store.h"
#include "lib/text.h"

#define PURGE_PIECE 2000 /* chunks and folders, in one transaction */

/* --- whose rows are whose: a builder is named by boot, pid and start, so that a dead one is known as such */

static void read_line(const char *path, struct buf *ret)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[1024];
	size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;

	buf_add(ret, line, n);
}

void baseline_builder(long pid, struct buf *ret)
{
	_cleanup_buf_ struct buf boot = BUF_INIT;
	_cleanup_buf_ struct buf stat = BUF_INIT;
	char path[64];
	const char *p;
	char *end;

	read_line("/proc/sys/kernel/random/boot_id", &boot);
	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	read_line(path, &stat);
	/* The name in parentheses may hold anything: count fields from the last one. Start time is field 22. */
	p = stat.len > 0 ? strrchr(stat.data, ')') : NULL;
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	buf_printf(ret, "%.36s %ld %llu", boot.len > 0 ? boot.data : "", pid, p ? strtoull(p, &end, 10) : 0ull);
}

static bool builder_alive(const char *builder)
{
	_cleanup_buf_ struct buf now = BUF_INIT;
	const char *space = builder ? strchr(builder, ' ') : NULL;

	if (!space)
		return false;
	baseline_builder(strtol(space + 1, NULL, 10), &now);
	return !now.failed && streq(now.data, builder);
}

/* --- removing */

/* Up to 64 chunks of a folder; *ret_n is how many there were. */
static int purge_chunks(struct db *d, int64_t dir, size_t *ret_n)
{
	struct chunk_row rows[64];
	sqlite3_stmt *st;
	size_t n = 0;
	int r = db_stmt(d, STMT_CHUNK_OF_DIR, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, dir);
	while (n < ARRAY_SIZE(rows) && (r = db_step(d, st)) > 0) {
		rows[n].seq = (uint32_t)sqlite3_column_int64(st, 0);
		rows[n++].base = sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = chunk_remove_files(d, rows[i].base);
		if (r == 0)
			r = db_stmt(d, STMT_CHUNK_REMOVE, &st);
		if (r < 0)
			break;
		sqlite3_bind_int64(st, 1, dir);
		sqlite3_bind_int64(st, 2, rows[i].seq);
		r = db_run(d, st);
	}
	*ret_n = n;
	return r < 0 ? r : 0;
}

/* One piece in one transaction: 1 when there is more. */
static int purge_piece(struct db *d, int64_t id)
{
	size_t budget = PURGE_PIECE, n;
	sqlite3_stmt *st;
	int64_t dir;
	int r;

	while (budget > 0) {
		r = db_stmt(d, STMT_DIR_PIECE, &st);
		if (r < 0)
			return r;
		sqlite3_bind_int64(st, 1, id);
		r = db_step(d, st);
		if (r <= 0)
			return r;
		dir = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
		r = purge_chunks(d, dir, &n);
		if (r < 0)
			return r;
		budget -= MIN(budget, n + 1);
		if (n > 0)
			continue;
		r = db_stmt(d, STMT_DIR_REMOVE, &st);
		if (r < 0)
			return r;
		sqlite3_bind_int64(st, 1, dir);
		r = db_run(d, st);
		if (r < 0)
			return r;
	}
	return 1;
}

static int purge_last(struct db *d, int64_t id)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_REMOVE, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = db_run(d, st);
	if (r == 0)
		r = db_stmt(d, STMT_LAYER_REMOVE, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = db_run(d, st);
	if (r == 0)
		r = db_exec(d, "DELETE FROM xset WHERE id NOT IN (SELECT xset FROM file WHERE xset IS NOT NULL)");
	return r;
}

int baseline_purge(struct db *d, int64_t id)
{
	int more = 1;

	while (more > 0) {
		int r = db_begin(d);

		if (r < 0)
			return r;
		more = purge_piece(d, id);
		if (more == 0)
			more = purge_last(d, id);
		if (more < 0) {
			db_rollback(d);
			return more;
		}
		r = db_commit(d);
		if (r < 0)
			return r;
	}
	return db_exec(d, "PRAGMA incremental_vacuum");
}

int baseline_purge_leftovers(struct db *d)
{
	int64_t ids[64];
	size_t n = 0;
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_UNSIGNED, &st);

	if (r < 0)
		return r;
	while (n < ARRAY_SIZE(ids) && (r = db_step(d, st)) > 0)
		if (sqlite3_column_int(st, 1) == BASELINE_DELETING ||
		    !builder_alive((const char *)sqlite3_column_text(st, 2)))
			ids[n++] = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = baseline_purge(d, ids[i]);
	return r < 0 ? r : 0;
}
