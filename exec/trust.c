/*
 * The trust snapshot: sorted arrays of digests, one for each baseline and algorithm, and the package database of the
 * host. Built on one thread, then never changed; exec/trust_ask.c asks it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exec/trust-internal.h"
#include "lib/text.h"
#include "lib/util.h"

#define TRUST_SETS_MAX 1024

const char *const trust_source_names[TRUST_SOURCE_COUNT] = {
	[TRUST_NONE] = "none",	       [TRUST_BASELINES] = "baselines", [TRUST_PACKAGES] = "packages",
	[TRUST_EXPLICIT] = "explicit", [TRUST_DENIED] = "denied",
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
	t->own = true;
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

int trust_add_interpreter(struct trust *t, enum digest_algo algo, const uint8_t *digest, const char *interpreter,
			  bool image)
{
	struct named *more;

	/* Most images have the same ones. */
	for (size_t i = 0; i < t->n_named; i++) {
		struct named *n = &t->named[i];

		if (n->algo != algo || !streq(n->interpreter, interpreter) ||
		    memcmp(n->digest, digest, digest_table[algo].size) != 0)
			continue;
		n->image &= image;
		return 0;
	}
	if (t->n_named == TRUST_NAMED_MAX)
		return -E2BIG;
	more = reallocarray(t->named, t->n_named + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	t->named = more;
	more += t->n_named++;
	*more = (struct named){ .interpreter = interpreter, .algo = algo, .image = image };
	memcpy(more->digest, digest, digest_table[algo].size);
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

	s->image = t->any_image = true;
	if (r == 0)
		r = keep(t, id, &s->image_id);
	return r < 0 ? r : keep(t, reference, &s->image_ref);
}

void trust_believe_images(struct trust *t, enum trust_images where)
{
	t->images = where;
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

int trust_compare_path(const void *a, const void *b)
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

		if (s->n == 0 || s->shared) /* a baseline without programs has no data either */
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
	qsort(t->paths, t->n_paths, sizeof(*t->paths), trust_compare_path);
	return make_confirmed(t);
}

int trust_renew(struct trust *sealed, struct packages *packages, struct trust **ret)
{
	_cleanup_trust_ struct trust *t = NULL;
	int r = trust_new(sealed->order, sealed->n_order, packages, &t);

	if (r < 0)
		return r;
	t->base = trust_ref(sealed->own ? sealed : sealed->base);
	t->own = false;
	t->sets = sealed->sets;
	t->n_sets = sealed->n_sets;
	memcpy(t->paths, sealed->paths, sizeof(t->paths));
	t->n_paths = sealed->n_paths;
	memcpy(t->globs, sealed->globs, sizeof(t->globs));
	t->n_globs = sealed->n_globs;
	t->images = sealed->images;
	t->any_image = sealed->any_image;
	t->algos = sealed->algos;
	r = make_confirmed(t);
	if (r == 0)
		*ret = TAKE_PTR(t);
	return r;
}

struct trust *trust_root(struct trust *t)
{
	while (t->base)
		t = t->base;
	return t;
}

int trust_relist(struct trust *sealed, struct trust **ret)
{
	_cleanup_trust_ struct trust *t = NULL;
	int r = trust_new(sealed->order, sealed->n_order, sealed->packages, &t);

	if (r == 0)
		t->sets = calloc(sealed->n_sets + 1, sizeof(*t->sets));
	if (r == 0 && !t->sets)
		r = -ENOMEM;
	if (r < 0)
		return r;
	t->base = trust_ref(trust_root(sealed));
	for (size_t i = 0; i < sealed->n_sets; i++) {
		if (sealed->sets[i].source != TRUST_BASELINES)
			continue;
		t->sets[t->n_sets] = sealed->sets[i];
		t->sets[t->n_sets++].shared = true;
	}
	t->images = sealed->images;
	t->any_image = sealed->any_image;
	t->algos = sealed->algos;
	*ret = TAKE_PTR(t);
	return 0;
}

void trust_keep_confirmed(struct trust *t, struct trust *old)
{
	if (!t->packages || t->packages != old->packages)
		return;
	pthread_mutex_lock(&old->lock);
	memcpy(t->confirmed, old->confirmed, CONFIRMED_SLOTS * sizeof(*t->confirmed));
	pthread_mutex_unlock(&old->lock);
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
	for (size_t i = 0; t->own && i < t->n_sets; i++)
		if (!t->sets[i].shared)
			free(t->sets[i].data);
	if (t->own)
		free(t->sets);
	trust_unref(t->base);
	if (t->packages)
		packages_unref(t->packages);
	free(t->confirmed);
	free(t->named);
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

bool trust_has_images(const struct trust *t)
{
	return t->any_image;
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
		if (packages_find(t->packages, path, &f) == 0 && f.digest_len)
			return f.algo;
		return packages_count(t->packages) && (packages_touched(t->packages) || packages_busy(t->packages))
			       ? "MD5"
			       : NULL;
	}
	return NULL;
}
