/*
 * What the tests of calls on sockets share: the programs, loaded; a child whose calls are looked for, and what was told
 * of them.
 */
#ifndef TESTS_WATCH_SOCKETS_H
#define TESTS_WATCH_SOCKETS_H

#include "tests/watch/loaded.h"

#include <netinet/in.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "watch/bpf_calls.h"

#define DEADLINE_NS (60 * NSEC_PER_SEC)
#define TOLD_MAX    64

struct told {
	const char *call, *l4;
	int64_t result;
	uint64_t count;
	struct event_socket socket;
	char tuple[256];
};

struct fixture {
	struct bpf_exits exits;
	struct bpf_calls *b;
	struct bpf_calls_wants wants;
	int32_t pid; /* whose calls are looked for */
	struct told told[TOLD_MAX];
	size_t n;
	uint64_t counted;
	bool end;
};

int setup(void **state);
int teardown(void **state);

#define NEED_CALLS(f)                                                                                                  \
	do {                                                                                                           \
		if (!(f)->b)                                                                                           \
			skip();                                                                                        \
	} while (0)

/* A child acts, and then makes a call that cannot be mistaken: all before that is told. */
void child(struct fixture *f, void (*act)(void));
/* For bpf_calls_take: what is the child's. */
void on_call(const struct bpf_call_event *e, void *data);
/* The first that was told of the call; fails the test when there is none. */
const struct told *find(const struct fixture *f, const char *call);

/* In the child. */
#define NEED(x)                                                                                                        \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			_exit(__LINE__ & 0xff ?: 1);                                                                   \
	} while (0)

extern uint16_t port; /* set before the fork */

struct sockaddr_in loopback(uint16_t at);
/* A port that nobody listens at, by the kernel's choice. */
uint16_t free_port(void);
/* The child's, at port. */
int listener(void);

#define FLOOD 2000
/* So many connections to a server of its own, of three bytes each. */
void act_flood(void);

#endif
