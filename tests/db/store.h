/* What the tests of db/ share: a folder with a key and a database in it, records, and the real sqlite3 shell. */
#ifndef TESTS_DB_STORE_H
#define TESTS_DB_STORE_H

#include "tests/test.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "db/baseline.h"
#include "db/history.h"
#include "db/store.h"

struct store {
	char dir[64];
	char path[96], head[96], key_path[96];
	struct db_options options;
	struct sign_key *key;
	struct db *d;
	struct digest *blake;
	struct buf scratch;
	struct buf err;
};

/* Leaves the database open for writing, with the key set. */
static inline void store_open(struct store *s, enum db_mode mode)
{
	buf_reset(&s->err);
	if (db_open(&s->options, mode, &s->d, &s->err) < 0)
		fail_msg("db_open: %s", s->err.data);
	history_set_key(s->d, s->key);
}

static inline void store_close(struct store *s)
{
	if (s->d)
		db_close(s->d);
	s->d = NULL;
}

static inline void store_new(struct store *s)
{
	memset(s, 0, sizeof(*s));
	strcpy(s->dir, "/tmp/holdfast-db-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/holdfast.db", s->dir);
	snprintf(s->head, sizeof(s->head), "%s/holdfast.head", s->dir);
	snprintf(s->key_path, sizeof(s->key_path), "%s/signing.key", s->dir);
	s->options.path = s->path;
	buf_str(&s->err, "");
	assert_int_equal(sign_key_load(s->key_path, 1, &s->key, &s->err), 0);
	assert_int_equal(digest_new(DIGEST_BLAKE2B512, &s->blake), 0);
	store_open(s, DB_CREATE);
}

static inline void store_free(struct store *s)
{
	char command[160];

	store_close(s);
	sign_key_free(s->key);
	digest_free(s->blake);
	buf_free(&s->scratch);
	buf_free(&s->err);
	snprintf(command, sizeof(command), "rm -rf %s", s->dir);
	assert_int_equal(system(command), 0);
}

/* Runs SQL on the file behind the program's back; the connection has to be closed. */
static inline void store_sql(const char *path, const char *sql)
{
	sqlite3 *h;
	char *msg = NULL;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	if (sqlite3_exec(h, sql, NULL, NULL, &msg) != SQLITE_OK)
		fail_msg("%s: %s", sql, msg);
	sqlite3_close(h);
}

/* What the real shell prints for a query, in a static buffer. */
static inline const char *store_shell(const char *path, const char *sql)
{
	static char out[65536];
	char command[4096];
	size_t n;
	FILE *p;

	snprintf(command, sizeof(command), "sqlite3 -batch -readonly -separator '|' '%s' \"%s\" 2>&1", path, sql);
	p = popen(command, "r");
	assert_non_null(p);
	n = fread(out, 1, sizeof(out) - 1, p);
	out[n] = '\0';
	if (pclose(p) != 0)
		fail_msg("%s: %s", sql, out);
	while (n > 0 && out[n - 1] == '\n')
		out[--n] = '\0';
	return out;
}

static inline void store_copy(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "cp -p %s %s", from, to);
	assert_int_equal(system(command), 0);
}

#define RECORD_USUAL                                                                                                   \
	(ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID) | ATTR_BIT(ATTR_SIZE) |   \
	 ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME) | ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO) |                       \
	 ATTR_BIT(ATTR_NLINK) | ATTR_BIT(ATTR_DIGEST))

static inline struct record record_file(uint64_t n)
{
	struct record r = {
		.have = RECORD_USUAL,
		.type = 'f',
		.mode = 0644,
		.size = 100 + n,
		.mtime = 1700000000123456789 + (int64_t)n,
		.ctime = 1700000000123456789 + (int64_t)n,
		.dev = 0xfd01,
		.ino = 1000 + n,
		.nlink = 1,
		.digest_len = 32,
	};

	memset(r.digest, (int)(n & 0xff), 32);
	memcpy(r.digest, &n, sizeof(n));
	return r;
}

static inline int entry_order(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* Adds a folder of n entries (sorted here), cut into chunks. */
static inline void store_add(struct store *s, struct baseline_writer *w, const char *dir, struct entry *entries,
			     size_t n)
{
	static uint64_t dir_seq;
	struct chunk c = { .dir = dir, .dir_seq = ++dir_seq };

	if (n > 0)
		qsort(entries, n, sizeof(*entries), entry_order);
	for (size_t i = 0; i == 0 || i < n; i += CHUNK_MAX) {
		c.seq = (uint32_t)(i / CHUNK_MAX);
		c.n = (uint32_t)MIN(n - i, (size_t)CHUNK_MAX);
		c.entries = entries + i;
		assert_int_equal(chunk_seal(&c, s->blake, &s->scratch), 0);
		if (baseline_add(w, &c) < 0)
			fail_msg("baseline_add: %s", db_error(s->d));
	}
}

static inline struct baseline_writer *store_begin(struct store *s, const char *name, bool replace)
{
	struct baseline_info info = { .name = name, .kind = BASELINE_HOST, .root = "/", .scope = "{\"paths\":[]}" };
	struct baseline_writer *w = NULL;

	if (baseline_begin(s->d, &info, replace, &w) < 0)
		fail_msg("baseline_begin: %s", db_error(s->d));
	return w;
}

static inline int64_t store_finish(struct store *s, struct baseline_writer *w)
{
	int64_t id = 0;

	if (baseline_finish(w, s->key, &id) < 0)
		fail_msg("baseline_finish: %s", db_error(s->d));
	return id;
}

/* A small baseline: /etc with files a, b, c and the folder /etc/d with 130 files. */
static inline int64_t store_small(struct store *s, const char *name, bool replace)
{
	struct baseline_writer *w = store_begin(s, name, replace);
	struct entry top[] = { { "etc", record_file(1) } };
	struct entry etc[] = {
		{ "a", record_file(2) }, { "b", record_file(3) }, { "c", record_file(4) }, { "d", record_file(5) }
	};
	struct entry many[130];
	char names[130][8];

	top[0].rec.type = etc[3].rec.type = 'd';
	top[0].rec.digest_len = etc[3].rec.digest_len = 0;
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		snprintf(names[i], sizeof(names[i]), "f%03zu", i);
		many[i] = (struct entry){ names[i], record_file(100 + i) };
	}
	store_add(s, w, "/", top, 1);
	store_add(s, w, "/etc", etc, 4);
	store_add(s, w, "/etc/d", many, ARRAY_SIZE(many));
	return store_finish(s, w);
}

#endif
