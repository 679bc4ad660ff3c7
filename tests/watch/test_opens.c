/* watch/bpf_opens on the running kernel: what is told of an open, what is not; and the decoding. */
#include "tests/watch/opens.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "watch/bpf/record.h"

#define DEADLINE_NS (60 * NSEC_PER_SEC)
#define LONG	    "a-name-that-is-longer-than-what-is-compared-of-it-which-is-no-more-than-63-bytes"

struct fixture {
	struct bpf_exits exits;
	struct bpf_opens *b;
	char dir[64];
	int32_t pid; /* whose opens are looked for */
	unsigned int n;
	char path[256];
	bool is_dir, end;
};

#define READS BPF_OPEN_BIT(BPF_OPENS_READ)

static const struct bpf_opens_row rows[] = {
	{ BPF_OPENS_FILE, "secret", 6, READS },	 { BPF_OPENS_WAY, ".way", 4, READS },
	{ BPF_OPENS_START, "begin", 5, READS },	 { BPF_OPENS_COMM, "reader", 6, READS },
	{ BPF_OPENS_FILE, "the end", 7, READS }, { BPF_OPENS_FILE, "both", 4, READS },
	{ BPF_OPENS_WAY, "both", 4, READS },	 { BPF_OPENS_FILE, "y", 1, READS },
	{ BPF_OPENS_START, "z", 1, READS },	 { BPF_OPENS_FILE, LONG, sizeof(LONG) - 1, READS },
};

static int setup(void **state)
{
	static const char *const names[] = { ".way/",	     ".way/deep/", "both/",	  "inner/",
					     "secret",	     ".way/file",  ".way/deep/f", "both/file",
					     "beginning",    "the end",	   "other",	  "secrets",
					     "inner/secret", "a-secret",   LONG,	  "y",
					     "yy",	     "z",	   "zz" };
	const struct bpf_opens_wants wants = { .rows = rows, .n = ARRAY_SIZE(rows), .dirs = true };
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	assert_non_null(f);
	strcpy(f->dir, "/tmp/hf-opens.XXXXXX");
	make_files(f->dir, names, ARRAY_SIZE(names));
	are_loaded(bpf_opens_open(&f->exits, &wants, 0, &f->b, &err), &err);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bpf_opens_close(f->b);
	remove_files(f->dir);
	free(f);
	return 0;
}

static void on_open(const struct bpf_open_event *e, void *data)
{
	const char *name = strrchr(e->path, '/');
	struct fixture *f = data;

	if (e->tgid != f->pid)
		return;
	if (streq(name, "/the end")) {
		f->end = true;
		return;
	}
	assert_int_equal(e->len, strlen(e->path));
	assert_true(e->start_ns > 0 && e->mono_ns <= clock_mono_ns());
	f->n++;
	f->is_dir = e->is_dir;
	snprintf(f->path, sizeof(f->path), "%s", e->path);
}

struct act {
	const char *name;
	int flags;
	void (*before)(void);
	long (*open)(const char *path, int flags);
	const char *told; /* below the folder; NULL: not told; "" as name */
	bool is_dir;
};

static void child(struct fixture *f, const struct act *act)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;
	int status;

	f->n = 0;
	f->end = false;
	f->pid = fork();
	if (f->pid == 0) {
		if (chdir(f->dir) < 0)
			_exit(1);
		if (act->before)
			act->before();
		if (act->open)
			act->open(act->name, act->flags);
		else
			syscall(SYS_openat, AT_FDCWD, act->name, act->flags, 0644);
		syscall(SYS_openat, AT_FDCWD, "the end", O_RDONLY);
		_exit(0);
	}
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_int_equal(status, 0);
	while (!f->end) {
		struct pollfd p = { .fd = bpf_opens_fd(f->b), .events = POLLIN };

		poll(&p, 1, 100);
		assert_true(bpf_opens_take(f->b, 100, on_open, f) >= 0);
		assert_true(clock_mono_ns() < deadline);
	}
}

static void become_reader(void)
{
	prctl(PR_SET_NAME, "reader");
}

/* The working folder stays, as a process does that keeps one through chroot. */
static void change_root(void)
{
	if (chroot("inner") < 0 || chdir("/") < 0)
		_exit(2);
}

static void mount_below(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(".way", "inner", NULL, MS_BIND, NULL) < 0)
		_exit(3);
}

static void mount_above(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("inner", ".way/deep", NULL, MS_BIND, NULL) < 0)
		_exit(3);
}

static long by_openat2(const char *path, int flags)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = { .flags = (uint64_t)flags };

	return syscall(437, AT_FDCWD, path, &how, sizeof(how));
}

static long by_handle(const char *path, int flags)
{
	_Alignas(struct file_handle) uint8_t space[sizeof(struct file_handle) + 128];
	struct file_handle *handle = (struct file_handle *)space;
	int id;

	handle->handle_bytes = 128;
	if (name_to_handle_at(AT_FDCWD, path, handle, &id, 0) < 0)
		_exit(4);
	return syscall(SYS_open_by_handle_at, AT_FDCWD, handle, flags);
}

static void test_told(void **state)
{
	static const struct act acts[] = {
		{ "secret", O_RDONLY, NULL, NULL, "", false },
		{ "./inner/.././secret", O_RDONLY, NULL, NULL, "secret", false },
		{ "secret", O_RDWR, NULL, NULL, "", false },
		{ "secret", O_RDONLY | O_CREAT, NULL, NULL, "", false },
		{ "secret", O_RDONLY, NULL, by_openat2, "", false },
		{ "secret", O_RDONLY, NULL, by_handle, "", false },
		{ "inner/secret", O_RDONLY, NULL, NULL, "", false },
		{ "beginning", O_RDONLY, NULL, NULL, "", false },
		{ ".way/file", O_RDONLY, NULL, NULL, "", false },
		{ ".way/deep/f", O_RDONLY, NULL, NULL, "", false },
		{ ".way", O_RDONLY | O_DIRECTORY, NULL, NULL, "", true },
		{ "both/file", O_RDONLY, NULL, NULL, "", false },
		{ LONG, O_RDONLY, NULL, NULL, "", false },
		{ "other", O_RDONLY, become_reader, NULL, "", false },
		/* Not by path, in a mount namespace of its own. */
		{ "inner/file", O_RDONLY, mount_below, NULL, NULL, false },
		{ ".way/deep/secret", O_RDONLY, mount_above, NULL, "", false },
		/* What is not read, and who does not ask. */
		{ "secret", O_WRONLY, NULL, NULL, NULL, false },
		{ "secret", O_PATH, NULL, NULL, NULL, false },
		{ "secret", O_RDONLY | O_DIRECTORY, NULL, NULL, NULL, false }, /* fails */
		{ "none/secret", O_RDONLY, NULL, NULL, NULL, false },
		{ "other", O_RDONLY, NULL, NULL, NULL, false },
		{ "secrets", O_RDONLY, NULL, NULL, NULL, false },
		{ "a-secret", O_RDONLY, NULL, NULL, NULL, false },
		{ "y", O_RDONLY, NULL, NULL, "", false },
		{ "yy", O_RDONLY, NULL, NULL, NULL, false },
		{ "z", O_RDONLY, NULL, NULL, "", false },
		{ "zz", O_RDONLY, NULL, NULL, "", false },
	};
	struct fixture *f = *state;

	if (!f->b)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		const struct act *a = &acts[i];
		char want[256];

		child(f, a);
		if (f->n != (a->told != NULL))
			fail_msg("%s, %o (%zu): told %u times: %s", a->name, a->flags, i, f->n, f->n ? f->path : "");
		snprintf(want, sizeof(want), "%s/%s", f->dir, a->told && *a->told ? a->told : a->name);
		if (a->told && (!streq(f->path, want) || f->is_dir != a->is_dir))
			fail_msg("%s (%zu): told as %s", want, i, f->path);
	}
	assert_int_equal(bpf_opens_lost(f->b), 0);
}

/* Of what its process takes for the root. The end of it is told there too. */
static void test_chroot(void **state)
{
	static const struct act act = { "/secret", O_RDONLY, change_root, NULL, NULL, false };
	struct fixture *f = *state;
	char end[256];

	if (!f->b)
		skip();
	snprintf(end, sizeof(end), "%s/inner", f->dir);
	make_file(end, "the end");
	child(f, &act);
	assert_int_equal(f->n, 1);
	assert_string_equal(f->path, "/secret");
}

static void test_own(void **state)
{
	static const struct act act = { "other", O_RDONLY, NULL, NULL, NULL, false };
	struct fixture *f = *state;
	char path[256];
	int fd;

	if (!f->b)
		skip();
	snprintf(path, sizeof(path), "%s/secret", f->dir);
	f->pid = getpid();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
	child(f, &act);
	assert_int_equal(f->n, 0);
}

static void test_decode(void **state _unused_)
{
	static const struct {
		const char *names;
		uint32_t len, cut, more; /* bytes that are said to be there and are not */
		int32_t tgid;
		int result;
		const char *path;
	} cases[] = {
		{ "b\0a", 4, 0, 0, 1, 0, "/a/b" },    { "", 0, 0, 0, 1, 0, "/" },
		{ "b\0a", 3, 0, 0, 1, -EBADMSG, "" }, { "b\0a", 4, 0, 1, 1, -EBADMSG, "" },
		{ "b\0a", 4, 1, 0, 1, -EBADMSG, "" }, { "b\0a", 4, 0, 0, 0, -EBADMSG, "" },
	};
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct bpf_open_event e;

	assert_int_equal(bpf_decode_open("", 0, &a, &e), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct {
			struct bpf_open open;
			char names[16];
		} r = { .open = { .tgid = cases[i].tgid, .flags = cases[i].cut ? BPF_OPEN_CUT : 0 } };

		memset(r.open.comm, 'x', sizeof(r.open.comm));
		r.open.len = cases[i].len + cases[i].more;
		memcpy(r.names, cases[i].names, cases[i].len);
		assert_int_equal(bpf_decode_open(&r, sizeof(r.open) + cases[i].len, &a, &e), cases[i].result);
		if (cases[i].result < 0)
			continue;
		assert_string_equal(e.path, cases[i].path);
		assert_int_equal(strlen(e.comm), 15);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_chroot),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
