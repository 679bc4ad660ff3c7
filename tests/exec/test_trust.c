/* The trust snapshot: what each source vouches for, in which order, and what none does. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/script.h"
#include "exec/trust.h"
#include "exec/trust_file.h"
#include "tests/test.h"

static const enum trust_source order[] = { TRUST_BASELINES, TRUST_PACKAGES, TRUST_EXPLICIT };
static char dir[64];

static const char *in_dir(const char *name)
{
	static char ring[4][256];
	static unsigned next;
	char *s = ring[next++ % 4];

	snprintf(s, 256, "%s/%s", dir, name);
	return s;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void make_dirs(const char *path)
{
	char text[512];

	snprintf(text, sizeof(text), "mkdir -p %s", path);
	assert_int_equal(system(text), 0);
}

static void read_digests(const char *path, unsigned algos, const char *extra, struct exec_digests *ret, struct stat *st)
{
	_cleanup_exec_hash_ struct exec_hash *h = NULL;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(exec_hash_new(&h), 0);
	assert_true(fd >= 0 && fstat(fd, st) == 0);
	assert_int_equal(exec_hash_fd(h, fd, (uint64_t)st->st_size, algos, extra, ret), 0);
}

static void test_hash(void **state _unused_)
{
	_cleanup_exec_hash_ struct exec_hash *h = NULL;
	static struct exec_digests d;
	struct stat st;
	_cleanup_buf_ struct buf hex = BUF_INIT;
	int fd;

	write_file(in_dir("abc"), "abc");
	read_digests(in_dir("abc"), 1u << DIGEST_SHA512, "MD5", &d, &st);
	buf_hex(&hex, d.digest[DIGEST_SHA256], 32);
	assert_string_equal(hex.data,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180 */
	buf_reset(&hex);
	buf_hex(&hex, d.extra, d.extra_len);
	assert_string_equal(hex.data, "900150983cd24fb0d6963f7d28e17f72"); /* RFC 1321 */
	assert_true(d.have & 1u << DIGEST_SHA512);
	assert_int_equal(d.head_len, 3);

	assert_int_equal(exec_hash_new(&h), 0);
	fd = open(in_dir("abc"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(exec_hash_fd(h, fd, 2, 0, NULL, &d), -EFBIG);
	assert_int_equal(exec_hash_fd(h, fd, 4, 0, NULL, &d), -ENODATA);
	assert_int_equal(exec_hash_fd(h, fd, 3, 0, "NO-SUCH-DIGEST", &d), 0);
	assert_int_equal(d.extra_len, 0);
	close(fd);
}

static void test_names(void **state _unused_)
{
	enum trust_source s;

	assert_int_equal(trust_source_by_name("dpkg", &s), 0);
	assert_int_equal(s, TRUST_PACKAGES);
	assert_int_equal(trust_source_by_name("baselines", &s), 0);
	assert_int_equal(s, TRUST_BASELINES);
	assert_int_equal(trust_source_by_name("none", &s), -EINVAL);
	assert_int_equal(trust_source_by_name("", &s), -EINVAL);
}

static void test_digests(void **state _unused_)
{
	_cleanup_trust_ struct trust *t = NULL;
	static struct exec_digests d;
	struct trust_answer a;
	struct stat st = { 0 };
	unsigned small, wide;
	uint8_t b[DIGEST_MAX];

	assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "host", DIGEST_SHA256, &small), 0);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "golden", DIGEST_SHA512, &wide), 0);
	for (unsigned i = 0; i < 5000; i++) {
		memset(b, 0, sizeof(b));
		b[0] = (uint8_t)(i * 7919 >> 8);
		b[1] = (uint8_t)(i * 7919);
		b[31] = 1;
		assert_int_equal(trust_add_digest(t, small, b), 0);
		assert_int_equal(trust_add_digest(t, small, b), 0);
		b[63] = 2;
		assert_int_equal(trust_add_digest(t, wide, b), 0);
	}
	assert_int_equal(trust_seal(t), 0);
	assert_true(trust_digest_count(t) <= 10000);
	assert_int_equal(trust_algos(t), 1u << DIGEST_SHA256 | 1u << DIGEST_SHA512);

	d.have = 1u << DIGEST_SHA256;
	for (unsigned i = 0; i < 5000; i++) {
		d.digest[DIGEST_SHA256][0] = (uint8_t)(i * 7919 >> 8);
		d.digest[DIGEST_SHA256][1] = (uint8_t)(i * 7919);
		d.digest[DIGEST_SHA256][31] = 1;
		trust_ask(t, NULL, &st, &d, NULL, &a);
		assert_int_equal(a.source, TRUST_BASELINES);
		assert_string_equal(a.why, "baseline host");
	}
	d.digest[DIGEST_SHA256][31] = 3;
	trust_ask(t, NULL, &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
	assert_string_equal(a.why, "");
	d.have |= 1u << DIGEST_SHA512;
	memcpy(d.digest[DIGEST_SHA512], b, sizeof(b));
	trust_ask(t, NULL, &st, &d, NULL, &a);
	assert_string_equal(a.why, "baseline golden");
}

/* Which of the images a container is of, and what they hold. */
static void test_images(void **state _unused_)
{
	static const struct {
		struct container c;
		int want; /* for the program that image 1 holds */
	} cases[] = {
		{ { .image_digest = "sha256:d1" }, 1 },
		{ { .image_id = "sha256:i1", .image_digest = "sha256:other" }, 1 },
		{ { .image = "x:1" }, 1 },
		{ { .image = "x:1", .image_digest = "sha256:other" }, -ENOENT },
		{ { .image_digest = "sha256:d2" }, 0 },
		{ { .image = "x:2" }, 0 },
		{ { .image = "x:3" }, -ENOENT },
		{ { .name = "web" }, -ENOENT },
	};
	_cleanup_trust_ struct trust *t = NULL;
	static struct exec_digests d;
	uint8_t b[DIGEST_MAX] = { 1 };
	unsigned set;

	assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "host", DIGEST_SHA256, &set), 0);
	assert_int_equal(trust_add_digest(t, set, b), 0);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "one", DIGEST_SHA256, &set), 0);
	assert_int_equal(trust_set_image(t, set, "sha256:d1", "sha256:i1", "x:1"), 0);
	assert_int_equal(trust_add_digest(t, set, b), 0);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "two", DIGEST_SHA256, &set), 0);
	assert_int_equal(trust_set_image(t, set, "sha256:d2", NULL, "x:2"), 0);
	assert_int_equal(trust_seal(t), 0);
	d.have = 1u << DIGEST_SHA256;
	memcpy(d.digest[DIGEST_SHA256], b, sizeof(b));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct trust_answer a = { 0 };
		int r = trust_ask_image(t, &cases[i].c, &d, &a);

		if (r != cases[i].want)
			fail_msg("%zu: %d", i, r);
		assert_string_equal(a.why, r == 1 ? "image one" : "");
	}
}

/* An image's baseline says what its containers run; on the host it vouches for nothing. */
static void test_image_scope(void **state _unused_)
{
	static const struct container own = { .image_digest = "sha256:d1" }, other = { .image_digest = "sha256:d2" },
				      unknown = { .name = "web" };
	static const struct {
		enum trust_images where;
		const struct container *c;
		enum trust_source want;
	} cases[] = {
		{ TRUST_IMAGES_OWN, NULL, TRUST_NONE },
		{ TRUST_IMAGES_OWN, &own, TRUST_BASELINES },
		{ TRUST_IMAGES_OWN, &other, TRUST_NONE },
		{ TRUST_IMAGES_OWN, &unknown, TRUST_NONE },
		{ TRUST_IMAGES_CONTAINERS, NULL, TRUST_NONE },
		{ TRUST_IMAGES_CONTAINERS, &own, TRUST_BASELINES },
		{ TRUST_IMAGES_CONTAINERS, &other, TRUST_BASELINES },
		{ TRUST_IMAGES_CONTAINERS, &unknown, TRUST_BASELINES },
		{ TRUST_IMAGES_EVERYWHERE, NULL, TRUST_BASELINES },
		{ TRUST_IMAGES_EVERYWHERE, &other, TRUST_BASELINES },
	};
	static struct exec_digests d = { .have = 1u << DIGEST_SHA256, .digest[DIGEST_SHA256] = { 1 } };
	struct stat st = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_trust_ struct trust *t = NULL, *renewed = NULL;
		struct trust_answer a;
		unsigned set;

		assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
		trust_believe_images(t, cases[i].where);
		assert_int_equal(trust_add_set(t, TRUST_BASELINES, "one", DIGEST_SHA256, &set), 0);
		assert_int_equal(trust_set_image(t, set, "sha256:d1", NULL, NULL), 0);
		assert_int_equal(trust_add_digest(t, set, d.digest[DIGEST_SHA256]), 0);
		assert_int_equal(trust_seal(t), 0);
		assert_int_equal(trust_renew(t, NULL, &renewed), 0);
		trust_ask(renewed, NULL, &st, &d, cases[i].c, &a);
		if (a.source != cases[i].want || !a.image)
			fail_msg("%zu: %d", i, a.source);
		assert_string_equal(a.why, a.source == TRUST_NONE ? "" : "image one");
	}
}

/* A baseline without a single program, as of a folder of configuration files. */
static void test_no_digests(void **state _unused_)
{
	_cleanup_trust_ struct trust *t = NULL;
	static struct exec_digests d = { .have = 1u << DIGEST_SHA256 };
	struct trust_answer a;
	struct stat st = { 0 };
	unsigned set;

	assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "etc", DIGEST_SHA256, &set), 0);
	assert_int_equal(trust_seal(t), 0);
	assert_int_equal(trust_digest_count(t), 0);
	trust_ask(t, NULL, &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
}

/* Whoever vouches: what is denied is denied, also in a snapshot with other packages. */
static void test_denied(void **state _unused_)
{
	_cleanup_trust_ struct trust *t = NULL, *renewed = NULL;
	static struct exec_digests d;
	struct trust_answer a;
	struct stat st;
	unsigned good, denied;

	write_file(in_dir("denied"), "one");
	read_digests(in_dir("denied"), 0, NULL, &d, &st);
	assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "host", DIGEST_SHA256, &good), 0);
	assert_int_equal(trust_add_set(t, TRUST_DENIED, "denied", DIGEST_SHA256, &denied), 0);
	assert_int_equal(trust_add_digest(t, good, d.digest[DIGEST_SHA256]), 0);
	assert_int_equal(trust_add_digest(t, denied, d.digest[DIGEST_SHA256]), 0);
	assert_int_equal(trust_add_path(t, in_dir("denied")), 0);
	assert_int_equal(trust_seal(t), 0);
	assert_int_equal(trust_digest_count(t), 1);
	assert_int_equal(trust_denied_count(t), 1);
	assert_int_equal(trust_renew(t, NULL, &renewed), 0);
	trust_ask(renewed, in_dir("denied"), &st, &d, NULL, &a);
	assert_true(a.denied && a.source == TRUST_NONE);
	d.digest[DIGEST_SHA256][0] ^= 1;
	trust_ask(renewed, in_dir("denied"), &st, &d, NULL, &a);
	assert_true(!a.denied && a.source == TRUST_EXPLICIT);
}

/* Made anew is just the list; baselines are shared, whatever snapshot of the line goes first. */
static void test_relist(void **state _unused_)
{
	struct trust *t = NULL, *line[6];
	static struct exec_digests d = { .have = 1u << DIGEST_SHA256 };
	const struct stat st = { 0 };
	struct trust_answer a;
	unsigned good, denied;

	assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
	assert_int_equal(trust_add_set(t, TRUST_DENIED, "denied", DIGEST_SHA256, &denied), 0);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "host", DIGEST_SHA256, &good), 0);
	assert_int_equal(trust_add_digest(t, good, d.digest[DIGEST_SHA256]), 0);
	assert_int_equal(trust_add_digest(t, denied, d.digest[DIGEST_SHA256]), 0);
	assert_int_equal(trust_add_path(t, "/by/hand"), 0);
	assert_int_equal(trust_seal(t), 0);
	line[0] = t;
	for (size_t i = 1; i < ARRAY_SIZE(line); i++) {
		if (i % 2) {
			assert_int_equal(trust_relist(line[i - 1], &line[i]), 0);
			assert_int_equal(trust_add_set(line[i], TRUST_DENIED, "denied", DIGEST_SHA256, &denied), 0);
			if (i == 3)
				assert_int_equal(trust_add_digest(line[i], denied, d.digest[DIGEST_SHA256]), 0);
			assert_int_equal(trust_seal(line[i]), 0);
		} else {
			assert_int_equal(trust_renew(line[i - 1], NULL, &line[i]), 0);
		}
		trust_unref(line[i - 1]);
		trust_ask(line[i], NULL, &st, &d, NULL, &a);
		assert_int_equal(a.denied, i == 3 || i == 4);
		assert_int_equal(a.source, a.denied ? TRUST_NONE : TRUST_BASELINES);
		assert_int_equal(trust_digest_count(line[i]), 1);
		assert_int_equal(trust_path_count(line[i]), 0);
	}
	trust_unref(line[ARRAY_SIZE(line) - 1]);
}

static void test_paths(void **state _unused_)
{
	_cleanup_trust_ struct trust *t = NULL;
	static struct exec_digests d;
	struct trust_answer a;
	struct stat st;

	write_file(in_dir("by-path"), "one");
	assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
	assert_int_equal(trust_add_path(t, "relative"), -EINVAL);
	assert_int_equal(trust_add_path(t, in_dir("by-path")), 0);
	assert_int_equal(trust_add_path(t, in_dir("absent")), 0);
	assert_int_equal(trust_seal(t), 0);
	read_digests(in_dir("by-path"), 0, NULL, &d, &st);
	trust_ask(t, in_dir("by-path"), &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_EXPLICIT);
	/* The name alone is not it: another file that is called so somewhere else. */
	st.st_ino++;
	trust_ask(t, in_dir("by-path"), &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
	trust_ask(t, in_dir("absent"), &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
}

static void test_globs(void **state _unused_)
{
	_cleanup_trust_ struct trust *t = NULL;
	static struct exec_digests d;
	struct trust_answer a;
	char pattern[300];
	struct stat st;

	make_dirs(in_dir("sub/deep"));
	write_file(in_dir("sub/deep/tool"), "one");
	assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
	snprintf(pattern, sizeof(pattern), "%s/sub/**/t*l", dir);
	assert_int_equal(trust_add_path(t, pattern), 0);
	for (int i = 1; i < 256; i++)
		assert_int_equal(trust_add_path(t, "/nowhere/*"), 0);
	assert_int_equal(trust_add_path(t, "/nowhere/*"), -E2BIG);
	assert_int_equal(trust_seal(t), 0);
	assert_int_equal(trust_path_count(t), 256);
	read_digests(in_dir("sub/deep/tool"), 0, NULL, &d, &st);
	trust_ask(t, in_dir("sub/deep/tool"), &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_EXPLICIT);
	trust_ask(t, in_dir("sub/deep/other"), &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
	trust_ask(t, in_dir("deep/tool"), &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
}

static struct packages *tool_packages(const char *root, const char *md5)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	char path[300], text[200];
	struct packages *p;

	snprintf(path, sizeof(path), "%s/var/lib/dpkg/info", root);
	make_dirs(path);
	snprintf(path, sizeof(path), "%s/var/lib/dpkg/status", root);
	write_file(path, "Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n");
	snprintf(path, sizeof(path), "%s/var/lib/dpkg/info/tool.md5sums", root);
	snprintf(text, sizeof(text), "%s  usr/bin/tool\n", md5);
	write_file(path, text);
	assert_int_equal(packages_load(root, &p, &warnings), 0);
	return p;
}

/* Another package database, the same digests and paths; the old snapshot may go first. */
static void test_renew(void **state _unused_)
{
	struct packages *p = tool_packages(in_dir("old"), "00000000000000000000000000000000");
	struct trust *t = NULL, *renewed = NULL, *again = NULL;
	static struct exec_digests d;
	struct trust_answer a;
	struct stat st;
	unsigned set;

	write_file(in_dir("by-path"), "abc");
	read_digests(in_dir("by-path"), 0, "MD5", &d, &st);
	assert_int_equal(trust_new(order, ARRAY_SIZE(order), p, &t), 0);
	packages_unref(p);
	assert_int_equal(trust_add_set(t, TRUST_BASELINES, "host", DIGEST_SHA256, &set), 0);
	assert_int_equal(trust_add_digest(t, set, (const uint8_t[32]){ 1 }), 0);
	assert_int_equal(trust_add_path(t, in_dir("by-path")), 0);
	assert_int_equal(trust_seal(t), 0);
	trust_ask(t, "/usr/bin/tool", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);

	p = tool_packages(in_dir("new"), "900150983cd24fb0d6963f7d28e17f72");
	assert_int_equal(trust_renew(t, p, &renewed), 0);
	trust_unref(t);
	assert_int_equal(trust_renew(renewed, p, &again), 0);
	packages_unref(p);
	trust_unref(renewed);
	trust_ask(again, "/usr/bin/tool", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_PACKAGES);
	d.extra_len = 0;
	memcpy(d.digest[DIGEST_SHA256], (const uint8_t[32]){ 1 }, 32);
	trust_ask(again, NULL, &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_BASELINES);
	memset(d.digest[DIGEST_SHA256], 9, 32);
	trust_ask(again, in_dir("by-path"), &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_EXPLICIT);
	trust_unref(again);
}

/* In the middle of a transaction: the list is there, the snapshot is older. */
static void test_just_installed(void **state _unused_)
{
	struct packages *p = tool_packages(in_dir("busy"), "00000000000000000000000000000000");
	_cleanup_trust_ struct trust *t = NULL;
	static struct exec_digests d;
	struct trust_answer a;
	struct stat st;

	write_file(in_dir("fresh"), "abc");
	read_digests(in_dir("fresh"), 0, "MD5", &d, &st);
	assert_int_equal(trust_new(order, ARRAY_SIZE(order), p, &t), 0);
	packages_unref(p);
	assert_int_equal(trust_seal(t), 0);
	assert_false(trust_unsettled(t));
	assert_null(trust_package_algo(t, "/usr/bin/fresh"));
	write_file(in_dir("busy/var/lib/dpkg/info/other.md5sums"),
		   "garbage\n00000000000000000000000000000000  usr/bin/x\n900150983cd24fb0d6963f7d28e17f72  "
		   "usr/bin/fresh\n");
	assert_string_equal(trust_package_algo(t, "/usr/bin/fresh"), "MD5");
	trust_ask(t, "/usr/bin/fresh", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_PACKAGES);
	assert_string_equal(a.why, "package other ");
	/* Other bytes, another path. */
	d.digest[DIGEST_SHA256][0] ^= 1;
	d.extra[0] ^= 1;
	trust_ask(t, "/usr/bin/fresh", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
	d.extra[0] ^= 1;
	trust_ask(t, "/usr/bin/other", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
}

static const struct list_case {
	const char *text;
	size_t lines;
	const char *errors;
} list_cases[] = {
	{ "", 0, "" },
	{ "\n\n# x\n", 0, "" },
	{ "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 1, "" },
	{ "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad *name", 1, "" },
	{ "/a\n/b*\n", 2, "" },
	{ "ba78\n/b\n", 1, "l:1:1: too short for a SHA-256 digest, which has 64 hex digits\n" },
	{ "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad ", 0,
	  "l:1:65: want two blanks, or a blank and '*', and a name\n" },
	{ "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad00\n", 0,
	  "l:1:1: too long for a SHA-256 digest, which has 64 hex digits\n" },
	{ "xyz\n q\n", 0,
	  "l:1:1: not a digest: only hex digits may stand in it\nl:2:1: too short for a SHA-256 digest, which has 64 "
	  "hex digits\n" },
};

static void test_lists(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(list_cases); i++) {
		const struct list_case *c = &list_cases[i];
		_cleanup_errors_ struct errors errors = ERRORS_INIT;
		_cleanup_arena_ struct arena a = ARENA_INIT;
		_cleanup_buf_ struct buf said = BUF_INIT;
		struct trust_line *lines;
		size_t n;

		assert_int_equal(trust_file_parse(c->text, strlen(c->text), &a, &errors, &lines, &n), 0);
		errors_write(&errors, "l", &said);
		assert_string_equal(said.len ? said.data : "", c->errors);
		assert_int_equal(n, c->lines);
	}
}

static void test_packages(void **state _unused_)
{
	struct packages *p = NULL;
	_cleanup_trust_ struct trust *t = NULL;
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	static struct exec_digests d;
	struct trust_answer a;
	struct stat st;

	make_dirs(in_dir("root/var/lib/dpkg/info"));
	write_file(in_dir("root/var/lib/dpkg/status"),
		   "Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1.2-3\n\n");
	write_file(in_dir("root/var/lib/dpkg/info/tool.list"), "/.\n/usr\n/usr/bin\n/usr/bin/tool\n");
	write_file(in_dir("root/var/lib/dpkg/info/tool.md5sums"), "900150983cd24fb0d6963f7d28e17f72  usr/bin/tool\n");
	assert_int_equal(packages_load(in_dir("root"), &p, &warnings), 0);
	assert_int_equal(trust_new(order, ARRAY_SIZE(order), p, &t), 0);
	packages_unref(p);
	assert_int_equal(trust_seal(t), 0);
	assert_string_equal(trust_package_algo(t, "/usr/bin/tool"), "MD5");
	assert_null(trust_package_algo(t, "/usr/bin/other"));

	write_file(in_dir("tool"), "abd");
	read_digests(in_dir("tool"), 0, "MD5", &d, &st);
	trust_ask(t, "/usr/bin/tool", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);

	write_file(in_dir("tool"), "abc");
	read_digests(in_dir("tool"), 0, "MD5", &d, &st);
	trust_ask(t, "/tmp/tool", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE); /* not seen where the package has it */
	trust_ask(t, "/usr/bin/tool", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_PACKAGES);
	assert_string_equal(a.why, "package tool 1.2-3");
	d.extra_len = 0;
	trust_ask(t, "/tmp/tool", &st, &d, NULL, &a); /* from now on by its SHA-256 */
	assert_int_equal(a.source, TRUST_PACKAGES);
	d.digest[DIGEST_SHA256][5] ^= 1;
	trust_ask(t, "/usr/bin/tool", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_NONE);
}

/* What a package calls python is python wherever it lies. */
static void test_packaged_interpreter(void **state _unused_)
{
	struct packages *p = NULL;
	_cleanup_trust_ struct trust *t = NULL, *next = NULL;
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	static struct exec_digests d;
	struct trust_answer a;
	struct stat st;

	make_dirs(in_dir("snakes/var/lib/dpkg/info"));
	write_file(in_dir("snakes/var/lib/dpkg/status"),
		   "Package: snake\nStatus: install ok installed\nArchitecture: all\nVersion: 3\n\n");
	write_file(in_dir("snakes/var/lib/dpkg/info/snake.list"), "/.\n/usr\n/usr/bin\n/usr/bin/python3.11\n");
	write_file(in_dir("snakes/var/lib/dpkg/info/snake.md5sums"),
		   "900150983cd24fb0d6963f7d28e17f72  usr/bin/python3.11\n");
	assert_int_equal(packages_load(in_dir("snakes"), &p, &warnings), 0);
	assert_int_equal(trust_new(order, ARRAY_SIZE(order), p, &t), 0);
	packages_unref(p);
	assert_int_equal(trust_seal(t), 0);
	write_file(in_dir("snake"), "abc");
	read_digests(in_dir("snake"), 0, "MD5", &d, &st);
	trust_ask(t, "/usr/bin/python3.11", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_PACKAGES);
	assert_int_equal(trust_relist(t, &next), 0);
	assert_int_equal(trust_seal(next), 0);
	trust_keep_confirmed(next, t);
	trust_ask(next, "/tmp/harmless", &st, &d, NULL, &a);
	assert_int_equal(a.source, TRUST_PACKAGES);
	assert_string_equal(a.interpreter, "python");
}

/* Whatever its name, by what baselines call it, in all snapshots of the line; an image's word counts in containers. */
static void test_interpreters(void **state _unused_)
{
	_cleanup_trust_ struct trust *t = NULL, *renewed = NULL, *relisted = NULL;
	static struct exec_digests d = { .have = 1u << DIGEST_SHA256 | 1u << DIGEST_SHA512 };
	const struct container c = { .id = "c" };
	const struct stat st = { 0 };
	uint8_t shell[DIGEST_MAX] = { 1 }, snake[DIGEST_MAX] = { 2 };
	struct trust_answer a;

	assert_int_equal(trust_new(order, ARRAY_SIZE(order), NULL, &t), 0);
	assert_int_equal(trust_add_interpreter(t, DIGEST_SHA256, shell, script_interpreter("/bin/bash"), false), 0);
	assert_int_equal(trust_add_interpreter(t, DIGEST_SHA512, snake, script_interpreter("python3.11"), true), 0);
	/* Thousands of images have the same bash: the table is not full of it, and of the host it stays. */
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(trust_add_interpreter(t, DIGEST_SHA256, shell, script_interpreter("bash"), true), 0);
	assert_int_equal(trust_seal(t), 0);
	assert_int_equal(trust_relist(t, &relisted), 0);
	assert_int_equal(trust_seal(relisted), 0);
	assert_int_equal(trust_renew(relisted, NULL, &renewed), 0);
	struct trust *const line[] = { t, relisted, renewed };

	for (size_t i = 0; i < ARRAY_SIZE(line); i++) {
		memset(d.digest, 0, sizeof(d.digest));
		trust_ask(line[i], "/bin/bash", &st, &d, &c, &a);
		assert_null(a.interpreter); /* the content counts, not the name */
		d.digest[DIGEST_SHA256][0] = 1;
		trust_ask(line[i], "/tmp/tool", &st, &d, NULL, &a);
		assert_string_equal(a.interpreter, "bash");
		d.digest[DIGEST_SHA256][0] = 0;
		d.digest[DIGEST_SHA512][0] = 2;
		trust_ask(line[i], "/tmp/tool", &st, &d, NULL, &a);
		assert_null(a.interpreter);
		trust_ask(line[i], "/tmp/tool", &st, &d, &c, &a);
		assert_string_equal(a.interpreter, "python");
	}
}

static int prepare(void **state _unused_)
{
	strcpy(dir, "/tmp/holdfast-trust-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int clean(void **state _unused_)
{
	char text[128];

	snprintf(text, sizeof(text), "rm -rf %s", dir);
	return system(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),	     cmocka_unit_test(test_names),
		cmocka_unit_test(test_digests),	     cmocka_unit_test(test_no_digests),
		cmocka_unit_test(test_paths),	     cmocka_unit_test(test_packages),
		cmocka_unit_test(test_globs),	     cmocka_unit_test(test_just_installed),
		cmocka_unit_test(test_renew),	     cmocka_unit_test(test_lists),
		cmocka_unit_test(test_images),	     cmocka_unit_test(test_denied),
		cmocka_unit_test(test_relist),	     cmocka_unit_test(test_image_scope),
		cmocka_unit_test(test_interpreters), cmocka_unit_test(test_packaged_interpreter),
	};

	return cmocka_run_group_tests(tests, prepare, clean);
}
