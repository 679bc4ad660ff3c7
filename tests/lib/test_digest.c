/* lib/digest: known answers, limits, heads, errors, on real descriptors. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "lib/buf.h"
#include "lib/digest.h"

static const struct {
	const char *name, *empty, *abc; /* FIPS 180-4, FIPS 202, RFC 7693 */
} answers[DIGEST_ALGO_COUNT] = {
	[DIGEST_SHA256] = { "sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	[DIGEST_SHA512] = { "sha512",
			    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
			    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
			    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
			    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	[DIGEST_SHA3_256] = { "sha3-256", "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
			      "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532" },
	[DIGEST_BLAKE2B512] = { "blake2b512",
				"786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
				"d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce",
				"ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
				"7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923" },
};

static void assert_hex(const uint8_t *digest, size_t size, const char *hex)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_hex(&b, digest, size);
	assert_string_equal(b.data, hex);
}

static void test_known(void **state _unused_)
{
	uint8_t out[DIGEST_MAX];
	enum digest_algo algo;

	for (unsigned i = 0; i < DIGEST_ALGO_COUNT; i++) {
		_cleanup_digest_ struct digest *d = NULL;

		assert_int_equal(digest_by_name(answers[i].name, &algo), 0);
		assert_int_equal(algo, i);
		assert_int_equal(digest_new(algo, &d), 0);
		for (int round = 0; round < 3; round++) { /* reuse */
			assert_int_equal(digest_once(d, "", 0, out), 0);
			assert_hex(out, digest_table[i].size, answers[i].empty);
			assert_int_equal(digest_once(d, "abc", 3, out), 0);
			assert_hex(out, digest_table[i].size, answers[i].abc);
		}
		/* An unfinished one does not leak into the next. */
		assert_int_equal(digest_start(d), 0);
		assert_int_equal(digest_update(d, "zzz", 3), 0);
		assert_int_equal(digest_once(d, "abc", 3, out), 0);
		assert_hex(out, digest_table[i].size, answers[i].abc);
	}
	assert_int_equal(digest_by_name("md5", &algo), -EINVAL);
}

static void test_fd(void **state _unused_)
{
	static const struct {
		size_t size;
		uint64_t limit;
		uint64_t read;
		size_t room;
	} cases[] = {
		{ 0, 0, 0, 16 },
		{ 0, UINT64_MAX, 0, 16 },
		{ 5, 5, 5, 16 },
		{ 5, 3, 3, 16 },
		{ 5, 100, 5, 3 },
		{ 262144, 262144, 262144, 100 },
		{ 262145, 262145, 262145, 300000 },
		{ 1000000, UINT64_MAX, 1000000, 600000 },
		{ 1000000, 262144, 262144, 0 },
	};
	_cleanup_free_ uint8_t *data = malloc(1000000), *head = malloc(600000);
	_cleanup_digest_ struct digest *d = NULL;
	uint8_t out[DIGEST_MAX], want[DIGEST_MAX];

	for (size_t i = 0; i < 1000000; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);
		size_t head_len = cases[i].room;
		uint64_t done = 77;

		assert_int_equal(write(fd, data, cases[i].size), cases[i].size);
		assert_int_equal(digest_fd(d, fd, cases[i].limit, out, &done, head, &head_len), 0);
		assert_int_equal(done, cases[i].read);
		assert_int_equal(head_len, MIN(cases[i].room, cases[i].read));
		assert_memory_equal(head, data, head_len);
		assert_int_equal(digest_once(d, data, done, want), 0);
		assert_memory_equal(out, want, 32);
		assert_int_equal(lseek(fd, 0, SEEK_CUR), cases[i].size); /* offset untouched */
	}
}

static void test_fd_error(void **state _unused_)
{
	_cleanup_digest_ struct digest *d = NULL;
	_cleanup_close_ int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint8_t out[DIGEST_MAX];
	uint64_t done = 77;

	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	assert_int_equal(digest_fd(d, -1, 1, out, &done, NULL, NULL), -EBADF);
	assert_int_equal(digest_fd(d, dir, 1, out, &done, NULL, NULL), -EISDIR);
	assert_int_equal(done, 77);
	assert_int_equal(digest_once(d, "abc", 3, out), 0); /* still usable */
	assert_hex(out, 32, answers[DIGEST_SHA256].abc);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_known), cmocka_unit_test(test_fd),
					    cmocka_unit_test(test_fd_error) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
