/* db/baseline: what goes in comes out, for odd names and values too; large folders; replacing, leftovers, tampering. */
#include "tests/db/store.h"

#include <sys/wait.h>

static const char xattrs_raw[] = "\x0d\0\0\0user.origin\x1b?\x04\0\0\0a\0b\n";

static struct entry *odd_entries(struct arena *a, size_t *ret_n)
{
	static const char *const names[] = {
		"plain",
		" ",
		"-rf",
		"new\nline",
		"esc\x1b[31m",
		"back\\slash",
		"\xff\xfe invalid",
		"caf\xc3\xa9",
		"\xe2\x80\xae override",
		"tab\t",
		"\x01",
		"'quote\"",
		"%s",
		"del\x7f",
		"\xc2\x9b C1",
	};
	size_t n = ARRAY_SIZE(names) + 8;
	struct entry *e = arena_zalloc(a, n * sizeof(*e));
	char *longest = arena_zalloc(a, 256);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		e[i] = (struct entry){ names[i], record_file(i) };
	memset(longest, 'x', 255);
	e[i++] = (struct entry){ longest, record_file(50) };
	e[i] = (struct entry){ "extremes", record_file(51) };
	e[i].rec.ino = UINT64_MAX;
	e[i].rec.dev = UINT64_MAX;
	e[i].rec.size = INT64_MAX;
	e[i].rec.mtime = INT64_MIN;
	e[i].rec.ctime = INT64_MAX;
	e[i].rec.uid = e[i].rec.gid = UINT32_MAX;
	e[i].rec.nlink = UINT32_MAX;
	e[i++].rec.mode = 07777;
	e[i] = (struct entry){ "extremes2", record_file(52) };
	e[i].rec.mtime = INT64_MAX;
	e[i++].rec.ctime = INT64_MIN;
	e[i] = (struct entry){ "link", record_file(53) };
	e[i].rec.type = 'l';
	e[i].rec.target = "../esc\x1b]0;title\x07\xff";
	e[i].rec.have = (e[i].rec.have | ATTR_BIT(ATTR_TARGET)) & ~ATTR_BIT(ATTR_DIGEST);
	e[i++].rec.digest_len = 0;
	e[i] = (struct entry){ "device", record_file(54) };
	e[i].rec.type = 'b';
	e[i].rec.rdev = 0x12345678abcdef;
	e[i].rec.have = (e[i].rec.have | ATTR_BIT(ATTR_RDEV) | ATTR_BIT(ATTR_FLAGS)) & ~ATTR_BIT(ATTR_DIGEST);
	e[i].rec.digest_len = 0;
	e[i++].rec.flags = 0xffffffff;
	e[i] = (struct entry){ "unread", record_file(55) };
	e[i].rec.unread = RECORD_UNSTABLE;
	e[i].rec.have &= ~ATTR_BIT(ATTR_DIGEST);
	e[i++].rec.digest_len = 0;
	e[i] = (struct entry){ "xattrs", record_file(56) };
	e[i].rec.xattrs = (const uint8_t *)xattrs_raw;
	e[i].rec.xattrs_len = sizeof(xattrs_raw) - 1;
	e[i].rec.have |= ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_ACL) | ATTR_BIT(ATTR_MIME);
	e[i].rec.mime = "text/plain\x1b";
	e[i].rec.digest_len = 64;
	e[i++].rec.dev = 7;
	e[i++] = (struct entry){ "nothing", { .have = 0 } };
	assert_int_equal(i, n);
	*ret_n = n;
	return e;
}

static void assert_same(const char *name, const struct record *a, const struct record *b)
{
	_cleanup_buf_ struct buf x = BUF_INIT, y = BUF_INIT;

	record_encode(&x, a);
	record_encode(&y, b);
	if (x.len != y.len || memcmp(x.data, y.data, x.len) != 0)
		fail_msg("%s came back changed", name);
	assert_int_equal(a->have, b->have);
}

static void join(char *ret, size_t size, const char *dir, const char *name)
{
	snprintf(ret, size, "%s/%s", streq(dir, "/") ? "" : dir, name);
}

static void compare_folder(struct store *s, int64_t id, const char *dir, const struct entry *e, size_t n)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct baseline_reader *reader;
	struct chunk c = { .n = 0 };
	const char **first;
	size_t n_first, at = 0;
	int64_t dir_id;
	char path[8192];

	assert_int_equal(baseline_reader_new(s->d, id, &reader), 0);
	assert_int_equal(baseline_dir(reader, dir, &dir_id), 0);
	assert_int_equal(baseline_dir_chunks(reader, dir_id, &a, &first, &n_first), 0);
	assert_int_equal(n_first, (n + CHUNK_MAX - 1) / CHUNK_MAX);
	for (size_t i = 0; i < n_first; i++) {
		if (baseline_load_chunk(reader, dir_id, dir, (uint32_t)i, &c, s->blake, &s->scratch) < 0)
			fail_msg("chunk %zu of %s: %s", i, dir, db_error(s->d));
		assert_string_equal(first[i], c.entries[0].name);
		for (uint32_t k = 0; k < c.n; k++, at++) {
			assert_true(at < n);
			assert_string_equal(c.entries[k].name, e[at].name);
			assert_same(e[at].name, &e[at].rec, &c.entries[k].rec);
		}
	}
	assert_int_equal(at, n);
	assert_int_equal(baseline_load_chunk(reader, dir_id, dir, (uint32_t)n_first, &c, s->blake, &s->scratch),
			 -ENOENT);
	for (size_t i = 0; i < n; i += 1 + n / 300) {
		struct record r;

		join(path, sizeof(path), dir, e[i].name);
		assert_int_equal(baseline_lookup(reader, path, &a, &r), 0);
		assert_same(e[i].name, &e[i].rec, &r);
		join(path, sizeof(path), dir, e[i].name);
		strcat(path, "!");
		assert_int_equal(baseline_lookup(reader, path, &a, &r), -ENOENT);
	}
	arena_free(&c.arena);
	baseline_reader_free(reader);
}

static void test_roundtrip(void **state _unused_)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct baseline_writer *w;
	struct entry root[] = { { "", record_file(1) }, { "odd", record_file(2) } };
	struct entry *odd;
	struct baseline_info info;
	struct store s;
	char deep[6000];
	size_t n;
	int64_t id;

	store_new(&s);
	odd = odd_entries(&a, &n);
	memset(deep, 'y', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	for (size_t i = 0; i < sizeof(deep) - 1; i += 200)
		deep[i] = '/';
	w = store_begin(&s, "host", false);
	store_add(&s, w, "/", root, 2);
	store_add(&s, w, "/odd", odd, n);
	store_add(&s, w, "/odd/\x1b\n\xff", odd, n);
	store_add(&s, w, deep, odd, n);
	store_add(&s, w, "/empty", NULL, 0);
	assert_int_equal(baseline_find(s.d, "host", &a, &info), -ENOENT);
	id = store_finish(&s, w);
	compare_folder(&s, id, "/", root, 2);
	compare_folder(&s, id, "/odd", odd, n);
	compare_folder(&s, id, "/odd/\x1b\n\xff", odd, n);
	compare_folder(&s, id, deep, odd, n);

	store_close(&s);
	store_open(&s, DB_READ);
	compare_folder(&s, id, "/odd", odd, n);
	assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
	assert_int_equal(baseline_find(s.d, "host", &a, &info), 0);
	assert_int_equal(info.id, id);
	assert_int_equal(info.files, 2 + 3 * n);
	assert_int_equal(info.unread, 3);
	assert_string_equal(info.state, "signed");
	assert_string_equal(info.scope, "{\"paths\":[]}");
	store_free(&s);
}

static void test_large_folder(void **state _unused_)
{
	struct baseline_writer *w;
	struct entry *e = calloc(20000, sizeof(*e));
	char(*names)[16] = calloc(20000, sizeof(*names));
	struct store s;
	int64_t id;

	store_new(&s);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(names[i], sizeof(names[i]), "%x", i * 2654435761u);
		e[i] = (struct entry){ names[i], record_file(i) };
	}
	w = store_begin(&s, "host", false);
	store_add(&s, w, "/big", e, 20000);
	id = store_finish(&s, w);
	compare_folder(&s, id, "/big", e, 20000);
	assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
	free(e);
	free(names);
	store_free(&s);
}

/* Chunks in any order give the same tree. */
static void test_any_order(void **state _unused_)
{
	struct entry e[200];
	char names[200][8];
	struct chunk c = { .dir = "/x" };
	struct baseline_writer *w;
	struct store s;
	int64_t id;

	store_new(&s);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(names[i], sizeof(names[i]), "%03u", i);
		e[i] = (struct entry){ names[i], record_file(i) };
	}
	w = store_begin(&s, "host", false);
	for (int i = 3; i >= 0; i--) {
		c.seq = (uint32_t)i;
		c.entries = e + i * CHUNK_MAX;
		c.n = i == 3 ? 8 : CHUNK_MAX;
		assert_int_equal(chunk_seal(&c, s.blake, &s.scratch), 0);
		assert_int_equal(baseline_add(w, &c), 0);
	}
	id = store_finish(&s, w);
	compare_folder(&s, id, "/x", e, 200);
	assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
	store_free(&s);
}

static int64_t number(struct store *s, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(db_number(s->d, sql, &n), 0);
	return n;
}

static void test_replace_and_delete(void **state _unused_)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct baseline_info info = { .name = "host", .root = "/", .scope = "{}" };
	struct baseline_writer *w;
	struct store s;
	int64_t first, second;

	store_new(&s);
	first = store_small(&s, "host", false);
	assert_int_equal(baseline_begin(s.d, &info, false, &w), -EEXIST);
	info.name = "bad\nname";
	assert_int_equal(baseline_begin(s.d, &info, false, &w), -EINVAL);
	second = store_small(&s, "host", true);
	assert_int_not_equal(first, second);
	assert_int_equal(baseline_find_id(s.d, first, &a, &info), -ENOENT);
	assert_int_equal(number(&s, "SELECT count(*) FROM file"), 135);
	assert_int_equal(number(&s, "SELECT count(*) FROM baseline"), 1);
	assert_int_equal(baseline_verify(s.d, second, s.key, &s.err), 0);

	w = store_begin(&s, "host", true);
	baseline_abort(w);
	assert_int_equal(baseline_verify(s.d, second, s.key, &s.err), 0);
	assert_int_equal(number(&s, "SELECT count(*) FROM file"), 135);

	assert_int_equal(baseline_delete(s.d, first, &s.err), -ENOENT);
	assert_int_equal(baseline_delete(s.d, second, &s.err), 0);
	assert_int_equal(number(&s, "SELECT count(*) FROM file") + number(&s, "SELECT count(*) FROM dir") +
				 number(&s, "SELECT count(*) FROM chunk") + number(&s, "SELECT count(*) FROM baseline"),
			 0);
	store_free(&s);
}

/* In a process that is then killed: the beginning of a baseline, one file in it. */
static void write_and_die(struct store *s, const char *name, void (*at_the_end)(struct store *s))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct entry e = { "file", record_file(1) };

		store_open(s, DB_WRITE);
		store_add(s, store_begin(s, name, false), "/x", &e, 1);
		at_the_end(s);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void commit(struct store *s)
{
	db_commit(s->d);
}

static void flush(struct store *s)
{
	sqlite3_db_cacheflush(s->d->h);
}

/* An init that is killed leaves nothing that shows, and the next one clears what it left. */
static void test_killed_builder(void **state _unused_)
{
	struct store s;

	store_new(&s);
	store_small(&s, "host", false);
	store_close(&s);
	write_and_die(&s, "other", commit);
	store_open(&s, DB_WRITE);
	assert_int_equal(number(&s, "SELECT count(*) FROM baseline"), 2);
	assert_int_equal(number(&s, "SELECT count(*) FROM file"), 136);
	store_small(&s, "third", false);
	assert_int_equal(number(&s, "SELECT count(*) FROM baseline WHERE name = 'other'"), 0);
	assert_int_equal(number(&s, "SELECT count(*) FROM file"), 270);
	store_free(&s);
}

/* The first one of a store is written without a WAL: whoever reads next, even without writing, sees what was there. */
static void test_killed_first(void **state _unused_)
{
	struct store s;

	store_new(&s);
	store_close(&s);
	write_and_die(&s, "host", flush);
	store_open(&s, DB_READ);
	assert_int_equal(number(&s, "SELECT count(*) FROM file"), 0);
	store_close(&s);
	store_open(&s, DB_WRITE);
	store_small(&s, "host", false);
	assert_int_equal(number(&s, "SELECT count(*) FROM baseline"), 1);
	assert_int_equal(number(&s, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
	store_free(&s);
}

static const struct tamper {
	const char *sql;
	bool by_signature; /* found without reading the rows */
} tampers[] = {
	{ "UPDATE file SET size = size + 1 WHERE id = (SELECT max(id) FROM file)", false },
	{ "UPDATE file SET digest = zeroblob(32) WHERE id = (SELECT min(id) FROM file WHERE digest IS NOT NULL)",
	  false },
	{ "UPDATE file SET digest = zeroblob(5000) WHERE id = (SELECT min(id) FROM file WHERE digest IS NOT NULL)",
	  false },
	{ "UPDATE file SET name = x'6100' WHERE name = x'61'", false },
	{ "UPDATE file SET name = 'text' WHERE name = x'61'", false },
	{ "UPDATE file SET target = x'00', xset = 99 WHERE name = x'61'", false },
	{ "UPDATE file SET tm = 'many', uid = 1e300, gid = x'ff' WHERE name = x'61'", false },
	{ "UPDATE file SET have = 0 WHERE name = x'61'", false },
	{ "UPDATE file SET have = -1, unread = 70000 WHERE name = x'61'", false },
	{ "DELETE FROM file WHERE name = x'61'", false },
	{ "DELETE FROM file", false },
	{ "INSERT INTO file (id, name) SELECT max(id) + 1, x'7a' FROM file", false },
	{ "UPDATE chunk SET digest = zeroblob(32)", true },
	{ "UPDATE chunk SET digest = x'00'", true },
	{ "UPDATE chunk SET n = 1000000", true },
	{ "UPDATE chunk SET n = n - 1 WHERE n > 1", true },
	{ "UPDATE chunk SET first = x'7a7a'", true },
	{ "UPDATE chunk SET base = base + 1", false },
	{ "UPDATE chunk SET base = 9223372036854775807", false },
	{ "UPDATE chunk SET dev = 1", false },
	{ "UPDATE chunk SET seq = seq + 10", true },
	{ "DELETE FROM chunk WHERE seq = 1", true },
	{ "UPDATE dir SET path = x'2f78' WHERE path = x'2f657463'", true },
	{ "DELETE FROM dir WHERE path = x'2f657463'", true },
	{ "UPDATE baseline SET root = x'2f78'", true },
	{ "UPDATE baseline SET scope = '{}'", true },
	{ "UPDATE baseline SET created = created - 1", true },
	{ "UPDATE baseline SET files = files - 1", true },
	{ "UPDATE baseline SET kind = 77", true },
	{ "UPDATE baseline SET algo = -1", true },
	{ "UPDATE baseline SET tree = zeroblob(32)", true },
	{ "UPDATE baseline SET signature = zeroblob(64)", true },
	{ "UPDATE baseline SET signature = NULL", true },
	/* Two chunks of one folder change places. */
	{ "UPDATE chunk SET seq = seq + 100 WHERE n = 64; UPDATE chunk SET seq = 101 - seq WHERE seq >= 100 AND 0; "
	  "UPDATE chunk SET seq = CASE seq WHEN 100 THEN 1 WHEN 101 THEN 0 END WHERE seq IN (100, 101)",
	  true },
};

static void test_tampering(void **state _unused_)
{
	struct store s;
	char copy[128];
	int64_t id;

	store_new(&s);
	id = store_small(&s, "host", false);
	assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
	store_close(&s);
	snprintf(copy, sizeof(copy), "%s.good", s.path);
	store_copy(s.path, copy);
	for (size_t i = 0; i < ARRAY_SIZE(tampers); i++) {
		int r;

		store_copy(copy, s.path);
		store_sql(s.path, tampers[i].sql);
		store_open(&s, DB_READ);
		r = baseline_check_signature(s.d, id, s.key, &s.err);
		if ((r == -EBADMSG) != tampers[i].by_signature)
			fail_msg("%s: signature check gave %d", tampers[i].sql, r);
		buf_reset(&s.err);
		r = baseline_verify(s.d, id, s.key, &s.err);
		if (r != -EBADMSG || s.err.len == 0)
			fail_msg("%s: verify gave %d", tampers[i].sql, r);
		store_close(&s);
	}
	store_free(&s);
}

static void test_other_key(void **state _unused_)
{
	_cleanup_sign_key_ struct sign_key *other = NULL;
	struct store s;
	char path[128];
	int64_t id;

	store_new(&s);
	snprintf(path, sizeof(path), "%s/other.key", s.dir);
	assert_int_equal(sign_key_load(path, 1, &other, &s.err), 0);
	id = store_small(&s, "host", false);
	assert_int_equal(baseline_check_signature(s.d, id, other, &s.err), -EBADMSG);
	assert_non_null(strstr(s.err.data, "another key"));
	store_free(&s);
}

/* Every page of the file overwritten in turn: an error, or the truth, but never a crash. */
static void test_corrupt_pages(void **state _unused_)
{
	struct store s;
	struct stat st;
	char copy[128];
	int64_t id;

	store_new(&s);
	id = store_small(&s, "host", false);
	store_close(&s);
	snprintf(copy, sizeof(copy), "%s.good", s.path);
	store_copy(s.path, copy);
	assert_int_equal(stat(s.path, &st), 0);
	for (off_t page = 1; page < st.st_size / 4096; page++) {
		FILE *f;

		store_copy(copy, s.path);
		f = fopen(s.path, "r+");
		assert_non_null(f);
		fseek(f, page * 4096, SEEK_SET);
		for (int i = 0; i < 4096; i++)
			fputc((int)(page * 31 + i * 7) & 0xff, f);
		fclose(f);
		if (db_open(&s.options, DB_READ, &s.d, &s.err) == 0) {
			int r = baseline_verify(s.d, id, s.key, &s.err);

			if (r != 0 && r != -EMEDIUMTYPE && r != -EBADMSG && r != -ENOENT)
				fail_msg("page %ld: %d %s", (long)page, r, db_error(s.d));
		}
		store_close(&s);
	}
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),      cmocka_unit_test(test_large_folder),
		cmocka_unit_test(test_any_order),      cmocka_unit_test(test_replace_and_delete),
		cmocka_unit_test(test_killed_builder), cmocka_unit_test(test_killed_first),
		cmocka_unit_test(test_tampering),      cmocka_unit_test(test_other_key),
		cmocka_unit_test(test_corrupt_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
