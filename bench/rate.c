/*
 * bench/rate: how many calls a second are read by one thread, each told, while a process makes them, and what happens
 * beyond. With LOAD that many processes more that do nothing but run.
 *
 *     bench/rate [SECONDS [LOAD]]
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "watch/bpf_calls.h"

struct flood {
	_Atomic uint64_t made;
	_Atomic bool done;
};

/* A call that is told and does nothing. rate: a second; 0: as many as it can. */
static void make_calls(struct flood *f, uint64_t rate, uint64_t ns)
{
	uint64_t began = clock_mono_ns(), made = 0, now;

	while ((now = clock_mono_ns()) < began + ns) {
		uint64_t due = rate ? (now - began) * rate / NSEC_PER_SEC : made + 1000;

		for (; made < due; made++)
			syscall(SYS_delete_module, "none", 0);
	}
	f->made = made;
	f->done = true;
	_exit(0);
}

/* Others may make such calls, too. */
struct tally {
	pid_t pid;
	uint64_t told;
};

static void on_call(const struct bpf_call_event *e, void *data)
{
	struct tally *t = data;

	if (e->tgid == t->pid)
		t->told += e->count;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void one_rate(struct bpf_calls *calls, struct flood *f, uint64_t rate, uint64_t ns, unsigned long load)
{
	uint64_t gone = 0, lost[BPF_CALL_PROGRAMS], cpu = cpu_ns();
	struct pollfd p = { .fd = bpf_calls_fd(calls), .events = POLLIN };
	struct tally t = { .pid = fork() };

	if (t.pid == 0)
		make_calls(f, rate, ns);
	while (!f->done) {
		poll(&p, 1, 10);
		while (bpf_calls_take(calls, 1024, on_call, &t) == 1024)
			;
	}
	waitpid(t.pid, NULL, 0);
	while (bpf_calls_take(calls, 1024, on_call, &t) > 0)
		;
	cpu = cpu_ns() - cpu;
	bpf_calls_lost(calls, lost);
	for (size_t i = 0; i < BPF_CALL_PROGRAMS; i++)
		gone += lost[i];
	printf("asked %7ju  load %lu  made %8.0f/s  told %8.0f/s  lost %6.2f %%  counted %s  reader %3.0f %% of a "
	       "core\n",
	       (uintmax_t)rate, load, (double)f->made * NSEC_PER_SEC / (double)ns,
	       (double)t.told * NSEC_PER_SEC / (double)ns,
	       f->made ? 100.0 * (double)(f->made - t.told) / (double)f->made : 0,
	       t.told + gone == f->made ? "all" : "NOT ALL", 100.0 * (double)cpu / (double)ns);
}

static void make_load(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		if (fork() != 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (volatile unsigned int k = 0;; k++)
			;
	}
}

int main(int argc, char **argv)
{
	static const uint64_t each[] = { 50000, 100000, 200000, 400000, 0 };
	uint64_t seconds = argc > 1 ? strtoul(argv[1], NULL, 10) : 3;
	unsigned long load = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	struct bpf_calls_wants wants = { .calls = calloc(call_count, sizeof(bool)) };
	struct flood *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct bpf_exits exits = { .skeleton = NULL };
	struct bpf_calls *calls;

	if (f == MAP_FAILED || !wants.calls)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	wants.calls[call_by_name("delete_module", strlen("delete_module")) - call_table] = true;
	make_load(load);
	for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
		f->made = 0;
		f->done = false;
		if (bpf_calls_open(&exits, &wants, 0, &calls, &err) < 0) {
			fprintf(stderr, "%s\n", err.data);
			return 77;
		}
		one_rate(calls, f, each[i], seconds * NSEC_PER_SEC, load);
		bpf_calls_close(calls);
	}
	free(wants.calls);
	return 0;
}
