/* fim/image_tar: headers of every kind, names of any bytes, and archives that lie. */
#include "tests/fim/tarball.h"

#include <errno.h>
#include <sys/sysmacros.h>

struct read {
	struct tarball_source source;
	struct buf err;
	struct tar_reader *t;
};

static void read_start(struct read *r, const struct buf *b, size_t piece)
{
	struct tar_input in = { tarball_next, NULL, &r->source };

	*r = (struct read){ .source = { (const uint8_t *)b->data, b->len, piece } };
	assert_int_equal(tar_reader_new(&in, &r->err, &r->t), 0);
}

static void read_end(struct read *r)
{
	tar_reader_free(r->t);
	buf_free(&r->err);
}

/* Outcome of the whole archive. */
static int read_all(const struct buf *b, size_t piece, char text[256])
{
	struct tar_entry e;
	const uint8_t *data;
	struct read r;
	int n, outcome;

	read_start(&r, b, piece);
	while ((outcome = tar_reader_next(r.t, &e)) > 0)
		while ((n = (int)tar_reader_data(r.t, &data)) != 0)
			if (n < 0) {
				outcome = n;
				goto out;
			}
out:
	snprintf(text, 256, "%s", r.err.len ? r.err.data : "");
	read_end(&r);
	return outcome;
}

static void test_types(void **state _unused_)
{
	static const struct {
		char flag;
		const char *name, *link, *content;
		char type;
		bool hard;
	} cases[] = {
		{ '0', "a", NULL, "content", 'f', false },
		{ '\0', "b", NULL, "x", 'f', false },
		{ '\0', "folder/", NULL, NULL, 'd', false },
		{ '7', "c", NULL, "y", 'f', false },
		{ '5', "dir/", NULL, NULL, 'd', false },
		{ '2', "l", "../to", NULL, 'l', false },
		{ '1', "h", "a", NULL, 0, true },
		{ '3', "null", NULL, NULL, 'c', false },
		{ '4', "sda", NULL, NULL, 'b', false },
		{ '6', "fifo", NULL, NULL, 'p', false },
	};
	static const size_t pieces[] = { 1, 7, 511, 512, 513, 100000 };
	_cleanup_buf_ struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = cases[i].content ? strlen(cases[i].content) : 0;
		struct tarball_header h = {
			cases[i].flag, cases[i].name, cases[i].link, 04751, 1000, 07777777, 5, len, 8, 1
		};

		tarball_block(&b, &h);
		tarball_content(&b, cases[i].content ? cases[i].content : "", len);
	}
	tarball_end(&b);
	for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
		struct tar_entry e;
		struct read r;

		read_start(&r, &b, pieces[p]);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			char content[16] = "";
			const uint8_t *data;
			size_t have = 0;
			ssize_t n;

			assert_int_equal(tar_reader_next(r.t, &e), 1);
			assert_string_equal(e.path, cases[i].name);
			assert_int_equal(e.rec.type, cases[i].type);
			assert_int_equal(e.hard_link, cases[i].hard);
			if (cases[i].link)
				assert_string_equal(e.link, cases[i].link);
			assert_int_equal(e.rec.mode, 04751);
			assert_int_equal(e.rec.uid, 1000);
			assert_int_equal(e.rec.gid, 07777777);
			assert_true(e.rec.mtime == 5 * (int64_t)NSEC_PER_SEC);
			if (e.rec.type == 'c' || e.rec.type == 'b')
				assert_int_equal(e.rec.rdev, makedev(8, 1));
			/* Every other one is left unread: the reader finds the next all the same. */
			while (i % 2 == 0 && (n = tar_reader_data(r.t, &data)) > 0) {
				memcpy(content + have, data, (size_t)n);
				have += (size_t)n;
			}
			if (i % 2 == 0)
				assert_string_equal(content, cases[i].content ? cases[i].content : "");
		}
		assert_int_equal(tar_reader_next(r.t, &e), 0);
		read_end(&r);
	}
}

/* PAX says more than the block, and goes before it; of two headers the later one counts. */
static void test_pax(void **state _unused_)
{
	static const char *const first[] = { "path=wrong", "uid=1", "SCHILY.xattr.user.gone=1", NULL };
	static const char *const second[] = { "path=\xff\xfe/e\xcc\x81",
					      "uid=4294967295",
					      "gid=70000",
					      "mtime=-1.5",
					      "size=3",
					      "SCHILY.xattr.user.z=last",
					      "SCHILY.xattr.user.a=\x01\x02",
					      "SCHILY.xattr.user.a=again",
					      "SCHILY.xattr.security.selinux=label",
					      "SCHILY.xattr.trusted.overlay.opaque=y",
					      "SCHILY.xattr.security.capability=\x01",
					      "comment=whatever",
					      NULL };
	static const char *const taken_back[] = { "path=other", "path=", "mtime=3.000000001999", NULL };
	_cleanup_buf_ struct buf b = BUF_INIT;
	const uint8_t *data;
	struct tar_entry e;
	struct read r;
	size_t len;

	tarball_pax(&b, first);
	tarball_pax(&b, second);
	tarball_block(&b, &(struct tarball_header){ '0', "block", NULL, 0600, 5, 5, 5, 600, 0, 0 });
	tarball_content(&b, "abc", 3);
	tarball_pax(&b, taken_back);
	tarball_entry(&b, '0', "kept", NULL, "");
	tarball_entry(&b, '0', "plain", NULL, "");
	tarball_end(&b);
	read_start(&r, &b, 1000);
	assert_int_equal(tar_reader_next(r.t, &e), 1);
	assert_string_equal(e.path, "\xff\xfe/e\xcc\x81");
	assert_int_equal(e.rec.uid, UINT32_MAX);
	assert_int_equal(e.rec.gid, 70000);
	assert_true(e.rec.mtime == -1500000000);
	assert_int_equal(e.rec.size, 3);
	assert_int_equal(tar_reader_data(r.t, &data), 3);
	assert_memory_equal(data, "abc", 3);
	assert_memory_equal(record_xattr(&e.rec, "user.a", &len), "again", 5);
	assert_non_null(record_xattr(&e.rec, "user.z", &len));
	assert_non_null(record_xattr(&e.rec, "security.capability", &len));
	assert_null(record_xattr(&e.rec, "security.selinux", &len));
	assert_null(record_xattr(&e.rec, "trusted.overlay.opaque", &len));
	assert_null(record_xattr(&e.rec, "user.gone", &len));
	assert_int_equal(tar_reader_next(r.t, &e), 1);
	assert_string_equal(e.path, "kept");
	assert_true(e.rec.mtime == 3000000001);
	assert_int_equal(tar_reader_next(r.t, &e), 1);
	assert_string_equal(e.path, "plain");
	assert_int_equal(e.rec.xattrs_len, 0);
	assert_int_equal(tar_reader_next(r.t, &e), 0);
	read_end(&r);
}

static void test_gnu(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char name[300], link[200];
	struct tar_entry e;
	struct read r;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(link, 'k', sizeof(link) - 1);
	link[sizeof(link) - 1] = '\0';
	tarball_entry(&b, 'L', "././@LongLink", NULL, name);
	tarball_entry(&b, 'K', "././@LongLink", NULL, link);
	tarball_entry(&b, '2', "nnn", "kkk", NULL);
	tarball_entry(&b, '0', "next", NULL, "");
	tarball_end(&b);
	/* Numbers of base 256, and a prefix. */
	read_start(&r, &b, 64);
	assert_int_equal(tar_reader_next(r.t, &e), 1);
	assert_string_equal(e.path, name);
	assert_string_equal(e.rec.target, link);
	assert_int_equal(tar_reader_next(r.t, &e), 1);
	assert_string_equal(e.path, "next");
	read_end(&r);

	buf_reset(&b);
	tarball_entry(&b, '0', "file", NULL, "");
	memcpy(b.data + 345, "some/prefix", 11);
	memcpy(b.data + 108, "\x80\0\0\0\xff\xff\xff\xfe", 8);
	memcpy(b.data + 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
	tarball_checksum((uint8_t *)b.data);
	tarball_end(&b);
	read_start(&r, &b, 64);
	assert_int_equal(tar_reader_next(r.t, &e), 1);
	assert_string_equal(e.path, "some/prefix/file");
	assert_int_equal(e.rec.uid, 4294967294u);
	assert_true(e.rec.mtime == -2 * (int64_t)NSEC_PER_SEC);
	read_end(&r);
}

/* Bytes at an offset of a good archive ("0" file "name" of three bytes), and what becomes of it. */
static void test_malformed(void **state _unused_)
{
	static const struct {
		size_t at;
		const char *bytes;
		size_t len;
		bool keep_checksum;
		int want;
		const char *text;
	} cases[] = {
		{ 0, "x", 1, true, -EBADMSG, "wrong checksum" },
		{ 124, "99999999999", 11, false, -EBADMSG, "a number in a header" },
		{ 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, false, -EBADMSG, "a size out of range" },
		{ 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12, false, -EBADMSG, "cut short" },
		{ 124, "77777777777", 11, false, -EBADMSG, "cut short" },
		{ 108, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, false, -EBADMSG, "an owner out of range" },
		{ 136, "\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, false, -EBADMSG,
		  "a number in a header" },
		{ 156, "S", 1, false, -EOPNOTSUPP, "a sparse file: name" },
		{ 156, "Z", 1, false, -EBADMSG, "an entry of unknown type 0x5a: name" },
		{ 156, "x", 1, false, -EBADMSG, "a PAX header" },
		{ 0, "\x1b[2J", 5, false, 0, "" },
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		int r;

		tarball_entry(&b, '0', "name", NULL, "abc");
		tarball_end(&b);
		memcpy(b.data + cases[i].at, cases[i].bytes, cases[i].len);
		if (!cases[i].keep_checksum)
			tarball_checksum((uint8_t *)b.data);
		r = read_all(&b, 4096, text);
		if (r != cases[i].want || !strstr(text, cases[i].text))
			fail_msg("case %zu: %d %s", i, r, text);
	}
}

static void test_bad_pax(void **state _unused_)
{
	static const struct {
		const char *content;
		int want;
		const char *text;
	} cases[] = {
		{ "", 0, "" },
		{ "9 path=x\n", 0, "" },
		{ "8 path=x\n", -EBADMSG, "a PAX header" },
		{ "99 path=x\n", -EBADMSG, "a PAX header" },
		{ "-9 path=x\n", -EBADMSG, "a PAX header" },
		{ "18446744073709551615 a=b\n", -EBADMSG, "a PAX header" },
		{ "99999999999999999999999 a=b\n", -EBADMSG, "a PAX header" },
		{ "9 path x\n", -EBADMSG, "a PAX header" },
		{ "6 =xy\n", -EBADMSG, "a PAX header" },
		{ "4 a\n", -EBADMSG, "a PAX header" },
		{ "10 size=-1\n", -EBADMSG, "a PAX header" },
		{ "11 size=-1\n", -EBADMSG, "a number in a PAX header" },
		{ "29 size=18446744073709551615\n", -EBADMSG, "a size out of range" },
		{ "30 size=118446744073709551615\n", -EBADMSG, "a number" },
		{ "18 uid=4294967296\n", -EBADMSG, "an owner out of range" },
		{ "13 mtime=1.x\n", -EBADMSG, "a time" },
		{ "29 mtime=9999999999999999999\n", -EBADMSG, "a time" },
		{ "22 GNU.sparse.major=1\n", -EOPNOTSUPP, "a sparse file" },
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		int r;

		tarball_entry(&b, 'x', "pax", NULL, cases[i].content);
		tarball_entry(&b, '0', "name", NULL, "");
		tarball_end(&b);
		r = read_all(&b, 4096, text);
		if (r != cases[i].want || !strstr(text, cases[i].text))
			fail_msg("%s: %d %s", cases[i].content, r, text);
	}
}

/* An archive that ends anywhere: at the edge of an entry that is its end, elsewhere it is cut short. */
static void test_cut(void **state _unused_)
{
	static const char *const pax[] = { "path=x", NULL };
	_cleanup_buf_ struct buf whole = BUF_INIT;
	char text[256];

	tarball_entry(&whole, '5', "d", NULL, NULL);
	tarball_pax(&whole, pax);
	tarball_entry(&whole, '0', "name", NULL, "abc");
	tarball_end(&whole);
	for (size_t len = 0; len <= whole.len; len++) {
		struct buf b = { whole.data, len, len, false };
		int r = read_all(&b, 300, text);
		/* In front of an entry, or of what its header needs, and not inside either. */
		bool edge = len % 512 == 0 && len != 1024 && len != 2048;

		if (r != (edge ? 0 : -EBADMSG))
			fail_msg("%zu bytes: %d %s", len, r, text);
	}
}

/* Headers that would take all memory. */
static void test_bounds(void **state _unused_)
{
	static const char flags[] = { 'x', 'L', 'K', 'g' };
	char text[256];

	for (size_t i = 0; i < sizeof(flags); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		tarball_block(&b, &(struct tarball_header){ flags[i], "big", NULL, 0, 0, 0, 0, 8589934591, 0, 0 });
		tarball_end(&b);
		assert_int_equal(read_all(&b, 4096, text), -E2BIG);
		assert_non_null(strstr(text, "a header of 8589934591 bytes"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),	  cmocka_unit_test(test_pax),	  cmocka_unit_test(test_gnu),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_bad_pax), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
