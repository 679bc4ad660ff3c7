/* event/record: statx, xattrs, encoding round trips, any bytes into the decoder, chunks. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "event/record.h"

#define ALL (ATTR_BIT(ATTR_COUNT) - 1)

static void put_xattr(struct buf *b, const char *name, const char *value)
{
	buf_bytes(b, name, strlen(name));
	buf_bytes(b, value, strlen(value));
}

static struct record full_record(struct buf *xattrs)
{
	struct record r = { .have = ALL,
			    .type = 'c',
			    .mode = 07755,
			    .unread = RECORD_UNSTABLE,
			    .uid = UINT32_MAX,
			    .gid = 1,
			    .flags = 0x80000010,
			    .nlink = 3,
			    .size = UINT64_MAX,
			    .mtime = -5,
			    .ctime = INT64_MAX,
			    .dev = 0x801,
			    .ino = UINT64_MAX,
			    .rdev = 0x10300,
			    .target = "../a\nb",
			    .digest_len = 64,
			    .mime = "text/plain",
			    .layer = 3 };

	memset(r.digest, 0xab, 64);
	put_xattr(xattrs, "security.selinux", "x");
	put_xattr(xattrs, "user.a", "");
	put_xattr(xattrs, "user.ab", "value");
	r.xattrs = (uint8_t *)xattrs->data;
	r.xattrs_len = (uint32_t)xattrs->len;
	return r;
}

static void assert_same(const struct record *a, const struct record *b)
{
	_cleanup_buf_ struct buf x = BUF_INIT, y = BUF_INIT;

	record_encode(&x, a);
	record_encode(&y, b);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
}

static void test_statx(void **state _unused_)
{
	struct statx stx = { 0 };
	struct stat st;
	struct record r;

	assert_int_equal(statx(AT_FDCWD, "/etc/passwd", 0, STATX_BASIC_STATS, &stx), 0);
	assert_int_equal(stat("/etc/passwd", &st), 0);
	record_from_statx(&r, &stx);
	assert_int_equal(r.have, ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID) |
					 ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME) |
					 ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO) | ATTR_BIT(ATTR_NLINK));
	assert_int_equal(r.type, 'f');
	assert_int_equal(r.mode, st.st_mode & 07777);
	assert_int_equal(r.size, st.st_size);
	assert_int_equal(r.dev, st.st_dev);
	assert_int_equal(r.ino, st.st_ino);
	assert_int_equal(r.nlink, st.st_nlink);
	assert_true(r.mtime == (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
	assert_true(r.ctime == (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);

	assert_int_equal(statx(AT_FDCWD, "/dev/null", 0, STATX_BASIC_STATS, &stx), 0);
	record_from_statx(&r, &stx);
	assert_int_equal(r.type, 'c');
	assert_true(r.have & ATTR_BIT(ATTR_RDEV));
	assert_int_equal(r.rdev, makedev(1, 3));

	stx.stx_mtime.tv_sec = INT64_MAX;
	stx.stx_ctime.tv_sec = INT64_MIN;
	stx.stx_mask = STATX_UID;
	record_from_statx(&r, &stx);
	assert_true(r.mtime == INT64_MAX && r.ctime == INT64_MIN);
	assert_int_equal(r.have, ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_DEV));
}

static void test_round_trip(void **state _unused_)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	struct record full = full_record(&xattrs), back;

	/* Everything, nothing, and each attribute alone and missing. */
	for (unsigned i = 0; i < 2 * ATTR_COUNT + 2; i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		struct record r = full;

		r.have = i == 0 ? ALL : i == 1 ? 0 : i % 2 ? ATTR_BIT(i / 2 - 1) : ALL & ~ATTR_BIT(i / 2 - 1);
		record_encode(&b, &r);
		assert_false(b.failed);
		assert_int_equal(record_decode(b.data, b.len, &back), 0);
		assert_int_equal(back.have, r.have);
		assert_int_equal(back.unread, RECORD_UNSTABLE);
		assert_same(&r, &back);
	}
	assert_same(&full, &full);
}

static void test_members(void **state _unused_)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT, b = BUF_INIT;
	struct record r = full_record(&xattrs), back;
	size_t len;

	record_encode(&b, &r);
	assert_int_equal(record_decode(b.data, b.len, &back), 0);
	assert_int_equal(back.type, r.type);
	assert_int_equal(back.mode, r.mode);
	assert_true(back.uid == r.uid && back.gid == r.gid && back.flags == r.flags && back.nlink == r.nlink);
	assert_true(back.size == r.size && back.mtime == r.mtime && back.ctime == r.ctime && back.dev == r.dev);
	assert_true(back.ino == r.ino && back.rdev == r.rdev);
	assert_string_equal(back.target, r.target);
	assert_string_equal(back.mime, r.mime);
	assert_int_equal(back.layer, r.layer);
	assert_int_equal(back.digest_len, 64);
	assert_memory_equal(back.digest, r.digest, 64);
	assert_memory_equal(record_xattr(&back, "user.ab", &len), "value", 5);
	assert_int_equal(len, 5);
	assert_non_null(record_xattr(&back, "user.a", &len));
	assert_int_equal(len, 0);
	assert_null(record_xattr(&back, "user.", &len));
}

/* What `have` claims without a value is not encoded; what it leaves out neither. */
static void test_canonical(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct record r = { .have = ALL, .type = 'f' }, bare = { .unread = 0, .uid = 5, .size = 9, .target = "x" },
		      back;

	record_encode(&b, &r);
	assert_int_equal(record_decode(b.data, b.len, &back), 0);
	assert_int_equal(back.have, ALL & ~(ATTR_BIT(ATTR_TARGET) | ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_MIME)));
	assert_null(back.xattrs);
	buf_reset(&b);
	record_encode(&b, &bare);
	assert_memory_equal(b.data, "\1\0\0", 3);
	assert_int_equal(b.len, 3);
}

static void test_size(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct stat st;
	struct statx stx;
	struct record r;

	assert_int_equal(stat("/etc/passwd", &st), 0);
	assert_int_equal(statx(AT_FDCWD, "/etc/passwd", 0, STATX_BASIC_STATS, &stx), 0);
	record_from_statx(&r, &stx);
	r.have |= ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_FLAGS);
	r.digest_len = 32;
	record_encode(&b, &r);
	assert_in_range(b.len, 50, 90);
}

static void test_decode_bad(void **state _unused_)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "", 0 },
		{ "\0\0\0", 3 },			    /* version */
		{ "\2\0\0", 3 },			    /* version */
		{ "\1\0", 2 },				    /* short */
		{ "\1\0\0\0", 4 },			    /* bytes behind */
		{ "\1\x80\0\0", 4 },			    /* long form of a number */
		{ "\1\xff\xff\x3f\0", 5 },		    /* unknown attributes */
		{ "\1\1\0z", 4 },			    /* type */
		{ "\1\1\0\0", 4 },			    /* type */
		{ "\1\2\0\x80\x20", 5 },		    /* mode above 07777 */
		{ "\1\0\x80\x80\x04", 5 },		    /* unread above 65535 */
		{ "\1\x80\x08\0\0", 5 },		    /* target without NUL */
		{ "\1\x80\x08\0\2\0\0", 7 },		    /* target with NUL inside */
		{ "\1\x80\x08\0\2ab", 7 },		    /* target without NUL */
		{ "\1\x80\x10\0\0", 5 },		    /* digest of no bytes */
		{ "\1\x80\x10\0\x41", 5 },		    /* digest above DIGEST_MAX */
		{ "\1\x80\x40\0\1x", 6 },		    /* xattrs malformed */
		{ "\1\x80\x40\0\x08\0\0\0\0\0\0\0\0", 13 }, /* xattr without a name */
	};
	struct record r = { .uid = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (record_decode(cases[i].bytes, cases[i].len, &r) != -EBADMSG)
			fail_msg("case %zu", i);
		assert_int_equal(r.uid, 77);
	}
}

static void test_xattrs_order(void **state _unused_)
{
	static const struct {
		const char *names[3];
		int r;
	} cases[] = {
		{ { "a", "b", "c" }, 0 },	  { { "a", "aa", "ab" }, 0 },	     { { "b", "a", NULL }, -EBADMSG },
		{ { "a", "a", NULL }, -EBADMSG }, { { "aa", "a", NULL }, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf xattrs = BUF_INIT, b = BUF_INIT;
		struct record r = { .have = ATTR_BIT(ATTR_XATTRS) }, back;

		for (size_t n = 0; n < 3 && cases[i].names[n]; n++)
			put_xattr(&xattrs, cases[i].names[n], "v");
		r.xattrs = (uint8_t *)xattrs.data;
		r.xattrs_len = (uint32_t)xattrs.len;
		record_encode(&b, &r);
		assert_int_equal(record_decode(b.data, b.len, &back), cases[i].r);
	}
}

/*
 * Any bytes: never a fault (sanitizers watch), and what is accepted encodes to the same bytes again. Input is in its
 * own allocation so that a read past its end is seen.
 */
static void decode_any(const uint8_t *data, size_t len)
{
	_cleanup_free_ uint8_t *copy = malloc(len ? len : 1);
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct record r;
	size_t value_len;

	memcpy(copy, data, len);
	if (record_decode(copy, len, &r) < 0)
		return;
	record_xattr(&r, "user.none", &value_len);
	record_encode(&b, &r);
	assert_int_equal(b.len, len);
	assert_memory_equal(b.data, copy, len);
}

static void test_decode_any(void **state _unused_)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT, good = BUF_INIT;
	struct record full = full_record(&xattrs);
	uint8_t data[512];
	size_t len;

	record_encode(&good, &full);
	assert_true(good.len < sizeof(data));
	for (len = 0; len <= good.len; len++) /* cut anywhere */
		decode_any((uint8_t *)good.data, len);
	srandom(3);
	for (int round = 0; round < 200000; round++) {
		len = good.len;
		memcpy(data, good.data, len);
		for (long n = random() % 4; n >= 0; n--)
			data[(size_t)random() % len] = (uint8_t)random();
		decode_any(data, (size_t)random() % 8 ? len : (size_t)random() % len);
	}
	for (int round = 0; round < 200000; round++) {
		len = (size_t)random() % 64;
		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)(random() % 3 ? random() % 8 : random());
		if (len)
			data[0] = 1;
		decode_any(data, len);
	}
}

static void test_dup(void **state _unused_)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct record r = full_record(&xattrs), copy;

	assert_true(record_dup(&a, &r, &copy));
	assert_same(&r, &copy);
	assert_ptr_not_equal(r.target, copy.target);
	assert_ptr_not_equal(r.xattrs, copy.xattrs);
}

static void test_same_version(void **state _unused_)
{
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	struct record a = full_record(&xattrs), b;

	for (int i = 0; i < 8; i++) {
		b = a;
		b.ino -= i == 1;
		b.dev -= i == 2;
		b.ctime -= i == 3;
		b.mtime -= i == 4;
		b.size -= i == 5;
		b.type = i == 6 ? 'f' : b.type;
		b.have &= i == 7 ? ~ATTR_BIT(ATTR_CTIME) : ALL;
		assert_int_equal(record_same_version(&a, &b), i == 0);
	}
}

static void test_unread(void **state _unused_)
{
	assert_null(record_unread_text(0));
	assert_string_equal(record_unread_text(EACCES), "permission denied");
	assert_string_equal(record_unread_text(RECORD_UNSTABLE), "changed while being read");
	assert_string_equal(record_unread_text(60000), "not readable");
}

static struct chunk *make_chunk(void)
{
	struct chunk *c = chunk_new();

	assert_non_null(c);
	c->dir = arena_strdup(&c->arena, "/etc");
	c->n = 2;
	c->entries = arena_zalloc(&c->arena, 2 * sizeof(*c->entries));
	c->entries[0] = (struct entry){ "a", { .have = ATTR_BIT(ATTR_UID), .uid = 1 } };
	c->entries[1] = (struct entry){ "b", { .have = ATTR_BIT(ATTR_UID), .uid = 2 } };
	return c;
}

/* Every change of a chunk shows in its digest. */
static void test_seal(void **state _unused_)
{
	_cleanup_digest_ struct digest *d = NULL;
	_cleanup_buf_ struct buf scratch = BUF_INIT;
	uint8_t first[32];

	assert_int_equal(digest_new(DIGEST_BLAKE2B512, &d), 0);
	for (int i = 0; i < 7; i++) {
		_cleanup_chunk_ struct chunk *c = make_chunk();

		if (i == 2)
			c->dir = "/etd";
		if (i == 3)
			c->seq = 1;
		if (i == 4)
			c->entries[0].name = "c";
		if (i == 5)
			c->entries[1].rec.uid = 3;
		if (i == 6)
			c->n = 1;
		assert_int_equal(chunk_seal(c, d, &scratch), 0);
		if (i == 0)
			memcpy(first, c->digest, sizeof(first));
		assert_int_equal(memcmp(first, c->digest, sizeof(first)) == 0, i < 2);
	}
	chunk_free(NULL);
}

static void test_reset(void **state _unused_)
{
	_cleanup_chunk_ struct chunk *c = make_chunk();

	chunk_reset(c);
	assert_int_equal(c->n, 0);
	assert_null(c->dir);
	assert_int_equal(c->arena.used, 0);
	assert_non_null(arena_strdup(&c->arena, "again"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statx),	     cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_members),	     cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_size),	     cmocka_unit_test(test_decode_bad),
		cmocka_unit_test(test_xattrs_order), cmocka_unit_test(test_decode_any),
		cmocka_unit_test(test_dup),	     cmocka_unit_test(test_same_version),
		cmocka_unit_test(test_unread),	     cmocka_unit_test(test_seal),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
