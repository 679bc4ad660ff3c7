/*
 * The races that hash-then-allow loses: each attack tries to have one content judged and another one run. A win is a
 * program that ends with the attacker's number. HOLDFAST_TRIES: tries of each attack (150).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/exec/rig.h"
#include "tests/test.h"

#define GOOD 3
#define EVIL 7

static struct rig rig;
static const char *unable;
static const char *const good[] = { "good", NULL };

struct attack {
	uint64_t at; /* monotonic: when to write */
	int fd;
	char *map;
	size_t len;
};

static void wait_until(uint64_t at)
{
	while (clock_mono_ns() < at)
		;
}

static char evil_byte(void)
{
	return '0' + EVIL;
}

static void write_byte(int fd)
{
	char c = evil_byte();

	if (pwrite(fd, &c, 1, rig_code_offset()) != 1)
		print_message("write: %s\n", strerror(errno));
}

/* Has it open for writing from before, and closes when the verdict may just have been found. */
static void *writer(void *data)
{
	struct attack *a = data;

	wait_until(a->at);
	write_byte(a->fd);
	close(a->fd);
	return NULL;
}

/* Opens it when the verdict may just have been found. */
static void *reopener(void *data)
{
	struct attack *a = data;

	wait_until(a->at);
	for (int i = 0; i < 20; i++) {
		int fd = open(rig_path(&rig, "victim"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0)
			continue;
		write_byte(fd);
		close(fd);
		break;
	}
	return NULL;
}

/* The same, waiting for leases to be broken. */
static void *patient_reopener(void *data)
{
	struct attack *a = data;
	int fd;

	wait_until(a->at);
	fd = open(rig_path(&rig, "victim"), O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		write_byte(fd);
		close(fd);
	}
	return NULL;
}

/* Stores into a mapping whose descriptor is closed already. */
static void *mapper(void *data)
{
	struct attack *a = data;

	wait_until(a->at);
	a->map[rig_code_offset()] = evil_byte();
	munmap(a->map, a->len);
	return NULL;
}

static void *renamer(void *data)
{
	struct attack *a = data;

	wait_until(a->at);
	rename(rig_path(&rig, "evil"), rig_path(&rig, "victim"));
	return NULL;
}

static void prepare_try(struct attack *a, void *(*how)(void *))
{
	struct stat st;

	/* A new file each time: nothing that is still held from the last one is in the way. */
	unlink(rig_path(&rig, "victim"));
	rig_program(&rig, "victim", GOOD, 1);
	if (how == renamer)
		rig_program(&rig, "evil", EVIL, 1);
	a->fd = -1;
	if (how != writer && how != mapper)
		return;
	a->fd = open(rig_path(&rig, "victim"), O_RDWR | O_CLOEXEC);
	assert_true(a->fd >= 0 && fstat(a->fd, &st) == 0);
	if (how != mapper)
		return;
	a->len = (size_t)st.st_size;
	a->map = mmap(NULL, a->len, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	assert_true(a->map != MAP_FAILED);
	a->map[0] = a->map[0]; /* dirty before */
	close(a->fd);
}

static void run_attack(const char *name, void *(*how)(void *), unsigned tries)
{
	unsigned ran = 0, refused = 0, wins = 0;
	uint64_t seed = 1, span = 700000;
	struct attack a;

	for (unsigned i = 0; i < tries; i++) {
		pthread_t thread;
		int r;

		prepare_try(&a, how);
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		a.at = clock_mono_ns() + (seed >> 33) % span;
		assert_int_equal(pthread_create(&thread, NULL, how, &a), 0);
		r = rig_run(&rig, "victim", NULL);
		pthread_join(thread, NULL);
		wins += r == EVIL;
		ran += r == GOOD;
		refused += r == -EPERM || r == -ETXTBSY;
		if (r != EVIL && r != GOOD && r != -EPERM && r != -ETXTBSY)
			print_message("%s: unexpected outcome %d\n", name, r);
	}
	print_message("%s: %u tries, %u ran as judged, %u refused, %u wins\n", name, tries, ran, refused, wins);
	assert_int_equal(wins, 0);
	assert_true(ran + refused > 0);
}

static void attack(const char *name, void *(*how)(void *))
{
	const char *text = getenv("HOLDFAST_TRIES");

	if (unable) {
		print_message("skipped: %s\n", unable);
		skip();
	}
	assert_int_equal(rig_start(&rig, &(struct rig_options){ .enforce = true, .good = good }), 0);
	run_attack(name, how, text ? (unsigned)atoi(text) : 150);
	rig_stop(&rig);
}

static void test_writer(void **state _unused_)
{
	attack("writer", writer);
}

static void test_reopen(void **state _unused_)
{
	attack("reopen", reopener);
}

static void test_patient_reopen(void **state _unused_)
{
	attack("reopen, waiting", patient_reopener);
}

static void test_mapping(void **state _unused_)
{
	attack("mapping", mapper);
}

static void test_rename(void **state _unused_)
{
	attack("rename", renamer);
}

static int prepare(void **state _unused_)
{
	unable = rig_setup(&rig, "ext4");
	if (!unable)
		rig_program(&rig, "good", GOOD, 1);
	return 0;
}

static int clean(void **state _unused_)
{
	static const char *const names[] = { "good", "evil", "victim" };

	for (size_t i = 0; !unable && i < ARRAY_SIZE(names); i++)
		unlink(rig_path(&rig, names[i]));
	rig_teardown(&rig);
	return 0;
}

static int after(void **state _unused_)
{
	rig_kill(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_writer, after),	       cmocka_unit_test_teardown(test_reopen, after),
		cmocka_unit_test_teardown(test_patient_reopen, after), cmocka_unit_test_teardown(test_mapping, after),
		cmocka_unit_test_teardown(test_rename, after),
	};

	return cmocka_run_group_tests(tests, prepare, clean);
}
