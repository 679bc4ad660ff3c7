/* Rule files of a configuration. No state; the thread that loads. */
#include "alert/ruleset.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/text.h"

#define FILES_MAX 1000

struct files {
	struct arena *a;
	const char **paths;
	size_t n;
};

static int add_file(struct files *f, const char *path)
{
	if (f->n == FILES_MAX)
		return -E2BIG;
	f->paths[f->n] = arena_strdup(f->a, path);
	return f->paths[f->n++] ? 0 : -ENOMEM;
}

/* Those of a glob, sorted; *ret_found: how many. */
static int add_glob(struct files *f, const char *pattern, size_t *ret_found)
{
	glob_t g = { 0 };
	int r = glob(pattern, 0, NULL, &g);

	*ret_found = r == 0 ? g.gl_pathc : 0;
	r = r == GLOB_NOSPACE ? -ENOMEM : 0;
	for (size_t i = 0; i < *ret_found && r == 0; i++)
		r = add_file(f, g.gl_pathv[i]);
	globfree(&g);
	return r;
}

static int say_missing(const char *path, const char *why, struct buf *messages)
{
	buf_str(messages, "rules.files: error: ");
	text_escape(messages, path, strlen(path));
	buf_printf(messages, ": %s\n", why);
	return -EINVAL;
}

static int add_entry(struct files *f, const char *path, bool needed, struct buf *messages)
{
	_cleanup_buf_ struct buf folder = BUF_INIT;
	struct stat st;
	size_t found;
	int r;

	if (text_is_glob(path)) {
		r = add_glob(f, path, &found);
		return r == 0 && !found && needed ? say_missing(path, "no such file", messages) : r;
	}
	if (stat(path, &st) < 0)
		return needed ? say_missing(path, strerror(errno), messages) : 0;
	if (!S_ISDIR(st.st_mode))
		return add_file(f, path);
	/* A folder's own name is taken as it is, whatever is in it. */
	for (const char *p = path; *p; p++) {
		if (strchr("*?[\\", *p))
			buf_char(&folder, '\\');
		buf_char(&folder, *p);
	}
	buf_str(&folder, "/*.yaml");
	return folder.failed ? -ENOMEM : add_glob(f, folder.data, &found);
}

int ruleset_files(const struct conf *conf, const char *only, struct arena *a, const char *const **ret, size_t *ret_n,
		  struct buf *messages)
{
	const struct conf_list one = { .items = &only, .n = 1, .given = true };
	const struct conf_list *list = only ? &one : &conf->rules.files;
	struct files f = { .a = a, .paths = arena_zalloc(a, (FILES_MAX + 1) * sizeof(*f.paths)) };
	int result = f.paths ? 0 : -ENOMEM;

	for (size_t i = 0; i < list->n && result != -ENOMEM; i++) {
		int r = add_entry(&f, list->items[i], list->given, messages);

		if (r == -E2BIG)
			r = say_missing(list->items[i], "too many files", messages);
		result = r < 0 ? r : result;
	}
	*ret = f.paths;
	*ret_n = f.n;
	return result;
}

int ruleset_load(const struct conf *conf, const char *only, struct rules **ret, struct buf *messages)
{
	const struct rules_selection selection = {
		.enable = conf->rules.enable.items,
		.n_enable = conf->rules.enable.n,
		.disable = conf->rules.disable.items,
		.n_disable = conf->rules.disable.n,
		.minimum = conf->rules.minimum,
	};
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_(rules_unref_p) struct rules *rules = NULL;
	struct rules_messages m = { 0 };
	const char *const *paths = NULL;
	size_t n = 0;
	int r = ruleset_files(conf, only, &a, &paths, &n, messages);

	if (r == 0)
		r = rules_load(paths, n, &rules, &m);
	if (m.text.len)
		buf_add(messages, m.text.data, m.text.len);
	buf_free(&m.text);
	if (r == 0)
		r = rules_select(rules, &selection, messages);
	if (r == 0)
		*ret = TAKE_PTR(rules);
	return r;
}
