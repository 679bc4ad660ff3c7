/* Places in rule files. Runs on the thread that loads rules. */
#include "rules/source.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "lib/text.h"

_printf_(5, 0) static void say(struct rules_file *f, enum severity severity, uint32_t line, uint32_t column,
			       const char *fmt, va_list ap)
{
	static const char *const words[] = { "error", "warning" };
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	*(severity == SEVERITY_ERROR ? &f->n_errors : &f->n_warnings) += 1;
	errors_add(&f->messages, line, column, "%s: %s", words[severity], text);
}

void file_say(struct rules_file *f, enum severity severity, const struct node *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(f, severity, n ? n->line : 1, n ? n->column : 1, fmt, ap);
	va_end(ap);
}

struct place {
	const char *p, *end;
	uint32_t line, column;
};

static void place_next(struct place *at)
{
	at->column++;
	if (*at->p++ == '\n') {
		at->line++;
		at->column = 1;
	}
}

/*
 * Where in the file byte `offset` of a scalar stands. YAML folds lines and takes away indentation, so blanks do not
 * count: the place is behind as many other characters as there are before the byte. Escapes in quoted scalars may put
 * it a little off, within the scalar.
 */
static struct place place_of(const struct rules_file *f, const struct node *n, size_t offset)
{
	struct place at = { f->text, f->text + f->len, 1, 1 };
	size_t skip = 0, left = strlen(n->text);
	bool behind;

	while (left && isspace((unsigned char)n->text[left - 1]))
		left--;
	behind = left && offset >= left; /* the end is behind the last character */
	if (behind)
		offset = left - 1;

	while (at.p < at.end && (at.line < n->line || (at.line == n->line && at.column < n->column)))
		place_next(&at);
	if (at.p < at.end && (*at.p == '>' || *at.p == '|')) {
		while (at.p < at.end && *at.p != '\n')
			place_next(&at);
	} else if (at.p < at.end && (*at.p == '"' || *at.p == '\'') && n->text[0] != *at.p) {
		place_next(&at);
	}
	for (size_t i = 0; i < offset && n->text[i]; i++)
		skip += !isspace((unsigned char)n->text[i]);
	for (; at.p < at.end; place_next(&at)) {
		if (isspace((unsigned char)*at.p))
			continue;
		if (!skip--)
			break;
	}
	at.column += behind;
	return at;
}

void source_say(const struct source *s, size_t at, enum severity severity, const char *fmt, ...)
{
	const struct source_piece *piece = s->pieces;
	struct place place;
	va_list ap;

	if (!piece)
		return;
	while (piece->next && piece->next->offset <= at)
		piece = piece->next;
	place = place_of(piece->file, piece->node, at - MIN(at, piece->offset));
	va_start(ap, fmt);
	say(piece->file, severity, place.line, place.column, fmt, ap);
	va_end(ap);
}

int source_append(struct arena *a, struct source *s, struct rules_file *f, const struct node *n)
{
	size_t add = strlen(n->text), blank = s->len ? 1 : 0;
	struct source_piece *piece = arena_zalloc(a, sizeof(*piece));
	char *text;

	if (s->len + blank + add > SOURCE_MAX)
		return -E2BIG;
	text = arena_alloc(a, s->len + blank + add + 1);
	if (!piece || !text)
		return -ENOMEM;
	if (s->len)
		memcpy(text, s->text, s->len);
	if (blank)
		text[s->len] = ' ';
	memcpy(text + s->len + blank, n->text, add + 1);
	piece->offset = s->len + blank;
	piece->file = f;
	piece->node = n;
	*(s->last ? &s->last->next : &s->pieces) = piece;
	s->last = piece;
	s->text = text;
	s->len += blank + add;
	return 0;
}

const char *source_show(char ret[SHOWN_MAX], const char *s, size_t len)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	text_escape(&b, s, MIN(len, (size_t)60));
	if (len > 60)
		buf_str(&b, "...");
	snprintf(ret, SHOWN_MAX, "%s", b.failed || !b.data ? "" : b.data);
	return ret;
}
