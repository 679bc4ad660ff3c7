/* fim/scan, walk, baseline: what init and check find. */
#include "tests/fim/scan_rig.h"

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

int main(void)
{
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
