/*
 * Asking the trust snapshot, on any thread: each source answers or leaves the answer alone. The memory of what packages
 * have confirmed is the one thing that changes, behind a lock that is never held over I/O.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/script.h"
#include "exec/trust-internal.h"
#include "lib/text.h"
#include "lib/util.h"

struct question {
	const char *path;
	const struct stat *st;
	const struct exec_digests *digests;
	const struct container *container;
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

/* Not those of images. */
static bool ask_sets(const struct trust *t, enum trust_source source, const char *prefix, const struct question *q,
		     struct trust_answer *ret)
{
	for (size_t i = 0; i < t->n_sets; i++) {
		if (t->sets[i].source != source || t->sets[i].image || !set_holds(&t->sets[i], q->digests))
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

/* Who puts a program into an image says what containers of it run, and nothing of the host. */
static bool is_believed(const struct trust *t, const struct digest_set *s, const struct container *c)
{
	if (t->images == TRUST_IMAGES_EVERYWHERE)
		return true;
	return c && (t->images == TRUST_IMAGES_CONTAINERS || is_image_of(s, c));
}

static bool ask_images(const struct trust *t, const struct question *q, struct trust_answer *ret)
{
	for (size_t i = 0; t->any_image && i < t->n_sets; i++) {
		const struct digest_set *s = &t->sets[i];

		if (!s->image || !set_holds(s, q->digests))
			continue;
		ret->image = true;
		if (!is_believed(t, s, q->container))
			continue;
		snprintf(ret->why, sizeof(ret->why), "image %s", s->label);
		return true;
	}
	return false;
}

static bool ask_baselines(struct trust *t, const struct question *q, struct trust_answer *ret)
{
	return ask_sets(t, TRUST_BASELINES, "baseline ", q, ret) || ask_images(t, q, ret);
}

static bool names_path(const struct trust *t, const char *path)
{
	if (bsearch(&path, t->paths, t->n_paths, sizeof(*t->paths), trust_compare_path))
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

static const char *interpreter_of(struct trust *t, const struct question *q)
{
	const struct trust *root = trust_root(t);

	for (size_t i = 0; i < root->n_named; i++) {
		const struct named *n = &root->named[i];

		if (q->digests->have & 1u << n->algo && (q->container || !n->image) &&
		    memcmp(n->digest, q->digests->digest[n->algo], digest_table[n->algo].size) == 0)
			return n->interpreter;
	}
	return NULL;
}

static bool ask_confirmed(struct trust *t, const struct question *q, struct trust_answer *ret)
{
	const struct confirmed *c;
	bool found;

	pthread_mutex_lock(&t->lock);
	c = confirmed_slot(t, q->digests->digest[EXEC_DIGEST], &found);
	if (found) {
		memcpy(ret->why, c->why, sizeof(ret->why));
		ret->interpreter = c->interpreter;
	}
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
	c->interpreter = script_interpreter(q->path);
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
	       const struct container *c, struct trust_answer *ret)
{
	static bool (*const ask[TRUST_SOURCE_COUNT])(struct trust *, const struct question *, struct trust_answer *) = {
		[TRUST_BASELINES] = ask_baselines,
		[TRUST_PACKAGES] = ask_packages,
		[TRUST_EXPLICIT] = ask_explicit,
	};
	const struct question q = { path, st, digests, c };

	memset(ret, 0, sizeof(*ret));
	ret->interpreter = interpreter_of(t, &q);
	ret->denied = ask_sets(t, TRUST_DENIED, "", &q, ret);
	for (size_t i = 0; i < t->n_order && !ret->denied; i++) {
		if (ask[t->order[i]] && ask[t->order[i]](t, &q, ret)) {
			ret->source = t->order[i];
			/* Others would have vouched for it too: an image is the reason only where it is named. */
			ret->image &= t->order[i] == TRUST_BASELINES;
			return;
		}
	}
}
