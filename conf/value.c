/*
 * Types of configuration values: text to field, with the reason when it does not fit. No state; any thread.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/schema.h"
#include "conf/scope.h"
#include "lib/text.h"
#include "lib/util.h"

static void add_quoted(struct buf *b, const char *text)
{
	size_t len = strlen(text);

	buf_char(b, '\'');
	text_escape(b, text, MIN(len, (size_t)80));
	buf_str(b, len > 80 ? "...'" : "'");
}

static int refuse(struct buf *why, const char *text, const struct conf_key *k)
{
	add_quoted(why, text);
	buf_printf(why, " is not %s", conf_types[k->type].what);
	return -EINVAL;
}

static int text_parse_count(const char *s, uint64_t *ret)
{
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)s[0]))
		return -EINVAL;
	errno = 0;
	n = strtoull(s, &end, 10);
	if (*end)
		return -EINVAL;
	*ret = n;
	return errno ? -ERANGE : 0;
}

static void text_count(struct buf *b, uint64_t n)
{
	buf_printf(b, "%llu", (unsigned long long)n);
}

static int parse_number(const struct conf_key *k, const char *text, void *field, struct buf *why,
			int (*parse)(const char *, uint64_t *), void (*show)(struct buf *, uint64_t))
{
	uint64_t n = 0;
	int r = parse(text, &n);

	if (r == -EINVAL)
		return refuse(why, text, k);
	if (r == 0 && n >= k->min && n <= k->max) {
		*(uint64_t *)field = n;
		return 0;
	}
	add_quoted(why, text);
	buf_str(why, " is out of range (");
	show(why, k->min);
	buf_str(why, " to ");
	show(why, k->max);
	buf_char(why, ')');
	return -EINVAL;
}

static int parse_count(struct arena *a _unused_, const struct conf_key *k, const char *text, void *field,
		       struct buf *why)
{
	return parse_number(k, text, field, why, text_parse_count, text_count);
}

static int parse_size(struct arena *a _unused_, const struct conf_key *k, const char *text, void *field,
		      struct buf *why)
{
	return parse_number(k, text, field, why, text_parse_size, text_size);
}

static int parse_duration(struct arena *a _unused_, const struct conf_key *k, const char *text, void *field,
			  struct buf *why)
{
	return parse_number(k, text, field, why, text_parse_duration, text_duration);
}

static int parse_word(struct arena *a _unused_, const struct conf_key *k, const char *text, void *field,
		      struct buf *why)
{
	const char *nearest;
	size_t n = 0;

	for (; k->words[n]; n++)
		if (streq(k->words[n], text)) {
			*(unsigned *)field = (unsigned)n;
			return 0;
		}
	add_quoted(why, text);
	buf_str(why, " is not one of ");
	for (size_t i = 0; i < n; i++)
		buf_printf(why, "%s%s", i ? ", " : "", k->words[i]);
	nearest = strlen(text) < 64 ? text_nearest(text, k->words, n) : NULL;
	if (nearest)
		buf_printf(why, "; did you mean '%s'?", nearest);
	return -EINVAL;
}

/* "one, two": presets; files have lists. */
static int parse_words(struct arena *a, const struct conf_key *k, const char *text, void *field, struct buf *why)
{
	struct conf_words all = { 0 };

	while (*text) {
		size_t len = strcspn(text, ", ");
		char *word = arena_strndup(a, text, len);
		unsigned value;
		int r = word ? parse_word(a, k, word, &value, why) : -ENOMEM;

		if (r < 0)
			return r;
		if (all.n == CONF_WORDS_MAX)
			return -EINVAL;
		all.word[all.n++] = value;
		text += len;
		text += strspn(text, ", ");
	}
	*(struct conf_words *)field = all;
	return 0;
}

static bool has_dotdot(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.')
			return true;
		path += n;
		path += *path == '/';
	}
	return false;
}

/* Absolute, no "..", not too long: else the reason. */
static int check_path(const struct conf_key *k, const char *text, const char *path, struct buf *why)
{
	size_t max = k->max ?: SCOPE_TEXT_MAX;
	const char *fault = NULL;

	if (path[0] != '/')
		fault = "is not absolute: it does not begin with '/'";
	else if (has_dotdot(path))
		fault = "has '..' in it";
	else if (strlen(path) > max)
		fault = "is too long";
	if (!fault)
		return 0;
	add_quoted(why, text);
	buf_printf(why, " %s", fault);
	if (strlen(path) > max)
		buf_printf(why, " (at most %zu bytes)", max);
	return -EINVAL;
}

static int parse_path(struct arena *a, const struct conf_key *k, const char *text, void *field, struct buf *why)
{
	const char *copy;
	int r = check_path(k, text, text, why);

	if (r < 0)
		return r;
	copy = arena_strdup(a, text);
	if (!copy)
		return -ENOMEM;
	*(const char **)field = copy;
	return 0;
}

static int parse_file(struct arena *a, const struct conf_key *k, const char *text, void *field, struct buf *why)
{
	size_t len = strlen(text);

	if (len > 0 && text[len - 1] == '/') {
		add_quoted(why, text);
		buf_str(why, " is a folder: it ends with '/'");
		return -EINVAL;
	}
	return parse_path(a, k, text, field, why);
}

static int parse_pattern(struct arena *a, const struct conf_key *k, const char *text, void *field, struct buf *why)
{
	if (strstr(text, "**")) {
		add_quoted(why, text);
		buf_str(why,
			" has '**' in it: one '*' stands for one component, and all below a path is guarded anyway");
		return -EINVAL;
	}
	return parse_path(a, k, text, field, why);
}

static int parse_text(struct arena *a, const struct conf_key *k, const char *text, void *field, struct buf *why)
{
	size_t len = strlen(text), max = k->max ?: SCOPE_TEXT_MAX;
	const char *copy;

	for (size_t i = 0; i < len; i++) {
		if (iscntrl((unsigned char)text[i]))
			return refuse(why, text, k);
	}
	if (!len || len > max) {
		add_quoted(why, text);
		buf_printf(why, " is %s", len ? "too long" : "empty");
		return -EINVAL;
	}
	copy = arena_strdup(a, text);
	if (!copy)
		return -ENOMEM;
	*(const char **)field = copy;
	return 0;
}

/* "/one, /two": presets; files have lists. */
static int parse_files(struct arena *a, const struct conf_key *k _unused_, const char *text, void *field,
		       struct buf *why _unused_)
{
	struct conf_list all = { .items = arena_alloc(a, (strlen(text) / 2 + 1) * sizeof(*all.items)) };

	while (all.items && *text) {
		size_t len = strcspn(text, ", ");

		all.items[all.n] = arena_strndup(a, text, len);
		if (!all.items[all.n++])
			return -ENOMEM;
		text += len;
		text += strspn(text, ", ");
	}
	if (!all.items)
		return -ENOMEM;
	*(struct conf_list *)field = all;
	return 0;
}

static int parse_hex(struct arena *a, const struct conf_key *k, const char *text, void *field, struct buf *why)
{
	const char *path;
	int r = scope_unhex(a, text, &path);

	if (r == -EINVAL)
		return refuse(why, text, k);
	if (r == 0)
		r = check_path(k, text, path, why);
	if (r < 0)
		return r;
	*(const char **)field = path;
	return 0;
}

const struct conf_type_info conf_types[CONF_TYPE_COUNT] = {
	[CONF_COUNT] = { "number", "a whole number", parse_count },
	[CONF_SIZE] = { "size", "a size such as 512K, 64M or 2G", parse_size },
	[CONF_DURATION] = { "duration", "a duration such as 200ms, 10s or 90d", parse_duration },
	[CONF_WORD] = { "word", "a word", parse_word },
	[CONF_WORDS] = { "list of words", "a word or a list of words", parse_words },
	[CONF_FILE] = { "file", "the absolute path of a file", parse_file },
	[CONF_PATTERN] = { "path", "an absolute path", parse_pattern },
	[CONF_HEX] = { "hex", "hex digits of an absolute path", parse_hex },
	[CONF_TEXT] = { "text", "a text", parse_text },
	[CONF_TEXTS] = { "list of texts", "a text or a list of texts", NULL },
	[CONF_FILES] = { "list of files", "a path or a list of paths", parse_files },
	[CONF_PATHS] = { "list of paths", "a list of paths", NULL },
	[CONF_EXCLUDE] = { "list of patterns", "a list of patterns", NULL },
	[CONF_SENSITIVE] = { "list of paths", "a list of paths", NULL },
	[CONF_ATTRIBUTES] = { "word or list of words", "an attribute, a group, or a list of them", NULL },
	[CONF_OUTPUTS] = { "list of outputs", "a list of mappings", NULL },
	[CONF_LADDERS] = { "list of ladders", "a list of mappings", NULL },
	[CONF_POLICIES] = { "list of policies", "a list of mappings", NULL },
	[CONF_NETWORK] = { "list of policies", "a list of mappings", NULL },
	[CONF_RESERVED] = { "", "", NULL },
};
