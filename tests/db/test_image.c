/* Baselines of images: finding them by digest, layers under the signature but not in the tree, moving them about. */
#include "tests/db/store.h"

#include <fcntl.h>
#include <unistd.h>

#include "db/baseline_store.h"

#define MANIFEST "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define CONFIG	 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define OTHER	 "sha256:3333333333333333333333333333333333333333333333333333333333333333"

static const struct baseline_layer layers[] = {
	{ "sha256:aa", "sha256:bb", "/bin/sh -c #(nop) ADD file:x in / \\\n\tx", 4096 },
	{ "sha256:cc", NULL, NULL, UINT64_MAX / 4 },
};

/* Layers of the entries of one folder, in turn; 0 for none. */
static int64_t image_new(struct store *s, const char *name, const struct baseline_info *more, const uint32_t *of,
			 size_t n)
{
	struct baseline_info info = *more;
	struct baseline_writer *w = NULL;
	struct entry entries[200];
	char names[200][8];

	info.name = name;
	info.kind = BASELINE_IMAGE;
	info.root = "/";
	info.scope = "{\"paths\":[]}";
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		snprintf(names[i], sizeof(names[i]), "f%03zu", i);
		entries[i] = (struct entry){ names[i], record_file(i) };
		entries[i].rec.layer = of[i % n];
		entries[i].rec.have |= of[i % n] ? ATTR_BIT(ATTR_LAYER) : 0;
	}
	if (baseline_begin(s->d, &info, true, &w) < 0)
		fail_msg("baseline_begin: %s", db_error(s->d));
	store_add(s, w, "/dir", entries, ARRAY_SIZE(entries));
	return store_finish(s, w);
}

static const struct baseline_info plain = {
	.image_digest = MANIFEST, .image_id = CONFIG, .image_ref = "localhost/tiny:1", .layers = layers, .n_layers = 2
};
static const uint32_t mixed[] = { 1, 2, 0, 2, 2 };

static void test_find(void **state _unused_)
{
	static const struct {
		const char *digest;
		const char *name; /* NULL: there is none */
	} cases[] = {
		{ MANIFEST, "two" },
		{ CONFIG, "two" },
		{ "1111111111111111111111111111111111111111111111111111111111111111", "two" },
		{ "2222222222222222222222222222222222222222222222222222222222222222", "two" },
		{ OTHER, "three" },
		{ "sha512:22", NULL },
		{ "sha256:11", NULL },
		{ "", NULL },
		{ "tiny", NULL },
	};
	struct baseline_info other = { .image_id = OTHER }, info;
	struct store s;

	store_new(&s);
	image_new(&s, "one", &plain, mixed, 5);
	image_new(&s, "two", &plain, mixed, 5);
	image_new(&s, "three", &other, &(uint32_t){ 0 }, 1);
	store_small(&s, "host", false);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_arena_ struct arena a = ARENA_INIT;
		int r = baseline_find_image(s.d, cases[i].digest, &a, &info);

		assert_int_equal(r, cases[i].name ? 0 : -ENOENT);
		if (cases[i].name)
			assert_string_equal(info.name, cases[i].name);
	}
	store_free(&s);
}

static void assert_layers(const struct baseline_info *info)
{
	assert_string_equal(info->image_id, CONFIG);
	assert_string_equal(info->image_digest, MANIFEST);
	assert_string_equal(info->image_ref, "localhost/tiny:1");
	assert_int_equal(info->n_layers, 2);
	assert_string_equal(info->layers[0].diff_id, "sha256:aa");
	assert_string_equal(info->layers[0].digest, "sha256:bb");
	assert_string_equal(info->layers[0].created_by, "/bin/sh -c #(nop) ADD file:x in / \\\\n\\tx");
	assert_null(info->layers[1].digest);
	assert_null(info->layers[1].created_by);
	assert_true(info->layers[1].size == UINT64_MAX / 4);
}

static void assert_records(struct store *s, int64_t id)
{
	_cleanup_(baseline_reader_free_p) struct baseline_reader *r = NULL;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	char path[16];

	assert_int_equal(baseline_reader_new(s->d, id, &r), 0);
	for (size_t i = 0; i < 200; i++) {
		struct record rec;

		snprintf(path, sizeof(path), "/dir/f%03zu", i);
		assert_int_equal(baseline_lookup(r, path, &a, &rec), 0);
		assert_int_equal(rec.layer, mixed[i % 5]);
		assert_int_equal((rec.have & ATTR_BIT(ATTR_LAYER)) != 0, mixed[i % 5] != 0);
	}
}

/* Export, import under another name and key's eye, export again: all of it is still there. */
static void test_move(void **state _unused_)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct baseline_info info;
	struct store s;
	char path[96];
	int64_t id;
	int fd;

	store_new(&s);
	id = image_new(&s, "one", &plain, mixed, 5);
	for (int round = 0; round < 2; round++) {
		static const char *const names[] = { "two", "three" };

		snprintf(path, sizeof(path), "%s/%d.hfb", s.dir, round);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		assert_int_equal(baseline_export(s.d, id, fd, &s.err), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		if (baseline_import(s.d, fd, names[round], s.key, s.key, &s.err) < 0)
			fail_msg("import: %s", s.err.data);
		close(fd);
		assert_int_equal(baseline_find(s.d, names[round], &a, &info), 0);
		id = info.id;
		assert_layers(&info);
		assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
		assert_records(&s, id);
	}
	store_free(&s);
}

/* The same files in other layers are the same tree. */
static void test_tree(void **state _unused_)
{
	const struct baseline_info unknown = { .image_ref = "folder" };
	struct baseline_seal seal[3];
	struct store s;

	store_new(&s);
	assert_int_equal(baseline_seal_make(s.d, image_new(&s, "a", &plain, mixed, 5), &seal[0]), 0);
	assert_int_equal(baseline_seal_make(s.d, image_new(&s, "b", &plain, mixed, 3), &seal[1]), 0);
	assert_int_equal(baseline_seal_make(s.d, image_new(&s, "c", &unknown, &(uint32_t){ 0 }, 1), &seal[2]), 0);
	assert_memory_equal(seal[0].tree, seal[1].tree, DB_HASH_SIZE);
	assert_memory_equal(seal[0].tree, seal[2].tree, DB_HASH_SIZE);
	assert_memory_not_equal(seal[0].layers, seal[1].layers, DB_HASH_SIZE);
	assert_memory_not_equal(seal[0].layers, seal[2].layers, DB_HASH_SIZE);
	store_free(&s);
}

static void test_edited(void **state _unused_)
{
	static const char *const edits[] = {
		"UPDATE chunk SET layers = zeroblob(n) WHERE seq = 1",
		"UPDATE chunk SET layers = NULL WHERE seq = 2",
		"UPDATE layer SET diff_id = 'sha256:ab' WHERE number = 1",
		"UPDATE layer SET size = 1 WHERE number = 2",
		"DELETE FROM layer WHERE number = 2",
		"DELETE FROM layer WHERE number = 1",
		"UPDATE baseline SET image_id = image_digest",
		"UPDATE baseline SET image_digest = NULL",
		"UPDATE baseline SET image_ref = 'docker.io/evil:1'",
		"INSERT INTO layer SELECT baseline, x'03', 3, diff_id, digest, created_by, size FROM layer LIMIT 1",
	};
	char saved[128];
	struct store s;
	int64_t id;

	store_new(&s);
	id = image_new(&s, "one", &plain, mixed, 5);
	assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
	store_close(&s);
	snprintf(saved, sizeof(saved), "%s/saved", s.dir);
	store_copy(s.path, saved);
	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		store_sql(s.path, edits[i]);
		store_open(&s, DB_READ);
		if (baseline_check_signature(s.d, id, s.key, &s.err) >= 0)
			fail_msg("not noticed: %s", edits[i]);
		store_close(&s);
		store_copy(saved, s.path);
	}
	store_open(&s, DB_READ);
	assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
	store_free(&s);
}

/* An accepted change is nobody's layer; the others keep theirs. */
static void test_accept(void **state _unused_)
{
	_cleanup_(baseline_reader_free_p) struct baseline_reader *r = NULL;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct record rec = record_file(7), back;
	struct baseline_edit edit = { "/dir/f001", &rec };
	struct store s;
	int64_t id;

	store_new(&s);
	id = image_new(&s, "one", &plain, mixed, 5);
	assert_int_equal(baseline_apply(s.d, id, &edit, 1, s.key), 0);
	assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
	assert_int_equal(baseline_reader_new(s.d, id, &r), 0);
	assert_int_equal(baseline_lookup(r, "/dir/f001", &a, &back), 0);
	assert_int_equal(back.layer, 0);
	assert_int_equal(baseline_lookup(r, "/dir/f003", &a, &back), 0);
	assert_int_equal(back.layer, 2);
	baseline_reader_free_p(&r);
	r = NULL;
	store_free(&s);
}

static void test_views(void **state _unused_)
{
	struct store s;

	if (system("command -v sqlite3 >/dev/null 2>&1") != 0)
		skip();
	store_new(&s);
	image_new(&s, "one", &plain, mixed, 5);
	store_close(&s);
	assert_string_equal(store_shell(s.path, "SELECT path, layer, layer_digest FROM files WHERE path IN "
						"('/dir/f000', '/dir/f001', '/dir/f002', '/dir/f199') ORDER BY path"),
			    "/dir/f000|1|sha256:aa\n/dir/f001|2|sha256:cc\n/dir/f002||\n/dir/f199|2|sha256:cc");
	assert_string_equal(store_shell(s.path, "SELECT kind, image_id, layers FROM baselines"), "image|" CONFIG "|2");
	assert_string_equal(store_shell(s.path, "SELECT baseline, layer, layer_digest, blob_digest, size FROM layers"),
			    "one|1|sha256:aa|sha256:bb|4096\none|2|sha256:cc||4611686018427387903");
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),   cmocka_unit_test(test_move),   cmocka_unit_test(test_tree),
		cmocka_unit_test(test_edited), cmocka_unit_test(test_accept), cmocka_unit_test(test_views),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
