/*
 * PAX headers of tar archives: what they say of the next entry, and its extended attributes. Bytes are hostile; no I/O.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/image_tar-internal.h"
#include "fim/xattr.h"

static bool decimal(const uint8_t *p, size_t len, uint64_t *ret)
{
	uint64_t v = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

/* "-1.5" seconds, digits beyond nanoseconds are cut. */
static bool pax_time(const uint8_t *p, size_t len, int64_t *ret)
{
	bool negative = len && *p == '-';
	const uint8_t *dot;
	uint64_t s, fraction = 0;
	int64_t ns;

	p += negative;
	len -= negative;
	dot = len ? memchr(p, '.', len) : NULL;
	if (!decimal(p, dot ? (size_t)(dot - p) : len, &s) || s > INT64_MAX / NSEC_PER_SEC - 1)
		return false;
	for (size_t i = 1, n = dot ? len - (size_t)(dot - p) : 1; dot && i < MAX(n, 10u); i++) {
		uint8_t c = i < n ? dot[i] : '0';

		if (c < '0' || c > '9')
			return false;
		fraction = i <= 9 ? fraction * 10 + (uint64_t)(c - '0') : fraction;
	}
	ns = (int64_t)(s * NSEC_PER_SEC + fraction);
	*ret = negative ? -ns : ns;
	return true;
}

bool image_keeps_xattr(const void *name, size_t len)
{
	static const char *const prefixes[] = { "trusted.overlay.", "user.overlay.", "user.containers.",
						"user.fuseoverlayfs.", "security.selinux" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i]);
		bool whole = prefixes[i][n - 1] != '.';

		if (len >= n && memcmp(name, prefixes[i], n) == 0 && (!whole || len == n))
			return false;
	}
	return true;
}

struct pax_key {
	const char *key;
	int (*set)(struct tar_reader *t, const uint8_t *value, size_t len);
};

static int pax_string(struct tar_reader *t, struct buf *b, bool *has, const uint8_t *value, size_t len)
{
	if (memchr(value, '\0', len))
		return tar_malformed(t, "a zero byte in a name");
	buf_reset(b);
	buf_add(b, value, len);
	buf_str(b, "");
	*has = len > 0; /* an empty value takes the key back */
	return b->failed ? -ENOMEM : 0;
}

static int pax_path(struct tar_reader *t, const uint8_t *value, size_t len)
{
	return pax_string(t, &t->path, &t->has_path, value, len);
}

static int pax_linkpath(struct tar_reader *t, const uint8_t *value, size_t len)
{
	return pax_string(t, &t->link, &t->has_link, value, len);
}

static int pax_number(struct tar_reader *t, uint64_t *n, bool *has, const uint8_t *value, size_t len)
{
	*has = len > 0;
	return len == 0 || decimal(value, len, n) ? 0 : tar_malformed(t, "a number in a PAX header");
}

static int pax_size(struct tar_reader *t, const uint8_t *value, size_t len)
{
	return pax_number(t, &t->size, &t->has_size, value, len);
}

static int pax_uid(struct tar_reader *t, const uint8_t *value, size_t len)
{
	return pax_number(t, &t->uid, &t->has_uid, value, len);
}

static int pax_gid(struct tar_reader *t, const uint8_t *value, size_t len)
{
	return pax_number(t, &t->gid, &t->has_gid, value, len);
}

static int pax_mtime(struct tar_reader *t, const uint8_t *value, size_t len)
{
	t->has_mtime = len > 0;
	return len == 0 || pax_time(value, len, &t->mtime) ? 0 : tar_malformed(t, "a time in a PAX header");
}

static const struct pax_key pax_keys[] = {
	{ "path", pax_path }, { "linkpath", pax_linkpath }, { "size", pax_size },
	{ "uid", pax_uid },   { "gid", pax_gid },	    { "mtime", pax_mtime },
};

#define PAX_XATTR "SCHILY.xattr."

static int pax_xattr(struct tar_reader *t, const uint8_t *name, size_t name_len, const uint8_t *value, size_t len)
{
	if (name_len == 0 || name_len > IMAGE_NAME_MAX || memchr(name, '\0', name_len))
		return tar_malformed(t, "name of an extended attribute");
	if (!image_keeps_xattr(name, name_len))
		return 0;
	if (t->n_pairs == TAR_XATTRS_MAX)
		return image_fail(t->err, -E2BIG, "more than %d extended attributes at byte %llu", TAR_XATTRS_MAX,
				  (unsigned long long)t->offset);
	t->pairs[t->n_pairs] = (struct pair){ name, value, name_len, len, t->n_pairs };
	t->n_pairs++;
	return 0;
}

static int pax_record(struct tar_reader *t, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	const size_t xattr = strlen(PAX_XATTR), sparse = strlen("GNU.sparse.");

	for (size_t i = 0; i < ARRAY_SIZE(pax_keys); i++) {
		if (strlen(pax_keys[i].key) == key_len && memcmp(pax_keys[i].key, key, key_len) == 0)
			return pax_keys[i].set(t, value, len);
	}
	if (key_len >= sparse && memcmp(key, "GNU.sparse.", sparse) == 0)
		return image_fail(t->err, -EOPNOTSUPP, "a sparse file at byte %llu", (unsigned long long)t->offset);
	if (key_len > xattr && memcmp(key, PAX_XATTR, xattr) == 0)
		return pax_xattr(t, key + xattr, key_len - xattr, value, len);
	return 0;
}

int tar_parse_pax(struct tar_reader *t)
{
	const uint8_t *p = (const uint8_t *)t->pax.data, *end = p + t->pax.len;

	while (p < end) {
		const uint8_t *blank = memchr(p, ' ', MIN((size_t)(end - p), 21u)), *equals;
		uint64_t len;
		int r;

		if (!blank || !decimal(p, (size_t)(blank - p), &len) || len > (uint64_t)(end - p) ||
		    len < (uint64_t)(blank - p) + 4 || p[len - 1] != '\n')
			return tar_malformed(t, "a PAX header");
		equals = memchr(blank + 1, '=', (size_t)(p + len - blank) - 2);
		if (!equals || equals == blank + 1)
			return tar_malformed(t, "a PAX header");
		r = pax_record(t, blank + 1, (size_t)(equals - blank) - 1, equals + 1, (size_t)(p + len - equals) - 2);
		if (r < 0)
			return r;
		p += len;
	}
	return 0;
}

static int pair_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = memcmp(x->name, y->name, MIN(x->name_len, y->name_len));

	if (c)
		return c;
	if (x->name_len != y->name_len)
		return x->name_len < y->name_len ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static bool pair_same_name(const struct pair *a, const struct pair *b)
{
	return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

int tar_set_xattrs(struct tar_reader *t, struct record *rec)
{
	buf_reset(&t->xattrs);
	if (t->n_pairs == 0)
		return 0;
	qsort(t->pairs, t->n_pairs, sizeof(*t->pairs), pair_order);
	for (size_t i = 0; i < t->n_pairs; i++) {
		if (i + 1 < t->n_pairs && pair_same_name(&t->pairs[i], &t->pairs[i + 1]))
			continue;
		buf_bytes(&t->xattrs, t->pairs[i].name, t->pairs[i].name_len);
		buf_bytes(&t->xattrs, t->pairs[i].value, t->pairs[i].value_len);
	}
	if (t->xattrs.failed)
		return -ENOMEM;
	if (t->xattrs.len > XATTR_TOTAL_MAX)
		return image_fail(t->err, -E2BIG, "extended attributes of %zu bytes at byte %llu", t->xattrs.len,
				  (unsigned long long)t->offset);
	rec->xattrs = (const uint8_t *)t->xattrs.data;
	rec->xattrs_len = (uint32_t)t->xattrs.len;
	return 0;
}
