/* event/attr, attr_format, xattr: groups and words, comparing, what is shown; xattrs of the kernel and malformed ones.
 */
#include "tests/test.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "event/attr.h"
#include "event/attr_format.h"

static attr_mask apply(const char *words)
{
	char copy[256], *rest = copy, *word;
	attr_mask mask = 0;

	assert_true(strlen(words) < sizeof(copy));
	strcpy(copy, words);
	while ((word = strsep(&rest, ",")) && *word)
		assert_int_equal(attr_apply(word, &mask), 0);
	return mask;
}

static void test_table(void **state _unused_)
{
	enum attr attr;

	for (unsigned i = 0; i < ATTR_COUNT; i++) {
		assert_non_null(attr_table[i].name);
		assert_non_null(attr_table[i].help);
		assert_non_null(attr_table[i].differ);
		assert_non_null(attr_table[i].format);
		assert_non_null(attr_table[i].json);
		assert_int_equal(attr_by_name(attr_table[i].name, &attr), 0);
		assert_int_equal(attr, i);
	}
	assert_int_equal(attr_by_name("nope", &attr), -EINVAL);
}

static void test_apply(void **state _unused_)
{
	attr_mask all = apply("all"), mask = 0;

	assert_false(all & ATTR_BIT(ATTR_INO));
	assert_true(all & ATTR_BIT(ATTR_CTIME) && all & ATTR_GROUPED_CTIME);
	assert_int_equal(apply("all,-all"), 0);
	assert_int_equal(apply("all,-ctime") & (ATTR_BIT(ATTR_CTIME) | ATTR_GROUPED_CTIME), 0);
	assert_int_equal(apply("all,ctime"), all & ~ATTR_GROUPED_CTIME);
	assert_int_equal(apply("ctime,all"), apply("all,ctime"));
	assert_int_equal(apply("size"), ATTR_BIT(ATTR_SIZE));
	assert_true(apply("growing") & ATTR_GROWING);
	assert_false(apply("growing,-growing"));
	assert_int_equal(attr_apply("nope", &mask), -EINVAL);
	assert_int_equal(attr_apply("-", &mask), -EINVAL);
	assert_int_equal(attr_apply("", &mask), -EINVAL);
	assert_int_equal(mask, 0);
}

/* Words of a mask make the mask again. */
static void test_words(void **state _unused_)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "mode,digest", "mode,digest" },
		{ "all", "all" },
		{ "all,-ctime", "all,-ctime" },
		{ "all,ctime,ino", "all,ctime,ino" },
		{ "permissions", "type,mode,uid,gid,xattrs,acl,caps,selinux,flags" },
		{ "content", "content" },
		{ "content,mode", "content,mode" },
		{ "growing", "growing" },
		{ "growing,-uid,mtime", "growing,-uid,mtime" },
		{ "all,growing", "all,growing" },
		{ "all,growing,-size", "all,growing,-size" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		attr_mask mask = apply(cases[i].in), back = 0;
		json_t *list = attr_mask_json(mask), *word;
		size_t n;

		buf_str(&b, "");
		attr_mask_text(&b, mask);
		assert_string_equal(b.data, cases[i].out);
		json_array_foreach(list, n, word) assert_int_equal(attr_apply(json_string_value(word), &back), 0);
		assert_int_equal(back, mask);
		json_decref(list);
	}
}

static void test_words_random(void **state _unused_)
{
	srandom(4);
	for (int round = 0; round < 20000; round++) {
		attr_mask mask = 0, back = 0;
		json_t *list, *word;
		size_t n;

		for (long k = random() % 6; k >= 0; k--) {
			char name[32];
			size_t which = (size_t)random() % (ATTR_COUNT + attr_group_count);

			snprintf(name, sizeof(name), "%s%s", random() % 3 ? "" : "-",
				 which < ATTR_COUNT ? attr_table[which].name : attr_groups[which - ATTR_COUNT].name);
			assert_int_equal(attr_apply(name, &mask), 0);
		}
		list = attr_mask_json(mask);
		json_array_foreach(list, n, word) assert_int_equal(attr_apply(json_string_value(word), &back), 0);
		if (mask & ATTR_ALL)
			assert_int_equal(back, mask);
		json_decref(list);
	}
}

static void test_compare(void **state _unused_)
{
	const struct record base = { .have = ATTR_ALL,
				     .type = 'f',
				     .mode = 0644,
				     .uid = 1,
				     .size = 5,
				     .mtime = 7,
				     .ctime = 8,
				     .digest_len = 32,
				     .target = "t",
				     .mime = "m" };
	attr_mask all = apply("all");
	struct record r;

	assert_int_equal(attr_compare(&base, &base, all), 0);
	r = base;
	r.mode = 0600;
	r.size = 6;
	r.ino = 9;
	r.digest[31] = 1;
	assert_int_equal(attr_compare(&base, &r, all),
			 ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST));
	assert_int_equal(attr_compare(&base, &r, ATTR_BIT(ATTR_INO)), ATTR_BIT(ATTR_INO));
	r = base;
	r.have &= ~(ATTR_BIT(ATTR_MIME) | ATTR_BIT(ATTR_TARGET) | ATTR_BIT(ATTR_FLAGS));
	r.mime = r.target = NULL;
	r.flags = FS_IMMUTABLE_FL;
	assert_int_equal(attr_compare(&base, &r, all), 0);
	r = base;
	r.target = "u";
	r.flags = FS_EXTENT_FL | FS_INDEX_FL | FS_IMMUTABLE_FL;
	assert_int_equal(attr_compare(&base, &r, all), ATTR_BIT(ATTR_TARGET) | ATTR_BIT(ATTR_FLAGS));
	r.flags = FS_EXTENT_FL | FS_INDEX_FL;
	assert_int_equal(attr_compare(&base, &r, all), ATTR_BIT(ATTR_TARGET));
}

/* A label that is not compared is not compared among all xattrs either; what else differs is. */
static void test_compare_label(void **state _unused_)
{
	static const struct {
		const char *a[3], *b[3]; /* names of xattrs with the value "x" */
		const char *mask;
		const char *want;
	} cases[] = {
		{ { "security.selinux" }, { NULL }, "xattrs,selinux", "xattrs,selinux" },
		{ { "security.selinux" }, { NULL }, "xattrs", "" },
		{ { NULL }, { "security.selinux" }, "all,-selinux", "" },
		{ { "security.ima", "user.x" }, { "security.ima", "security.selinux", "user.x" }, "xattrs", "" },
		{ { "security.ima" }, { "security.ima", "security.selinux", "user.x" }, "xattrs", "xattrs" },
		{ { "security.selinux", "user.y" }, { "user.x" }, "xattrs", "xattrs" },
		{ { "user.x" }, { "security.selinux" }, "all,-selinux", "xattrs" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf bytes[2] = { BUF_INIT, BUF_INIT };
		struct record r[2] = { { .have = ATTR_BIT(ATTR_XATTRS) }, { .have = ATTR_BIT(ATTR_XATTRS) } };

		for (int k = 0; k < 2; k++) {
			const char *const *names = k ? cases[i].b : cases[i].a;

			for (int n = 0; n < 3 && names[n]; n++) {
				buf_bytes(&bytes[k], names[n], strlen(names[n]));
				buf_bytes(&bytes[k], "x", 1);
			}
			r[k].xattrs = (const uint8_t *)bytes[k].data;
			r[k].xattrs_len = (uint32_t)bytes[k].len;
		}
		assert_int_equal(attr_compare(&r[0], &r[1], apply(cases[i].mask)), apply(cases[i].want));
		buf_free(&bytes[0]);
		buf_free(&bytes[1]);
	}
}

static void test_compare_digest(void **state _unused_)
{
	static const struct {
		unsigned unread;
		bool differs;
	} cases[] = { { RECORD_NOT_ASKED, false },
		      { RECORD_READ, false },
		      { EACCES, true },
		      { RECORD_UNSTABLE, true },
		      { RECORD_TOO_LARGE, true } };
	struct record with = { .have = ATTR_BIT(ATTR_DIGEST), .type = 'f', .digest_len = 32 },
		      without = { .type = 'f' };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		attr_mask want = cases[i].differs ? ATTR_BIT(ATTR_DIGEST) : 0;

		without.unread = (uint16_t)cases[i].unread;
		assert_int_equal(attr_compare(&with, &without, apply("all")), want);
		assert_int_equal(attr_compare(&without, &with, apply("all")), want);
		assert_int_equal(attr_compare(&with, &without, apply("mode")), 0);
		assert_int_equal(attr_compare(&without, &without, apply("all")), 0);
	}
}

static void test_compare_folder(void **state _unused_)
{
	static const struct {
		const char *words, *differ;
	} cases[] = {
		{ "all", "mode" },
		{ "all,mtime", "mode,mtime" },
		{ "all,-mode", "" },
		{ "size,nlink", "size,nlink" },
		{ "content,ctime", "ctime" },
		{ "mtime,all,nlink", "mode,mtime,nlink" },
	};
	struct record a = { .have = ATTR_ALL, .type = 'd', .mode = 0755 }, b = a;

	b.mode = 0700;
	b.size = b.nlink = 3;
	b.mtime = b.ctime = 4;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(attr_compare(&a, &b, apply(cases[i].words)), apply(cases[i].differ));
	a.type = b.type = 'f';
	assert_int_equal(attr_compare(&a, &b, apply("all")), apply("mode,size,mtime,ctime,nlink"));
	a.type = 'd'; /* became a file */
	assert_int_equal(attr_compare(&a, &b, apply("all")), apply("type,mode,size,mtime,ctime,nlink"));
}

/* --- what is shown */

static struct record with_xattr(struct buf *b, const char *name, const void *value, size_t len)
{
	struct record r = { .have = ATTR_BIT(ATTR_XATTRS) };

	buf_reset(b);
	buf_bytes(b, name, strlen(name));
	buf_bytes(b, value, len);
	r.xattrs = (uint8_t *)b->data;
	r.xattrs_len = (uint32_t)b->len;
	return r;
}

static void assert_format(enum attr attr, const struct record *r, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_str(&b, "");
	attr_table[attr].format(&b, r);
	assert_string_equal(b.data, want);
}

static void assert_json(json_t *o, const char *want)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY);

	assert_string_equal(text ? text : "none", want);
	free(text);
	json_decref(o);
}

static void test_caps(void **state _unused_)
{
	static const struct {
		const char *value;
		size_t len;
		const char *text;
	} cases[] = {
		{ "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, "cap_net_raw+ep" },
		{ "\0\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, "cap_net_raw+p" },
		{ "\1\0\0\1\3\0\0\0\1\0\0\0", 12, "cap_chown+eip cap_dac_override+ep" },
		{ "\0\0\0\2\0\0\0\0\0\4\0\0\0\0\0\0\0\0\0\0", 20, "cap_net_bind_service+i" },
		{ "\1\0\0\3\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xe8\3\0\0", 24, "cap_net_raw+ep [rootid=1000]" },
		{ "\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\x80\0\0\0\0", 20, "cap_63+ep" },
		{ "\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, "=" },
		{ "", 0, "malformed (0 bytes)" },
		{ "\1\0\0\2\0\x20\0\0", 8, "malformed (8 bytes)" },
		{ "\1\0\0\4\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, "malformed (20 bytes)" },
		{ "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 21, "malformed (21 bytes)" },
		{ "\3\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, "malformed (20 bytes)" },
	};
	_cleanup_buf_ struct buf xattrs = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct record r = with_xattr(&xattrs, "security.capability", cases[i].value, cases[i].len);

		assert_format(ATTR_CAPS, &r, cases[i].text);
	}
}

static const char acl_value[] = "\2\0\0\0"
				"\1\0\6\0\xff\xff\xff\xff"
				"\2\0\4\0\xe8\3\0\0"
				"\4\0\4\0\xff\xff\xff\xff"
				"\x10\0\5\0\xff\xff\xff\xff"
				"\x20\0\0\0\xff\xff\xff\xff";

static void test_acl(void **state _unused_)
{
	static const struct {
		const char *name;
		const char *value;
		size_t len;
		const char *text;
	} cases[] = {
		{ "system.posix_acl_access", acl_value, sizeof(acl_value) - 1,
		  "user::rw-,user:1000:r--,group::r--,mask::r-x,other::---" },
		{ "system.posix_acl_default", acl_value, 12, "default:user::rw-" },
		{ "system.posix_acl_access", acl_value, 4, "empty" },
		{ "system.posix_acl_access", acl_value, 3, "malformed (3 bytes)" },
		{ "system.posix_acl_access", acl_value, 15, "malformed (15 bytes)" },
		{ "system.posix_acl_default", "\3\0\0\0", 4, "default:malformed (4 bytes)" },
		{ "system.posix_acl_access", "\2\0\0\0\3\0\0\0\0\0\0\0", 12, "malformed (12 bytes)" },
		{ "system.posix_acl_access", "\2\0\0\0\1\0\x08\0\0\0\0\0", 12, "malformed (12 bytes)" },
		{ "user.other", "x", 1, "" },
	};
	_cleanup_buf_ struct buf xattrs = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct record r = with_xattr(&xattrs, cases[i].name, cases[i].value, cases[i].len);

		assert_format(ATTR_ACL, &r, cases[i].text);
	}
}

static void test_xattrs(void **state _unused_)
{
	static const struct {
		const char *value;
		size_t len;
		const char *text, *json;
	} cases[] = {
		{ "plain", 5, "user.a=plain", "{\"user.a\":\"plain\"}" },
		{ "", 0, "user.a=", "{\"user.a\":\"\"}" },
		{ "a\nb", 3, "user.a=0x610a62", "{\"user.a\":\"0x610a62\"}" },
		{ "\xff", 1, "user.a=0xff", "{\"user.a\":\"0xff\"}" },
		{ "0xff", 4, "user.a=0x30786666", "{\"user.a\":\"0x30786666\"}" },
		{ "caf\xc3\xa9", 5, "user.a=caf\xc3\xa9", "{\"user.a\":\"caf\xc3\xa9\"}" },
	};
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	struct record r = { .have = ATTR_BIT(ATTR_XATTRS) };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		r = with_xattr(&xattrs, "user.a", cases[i].value, cases[i].len);
		assert_format(ATTR_XATTRS, &r, cases[i].text);
		assert_json(attr_table[ATTR_XATTRS].json(&r), cases[i].json);
	}
	r = with_xattr(&xattrs, "security.selinux", "system_u:object_r:etc_t:s0", 27);
	assert_format(ATTR_SELINUX, &r, "system_u:object_r:etc_t:s0");
	r = with_xattr(&xattrs, "user.\n", "x", 1);
	assert_json(attr_table[ATTR_XATTRS].json(&r), "{\"user.\\\\n\":\"x\"}");
	r.xattrs_len--;
	assert_format(ATTR_XATTRS, &r, "malformed (14 bytes)");
	assert_json(attr_table[ATTR_XATTRS].json(&r), "{}");
}

static void test_format(void **state _unused_)
{
	const struct record r = { .have = ATTR_ALL,
				  .type = 'l',
				  .mode = 04755,
				  .uid = 1000,
				  .size = UINT64_MAX,
				  .mtime = 1769860800500000000,
				  .ctime = -1,
				  .dev = makedev(8, 1),
				  .ino = 1ULL << 63,
				  .rdev = makedev(259, 70000),
				  .nlink = 2,
				  .target = "a\xff\n",
				  .flags = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_EXTENT_FL | 0x80000000,
				  .digest_len = 3,
				  .digest = { 0, 0xab, 0xff },
				  .mime = "text/plain",
				  .layer = 7 };
	static const struct {
		enum attr attr;
		const char *text, *json;
	} cases[] = {
		{ ATTR_TYPE, "symlink", "\"symlink\"" },
		{ ATTR_MODE, "4755", "\"4755\"" },
		{ ATTR_UID, "1000", "1000" },
		{ ATTR_GID, "0", "0" },
		{ ATTR_SIZE, "18446744073709551615", "\"18446744073709551615\"" },
		{ ATTR_MTIME, "2026-01-31T12:00:00.5Z", "\"2026-01-31T12:00:00.500000000Z\"" },
		{ ATTR_CTIME, "1969-12-31T23:59:59.999999999Z", "\"1969-12-31T23:59:59.999999999Z\"" },
		{ ATTR_DEV, "8:1", "\"8:1\"" },
		{ ATTR_INO, "9223372036854775808", "\"9223372036854775808\"" },
		{ ATTR_NLINK, "2", "2" },
		{ ATTR_TARGET, "a\\xff\\n", "\"a\\\\xff\\\\n\"" },
		{ ATTR_DIGEST, "00abff", "\"00abff\"" },
		{ ATTR_RDEV, "259:70000", "\"259:70000\"" },
		{ ATTR_XATTRS, "", "none" },
		{ ATTR_ACL, "", "none" },
		{ ATTR_CAPS, "", "none" },
		{ ATTR_SELINUX, "", "none" },
		{ ATTR_FLAGS, "iae+0x80000000", "\"iae+0x80000000\"" },
		{ ATTR_MIME, "text/plain", "\"text/plain\"" },
		{ ATTR_LAYER, "7", "7" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_format(cases[i].attr, &r, cases[i].text);
		assert_json(attr_table[cases[i].attr].json(&r), cases[i].json);
	}
}

static void test_json(void **state _unused_)
{
	struct record r = { .have = ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_TARGET),
			    .mode = 0644,
			    .target = "\xff",
			    .unread = EACCES };

	assert_json(attr_json(&r, ATTR_ALL), "{\"mode\":\"0644\",\"uid\":0,\"target\":\"\\\\xff\","
					     "\"target_raw\":\"ff\",\"unread\":\"permission denied\"}");
	assert_json(attr_json(&r, ATTR_BIT(ATTR_MODE)), "{\"mode\":\"0644\"}");
	r.unread = RECORD_NOT_ASKED;
	assert_json(attr_json(&r, ATTR_BIT(ATTR_DIGEST)), "{}");
}

/* What the kernel gives back for an ACL and capabilities set on a real file. */
static void test_kernel(void **state _unused_)
{
	static const struct {
		enum attr attr;
		const char *name, *value;
		size_t len;
		const char *text;
	} cases[] = {
		{ ATTR_ACL, ATTR_XATTR_ACL_ACCESS, acl_value, sizeof(acl_value) - 1,
		  "user::rw-,user:1000:r--,group::r--,mask::r-x,other::---" },
		{ ATTR_CAPS, ATTR_XATTR_CAPS, "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, "cap_net_raw+ep" },
	};
	char path[] = "/tmp/holdfast-attr-XXXXXX", value[256];
	_cleanup_close_ int fd = mkstemp(path);
	_cleanup_buf_ struct buf xattrs = BUF_INIT;
	unsigned done = 0;

	assert_true(fd >= 0);
	unlink(path);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct record r;
		ssize_t len;

		if (fsetxattr(fd, cases[i].name, cases[i].value, cases[i].len, 0) < 0) {
			print_message("%s: %s\n", cases[i].name, strerror(errno));
			continue;
		}
		len = fgetxattr(fd, cases[i].name, value, sizeof(value));
		assert_true(len > 0);
		r = with_xattr(&xattrs, cases[i].name, value, (size_t)len);
		assert_format(cases[i].attr, &r, cases[i].text);
		done++;
	}
	if (!done)
		skip();
}

/* Any bytes as any xattr value, and as the list itself: no fault. */
static void test_any(void **state _unused_)
{
	static const char *const names[] = { "system.posix_acl_access", "system.posix_acl_default",
					     "security.capability", "security.selinux", "user.x" };
	_cleanup_buf_ struct buf xattrs = BUF_INIT, text = BUF_INIT;

	srandom(5);
	for (int round = 0; round < 100000; round++) {
		uint8_t value[48];
		size_t len = (size_t)random() % sizeof(value);
		struct record r;

		for (size_t i = 0; i < len; i++)
			value[i] = (uint8_t)(random() % 3 ? random() % 4 : random());
		r = with_xattr(&xattrs, names[random() % 5], value, len);
		if (random() % 4 == 0)
			xattrs.data[(size_t)random() % xattrs.len] = (char)random();
		buf_reset(&text);
		for (unsigned i = 0; i < ATTR_COUNT; i++)
			attr_table[i].format(&text, &r);
		json_decref(attr_json(&r, ATTR_ALL));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_words_random),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_compare_label),
		cmocka_unit_test(test_compare_digest),
		cmocka_unit_test(test_compare_folder),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_acl),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
