/*
 * Live integrity ends though a read hangs: the thread is left behind, and may go on to use what it was given.
 */
#include <dirent.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/fim/rig.h"

static sem_t reading, disk_is_back;

static int hang(void *data, int fd, enum digest_algo algo, uint8_t ret[DIGEST_MAX])
{
	(void)data;
	(void)fd;
	(void)algo;
	(void)ret;
	sem_post(&reading);
	sem_wait(&disk_is_back);
	return 1;
}

static unsigned threads(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	for (const struct dirent *e; (e = readdir(d));)
		n += *e->d_name != '.';
	closedir(d);
	return n;
}

static void test_hangs(void **state)
{
	struct rig r;
	struct timespec until;
	unsigned before;
	uint64_t deadline;

	(void)state;
	rig_make(&r);
	rig_baseline(&r, "limits: {settle: 1ms}");
	r.known = hang;
	before = threads();
	rig_start(&r, geteuid() == 0 ? "fanotify" : "inotify");
	rig_shell(&r, "g", "cp /bin/true program; chmod 755 program");
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 30;
	assert_int_equal(sem_timedwait(&reading, &until), 0);
	rig_stop(&r);
	assert_true(r.left_behind);
	assert_true(threads() > before);
	/* It wakes up, says what it read, and ends. */
	for (unsigned i = 0; i < 64; i++)
		sem_post(&disk_is_back);
	deadline = clock_mono_ns() + 30 * NSEC_PER_SEC;
	while (threads() > before)
		assert_true(clock_mono_ns() < deadline);
	queue_free(r.inbox);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hangs) };
	int failed;

	sem_init(&reading, 0, 0);
	sem_init(&disk_is_back, 0, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	/* As the program ends then: what such a thread used is the kernel's to give back, and no leak. */
	_exit(failed);
}
