/*
 * Finding the file that a response is about. Of the thread "respond". Paths of events are where the file system's own
 * mount has them; what an overlay shows must not be changed under it.
 */
#include "respond/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "fim/read.h"
#include "lib/text.h"
#include "proc/overlay.h"
#include "respond/quarantine-internal.h"
#include "watch/mounts.h"

void file_close(struct file *f)
{
	cleanup_close(&f->rootfd);
	free(f->path);
}

/* --- which */

static bool is_about_file(const struct event *e)
{
	switch (e->kind) {
	case EVENT_EXEC:
		return e->path != NULL;
	case EVENT_CHANGE:
	case EVENT_ACCESS:
		return e->path && e->change != CHANGE_REMOVED;
	default:
		return false;
	}
}

static int file_of_event(const struct event *e, struct file *f)
{
	const char *path = e->change == CHANGE_RENAMED && e->kind != EVENT_EXEC && e->path2 ? e->path2 : e->path;

	f->path = strdup(e->host_path && path == e->path ? e->host_path : path);
	if (!f->path)
		return -ENOMEM;
	if (e->has_after && e->after.have & ATTR_BIT(ATTR_INO) && e->after.have & ATTR_BIT(ATTR_DEV)) {
		f->what.has_identity = true;
		f->what.ino = e->after.ino;
		f->what.dev = e->after.dev;
	}
	return 0;
}

/* The program of the process: named by its link, known by what the link leads to. */
static int file_of_process(const struct response *x, struct file *f)
{
	char link[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (x->target.pidfd < 0)
		return -ESRCH;
	n = readlinkat(x->target.dirfd, "exe", link, sizeof(link) - 1);
	if (n <= 0 || fstatat(x->target.dirfd, "exe", &st, 0) < 0)
		return -ESRCH;
	link[n] = '\0';
	f->path = strdup(link);
	f->what.has_identity = true;
	f->what.ino = st.st_ino;
	f->what.dev = st.st_dev;
	f->rootfd = openat(x->target.dirfd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return f->path && f->rootfd >= 0 ? 0 : -errno;
}

/* --- where */

struct inside {
	const char *path, *found;
};

static void take_upper(const char *layer, bool upper, void *data)
{
	struct inside *in = data;
	size_t len = strlen(layer);

	if (upper && !strncmp(in->path, layer, len) && in->path[len] == '/')
		in->found = in->path + len;
}

/* A path in the upper layer of the container's root, as the container itself calls it. */
static const char *path_inside(const struct response *x, const char *path)
{
	struct inside in = { .path = path };
	struct mount_table mounts;
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d/mountinfo", x->target.dirfd);
	if (mounts_read(name, &mounts, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < mounts.n && !in.found; i++) {
		const struct mount *m = &mounts.mounts[i];
		_cleanup_free_ char *options =
			streq(m->point, "/") && streq(m->fstype, "overlay") ? strdup(m->super_options) : NULL;

		if (options)
			overlay_each_layer(options, take_upper, &in);
	}
	mounts_free(&mounts);
	return in.found;
}

/* The event calls the file as the container does, and the process is in that very container. */
static bool is_called_inside(const struct response *x)
{
	const struct event *e = x->event;

	return e->host_path && e->container && e->container->id && x->group.fd >= 0 &&
	       !strncmp(x->group.id, e->container->id, strlen(e->container->id));
}

/* Through the container's root when it lives, else where it is. */
static int file_place(const struct response *x, struct file *f)
{
	const char *inside = NULL;

	if (x->target.pidfd >= 0 && f->rootfd < 0)
		inside = is_called_inside(x) ? x->event->path : path_inside(x, f->path);

	f->what.path = f->path;
	if (f->rootfd >= 0)
		return 0;
	if (inside) {
		f->rootfd = openat(x->target.dirfd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (f->rootfd >= 0) {
			f->what.shown = f->path;
			f->what.path = inside;
			/* The overlay shows the inode of its layer with a device of its own. */
			f->what.dev = 0;
			return 0;
		}
	}
	f->rootfd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return f->rootfd < 0 ? -errno : 0;
}

static int file_digest(struct file *f)
{
	_cleanup_close_ int dirfd = -1, fd = -1;
	const char *name;
	uint64_t size;
	struct stat st;
	int r = file_open_parent(f->rootfd, f->what.path, &dirfd, &name);

	if (r < 0)
		return r;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	if (f->what.has_identity && (st.st_ino != f->what.ino || (f->what.dev && st.st_dev != f->what.dev)))
		return -ESTALE;
	return copy_digest(fd, f->digest, &size);
}

/* --- may it */

/* A path, a folder with all below it, or a glob of either. */
static bool is_below(const struct conf_list *list, const char *path)
{
	_cleanup_free_ char *part = strdup(path);
	char *slash;

	/* Out of memory nothing is taken away. */
	if (!part)
		return true;
	do {
		for (size_t i = 0; i < list->n; i++)
			if (text_glob(list->items[i], part))
				return true;
		slash = strrchr(part, '/');
		if (slash)
			*slash = '\0';
	} while (slash && *part);
	return false;
}

static bool file_kept(struct respond *r, const struct response *x, const struct file *f, struct buf *why)
{
	const struct conf_respond *c = &x->conf->respond;
	const struct never never = { r->procfd, c->never_touch.items, c->never_touch.n };
	const char *path = f->path;
	/* What a list says of paths speaks of the host. */
	bool host = x->group.fd < 0;

	if (host && never_touch_file(&never, path)) {
		buf_str(why, "never to be touched");
		return true;
	}
	if (host && is_below(&c->keep, path)) {
		buf_str(why, "respond.keep holds it");
		return true;
	}
	if (!strncmp(path, r->state_dir, strlen(r->state_dir)) && path[strlen(r->state_dir)] == '/') {
		buf_str(why, "it is this monitor's own");
		return true;
	}
	if (r->o.trusted && r->o.trusted(f->digest, host ? path : NULL, r->o.data)) {
		buf_str(why, "somebody vouches for this program");
		return true;
	}
	return false;
}

int file_find(struct respond *r, const struct response *x, struct file *ret, struct buf *why)
{
	int e = is_about_file(x->event) ? file_of_event(x->event, ret) : file_of_process(x, ret);

	if (e == 0)
		e = file_place(x, ret);
	ret->what.rootfd = ret->rootfd;
	if (e == 0)
		e = file_digest(ret);
	if (e < 0) {
		buf_str(why, e == -ESTALE ? "another file stands there by now" : strerror(-e));
		return e == -ENOENT || e == -ESRCH || e == -ESTALE ? RESULT_GONE : RESULT_FAILED;
	}
	return file_kept(r, x, ret, why) ? RESULT_REFUSED : RESULT_COUNT;
}

/* --- in words */

void file_describe(const struct response *x, json_t *o)
{
	json_object_set_new(o, "time", json_time(x->event->time));
	json_object_set_new(o, "response", json_u64(x->id));
	json_put_string(o, "ladder", x->ladder->name);
	json_put_string(o, "rule", x->rule);
	if (x->group.fd >= 0)
		json_put_string(o, "container", x->group.id);
	json_object_set_new(o, "event", event_json(x->event));
}

json_t *file_json(const struct response *x)
{
	json_t *o = json_object();

	file_describe(x, o);
	return o;
}
