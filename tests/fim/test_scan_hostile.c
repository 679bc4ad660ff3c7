/* fim/scan: odd names, special files, depth, what may not be read, mounts. */
#include "tests/fim/scan_rig.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "db/history.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names), TEST(test_special_files), TEST(test_deep), TEST(test_unreadable), TEST(test_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
