/*
 * The snapshot: sorted arrays of hashes of paths, of whose package each is, and of digests, so that 120,000 paths cost
 * 3 MB and not the length of their names. Two paths with one 64-bit hash would share a digest, which is harmless: the
 * digest still names bytes that a package shipped. Owned by whoever holds a reference; nothing changes after
 * packages_load returns.
 */
#include "pkg/packages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/arena.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "pkg/reader.h"

#define FILES_MAX    4000000
#define PACKAGES_MAX 200000
#define WARNINGS_MAX 20

static const struct package_format *const formats[] = { &package_dpkg };

#define DIGEST_SIZE 16

/* A path as it is read. */
struct item {
	uint64_t key;
	uint32_t package : 30;
	uint32_t conffile : 1;
	uint32_t bare : 1; /* no digest */
	uint32_t order;	   /* of two with one key the later wins */
	uint8_t digest[DIGEST_SIZE];
};

/* Those with a digest, or those without: by key. */
struct shelf {
	size_t n;
	uint64_t *keys;
	uint32_t *packages; /* lowest bit: it is a conffile */
	uint8_t (*digests)[DIGEST_SIZE];
};

struct package {
	const char *name;
	const char *version;
	uint64_t touched;
	bool gone, residual, half;
};

struct stamp {
	struct timespec mtime;
	off_t size;
	ino_t ino;
};

/* A folder of the root that is a symbolic link to another ("bin" -> "usr/bin"): how databases and the host name files
 * apart. */
struct alias {
	const char *from, *to;
	size_t from_len;
};

struct packages {
	atomic_uint refs;
	struct arena arena;
	int rootfd;
	struct item *items; /* while they are read */
	size_t n_items, cap_items;
	struct shelf digested, bare;
	struct package *packages;
	size_t n_packages, cap_packages, n_gone;
	size_t skipped;
	bool lists;
	uint64_t loaded; /* real ns: before the load */
	struct alias aliases[8];
	size_t n_aliases;
	struct stamp stamps[ARRAY_SIZE(formats)][PACKAGE_STAMPS];
};

static uint64_t path_hash(const char *prefix, const char *path, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *prefix; prefix++)
		h = (h ^ (uint8_t)*prefix) * 0x100000001b3ULL;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)path[i]) * 0x100000001b3ULL;
	return h ^ (h >> 29);
}

/* Hash of the path as the host names it: no leading slash, aliases applied to the first component. */
static uint64_t path_key(const struct packages *p, const char *path, size_t len)
{
	while (len && *path == '/')
		path++, len--;
	for (size_t i = 0; i < p->n_aliases; i++) {
		const struct alias *a = &p->aliases[i];
		if (len > a->from_len && path[a->from_len] == '/' && memcmp(path, a->from, a->from_len) == 0)
			return path_hash(a->to, path + a->from_len, len - a->from_len);
	}
	return path_hash("", path, len);
}

static void find_aliases(struct packages *p)
{
	static const char *const names[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char target[64];
		ssize_t n = readlinkat(p->rootfd, names[i], target, sizeof(target) - 1);
		if (n <= 0 || n == sizeof(target) - 1)
			continue;
		target[n] = '\0';
		const char *to = target;
		while (*to == '/')
			to++;
		char *copy = arena_strdup(&p->arena, to);
		if (copy && strncmp(to, "usr/", 4) == 0)
			p->aliases[p->n_aliases++] = (struct alias){ names[i], copy, strlen(names[i]) };
	}
}

/* Makes room for one more element of an array; false when out of memory. */
static bool grow(void **array, size_t *cap, size_t n, size_t size)
{
	if (n < *cap)
		return true;
	size_t want = *cap ? *cap * 2 : 1024;
	void *bigger = reallocarray(*array, want, size);
	if (!bigger)
		return false;
	*array = bigger;
	*cap = want;
	return true;
}

int packages_add(struct packages *p, const char *name, size_t name_len, const char *version, size_t version_len)
{
	if (p->n_packages >= PACKAGES_MAX)
		return -E2BIG;
	if (!grow((void **)&p->packages, &p->cap_packages, p->n_packages, sizeof(*p->packages)))
		return -ENOMEM;
	struct package *new = &p->packages[p->n_packages];
	*new = (struct package){ 0 };
	new->name = arena_strndup(&p->arena, name, name_len);
	new->version = arena_strndup(&p->arena, version, version_len);
	if (!new->name || !new->version)
		return -ENOMEM;
	return (int)p->n_packages++;
}

int packages_set_version(struct packages *p, int package, const char *version, size_t len)
{
	const char *copy = arena_strndup(&p->arena, version, len);

	if (copy)
		p->packages[package].version = copy;
	return copy ? 0 : -ENOMEM;
}

void packages_drop(struct packages *p, int package)
{
	p->n_gone += !p->packages[package].gone;
	p->packages[package].gone = true;
}

void packages_set_residual(struct packages *p, int package)
{
	p->n_gone += !p->packages[package].residual;
	p->packages[package].residual = true;
}

void packages_set_half(struct packages *p, int package, bool half)
{
	p->packages[package].half = half;
}

void packages_note_touched(struct packages *p, int package, uint64_t ns)
{
	p->packages[package].touched = MAX(p->packages[package].touched, ns);
}

bool packages_want_lists(const struct packages *p)
{
	return p->lists;
}

int packages_add_file(struct packages *p, int package, const char *path, size_t len, const char *algo _unused_,
		      const uint8_t *digest, size_t digest_len, bool conffile)
{
	if (p->n_items >= FILES_MAX)
		return -E2BIG;
	if (digest && digest_len != DIGEST_SIZE)
		return -EINVAL;
	if (!grow((void **)&p->items, &p->cap_items, p->n_items, sizeof(*p->items)))
		return -ENOMEM;
	struct item *item = &p->items[p->n_items];
	*item = (struct item){ .key = path_key(p, path, len), .package = (uint32_t)package, .conffile = conffile };
	item->bare = !digest;
	item->order = (uint32_t)p->n_items++;
	if (digest)
		memcpy(item->digest, digest, digest_len);
	return 0;
}

void packages_skip(struct packages *p, struct buf *warnings, const char *file, unsigned line, const char *what)
{
	if (p->skipped++ < WARNINGS_MAX)
		buf_printf(warnings, "%s:%u: %s\n", file, line, what);
}

/* Its place, or s->n. */
static size_t find_on(const struct shelf *s, uint64_t key)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (s->keys[mid] < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && s->keys[low] == key ? low : s->n;
}

static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->bare != y->bare)
		return x->bare ? 1 : -1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static int fill_shelf(struct shelf *s, const struct item *items, size_t n, bool digests)
{
	if (!n)
		return 0;
	s->keys = malloc(n * sizeof(*s->keys));
	s->packages = malloc(n * sizeof(*s->packages));
	s->digests = digests ? malloc(n * sizeof(*s->digests)) : NULL;
	if (!s->keys || !s->packages || (digests && !s->digests))
		return -ENOMEM;
	s->n = n;
	for (size_t i = 0; i < n; i++) {
		s->keys[i] = items[i].key;
		s->packages[i] = items[i].package << 1 | items[i].conffile;
		if (digests)
			memcpy(s->digests[i], items[i].digest, DIGEST_SIZE);
	}
	return 0;
}

static void free_shelf(struct shelf *s)
{
	free(s->keys);
	free(s->packages);
	free(s->digests);
}

/* Of those without a digest, what is listed with one leads to nothing new. */
static size_t drop_listed(const struct shelf *digested, struct item *items, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (find_on(digested, items[i].key) == digested->n)
			items[kept++] = items[i];
	return kept;
}

/* Of equal keys only the last one added, with a digest, if any has one. What belongs to a package that is gone after
 * all is left out. */
static int seal(struct packages *p)
{
	size_t kept = 0, digested = 0;
	int r;

	if (p->n_items)
		qsort(p->items, p->n_items, sizeof(*p->items), by_key);
	for (size_t i = 0; i < p->n_items; i++) {
		const struct item *item = &p->items[i], *last = kept ? &p->items[kept - 1] : NULL;

		if (p->packages[item->package].gone)
			continue;
		if (last && last->key == item->key && last->bare == item->bare)
			kept--;
		p->items[kept++] = *item;
		digested = item->bare ? digested : kept;
	}
	r = fill_shelf(&p->digested, p->items, digested, true);
	kept = r == 0 ? drop_listed(&p->digested, p->items + digested, kept - digested) : 0;
	if (r == 0)
		r = fill_shelf(&p->bare, p->items + digested, kept, false);
	free(TAKE_PTR(p->items));
	return r;
}

static struct stamp take_stamp(int rootfd, const char *path)
{
	struct stat st;

	if (fstatat(rootfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return (struct stamp){ 0 };
	return (struct stamp){ st.st_mtim, st.st_size, st.st_ino };
}

static int load(const char *root, bool lists, struct packages **ret, struct buf *warnings)
{
	_cleanup_packages_ struct packages *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->refs = 1;
	p->lists = lists;
	p->rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->rootfd < 0)
		return -errno;
	p->loaded = clock_real_ns();
	find_aliases(p);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		/* Before the load: what is written meanwhile makes the snapshot outdated. */
		for (size_t k = 0; k < PACKAGE_STAMPS && formats[i]->stamps[k]; k++)
			p->stamps[i][k] = take_stamp(p->rootfd, formats[i]->stamps[k]);
		int r = formats[i]->load(p, p->rootfd, warnings);
		if (r < 0)
			return r;
	}
	int r = seal(p);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

int packages_load(const char *root, struct packages **ret, struct buf *warnings)
{
	return load(root, false, ret, warnings);
}

int packages_load_lists(const char *root, struct packages **ret, struct buf *warnings)
{
	return load(root, true, ret, warnings);
}

struct packages *packages_ref(struct packages *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void packages_unref(struct packages *p)
{
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (p->rootfd >= 0)
		close(p->rootfd);
	free(p->items);
	free_shelf(&p->digested);
	free_shelf(&p->bare);
	free(p->packages);
	arena_free(&p->arena);
	free(p);
}

int packages_find(const struct packages *p, const char *path, struct package_file *ret)
{
	uint64_t key = path_key(p, path, strlen(path));
	const struct shelf *s = &p->digested;
	size_t at = find_on(s, key);

	if (at == s->n) {
		s = &p->bare;
		at = find_on(s, key);
	}
	if (at == s->n)
		return -ENOENT;
	const struct package *package = &p->packages[s->packages[at] >> 1];
	*ret = (struct package_file){ .package = package->name,
				      .version = package->version,
				      .algo = "MD5",
				      .digest_len = s->digests ? DIGEST_SIZE : 0,
				      .conffile = s->packages[at] & 1,
				      .half = package->half,
				      .touched = package->touched };
	if (s->digests)
		memcpy(ret->digest, s->digests[at], DIGEST_SIZE);
	return 0;
}

bool packages_same_path(const struct packages *p, const char *a, size_t a_len, const char *b, size_t b_len)
{
	return path_key(p, a, a_len) == path_key(p, b, b_len);
}

int packages_find_fresh(const struct packages *p, const char *path, char ret_name[PACKAGE_NAME_MAX],
			struct package_file *ret)
{
	/* File times may be this coarse, and the clock may have been set. */
	uint64_t since = p->loaded > 2 * NSEC_PER_SEC ? p->loaded - 2 * NSEC_PER_SEC : 0;
	int r = -ENOENT;

	while (*path == '/')
		path++;
	for (size_t i = 0; i < ARRAY_SIZE(formats) && r == -ENOENT; i++)
		r = formats[i]->fresh(p, p->rootfd, since, path, ret_name, ret);
	return r;
}

const char *packages_version(const struct packages *p, const char *name)
{
	for (size_t i = 0; i < p->n_packages; i++)
		if (!p->packages[i].gone && !p->packages[i].residual && streq(p->packages[i].name, name))
			return p->packages[i].version;
	return NULL;
}

size_t packages_count(const struct packages *p)
{
	return p->n_packages - p->n_gone;
}

size_t packages_files(const struct packages *p)
{
	return p->digested.n + p->bare.n;
}

size_t packages_skipped(const struct packages *p)
{
	return p->skipped;
}

static bool stamps_differ(const struct packages *p, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		for (size_t k = 0; k < n && formats[i]->stamps[k]; k++) {
			const struct stamp now = take_stamp(p->rootfd, formats[i]->stamps[k]), *then = &p->stamps[i][k];
			if (now.ino != then->ino || now.size != then->size || now.mtime.tv_sec != then->mtime.tv_sec ||
			    now.mtime.tv_nsec != then->mtime.tv_nsec)
				return true;
		}
	return false;
}

bool packages_outdated(const struct packages *p)
{
	return stamps_differ(p, 1);
}

bool packages_touched(const struct packages *p)
{
	return stamps_differ(p, PACKAGE_STAMPS);
}

bool packages_busy(const struct packages *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		_cleanup_close_ int fd =
			openat(p->rootfd, formats[i]->lock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		if (fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
			return true;
	}
	return false;
}

int package_read_file(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len, uint64_t *ret_changed)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	size_t size = (size_t)st.st_size, len = 0;
	_cleanup_free_ char *data = malloc(size + 1);
	if (!data)
		return -ENOMEM;
	while (len < size) {
		ssize_t n = read(fd, data + len, size - len);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	data[len] = '\0';
	if (ret_changed)
		*ret_changed = (uint64_t)st.st_ctim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_ctim.tv_nsec;
	*ret_data = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}
