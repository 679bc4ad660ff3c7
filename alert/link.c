/* Looks at sensitive files by their names, for the few hard links that are made to them. On the thread "alert". */
#include "alert/link.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/text.h"
#include "lib/util.h"

struct search {
	const char *root; /* host path of the layer that holds it, "" on the host */
	uint64_t dev, ino;
	const char * not ;
	struct arena *a;
	const char *found;
	unsigned looks;
};

static void look_at(struct search *s, const char *path)
{
	struct stat st;

	if (s->looks++ >= LINK_LOOKS_MAX || streq(path, s->not ) || lstat(path, &st) < 0)
		return;
	if (st.st_dev == s->dev && st.st_ino == s->ino)
		s->found = arena_strdup(s->a, path);
}

static void look_in(struct search *s, const char *path)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	_cleanup_buf_ struct buf name = BUF_INIT;
	struct dirent *entry;

	while (dir && !s->found && s->looks < LINK_LOOKS_MAX && (entry = readdir(dir))) {
		if (entry->d_ino != s->ino)
			continue;
		buf_reset(&name);
		buf_printf(&name, "%s/%s", path, entry->d_name);
		if (!name.failed)
			look_at(s, name.data);
	}
}

static void look_at_entry(struct search *s, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		look_in(s, path);
	else
		look_at(s, path);
}

static void look_at_glob(struct search *s, const char *pattern)
{
	glob_t g = { 0 };

	if (glob(pattern, GLOB_NOSORT, NULL, &g) == 0) {
		for (size_t i = 0; i < g.gl_pathc && !s->found; i++)
			look_at_entry(s, g.gl_pathv[i]);
	}
	globfree(&g);
}

static void look_for(struct search *s, const char *sensitive)
{
	_cleanup_buf_ struct buf path = BUF_INIT;

	buf_printf(&path, "%s%s", s->root, sensitive);
	if (!path.failed)
		(text_is_glob(sensitive) ? look_at_glob : look_at_entry)(s, path.data);
}

const char *link_source(const struct conf *conf, const struct event *e, struct arena *a)
{
	const char *upper = e->host_path && e->container ? e->container->upper : NULL;
	struct search s = {
		.root = upper ?: "", .dev = e->after.dev, .ino = e->after.ino, .not = e->host_path ?: e->path, .a = a
	};

	for (size_t i = 0; i < conf->n_sensitive && !s.found && s.looks < LINK_LOOKS_MAX; i++)
		look_for(&s, conf->sensitive[i]);
	return s.found ? s.found + strlen(s.root) : NULL;
}
