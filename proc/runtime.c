/*
 * The stores of the container runtimes, and what is asked of each. Keeps no state but the list of places; runs on
 * whatever thread asks, chiefly "containers". Must not be called by a thread that answers the kernel.
 */
#include "proc/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proc/runtime-internal.h"

#define EACH_MAX 4096

/* --- where */

static const struct runtime_store usual[] = {
	{ STORE_DOCKER, "/var/lib/docker" },
	{ STORE_STORAGE, "/var/lib/containers/storage" },
	{ STORE_STORAGE, "/run/containers/storage" },
	{ STORE_TASKS, "/run/containerd/io.containerd.runtime.v2.task" },
	{ STORE_TASKS, "/run/k3s/containerd/io.containerd.runtime.v2.task" },
	{ STORE_TASKS, "/run/docker/containerd/daemon/io.containerd.runtime.v2.task" },
	{ STORE_MACHINES, "/run/systemd/machines" },
};

/* What a folder holds tells what it is. */
static const struct {
	const char *child;
	enum runtime_store_kind kind;
	const char *below; /* the store is this folder of it */
} signs[] = {
	{ "overlay-containers", STORE_STORAGE, "" },
	{ "overlay-layers", STORE_STORAGE, "" },
	{ "io.containerd.runtime.v2.task", STORE_TASKS, "/io.containerd.runtime.v2.task" },
	{ "image/overlay2", STORE_DOCKER, "" },
	{ "containers", STORE_DOCKER, "" },
};

static int stores_add(struct runtime_stores *s, enum runtime_store_kind kind, const char *a, const char *b)
{
	_cleanup_buf_ struct buf path = BUF_INIT;

	if (s->n == RUNTIME_STORES_MAX)
		return 0;
	buf_printf(&path, "%s%s", streq(a, "/") ? "" : a, b);
	s->list[s->n].kind = kind;
	s->list[s->n].path = path.failed ? NULL : arena_strdup(&s->arena, path.data);
	return s->list[s->n++].path ? 0 : -ENOMEM;
}

static int stores_detect(struct runtime_stores *s, const char *folder)
{
	_cleanup_close_ int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (fd >= 0 && fstatat(fd, signs[i].child, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return stores_add(s, signs[i].kind, folder, signs[i].below);
	/* Not there yet: a graph root is what people move. */
	return stores_add(s, STORE_STORAGE, folder, "");
}

int runtime_stores_init(struct runtime_stores *s, const char *root, const char *const *more, size_t n_more)
{
	int r = 0;

	*s = (struct runtime_stores){ .n = 0 };
	for (size_t i = 0; i < n_more && r == 0; i++)
		r = stores_detect(s, more[i]);
	for (size_t i = 0; i < ARRAY_SIZE(usual) && r == 0; i++)
		r = stores_add(s, usual[i].kind, root, usual[i].path);
	if (r < 0)
		runtime_stores_free(s);
	return r;
}

void runtime_stores_free(struct runtime_stores *s)
{
	arena_free(&s->arena);
	s->n = 0;
}

static const char *const containers_folder[STORE_KIND_COUNT] = {
	[STORE_STORAGE] = "/overlay-containers",
	[STORE_DOCKER] = "/containers",
	[STORE_TASKS] = "",
	[STORE_MACHINES] = "",
};

void runtime_store_watch(const struct runtime_store *s, struct buf *ret)
{
	buf_printf(ret, "%s%s", s->path, containers_folder[s->kind]);
}

/* --- reading */

void reading_note(struct reading *r, const char *path, const char *what)
{
	const char *name = strrchr(path, '/');

	buf_printf(&r->why, "%s%s: %s", r->why.len ? "; " : "", name ? name + 1 : path, what);
}

/* The whole of a small regular file; -errno. */
static int read_all(const char *path, size_t max, struct buf *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? io_read_all(fd, max, ret) : -EINVAL;
}

json_t *reading_json(struct reading *r, const char *path)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_error_t err;
	json_t *o;
	int e = read_all(path, RUNTIME_JSON_MAX, &text);

	if (e < 0) {
		if (e != -ENOENT && e != -ENOTDIR)
			reading_note(r, path, strerror(-e));
		return NULL;
	}
	o = json_loadb(text.data ? text.data : "", text.len, 0, &err);
	if (!o)
		reading_note(r, path, "is not JSON");
	return o;
}

char *reading_text(struct reading *r, const char *path)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	if (read_all(path, 64 * KIB, &text) < 0 || text.len == 0)
		return NULL;
	return arena_strndup(&r->c->arena, text.data, text.len);
}

const char *reading_line(struct reading *r, const char *path)
{
	char *text = reading_text(r, path);

	if (text)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

const char *reading_keep(struct reading *r, const char *s)
{
	char *copy;
	size_t len;

	if (!s || !*s)
		return NULL;
	len = strlen(s);
	copy = arena_strndup(&r->c->arena, s, MIN(len, (size_t)CONTAINER_TEXT_MAX));
	r->nomem |= !copy;
	return copy;
}

void reading_set(struct reading *r, const char **member, const char *s)
{
	if (!*member)
		*member = reading_keep(r, s);
}

void reading_label(struct reading *r, const char *key, const char *value)
{
	struct container *c = r->c;

	if (!key || !value || c->n_labels == CONTAINER_LABELS_MAX || container_label(c, key))
		return;
	c->labels[c->n_labels].key = reading_keep(r, *key ? key : NULL);
	c->labels[c->n_labels].value = *value ? reading_keep(r, value) : "";
	c->n_labels += c->labels[c->n_labels].key && c->labels[c->n_labels].value;
}

void reading_digest(struct reading *r, const char **member, const char *s)
{
	static const char prefix[] = "sha256:";
	char text[sizeof(prefix) + CONTAINER_ID_LEN];

	if (*member || !s)
		return;
	if (strncmp(s, prefix, sizeof(prefix) - 1) == 0)
		s += sizeof(prefix) - 1;
	if (strlen(s) != CONTAINER_ID_LEN || strspn(s, "0123456789abcdef") != CONTAINER_ID_LEN)
		return;
	snprintf(text, sizeof(text), "%s%s", prefix, s);
	*member = reading_keep(r, text);
}

/* --- asking all of them */

static bool (*const readers[STORE_KIND_COUNT])(struct reading *r, const struct runtime_store *s) = {
	[STORE_STORAGE] = storage_read,
	[STORE_DOCKER] = docker_read,
	[STORE_TASKS] = tasks_read,
	[STORE_MACHINES] = machines_read,
};

/* In words: what is not known, and what stood in the way. */
static void explain(struct reading *r, bool found)
{
	struct container *c = r->c;
	_cleanup_buf_ struct buf b = BUF_INIT;
	const struct {
		const char *value, *word;
	} wanted[] = {
		{ c->name, "name" },
		{ c->image, "image" },
		{ c->image_digest ?: c->image_id, "image digest" },
	};

	if (!found) {
		buf_str(&b, "no container runtime of this node keeps anything of it");
	} else if (!c->runtime || !streq(c->runtime, cgroup_runtime_names[CGROUP_NSPAWN])) {
		for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
			if (!wanted[i].value)
				buf_printf(&b, "%s%s", b.len ? ", " : "not told by its runtime: ", wanted[i].word);
	}
	if (b.len && r->why.len)
		buf_printf(&b, " (%s)", r->why.data);
	if (b.len && !b.failed)
		c->unknown = reading_keep(r, b.data);
}

int runtime_read(const struct runtime_stores *s, enum cgroup_runtime hint, int procfd, int32_t pid, struct container *c)
{
	struct reading r = { .c = c };
	bool found = false;

	for (size_t i = 0; i < s->n; i++) {
		bool machine = s->list[i].kind == STORE_MACHINES;

		if (machine == (hint == CGROUP_NSPAWN) && readers[s->list[i].kind](&r, &s->list[i]))
			found = true;
	}
	if (!c->runtime)
		c->runtime = cgroup_runtime_names[hint];
	if (pid > 0 && !c->upper)
		layers_of_mounts(&r, procfd, pid, "/");
	if (!c->upper && r.init > 0 && layers_is_in(&r, procfd, r.init))
		layers_of_mounts(&r, procfd, r.init, "/");
	containerd_read_image(&r);
	explain(&r, found);
	buf_free(&r.why);
	return r.nomem ? -ENOMEM : found;
}

/* --- listing */

static bool is_container_folder(enum runtime_store_kind kind, const char *name)
{
	if (kind == STORE_MACHINES)
		return name[0] != '.' && strncmp(name, "unit:", 5) != 0;
	return strlen(name) == CONTAINER_ID_LEN && strspn(name, "0123456789abcdef") == CONTAINER_ID_LEN;
}

static int each_in(enum runtime_store_kind kind, const char *path, int (*fn)(const char *id, void *data), void *data)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	const struct dirent *d;
	size_t n = 0;
	int r = 0;

	while (dir && r == 0 && n++ < EACH_MAX && (d = readdir(dir)))
		if (is_container_folder(kind, d->d_name))
			r = fn(d->d_name, data);
	return r;
}

int runtime_each(const struct runtime_store *s, int (*fn)(const char *id, void *data), void *data)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *d;
	int r = 0;

	runtime_store_watch(s, &path);
	if (path.failed)
		return -ENOMEM;
	if (s->kind != STORE_TASKS)
		return each_in(s->kind, path.data, fn, data);
	dir = opendir(path.data);
	while (dir && r == 0 && (d = readdir(dir))) {
		_cleanup_buf_ struct buf below = BUF_INIT;

		if (d->d_name[0] == '.')
			continue;
		buf_printf(&below, "%s/%s", path.data, d->d_name);
		r = below.failed ? -ENOMEM : each_in(s->kind, below.data, fn, data);
	}
	return r;
}
