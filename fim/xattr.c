/*
 * Extended attributes. Owns its buffers, of one thread. Never opens a file: by descriptor, or by name through the calls
 * that take a folder (Linux 6.13), else through /proc/self/fd.
 */
#include "fim/xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "event/attr_format.h"
#include "lib/buf.h"
#include "lib/digest.h"
#include "lib/util.h"

/* The numbers are the same on every architecture (the unified table since Linux 5.1). */
#ifndef __NR_getxattrat
#define __NR_getxattrat 464
#endif
#ifndef __NR_listxattrat
#define __NR_listxattrat 465
#endif

#define XATTR_BUFFER (64 * KIB) /* XATTR_LIST_MAX and XATTR_SIZE_MAX alike */
#define XATTR_SMALL  256
#define XATTR_TRIES  3

/* As linux/xattr.h has it since 6.13. */
struct xattr_get_args {
	uint64_t __attribute__((aligned(8))) value;
	uint32_t size;
	uint32_t flags;
};

/* Where the attributes are: an open descriptor (name NULL), or a name in a folder. */
struct xattr_place {
	int fd;
	const char *name;
	const char *path; /* through /proc/self/fd when the kernel lacks the calls by folder; else NULL */
};

int xattr_reader_init(struct xattr_reader *x)
{
	*x = (struct xattr_reader){ .list = malloc(XATTR_BUFFER), .value = malloc(XATTR_BUFFER) };
	if (x->list && x->value)
		return 0;
	xattr_reader_done(x);
	return -ENOMEM;
}

void xattr_reader_done(struct xattr_reader *x)
{
	free(x->list);
	free(x->value);
	buf_free(&x->pairs);
	*x = (struct xattr_reader){ 0 };
}

static ssize_t xattr_list_into(const struct xattr_place *p, char *list, size_t size)
{
	ssize_t n;

	if (!p->name)
		n = flistxattr(p->fd, list, size);
	else if (p->path)
		n = llistxattr(p->path, list, size);
	else
		n = syscall(__NR_listxattrat, p->fd, p->name, AT_SYMLINK_NOFOLLOW, list, size);
	return n < 0 ? -errno : n;
}

static ssize_t xattr_get_into(const struct xattr_place *p, const char *attr, char *value, size_t size)
{
	struct xattr_get_args args = { .value = (uintptr_t)value, .size = (uint32_t)size };
	ssize_t n;

	if (!p->name)
		n = fgetxattr(p->fd, attr, value, size);
	else if (p->path)
		n = lgetxattr(p->path, attr, value, size);
	else
		n = syscall(__NR_getxattrat, p->fd, p->name, AT_SYMLINK_NOFOLLOW, attr, &args, sizeof(args));
	return n < 0 ? -errno : n;
}

/* The kernel allocates (and clears) as much as it is offered, so most files are asked with a small buffer. */
static ssize_t xattr_list(struct xattr_reader *x, const struct xattr_place *p)
{
	ssize_t n = xattr_list_into(p, x->list, XATTR_SMALL);

	return n == -ERANGE ? xattr_list_into(p, x->list, XATTR_BUFFER) : n;
}

static ssize_t xattr_get(struct xattr_reader *x, const struct xattr_place *p, const char *attr)
{
	ssize_t n = xattr_get_into(p, attr, x->value, XATTR_SMALL);

	return n == -ERANGE ? xattr_get_into(p, attr, x->value, XATTR_BUFFER) : n;
}

static int xattr_by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Pointers to the names in the list, sorted; at least one name. */
static int xattr_sort(char *list, size_t len, const char ***ret, size_t *ret_n)
{
	const char **names;
	size_t n = 0, i = 0;

	for (size_t at = 0; at < len; at++)
		n += !list[at];
	names = calloc(n ? n : 1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	for (char *p = list; i < n; p += strlen(p) + 1)
		names[i++] = p;
	qsort(names, n, sizeof(*names), xattr_by_name);
	*ret = names;
	*ret_n = n;
	return 0;
}

/* --- more than is kept */

/* What the others are judged by stays readable: who may do what. */
static const char *const xattr_kept[] = { ATTR_XATTR_CAPS, ATTR_XATTR_SELINUX, ATTR_XATTR_ACL_ACCESS,
					  ATTR_XATTR_ACL_DEFAULT };

static bool xattr_is_kept(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(xattr_kept); i++)
		if (streq(name, xattr_kept[i]))
			return true;
	return false;
}

static void xattr_add(struct buf *pairs, const char *name, const void *value, size_t len)
{
	buf_bytes(pairs, name, strlen(name));
	buf_bytes(pairs, value, len);
}

static int xattr_add_kept(struct xattr_reader *x, const struct xattr_place *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(xattr_kept); i++) {
		ssize_t len = xattr_get(x, p, xattr_kept[i]);

		if (len >= 0)
			xattr_add(&x->pairs, xattr_kept[i], x->value, (size_t)len);
		else if (len != -ENODATA && len != -EOPNOTSUPP)
			return (int)len;
	}
	return 0;
}

/* All but those that are kept, each as xattr_add writes it; their number and bytes. */
static int xattr_digest(struct xattr_reader *x, const struct xattr_place *p, struct digest *d, const char **names,
			size_t n, size_t *ret_n, uint64_t *ret_bytes)
{
	int r = digest_start(d);

	for (size_t i = 0; i < n && r == 0; i++) {
		ssize_t len;

		if (xattr_is_kept(names[i]))
			continue;
		len = xattr_get(x, p, names[i]);
		if (len < 0)
			return len == -ENODATA ? -EAGAIN : (int)len;
		buf_reset(&x->pairs);
		xattr_add(&x->pairs, names[i], x->value, (size_t)len);
		r = x->pairs.failed ? -ENOMEM : digest_update(d, x->pairs.data, x->pairs.len);
		++*ret_n;
		*ret_bytes += strlen(names[i]) + (size_t)len;
	}
	return r;
}

/*
 * Too many for a record: those with a meaning of their own, and one pair that stands for all others and changes with
 * them. names NULL: more than the kernel lists.
 */
static int xattr_sum_up(struct xattr_reader *x, const struct xattr_place *p, const char **names, size_t n)
{
	_cleanup_digest_ struct digest *d = NULL;
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint8_t digest[DIGEST_MAX];
	uint64_t bytes = 0;
	size_t others = 0;
	int r = digest_new(DIGEST_SHA256, &d);

	if (r == 0 && names)
		r = xattr_digest(x, p, d, names, n, &others, &bytes);
	if (r == 0 && names)
		r = digest_finish(d, digest);
	if (r < 0)
		return r;
	if (names) {
		buf_printf(&text, "%zu attributes, %llu bytes, sha256 ", others, (unsigned long long)bytes);
		buf_hex(&text, digest, digest_size(d));
	} else {
		buf_str(&text, "more than the kernel lists: not compared");
	}
	buf_reset(&x->pairs);
	xattr_add(&x->pairs, XATTR_OTHERS, text.data, text.len);
	r = xattr_add_kept(x, p);
	return r < 0 ? r : x->pairs.failed || text.failed ? -ENOMEM : 0;
}

/* --- reading */

/* One attempt. -EAGAIN: one of the listed attributes is gone. */
static int xattr_collect(struct xattr_reader *x, const struct xattr_place *p)
{
	_cleanup_free_ const char **names = NULL;
	ssize_t len = xattr_list(x, p);
	size_t n;
	int r;

	buf_reset(&x->pairs);
	if (len == -E2BIG)
		return xattr_sum_up(x, p, NULL, 0);
	if (len <= 0)
		return len == -EOPNOTSUPP ? 0 : (int)len;
	r = xattr_sort(x->list, (size_t)len, &names, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		len = xattr_get(x, p, names[i]);
		if (len < 0)
			return len == -ENODATA ? -EAGAIN : (int)len;
		xattr_add(&x->pairs, names[i], x->value, (size_t)len);
		if (x->pairs.len > XATTR_TOTAL_MAX)
			return xattr_sum_up(x, p, names, n);
	}
	return x->pairs.failed ? -ENOMEM : 0;
}

static int xattr_read(struct xattr_reader *x, struct arena *a, const struct xattr_place *p, struct record *rec)
{
	const uint8_t *copy = NULL;
	int r = -EAGAIN;

	for (int i = 0; i < XATTR_TRIES && r == -EAGAIN; i++)
		r = xattr_collect(x, p);
	if (r < 0)
		return r;
	if (x->pairs.len) {
		copy = arena_dup(a, x->pairs.data, x->pairs.len);
		if (!copy)
			return -ENOMEM;
	}
	rec->xattrs = copy;
	rec->xattrs_len = (uint32_t)x->pairs.len;
	rec->have |= ATTR_BIT(ATTR_XATTRS);
	return 0;
}

int xattr_read_fd(struct xattr_reader *x, struct arena *a, int fd, struct record *rec)
{
	return xattr_read(x, a, &(struct xattr_place){ .fd = fd }, rec);
}

int xattr_read_at(struct xattr_reader *x, struct arena *a, int dirfd, const char *name, struct record *rec)
{
	char path[sizeof("/proc/self/fd/") + 16 + 256];
	struct xattr_place p = { .fd = dirfd, .name = name };
	int r = -ENOSYS;

	if (!x->no_at)
		r = xattr_read(x, a, &p, rec);
	if (r != -ENOSYS)
		return r;
	x->no_at = true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	p.path = path;
	return xattr_read(x, a, &p, rec);
}
