#include "tests/fim/scan_rig.h"

#include "db/history.h"

static void keep_line(struct fixture *f, struct buf *b)
{
	assert_true(f->n < ARRAY_SIZE(f->lines));
	f->lines[f->n++] = b->data;
}

int on_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "gap %s %s %s", gap_reason_names[reason], path, detail ? detail : "-");
	keep_line(data, &b);
	return 0;
}

int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	assert_non_null(f);
	alarm(120);
	tree_make(&f->tree);
	tree_make(&f->store);
	snprintf(f->db_path, sizeof(f->db_path), "%s/t.db", f->store.path);
	snprintf(f->key_path, sizeof(f->key_path), "%s/t.key", f->store.path);
	f->db_options.path = f->db_path;
	assert_int_equal(db_open(&f->db_options, DB_CREATE, &f->db, &err), 0);
	assert_int_equal(sign_key_load(f->key_path, 1, &f->key, &err), 0);
	history_set_key(f->db, f->key);
	f->common.rootfd = f->tree.fd;
	f->common.progress = &f->progress;
	f->common.data = f;
	f->common.gap = on_gap;
	*state = f;
	return 0;
}

static void forget(struct fixture *f)
{
	while (f->n)
		free(f->lines[--f->n]);
}

int teardown(void **state)
{
	struct fixture *f = *state;

	alarm(0);
	forget(f);
	if (f->db)
		db_close(f->db);
	sign_key_free(f->key);
	arena_free(&f->arena);
	tree_remove(&f->tree);
	tree_remove(&f->store);
	free(f);
	return 0;
}

void guard(struct fixture *f, const char *path, const char *attributes)
{
	attr_mask mask = 0;

	assert_int_equal(attr_apply(attributes, &mask), 0);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, path, mask), 0);
}

int on_difference(void *data, const struct scan_difference *d)
{
	struct buf b = BUF_INIT;

	assert_int_equal(!d->before, d->change == CHANGE_ADDED);
	assert_int_equal(!d->after, d->change == CHANGE_REMOVED);
	buf_printf(&b, "%s %s", change_names[d->change], d->path);
	if (d->before && d->after) {
		buf_char(&b, ' ');
		attr_mask_text(&b, d->attributes & ~(ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME)));
	}
	keep_line(data, &b);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int init(struct fixture *f, struct buf *err)
{
	const struct fim_init_options o = {
		.common = f->common,
		.name = "test",
		.kind = BASELINE_TREE,
		.root = f->tree.path,
		.scope = &f->scope,
		.replace = true,
		.key = f->key,
	};
	int r;

	forget(f);
	memset(&f->progress, 0, sizeof(f->progress));
	r = fim_init(f->db, &o, &f->id, err);
	qsort(f->lines, f->n, sizeof(*f->lines), by_text);
	return r;
}

void init_ok(struct fixture *f)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = init(f, &err);

	if (r)
		fail_msg("init: %d %s", r, err.len ? err.data : "");
}

int check_only(struct fixture *f, bool full, const char *const *only, size_t n_only, struct buf *err)
{
	const struct fim_check_options o = {
		.common = f->common,
		.baseline = f->id,
		.db = &f->db_options,
		.pub = f->key,
		.full = full,
		.only = only,
		.n_only = n_only,
		.difference = on_difference,
	};
	int r;

	forget(f);
	memset(&f->progress, 0, sizeof(f->progress));
	r = fim_check(f->db, &o, err);
	qsort(f->lines, f->n, sizeof(*f->lines), by_text);
	return r;
}

void assert_lines(const struct fixture *f, const char *const *want, size_t n)
{
	for (size_t i = 0; i < f->n || i < n; i++) {
		if (i < f->n && i < n && streq(f->lines[i], want[i]))
			continue;
		for (size_t k = 0; k < f->n; k++)
			print_error("  %s\n", f->lines[k]);
		fail_msg("line %zu: \"%s\" instead of \"%s\"", i, i < f->n ? f->lines[i] : "", i < n ? want[i] : "");
	}
}

void check_ok(struct fixture *f, bool full)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = check_only(f, full, NULL, 0, &err);

	if (r)
		fail_msg("check: %d %s", r, err.len ? err.data : "");
}

void check_path(struct fixture *f, const char *path)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = check_only(f, false, &path, 1, &err);

	if (r)
		fail_msg("check %s: %d %s", path, r, err.len ? err.data : "");
}

int count_entry(const struct baseline_info *info, void *data)
{
	*(uint64_t *)data = info->files;
	return 0;
}

uint64_t baseline_files(struct fixture *f)
{
	uint64_t n = 0;

	assert_int_equal(baseline_each(f->db, count_entry, &n), 0);
	return n;
}

bool stored(struct fixture *f, const char *path, struct record *ret)
{
	struct baseline_reader *r = NULL;
	struct record rec;
	int e;

	assert_int_equal(baseline_reader_new(f->db, f->id, &r), 0);
	e = baseline_lookup(r, path, &f->arena, ret ? ret : &rec);
	baseline_reader_free(r);
	assert_true(e == 0 || e == -ENOENT);
	return !e;
}

void small_tree(struct fixture *f)
{
	tree_folder(f->tree.fd, "etc");
	tree_folder(f->tree.fd, "etc/sub");
	tree_text(f->tree.fd, "etc/a", "aaa");
	tree_text(f->tree.fd, "etc/b", "bbb");
	tree_text(f->tree.fd, "etc/sub/c", "ccc");
	tree_folder(f->tree.fd, "opt");
	tree_text(f->tree.fd, "opt/x", "xxx");
	assert_int_equal(symlinkat("a", f->tree.fd, "etc/link"), 0);
}
