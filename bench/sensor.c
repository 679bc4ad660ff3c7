/*
 * bench/sensor: what the BPF programs cost those that are watched, as ratios of the same work without them, in rounds
 * that take turns: a loop of getppid, connections over loopback, starts of a program. And what policies of the network
 * cost.
 *
 *     bench/sensor [ROUNDS]
 *
 * Or how many calls a second are read by one thread, each told, while a process makes them, and what happens beyond:
 *
 *     bench/sensor rate [SECONDS]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "watch/bpf_calls.h"
#include "watch/bpf_policy.h"
#include "watch/connector.h"
#include "watch/policy_world.h"

#define ROUNDS_MAX 101

extern char **environ;

static void do_getppid(void)
{
	for (int i = 0; i < 200000; i++)
		syscall(SYS_getppid);
}

static void do_connect(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (struct sockaddr *)&a, len) || listen(listener, 16) ||
	    getsockname(listener, (struct sockaddr *)&a, &len))
		exit(1);
	for (int i = 0; i < 500; i++) {
		struct linger now = { 1, 0 };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

		if (connect(fd, (struct sockaddr *)&a, len))
			exit(1);
		peer = accept(listener, NULL, NULL);
		/* No port is left waiting. */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		close(peer);
	}
	close(listener);
}

static void do_spawn(void)
{
	char *argv[] = { (char *)"true", NULL };

	for (int i = 0; i < 100; i++) {
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) || waitpid(pid, NULL, 0) != pid)
			exit(1);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
	unsigned int count;
} works[] = { { "getppid", do_getppid, 200000 }, { "connect", do_connect, 500 }, { "posix_spawn", do_spawn, 100 } };

/* --- what is loaded meanwhile */

static struct proc_table *table;
static struct connector *connector;
static struct bpf_calls *calls;
static struct bpf_policy *policy;

static void load_nothing(void)
{
}

static void load_procs(enum connector_source source)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (proc_table_new("/proc", 32768, &table) < 0 ||
	    connector_start(&(struct connector_options){ .procs = table, .source = source }, &connector, &err) < 0) {
		fprintf(stderr, "%s\n", err.data ? err.data : "no sensor");
		exit(77);
	}
}

static void load_netlink(void)
{
	load_procs(CONNECTOR_NETLINK);
}

static void load_bpf(void)
{
	load_procs(CONNECTOR_BPF);
}

static void load_wanted(bool sockets)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct bpf_calls_wants wants = { .calls = calloc(call_count, sizeof(bool)) };

	for (size_t i = 0; i < call_count; i++)
		wants.calls[i] = call_has_socket(&call_table[i]) == sockets;
	if (bpf_calls_open(&wants, 0, &calls, &err) < 0) {
		fprintf(stderr, "%s\n", err.data);
		exit(77);
	}
	free(wants.calls);
}

/* All that are about no socket, of which the work does none. */
static void load_calls(void)
{
	load_wanted(false);
}

static void load_sockets(void)
{
	load_wanted(true);
}

/* Policies that ask about all there is; none is against loopback, but each is looked at for it. */
static void load_policy(void)
{
	static const char text[] =
		"network: {protect: [], policies: [{image: 'docker.io/*', deny: any}, {user: 64123, deny: any},"
		"{program: /bin/true, deny: any}, {allow: ['*.example.org', '127.0.0.0/8'], deny: "
		"'192.0.2.0/24:80-90'}]}";
	_cleanup_(policy_table_free_p) struct policy_table *t = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_conf_ struct conf *conf = NULL;
	static struct policy_world world;

	if (conf_parse("bench", text, strlen(text), &conf, &err) < 0 || bpf_policy_open(&policy, &err) < 0) {
		fprintf(stderr, "%s\n", err.data);
		exit(77);
	}
	policy_world_read(conf, "/", &world);
	if (policy_table_new(conf, &world, 1, &t) < 0 || bpf_policy_fill(policy, t, true) < 0)
		exit(1);
	bpf_policy_switch(policy, t);
}

static void unload(void)
{
	bpf_policy_close(policy);
	policy = NULL;
	connector_stop(connector);
	connector = NULL;
	proc_table_free(table);
	table = NULL;
	bpf_calls_close(calls);
	calls = NULL;
}

static const struct {
	const char *name;
	void (*load)(void);
} loads[] = { { "nothing", load_nothing },	    { "proc connector", load_netlink },
	      { "BPF, processes", load_bpf },	    { "BPF, system calls", load_calls },
	      { "BPF, connections", load_sockets }, { "network policies", load_policy } };

/* --- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* --- how many */

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

static void on_call(const struct bpf_call_event *e, void *data)
{
	*(uint64_t *)data += e->count;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void one_rate(struct flood *f, uint64_t rate, uint64_t ns)
{
	uint64_t told = 0, gone = 0, lost[BPF_CALL_PROGRAMS], cpu = cpu_ns();
	struct pollfd p = { .fd = bpf_calls_fd(calls), .events = POLLIN };
	pid_t pid = fork();

	if (pid == 0)
		make_calls(f, rate, ns);
	while (!f->done) {
		poll(&p, 1, 10);
		while (bpf_calls_take(calls, 1024, on_call, &told) == 1024)
			;
	}
	waitpid(pid, NULL, 0);
	while (bpf_calls_take(calls, 1024, on_call, &told) > 0)
		;
	cpu = cpu_ns() - cpu;
	bpf_calls_lost(calls, lost);
	for (size_t i = 0; i < BPF_CALL_PROGRAMS; i++)
		gone += lost[i];
	printf("made %8.0f/s  told %8.0f/s  lost %5.1f %%  counted as lost %s  reader %3.0f %% of a core\n",
	       (double)f->made * NSEC_PER_SEC / ns, (double)told * NSEC_PER_SEC / ns,
	       f->made ? 100.0 * (f->made - told) / f->made : 0, told + gone == f->made ? "all" : "NOT ALL",
	       100.0 * cpu / ns);
}

static int rates(unsigned int seconds)
{
	static const uint64_t each[] = { 50000, 100000, 200000, 400000, 0 };
	struct bpf_calls_wants wants = { .calls = calloc(call_count, sizeof(bool)) };
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct flood *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (f == MAP_FAILED || !wants.calls)
		return 1;
	wants.calls[call_by_name("delete_module", strlen("delete_module")) - call_table] = true;
	for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
		f->made = 0;
		f->done = false;
		if (bpf_calls_open(&wants, 0, &calls, &err) < 0) {
			fprintf(stderr, "%s\n", err.data);
			return 77;
		}
		one_rate(f, each[i], seconds * NSEC_PER_SEC);
		bpf_calls_close(calls);
	}
	free(wants.calls);
	return 0;
}

int main(int argc, char **argv)
{
	static uint64_t spent[ARRAY_SIZE(loads)][ARRAY_SIZE(works)][ROUNDS_MAX];
	int rounds = MIN(argc > 1 ? atoi(argv[1]) : 11, ROUNDS_MAX);

	if (argc > 1 && streq(argv[1], "rate"))
		return rates(argc > 2 ? (unsigned int)atoi(argv[2]) : 3);

	for (int r = 0; r < rounds; r++) {
		for (size_t l = 0; l < ARRAY_SIZE(loads); l++) {
			loads[l].load();
			for (size_t w = 0; w < ARRAY_SIZE(works); w++) {
				uint64_t began = clock_mono_ns();

				works[w].run();
				spent[l][w][r] = clock_mono_ns() - began;
			}
			unload();
		}
	}
	for (size_t w = 0; w < ARRAY_SIZE(works); w++) {
		double floor = 0;

		for (size_t l = 0; l < ARRAY_SIZE(loads); l++) {
			uint64_t *all = spent[l][w];
			double ns;

			qsort(all, (size_t)rounds, sizeof(*all), compare);
			ns = (double)all[rounds / 2] / works[w].count;
			floor = l ? floor : ns;
			printf("%-12s %-18s %10.0f ns  %5.2f\n", works[w].name, loads[l].name, ns, ns / floor);
		}
	}
	return 0;
}
