/* What the tests of the kernel's verdicts share: the programs, loaded, a table in force, children that are judged. */
#ifndef TESTS_WATCH_VERDICT_H
#define TESTS_WATCH_VERDICT_H

#include "tests/watch/loaded.h"
#include "tests/watch/policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "watch/bpf_policy.h"
#include "watch/policy_world.h"

#define DEADLINE_NS (60 * NSEC_PER_SEC)

struct fixture {
	struct bpf_policy *b;
	struct conf *conf;
	struct policy_table *t;
	uint32_t serial;
	uint64_t denied, events;
	struct bpf_policy_event last;
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	are_loaded(bpf_policy_open(&f->b, &err), &err);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	bpf_policy_close(f->b);
	policy_table_free(f->t);
	if (f->conf)
		conf_unref(f->conf);
	free(f);
	return 0;
}

#define NEED_POLICY(f)                                                                                                 \
	do {                                                                                                           \
		if (!(f)->b)                                                                                           \
			skip();                                                                                        \
	} while (0)

/* c: NULL, or a container that is known. */
static inline void put(struct fixture *f, const char *text, bool enforce, const struct container *c)
{
	struct policy_table *t;
	struct policy_world *w = calloc(1, sizeof(*w));
	struct conf *conf = parse(text);

	policy_world_read(conf, "/", w);
	assert_int_equal(policy_table_new(conf, w, ++f->serial, &t), 0);
	assert_int_equal(bpf_policy_fill(f->b, t, enforce), 0);
	if (c)
		assert_int_equal(bpf_policy_container(f->b, t, c), 0);
	bpf_policy_switch(f->b, t);
	policy_table_free(f->t);
	if (f->conf)
		conf_unref(f->conf);
	f->t = t;
	f->conf = conf;
	free(w);
}

static inline void on_event(const struct bpf_policy_event *e, void *data)
{
	struct fixture *f = data;

	f->denied += e->count;
	f->events++;
	f->last = *e;
}

/* Waits until n denials are told. */
static inline void told(struct fixture *f, uint64_t n)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;

	f->denied = f->events = 0;
	while (f->denied < n) {
		struct pollfd p = { .fd = bpf_policy_fd(f->b), .events = POLLIN };

		poll(&p, 1, 20);
		assert_true(bpf_policy_take(f->b, 1000, on_event, f) >= 0);
		bpf_policy_counted(f->b, on_event, f);
		assert_true(clock_mono_ns() < deadline);
	}
	assert_int_equal(f->denied, n);
}

/* What a child finds: 0, or the line of what was not so. */
static inline void child(int (*act)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		_exit(act() & 0xff);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("the child failed at line %d, modulo 256", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

#define NEED(x)                                                                                                        \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			return (__LINE__ & 0xff) ?: 1;                                                                 \
	} while (0)

/* 0 or errno. */
static inline int reach(const char *to, uint16_t port, int type)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} a = { .any.sa_family = strchr(to, ':') ? AF_INET6 : AF_INET };
	socklen_t len = a.any.sa_family == AF_INET ? sizeof(a.four) : sizeof(a.six);
	int fd = socket(a.any.sa_family, type, 0), r;

	if (a.any.sa_family == AF_INET) {
		a.four.sin_port = htons(port);
		inet_pton(AF_INET, to, &a.four.sin_addr);
	} else {
		a.six.sin6_port = htons(port);
		inet_pton(AF_INET6, to, &a.six.sin6_addr);
	}
	r = connect(fd, &a.any, len) < 0 ? errno : 0;
	close(fd);
	return r;
}

#endif
