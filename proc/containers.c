/*
 * The table of containers: by id, and by the host path of their writable layer. Any thread asks; reading is done by
 * whoever asks first, without the lock: two may read the same container at once, and the one that comes second finds it
 * there. Snapshots are never changed: what is read again replaces what was held when it knows more.
 */
#include "proc/containers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utlist.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/containers-internal.h"

/* What its runtime was still writing is looked for again at most so often, and not before. */
#define READS_MAX     16
#define READ_AGAIN_NS (20 * NSEC_PER_MSEC)
/* Of one whose programs start: what its runtime wrote before the start is there. */
#define READS_STARTS 64
/* A machine's name may be another machine's by now. */
#define NAME_KEEP_NS (5 * NSEC_PER_SEC)

/* --- table (lock held) */

static struct known *known_find(struct containers *c, const char *id)
{
	struct known *k;

	HASH_FIND(by_id, c->ids, id, strlen(id), k);
	return k;
}

static void known_unlink_upper(struct containers *c, struct known *k)
{
	if (k->upper)
		HASH_DELETE(by_upper, c->uppers, k);
	free(TAKE_PTR(k->upper));
}

static void known_free(struct containers *c, struct known *k)
{
	known_unlink_upper(c, k);
	HASH_DELETE(by_id, c->ids, k);
	DL_DELETE(c->list, k);
	container_unref(k->c);
	free(k);
	c->n--;
}

/* All layers of a store have paths of one length: most prefixes of a path need not be looked up. */
static void length_set(struct containers *c, size_t len)
{
	len = MIN(len, LENGTHS - 1);
	c->lengths[len / 64] |= UINT64_C(1) << len % 64;
}

static bool length_has(const struct containers *c, size_t len)
{
	len = MIN(len, LENGTHS - 1);
	return c->lengths[len / 64] >> len % 64 & 1;
}

static void known_link_upper(struct containers *c, struct known *k)
{
	struct known *other;
	size_t len = k->c->upper ? strlen(k->c->upper) : 0;

	known_unlink_upper(c, k);
	if (len == 0)
		return;
	HASH_FIND(by_upper, c->uppers, k->c->upper, len, other);
	/* The folder is given to another container by now. */
	if (other)
		known_unlink_upper(c, other);
	k->upper = strdup(k->c->upper);
	if (!k->upper)
		return;
	length_set(c, len);
	HASH_ADD_KEYPTR(by_upper, c->uppers, k->upper, len, k);
	if (!k->by_upper.tbl)
		free(TAKE_PTR(k->upper));
}

static struct known *known_add(struct containers *c, const char *id)
{
	struct known *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	while (c->n >= c->max) {
		known_free(c, c->list);
		c->stats.evicted++;
	}
	snprintf(k->id, sizeof(k->id), "%s", id);
	HASH_ADD_KEYPTR(by_id, c->ids, k->id, strlen(k->id), k);
	if (!k->by_id.tbl) {
		free(k);
		return NULL;
	}
	DL_APPEND(c->list, k);
	c->n++;
	return k;
}

static void known_touch(struct containers *c, struct known *k)
{
	DL_DELETE(c->list, k);
	DL_APPEND(c->list, k);
}

/* What another reading may still tell: not forever, and not all the time. */
static bool is_due(const struct known *k, enum cgroup_runtime runtime, uint64_t since)
{
	uint64_t age = clock_boot_ns() - k->read_ns;

	if (runtime == CGROUP_NSPAWN)
		return age > NAME_KEEP_NS;
	if (k->whole)
		return false;
	return k->read_ns < since ? k->reads < READS_STARTS : k->reads < READS_MAX && age > READ_AGAIN_NS * k->reads;
}

/* How much a snapshot says. */
static unsigned worth(const struct container *c)
{
	return !!c->name + !!c->image + !!c->image_digest + !!c->image_id + !!c->pod + !!c->namespace + !!c->upper +
	       !!c->lowers + c->have_mounts + c->have_privileged + (c->started != 0);
}

/* *ret_fresh: its layer was not known before. */
static struct container *known_put(struct containers *c, struct container *read, const char *id, uint64_t began,
				   bool *ret_fresh)
{
	struct known *k = known_find(c, id) ?: known_add(c, id);

	if (!k)
		return NULL;
	k->read_ns = MAX(began, k->read_ns);
	k->reads++;
	*ret_fresh = read->upper && (!k->c || !k->c->upper || !streq(k->c->upper, read->upper));
	if (!k->c || worth(read) >= worth(k->c) || strlen(id) != CONTAINER_ID_LEN) {
		container_unref(k->c);
		k->c = container_ref(read);
		known_link_upper(c, k);
	}
	/* The bundle is written last. */
	k->whole = !k->c->unknown && k->c->upper && k->c->have_mounts;
	known_touch(c, k);
	return container_ref(k->c);
}

/* --- reading (no lock) */

static struct container *read_one(struct containers *c, const struct cgroup_container *who, int32_t pid)
{
	struct container *read = container_new();

	if (!read)
		return NULL;
	read->id = arena_strdup(&read->arena, who->id);
	if (!read->id || runtime_read(&c->stores, who->runtime, c->procfd, pid, read) < 0) {
		container_unref(read);
		return NULL;
	}
	return read;
}

static void tell_followers(struct containers *c, struct container *known, bool fresh)
{
	pthread_mutex_lock(&c->follower_lock);
	if (c->reader)
		c->reader(known, c->reader_data);
	if (fresh && c->follower)
		c->follower(known, c->follower_data);
	pthread_mutex_unlock(&c->follower_lock);
}

void containers_on_known(struct containers *c, void (*fn)(struct container *c, void *data), void *data)
{
	pthread_mutex_lock(&c->follower_lock);
	c->follower = fn;
	c->follower_data = data;
	pthread_mutex_unlock(&c->follower_lock);
}

void containers_on_read(struct containers *c, void (*fn)(struct container *c, void *data), void *data)
{
	pthread_mutex_lock(&c->follower_lock);
	c->reader = fn;
	c->reader_data = data;
	pthread_mutex_unlock(&c->follower_lock);
}

struct container *containers_read(struct containers *c, const struct cgroup_container *who, int32_t pid,
				  uint64_t boot_ns)
{
	_cleanup_container_ struct container *read = NULL;
	struct container *ret;
	bool fresh = false;
	struct known *k;
	uint64_t began;

	pthread_mutex_lock(&c->lock);
	k = known_find(c, who->id);
	ret = k && !is_due(k, who->runtime, boot_ns) ? container_ref(k->c) : NULL;
	if (ret)
		known_touch(c, k);
	pthread_mutex_unlock(&c->lock);
	if (ret)
		return ret;
	began = clock_boot_ns();
	read = read_one(c, who, pid);
	pthread_mutex_lock(&c->lock);
	c->stats.reads++;
	if (read)
		ret = known_put(c, read, who->id, began, &fresh);
	pthread_mutex_unlock(&c->lock);
	if (read && ret)
		tell_followers(c, ret, fresh);
	return ret;
}

bool containers_is_whole(struct containers *c, const char *id)
{
	struct known *k;
	bool whole;

	pthread_mutex_lock(&c->lock);
	k = known_find(c, id);
	whole = k && k->whole;
	pthread_mutex_unlock(&c->lock);
	return whole;
}

/* --- asking */

struct container *containers_get(struct containers *c, const char *cgroup, int32_t pid, uint64_t boot_ns)
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	size_t n = cgroup ? cgroup_containers(cgroup, in) : 0;

	return n ? containers_read(c, &in[n - 1], pid, boot_ns) : NULL;
}

struct container *containers_peek(struct containers *c, const char *cgroup)
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	size_t n = cgroup ? cgroup_containers(cgroup, in) : 0;

	return n ? containers_by_id(c, in[n - 1].id) : NULL;
}

struct container *containers_by_id(struct containers *c, const char *id)
{
	struct container *ret = NULL;
	struct known *k;

	pthread_mutex_lock(&c->lock);
	k = known_find(c, id);
	if (k)
		ret = container_ref(k->c);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

void containers_hint(struct containers *c, const char *cgroup, int32_t pid)
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	size_t n = cgroup_containers(cgroup, in);
	struct known *k;
	bool wanted;

	if (n == 0 || !c->running)
		return;
	pthread_mutex_lock(&c->lock);
	k = known_find(c, in[n - 1].id);
	wanted = !k || is_due(k, in[n - 1].runtime, 0);
	if (wanted && c->hint_end - c->hint_first == HINTS_MAX) {
		c->stats.lost++;
		wanted = false;
	}
	if (wanted)
		c->hints[c->hint_end++ % HINTS_MAX] = (struct hint){ .who = in[n - 1], .pid = pid };
	pthread_mutex_unlock(&c->lock);
	if (wanted)
		eventfd_write(c->wake, 1);
}

struct container *containers_by_path(struct containers *c, const char *path, const char **ret_inner)
{
	struct container *found = NULL;

	pthread_mutex_lock(&c->lock);
	for (const char *end = path + strlen(path); c->uppers && !found && end > path;) {
		struct known *k = NULL;

		if (length_has(c, (size_t)(end - path)))
			HASH_FIND(by_upper, c->uppers, path, (size_t)(end - path), k);
		if (k) {
			found = container_ref(k->c);
			*ret_inner = *end ? end : "/";
		}
		for (end--; end > path && *end != '/';)
			end--;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

static const char *below(const char *layer, const char *path)
{
	size_t len = layer ? strlen(layer) : 0;

	if (len == 0 || strncmp(path, layer, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path[len] ? path + len : "/";
}

const char *container_inner_path(const struct container *c, const char *path, bool *ret_upper)
{
	const char *inner = below(c->upper, path);

	*ret_upper = inner != NULL;
	for (size_t i = 0; !inner && c->lowers && c->lowers[i]; i++)
		inner = below(c->lowers[i], path);
	return inner;
}

/* --- all of them */

struct listing {
	struct containers *c;
	enum cgroup_runtime runtime;
};

static int list_read(const char *id, void *data)
{
	struct listing *l = data;
	struct cgroup_container who = { .runtime = l->runtime };

	snprintf(who.id, sizeof(who.id), "%s", id);
	container_unref(containers_read(l->c, &who, 0, 0));
	return 0;
}

static size_t all(struct containers *c, struct container ***ret)
{
	struct known *k;
	size_t n = 0;

	pthread_mutex_lock(&c->lock);
	*ret = calloc(c->n + 1, sizeof(**ret));
	if (*ret)
		DL_FOREACH(c->list, k)
	(*ret)[n++] = container_ref(k->c);
	pthread_mutex_unlock(&c->lock);
	return n;
}

int containers_each(struct containers *c, int (*fn)(struct container *c, void *data), void *data)
{
	struct container **list;
	size_t n;
	int r = 0;

	for (size_t i = 0; i < c->stores.n && r == 0; i++) {
		struct listing l = { .c = c };

		l.runtime = c->stores.list[i].kind == STORE_MACHINES ? CGROUP_NSPAWN : CGROUP_UNKNOWN;
		r = runtime_each(&c->stores.list[i], list_read, &l);
	}
	n = all(c, &list);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = fn(list[i], data);
		container_unref(list[i]);
	}
	free(list);
	return r;
}

void containers_get_stats(struct containers *c, struct containers_stats *ret)
{
	struct known *k;

	pthread_mutex_lock(&c->lock);
	*ret = c->stats;
	DL_FOREACH(c->list, k)
	{
		bool known = k->c->name || k->c->image;

		ret->known += known;
		ret->unknown += !known;
		if (!known && k->c->unknown)
			snprintf(ret->why, sizeof(ret->why), "%s", k->c->unknown);
	}
	pthread_mutex_unlock(&c->lock);
}

/* --- life */

int containers_new(const struct containers_options *o, struct containers **ret)
{
	struct containers *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->follower_lock, NULL);
	c->max = o->max ?: CONTAINERS_DEFAULT;
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->procfd = open(o->procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = c->wake < 0 || c->procfd < 0 ? -errno : 0;
	if (r == 0)
		r = runtime_stores_init(&c->stores, o->root, o->stores, o->n_stores);
	if (r < 0) {
		containers_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int containers_start(struct containers *c)
{
	sigset_t blocked, old;
	int r;

	sigfillset(&blocked);
	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	r = -pthread_create(&c->thread, NULL, containers_thread, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->running = r == 0;
	return r;
}

void containers_free(struct containers *c)
{
	if (!c)
		return;
	if (c->running) {
		atomic_store(&c->stopping, true);
		eventfd_write(c->wake, 1);
		pthread_join(c->thread, NULL);
	}
	while (c->list)
		known_free(c, c->list);
	runtime_stores_free(&c->stores);
	cleanup_close(&c->wake);
	cleanup_close(&c->procfd);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->follower_lock);
	free(c);
}
