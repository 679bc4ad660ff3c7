/*
 * Scope: which configured path a path falls under, and whether a pattern takes it out. Pure functions on immutable
 * values, on any thread; matching is done for each file-system event, so it allocates nothing and never touches the
 * disk.
 */
#include "conf/scope.h"

#include <errno.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

#define MATCH_MAX 8192 /* bytes of a path that patterns are matched against */

enum relation { APART, ABOVE, HOLDS };

/* Bytes of the first `depth` components of an absolute path of len bytes; 0 when it has fewer. */
static size_t leading_components(const char *path, size_t len, unsigned depth)
{
	const char *end = path + len;
	const char *p = path;

	for (unsigned i = 0; i < depth; i++) {
		if (p + 1 >= end)
			return 0;
		p = memchr(p + 1, '/', (size_t)(end - p - 1)) ?: end;
	}
	return (size_t)(p - path);
}

static unsigned count_components(const char *path, size_t len)
{
	unsigned n = 0;

	if (len <= 1)
		return 0;
	for (size_t i = 0; i < len; i++)
		n += path[i] == '/';
	return n;
}

static bool is_special(char c)
{
	return c == '*' || c == '?' || c == '[' || c == ']' || c == '\\';
}

/* False when the plain beginning of the pattern already rules a match out. */
static bool head_may_match(const char *pattern, const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && pattern[i] == s[i] && !is_special(pattern[i]))
		i++;
	return is_special(pattern[i]) || (!pattern[i] && i == len);
}

/* False when the plain end of the pattern rules it out. */
static bool tail_may_match(const char *pattern, size_t plen, const char *s, size_t len)
{
	for (size_t i = 0; i < plen && !is_special(pattern[plen - 1 - i]); i++)
		if (i >= len || pattern[plen - 1 - i] != s[len - 1 - i])
			return false;
	return true;
}

/* text_glob on byte ranges. */
static bool glob_range(const char *pattern, size_t plen, const char *s, size_t len)
{
	char p[SCOPE_TEXT_MAX + 1], copy[MATCH_MAX + 1];

	if (plen > SCOPE_TEXT_MAX || len > MATCH_MAX || !tail_may_match(pattern, plen, s, len))
		return false;
	if (pattern[plen]) {
		memcpy(p, pattern, plen);
		p[plen] = '\0';
		pattern = p;
	}
	if (s[len]) {
		memcpy(copy, s, len);
		copy[len] = '\0';
		s = copy;
	}
	return text_glob(pattern, s);
}

/* p is no pattern and begins as path does, as far as both go. */
static enum relation literal_relation(const struct scope_path *p, const char *path, size_t len, size_t *ret_held)
{
	if (len < p->len)
		return len == 1 || p->path[len] == '/' ? ABOVE : APART;
	if (len > p->len && p->depth && path[p->len] != '/')
		return APART;
	*ret_held = p->depth ? p->len : 0;
	return HOLDS;
}

static enum relation glob_relation(const struct scope_path *p, const char *path, size_t len, size_t *ret_held)
{
	size_t part, held = leading_components(path, len, p->depth);

	if (held > 0) {
		if (!glob_range(p->path, p->len, path, held))
			return APART;
		*ret_held = held;
		return HOLDS;
	}
	if (len == 1)
		return ABOVE;
	part = leading_components(p->path, p->len, count_components(path, len));
	return glob_range(p->path, part, path, len) ? ABOVE : APART;
}

/*
 * How p stands to path; *ret_held is the number of bytes of path that p covers (0 for "/"), set for HOLDS. The last
 * byte that both have rules most out.
 */
static enum relation relate(const struct scope_path *p, const char *path, size_t len, size_t *ret_held)
{
	size_t common = MIN(len, p->plain);

	if (p->path[common - 1] != path[common - 1] || memcmp(p->path, path, common) != 0)
		return APART;
	return p->is_glob ? glob_relation(p, path, len, ret_held) : literal_relation(p, path, len, ret_held);
}

/* p, later in the list, decides before best. */
static bool decides_before(const struct scope_path *p, const struct scope_path *best)
{
	if (!best || p->depth != best->depth)
		return !best || p->depth > best->depth;
	return !p->is_glob || best->is_glob;
}

/* Some pattern matches the path [0, end) or its last component, that begins behind `slash`. */
static bool excluded_at(const struct scope *s, const char *path, size_t slash, size_t end)
{
	for (size_t i = 0; i < s->n_exclude; i++) {
		const char *pattern = s->exclude[i];
		size_t from = pattern[0] == '/' || strchr(pattern, '/') ? 0 : slash + 1;

		if (head_may_match(pattern, path + from, end - from) &&
		    glob_range(pattern, strlen(pattern), path + from, end - from))
			return true;
	}
	return false;
}

/* The same for the path and each folder above it, below its first `held` bytes. */
static bool excluded_below(const struct scope *s, const char *path, size_t len, size_t held)
{
	for (size_t slash = held, end; slash + 1 < len; slash = end) {
		const char *next = memchr(path + slash + 1, '/', len - slash - 1);

		end = next ? (size_t)(next - path) : len;
		if (excluded_at(s, path, slash, end))
			return true;
	}
	return false;
}

enum scope_answer scope_match(const struct scope *s, const char *path, attr_mask *ret_mask)
{
	const struct scope_path *best = NULL;
	size_t len = strlen(path), best_held = 0;
	bool above = false;

	if (path[0] != '/')
		return SCOPE_OUT;
	for (size_t i = 0; i < s->n_paths; i++) {
		size_t held = 0;
		enum relation r = relate(&s->paths[i], path, len, &held);

		above |= r == ABOVE;
		if (r == HOLDS && decides_before(&s->paths[i], best)) {
			best = &s->paths[i];
			best_held = held;
		}
	}
	if (!best)
		return above ? SCOPE_ABOVE : SCOPE_OUT;
	if (excluded_below(s, path, len, best_held))
		return above ? SCOPE_ABOVE : SCOPE_EXCLUDED;
	if (ret_mask)
		*ret_mask = best->attributes;
	return SCOPE_IN;
}

/* For a child whose path is above MATCH_MAX: only patterns on the name can matter. */
static bool name_excluded(const struct scope *s, const char *name)
{
	for (size_t i = 0; i < s->n_exclude; i++)
		if (!strchr(s->exclude[i], '/') && text_glob(s->exclude[i], name))
			return true;
	return false;
}

enum scope_answer scope_match_child(const struct scope *s, const char *dir, attr_mask dir_mask, const char *name,
				    attr_mask *ret_mask)
{
	const struct scope_path *best = NULL;
	size_t dlen = strlen(dir), nlen = strlen(name), len;
	char path[MATCH_MAX + 1];
	bool above = false;

	dlen = dlen == 1 ? 0 : dlen;
	len = dlen + 1 + nlen;
	if (len > MATCH_MAX) {
		if (name_excluded(s, name))
			return SCOPE_EXCLUDED;
		goto in;
	}
	memcpy(path, dir, dlen);
	path[dlen] = '/';
	memcpy(path + dlen + 1, name, nlen + 1);
	for (size_t i = 0; i < s->n_paths; i++) {
		size_t held = 0;
		enum relation r = relate(&s->paths[i], path, len, &held);

		above |= r == ABOVE;
		if (r == HOLDS && held == len && decides_before(&s->paths[i], best))
			best = &s->paths[i];
	}
	if (!best && excluded_at(s, path, dlen, len))
		return above ? SCOPE_ABOVE : SCOPE_EXCLUDED;
in:
	if (ret_mask)
		*ret_mask = best ? best->attributes : dir_mask;
	return SCOPE_IN;
}

/* Collapses slashes, "." and ".." in place of a copy; returns its new length. */
static size_t normalise(char *path)
{
	char *out = path;

	for (const char *in = path; *in;) {
		size_t n;

		while (*in == '/')
			in++;
		n = strcspn(in, "/");
		if (n == 2 && in[0] == '.' && in[1] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (n > 0 && !(n == 1 && in[0] == '.')) {
			*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in += n;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
	return (size_t)(out - path);
}

/* Room for one more in an array of n entries that doubles at each power of two. */
static int grow(struct arena *a, void **array, size_t n, size_t size)
{
	void *bigger;

	if (n >= SCOPE_ENTRIES_MAX)
		return -E2BIG;
	if (n & (n - 1))
		return 0;
	bigger = arena_alloc(a, (n ? 2 * n : 1) * size);
	if (!bigger)
		return -ENOMEM;
	if (n)
		memcpy(bigger, *array, n * size);
	*array = bigger;
	return 0;
}

static int add_path(struct arena *a, struct scope *s, const char *path, attr_mask attributes, bool is_glob)
{
	void *array = s->paths;
	size_t len;
	char *copy;
	int r;

	if (path[0] != '/' || (is_glob && strstr(path, "**")))
		return -EINVAL;
	if (strlen(path) > SCOPE_TEXT_MAX)
		return -ENAMETOOLONG;
	copy = arena_strdup(a, path);
	if (!copy)
		return -ENOMEM;
	len = normalise(copy);
	for (size_t i = 0; i < s->n_paths; i++)
		if (s->paths[i].is_glob == is_glob && streq(s->paths[i].path, copy)) {
			s->paths[i].attributes = attributes;
			return 0;
		}
	r = grow(a, &array, s->n_paths, sizeof(*s->paths));
	if (r < 0)
		return r;
	s->paths = array;
	s->paths[s->n_paths++] = (struct scope_path){ .path = copy,
						      .attributes = attributes,
						      .is_glob = is_glob,
						      .depth = count_components(copy, len),
						      .len = len,
						      .plain = is_glob ? strcspn(copy, "*?[\\") : len };
	return 0;
}

int scope_add_path(struct arena *a, struct scope *s, const char *path, attr_mask attributes)
{
	return add_path(a, s, path, attributes, strpbrk(path, "*?[") != NULL);
}

int scope_add_literal(struct arena *a, struct scope *s, const char *path, attr_mask attributes)
{
	return add_path(a, s, path, attributes, false);
}

int scope_add_exclude(struct arena *a, struct scope *s, const char *pattern)
{
	void *array = s->exclude;
	char *copy;
	int r;

	if (!*pattern || (strchr(pattern, '/') && pattern[0] != '/' && strncmp(pattern, "**", 2) != 0))
		return -EINVAL;
	if (strlen(pattern) > SCOPE_TEXT_MAX)
		return -ENAMETOOLONG;
	r = grow(a, &array, s->n_exclude, sizeof(*s->exclude));
	if (r < 0)
		return r;
	s->exclude = array;
	copy = arena_strdup(a, pattern);
	if (!copy)
		return -ENOMEM;
	s->exclude[s->n_exclude++] = copy;
	return 0;
}
