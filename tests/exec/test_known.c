/* Digests by version of a file: what is taken from there is what a reading under a lease gave, or nothing is. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/known.h"
#include "tests/test.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* FIPS 180 */

static char dir[64], path[80];
static struct known *k;

static void write_file(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Older than a clock tick. */
static void settle(void)
{
	usleep(40000);
}

static int open_file(void)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	assert_true(fd >= 0);
	if (known_cacheable(fd))
		return fd;
	print_message("skipped: %s is on no disk\n", dir);
	close(fd);
	skip();
	return -1;
}

static int ask(uint8_t ret[DIGEST_MAX])
{
	int fd = open_file(), r = known_digest(k, fd, DIGEST_SHA256, ret);

	/* No lease is left behind. */
	assert_int_equal(fcntl(fd, F_GETLEASE), F_UNLCK);
	close(fd);
	return r;
}

static bool find(unsigned algos, const char *extra)
{
	static struct exec_digests d;
	enum exec_type type;
	struct file_id id;
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	known_identify(&st, &id);
	return known_find(k, &id, algos, extra, &d, &type);
}

static void test_read(void **state _unused_)
{
	_cleanup_buf_ struct buf hex = BUF_INIT;
	uint8_t digest[DIGEST_MAX];

	write_file("abc");
	settle();
	known_want(k, 1u << DIGEST_SHA512, "MD5");
	assert_int_equal(ask(digest), 0);
	buf_hex(&hex, digest, 32);
	assert_string_equal(hex.data, ABC);
	assert_true(find(1u << DIGEST_SHA256 | 1u << DIGEST_SHA512, "MD5"));
	assert_false(find(1u << DIGEST_SHA3_256, NULL));
	assert_false(find(1u << DIGEST_SHA256, "SHA1"));
	/* Not read again. */
	struct known_stats before, after;
	known_get_stats(k, &before);
	assert_int_equal(ask(digest), 0);
	known_get_stats(k, &after);
	assert_int_equal(after.read, before.read);
	assert_int_equal(after.shared, before.shared + 1);
}

static void test_versions(void **state _unused_)
{
	uint8_t digest[DIGEST_MAX], other[DIGEST_MAX];

	write_file("abc");
	settle();
	assert_int_equal(ask(digest), 0);
	write_file("abd");
	assert_false(find(1u << DIGEST_SHA256, NULL));
	settle();
	assert_int_equal(ask(other), 0);
	assert_memory_not_equal(digest, other, 32);
	/* The same size and mtime, but ctime cannot be put back. */
	assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0), 0);
	assert_false(find(1u << DIGEST_SHA256, NULL));
}

/* Too young, open for writing, mapped writable after its descriptor is closed: not read here. */
static void test_refused(void **state _unused_)
{
	uint8_t digest[DIGEST_MAX];
	int fd;
	char *map;

	write_file("abc");
	assert_int_equal(ask(digest), 1);
	settle();
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(ask(digest), 1);
	map = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	assert_int_equal(ask(digest), 1);
	assert_false(find(1u << DIGEST_SHA256, NULL));
	munmap(map, 3);
	assert_int_equal(ask(digest), 0);
}

/* The first store into a mapping moves ctime. */
static void test_mapping_after(void **state _unused_)
{
	uint8_t digest[DIGEST_MAX];
	char *map;
	int fd;

	write_file("abc");
	settle();
	assert_int_equal(ask(digest), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	map[0] = 'x';
	assert_false(find(1u << DIGEST_SHA256, NULL));
	munmap(map, 3);
}

static void test_not_files(void **state _unused_)
{
	uint8_t digest[DIGEST_MAX];
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(known_digest(k, fd, DIGEST_SHA256, digest), 1);
	close(fd);
	fd = memfd_create("x", MFD_CLOEXEC);
	assert_int_equal(known_digest(k, fd, DIGEST_SHA256, digest), 1);
	close(fd);
	assert_int_equal(known_digest(k, -1, DIGEST_SHA256, digest), -EBADF);
}

/* More than there is room for: the oldest go, nothing else happens. */
static void test_full(void **state _unused_)
{
	static struct exec_digests d;
	enum exec_type type;
	struct file_id id = { 1, 0, 3, 1 };
	unsigned found = 0;

	d.have = 1u << DIGEST_SHA256;
	for (id.ino = 1; id.ino <= 20000; id.ino++)
		known_put(k, &id, NULL, &d, EXEC_TYPE_STATIC);
	for (id.ino = 1; id.ino <= 20000; id.ino++)
		found += known_find(k, &id, 1u << DIGEST_SHA256, NULL, &d, &type);
	assert_true(found > 2000 && found <= 4096);
	id.ino = 20000;
	assert_true(known_find(k, &id, 1u << DIGEST_SHA256, NULL, &d, &type));
	assert_int_equal(type, EXEC_TYPE_STATIC);
}

static int prepare(void **state _unused_)
{
	strcpy(dir, "/var/tmp/holdfast-known-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return known_new(&k);
}

static int clean(void **state _unused_)
{
	known_free(k);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),	      cmocka_unit_test(test_versions),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_mapping_after), cmocka_unit_test(test_not_files), cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, prepare, clean);
}
