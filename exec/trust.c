/*
 * The trust snapshot: sorted arrays of digests, one for each baseline and algorithm, and the package database of the
 * host. Built on one thread, then read by any; the memory of confirmed packages is behind a lock that is never held
 * over I/O.
 */
#include "exec/trust.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "lib/text.h"
#include "lib/util.h"

#define TRUST_SETS_MAX	1024
#define TRUST_PATHS_MAX 4096
#define TRUST_GLOBS_MAX 256 /* each is tried for each program that nobody vouches for */
/* Slots of confirmed digests; a digest is looked for in a few that follow its own, then takes one of them over. */
#define CONFIRMED_SLOTS 16384
#define CONFIRMED_PROBE 8

struct digest_set {
	enum trust_source source;
	enum digest_algo algo;
	const char *label;
	const char *image_digest, *image_id, *image_ref; /* of the image it lists; all NULL: of none */
	uint8_t *data;
	size_t n, room;
};

struct confirmed {
	uint8_t digest[EXEC_DIGEST_SIZE];
	bool used;
	char why[TRUST_WHY_MAX];
};

struct trust {
	atomic_uint refs;
	struct trust *base; /* whose sets and paths these are; NULL: our own */
	struct arena arena;
	enum trust_source order[TRUST_SOURCE_COUNT];
	size_t n_order;
	struct packages *packages;
	struct digest_set *sets;
	size_t n_sets;
	const char *paths[TRUST_PATHS_MAX], *globs[TRUST_GLOBS_MAX];
	size_t n_paths, n_globs;
	unsigned algos;
	pthread_mutex_t lock;
	struct confirmed *confirmed; /* CONFIRMED_SLOTS, made when first needed */
};

const char *const trust_source_names[TRUST_SOURCE_COUNT] = {
	[TRUST_NONE] = "none",
	[TRUST_BASELINES] = "baselines",
	[TRUST_PACKAGES] = "packages",
	[TRUST_EXPLICIT] = "explicit",
	[TRUST_DENIED] = "denied",
};

int trust_source_by_name(const char *name, enum trust_source *ret)
{
	if (streq(name, "dpkg"))
		name = trust_source_names[TRUST_PACKAGES];
	for (unsigned i = TRUST_BASELINES; i < TRUST_DENIED; i++) {
		if (streq(name, trust_source_names[i])) {
			*ret = (enum trust_source)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* --- building */

int trust_new(const enum trust_source *order, size_t n, struct packages *packages, struct trust **ret)
{
	struct trust *t;

	if (n > TRUST_SOURCE_COUNT)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	atomic_init(&t->refs, 1);
	pthread_mutex_init(&t->lock, NULL);
	memcpy(t->order, order, n * sizeof(*order));
	t->n_order = n;
	t->packages = packages ? packages_ref(packages) : NULL;
	t->algos = 1u << EXEC_DIGEST;
	*ret = t;
	return 0;
}

int trust_add_set(struct trust *t, enum trust_source source, const char *label, enum digest_algo algo,
		  unsigned *ret_set)
{
	struct digest_set *s;

	if (t->n_sets == TRUST_SETS_MAX)
		return -E2BIG;
	s = reallocarray(t->sets, t->n_sets + 1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	t->sets = s;
	s += t->n_sets;
	*s = (struct digest_set){ .source = source, .algo = algo, .label = arena_strdup(&t->arena, label) };
	if (!s->label)
		return -ENOMEM;
	t->algos |= 1u << algo;
	*ret_set = (unsigned)t->n_sets++;
	return 0;
}

static int keep(struct trust *t, const char *s, const char **ret)
{
	*ret = s ? arena_strdup(&t->arena, s) : NULL;
	return s && !*ret ? -ENOMEM : 0;
}

int trust_set_image(struct trust *t, unsigned set, const char *digest, const char *id, const char *reference)
{
	struct digest_set *s = &t->sets[set];
	int r = keep(t, digest, &s->image_digest);

	if (r == 0)
		r = keep(t, id, &s->image_id);
	return r < 0 ? r : keep(t, reference, &s->image_ref);
}

int trust_add_digest(struct trust *t, unsigned set, const uint8_t *digest)
{
	struct digest_set *s = &t->sets[set];
	size_t size = digest_table[s->algo].size;

	if (s->n == s->room) {
		size_t room = s->room ? s->room + s->room / 2 : 64;
		uint8_t *data = reallocarray(s->data, room, size);

		if (!data)
			return -ENOMEM;
		s->data = data;
		s->room = room;
	}
	memcpy(s->data + size * s->n++, digest, size);
	return 0;
}

int trust_add_path(struct trust *t, const char *path)
{
	bool glob = text_is_glob(path);
	const char **list = glob ? t->globs : t->paths;
	size_t *n = glob ? &t->n_globs : &t->n_paths;

	if (path[0] != '/')
		return -EINVAL;
	if (*n == (glob ? TRUST_GLOBS_MAX : TRUST_PATHS_MAX))
		return -E2BIG;
	list[*n] = arena_strdup(&t->arena, path);
	return list[(*n)++] ? 0 : -ENOMEM;
}

static int compare_digest(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(size_t *)size);
}

static int compare_path(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int make_confirmed(struct trust *t)
{
	t->confirmed = calloc(t->packages ? CONFIRMED_SLOTS : 1, sizeof(*t->confirmed));
	return t->confirmed ? 0 : -ENOMEM;
}

int trust_seal(struct trust *t)
{
	for (size_t i = 0; i < t->n_sets; i++) {
		struct digest_set *s = &t->sets[i];
		size_t size = digest_table[s->algo].size, n = 0;
		uint8_t *fitted;

		if (s->n == 0) /* a baseline without programs has no data either */
			continue;
		qsort_r(s->data, s->n, size, compare_digest, &size);
		for (size_t k = 0; k < s->n; k++)
			if (n == 0 || memcmp(s->data + (n - 1) * size, s->data + k * size, size) != 0)
				memmove(s->data + n++ * size, s->data + k * size, size);
		s->n = n;
		fitted = reallocarray(s->data, n, size);
		if (fitted) {
			s->data = fitted;
			s->room = n;
		}
	}
	qsort(t->paths, t->n_paths, sizeof(*t->paths), compare_path);
	return make_confirmed(t);
}

int trust_renew(struct trust *sealed, struct packages *packages, struct trust **ret)
{
	_cleanup_trust_ struct trust *t = NULL;
	int r = trust_new(sealed->order, sealed->n_order, packages, &t);

	if (r < 0)
		return r;
	t->base = trust_ref(sealed->base ?: sealed);
	t->sets = sealed->sets;
	t->n_sets = sealed->n_sets;
	memcpy(t->paths, sealed->paths, sizeof(t->paths));
	t->n_paths = sealed->n_paths;
	memcpy(t->globs, sealed->globs, sizeof(t->globs));
	t->n_globs = sealed->n_globs;
	t->algos = sealed->algos;
	r = make_confirmed(t);
	if (r == 0)
		*ret = TAKE_PTR(t);
	return r;
}

struct trust *trust_ref(struct trust *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void trust_unref(struct trust *t)
{
	if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; !t->base && i < t->n_sets; i++)
		free(t->sets[i].data);
	if (!t->base)
		free(t->sets);
	trust_unref(t->base);
	if (t->packages)
		packages_unref(t->packages);
	free(t->confirmed);
	arena_free(&t->arena);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static size_t count_digests(const struct trust *t, bool denied)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_sets; i++)
		n += (t->sets[i].source == TRUST_DENIED) == denied ? t->sets[i].n : 0;
	return n;
}

size_t trust_digest_count(const struct trust *t)
{
	return count_digests(t, false);
}

size_t trust_denied_count(const struct trust *t)
{
	return count_digests(t, true);
}

size_t trust_path_count(const struct trust *t)
{
	return t->n_paths + t->n_globs;
}

unsigned trust_algos(const struct trust *t)
{
	return t->algos;
}

bool trust_unsettled(const struct trust *t)
{
	return t->packages && packages_busy(t->packages);
}

const char *trust_package_algo(const struct trust *t, const char *path)
{
	struct package_file f;

	for (size_t i = 0; t->packages && i < t->n_order; i++) {
		if (t->order[i] != TRUST_PACKAGES)
			continue;
		if (packages_find(t->packages, path, &f) == 0)
			return f.algo;
		return packages_count(t->packages) && (packages_touched(t->packages) || packages_busy(t->packages))
			       ? "MD5"
			       : NULL;
	}
	return NULL;
}

/* --- asking: each source answers or leaves ret alone */

struct question {
	const char *path;
	const struct stat *st;
	const struct exec_digests *digests;
};

/*
 * The path is only what the kernel calls the file; in another mount namespace anybody may choose it. It counts when it
 * leads here too.
 */
static bool stands_there(const struct question *q)
{
	struct stat st;

	return lstat(q->path, &st) == 0 && st.st_dev == q->st->st_dev && st.st_ino == q->st->st_ino;
}

static bool set_holds(const struct digest_set *s, const struct exec_digests *digests)
{
	size_t size = digest_table[s->algo].size;

	if (!(digests->have & 1u << s->algo))
		return false;
	for (size_t low = 0, high = s->n; low < high;) {
		size_t middle = low + (high - low) / 2;
		int c = memcmp(digests->digest[s->algo], s->data + middle * size, size);

		if (c == 0)
			return true;
		low = c > 0 ? middle + 1 : low;
		high = c < 0 ? middle : high;
	}
	return false;
}

static bool ask_sets(const struct trust *t, enum trust_source source, const char *prefix, const struct question *q,
		     struct trust_answer *ret)
{
	for (size_t i = 0; i < t->n_sets; i++) {
		if (t->sets[i].source != source || !set_holds(&t->sets[i], q->digests))
			continue;
		snprintf(ret->why, sizeof(ret->why), "%s%s", prefix, t->sets[i].label);
		return true;
	}
	return false;
}

static bool same(const char *a, const char *b)
{
	return a && b && streq(a, b);
}

/* A reference says little: it counts only where neither digest is known of the container. */
static bool is_image_of(const struct digest_set *s, const struct container *c)
{
	if (same(s->image_digest, c->image_digest) || same(s->image_id, c->image_id))
		return true;
	return !c->image_digest && !c->image_id && same(s->image_ref, c->image);
}

int trust_ask_image(const struct trust *t, const struct container *c, const struct exec_digests *digests,
		    struct trust_answer *ret)
{
	int r = -ENOENT;

	for (size_t i = 0; i < t->n_sets && r != 1; i++) {
		const struct digest_set *s = &t->sets[i];

		if (!is_image_of(s, c))
			continue;
		r = set_holds(s, digests);
		if (r == 1) {
			ret->source = TRUST_BASELINES;
			snprintf(ret->why, sizeof(ret->why), "image %s", s->label);
		}
	}
	return r;
}

static bool ask_baselines(struct trust *t, const struct question *q, struct trust_answer *ret)
{
	return ask_sets(t, TRUST_BASELINES, "baseline ", q, ret);
}

static bool names_path(const struct trust *t, const char *path)
{
	if (bsearch(&path, t->paths, t->n_paths, sizeof(*t->paths), compare_path))
		return true;
	for (size_t i = 0; i < t->n_globs; i++)
		if (text_glob(t->globs[i], path))
			return true;
	return false;
}

static bool ask_explicit(struct trust *t, const struct question *q, struct trust_answer *ret)
{
	if (ask_sets(t, TRUST_EXPLICIT, "", q, ret))
		return true;
	if (!q->path || !names_path(t, q->path) || !stands_there(q))
		return false;
	snprintf(ret->why, sizeof(ret->why), "explicit path");
	return true;
}

static struct confirmed *confirmed_slot(struct trust *t, const uint8_t *digest, bool *ret_found)
{
	struct confirmed *take = NULL;
	size_t first;

	memcpy(&first, digest, sizeof(first));
	*ret_found = false;
	for (size_t i = 0; i < CONFIRMED_PROBE; i++) {
		struct confirmed *c = &t->confirmed[(first + i) % CONFIRMED_SLOTS];

		if (c->used && memcmp(c->digest, digest, EXEC_DIGEST_SIZE) == 0) {
			*ret_found = true;
			return c;
		}
		if (!take && !c->used)
			take = c;
	}
	/* All taken: one goes, by bits of the digest that do not choose the slot. It is confirmed again when seen. */
	return take ?: &t->confirmed[(first + digest[sizeof(first)] % CONFIRMED_PROBE) % CONFIRMED_SLOTS];
}

static bool ask_confirmed(struct trust *t, const struct question *q, struct trust_answer *ret)
{
	const struct confirmed *c;
	bool found;

	pthread_mutex_lock(&t->lock);
	c = confirmed_slot(t, q->digests->digest[EXEC_DIGEST], &found);
	if (found)
		memcpy(ret->why, c->why, sizeof(ret->why));
	pthread_mutex_unlock(&t->lock);
	return found;
}

static void remember(struct trust *t, const struct question *q, const char *why)
{
	struct confirmed *c;
	bool found;

	pthread_mutex_lock(&t->lock);
	c = confirmed_slot(t, q->digests->digest[EXEC_DIGEST], &found);
	memcpy(c->digest, q->digests->digest[EXEC_DIGEST], EXEC_DIGEST_SIZE);
	memcpy(c->why, why, sizeof(c->why));
	c->used = true;
	pthread_mutex_unlock(&t->lock);
}

/*
 * What dpkg runs while it installs is in no list of digests: it unpacks the maintainer's scripts here and runs them.
 * Only root can write below; a file that others could is not taken.
 */
static bool is_package_script(const struct question *q)
{
	static const char *const folders[] = { "/var/lib/dpkg/info/", "/var/lib/dpkg/tmp.ci/" };
	static const char *const names[] = { "preinst", "postinst", "prerm", "postrm", "config" };
	const char *name = NULL, *dot;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (strncmp(q->path, folders[i], strlen(folders[i])) == 0)
			name = q->path + strlen(folders[i]);
	if (!name || strchr(name, '/') || q->st->st_uid != 0 || q->st->st_mode & (S_IWGRP | S_IWOTH))
		return false;
	dot = strrchr(name, '.');
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(dot ? dot + 1 : name, names[i]))
			return stands_there(q);
	return false;
}

/* By the snapshot, else by what was written since it was made. */
static bool matches_package(const struct trust *t, const struct question *q, struct package_file *ret,
			    char name[PACKAGE_NAME_MAX])
{
	size_t len = q->digests->extra_len;

	if (packages_find(t->packages, q->path, ret) == 0 && ret->digest_len && len == ret->digest_len &&
	    memcmp(ret->digest, q->digests->extra, len) == 0)
		return true;
	return len && packages_touched(t->packages) && packages_find_fresh(t->packages, q->path, name, ret) == 0 &&
	       len == ret->digest_len && memcmp(ret->digest, q->digests->extra, len) == 0;
}

static bool ask_packages(struct trust *t, const struct question *q, struct trust_answer *ret)
{
	char name[PACKAGE_NAME_MAX];
	struct package_file f;

	if (!t->packages)
		return false;
	if (ask_confirmed(t, q, ret))
		return true;
	if (!q->path)
		return false;
	if (matches_package(t, q, &f, name)) {
		snprintf(ret->why, sizeof(ret->why), "package %s %s", f.package, f.version);
		remember(t, q, ret->why);
		return true;
	}
	if (packages_count(t->packages) == 0 || !is_package_script(q))
		return false;
	snprintf(ret->why, sizeof(ret->why), "package script");
	return true;
}

void trust_ask(struct trust *t, const char *path, const struct stat *st, const struct exec_digests *digests,
	       struct trust_answer *ret)
{
	static bool (*const ask[TRUST_SOURCE_COUNT])(struct trust *, const struct question *, struct trust_answer *) = {
		[TRUST_BASELINES] = ask_baselines,
		[TRUST_PACKAGES] = ask_packages,
		[TRUST_EXPLICIT] = ask_explicit,
	};
	const struct question q = { path, st, digests };

	memset(ret, 0, sizeof(*ret));
	ret->denied = ask_sets(t, TRUST_DENIED, "", &q, ret);
	for (size_t i = 0; i < t->n_order && !ret->denied; i++) {
		if (ask[t->order[i]] && ask[t->order[i]](t, &q, ret)) {
			ret->source = t->order[i];
			return;
		}
	}
}
