/* fim/walk, list, plan, skip: order, depth, size, and mount points known from mountinfo alone. */
#include "tests/fim/tree.h"

#include <limits.h>
#include <sys/resource.h>

#include "event/attr.h"
#include "fim/skip.h"
#include "fim/walk.h"

struct fixture {
	struct tree tree;
	struct arena arena;
	struct scope scope;
	struct plan plan;
	uint64_t folders, names, last_seq;
	size_t longest;
	struct buf seen; /* paths of folders, one a line */
	struct buf gaps;
	bool stop;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	alarm(120);
	tree_make(&f->tree);
	f->plan.scope = &f->scope;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	alarm(0);
	tree_remove(&f->tree);
	arena_free(&f->arena);
	buf_free(&f->seen);
	buf_free(&f->gaps);
	free(f);
	return 0;
}

static int on_folder(void *data, struct folder *folder)
{
	struct fixture *f = data;

	assert_int_equal(folder->seq, ++f->last_seq);
	for (uint32_t i = 1; i < folder->n; i++)
		assert_true(strcmp(folder_name(folder, i - 1), folder_name(folder, i)) < 0);
	f->folders++;
	f->names += folder->n;
	f->longest = MAX(f->longest, strlen(folder->path));
	if (f->seen.len < 4096)
		buf_printf(&f->seen, "%s\n", folder->path);
	folder_unref(folder);
	return 0;
}

static int on_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct fixture *f = data;

	buf_printf(&f->gaps, "%s %s %s\n", gap_reason_names[reason], path, detail ? detail : "-");
	return 0;
}

static bool stopped(void *data)
{
	return ((struct fixture *)data)->stop;
}

static int walk(struct fixture *f, const char *mountinfo)
{
	const struct walk_options o = {
		.rootfd = f->tree.fd,
		.plan = &f->plan,
		.mountinfo = mountinfo,
		.data = f,
		.stopped = stopped,
		.folder = on_folder,
		.gap = on_gap,
	};

	f->folders = f->names = f->last_seq = 0;
	buf_reset(&f->seen);
	buf_reset(&f->gaps);
	return walk_run(&o);
}

static void test_order(void **state)
{
	struct fixture *f = *state;

	for (const char *const *d = (const char *const[]){ "b", "a", "a/z", "a/y", "a/y/x", "c", NULL }; *d; d++)
		tree_folder(f->tree.fd, *d);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/", ATTR_ALL), 0);
	assert_int_equal(walk(f, NULL), 0);
	assert_string_equal(f->seen.data, "/\n/a\n/a/y\n/a/y/x\n/a/z\n/b\n/c\n");
	assert_int_equal(f->names, 7); /* with "/" itself */
	f->stop = true;
	assert_int_equal(walk(f, NULL), -ECANCELED);
}

/* Far deeper than PATH_MAX, with few descriptors and no recursion; the walk has to come back up through all of it. */
static void test_deep(void **state)
{
	enum { DEPTH = 10000 };
	struct fixture *f = *state;
	int at = dup(f->tree.fd);
	struct rlimit limit, few;

	for (int i = 0; i < DEPTH; i++) {
		int next;

		tree_folder(at, "d");
		tree_folder(at, "z");
		next = openat(at, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/d", ATTR_ALL), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = (struct rlimit){ 200, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(walk(f, NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(f->folders, 1 + DEPTH + DEPTH - 1);
	assert_int_equal(f->longest, 2 * DEPTH);
	assert_int_equal(f->gaps.len, 0);
}

/* Folders are moved away while the walk is below them: the rest of one is a gap, what is above goes on.
 */
static int move_away(void *data, struct folder *folder)
{
	struct fixture *f = data;

	if (strlen(folder->path) == 2 * 150 && folder->path[2 * 150 - 1] == 'd') {
		assert_int_equal(renameat(f->tree.fd, "d/d/d", f->tree.fd, "moved"), 0);
		assert_int_equal(renameat(f->tree.fd, "d/d", f->tree.fd, "moved too"), 0);
	}
	return on_folder(data, folder);
}

static void test_moved(void **state)
{
	struct fixture *f = *state;
	const struct walk_options o = { .rootfd = f->tree.fd,
					.plan = &f->plan,
					.data = f,
					.stopped = stopped,
					.folder = move_away,
					.gap = on_gap };
	int at = dup(f->tree.fd);

	for (int i = 0; i < 300; i++) {
		int next;

		tree_folder(at, "d");
		tree_folder(at, "z");
		next = openat(at, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/d", ATTR_ALL), 0);
	assert_int_equal(walk_run(&o), 0);
	assert_non_null(f->gaps.data);
	assert_string_equal(f->gaps.data, "unreadable /d/d moved while it was read\n");
	assert_int_equal(f->folders, 1 + 300 + 300 - 2); /* all but /d/d/z: the rest is found under its old names */
}

/* Names and offsets only, whatever the number. */
static void test_wide(void **state)
{
	enum { WIDE = 50000 };
	struct fixture *f = *state;
	char name[32];

	tree_folder(f->tree.fd, "d");
	tree_text(f->tree.fd, "first", "");
	for (int i = 0; i < WIDE; i++) {
		snprintf(name, sizeof(name), "d/f%06d", i * 7919 % WIDE);
		assert_int_equal(linkat(f->tree.fd, "first", f->tree.fd, name, 0) && errno != EMLINK, 0);
		if (errno == EMLINK) {
			tree_text(f->tree.fd, name, "");
			unlinkat(f->tree.fd, "first", 0);
			assert_int_equal(linkat(f->tree.fd, name, f->tree.fd, "first", 0), 0);
			errno = 0;
		}
	}
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/d", ATTR_ALL), 0);
	assert_int_equal(walk(f, NULL), 0);
	assert_int_equal(f->names, WIDE + 1);
}

/* What mountinfo says is remote is not touched at all: here it is an ordinary folder, and stays out all the same. */
static void test_skips(void **state)
{
	struct fixture *f = *state;
	struct skips skips;
	char info[128], root[PATH_MAX];
	FILE *out;

	assert_non_null(realpath(f->tree.path, root));
	for (const char *const *d = (const char *const[]){ "a", "a/nfs", "a/nfs/x", "a/tmp", "over", "over/x", NULL };
	     *d; d++)
		tree_folder(f->tree.fd, *d);
	snprintf(info, sizeof(info), "%s/mountinfo", f->tree.path);
	out = fopen(info, "w");
	assert_non_null(out);
	fprintf(out, "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	fprintf(out, "21 20 0:50 / %s/a/nfs rw - nfs4 server:/x rw\n", root);
	fprintf(out, "22 20 0:51 / %s/a/tmp rw - tmpfs tmpfs rw\n", root);
	fprintf(out, "23 20 0:52 / %s/over rw - fuse.sshfs them: rw\n", root);
	fprintf(out, "24 23 0:53 / %s/over rw - tmpfs tmpfs rw\n", root);
	fprintf(out, "25 20 0:54 / /elsewhere rw - proc proc rw\n");
	fclose(out);
	assert_int_equal(skips_load(info, f->tree.fd, &skips), 0);
	assert_int_equal(skips.n, 1);
	assert_non_null(skips_above(&skips, "/a/nfs"));
	assert_non_null(skips_above(&skips, "/a/nfs/x"));
	assert_null(skips_above(&skips, "/a/nfsx"));
	assert_null(skips_above(&skips, "/over"));
	skips_done(&skips);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/a", ATTR_ALL), 0);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/a/nfs/x", ATTR_ALL), 0);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/over", ATTR_ALL), 0);
	assert_int_equal(walk(f, info), 0);
	assert_string_equal(f->seen.data, "/\n/a\n/a/tmp\n/over\n/over/x\n");
	assert_string_equal(f->gaps.data, "fs-skipped /a/nfs nfs4\n");
}

static void test_plan(void **state)
{
	static const struct {
		const char *path;
		enum plan_answer answer;
	} cases[] = {
		{ "/", PLAN_PASS },
		{ "/etc", PLAN_IN },
		{ "/etcetera", PLAN_OUT },
		{ "/etc/x", PLAN_IN },
		{ "/etc/no", PLAN_PASS },
		{ "/etc/no/but", PLAN_IN },
		{ "/etc/no/x", PLAN_OUT },
		{ "/home", PLAN_PASS },
		{ "/home/me", PLAN_PASS },
		{ "/home/me/.ssh", PLAN_IN },
		{ "/home/me/.config", PLAN_OUT },
	};
	struct fixture *f = *state;
	const char *const only[] = { "/etc/x" };
	attr_mask mask;

	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/etc", ATTR_ALL), 0);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/etc/no/but", ATTR_ALL), 0);
	assert_int_equal(scope_add_path(&f->arena, &f->scope, "/home/*/.ssh", ATTR_ALL), 0);
	assert_int_equal(scope_add_exclude(&f->arena, &f->scope, "/etc/no"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (plan_match(&f->plan, cases[i].path, &mask) != cases[i].answer)
			fail_msg("%s", cases[i].path);
	f->plan.only = only;
	f->plan.n_only = 1;
	assert_int_equal(plan_match(&f->plan, "/etc", &mask), PLAN_PASS);
	assert_int_equal(plan_match(&f->plan, "/etc/x", &mask), PLAN_IN);
	assert_int_equal(plan_match(&f->plan, "/etc/x/y", &mask), PLAN_IN);
	assert_int_equal(plan_match(&f->plan, "/etc/xy", &mask), PLAN_OUT);
	assert_int_equal(plan_match(&f->plan, "/home", &mask), PLAN_OUT);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order), TEST(test_deep), TEST(test_moved), TEST(test_wide), TEST(test_skips), TEST(test_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
