/*
 * Walks the globs of `sensitive`, component by component, so that "/home/x*" + "/.ssh" lists /home and nothing below.
 * Any thread; lists folders and stats entries on local file systems, opens no file.
 */
#include "watch/sensitive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "watch/place.h"

struct search {
	const struct mount_table *mounts;
	const char *under;
	const char *pattern; /* whole */
	void (*fn)(const char *path, bool is_dir, void *data);
	void *data;
	size_t left;
};

static void expand(struct search *s, struct buf *path, const char *rest);

/* Not elsewhere than towards or below s->under, and where a stat cannot hang. */
static bool is_allowed(const struct search *s, const char *path)
{
	const struct mount *m;

	if (!place_is_below(path, s->under) && !place_is_below(s->under, path))
		return false;
	m = mounts_find(s->mounts, path);
	return !m || !mounts_why_skip(m);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Calls fn for each entry of the folder, path being that of the entry. */
static void each_entry(struct search *s, struct buf *path, const char *arg,
		       void (*fn)(struct search *s, struct buf *path, const char *name, const char *arg))
{
	_cleanup_closedir_ DIR *dir = opendir(path->len ? path->data : "/");
	size_t len = path->len;
	struct dirent *entry;

	while (dir && s->left && (entry = readdir(dir))) {
		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		s->left--;
		buf_char(path, '/');
		buf_str(path, entry->d_name);
		if (path->failed)
			return;
		if (is_allowed(s, path->data))
			fn(s, path, entry->d_name, arg);
		path->len = len;
		path->data[len] = '\0';
	}
}

/* All folders below a sensitive folder are sensitive; the files in them are watched through their folder. */
static void found(struct search *s, struct buf *path, const char *name, const char *arg);

static void found_below(struct search *s, struct buf *path, const char *name, const char *arg)
{
	if (is_dir(path->data))
		found(s, path, name, arg);
}

static void found(struct search *s, struct buf *path, _unused_ const char *name, _unused_ const char *arg)
{
	struct stat st;

	if (!path->len || lstat(path->data, &st) < 0 || S_ISLNK(st.st_mode))
		return;
	if (place_is_below(s->under, path->data))
		s->fn(path->data, S_ISDIR(st.st_mode), s->data);
	if (S_ISDIR(st.st_mode))
		each_entry(s, path, NULL, found_below);
}

static void match_component(struct search *s, struct buf *path, const char *name, const char *rest)
{
	size_t len = strcspn(rest, "/");
	_cleanup_free_ char *component = strndup(rest, len);

	if (!component || !text_glob(component, name))
		return;
	if (!rest[len])
		found(s, path, NULL, NULL);
	else if (is_dir(path->data))
		expand(s, path, rest + len + 1);
}

/* "**" in what is left of the pattern: every entry below is a candidate. */
static void match_whole(struct search *s, struct buf *path, _unused_ const char *name, const char *rest)
{
	if (text_glob(s->pattern, path->data))
		found(s, path, NULL, NULL);
	else if (is_dir(path->data))
		each_entry(s, path, rest, match_whole);
}

/* rest: the components of the pattern that are still to be found below path. */
static void expand(struct search *s, struct buf *path, const char *rest)
{
	size_t len = strcspn(rest, "/"), before = path->len;
	size_t wild = strcspn(rest, "*?[\\");

	if (wild >= len) {
		buf_char(path, '/');
		buf_add(path, rest, len);
		if (path->failed || !is_allowed(s, path->data))
			return;
		if (!rest[len])
			found(s, path, NULL, NULL);
		else if (is_dir(path->data))
			expand(s, path, rest + len + 1);
		path->len = before;
		path->data[before] = '\0';
		return;
	}
	each_entry(s, path, rest, strstr(rest, "**") ? match_whole : match_component);
}

int sensitive_each(const struct conf *conf, const struct mount_table *mounts, const char *under,
		   void (*fn)(const char *path, bool is_dir, void *data), void *data)
{
	struct search s = { .mounts = mounts, .under = under, .fn = fn, .data = data, .left = SENSITIVE_MAX };

	for (size_t i = 0; i < conf->n_sensitive; i++) {
		_cleanup_buf_ struct buf path = BUF_INIT;

		s.pattern = conf->sensitive[i];
		if (s.pattern[0] == '/' && s.pattern[1])
			expand(&s, &path, s.pattern + 1);
	}
	return s.left ? 0 : -E2BIG;
}
