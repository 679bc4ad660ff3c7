/*
 * Scope as JSON and back: how a baseline keeps what it covers. Any thread. What is read back comes from a database that
 * may have been edited, so every shape is checked.
 */
#include "conf/scope.h"

#include <errno.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int scope_unhex(struct arena *a, const char *hex, const char **ret)
{
	size_t len = strlen(hex);
	char *bytes;

	if (len == 0 || len % 2)
		return -EINVAL;
	bytes = arena_alloc(a, len / 2 + 1);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < len / 2; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0 || (high | low) == 0)
			return -EINVAL;
		bytes[i] = (char)(high << 4 | low);
	}
	bytes[len / 2] = '\0';
	*ret = bytes;
	return 0;
}

static json_t *hex_json(const char *bytes)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_hex(&b, bytes, strlen(bytes));
	return b.failed ? NULL : json_string(b.data);
}

/* Sets "path", or "path_raw" when the bytes are not UTF-8. */
static int set_path(json_t *object, const char *path)
{
	if (text_utf8_valid(path, strlen(path)))
		return json_object_set_new(object, "path", json_string(path));
	return json_object_set_new(object, "path_raw", hex_json(path));
}

static json_t *path_json(const struct scope_path *p)
{
	json_t *object = json_object();
	int bad = 0;

	if (!object)
		return NULL;
	bad |= set_path(object, p->path);
	bad |= json_object_set_new(object, "attributes", attr_mask_json(p->attributes));
	if (!p->is_glob && strpbrk(p->path, "*?["))
		bad |= json_object_set_new(object, "literal", json_true());
	if (bad) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *pattern_json(const char *pattern)
{
	json_t *object;

	if (text_utf8_valid(pattern, strlen(pattern)))
		return json_string(pattern);
	object = json_object();
	if (object && set_path(object, pattern) != 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *scope_to_json(const struct scope *s)
{
	json_t *paths = json_array(), *exclude = json_array();
	int bad = 0;

	for (size_t i = 0; i < s->n_paths; i++)
		bad |= json_array_append_new(paths, path_json(&s->paths[i]));
	for (size_t i = 0; i < s->n_exclude; i++)
		bad |= json_array_append_new(exclude, pattern_json(s->exclude[i]));
	if (bad) {
		json_decref(paths);
		json_decref(exclude);
		return NULL;
	}
	return json_pack("{s:o, s:o}", "paths", paths, "exclude", exclude);
}

/* The bytes of "path" or "path_raw", just one of them. */
static int get_path(struct arena *a, json_t *object, const char **ret)
{
	const char *text = json_string_value(json_object_get(object, "path"));
	const char *raw = json_string_value(json_object_get(object, "path_raw"));

	if (!text == !raw)
		return -EBADMSG;
	if (text) {
		*ret = text;
		return 0;
	}
	return scope_unhex(a, raw, ret) == -ENOMEM ? -ENOMEM : *ret ? 0 : -EBADMSG;
}

static int get_attributes(json_t *object, attr_mask *ret)
{
	json_t *list = json_object_get(object, "attributes");
	attr_mask mask = 0;

	if (!json_is_array(list))
		return -EBADMSG;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *word = json_string_value(json_array_get(list, i));

		if (!word || attr_apply(word, &mask) < 0)
			return -EBADMSG;
	}
	*ret = mask;
	return 0;
}

static int add_path_json(struct arena *a, struct scope *s, json_t *object)
{
	const char *path = NULL;
	attr_mask mask = 0;
	int r;

	r = get_path(a, object, &path);
	if (r < 0)
		return r;
	r = get_attributes(object, &mask);
	if (r < 0)
		return r;
	if (json_is_true(json_object_get(object, "literal")))
		return scope_add_literal(a, s, path, mask);
	return scope_add_path(a, s, path, mask);
}

static int add_exclude_json(struct arena *a, struct scope *s, json_t *item)
{
	const char *pattern = json_string_value(item);
	int r = 0;

	if (!pattern)
		r = get_path(a, item, &pattern);
	return r < 0 ? r : scope_add_exclude(a, s, pattern);
}

int scope_from_json(struct arena *a, json_t *json, struct scope *ret)
{
	json_t *paths = json_object_get(json, "paths"), *exclude = json_object_get(json, "exclude");
	struct scope s = { 0 };
	size_t i;
	int r = json_is_array(paths) && json_is_array(exclude) ? 0 : -EBADMSG;

	for (i = 0; r == 0 && i < json_array_size(paths); i++)
		r = add_path_json(a, &s, json_array_get(paths, i));
	for (i = 0; r == 0 && i < json_array_size(exclude); i++)
		r = add_exclude_json(a, &s, json_array_get(exclude, i));
	if (r < 0)
		return r == -ENOMEM ? -ENOMEM : -EBADMSG;
	*ret = s;
	return 0;
}
