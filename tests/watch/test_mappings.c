/* watch/mappings on the running kernel: what is told of mappings of this process, and what is not. */
#include "watch/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "tests/test.h"

#define SEEN_MAX 64
#define PAGE	 4096

struct seen {
	pthread_mutex_t lock;
	pthread_cond_t more;
	size_t n;
	uint64_t at[SEEN_MAX], lost;
};

static void on_mapped(int32_t pid, uint64_t address, void *data)
{
	struct seen *s = data;

	if (pid != getpid())
		return;
	pthread_mutex_lock(&s->lock);
	if (s->n < SEEN_MAX)
		s->at[s->n++] = address;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
}

static void on_lost(uint64_t n, void *data)
{
	struct seen *s = data;

	s->lost += n;
}

static bool has(const struct seen *s, const void *at)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i] == (uint64_t)(uintptr_t)at)
			return true;
	return false;
}

static void await(struct seen *s, const void *at)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&s->lock);
	while (!has(s, at))
		assert_int_equal(pthread_cond_timedwait(&s->more, &s->lock, &until), 0);
	pthread_mutex_unlock(&s->lock);
}

static void *map(int fd, int prot)
{
	void *at = mmap(NULL, PAGE, prot, MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static void test_mapped(void **state _unused_)
{
	struct seen s = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };
	const struct mappings_hooks hooks = { on_mapped, on_lost, &s };
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *read, *anonymous, *run, *turned, *last;
	struct mappings *m = NULL;
	int r = mappings_start(&hooks, &m);

	if (r < 0) {
		print_message("skipped: perf events: %s\n", strerror(-r));
		skip();
	}
	read = map(fd, PROT_READ);
	anonymous = map(-1, PROT_READ | PROT_EXEC);
	run = map(fd, PROT_READ | PROT_EXEC);
	await(&s, run);
	turned = map(fd, PROT_READ);
	assert_int_equal(mprotect(turned, PAGE, PROT_READ | PROT_EXEC), 0);
	await(&s, turned);
	last = map(fd, PROT_READ | PROT_EXEC);
	await(&s, last);
	assert_false(has(&s, read));
	assert_false(has(&s, anonymous));
	mappings_stop(m);
	/* Nothing comes any more. */
	s.n = 0;
	map(fd, PROT_READ | PROT_EXEC);
	assert_int_equal(s.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_mapped) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
