/* proc/sockets on the running kernel: connections and servers that were there before, of other network namespaces too.
 */
#include "tests/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/util.h"
#include "proc/sockets.h"

#define FOUND_MAX 65536

struct found {
	int32_t pid;
	struct event_socket socket;
};

struct fixture {
	struct found *found;
	size_t n;
	struct sockets_found sums;
	size_t max; /* of sockets that are kept */
	atomic_bool stop;
	int result;
};

static void on_socket(int32_t pid, const struct event_socket *s, void *data)
{
	struct fixture *f = data;

	if (f->n < FOUND_MAX)
		f->found[f->n++] = (struct found){ pid, *s };
}

static void *look(void *data)
{
	struct fixture *f = data;

	f->result = sockets_each("/proc", f->max, &f->stop, on_socket, f, &f->sums);
	return NULL;
}

static void find_all(struct fixture *f)
{
	pthread_t thread;

	f->found = calloc(FOUND_MAX, sizeof(*f->found));
	assert_int_equal(pthread_create(&thread, NULL, look, f), 0);
	pthread_join(thread, NULL);
}

static const struct event_socket *of_pid(const struct fixture *f, int32_t pid, uint16_t local_port)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->found[i].pid == pid && f->found[i].socket.local_port == local_port)
			return &f->found[i].socket;
	return NULL;
}

static uint16_t listen_at(int fd, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);

	if (bind(fd, (struct sockaddr *)&a, len) || listen(fd, 4) || getsockname(fd, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(a.sin_port);
}

static void test_connection(void **state)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint16_t port = listen_at(server, 0);
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	struct fixture f = { 0 };
	const struct event_socket *s;

	(void)state;
	assert_true(port != 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&a, &len), 0);
	find_all(&f);
	assert_int_equal(f.result, 0);
	s = of_pid(&f, getpid(), port);
	assert_non_null(s);
	assert_int_equal(s->op, SOCKET_FOUND);
	assert_false(s->has_remote);
	s = of_pid(&f, getpid(), ntohs(a.sin_port));
	assert_non_null(s);
	assert_true(s->has_remote && s->connected);
	assert_int_equal(s->remote_port, port);
	assert_string_equal(socket_l4(s), "tcp");
	free(f.found);
	close(client);
	close(server);
}

static void test_namespace(void **state)
{
	struct fixture f = { 0 };
	const struct event_socket *s;
	int ready[2], status;
	uint16_t port = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		/* UDP, bound; the same port is free in each namespace. */
		struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(5353) };
		int fd = unshare(CLONE_NEWNET) ? -1 : socket(AF_INET6, SOCK_DGRAM, 0);

		if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			port = 5353;
		if (write(ready[1], &port, sizeof(port)) != sizeof(port))
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &port, sizeof(port)), sizeof(port));
	if (port)
		find_all(&f);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(ready[0]);
	close(ready[1]);
	if (!port) {
		print_message("skipped: no network namespace of our own\n");
		skip();
	}
	s = of_pid(&f, pid, port);
	assert_non_null(s);
	assert_int_equal(s->family, AF_INET6);
	assert_string_equal(socket_l4(s), "udp");
	assert_true(f.sums.told >= 1);
	free(f.found);
}

#define MANY	 100000
#define MANY_BUT 70000 /* that are kept */

/* A process that holds n sockets, each bound, in the network namespace that it is in; says how many, and waits. */
static pid_t hold_sockets(uint32_t n, int ready)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct sockaddr_in a = { .sin_family = AF_INET };
		uint32_t made = 0;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (made < n) {
			int fd = socket(AF_INET, SOCK_DGRAM, 0);

			/* An address for every 20,000 ports. */
			a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)getpid() % 65536 * 16 + made / 20000);
			a.sin_port = htons((uint16_t)(10000 + made % 20000));
			if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
				break;
			made++;
		}
		if (write(ready, &made, sizeof(made)) != sizeof(made))
			_exit(1);
		pause();
		_exit(0);
	}
	return pid;
}

/* In a network namespace of its own: a hundred thousand sockets, in as many processes as that takes. */
static int hold_many(int ready, uint32_t each)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	uint32_t left = MANY, made, all = 0;
	int up[2], fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) || pipe(up))
		return 77;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &lo))
		return 77;
	for (; left; left -= MIN(each, left)) {
		if (hold_sockets(MIN(each, left), up[1]) < 0 || read(up[0], &made, sizeof(made)) != sizeof(made))
			return 1;
		all += made;
	}
	if (write(ready, &all, sizeof(all)) != sizeof(all))
		return 1;
	pause();
	return 0;
}

static void test_many(void **state)
{
	struct rlimit files = { 0 };
	int ready[2], status;
	struct fixture f = { .max = 0 }, less = { .max = MANY_BUT };
	struct rusage before, after;
	uint32_t all = 0;
	ssize_t n;
	pid_t pid;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		_exit(hold_many(ready[1], (uint32_t)MIN(files.rlim_cur, (rlim_t)MANY) - 16));
	close(ready[1]);
	n = read(ready[0], &all, sizeof(all));
	if (n == sizeof(all) && all == MANY) {
		getrusage(RUSAGE_SELF, &before);
		find_all(&f);
		getrusage(RUSAGE_SELF, &after);
		find_all(&less);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(ready[0]);
	if (n != sizeof(all) || all != MANY) {
		print_message("skipped: no room for so many sockets here (%u)\n", all);
		skip();
	}
	assert_int_equal(f.result, 0);
	assert_true(f.sums.told >= MANY);
	assert_int_equal(f.sums.missed, 0);
	/* What cannot be held is counted. */
	assert_int_equal(less.result, 0);
	/* Some may be those of nobody any more. */
	assert_true(less.sums.told <= MANY_BUT && less.sums.told > MANY_BUT - 10000);
	assert_true(less.sums.missed >= MANY - MANY_BUT);
#if !SANITIZED
	/* 64 bytes each, twice while the list grows; the rest is the test's own copy. */
	assert_true((size_t)(after.ru_maxrss - before.ru_maxrss) <
		    (3 * 131072 * 64 + FOUND_MAX * sizeof(*f.found)) / 1024);
#endif
	free(f.found);
	free(less.found);
}

static void test_stopped(void **state)
{
	struct fixture f = { .stop = true };

	(void)state;
	find_all(&f);
	assert_int_equal(f.result, 0);
	assert_int_equal(f.n, 0);
	free(f.found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_namespace),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
