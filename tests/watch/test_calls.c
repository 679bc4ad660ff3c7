/* watch/bpf_calls on the running kernel: what is told of a call, what is not, what is lost; and the decoding. */
#include "tests/watch/loaded.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "watch/bpf_calls.h"

#define DEADLINE_NS (60 * NSEC_PER_SEC)

struct fixture {
	struct bpf_exits exits;
	struct bpf_calls *b;
	struct bpf_calls_wants wants;
	int32_t pid; /* whose calls are looked for */
	unsigned int n;
	const struct call_info *info;
	int64_t result;
	char args[CALL_ARGS][PATH_MAX];
	char file[PATH_MAX];
	bool end; /* the call that says that all before it have been told */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	f->wants.calls = calloc(call_count, sizeof(bool));
	for (size_t i = 0; i < call_count; i++)
		f->wants.calls[i] = !call_has_socket(&call_table[i]);
	are_loaded(bpf_calls_open(&f->exits, &f->wants, 0, &f->b, &err), &err);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bpf_calls_close(f->b);
	free(f->wants.calls);
	free(f);
	return 0;
}

#define NEED_CALLS(f)                                                                                                  \
	do {                                                                                                           \
		if (!(f)->b)                                                                                           \
			skip();                                                                                        \
	} while (0)

static uint64_t lost(const struct bpf_calls *b)
{
	uint64_t by[BPF_CALL_PROGRAMS];

	bpf_calls_lost(b, by);
	assert_int_equal(by[BPF_PROGRAM_SOCKETS], 0);
	return by[BPF_PROGRAM_CALLS];
}

static void on_call(const struct bpf_call_event *e, void *data)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct fixture *f = data;
	const struct event_call *c;

	if (e->tgid != f->pid)
		return;
	if (streq(e->info->name, "delete_module")) {
		f->end = true;
		return;
	}
	c = call_new(&a, e->info, e->args, e->texts, e->result);
	assert_non_null(c);
	f->n++;
	f->info = e->info;
	f->result = e->result;
	snprintf(f->file, sizeof(f->file), "%s", e->file ?: "(none)");
	memset(f->args, 0, sizeof(f->args));
	for (size_t i = 0; i < CALL_ARGS; i++)
		snprintf(f->args[i], sizeof(f->args[i]), "%s", c->args[i] ? c->args[i] : "(none)");
}

/* A child makes the call, and then one that cannot be mistaken. */
static void child(struct fixture *f, void (*act)(void))
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;
	int status;

	f->n = 0;
	f->end = false;
	f->pid = fork();
	if (f->pid == 0) {
		act();
		syscall(SYS_delete_module, "holdfast-no-such-module", O_NONBLOCK);
		_exit(0);
	}
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	while (!f->end) {
		struct pollfd p = { .fd = bpf_calls_fd(f->b), .events = POLLIN };

		poll(&p, 1, 100);
		assert_true(bpf_calls_take(f->b, 100, on_call, f) >= 0);
		assert_true(clock_mono_ns() < deadline);
	}
}

static void act_ptrace(void)
{
	ptrace(PTRACE_ATTACH, -1, NULL, NULL);
}

static void act_unshare(void)
{
	unshare(CLONE_NEWUTS | CLONE_FS);
}

static void act_setns(void)
{
	setns(-1, CLONE_NEWNET);
}

static void act_mount(void)
{
	mount("a\xff source", "/nonexistent/place", "tmpfs", MS_NOSUID, NULL);
}

static void act_memfd(void)
{
	syscall(SYS_memfd_create, "a name", MFD_CLOEXEC);
}

static void act_setuid(void)
{
	if (setuid(0))
		_exit(1);
}

static void act_packet(void)
{
	socket(AF_PACKET, SOCK_RAW, 0);
}

static void act_bad_pointer(void)
{
	syscall(SYS_memfd_create, (void *)8, 0);
}

static void act_chmod(void)
{
	if (chdir("/tmp"))
		_exit(1);
	syscall(SYS_fchmodat, AT_FDCWD, "../nonexistent/place", 04711);
}

/* --- what is done to a file behind a descriptor */

static char folder[] = "/tmp/holdfast.XXXXXX";
static char file_path[64];

static int open_file(void)
{
	return open(file_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void act_fchmod(void)
{
	fchmod(open_file(), 0100);
}

static void act_setflags(void)
{
	int fd = open_file(), flags = FS_NODUMP_FL, n;

	/* Any other is not told. */
	ioctl(fd, FIONREAD, &n);
	ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static void act_fssetxattr(void)
{
	struct fsxattr x = { .fsx_xflags = FS_XFLAG_IMMUTABLE };

	/* The file system would do it. */
	ioctl(open("/proc/self", O_RDONLY | O_CLOEXEC), FS_IOC_FSSETXATTR, &x);
}

static void act_unlinked(void)
{
	int fd = open_file();

	unlink(file_path);
	fchmod(fd, 0200);
}

static void test_files(void **state)
{
	static const struct {
		void (*act)(void);
		const char *name, *args[2];
		bool path;
	} cases[] = {
		{ act_fchmod, "fchmod", { "S_IXUSR", "(none)" }, true },
		{ act_setflags, "ioctl", { "FS_IOC_SETFLAGS", "FS_NODUMP_FL" }, true },
		{ act_fssetxattr, "ioctl", { "FS_IOC_FSSETXATTR", "FS_IMMUTABLE_FL" }, false },
		{ act_unlinked, "fchmod", { "S_IWUSR", "(none)" }, false },
	};
	struct fixture *f = *state;

	NEED_CALLS(f);
	assert_non_null(mkdtemp(folder));
	snprintf(file_path, sizeof(file_path), "%s/a file", folder);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		child(f, cases[i].act);
		assert_int_equal(f->n, 1);
		assert_string_equal(f->info->name, cases[i].name);
		assert_string_equal(f->args[1], cases[i].args[0]);
		assert_string_equal(f->args[2], cases[i].args[1]);
		if (cases[i].path)
			assert_string_equal(f->file, file_path);
		else
			assert_string_not_equal(f->file, file_path);
	}
	assert_string_equal(f->file, "(none)");
	unlink(file_path);
	rmdir(folder);
}

/* --- */

static void test_calls(void **state)
{
	static const struct {
		void (*act)(void);
		const char *name;
		int64_t result; /* 1: any that is not negative */
		const char *args[2];
	} cases[] = {
		{ act_ptrace, "ptrace", -ESRCH, { "PTRACE_ATTACH", "-1" } },
		{ act_unshare, "unshare", 0, { "CLONE_NEWUTS|CLONE_FS", "(none)" } },
		{ act_setns, "setns", -EBADF, { "-1", "CLONE_NEWNET" } },
		{ act_mount, "mount", -ENOENT, { "a\xff source", "/nonexistent/place" } },
		{ act_memfd, "memfd_create", 1, { "a name", "0x1" } },
		{ act_setuid, "setuid", 0, { "root", "(none)" } },
		{ act_packet, "socket", 1, { "AF_PACKET", "3" } },
		{ act_chmod, "fchmodat", -ENOENT, { "-100", "/nonexistent/place" } },
		{ act_bad_pointer, "memfd_create", -EFAULT, { "(none)", "0x0" } },
	};
	struct fixture *f = *state;

	NEED_CALLS(f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		child(f, cases[i].act);
		assert_int_equal(f->n, 1);
		assert_string_equal(f->info->name, cases[i].name);
		if (cases[i].result == 1)
			assert_true(f->result >= 0);
		else
			assert_int_equal(f->result, cases[i].result);
		assert_string_equal(f->args[0], cases[i].args[0]);
		assert_string_equal(f->args[1], cases[i].args[1]);
	}
	assert_int_equal(lost(f->b), 0);
}

static const struct call_info *next;

static void act_next(void)
{
	syscall(next->number, -1L, -1L, -1L, -1L, -1L, -1L);
}

/* One that is told whatever its arguments, as far as the program knows of them when they are all -1. */
static bool is_told_always(const struct call_info *c)
{
	return c->number >= 0 && (c->filter == CALL_ALL || c->filter == CALL_PATHS || c->filter == CALL_CODE ||
				  c->filter == CALL_CODE_NEW);
}

/* Each call of the table, with arguments that it cannot do anything with. */
static void test_every(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	for (size_t i = 0; i < call_count; i++) {
		if (!is_told_always(&call_table[i]) || streq(call_table[i].name, "delete_module"))
			continue;
		next = &call_table[i];
		child(f, act_next);
		assert_int_equal(f->n, 1);
		assert_ptr_equal(f->info, next);
		assert_string_equal(f->file, "(none)");
	}
	assert_int_equal(lost(f->b), 0);
}

/* --- files by their paths */

static void act_symlink(void)
{
	if (chdir(folder))
		_exit(1);
	syscall(SYS_symlinkat, "../etc", AT_FDCWD, "link");
}

static void act_link(void)
{
	int etc = open("/etc", O_PATH | O_CLOEXEC), to = open(folder, O_PATH | O_CLOEXEC);

	syscall(SYS_linkat, etc, "pam.d/../no such file", to, "sub/./link", 0);
}

/* Longer than other strings may be. */
static void act_long(void)
{
	char path[PATH_MAX] = "/etc";

	while (strlen(path) < 3000)
		strcat(path, "/./pam.d/..");
	strcat(path, "/no such file");
	syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, "/tmp/x", 0);
}

static void act_chroot(void)
{
	if (chroot(folder) || chdir("/sub"))
		_exit(1);
	syscall(SYS_fchmodat, AT_FDCWD, "none", 0755);
}

static void act_bad_folder(void)
{
	syscall(SYS_fchmodat, 999, "none", 0755);
}

static void test_paths(void **state)
{
	static const struct {
		void (*act)(void);
		unsigned int n;
		const char *name;
		int64_t result;
		const char *args[4], *file; /* what begins with a % is in the folder */
	} cases[] = {
		{ act_symlink, 1, "symlinkat", 0, { "../etc", "-100", "%/link" }, "(none)" },
		{ act_link, 1, "linkat", -ENOENT, { NULL, "/etc/no such file", NULL, "%/sub/link" }, "(none)" },
		{ act_long, 1, "linkat", -ENOENT, { "-100", "/etc/no such file", "-100", "/tmp/x" }, "(none)" },
		{ act_chroot,
		  2,
		  "fchmodat",
		  -ENOENT,
		  { "-100", "/sub/none", "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR" },
		  "/sub/none" },
		{ act_bad_folder, 1, "fchmodat", -EBADF, { "999", "none", NULL }, "(none)" },
	};
	struct fixture *f = *state;
	char sub[64], want[PATH_MAX];

	NEED_CALLS(f);
	strcpy(folder, "/tmp/holdfast.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(sub, sizeof(sub), "%s/sub", folder);
	assert_int_equal(mkdir(sub, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		child(f, cases[i].act);
		assert_int_equal(f->n, cases[i].n);
		assert_string_equal(f->info->name, cases[i].name);
		assert_int_equal(f->result, cases[i].result);
		assert_string_equal(f->file, cases[i].file);
		for (size_t k = 0; k < 4; k++) {
			const char *arg = cases[i].args[k];

			if (!arg)
				continue;
			snprintf(want, sizeof(want), "%s%s", *arg == '%' ? folder : "", arg + (*arg == '%'));
			assert_string_equal(f->args[k], want);
		}
	}
	assert_int_equal(lost(f->b), 0);
	snprintf(want, sizeof(want), "%s/link", folder);
	unlink(want);
	rmdir(sub);
	rmdir(folder);
}

#if defined(__x86_64__)
/* A call as 32-bit programs make it, which this one can too. */
static long call_32(long number, long a, long b)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(number), "b"(a), "c"(b), "d"(0)
			 : "r8", "r9", "r10", "r11", "memory");
	return r;
}

static void act_compat(void)
{
	_exit(call_32(310, CLONE_NEWUTS | CLONE_FS, 0) == 0 ? 0 : 1); /* unshare; nobody is told of the end */
}

/* setns(-1, CLONE_NEWNET), and the one that has that number in the other table: fchown. */
static void act_compat_calls(void)
{
	call_32(346, -1, CLONE_NEWNET);
	syscall(346, -1, 0, 0);
}

static void test_compat(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	NEED_CALLS(f);
	pid = fork();
	if (pid == 0)
		act_compat();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status) {
		print_message("skipped: the kernel takes no calls of 32-bit programs\n");
		skip();
	}
	child(f, act_compat_calls);
	assert_int_equal(f->n, 1);
	assert_string_equal(f->info->name, "setns");
	assert_int_equal(f->result, -EBADF);
	assert_string_equal(f->args[0], "-1");
	assert_string_equal(f->args[1], "CLONE_NEWNET");
}
#endif

static void act_many_others(void)
{
	/* A connection is not a raw socket; nobody asks for the rest. */
	close(socket(AF_UNIX, SOCK_STREAM, 0));
	close(socket(AF_INET, SOCK_DGRAM, 0));
	for (int i = 0; i < 1000; i++)
		getppid();
	close(open("/etc/passwd", O_RDONLY));
}

static void test_filter(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	child(f, act_many_others);
	assert_int_equal(f->n, 0);
	/* Not wanted any more, and wanted again. */
	for (size_t i = 0; i < call_count; i++)
		f->wants.calls[i] = streq(call_table[i].name, "delete_module");
	bpf_calls_want(f->b, &f->wants);
	child(f, act_memfd);
	assert_int_equal(f->n, 0);
	for (size_t i = 0; i < call_count; i++)
		f->wants.calls[i] = !call_has_socket(&call_table[i]);
	bpf_calls_want(f->b, &f->wants);
	child(f, act_memfd);
	assert_int_equal(f->n, 1);
	/* Nor are our own. */
	f->pid = getpid();
	f->n = 0;
	act_setns();
	while (bpf_calls_take(f->b, 100, on_call, f) > 0)
		;
	assert_int_equal(f->n, 0);
}

static void act_flood(void)
{
	for (int i = 0; i < 1000; i++)
		act_setns();
}

static void test_loss(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct bpf_exits exits = { .skeleton = NULL };
	struct bpf_calls *b;

	NEED_CALLS(f);
	assert_int_equal(bpf_calls_open(&exits, &f->wants, 1, &b, &err), 0);
	/* Nobody reads the small one; the other has room for all. */
	child(f, act_flood);
	assert_int_equal(f->n, 1000);
	assert_int_equal(lost(f->b), 0);
	assert_true(lost(b) > 900);
	bpf_calls_close(b);
}

static void test_decode(void **state)
{
	struct {
		struct bpf_call c;
		char data[12];
	} r = { .c = { .head = { .id = 1, .tgid = 5 }, .text_len = { 5, 0 } }, .data = "name" };
	const struct call_info *fchmod = call_by_name("fchmod", 6), *text = call_by_name("delete_module", 13);
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct bpf_call_event e;
	size_t size = sizeof(r.c) + 5;

	(void)state;
	assert_int_equal(bpf_decode_call(&r, size, &a, &e), 0);
	assert_ptr_equal(e.info, &call_table[0]);
	assert_int_equal(e.count, 1);
	assert_int_equal(bpf_decode_call(&r, size - 1, &a, &e), -EBADMSG);
	r.c.head.id = (uint32_t)(text - call_table) + 1;
	assert_int_equal(bpf_decode_call(&r, size, &a, &e), 0);
	assert_string_equal(e.texts[0], "name");
	assert_null(e.texts[1]);
	assert_null(e.file);
	/* A string without its end. */
	r.c.text_len[0] = 4;
	assert_int_equal(bpf_decode_call(&r, size, &a, &e), -EBADMSG);
	/* The file behind a descriptor, and one whose path is not known. */
	r.c.head.id = (uint32_t)(fchmod - call_table) + 1;
	r.c.text_len[0] = 0;
	assert_int_equal(bpf_decode_call(&r, size, &a, &e), 0);
	assert_null(e.file);
	memcpy(r.data, "file\0folder", 12);
	r.c.base_len[0] = 12;
	assert_int_equal(bpf_decode_call(&r, sizeof(r.c) + 12, &a, &e), 0);
	assert_string_equal(e.file, "/folder/file");
	assert_null(e.texts[0]);
	r.c.base_len[0] = 0;
	r.c.head.tgid = 0;
	assert_int_equal(bpf_decode_call(&r, size, &a, &e), -EBADMSG);
	r.c.head.tgid = 5;
	r.c.head.id = 0;
	assert_int_equal(bpf_decode_call(&r, size, &a, &e), -EBADMSG);
	r.c.head.id = (uint32_t)call_count + 1;
	assert_int_equal(bpf_decode_call(&r, size, &a, &e), -EBADMSG);
}

/* Paths in a record: a relative one goes on from its folder, by what is written alone. */
static void test_decode_paths(void **state)
{
	static const struct {
		const char *text, *base;
		size_t base_len;
		const char *path;
	} cases[] = {
		{ "/a//b/./c/../d/", "", 0, "/a/b/d" },
		{ "/../..", "", 0, "/" },
		{ "x", "", 0, "/x" },
		{ "../shadow", "sub\0etc", 8, "/etc/shadow" },
		{ "../../../../..", "sub\0etc", 8, "/" },
		{ "..x/.y/...", "a", 2, "/a/..x/.y/..." },
		{ "", "a", 2, "" },
		{ "x", "a", 1, NULL },
	};
	const struct call_info *info = call_by_name("linkat", 6);
	struct {
		struct bpf_call c;
		char data[64];
	} r;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct bpf_call_event e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].text) + 1, size = sizeof(r.c) + len + cases[i].base_len;

		memset(&r, 0, sizeof(r));
		r.c.head.id = (uint32_t)(info - call_table) + 1;
		r.c.head.tgid = 5;
		r.c.text_len[0] = (uint32_t)len;
		r.c.base_len[0] = (uint32_t)cases[i].base_len;
		memcpy(r.data, cases[i].text, len);
		memcpy(r.data + len, cases[i].base, cases[i].base_len);
		assert_int_equal(bpf_decode_call(&r, size, &a, &e), cases[i].path ? 0 : -EBADMSG);
		assert_int_equal(bpf_decode_call(&r, size - 1, &a, &(struct bpf_call_event){ 0 }), -EBADMSG);
		if (!cases[i].path)
			continue;
		assert_string_equal(e.texts[0], cases[i].path);
		assert_null(e.texts[1]);
		assert_null(e.file);
		r.c.cut[0] = 1;
		assert_int_equal(bpf_decode_call(&r, size, &a, &e), 0);
		assert_string_equal(e.texts[0], cases[i].text);
		assert_true(e.cut);
	}
	r.c.text_len[1] = UINT32_MAX;
	assert_int_equal(bpf_decode_call(&r, sizeof(r), &a, &e), -EBADMSG);
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < call_count; i++) {
		const struct call_info *c = &call_table[i];
		size_t texts = 0;

		assert_ptr_equal(call_by_name(c->name, strlen(c->name)), c);
		assert_true((c->number >= 0 && c->number < CALL_NUMBER_MAX) || c->filter >= CALL_END);
		for (size_t k = 0; k < CALL_ARGS; k++) {
			texts += call_arg_is_text(c->args[k].type);
			/* The program reads strings of the first four. */
			assert_true(!call_arg_is_text(c->args[k].type) || k < 4);
		}
		assert_true(texts <= CALL_TEXTS);
	}
	assert_null(call_by_name("read", 4));
	assert_null(call_by_name("ptrac", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_decode_paths),
		cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
#if defined(__x86_64__)
		cmocka_unit_test_setup_teardown(test_compat, setup, teardown),
#endif
		cmocka_unit_test_setup_teardown(test_filter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loss, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
