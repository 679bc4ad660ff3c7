/* db/baseline_edit: any edits give the baseline that would have been taken, and nothing tampered with is signed again.
 */
#include "tests/db/store.h"

/* What is in the baseline, as lines "path size". */
struct lines {
	struct baseline_reader *reader;
	struct store *s;
	struct buf text;
};

static int list_dir(int64_t id, const char *path, void *data)
{
	struct lines *l = data;
	struct chunk c = { .n = 0 };

	for (uint32_t seq = 0;; seq++) {
		int r = baseline_load_chunk(l->reader, id, path, seq, &c, l->s->blake, &l->s->scratch);

		if (r == -ENOENT)
			break;
		assert_int_equal(r, 0);
		for (uint32_t i = 0; i < c.n; i++) {
			if (i > 0)
				assert_true(strcmp(c.entries[i - 1].name, c.entries[i].name) < 0);
			buf_printf(&l->text, "%s/%s %llu\n", streq(path, "/") ? "" : path, c.entries[i].name,
				   (unsigned long long)c.entries[i].rec.size);
		}
	}
	arena_free(&c.arena);
	return 0;
}

static void list(struct store *s, int64_t id, struct buf *ret)
{
	struct lines l = { .s = s, .text = BUF_INIT };

	buf_str(&l.text, "");
	assert_int_equal(baseline_reader_new(s->d, id, &l.reader), 0);
	assert_int_equal(baseline_each_dir(l.reader, NULL, list_dir, &l), 0);
	baseline_reader_free(l.reader);
	*ret = l.text;
}

/* --- a model: the same edits on a plain list of paths */

#define MODEL_MAX 4000
struct model {
	char *paths[MODEL_MAX];
	uint64_t sizes[MODEL_MAX];
	size_t n;
};

static void model_set(struct model *m, const char *path, bool present, uint64_t size)
{
	size_t i;

	for (i = 0; i < m->n && !streq(m->paths[i], path);)
		i++;
	if (i < m->n && !present) {
		free(m->paths[i]);
		m->n--;
		m->paths[i] = m->paths[m->n];
		m->sizes[i] = m->sizes[m->n];
	} else if (present) {
		assert_true(i < MODEL_MAX);
		if (i == m->n)
			m->paths[m->n++] = strdup(path);
		m->sizes[i] = size;
	}
}

/* By folder, then name, as the baseline has it. */
static int path_order(const char *a, const char *b)
{
	const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
	size_t n = (size_t)(x - a), m = (size_t)(y - b);
	int c = memcmp(n ? a : "/", m ? b : "/", MIN(MAX(n, 1u), MAX(m, 1u)));

	n = MAX(n, 1u);
	m = MAX(m, 1u);
	if (c == 0 && n != m)
		c = n < m ? -1 : 1;
	return c ? c : strcmp(x + 1, y + 1);
}

static void model_list(struct model *m, struct buf *b)
{
	for (size_t i = 1; i < m->n; i++)
		for (size_t k = i; k > 0 && path_order(m->paths[k - 1], m->paths[k]) > 0; k--) {
			char *p = m->paths[k];
			uint64_t size = m->sizes[k];

			m->paths[k] = m->paths[k - 1];
			m->sizes[k] = m->sizes[k - 1];
			m->paths[k - 1] = p;
			m->sizes[k - 1] = size;
		}
	buf_str(b, "");
	for (size_t i = 0; i < m->n; i++)
		buf_printf(b, "%s %llu\n", m->paths[i], (unsigned long long)m->sizes[i]);
}

static void model_fill(struct model *m, const char *listing)
{
	char path[256];
	unsigned long long size;
	int n;

	for (; sscanf(listing, "%255s %llu\n%n", path, &size, &n) == 2; listing += n)
		model_set(m, path, true, size);
}

/* Random edits, in batches of 1 to 200, over folders that fill, split, empty and vanish. */
static void test_against_model(void **state _unused_)
{
	struct model *m = calloc(1, sizeof(*m));
	struct baseline_edit edits[200];
	struct record recs[200];
	char paths[200][64];
	struct store s;
	int64_t id;

	srandom(7);
	store_new(&s);
	id = store_small(&s, "host", false);
	for (int round = 0; round < 60; round++) {
		_cleanup_buf_ struct buf want = BUF_INIT, have = BUF_INIT;
		size_t n = 1 + (size_t)random() % (round % 3 ? 200 : 3);
		bool shrink = round % 10 >= 7;

		if (round == 0) {
			list(&s, id, &have);
			model_fill(m, have.data);
			buf_free(&have);
		}
		for (size_t i = 0; i < n; i++) {
			const char *dirs[] = { "", "/etc", "/etc/d", "/new/folder" };

			snprintf(paths[i], sizeof(paths[i]), "%s/f%03ld", dirs[random() % 4], random() % 300);
			recs[i] = record_file((uint64_t)random() % 1000);
			edits[i].path = paths[i];
			edits[i].rec = random() % 10 < (shrink ? 9 : 3) ? NULL : &recs[i];
			model_set(m, paths[i], edits[i].rec != NULL, recs[i].size);
		}
		if (baseline_apply(s.d, id, edits, n, s.key) < 0)
			fail_msg("round %d: %s", round, db_error(s.d));
		list(&s, id, &have);
		model_list(m, &want);
		assert_string_equal(have.data, want.data);
		if (baseline_verify(s.d, id, s.key, &s.err) != 0)
			fail_msg("round %d: %s", round, s.err.data);
	}
	if (history_verify(s.d, s.key, &s.err) != 0)
		fail_msg("%s", s.err.data);
	for (size_t i = 0; i < m->n; i++)
		free(m->paths[i]);
	free(m);
	store_free(&s);
}

static void test_vanishing_folder(void **state _unused_)
{
	struct baseline_edit edits[131];
	char paths[131][32];
	struct baseline_reader *reader;
	struct baseline_info info;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct store s;
	int64_t id, dir;

	store_new(&s);
	id = store_small(&s, "host", false);
	for (int i = 0; i < 130; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/etc/d/f%03d", i);
		edits[i] = (struct baseline_edit){ paths[i], NULL };
	}
	edits[130] = (struct baseline_edit){ "/etc/d", NULL };
	assert_int_equal(baseline_apply(s.d, id, edits, 131, s.key), 0);
	assert_int_equal(baseline_reader_new(s.d, id, &reader), 0);
	assert_int_equal(baseline_dir(reader, "/etc/d", &dir), -ENOENT);
	assert_int_equal(baseline_dir(reader, "/etc", &dir), 0);
	baseline_reader_free(reader);
	assert_int_equal(baseline_find_id(s.d, id, &a, &info), 0);
	assert_int_equal(info.files, 4);
	assert_int_equal(baseline_verify(s.d, id, s.key, &s.err), 0);
	store_free(&s);
}

static void test_refused(void **state _unused_)
{
	static const char *const tampers[] = {
		"UPDATE file SET size = size + 1 WHERE name = x'61'", /* beside the edited entry, in its chunk */
		"UPDATE chunk SET digest = zeroblob(32)",
		"UPDATE baseline SET files = files + 1",
		"UPDATE baseline SET signature = zeroblob(64)",
	};
	struct record rec = record_file(9);
	struct baseline_edit edit = { "/etc/b", &rec }, relative = { "etc/b", &rec };
	struct store s;
	char copy[128];
	int64_t id;

	store_new(&s);
	id = store_small(&s, "host", false);
	assert_int_equal(baseline_apply(s.d, id, &relative, 1, s.key), -EINVAL);
	assert_int_equal(baseline_apply(s.d, id + 5, &edit, 1, s.key), -ENOENT);
	store_close(&s);
	snprintf(copy, sizeof(copy), "%s.good", s.path);
	store_copy(s.path, copy);
	for (size_t i = 0; i < ARRAY_SIZE(tampers); i++) {
		store_copy(copy, s.path);
		store_sql(s.path, tampers[i]);
		store_open(&s, DB_WRITE);
		if (baseline_apply(s.d, id, &edit, 1, s.key) != -EBADMSG)
			fail_msg("%s: signed again", tampers[i]);
		store_close(&s);
	}
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_vanishing_folder),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
