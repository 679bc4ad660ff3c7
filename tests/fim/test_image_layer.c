/* fim/image_layer, image_stream: digests of what went through, in pieces, on two threads; every way in which it can end
 * early. */
#include "tests/fim/tarball.h"

#include <errno.h>
#include <stdlib.h>

#include "fim/image_layer.h"

struct source {
	const uint8_t *p;
	size_t left, piece;
	size_t fail_at;			 /* bytes left at which reading fails; SIZE_MAX: never */
	struct scan_progress *stop_when; /* sets its stop with the first piece */
};

static ssize_t source_read(void *ctx, uint8_t *data, size_t room)
{
	struct source *s = ctx;
	size_t n = MIN(MIN(room, s->piece), s->left);

	if (s->left <= s->fail_at && s->fail_at != SIZE_MAX)
		return -EIO;
	if (s->stop_when)
		atomic_store(&s->stop_when->stop, 1);
	memcpy(data, s->p, n);
	s->p += n;
	s->left -= n;
	return (ssize_t)n;
}

static const char *digest_of(const struct buf *b)
{
	static char text[4][80];
	static unsigned turn;
	_cleanup_digest_ struct digest *d = NULL;
	_cleanup_buf_ struct buf hex = BUF_INIT;
	uint8_t full[DIGEST_MAX];

	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	assert_int_equal(digest_once(d, b->data, b->len, full), 0);
	buf_hex(&hex, full, 32);
	turn = (turn + 1) % ARRAY_SIZE(text);
	snprintf(text[turn], sizeof(text[turn]), "sha256:%s", hex.data);
	return text[turn];
}

/* Twenty files of up to 300 KiB: more than the ring between the threads holds. */
static void make_layer(struct buf *b)
{
	char *content = malloc(300000);

	for (unsigned i = 0; i < 20; i++) {
		struct tarball_header h = { '0', "", NULL, 0644, 0, 0, 1, 15000 * (i + 1) - i, 0, 0 };
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		h.name = name;
		memset(content, (int)('a' + i), h.size);
		tarball_block(b, &h);
		tarball_content(b, content, h.size);
	}
	tarball_end(b);
	free(content);
}

struct outcome {
	int r;
	char text[256];
	uint64_t size, entries, bytes;
};

static struct outcome apply(struct source s, const char *digest, const char *diff_id, bool stop)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct scan_progress progress = { 0 };
	struct image_apply a = { .algo = DIGEST_SHA512, .err = &err, .progress = &progress };
	struct image_layer l = { .digest = digest, .diff_id = diff_id };
	struct image_bytes from = { source_read, &s };
	struct outcome o = { 0 };

	s.stop_when = stop ? &progress : NULL;
	assert_int_equal(image_tree_new(0, &err, &a.tree), 0);
	assert_int_equal(digest_new(DIGEST_SHA512, &a.digest), 0);
	o.r = image_layer_apply(&a, &from, &l, 1);
	snprintf(o.text, sizeof(o.text), "%s", err.len ? err.data : "");
	o.size = l.size;
	o.entries = image_tree_entries(a.tree);
	o.bytes = progress.bytes;
	image_tree_free(a.tree);
	digest_free(a.digest);
	return o;
}

static void test_apply(void **state _unused_)
{
	static const size_t pieces[] = { 1000, 65536, 1 << 20 };
	_cleanup_buf_ struct buf b = BUF_INIT, longer = BUF_INIT;
	const char *right, *wrong = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

	make_layer(&b);
	right = digest_of(&b);
	buf_add(&longer, b.data, b.len);
	buf_str(&longer, "what stands behind the end is part of the digest, and no entry");
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct source s = { (const uint8_t *)b.data, b.len, pieces[i], SIZE_MAX, NULL }, t = s;
		struct outcome o = apply(s, NULL, right, false);

		assert_int_equal(o.r, 0);
		assert_int_equal(o.size, b.len);
		assert_int_equal(o.entries, 21);
		assert_int_equal(o.bytes, 15000 * 210 - 190);
		assert_int_equal(apply(s, right, right, false).r, 0);

		o = apply(s, NULL, wrong, false);
		assert_int_equal(o.r, -EBADMSG);
		assert_non_null(strstr(o.text, "does not have its digest"));
		o = apply(s, wrong, right, false);
		assert_int_equal(o.r, -EBADMSG);

		t.p = (const uint8_t *)longer.data;
		t.left = longer.len;
		assert_int_equal(apply(t, NULL, right, false).r, -EBADMSG);
		assert_int_equal(apply(t, NULL, digest_of(&longer), false).r, 0);

		t = s;
		t.left -= 5000;
		o = apply(t, NULL, right, false);
		assert_int_equal(o.r, -EBADMSG);
		assert_non_null(strstr(o.text, "cut short"));

		t = s;
		t.fail_at = b.len / 2;
		assert_int_equal(apply(t, NULL, right, false).r, -EIO);
		assert_int_equal(apply(s, NULL, right, true).r, -ECANCELED);
	}
}

/* Nothing at all is a layer of nothing. */
static void test_empty(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct source s = { (const uint8_t *)"", 0, 1, SIZE_MAX, NULL };

	buf_str(&b, "");
	assert_int_equal(apply(s, NULL, digest_of(&b), false).r, 0);
}

/* What begins as gzip or zstd and is neither. */
static void test_not_packed(void **state _unused_)
{
	static const char *const heads[] = { "\x1f\x8b\x08\x00garbage that is no gzip",
					     "\x28\xb5\x2f\xfdgarbage that is no zstd" };

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		struct source s = { (const uint8_t *)heads[i], strlen(heads[i] + 4) + 4, 7, SIZE_MAX, NULL };
		struct outcome o;

		buf_add(&b, heads[i], s.left);
		o = apply(s, digest_of(&b), digest_of(&b), false);
		assert_true(o.r == -EBADMSG || o.r == -EOPNOTSUPP);
		assert_true(o.text[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_not_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
