/*
 * Where the layers of a container lie on the host: from the folders of an overlay driver, or from the mount table of
 * one of its processes (the one place where containerd's are named). Paths of the mount table are as whoever mounted it
 * saw them: on the host, and so the host's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proc/overlay.h"
#include "proc/runtime-internal.h"

#define MOUNTINFO_MAX (4 * MIB)

struct layers {
	const char *list[RUNTIME_LAYERS_MAX + 1];
	size_t n;
};

struct taking {
	struct reading *r;
	struct layers layers;
};

static void layers_add(struct layers *l, const char *path)
{
	if (path && l->n < RUNTIME_LAYERS_MAX)
		l->list[l->n++] = path;
}

static void layers_keep(struct reading *r, const struct layers *l)
{
	const char **list = arena_dup(&r->c->arena, l->list, sizeof(*list) * (l->n + 1));

	r->nomem |= !list;
	if (list)
		list[l->n] = NULL;
	r->c->lowers = list;
}

/* The path without links and "..", so that it is as events have it. NULL when it is not there. */
static const char *keep_real(struct reading *r, const char *path)
{
	char real[PATH_MAX];
	char *copy = realpath(path, real) ? arena_strdup(&r->c->arena, real) : NULL;

	return copy;
}

/* --- an overlay driver's folder: diff, and lower: "l/SHORT:l/SHORT" relative to the driver's root */

void layers_of_driver(struct reading *r, const char *folder)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct layers l = { .n = 0 };
	const char *slash = strrchr(folder, '/');
	char *save = NULL, *lower;

	if (r->c->upper || !slash)
		return;
	buf_printf(&path, "%s/diff", folder);
	r->c->upper = path.failed ? NULL : keep_real(r, path.data);
	buf_reset(&path);
	buf_printf(&path, "%s/lower", folder);
	lower = path.failed ? NULL : reading_text(r, path.data);
	for (char *one = lower ? strtok_r(lower, ":\n", &save) : NULL; one; one = strtok_r(NULL, ":\n", &save)) {
		buf_reset(&path);
		buf_printf(&path, "%.*s/%s", (int)(slash - folder), folder, one);
		layers_add(&l, path.failed ? NULL : keep_real(r, path.data));
	}
	if (r->c->upper)
		layers_keep(r, &l);
}

/* --- mount tables */

/* A file of a process, at most MOUNTINFO_MAX bytes; NULL when there is nothing. */
static char *read_process(int procfd, int32_t pid, const char *file)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	_cleanup_close_ int fd = -1;
	char name[40];
	ssize_t n = 1;

	snprintf(name, sizeof(name), "%d/%s", pid, file);
	fd = openat(procfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (fd >= 0 && n > 0 && text.len < MOUNTINFO_MAX && buf_reserve(&text, 16 * KIB)) {
		n = read(fd, text.data + text.len, 16 * KIB);
		text.len += n > 0 ? (size_t)n : 0;
	}
	if (!text.len || !buf_reserve(&text, 1))
		return NULL;
	text.data[text.len] = '\0';
	return TAKE_PTR(text.data);
}

/* A folder of an overlay, as whoever mounted it called it. */
static void take_layer(const char *path, bool upper, void *data)
{
	struct taking *t = data;

	if (upper)
		t->r->c->upper = keep_real(t->r, path);
	else
		layers_add(&t->layers, keep_real(t->r, path));
}

static void take_options(struct reading *r, char *options)
{
	struct taking t = { .r = r };

	overlay_each_layer(options, take_layer, &t);
	layers_keep(r, &t.layers);
}

/* "ID PARENT DEV ROOT POINT OPTIONS ... - TYPE SOURCE SUPER": the super options when it is an overlay at point. */
static char *overlay_options(char *line, const char *point)
{
	char *field = line, *type;

	for (int i = 0; i < 4 && field; i++) {
		field = strchr(field, ' ');
		field = field ? field + 1 : NULL;
	}
	type = field ? strstr(field, " - ") : NULL;
	if (!type || strncmp(type, " - overlay ", strlen(" - overlay ")) != 0)
		return NULL;
	field[strcspn(field, " ")] = '\0';
	text_unescape_octal(field);
	if (!streq(field, point))
		return NULL;
	type = strchr(type + strlen(" - overlay "), ' ');
	return type ? type + 1 : NULL;
}

bool layers_of_mounts(struct reading *r, int procfd, int32_t pid, const char *point)
{
	_cleanup_free_ char *text = read_process(procfd, pid, "mountinfo");
	char *save = NULL, *found = NULL;

	/* The last one lies on top. */
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		char *options = overlay_options(line, point);

		found = options ?: found;
	}
	if (!found)
		return false;
	take_options(r, found);
	return r->c->upper != NULL;
}

bool layers_is_in(const struct reading *r, int procfd, int32_t pid)
{
	_cleanup_free_ char *text = read_process(procfd, pid, "cgroup");

	return text && strstr(text, r->c->id);
}
