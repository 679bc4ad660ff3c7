/* The quarantine: evidence, taking away, putting back, on real files, with somebody who swaps them meanwhile. */
#include "tests/respond/proc.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include "respond/quarantine.h"

struct rig {
	char dir[64];
	struct quarantine q;
	int root;
};

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	const struct quarantine_bounds bounds = { 8, MIB, 256 * KIB };

	strcpy(g->dir, "/tmp/holdfast-quarantine-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	g->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(quarantine_open(g->dir, true, &bounds, &g->q), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	quarantine_close(&g->q);
	close(g->root);
	remove_tree(g->dir);
	free(g);
	return 0;
}

static const char *in(const struct rig *g, const char *name)
{
	static char path[4][512];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", g->dir, name);
	return p;
}

static int take(const struct rig *g, uint64_t id, const struct quarantine_file *f, struct buf *why)
{
	struct quarantine_entry e;
	int r = quarantine_begin(&g->q, id, &e);

	if (r < 0)
		return r;
	r = quarantine_take(&e, f, why);
	if (r == 0)
		r = quarantine_commit(&e);
	quarantine_end(&e);
	return r;
}

static bool holds(const char *path, const char *text)
{
	char data[256] = "";
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data) - 1);

	if (fd >= 0)
		close(fd);
	return n >= 0 && streq(data, text);
}

static void test_round_trip(void **state)
{
	static const char *const names[] = { "plain",
					     "new\nline",
					     "esc\033[31m",
					     ("bad\xff\xfe"
					      "bytes"),
					     "-rf",
					     "qu'ote\"" };
	struct rig *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_buf_ struct buf why = BUF_INIT;
		char path[256];
		struct stat before, after;

		snprintf(path, sizeof(path), "%s/%s", g->dir, names[i]);
		put(path, "payload", 04751);
		assert_int_equal(lchown(path, 12, 34), 0);
		assert_int_equal(chmod(path, 04751), 0);
		assert_int_equal(stat(path, &before), 0);
		const struct quarantine_file f = { .rootfd = g->root,
						   .path = path,
						   .has_identity = true,
						   .dev = before.st_dev,
						   .ino = before.st_ino };

		assert_int_equal(take(g, i + 1, &f, &why), 0);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(quarantine_restore(&g->q, i + 1, NULL, &why), 0);
		assert_int_equal(stat(path, &after), 0);
		assert_int_equal(after.st_ino, before.st_ino);
		assert_int_equal(after.st_mode, before.st_mode);
		assert_int_equal(after.st_uid, 12);
		assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
		assert_true(holds(path, "payload"));
		/* What is left is evidence; there is no file to put back any more. */
		assert_int_equal(quarantine_restore(&g->q, i + 1, NULL, &why), -ENODATA);
		assert_int_equal(quarantine_delete(&g->q, i + 1), 0);
		assert_int_equal(quarantine_delete(&g->q, i + 1), -ENOENT);
	}
}

static void test_restore_refused(void **state)
{
	struct rig *g = *state;
	const char *path = in(g, "x");
	const struct quarantine_file f = { .rootfd = g->root, .path = path };
	_cleanup_buf_ struct buf why = BUF_INIT;

	put(path, "one", 0644);
	assert_int_equal(take(g, 7, &f, &why), 0);
	put(path, "another", 0644);
	assert_int_equal(quarantine_restore(&g->q, 7, NULL, &why), -EEXIST);
	assert_true(holds(path, "another"));
	/* Somebody edited what lies in quarantine. */
	put(in(g, "quarantine/7/file"), "two", 0644);
	unlink(path);
	assert_int_equal(quarantine_restore(&g->q, 7, NULL, &why), -EBADMSG);
	put(in(g, "quarantine/7/file"), "one", 0644);
	assert_int_equal(quarantine_restore(&g->q, 7, in(g, "elsewhere"), &why), 0);
	assert_true(holds(in(g, "elsewhere"), "one"));
	assert_int_equal(quarantine_restore(&g->q, 99, NULL, &why), -ENOENT);
}

/* What stands there is not the file that was judged: it stays. */
static void test_other_file(void **state)
{
	struct rig *g = *state;
	char path[128], dir[128], below[160];
	_cleanup_buf_ struct buf why = BUF_INIT;
	struct stat st;

	snprintf(path, sizeof(path), "%s/x", g->dir);
	snprintf(dir, sizeof(dir), "%s/d", g->dir);
	snprintf(below, sizeof(below), "%s/file", dir);
	put(path, "one", 0644);
	assert_int_equal(stat(path, &st), 0);
	struct quarantine_file f = {
		.rootfd = g->root, .path = path, .has_identity = true, .dev = st.st_dev, .ino = st.st_ino + 1
	};
	assert_int_equal(take(g, 1, &f, &why), -ESTALE);
	assert_true(holds(path, "one"));
	f.has_identity = false;
	f.has_digest = true;
	assert_int_equal(take(g, 2, &f, &why), -ESTALE);
	assert_true(holds(path, "one"));
	f.has_digest = false;

	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(in(g, "other"), 0755), 0);
	put(in(g, "other/file"), "other", 0644);
	assert_int_equal(symlink("other/file", path), 0);
	assert_int_equal(take(g, 3, &f, &why), -ELOOP);
	assert_true(holds(in(g, "other/file"), "other"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(take(g, 4, &f, &why), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(take(g, 5, &f, &why), -ENOENT);

	/* A folder on the way that became a link. */
	assert_int_equal(symlink("other", dir), 0);
	f.path = below;
	assert_int_equal(take(g, 6, &f, &why), -ENOTDIR);
	assert_true(holds(in(g, "other/file"), "other"));
	/* None of them left an entry. */
	uint64_t entries, bytes;
	assert_int_equal(quarantine_usage(&g->q, &entries, &bytes), 0);
	assert_int_equal(bytes < 4096, 1);
}

/* --- somebody swaps the file for a link while it is taken */

struct swapper {
	char path[256], link[256], keep[256];
	atomic_bool stop;
};

static void *swap(void *data)
{
	struct swapper *s = data;

	while (!atomic_load(&s->stop)) {
		renameat2(AT_FDCWD, s->path, AT_FDCWD, s->link, RENAME_EXCHANGE);
	}
	return NULL;
}

static void test_swapped(void **state)
{
	struct rig *g = *state;
	unsigned taken = 0, refused = 0;

	put(in(g, "victim"), "victim", 0644);
	for (unsigned round = 0; round < 200; round++) {
		_cleanup_buf_ struct buf why = BUF_INIT;
		struct swapper s = { .stop = false };
		struct stat st, moved;
		pthread_t thread;
		int r;

		snprintf(s.path, sizeof(s.path), "%s/x", g->dir);
		snprintf(s.link, sizeof(s.link), "%s/l", g->dir);
		put(s.path, "payload", 0755);
		if (round % 2)
			assert_int_equal(symlink(in(g, "victim"), s.link), 0);
		else
			assert_int_equal(link(in(g, "victim"), s.link), 0);
		assert_int_equal(stat(s.path, &st), 0);
		const struct quarantine_file f = {
			.rootfd = g->root, .path = s.path, .has_identity = true, .dev = st.st_dev, .ino = st.st_ino
		};

		assert_int_equal(pthread_create(&thread, NULL, swap, &s), 0);
		r = take(g, 1, &f, &why);
		atomic_store(&s.stop, true);
		pthread_join(thread, NULL);
		if (r == 0) {
			/* What lies there is the file that was meant, and never the other. */
			assert_int_equal(lstat(in(g, "quarantine/1/file"), &moved), 0);
			assert_int_equal(moved.st_ino, st.st_ino);
			taken++;
		} else {
			refused++;
		}
		assert_true(holds(in(g, "victim"), "victim"));
		assert_int_equal(lstat(in(g, "victim"), &moved), 0);
		unlink(s.path);
		unlink(s.link);
		quarantine_delete(&g->q, 1);
	}
	print_message("taken %u, refused %u\n", taken, refused);
	assert_int_equal(taken + refused, 200);
}

/* --- bounds */

static void test_full(void **state)
{
	struct rig *g = *state;
	const char *path = in(g, "x");
	const struct quarantine_file f = { .rootfd = g->root, .path = path };
	_cleanup_buf_ struct buf why = BUF_INIT;
	uint64_t entries, bytes, id = 1;
	int fd, r;

	for (r = 0; r == 0 && id < 20; id++) {
		put(path, "x", 0644);
		r = take(g, id, &f, &why);
	}
	assert_int_equal(r, -EDQUOT);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(quarantine_usage(&g->q, &entries, &bytes), 0);
	assert_int_equal(entries, 8);
	while (--id)
		quarantine_delete(&g->q, id);

	/* By bytes: the second does not fit. */
	for (id = 1; id <= 2; id++) {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_int_equal(ftruncate(fd, 700 * 1024), 0);
		close(fd);
		assert_int_equal(take(g, id, &f, &why), id == 1 ? 0 : -EDQUOT);
	}
	assert_int_equal(access(path, F_OK), 0);
}

/* --- attributes in the way, other file systems */

static void test_immutable(void **state)
{
	struct rig *g = *state;
	const char *path = in(g, "x");
	const struct quarantine_file f = { .rootfd = g->root, .path = path };
	_cleanup_buf_ struct buf why = BUF_INIT;
	int flags = FS_IMMUTABLE_FL, fd;

	put(path, "x", 0644);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
		close(fd);
		print_message("skipped: no immutable files here\n");
		skip();
	}
	assert_int_equal(take(g, 1, &f, &why), 0);
	assert_int_equal(quarantine_restore(&g->q, 1, NULL, &why), 0);
	assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
	assert_true(flags & FS_IMMUTABLE_FL);
	flags = 0;
	assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	close(fd);
}

static void test_across(void **state)
{
	struct rig *g = *state;
	const char *mnt = in(g, "mnt");
	char path[256];
	_cleanup_buf_ struct buf why = BUF_INIT;
	struct stat before, after;

	assert_int_equal(mkdir(mnt, 0755), 0);
	if (mount("holdfast-test", mnt, "tmpfs", 0, "size=4m") < 0) {
		print_message("skipped: no tmpfs (%s)\n", strerror(errno));
		skip();
	}
	snprintf(path, sizeof(path), "%s/mnt/bad\xff", g->dir);
	put(path, "payload", 04755);
	assert_int_equal(setxattr(path, "trusted.mark", "1", 1, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){ { 5, 6 }, { 7, 8 } }, 0), 0);
	assert_int_equal(stat(path, &before), 0);
	const struct quarantine_file f = {
		.rootfd = g->root, .path = path, .has_identity = true, .dev = before.st_dev, .ino = before.st_ino
	};
	int r = take(g, 1, &f, &why), there = access(path, F_OK);
	int back = quarantine_restore(&g->q, 1, NULL, &why);
	char mark = 0;

	r = r ? r : stat(path, &after);
	if (!r)
		getxattr(path, "trusted.mark", &mark, 1);
	/* Too large to be copied: stays. */
	snprintf(path, sizeof(path), "%s/mnt/large", g->dir);
	put(path, "x", 0644);
	assert_int_equal(truncate(path, 512 * 1024), 0);
	const struct quarantine_file large = { .rootfd = g->root, .path = path };
	int too_large = take(g, 2, &large, &why), stays = access(path, F_OK);

	umount2(in(g, "mnt"), MNT_DETACH);
	assert_int_equal(r, 0);
	assert_int_equal(there, -1);
	assert_int_equal(back, 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_mtim.tv_sec, 7);
	assert_int_equal(after.st_mtim.tv_nsec, 8);
	assert_int_equal(mark, '1');
	assert_int_equal(too_large, -EFBIG);
	assert_int_equal(stays, 0);
}

/* --- evidence */

static void test_evidence(void **state)
{
	struct rig *g = *state;
	struct quarantine_entry e;
	_cleanup_target_ struct target t = TARGET_INIT;
	char text[4096] = "";
	json_t *meta, *process;
	pid_t pid = fork();
	FILE *f;

	if (pid == 0) {
		char *const argv[] = { (char *)"sleep", (char *)"60", NULL };
		char *const envp[] = { (char *)"TOKEN=hunter2", (char *)"no value", (char *)"EMPTY=", NULL };

		execve("/bin/sleep", argv, envp);
		_exit(1);
	}
	until(state_of(pid) == 'S');
	assert_int_equal(target_open(procfs(), pid, 0, &t), 0);
	assert_int_equal(quarantine_begin(&g->q, 3, &e), 0);
	assert_int_equal(quarantine_evidence(&e, &t), 0);
	assert_int_equal(quarantine_commit(&e), 0);
	quarantine_end(&e);
	reap(pid);

	f = fopen(in(g, "quarantine/3/environ"), "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	assert_non_null(strstr(text, "TOKEN=(redacted)"));
	assert_null(strstr(text, "hunter2"));
	assert_null(strstr(text, "no value"));
	assert_int_equal(access(in(g, "quarantine/3/maps"), F_OK), 0);
	{
		char command[256];

		snprintf(command, sizeof(command), "cmp -s /bin/sleep %s", in(g, "quarantine/3/exe"));
		assert_int_equal(system(command), 0);
	}
	assert_int_equal(quarantine_meta(&g->q, 3, &meta), 0);
	process = json_object_get(meta, "process");
	assert_int_equal(json_integer_value(json_object_get(process, "pid")), pid);
	assert_int_equal(json_string_length(json_object_get(process, "sha256")), 64);
	json_decref(meta);
	/* Too late. */
	assert_int_equal(quarantine_begin(&g->q, 4, &e), 0);
	assert_int_equal(quarantine_evidence(&e, &t), -ESRCH);
	quarantine_end(&e);
	assert_int_equal(access(in(g, "quarantine/4"), F_OK), -1);
}

/* Others must not reach into it, and a link is not followed. */
static void test_folder(void **state)
{
	struct rig *g = *state;
	struct quarantine q;

	assert_int_equal(chmod(in(g, "quarantine"), 0755), 0);
	assert_int_equal(quarantine_open(g->dir, true, NULL, &q), -EPERM);
	assert_int_equal(rmdir(in(g, "quarantine")), 0);
	assert_int_equal(quarantine_open(g->dir, false, NULL, &q), -ENOENT);
	assert_int_equal(symlink("mnt", in(g, "quarantine")), 0);
	assert_true(quarantine_open(g->dir, true, NULL, &q) < 0);
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIGGED(test_round_trip), RIGGED(test_restore_refused), RIGGED(test_other_file), RIGGED(test_swapped),
		RIGGED(test_full),	 RIGGED(test_immutable),       RIGGED(test_across),	RIGGED(test_evidence),
		RIGGED(test_folder),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
