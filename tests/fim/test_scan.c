/* fim/scan, walk, baseline: init and check on real trees with a real store. */
#include "tests/fim/tree.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "db/history.h"
#include "event/attr.h"
#include "fim/baseline.h"
#include "lib/clock.h"

struct fixture {
	struct tree tree; /* stands for "/" */
	struct tree store;
	char db_path[128], key_path[128];
	struct db_options db_options;
	struct db *db;
	struct sign_key *key;
	struct arena arena;
	struct scope scope;
	struct scan_progress progress;
	int64_t id;
	char *lines[1000]; /* what was reported, sorted */
	size_t n;
	struct fim_common common;
};

static void keep_line(struct fixture *f, struct buf *b)
{
	assert_true(f->n < ARRAY_SIZE(f->lines));
	f->lines[f->n++] = b->data;
}

static int on_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "gap %s %s %s", gap_reason_names[reason], path, detail ? detail : "-");
	keep_line(data, &b);
	return 0;
}

static int setup(void **state)
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

static int teardown(void **state)
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

static void guard(struct fixture *f, const char *path, const char *attributes)
{
	attr_mask mask = 0;

	assert_int_equal(attr_apply(attributes, &mask), 0);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, path, mask), 0);
}

static int on_difference(void *data, const struct scan_difference *d)
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

static int init(struct fixture *f, struct buf *err)
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

static void init_ok(struct fixture *f)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = init(f, &err);

	if (r)
		fail_msg("init: %d %s", r, err.len ? err.data : "");
}

static int check_only(struct fixture *f, bool full, const char *const *only, size_t n_only, struct buf *err)
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

static void assert_lines(const struct fixture *f, const char *const *want, size_t n)
{
	for (size_t i = 0; i < f->n || i < n; i++) {
		if (i < f->n && i < n && streq(f->lines[i], want[i]))
			continue;
		for (size_t k = 0; k < f->n; k++)
			print_error("  %s\n", f->lines[k]);
		fail_msg("line %zu: \"%s\" instead of \"%s\"", i, i < f->n ? f->lines[i] : "", i < n ? want[i] : "");
	}
}

#define LINES(f, ...)                                                                                                  \
	do {                                                                                                           \
		const char *const want_[] = { __VA_ARGS__ };                                                           \
		assert_lines(f, want_, ARRAY_SIZE(want_));                                                             \
	} while (0)

static void check_ok(struct fixture *f, bool full)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = check_only(f, full, NULL, 0, &err);

	if (r)
		fail_msg("check: %d %s", r, err.len ? err.data : "");
}

static void check_path(struct fixture *f, const char *path)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = check_only(f, false, &path, 1, &err);

	if (r)
		fail_msg("check %s: %d %s", path, r, err.len ? err.data : "");
}

static int count_entry(const struct baseline_info *info, void *data)
{
	*(uint64_t *)data = info->files;
	return 0;
}

static uint64_t baseline_files(struct fixture *f)
{
	uint64_t n = 0;

	assert_int_equal(baseline_each(f->db, count_entry, &n), 0);
	return n;
}

static bool stored(struct fixture *f, const char *path, struct record *ret)
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

static void small_tree(struct fixture *f)
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

/* --- what is found */

static void test_unchanged(void **state)
{
	struct fixture *f = *state;

	small_tree(f);
	guard(f, "/etc", "all");
	init_ok(f);
	assert_int_equal(f->n, 0);
	assert_int_equal(baseline_files(f), 6);
	assert_true(stored(f, "/etc", NULL));
	assert_true(stored(f, "/etc/sub/c", NULL));
	assert_false(stored(f, "/opt", NULL));
	assert_int_equal(f->progress.files, 6);
	assert_int_equal(f->progress.bytes, 9);
	assert_int_equal(f->progress.walked, 1);
	check_ok(f, false);
	assert_int_equal(f->n, 0);
	assert_int_equal(f->progress.bytes, 0); /* nothing had to be read */
	check_ok(f, true);
	assert_int_equal(f->n, 0);
	assert_int_equal(f->progress.bytes, 9);
}

static void test_changes(void **state)
{
	struct fixture *f = *state;

	small_tree(f);
	guard(f, "/etc", "all");
	init_ok(f);
	tree_text(f->tree.fd, "etc/a", "AAA");
	tree_text(f->tree.fd, "etc/new", "n");
	tree_text(f->tree.fd, "etc/tmp", "another b");
	assert_int_equal(renameat(f->tree.fd, "etc/tmp", f->tree.fd, "etc/b"), 0);
	assert_int_equal(fchmodat(f->tree.fd, "etc/sub/c", 0600, 0), 0);
	assert_int_equal(unlinkat(f->tree.fd, "etc/link", 0), 0);
	for (int full = 0; full < 2; full++) {
		check_ok(f, full);
		LINES(f, "added /etc/new", "attributes /etc/sub/c mode", "changed /etc/a digest", "removed /etc/link",
		      "replaced /etc/b size,digest");
	}
}

static void test_same_size_and_mtime(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	small_tree(f);
	guard(f, "/etc", "content");
	init_ok(f);
	assert_int_equal(fstatat(f->tree.fd, "etc/a", &st, 0), 0);
	tree_text(f->tree.fd, "etc/a", "AAA");
	assert_int_equal(utimensat(f->tree.fd, "etc/a", (struct timespec[]){ st.st_atim, st.st_mtim }, 0), 0);
	check_ok(f, false);
	LINES(f, "changed /etc/a digest");
}

static void test_folders_come_and_go(void **state)
{
	struct fixture *f = *state;

	small_tree(f);
	guard(f, "/etc", "all");
	init_ok(f);
	assert_int_equal(unlinkat(f->tree.fd, "etc/sub/c", 0), 0);
	assert_int_equal(unlinkat(f->tree.fd, "etc/sub", AT_REMOVEDIR), 0);
	tree_folder(f->tree.fd, "etc/dir");
	tree_folder(f->tree.fd, "etc/dir/dir");
	tree_text(f->tree.fd, "etc/dir/dir/f", "f");
	check_ok(f, false);
	LINES(f, "added /etc/dir", "added /etc/dir/dir", "added /etc/dir/dir/f", "removed /etc/sub",
	      "removed /etc/sub/c");
	/* a folder becomes a file */
	tree_text(f->tree.fd, "etc/sub", "no folder");
	tree_empty(f->tree.fd);
	small_tree(f);
	assert_int_equal(unlinkat(f->tree.fd, "etc/sub/c", 0), 0);
	assert_int_equal(unlinkat(f->tree.fd, "etc/sub", AT_REMOVEDIR), 0);
	tree_text(f->tree.fd, "etc/sub", "no folder");
	check_path(f, "/etc/sub");
	assert_int_equal(f->n, 2);
	assert_string_equal(f->lines[0], "removed /etc/sub/c");
	assert_memory_equal(f->lines[1], "replaced /etc/sub ", 18);
}

static void test_everything_gone(void **state)
{
	struct fixture *f = *state;

	small_tree(f);
	guard(f, "/etc/sub", "all");
	init_ok(f);
	tree_empty(f->tree.fd);
	check_ok(f, false);
	LINES(f, "gap no-path /etc/sub -", "removed /etc/sub", "removed /etc/sub/c");
}

/* Many files: several pieces, and names before, between and behind the stored bounds. */
static void test_pieces(void **state)
{
	struct fixture *f = *state;
	char name[64], want[5][64];

	tree_folder(f->tree.fd, "d");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d/f%04d", i);
		tree_text(f->tree.fd, name, name);
	}
	guard(f, "/d", "content");
	init_ok(f);
	assert_int_equal(baseline_files(f), 1001);
	check_ok(f, true);
	assert_int_equal(f->n, 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d/f%04d", i);
		if (i / 64 == 3)
			assert_int_equal(unlinkat(f->tree.fd, name, 0), 0);
	}
	check_ok(f, false);
	assert_int_equal(f->n, 64);
	tree_text(f->tree.fd, "d/a", "before");
	tree_text(f->tree.fd, "d/z", "behind");
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "d/f0639.%d", i);
		tree_text(f->tree.fd, name, "between");
	}
	check_ok(f, false);
	assert_int_equal(f->n, 64 + 2 + 300);
	snprintf(want[0], sizeof(want[0]), "added /d/a");
	assert_string_equal(f->lines[0], want[0]);
}

/* --- where it goes */

static void test_nested_scope(void **state)
{
	struct fixture *f = *state;
	struct record rec;

	small_tree(f);
	guard(f, "/etc", "permissions");
	guard(f, "/etc/sub", "content");
	guard(f, "/etc", "permissions"); /* twice is once */
	guard(f, "/opt/x", "content");
	init_ok(f);
	assert_int_equal(baseline_files(f), 7);
	assert_true(stored(f, "/etc/a", &rec));
	assert_int_equal(rec.unread, RECORD_NOT_ASKED);
	assert_true(stored(f, "/etc/sub/c", &rec));
	assert_true(rec.have & ATTR_BIT(ATTR_DIGEST));
	assert_true(stored(f, "/opt/x", NULL));
	assert_false(stored(f, "/opt", NULL));
	tree_text(f->tree.fd, "etc/a", "not compared");
	tree_text(f->tree.fd, "etc/sub/c", "CCC");
	tree_text(f->tree.fd, "opt/y", "not guarded");
	check_ok(f, false);
	LINES(f, "changed /etc/sub/c digest");
}

static void test_excluded(void **state)
{
	struct fixture *f = *state;

	small_tree(f);
	tree_text(f->tree.fd, "etc/t.swp", "s");
	guard(f, "/etc", "all");
	guard(f, "/etc/sub/c", "all");
	assert_int_equal(scope_add_exclude(&f->arena, &f->scope, "*.swp"), 0);
	assert_int_equal(scope_add_exclude(&f->arena, &f->scope, "/etc/sub"), 0);
	init_ok(f);
	assert_false(stored(f, "/etc/t.swp", NULL));
	assert_false(stored(f, "/etc/sub", NULL));
	assert_true(stored(f, "/etc/sub/c", NULL)); /* configured by itself, below what is left out */
	tree_text(f->tree.fd, "etc/u.swp", "s");
	tree_text(f->tree.fd, "etc/sub/d", "d");
	assert_int_equal(unlinkat(f->tree.fd, "etc/sub/c", 0), 0);
	check_ok(f, false);
	LINES(f, "gap no-path /etc/sub/c -", "removed /etc/sub/c");
}

static void test_globs(void **state)
{
	struct fixture *f = *state;

	tree_folder(f->tree.fd, "home");
	for (const char *const *u = (const char *const[]){ "home/al", "home/bo", "home/cy", NULL }; *u; u++) {
		char name[64];

		tree_folder(f->tree.fd, *u);
		snprintf(name, sizeof(name), "%s/.ssh", *u);
		tree_folder(f->tree.fd, name);
		snprintf(name, sizeof(name), "%s/.ssh/keys", *u);
		tree_text(f->tree.fd, name, *u);
		snprintf(name, sizeof(name), "%s/other", *u);
		tree_text(f->tree.fd, name, *u);
	}
	guard(f, "/home/[ab]*/.ssh", "all");
	guard(f, "/nothing/*/here", "all");
	init_ok(f);
	assert_int_equal(f->n, 0);
	assert_int_equal(baseline_files(f), 4);
	assert_true(stored(f, "/home/al/.ssh/keys", NULL));
	assert_false(stored(f, "/home/cy/.ssh/keys", NULL));
	assert_false(stored(f, "/home/al/other", NULL));
	assert_false(stored(f, "/home/al", NULL));
	check_ok(f, false);
	assert_int_equal(f->n, 0);
}

static void test_whole_root(void **state)
{
	struct fixture *f = *state;

	small_tree(f);
	guard(f, "/", "content");
	init_ok(f);
	assert_int_equal(baseline_files(f), 9);
	assert_true(stored(f, "/", NULL));
	assert_true(stored(f, "/opt/x", NULL));
	tree_text(f->tree.fd, "at-the-top", "x");
	assert_int_equal(unlinkat(f->tree.fd, "opt/x", 0), 0);
	check_ok(f, false);
	LINES(f, "added /at-the-top", "removed /opt/x");
	check_path(f, "/");
	assert_int_equal(f->n, 2);
}

static void test_only(void **state)
{
	struct fixture *f = *state;

	small_tree(f);
	guard(f, "/etc", "content");
	guard(f, "/opt", "content");
	init_ok(f);
	tree_text(f->tree.fd, "etc/a", "AAA");
	tree_text(f->tree.fd, "etc/sub/c", "CCC");
	tree_text(f->tree.fd, "opt/new", "n");
	assert_int_equal(unlinkat(f->tree.fd, "etc/b", 0), 0);
	check_path(f, "/etc/a");
	LINES(f, "changed /etc/a digest");
	check_path(f, "/etc/sub");
	LINES(f, "changed /etc/sub/c digest");
	check_path(f, "/etc/b");
	LINES(f, "removed /etc/b");
	check_path(f, "/etc");
	LINES(f, "changed /etc/a digest", "changed /etc/sub/c digest", "removed /etc/b");
	check_path(f, "/opt");
	LINES(f, "added /opt/new");
	check_path(f, "/opt/new");
	LINES(f, "added /opt/new");
	check_path(f, "/opt/never");
	assert_int_equal(f->n, 0);
	check_path(f, "/not/guarded");
	assert_int_equal(f->n, 0);
	tree_empty(f->tree.fd);
	check_path(f, "/etc/sub/c");
	LINES(f, "removed /etc/sub/c");
	check_path(f, "/opt");
	LINES(f, "removed /opt", "removed /opt/x");
}

static void test_gaps(void **state)
{
	struct fixture *f = *state;

	small_tree(f);
	tree_folder(f->tree.fd, "usr");
	tree_folder(f->tree.fd, "usr/bin");
	tree_text(f->tree.fd, "usr/bin/ls", "ls");
	assert_int_equal(symlinkat("usr/bin", f->tree.fd, "bin"), 0);
	guard(f, "/bin", "all");
	guard(f, "/bin/ls", "all");
	guard(f, "/etc/a/b", "all");
	guard(f, "/etc/none", "all");
	init_ok(f);
	LINES(f, "gap no-path /bin/ls below a symbolic link /bin -> usr/bin",
	      "gap no-path /etc/a/b /etc/a is not a folder", "gap no-path /etc/none -");
	assert_int_equal(baseline_files(f), 1); /* the link itself */
	assert_true(stored(f, "/bin", NULL));
}

static void test_growing(void **state)
{
	struct fixture *f = *state;

	tree_folder(f->tree.fd, "log");
	for (const char *const *n = (const char *const[]){ "log/grows", "log/shrinks", "log/rewritten", NULL }; *n; n++)
		tree_text(f->tree.fd, *n, "line 1\n");
	guard(f, "/log", "growing");
	init_ok(f);
	tree_text(f->tree.fd, "log/grows", "line 1\nline 2\n");
	tree_text(f->tree.fd, "log/shrinks", "line\n");
	tree_text(f->tree.fd, "log/rewritten", "lime 1\nline 2\n");
	check_ok(f, false);
	LINES(f, "changed /log/rewritten size,digest", "changed /log/shrinks size,digest");
	assert_int_equal(fchmodat(f->tree.fd, "log/grows", 0666, 0), 0);
	check_path(f, "/log/grows");
	LINES(f, "attributes /log/grows mode");
}

/* --- hostile trees */

static void test_names(void **state)
{
	static const char *const names[] = { "new\nline", "esc\033[31m", "\xff\xfe", "space ",
					     "-rf",	  "*",		 "a\\b",     "\x01" };
	struct fixture *f = *state;
	char long_name[256], path[300];

	tree_folder(f->tree.fd, "d");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "d/%s", names[i]);
		tree_text(f->tree.fd, path, names[i]);
	}
	memset(long_name, 'l', 255);
	long_name[255] = '\0';
	snprintf(path, sizeof(path), "d/%s", long_name);
	tree_text(f->tree.fd, path, "x");
	guard(f, "/d", "all");
	init_ok(f);
	assert_int_equal(baseline_files(f), ARRAY_SIZE(names) + 2);
	check_ok(f, true);
	assert_int_equal(f->n, 0);
	tree_text(f->tree.fd, "d/\xff\xfe", "changed");
	check_ok(f, false);
	LINES(f, "changed /d/\xff\xfe size,digest");
}

/* Nothing of these is opened: a FIFO would block, a device could do anything. */
static void test_special_files(void **state)
{
	struct fixture *f = *state;
	struct record rec;

	tree_folder(f->tree.fd, "d");
	assert_int_equal(mkfifoat(f->tree.fd, "d/fifo", 0600), 0);
	assert_int_equal(mknodat(f->tree.fd, "d/sock", S_IFSOCK | 0600, 0), 0);
	if (mknodat(f->tree.fd, "d/watchdog", S_IFCHR | 0600, makedev(10, 130)) == 0)
		assert_int_equal(mknodat(f->tree.fd, "d/block", S_IFBLK | 0600, makedev(7, 255)), 0);
	assert_int_equal(symlinkat("/d/loop", f->tree.fd, "d/loop"), 0);
	guard(f, "/d", "all");
	init_ok(f);
	assert_int_equal(f->progress.unread, 0);
	assert_true(stored(f, "/d/fifo", &rec));
	assert_int_equal(rec.type, 'p');
	check_ok(f, true);
	assert_int_equal(f->n, 0);
}

/* Deeper than PATH_MAX and than the folders that a walk keeps open; tests/fim/test_walk.c goes deeper. */
static void test_deep(void **state)
{
	enum { DEPTH = 2500 };
	struct fixture *f = *state;
	int at = dup(f->tree.fd);

	tree_folder(f->tree.fd, "d");
	for (int i = 0; i < DEPTH; i++) {
		int next;

		if (i) {
			/* a second folder at each level: the walk has to come back up */
			tree_folder(at, "z");
			tree_folder(at, "d");
		}
		next = openat(at, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	tree_text(at, "bottom", "x");
	guard(f, "/d", "content");
	init_ok(f);
	assert_int_equal(f->n, 0);
	assert_int_equal(baseline_files(f), DEPTH + (DEPTH - 1) + 1);
	tree_text(at, "bottom", "y");
	close(at);
	check_ok(f, false);
	assert_int_equal(f->n, 1);
	assert_int_equal(strlen(f->lines[0]), strlen("changed ") + 2 * DEPTH + strlen("/bottom digest"));
}

/* A child's status is its verdict. It must not run into an assertion: that would go on with the parent's tests. */
static int in_child(struct fixture *f, int (*fn)(struct fixture *f))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(60); /* the parent's is not inherited */
		_exit(fn(f));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define EXPECT(ok)                                                                                                     \
	do {                                                                                                           \
		if (!(ok)) {                                                                                           \
			print_error("line %d: %s\n", __LINE__, #ok);                                                   \
			for (size_t k_ = 0; k_ < f->n; k_++)                                                           \
				print_error("  %s\n", f->lines[k_]);                                                   \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

static int unreadable_child(struct fixture *f)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct record rec;

	EXPECT(setgid(65534) == 0 && setuid(65534) == 0);
	snprintf(f->db_path, sizeof(f->db_path), "%s/other.db", f->store.path);
	EXPECT(db_open(&f->db_options, DB_CREATE, &f->db, &err) == 0);
	history_set_key(f->db, f->key);
	EXPECT(init(f, &err) == 0);
	EXPECT(f->n == 1 && streq(f->lines[0], "gap unreadable /etc/sub permission denied"));
	EXPECT(f->progress.unread == 1);
	EXPECT(stored(f, "/etc/a", &rec));
	EXPECT(rec.unread == EACCES && !(rec.have & ATTR_BIT(ATTR_DIGEST)));
	return 0;
}

static void test_unreadable(void **state)
{
	struct fixture *f = *state;

	if (getuid()) {
		print_message("needs root\n");
		skip();
	}
	small_tree(f);
	assert_int_equal(fchmodat(f->tree.fd, "etc/a", 0, 0), 0);
	assert_int_equal(fchmodat(f->tree.fd, "etc/sub", 0, 0), 0);
	guard(f, "/etc", "all");
	init_ok(f);
	db_close(f->db);
	f->db = NULL;
	assert_int_equal(fchmod(f->tree.fd, 0755), 0);
	tree_empty(f->store.fd);
	assert_int_equal(fchown(f->store.fd, 65534, 65534), 0);
	assert_int_equal(in_child(f, unreadable_child), 0);
}

/* --- file systems */

static int mount_at(struct fixture *f, const char *source, const char *name, const char *type, unsigned long flags)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", f->tree.path, name);
	return mount(source, path, type, flags, NULL);
}

static int mounts_child(struct fixture *f)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	char etc[128];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	/* the descriptor at hand is of the old namespace's mounts */
	f->common.rootfd = open(f->tree.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(etc, sizeof(etc), "%s/etc", f->tree.path);
	tree_folder(f->tree.fd, "etc/proc");
	tree_folder(f->tree.fd, "etc/tmp");
	tree_folder(f->tree.fd, "etc/bind");
	tree_folder(f->tree.fd, "etc/loop");
	if (mount_at(f, "proc", "etc/proc", "proc", 0) < 0 || mount_at(f, "tmpfs", "etc/tmp", "tmpfs", 0) < 0 ||
	    mount_at(f, etc, "etc/loop", NULL, MS_BIND) < 0)
		return 77;
	snprintf(etc, sizeof(etc), "%s/opt", f->tree.path);
	if (mount_at(f, etc, "etc/bind", NULL, MS_BIND) < 0)
		return 77;
	tree_text(f->common.rootfd, "etc/tmp/in-memory", "m");
	EXPECT(init(f, &err) == 0);
	EXPECT(f->n == 2);
	EXPECT(streq(f->lines[0], "gap fs-skipped /etc/loop loop: the same folder as /etc"));
	EXPECT(streq(f->lines[1], "gap fs-skipped /etc/proc proc"));
	EXPECT(stored(f, "/etc/tmp/in-memory", NULL));
	EXPECT(stored(f, "/etc/bind/x", NULL));
	EXPECT(!stored(f, "/etc/proc/version", NULL));
	EXPECT(!stored(f, "/etc/loop/a", NULL));
	EXPECT(check_only(f, true, NULL, 0, &err) == 0);
	EXPECT(f->n == 2);
	/* something is mounted over what the baseline has: hidden, not removed, and said so */
	if (mount_at(f, "proc", "etc/sub", "proc", 0) < 0)
		return 77;
	EXPECT(check_only(f, false, NULL, 0, &err) == 0);
	EXPECT(f->n == 3);
	EXPECT(streq(f->lines[2], "gap fs-skipped /etc/sub proc"));
	return 0;
}

static void test_mounts(void **state)
{
	struct fixture *f = *state;
	int status;

	small_tree(f);
	guard(f, "/etc", "all");
	status = in_child(f, mounts_child);
	if (status == 77) {
		print_message("cannot mount here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* --- ends */

static int stop_at_gap(void *data _unused_, enum gap_reason reason _unused_, const char *path _unused_,
		       const char *detail _unused_)
{
	return 42;
}

static void test_ends(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct fim_init_options o = {
		.name = "other", .kind = BASELINE_TREE, .root = "/", .scope = &f->scope, .key = f->key
	};
	uint64_t n = 0;

	small_tree(f);
	guard(f, "/etc", "all");
	guard(f, "/none", "all");
	o.common = f->common;
	o.common.gap = stop_at_gap;
	assert_int_equal(fim_init(f->db, &o, NULL, &err), 42);
	o.common.gap = NULL;
	f->progress.stop = 1;
	assert_int_equal(fim_init(f->db, &o, NULL, &err), -ECANCELED);
	assert_int_equal(baseline_each(f->db, count_entry, &n), 0);
	assert_int_equal(n, 0); /* nothing was left behind */
	f->progress.stop = 0;
	assert_int_equal(fim_init(f->db, &o, NULL, &err), 0);
	assert_int_equal(fim_init(f->db, &o, NULL, &err), -EEXIST);
	o.replace = true;
	assert_int_equal(fim_init(f->db, &o, &f->id, &err), 0);
	f->progress.stop = 1;
	assert_int_equal(check_only(f, false, NULL, 0, &err), 0); /* reset by the helper */
	f->id += 1000;
	assert_int_equal(check_only(f, false, NULL, 0, &err), -ENOENT);
}

static void test_rate(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	small_tree(f);
	guard(f, "/etc", "all");
	init_ok(f);
	f->common.rate = 64 * KIB; /* 6 entries at 4 KiB each: 375 ms */
	start = clock_mono_ns();
	check_ok(f, false);
	assert_true(clock_mono_ns() - start > 200 * NSEC_PER_MSEC);
	assert_int_equal(f->n, 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_unchanged),
		TEST(test_changes),
		TEST(test_same_size_and_mtime),
		TEST(test_folders_come_and_go),
		TEST(test_everything_gone),
		TEST(test_pieces),
		TEST(test_nested_scope),
		TEST(test_excluded),
		TEST(test_globs),
		TEST(test_whole_root),
		TEST(test_only),
		TEST(test_gaps),
		TEST(test_growing),
		TEST(test_names),
		TEST(test_special_files),
		TEST(test_deep),
		TEST(test_unreadable),
		TEST(test_mounts),
		TEST(test_ends),
		TEST(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
