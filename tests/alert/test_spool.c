/* alert/spool: order, bounds, a kill at any moment, torn and foreign files. */
#include "tests/alert/rig.h"

#include "alert/spool.h"

static void append(struct spool *s, const char *text)
{
	assert_int_equal(spool_append(s, text, strlen(text)), 0);
}

static void assert_next(struct spool *s, size_t max, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT, got = BUF_INIT;
	size_t n, len;
	struct reader r;

	assert_int_equal(spool_peek(s, max, 1 << 20, &b, &n), 0);
	r = (struct reader){ (const uint8_t *)b.data, (const uint8_t *)b.data + b.len, false };
	buf_str(&got, "");
	for (size_t i = 0; i < n; i++) {
		const char *p = reader_bytes(&r, &len);

		buf_add(&got, p, len);
		buf_char(&got, ' ');
	}
	assert_string_equal(got.data ? got.data : "", want);
}

static void test_order(void **state _unused_)
{
	struct rig_dir d;
	char path[128];

	rig_dir_new(&d);
	for (int on_disk = 0; on_disk < 2; on_disk++) {
		struct spool *s;

		snprintf(path, sizeof(path), "%s/spool", d.path);
		assert_int_equal(spool_open(on_disk ? path : NULL, 65536, &s), 0);
		assert_next(s, 10, "");
		append(s, "a");
		append(s, "b");
		append(s, "c");
		assert_int_equal(spool_pending(s), 3);
		assert_next(s, 2, "a b ");
		assert_next(s, 2, "a b ");
		assert_int_equal(spool_done(s, 2), 0);
		append(s, "d");
		assert_next(s, 9, "c d ");
		assert_int_equal(spool_done(s, 2), 0);
		assert_int_equal(spool_pending(s), 0);
		assert_next(s, 9, "");
		append(s, "e");
		assert_next(s, 9, "e ");
		spool_close(s);
	}
	rig_dir_free(&d);
}

/* Closed at any moment: nothing that was not delivered is missing. */
static void test_reopen(void **state _unused_)
{
	struct rig_dir d;
	char path[128], text[32];
	struct spool *s;
	uint64_t next = 0, total = 200;

	rig_dir_new(&d);
	snprintf(path, sizeof(path), "%s/spool", d.path);
	for (uint64_t i = 0; i < total; i++) {
		assert_int_equal(spool_open(path, 65536, &s), 0);
		assert_int_equal(spool_pending(s), i - next);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)i);
		append(s, text);
		if (i % 3 == 2) {
			snprintf(text, sizeof(text), "%llu ", (unsigned long long)next++);
			assert_next(s, 1, text);
			assert_int_equal(spool_done(s, 1), 0);
		}
		spool_close(s);
	}
	rig_dir_free(&d);
}

static void test_bounds(void **state _unused_)
{
	static char big[SPOOL_RECORD_MAX + 1];
	struct rig_dir d;
	char path[128];
	struct spool *s;
	size_t n = 0;

	rig_dir_new(&d);
	snprintf(path, sizeof(path), "%s/spool", d.path);
	assert_int_equal(spool_open(path, 65536, &s), 0);
	memset(big, 'x', sizeof(big));
	assert_int_equal(spool_append(s, big, sizeof(big)), -EMSGSIZE);
	assert_int_equal(spool_append(s, "", 0), -EMSGSIZE);
	while (spool_append(s, big, 1000) == 0)
		n++;
	assert_int_equal(n, 65536 / 1008);
	/* Room again as soon as something was delivered, for ever, and the file does not grow. */
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(spool_done(s, 1), 0);
		assert_int_equal(spool_append(s, big, 1000), 0);
		assert_int_equal(spool_append(s, big, 1000), -ENOSPC);
		assert_int_equal(spool_pending(s), n);
	}
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= 2 * 65536 + 16);
	assert_int_equal(st.st_mode & 0777, 0600);
	spool_close(s);
	rig_dir_free(&d);
}

static void test_damage(void **state _unused_)
{
	struct rig_dir d;
	char path[128], bad[140];
	struct spool *s;
	struct stat st;
	_cleanup_buf_ struct buf b = BUF_INIT;
	size_t n;
	int fd;

	rig_dir_new(&d);
	snprintf(path, sizeof(path), "%s/spool", d.path);
	snprintf(bad, sizeof(bad), "%s.bad", path);
	assert_int_equal(spool_open(path, 65536, &s), 0);
	append(s, "first");
	append(s, "second");
	spool_close(s);
	/* Torn: the last record is not whole. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 3), 0);
	assert_int_equal(spool_open(path, 65536, &s), 0);
	assert_int_equal(spool_pending(s), 1);
	assert_next(s, 9, "first ");
	spool_close(s);
	/* A bit flipped. */
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "F", 1, 16 + 8), 1);
	close(fd);
	assert_int_equal(spool_open(path, 65536, &s), 0);
	assert_int_equal(spool_peek(s, 9, 1 << 20, &b, &n), -EBADMSG);
	assert_int_equal(spool_pending(s), 0);
	append(s, "third");
	assert_next(s, 9, "third ");
	spool_close(s);
	/* Something else altogether. */
	fd = open(path, O_RDWR | O_TRUNC);
	assert_int_equal(write(fd, "this is not a spool", 19), 19);
	close(fd);
	assert_int_equal(spool_open(path, 65536, &s), 0);
	assert_int_equal(spool_pending(s), 0);
	spool_close(s);
	assert_int_equal(access(bad, F_OK), 0);
	/* Never through a link. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(spool_open(path, 65536, &s), -ELOOP);
	rig_dir_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
