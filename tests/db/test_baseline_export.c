/* db/baseline_export, _import: round trip, and files that were cut, changed or made to harm. */
#include "tests/db/store.h"

#include <fcntl.h>

static int export_to(struct store *s, int64_t id, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	int r;

	assert_true(fd >= 0);
	buf_reset(&s->err);
	r = baseline_export(s->d, id, fd, &s->err);
	close(fd);
	return r;
}

static int import_from(struct store *s, const char *path, const char *name, const struct sign_key *pub)
{
	int fd = open(path, O_RDONLY);
	int r;

	assert_true(fd >= 0);
	buf_reset(&s->err);
	buf_str(&s->err, "");
	r = baseline_import(s->d, fd, name, pub, s->key, &s->err);
	close(fd);
	return r;
}

static int import_bytes(struct store *s, const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
	return import_from(s, path, "hostile", NULL);
}

static size_t slurp(const char *path, uint8_t *data, size_t room)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(data, 1, room, f);
	fclose(f);
	assert_true(n < room);
	return n;
}

static int64_t number(struct store *s, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(db_number(s->d, sql, &n), 0);
	return n;
}

static void test_roundtrip(void **state _unused_)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_sign_key_ struct sign_key *pub = NULL, *other = NULL;
	uint8_t raw[SIGN_PUBLIC_SIZE];
	struct baseline_info info, was;
	struct store s, t;
	char path[128], path2[128], key[128];
	uint8_t x[32768], y[32768];
	int64_t id;

	store_new(&s);
	store_new(&t);
	snprintf(path, sizeof(path), "%s/export", s.dir);
	snprintf(path2, sizeof(path2), "%s/export", t.dir);
	snprintf(key, sizeof(key), "%s/other", t.dir);
	assert_int_equal(sign_key_load(key, 1, &other, &s.err), 0);
	id = store_small(&s, "host", false);
	assert_int_equal(baseline_find_id(s.d, id, &a, &was), 0);
	assert_int_equal(export_to(&s, id, path), 0);
	assert_int_equal(export_to(&s, id + 1, path2), -ENOENT);

	sign_key_public(s.key, raw);
	assert_int_equal(sign_key_from_public(raw, &pub), 0);
	assert_int_equal(import_from(&t, path, NULL, other), -EBADMSG);
	assert_non_null(strstr(t.err.data, "not by ed25519:"));
	assert_int_equal(import_from(&t, path, NULL, pub), 0);
	assert_string_equal(t.err.data, "");
	assert_int_equal(import_from(&t, path, NULL, pub), -EEXIST);
	assert_int_equal(import_from(&t, path, "second", NULL), 0);
	assert_non_null(strstr(t.err.data, "warning"));
	assert_int_equal(import_from(&t, path, "bad\nname", pub), -EINVAL);

	assert_int_equal(baseline_find(t.d, "host", &a, &info), 0);
	assert_int_equal(info.files, was.files);
	assert_int_equal(info.bytes, was.bytes);
	assert_int_equal(info.created, was.created);
	assert_string_equal(info.scope, was.scope);
	assert_int_equal(baseline_verify(t.d, info.id, t.key, &t.err), 0);
	assert_int_equal(history_check_head(t.d, t.key, &t.err), 0);
	/* Exported again it is the same but for who signed it. */
	assert_int_equal(export_to(&t, info.id, path2), 0);
	assert_int_equal(slurp(path, x, sizeof(x)), slurp(path2, y, sizeof(y)));
	store_free(&s);
	store_free(&t);
}

static void test_pipe(void **state _unused_)
{
	struct store s;
	char path[128], command[256];
	FILE *p;
	int64_t id;

	store_new(&s);
	snprintf(path, sizeof(path), "%s/export", s.dir);
	id = store_small(&s, "host", false);
	assert_int_equal(export_to(&s, id, path), 0);
	snprintf(command, sizeof(command), "cat %s", path);
	p = popen(command, "r");
	assert_non_null(p);
	assert_int_equal(baseline_import(s.d, fileno(p), "piped", NULL, s.key, &s.err), 0);
	pclose(p);
	store_free(&s);
}

/* A tampered baseline does not leave the house. */
static void test_export_refused(void **state _unused_)
{
	struct store s;
	char path[128];
	int64_t id;

	store_new(&s);
	snprintf(path, sizeof(path), "%s/export", s.dir);
	id = store_small(&s, "host", false);
	store_close(&s);
	store_sql(s.path, "UPDATE file SET size = 7 WHERE name = x'61'");
	store_open(&s, DB_READ);
	assert_int_equal(export_to(&s, id, path), -EBADMSG);
	assert_true(s.err.len > 0);
	store_free(&s);
}

static void test_damaged(void **state _unused_)
{
	struct baseline_writer *w;
	struct entry few[] = { { "a", record_file(1) }, { "b", record_file(2) } };
	uint8_t data[8192], copy[8192];
	struct store s;
	char path[128];
	size_t len;
	int64_t id;

	store_new(&s);
	snprintf(path, sizeof(path), "%s/export", s.dir);
	w = store_begin(&s, "host", false);
	store_add(&s, w, "/x", few, 2);
	id = store_finish(&s, w);
	assert_int_equal(export_to(&s, id, path), 0);
	len = slurp(path, data, sizeof(data));
	for (size_t cut = 0; cut < len; cut++)
		if (import_bytes(&s, path, data, cut) != -EBADMSG || s.err.len == 0)
			fail_msg("cut at %zu: %s", cut, s.err.data);
	for (size_t at = 0; at < len; at++) {
		memcpy(copy, data, len);
		copy[at] ^= (uint8_t)(1u << (at % 8));
		if (import_bytes(&s, path, copy, len) != -EBADMSG)
			fail_msg("bit of byte %zu: %s", at, s.err.data);
	}
	memcpy(copy, data, len);
	copy[len] = 'E';
	assert_int_equal(import_bytes(&s, path, copy, len + 1), -EBADMSG);
	assert_int_equal(number(&s, "SELECT count(*) FROM baseline"), 1);
	assert_int_equal(number(&s, "SELECT count(*) FROM file"), 2);
	assert_int_equal(import_bytes(&s, path, data, len), 0);
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_export_refused),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
