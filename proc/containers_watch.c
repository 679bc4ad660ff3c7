/*
 * The thread "containers": reads what was hinted at, and what appears in the folders of the runtimes, before anybody
 * asks. A container's folder is there well before its first process, and its files are written one after the other: so
 * it is looked at again, with growing pauses, until it is whole.
 */
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/containers-internal.h"

#define LOOKS_MAX	 8
#define LOOK_FIRST_NS	 (5 * NSEC_PER_MSEC) /* then twice as long each time: 1.3 s in all */
#define ARM_NS		 (10 * NSEC_PER_SEC) /* stores that were not there are looked for again */
#define TASK_FOLDERS_MAX 64

/* A container whose folder appeared. */
struct appeared {
	struct cgroup_container who;
	uint64_t due;
	unsigned looks;
};

/* A watched folder: container folders appear in it, or (tasks) folders of namespaces. */
struct folder {
	int wd;
	bool namespaces;
	const struct runtime_store *store;
};

struct watching {
	struct containers *c;
	int inotify;
	struct folder folders[RUNTIME_STORES_MAX + TASK_FOLDERS_MAX];
	size_t n_folders;
	bool armed[RUNTIME_STORES_MAX];
	struct appeared appeared[FOLDERS_MAX];
	size_t n_appeared;
	uint64_t arm_due;
};

/* --- what appears */

static void appear(struct watching *w, const struct runtime_store *s, const char *id)
{
	struct appeared *a;

	if (strlen(id) >= CGROUP_ID_MAX)
		return;
	if (w->n_appeared == FOLDERS_MAX) {
		pthread_mutex_lock(&w->c->lock);
		w->c->stats.lost++;
		pthread_mutex_unlock(&w->c->lock);
		return;
	}
	a = &w->appeared[w->n_appeared++];
	*a = (struct appeared){ .due = clock_mono_ns() };
	a->who.runtime = s->kind == STORE_MACHINES ? CGROUP_NSPAWN : CGROUP_UNKNOWN;
	snprintf(a->who.id, sizeof(a->who.id), "%s", id);
}

/* Reads what is due; when the next one is. */
static uint64_t look(struct watching *w)
{
	uint64_t now = clock_mono_ns(), next = UINT64_MAX;

	for (size_t i = 0; i < w->n_appeared;) {
		struct appeared *a = &w->appeared[i];

		if (a->due <= now) {
			container_unref(containers_read(w->c, &a->who, 0, 0));
			a->due = now + (LOOK_FIRST_NS << a->looks);
			a->looks++;
		}
		if (a->looks == LOOKS_MAX || containers_is_whole(w->c, a->who.id)) {
			*a = w->appeared[--w->n_appeared];
			continue;
		}
		next = MIN(next, a->due);
		i++;
	}
	return next;
}

/* --- folders */

static struct folder *watch_folder(struct watching *w, const struct runtime_store *s, const char *path, bool namespaces)
{
	struct folder *f = &w->folders[w->n_folders];
	int wd;

	if (w->n_folders == ARRAY_SIZE(w->folders))
		return NULL;
	wd = inotify_add_watch(w->inotify, path, IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR);
	if (wd < 0)
		return NULL;
	*f = (struct folder){ .wd = wd, .namespaces = namespaces, .store = s };
	w->n_folders++;
	return f;
}

struct each {
	struct watching *w;
	const struct runtime_store *s;
};

static int each_appeared(const char *id, void *data)
{
	struct each *e = data;

	appear(e->w, e->s, id);
	/* At the start there may be many more than wait at any other time. */
	if (e->w->n_appeared == FOLDERS_MAX)
		look(e->w);
	return 0;
}

static void watch_namespaces(struct watching *w, const struct runtime_store *s, const char *path)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		_cleanup_buf_ struct buf below = BUF_INIT;

		buf_printf(&below, "%s/%s", path, d->d_name);
		if (d->d_name[0] != '.' && !below.failed)
			watch_folder(w, s, below.data, false);
	}
}

/* Watches first, then looks at what is there, so that nothing falls between. */
static void arm(struct watching *w)
{
	const struct runtime_stores *stores = &w->c->stores;
	uint64_t armed = 0;

	for (size_t i = 0; i < stores->n; i++) {
		_cleanup_buf_ struct buf path = BUF_INIT;
		struct each e = { w, &stores->list[i] };

		armed += w->armed[i];
		runtime_store_watch(e.s, &path);
		if (w->armed[i] || path.failed || !watch_folder(w, e.s, path.data, e.s->kind == STORE_TASKS))
			continue;
		w->armed[i] = true;
		armed++;
		if (e.s->kind == STORE_TASKS)
			watch_namespaces(w, e.s, path.data);
		runtime_each(e.s, each_appeared, &e);
	}
	pthread_mutex_lock(&w->c->lock);
	w->c->stats.stores = armed;
	pthread_mutex_unlock(&w->c->lock);
	w->arm_due = clock_mono_ns() + ARM_NS;
}

static void forget_folder(struct watching *w, struct folder *f)
{
	for (size_t i = 0; i < w->c->stores.n; i++)
		if (&w->c->stores.list[i] == f->store && (f->namespaces || f->store->kind != STORE_TASKS))
			w->armed[i] = false;
	*f = w->folders[--w->n_folders];
}

static struct folder *folder_of(struct watching *w, int wd)
{
	for (size_t i = 0; i < w->n_folders; i++)
		if (w->folders[i].wd == wd)
			return &w->folders[i];
	return NULL;
}

static void new_namespace(struct watching *w, const struct runtime_store *s, const char *name)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct each e = { w, s };

	runtime_store_watch(s, &path);
	buf_printf(&path, "/%s", name);
	if (!path.failed && watch_folder(w, s, path.data, false))
		runtime_each(s, each_appeared, &e);
}

static void take_event(struct watching *w, const struct inotify_event *e)
{
	struct folder *f = folder_of(w, e->wd);

	if (e->mask & IN_Q_OVERFLOW) {
		/* All stores are looked at anew. */
		memset(w->armed, 0, sizeof(w->armed));
		arm(w);
		return;
	}
	if (!f)
		return;
	if (e->mask & IN_IGNORED)
		forget_folder(w, f);
	else if (e->len && f->namespaces)
		new_namespace(w, f->store, e->name);
	else if (e->len)
		appear(w, f->store, e->name);
}

static void read_events(struct watching *w)
{
	_Alignas(struct inotify_event) char data[16 * 1024];
	ssize_t n = read(w->inotify, data, sizeof(data));

	for (char *at = data; n > 0 && at < data + n;) {
		const struct inotify_event *e = (const void *)at;

		take_event(w, e);
		at += sizeof(*e) + e->len;
	}
}

/* --- hints */

static void read_hints(struct containers *c)
{
	eventfd_t count;

	eventfd_read(c->wake, &count);
	for (;;) {
		struct hint h;
		bool any;

		pthread_mutex_lock(&c->lock);
		any = c->hint_first != c->hint_end;
		if (any)
			h = c->hints[c->hint_first++ % HINTS_MAX];
		pthread_mutex_unlock(&c->lock);
		if (!any || atomic_load(&c->stopping))
			return;
		container_unref(containers_read(c, &h.who, h.pid, 0));
	}
}

static int wait_ms(uint64_t due)
{
	uint64_t now = clock_mono_ns();

	if (due <= now)
		return 0;
	return (int)MIN((due - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, (uint64_t)INT_MAX);
}

void *containers_thread(void *data)
{
	struct containers *c = data;
	struct watching *w = calloc(1, sizeof(*w));

	pthread_setname_np(pthread_self(), "containers");
	if (!w)
		return NULL;
	w->c = c;
	w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	while (!atomic_load(&c->stopping)) {
		struct pollfd p[] = { { .fd = c->wake, .events = POLLIN }, { .fd = w->inotify, .events = POLLIN } };
		uint64_t due = look(w);

		if (clock_mono_ns() >= w->arm_due) {
			arm(w);
			continue;
		}
		poll(p, ARRAY_SIZE(p), wait_ms(MIN(due, w->arm_due)));
		if (p[0].revents)
			read_hints(c);
		if (p[1].revents)
			read_events(w);
	}
	cleanup_close(&w->inotify);
	free(w);
	return NULL;
}
