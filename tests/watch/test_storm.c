/* watch/connector: storms of short programs, by both sources. */
#include "tests/watch/connector.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

/* --- a program that does nothing but exit, in one page: the shortest life there is */

#if defined(__x86_64__)
#define QUICK_MACHINE EM_X86_64
static const uint8_t quick_code[] = { 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05 };
#elif defined(__aarch64__)
#define QUICK_MACHINE EM_AARCH64
static const uint8_t quick_code[] = { 0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 1, 0, 0, 0xd4 };
#endif

static bool write_quick(const char *path)
{
#ifdef QUICK_MACHINE
	const uint64_t base = 0x400000, code_at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr p;
		uint8_t code[sizeof(quick_code)];
	} image = {
		.e = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		       .e_type = ET_EXEC,
		       .e_machine = QUICK_MACHINE,
		       .e_version = EV_CURRENT,
		       .e_entry = base + code_at,
		       .e_phoff = sizeof(Elf64_Ehdr),
		       .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 1 },
		.p = { .p_type = PT_LOAD,
		       .p_flags = PF_R | PF_X,
		       .p_vaddr = base,
		       .p_filesz = code_at + sizeof(quick_code),
		       .p_memsz = code_at + sizeof(quick_code),
		       .p_align = 4096 },
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	bool ok;

	memcpy(image.code, quick_code, sizeof(quick_code));
	ok = fd >= 0 && write(fd, &image, code_at + sizeof(quick_code)) == (ssize_t)(code_at + sizeof(quick_code));
	close(fd);
	return ok;
#else
	(void)path;
	return false;
#endif
}

struct exec_watch {
	struct fixture *f;
	int fan, stop[2];
	pthread_t thread;
};

static void exec_watch_read(struct exec_watch *w)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n = read(w->fan, buf, sizeof(buf));
	struct fanotify_event_metadata *ev = (void *)buf;

	for (; n > 0 && FAN_EVENT_OK(ev, n); ev = FAN_EVENT_NEXT(ev, n)) {
		char link[64], path[4096];
		ssize_t len;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", ev->fd);
		len = readlink(link, path, sizeof(path) - 1);
		close(ev->fd);
		if (len <= 0)
			continue;
		path[len] = '\0';
		proc_table_opened_exec(w->f->t, ev->pid, path);
	}
}

static void *exec_watch_thread(void *data)
{
	struct exec_watch *w = data;
	struct pollfd fds[] = { { .fd = w->fan, .events = POLLIN }, { .fd = w->stop[0], .events = POLLIN } };

	for (;;) {
		poll(fds, 2, -1);
		if (fds[0].revents)
			exec_watch_read(w);
		else if (fds[1].revents)
			return NULL;
	}
}

static bool exec_watch_start(struct exec_watch *w, struct fixture *f, const char *dir)
{
	*w = (struct exec_watch){ .f = f };
	w->fan =
		fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE, O_RDONLY | O_CLOEXEC);
	if (w->fan < 0)
		return false;
	if (fanotify_mark(w->fan, FAN_MARK_ADD, FAN_OPEN_EXEC | FAN_EVENT_ON_CHILD, AT_FDCWD, dir) < 0 ||
	    pipe2(w->stop, O_CLOEXEC) < 0) {
		close(w->fan);
		return false;
	}
	assert_int_equal(pthread_create(&w->thread, NULL, exec_watch_thread, w), 0);
	return true;
}

static void exec_watch_stop(struct exec_watch *w)
{
	assert_int_equal(write(w->stop[1], "", 1), 1);
	pthread_join(w->thread, NULL);
	close(w->stop[0]);
	close(w->stop[1]);
	close(w->fan);
}

#if SANITIZED
enum { STORM = 400 }; /* each fork copies the shadow too */
#else
enum { STORM = 2000 };
#endif

static uid_t storm_uid(int i)
{
	return (uid_t)(20000 + i % 97);
}

static pid_t storm_one(const char *program, int i)
{
	char *argv[] = { (char *)"quick", (char *)"argument", NULL };
	pid_t pid = fork();

	if (pid)
		return pid;
	if (setresgid(30000, 30000, 30000) || setresuid(storm_uid(i), storm_uid(i), storm_uid(i)))
		_exit(2);
	execve(program, argv, environ);
	_exit(3);
}

struct storm_shared {
	pid_t pids[STORM];
	int failed; /* -1 fork, else wait status */
};

/* Four at a time, in a process of its own: a fork of ours would stop the connector's thread, which shares our memory.
 */
static void storm_run(const char *program, struct storm_shared *shared)
{
	for (int i = 0; i < STORM + 4; i++) {
		int status;

		if (i >= 4 && (waitpid(shared->pids[i - 4], &status, 0) != shared->pids[i - 4] || status))
			shared->failed = shared->pids[i - 4] < 0 ? -1 : status;
		if (i < STORM)
			shared->pids[i] = storm_one(program, i);
	}
}

struct storm_result {
	int exe, cmdline, comm;
};

static void storm_check(struct fixture *f, const char *program, pid_t runner, const pid_t *pids,
			struct storm_result *ret)
{
	_cleanup_process_ struct process *self = proc_table_get(f->t, getpid(), false);

	for (int i = 0; i < STORM; i++) {
		_cleanup_process_ struct process *p = proc_table_get(f->t, pids[i], true);

		assert_non_null(p);
		assert_int_equal(p->ppid, runner);
		assert_non_null(p->parent);
		assert_int_equal(p->parent->pid, runner);
		assert_string_equal(p->parent->exe, f->self);
		assert_int_equal(p->parent->parent->pid, getpid());
		assert_int_equal(p->depth, self->depth + 2);
		assert_true(p->known & PROCESS_IDS);
		assert_int_equal(p->uid, storm_uid(i));
		assert_int_equal(p->euid, storm_uid(i));
		assert_int_equal(p->gid, 30000);
		assert_int_equal(p->known & (PROCESS_LOGINUID | PROCESS_NO_LOGINUID),
				 self->known & (PROCESS_LOGINUID | PROCESS_NO_LOGINUID));
		assert_int_equal(p->loginuid, self->loginuid);
		assert_string_equal(p->cgroup, self->cgroup);
		assert_int_equal(p->exec_count, 1);
		if (p->known & PROCESS_EXE) {
			assert_string_equal(p->exe, program);
			ret->exe++;
		}
		if (p->known & PROCESS_CMDLINE) {
			assert_int_equal(p->cmdline_len, sizeof("quick\0argument"));
			assert_memory_equal(p->cmdline, "quick\0argument", p->cmdline_len);
			ret->cmdline++;
		}
		ret->comm += !!(p->known & PROCESS_COMM);
	}
}

/* fanotify: the folder whose starts are told to the table too, or NULL. */
static void storm(struct fixture *f, const char *program, const char *fanotify)
{
	struct storm_shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct storm_result res = { 0 };
	struct exec_watch watch;
	char real[4096] = "";
	uint64_t began;
	pid_t runner;

	assert_ptr_not_equal(shared, MAP_FAILED);
	assert_non_null(realpath(program, real));
	if (fanotify && !exec_watch_start(&watch, f, fanotify)) {
		print_message("skipped: fanotify: %s\n", strerror(errno));
		return;
	}
	began = clock_mono_ns();
	runner = fork();
	if (runner == 0) {
		storm_run(real, shared);
		_exit(0);
	}
	assert_int_equal(waitpid(runner, NULL, 0), runner);
	began = clock_mono_ns() - began;
	assert_int_equal(shared->failed, 0);
	if (fanotify)
		exec_watch_stop(&watch);
	sync_now(f);
	storm_check(f, real, runner, shared->pids, &res);
	print_message("%d x %s in %lu ms: exe %d, argv %d, comm %d%s\n", STORM, real,
		      (unsigned long)(began / NSEC_PER_MSEC), res.exe, res.cmdline, res.comm,
		      fanotify ? " (with file events)" : "");
	if (connector_source(f->c) == CONNECTOR_BPF)
		assert_int_equal(MIN(res.cmdline, res.comm), STORM);
	if (connector_source(f->c) == CONNECTOR_BPF)
		assert_int_equal(res.exe, STORM);
	/* Two queues that meet: on a machine that is late with one of them by more than the table remembers, some are
	 * missed. */
	else if (fanotify)
		assert_in_range(res.exe, STORM * 9 / 10, STORM);
	munmap(shared, sizeof(*shared));
}

static void test_storm(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/holdfast-storm-XXXXXX", quick[96];
	struct connector_stats stats;

	NEED_CONNECTOR(f);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	snprintf(quick, sizeof(quick), "%s/quick", dir);
	storm(f, "/bin/true", NULL);
	if (write_quick(quick)) {
		storm(f, quick, NULL);
		storm(f, quick, dir);
		unlink(quick);
	}
	rmdir(dir);
	connector_get_stats(f->c, &stats);
	if (atomic_load(&f->lost_calls))
		fail_msg("%lu lost, of the ring %lu forks, %lu execs, %lu ends", (unsigned long)stats.lost,
			 (unsigned long)stats.lost_kinds[BPF_RECORD_FORK],
			 (unsigned long)stats.lost_kinds[BPF_RECORD_EXEC],
			 (unsigned long)stats.lost_kinds[BPF_RECORD_EXIT]);
}

int main(void)
{
	static enum connector_source netlink = CONNECTOR_NETLINK, bpf = CONNECTOR_BPF;
	const struct CMUnitTest tests[] = { TEST(test_storm, &netlink), TEST(test_storm, &bpf) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
