/* watch/bpf_opens on the running kernel: opens told as calls, by how they are called and by the path as it is written.
 */
#include "tests/watch/opens.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"

#define DEADLINE_NS (60 * NSEC_PER_SEC)
#define BIT(class)  BPF_OPEN_BIT(BPF_OPENS_##class)

struct fixture {
	struct bpf_exits exits;
	struct bpf_opens *b;
	char dir[64];
	int32_t pid; /* whose opens are looked for */
	unsigned int n;
	bool end;
	uint32_t classes;
	const struct call_info *call;
	int64_t result;
	uint32_t flags, mode;
	bool is_dir, created, cut;
	char path[PATH_MAX], raw[PATH_MAX], written[PATH_MAX];
};

static const struct bpf_opens_row rows[] = {
	{ BPF_OPENS_FILE, "made", 4, BIT(MAKE) },    { BPF_OPENS_FILE, "written", 7, BIT(WRITE) },
	{ BPF_OPENS_FILE, "called", 6, BIT(CALL) },  { BPF_OPENS_WAY, "way", 3, BIT(CALL) },
	{ BPF_OPENS_START, "be", 2, BIT(MAKE) },     { BPF_OPENS_START, "begin", 5, BIT(CALL) },
	{ BPF_OPENS_COMM, "maker", 5, BIT(MAKE) },   { BPF_OPENS_FILE, "the end", 7, BIT(READ) },
	{ BPF_OPENS_FILE, "written", 7, BIT(READ) },
};

static void on_open(const struct bpf_open_event *e, void *data)
{
	struct fixture *f = data;

	if (e->tgid != f->pid)
		return;
	if (e->path && strstr(e->path, "/the end")) {
		f->end = true;
		return;
	}
	f->n++;
	f->classes = e->classes;
	f->call = e->call;
	f->result = e->result;
	f->flags = e->open.flags;
	f->mode = e->open.mode;
	f->is_dir = e->open.is_dir;
	f->created = e->open.created;
	f->cut = e->cut;
	snprintf(f->path, sizeof(f->path), "%s", e->path ?: "(none)");
	snprintf(f->raw, sizeof(f->raw), "%s", e->open.raw ?: "(none)");
	snprintf(f->written, sizeof(f->written), "%s", e->open.written ?: "(none)");
}

static int setup(void **state)
{
	static const char *const names[] = { "made",  "written",   "called", "the end", "other", "way/",
					     "way/x", "beginning", "best",   "sub/",	"sub/x" };
	const struct bpf_opens_wants wants = { .rows = rows, .n = ARRAY_SIZE(rows), .always = BIT(PROGRAM) | BIT(UP) };
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	assert_non_null(f);
	strcpy(f->dir, "/tmp/hf-opened.XXXXXX");
	make_files(f->dir, names, ARRAY_SIZE(names));
	*state = f;
	are_loaded(bpf_opens_open(&f->exits, &wants, 0, &f->b, &err), &err);
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

static void child(struct fixture *f, void (*act)(void))
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;
	int status;

	f->n = 0;
	f->end = false;
	f->pid = fork();
	if (f->pid == 0) {
		int root = open("/", O_PATH | O_CLOEXEC), here;

		if (chdir(f->dir) < 0)
			_exit(1);
		here = open(f->dir, O_PATH | O_CLOEXEC);
		act();
		if (fchdir(root) < 0)
			_exit(2);
		syscall(SYS_openat, here, "the end", O_RDONLY);
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

#define ACT(name, ...)                                                                                                 \
	static void name(void)                                                                                         \
	{                                                                                                              \
		syscall(__VA_ARGS__);                                                                                  \
	}

ACT(act_create, SYS_openat, AT_FDCWD, "made", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
ACT(act_truncate, SYS_openat, AT_FDCWD, "./made", O_WRONLY | O_TRUNC | O_APPEND, 0777)
ACT(act_not_made, SYS_openat, AT_FDCWD, "made", O_RDWR)
ACT(act_written, SYS_openat, AT_FDCWD, "written", O_WRONLY)
ACT(act_read, SYS_openat, AT_FDCWD, "written", O_RDONLY)
ACT(act_none, SYS_openat, AT_FDCWD, "none/called", O_RDONLY)
ACT(act_not_called, SYS_openat, AT_FDCWD, "called/none", O_RDONLY)
ACT(act_folder, SYS_openat, AT_FDCWD, "called", O_RDONLY | O_DIRECTORY)
ACT(act_program, SYS_openat, AT_FDCWD, "new program", O_WRONLY | O_CREAT, 0711)
ACT(act_no_program, SYS_openat, AT_FDCWD, "new file", O_WRONLY | O_CREAT, 0644)
ACT(act_up, SYS_openat, AT_FDCWD, "sub/../sub/../other", O_RDONLY)
ACT(act_up_failed, SYS_openat, AT_FDCWD, "../../etc/../none", O_RDONLY)
ACT(act_dots, SYS_openat, AT_FDCWD, "sub/./x", O_RDONLY)
ACT(act_below, SYS_openat, AT_FDCWD, "way/x", O_RDONLY)
ACT(act_short_start, SYS_openat, AT_FDCWD, "beginning", O_WRONLY | O_TRUNC)
ACT(act_long_start, SYS_openat, AT_FDCWD, "beginning", O_RDONLY)
ACT(act_other_start, SYS_openat, AT_FDCWD, "best", O_RDONLY)
ACT(act_handle, SYS_open_by_handle_at, AT_FDCWD, NULL, O_RDONLY)
ACT(act_bad_path, SYS_openat, AT_FDCWD, (void *)8, O_RDONLY | O_CREAT, 0755)
ACT(act_bad_fd, SYS_openat, 999, "called", O_RDONLY)
ACT(act_own, SYS_openat, AT_FDCWD, "/proc/self/way/../fd", O_RDONLY | O_DIRECTORY)

static void act_open(void)
{
#ifdef SYS_open
	syscall(SYS_open, "made", O_WRONLY | O_CREAT, 0640);
#else
	syscall(SYS_openat, AT_FDCWD, "made", O_WRONLY | O_CREAT, 0640);
#endif
}

static void act_creat(void)
{
#ifdef SYS_creat
	syscall(SYS_creat, "made", 0640);
#else
	syscall(SYS_openat, AT_FDCWD, "made", O_WRONLY | O_CREAT | O_TRUNC, 0640);
#endif
}

static void act_openat2(void)
{
	uint64_t how[3] = { O_WRONLY | O_CREAT, 0640, 0 };

	syscall(437, AT_FDCWD, "made", how, sizeof(how));
}

/* A link does not hide what it leads to, nor what it is called itself. */
static void act_link(void)
{
	if (symlink("other", "called-not") < 0 || symlink("called", "link") < 0)
		_exit(3);
	syscall(SYS_openat, AT_FDCWD, "link", O_RDONLY);
}

static void act_link_name(void)
{
	if (rename("called-not", "sub/called") < 0)
		_exit(3);
	syscall(SYS_openat, AT_FDCWD, "sub/called", O_RDONLY | O_NOFOLLOW);
}

/* What is relative goes on from a folder whose name is asked for. */
static void act_relative(void)
{
	int way = open("way", O_PATH | O_CLOEXEC);

	syscall(SYS_openat, way, "nothing", O_RDONLY);
}

static void act_comm(void)
{
	int fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);

	if (write(fd, "maker", 5) != 5)
		_exit(3);
	syscall(SYS_openat, AT_FDCWD, "other", O_WRONLY | O_CREAT, 0600);
}

static void act_deep(void)
{
	char path[PATH_MAX] = "";

	while (strlen(path) < 4000)
		strcat(path, "sub/./");
	strcat(path, "../x");
	syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
}

static void act_root(void)
{
	if (chroot("sub") < 0 || chdir("/") < 0)
		_exit(3);
	syscall(SYS_openat, AT_FDCWD, "called", O_RDONLY);
}

static void test_told(void **state)
{
	/* Paths: what begins with a % is below the folder; NULL: the call is not told. */
	static const struct {
		void (*act)(void);
		const char *call;
		uint32_t classes;
		int64_t result; /* 1: any that is not negative */
		const char *path, *raw, *written;
		uint32_t flags, mode;
	} cases[] = {
		{ act_create, "openat", BIT(CALL) | BIT(WRITE) | BIT(MAKE), -EEXIST, "(none)", "made", "%/made",
		  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600 },
		{ act_truncate, "openat", BIT(CALL) | BIT(WRITE) | BIT(MAKE), 1, "%/made", "./made", "%/made",
		  O_WRONLY | O_TRUNC | O_APPEND, 0 },
		{ act_not_made, NULL, 0, 0, NULL, NULL, NULL, 0, 0 },
		{ act_open, NULL, BIT(CALL) | BIT(WRITE) | BIT(MAKE), 1, "%/made", "made", "%/made", O_WRONLY | O_CREAT,
		  0640 },
		{ act_creat, NULL, BIT(CALL) | BIT(WRITE) | BIT(MAKE), 1, "%/made", "made", "%/made",
		  O_WRONLY | O_CREAT | O_TRUNC, 0640 },
		{ act_openat2, "openat2", BIT(CALL) | BIT(WRITE) | BIT(MAKE), 1, "%/made", "made", "%/made",
		  O_WRONLY | O_CREAT, 0640 },
		{ act_written, "openat", BIT(CALL) | BIT(WRITE), 1, "%/written", "written", "%/written", O_WRONLY, 0 },
		{ act_read, "openat", BIT(CALL) | BIT(READ), 1, "%/written", "written", "%/written", O_RDONLY, 0 },
		{ act_none, "openat", BIT(CALL), -ENOENT, "(none)", "none/called", "%/none/called", O_RDONLY, 0 },
		{ act_not_called, "openat", BIT(CALL), -ENOTDIR, "(none)", "called/none", "%/called/none", O_RDONLY,
		  0 },
		{ act_folder, "openat", BIT(CALL), -ENOTDIR, "(none)", "called", "%/called", O_RDONLY | O_DIRECTORY,
		  0 },
		{ act_program, "openat", BIT(CALL) | BIT(WRITE) | BIT(MAKE) | BIT(PROGRAM), 1, "%/new program",
		  "new program", "%/new program", O_WRONLY | O_CREAT, 0711 },
		{ act_no_program, NULL, 0, 0, NULL, NULL, NULL, 0, 0 },
		{ act_up, "openat", BIT(CALL) | BIT(READ) | BIT(UP), 1, "%/other", "sub/../sub/../other", "%/other",
		  O_RDONLY, 0 },
		{ act_up_failed, "openat", BIT(CALL) | BIT(UP), -ENOENT, "(none)", "../../etc/../none", "/none",
		  O_RDONLY, 0 },
		{ act_dots, NULL, 0, 0, NULL, NULL, NULL, 0, 0 },
		{ act_below, "openat", BIT(CALL) | BIT(READ), 1, "%/way/x", "way/x", "%/way/x", O_RDONLY, 0 },
		{ act_short_start, "openat", BIT(CALL) | BIT(WRITE) | BIT(MAKE), 1, "%/beginning", "beginning",
		  "%/beginning", O_WRONLY | O_TRUNC, 0 },
		{ act_long_start, "openat", BIT(CALL) | BIT(READ), 1, "%/beginning", "beginning", "%/beginning",
		  O_RDONLY, 0 },
		{ act_other_start, NULL, 0, 0, NULL, NULL, NULL, 0, 0 },
		{ act_handle, NULL, 0, 0, NULL, NULL, NULL, 0, 0 },
		{ act_bad_path, NULL, 0, 0, NULL, NULL, NULL, 0, 0 },
		{ act_bad_fd, "openat", BIT(CALL), -EBADF, "(none)", "called", "called", O_RDONLY, 0 },
		{ act_own, "openat", BIT(CALL) | BIT(UP), -ENOENT, "(none)", "/proc/self/way/../fd", "/proc/self/fd",
		  O_RDONLY | O_DIRECTORY, 0 },
		{ act_link, "openat", BIT(CALL) | BIT(READ), 1, "%/called", "link", "%/link", O_RDONLY, 0 },
		{ act_link_name, "openat", BIT(CALL), -ELOOP, "(none)", "sub/called", "%/sub/called",
		  O_RDONLY | O_NOFOLLOW, 0 },
		{ act_relative, "openat", BIT(CALL), -ENOENT, "(none)", "nothing", "%/way/nothing", O_RDONLY, 0 },
		{ act_comm, "openat", BIT(CALL) | BIT(WRITE) | BIT(MAKE), 1, "%/other", "other", "%/other",
		  O_WRONLY | O_CREAT, 0600 },
		{ act_deep, "openat", BIT(CALL) | BIT(UP), -ENOENT, "(none)", NULL, NULL, O_RDONLY, 0 },
	};
	struct fixture *f = *state;
	char want[PATH_MAX];

	if (!f->b)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const wants[] = { cases[i].path, cases[i].raw, cases[i].written };
		const char *const got[] = { f->path, f->raw, f->written };
		/* What opens to make ready is told too, before. */
		bool told = cases[i].classes;

		child(f, cases[i].act);
		if (told ? !f->n : f->n)
			fail_msg("%zu: told %u times: %s", i, f->n, f->raw);
		if (!told)
			continue;
		if (f->classes != cases[i].classes ||
		    (cases[i].result == 1 ? f->result < 0 : f->result != cases[i].result))
			fail_msg("%zu: %s: classes %x, result %d", i, f->raw, f->classes, (int)f->result);
		assert_true(f->call && (!cases[i].call || streq(f->call->name, cases[i].call)));
		assert_int_equal(f->flags, cases[i].flags);
		assert_int_equal(f->mode, cases[i].mode);
		assert_int_equal(f->cut, cases[i].act == act_bad_fd);
		for (size_t k = 0; k < ARRAY_SIZE(wants); k++) {
			if (!wants[k])
				continue;
			snprintf(want, sizeof(want), "%s%s", *wants[k] == '%' ? f->dir : "",
				 wants[k] + (*wants[k] == '%'));
			if (!streq(want, got[k]))
				fail_msg("%zu: %s, not %s", i, got[k], want);
		}
		assert_int_equal(f->created, cases[i].act == act_program);
	}
	assert_int_equal(bpf_opens_lost(f->b), 0);
}

/* As its process sees it. */
static void test_root(void **state)
{
	struct fixture *f = *state;
	char sub[128];

	if (!f->b)
		skip();
	snprintf(sub, sizeof(sub), "%s/sub", f->dir);
	unlink("called");
	child(f, act_root);
	assert_int_equal(f->n, 1);
	assert_string_equal(f->written, "/called");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_root),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
