/* Exceptions written from events. Any thread; allocates only in the caller's buffer. */
#include "rules/narrow.h"

#include <errno.h>
#include <string.h>

#include "lib/util.h"

/* Of each line the first field that has a value takes part. What differs from time to time (pids, times) is not here.
 */
static const char *const parts[][2] = {
	{ "container.image.repository", "container.id" },
	{ "proc.exepath", "proc.name" },
	{ "proc.pexepath", "proc.pname" },
	{ "user.uid", NULL },
	{ "fd.name", "hf.path" },
	{ "hf.path2", NULL },
};
/* A program that is started has to be that very one. */
static const char digest_field[] = "hf.digest";

/* In double quotes of YAML, and bare for the rules' language. */
static bool is_plain(const char *s, size_t len)
{
	static const char marks[] = "_./:@%+,=- ";

	for (size_t i = 0; i < len; i++) {
		bool letter =
			(s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9');

		if (!letter && !(s[i] && strchr(marks, s[i])))
			return false;
	}
	return len > 0;
}

void narrow_scalar(struct buf *b, const char *s, size_t len)
{
	if (is_plain(s, len)) {
		buf_char(b, '"');
		buf_add(b, s, len);
		buf_char(b, '"');
		return;
	}
	/* In single quotes nothing means anything to YAML; within, a text of the rules' language. */
	buf_str(b, "'\"");
	for (size_t i = 0; i < len; i++) {
		if (s[i] >= ' ' && s[i] <= '~' && !strchr("'\"\\", s[i]))
			buf_char(b, s[i]);
		else
			buf_printf(b, "\\x%02x", (uint8_t)s[i]);
	}
	buf_str(b, "\"'");
}

static bool put(struct field_view *v, const char *name, struct buf *fields, struct buf *values)
{
	struct field_ref ref = { .info = name ? field_by_name(name, strlen(name)) : NULL };
	struct field_value value;

	if (!ref.info)
		return false;
	field_get(v, &ref, &value);
	if (!value.n || (ref.info->type == FIELD_STRING && (!value.items[0].s || !value.items[0].len)))
		return false;
	buf_printf(fields, "%s%s", fields->len ? ", " : "", name);
	buf_str(values, values->len ? ", " : "");
	if (ref.info->type == FIELD_STRING) {
		narrow_scalar(values, value.items[0].s, value.items[0].len);
		return true;
	}
	value.n = 1;
	field_print(values, ref.info, &value);
	return true;
}

int narrow_exception(struct field_view *v, const char *name, struct buf *b)
{
	_cleanup_buf_ struct buf fields = BUF_INIT, values = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!put(v, parts[i][0], &fields, &values))
			put(v, parts[i][1], &fields, &values);
	if (v->event->kind == EVENT_EXEC)
		put(v, digest_field, &fields, &values);
	if (fields.failed || values.failed)
		return -ENOMEM;
	if (!fields.len)
		return -ENODATA;
	buf_printf(b, "  - name: %s\n    fields: [%s]\n    values:\n    - [%s]\n", name, fields.data, values.data);
	return b->failed ? -ENOMEM : 0;
}

void narrow_override(const char *rule, const char *exceptions, struct buf *b)
{
	buf_str(b, "- rule: ");
	/* A name is YAML alone. */
	buf_char(b, '\'');
	for (const char *c = rule; *c; c++)
		buf_str(b, *c == '\'' ? "''" : (char[]){ *c, '\0' });
	buf_printf(b, "'\n  exceptions:\n%s  override: {exceptions: append}\n", exceptions);
}

void narrow_probe(const char *exceptions, struct buf *b)
{
	buf_printf(b,
		   "- rule: probe\n  desc: x\n  condition: hf.kind exists\n  output: x\n  priority: debug\n"
		   "  exceptions:\n%s",
		   exceptions);
}
