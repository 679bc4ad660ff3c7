/* fim/scan: how a run ends, its rate, and how its workers share large files. */
#include "tests/fim/scan_rig.h"

#include <pthread.h>
#include <sys/xattr.h>

#include "lib/clock.h"

/* --- ends */

static int stop_at_gap(void *data _unused_, enum gap_reason reason _unused_, const char *path _unused_,
		       const char *detail _unused_)
{
	return 42;
}

static void test_ends(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct fim_init_options o = {
		.name = "other", .kind = BASELINE_TREE, .root = "/", .scope = &f->scope, .key = f->key
	};
	uint64_t n = 0;

	small_tree(f);
	guard(f, "/etc", "all");
	guard(f, "/none", "all");
	o.common = f->common;
	o.common.gap = stop_at_gap;
	assert_int_equal(fim_init(f->db, &o, NULL, &err), 42);
	o.common.gap = NULL;
	f->progress.stop = 1;
	assert_int_equal(fim_init(f->db, &o, NULL, &err), -ECANCELED);
	assert_int_equal(baseline_each(f->db, count_entry, &n), 0);
	assert_int_equal(n, 0); /* nothing was left behind */
	f->progress.stop = 0;
	assert_int_equal(fim_init(f->db, &o, NULL, &err), 0);
	assert_int_equal(fim_init(f->db, &o, NULL, &err), -EEXIST);
	o.replace = true;
	assert_int_equal(fim_init(f->db, &o, &f->id, &err), 0);
	f->progress.stop = 1;
	assert_int_equal(check_only(f, false, NULL, 0, &err), 0); /* reset by the helper */
	f->id += 1000;
	assert_int_equal(check_only(f, false, NULL, 0, &err), -ENOENT);
}

static void test_rate(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	small_tree(f);
	guard(f, "/etc", "all");
	init_ok(f);
	f->common.rate = 64 * KIB; /* 6 entries at 4 KiB each: 375 ms */
	start = clock_mono_ns();
	check_ok(f, false);
	assert_true(clock_mono_ns() - start > 200 * NSEC_PER_MSEC);
	assert_int_equal(f->n, 0);
}

/* --- large files */

#define LARGE_FILES 6
#define LARGE_SIZE  (5 * MIB) /* more than a worker keeps for itself */

static void large_name(int i, char ret[32])
{
	snprintf(ret, 32, "big/f%d", i);
}

/* All in one folder, few enough for one range of names; each with bytes of its own at its end. */
static void large_tree(struct fixture *f, const char *end)
{
	char name[32];

	if (mkdirat(f->tree.fd, "big", 0755) == 0)
		tree_text(f->tree.fd, "big/z", "small");
	for (int i = 0; i < LARGE_FILES; i++) {
		_cleanup_close_ int fd = -1;

		large_name(i, name);
		fd = openat(f->tree.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, end, strlen(end), LARGE_SIZE + i), strlen(end));
	}
}

static void test_large_files(void **state)
{
	struct fixture *f = *state;
	struct record first, other;
	_cleanup_close_ int fd = -1;

	large_tree(f, "end");
	fd = openat(f->tree.fd, "big/f0", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(fd, "user.k", "v", 1, 0), 0);
	guard(f, "/big", "all");
	for (unsigned threads = 1; threads <= 16; threads *= 4) {
		f->common.threads = threads;
		init_ok(f);
		assert_int_equal(baseline_files(f), LARGE_FILES + 2);
		assert_int_equal(f->progress.files, LARGE_FILES + 2);
		assert_int_equal(f->progress.unread, 0);
		assert_true(stored(f, "/big/f0", &first));
		assert_true(stored(f, "/big/f1", &other));
		assert_int_equal(first.size, LARGE_SIZE + 3);
		assert_true(first.have & other.have & ATTR_BIT(ATTR_DIGEST));
		assert_memory_not_equal(first.digest, other.digest, first.digest_len);
		assert_true(first.xattrs_len > 0 && !other.xattrs_len);
		check_ok(f, true);
		assert_int_equal(f->n, 0);
		assert_int_equal(f->progress.unread, 0);
	}
	large_tree(f, "END");
	tree_file(f->tree.fd, "big/g", "", 0);
	assert_int_equal(unlinkat(f->tree.fd, "big/f0", 0), 0);
	for (int full = 0; full < 2; full++) {
		check_ok(f, full);
		assert_int_equal(f->n, LARGE_FILES + 1);
		assert_string_equal(f->lines[0], "added /big/g");
		assert_string_equal(f->lines[1], "changed /big/f1 digest");
		assert_string_equal(f->lines[LARGE_FILES], "removed /big/f0");
	}
}

/* Holds up every worker that comes with a difference until a second one has come with another. */
struct meeting {
	struct fixture *f;
	pthread_mutex_t lock;
	pthread_cond_t came;
	pthread_t first;
	bool any, met;
};

static int meet(void *data, const struct scan_difference *d _unused_)
{
	struct meeting *m = data;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&m->lock);
	if (!m->any)
		m->first = pthread_self();
	m->any = true;
	if (!pthread_equal(m->first, pthread_self()))
		m->met = true;
	pthread_cond_broadcast(&m->came);
	while (!m->met && pthread_cond_timedwait(&m->came, &m->lock, &until) == 0)
		;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* One folder, one range of names: its large files are read by several workers at a time. */
static void test_large_files_are_shared(void **state)
{
	struct fixture *f = *state;
	struct meeting m = { .f = f, .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };
	const struct scan_sink sink = { .data = &m, .difference = meet };
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct scan_options o = { .mode = SCAN_FULL, .threads = 2, .rootfd = f->tree.fd, .scope = &f->scope };

	large_tree(f, "end");
	guard(f, "/big", "all");
	init_ok(f);
	large_tree(f, "END");
	o.db = &f->db_options;
	o.baseline = f->id;
	assert_int_equal(scan_run(&o, &sink, &err), 0);
	assert_true(m.met);
}

/* Whoever ends the scan, and when: nobody waits for large files of others, nothing is stored, nothing leaks. */
static int end_at_difference(void *data, const struct scan_difference *d _unused_)
{
	struct scan_progress *progress = data;

	atomic_store(&progress->stop, 1);
	return 0;
}

static void test_large_files_and_the_end(void **state)
{
	struct fixture *f = *state;
	struct scan_progress progress = { 0 };
	const struct scan_sink sink = { .data = &progress, .difference = end_at_difference };
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct scan_options o = { .mode = SCAN_FULL, .threads = 3, .rootfd = f->tree.fd, .scope = &f->scope };

	large_tree(f, "end");
	guard(f, "/big", "all");
	init_ok(f);
	large_tree(f, "END");
	o.db = &f->db_options;
	o.baseline = f->id;
	o.progress = &progress;
	assert_int_equal(scan_run(&o, &sink, &err), -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ends),
		TEST(test_rate),
		TEST(test_large_files),
		TEST(test_large_files_are_shared),
		TEST(test_large_files_and_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
