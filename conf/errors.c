/*
 * Collects configuration errors. Belongs to the one call that loads a configuration.
 */
#include "conf/errors.h"

#include <stdarg.h>
#include <stdlib.h>

#include "lib/text.h"

struct error {
	uint32_t line, column;
	size_t number; /* in order of finding */
	char *text;
};

void errors_add(struct errors *e, uint32_t line, uint32_t column, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (e->n >= ERRORS_MAX) {
		e->lost++;
		return;
	}
	if (e->n == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 16;
		struct error *list = reallocarray(e->list, cap, sizeof(*list));

		if (!list) {
			e->failed = 1;
			return;
		}
		e->list = list;
		e->cap = cap;
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text) {
		e->failed = 1;
		return;
	}
	e->list[e->n] = (struct error){ line, column, e->n, text };
	e->n++;
}

int errors_any(const struct errors *e)
{
	return e->n > 0 || e->failed;
}

static int compare(const void *a, const void *b)
{
	const struct error *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

void errors_write(struct errors *e, const char *name, struct buf *b)
{
	if (e->n)
		qsort(e->list, e->n, sizeof(*e->list), compare);
	for (size_t i = 0; i < e->n; i++) {
		text_escape(b, name, strlen(name));
		buf_printf(b, ":%u:%u: %s\n", e->list[i].line, e->list[i].column, e->list[i].text);
	}
	if (e->lost) {
		text_escape(b, name, strlen(name));
		buf_printf(b, ": %zu more errors\n", e->lost);
	}
}

void errors_free(struct errors *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->list[i].text);
	free(e->list);
	*e = (struct errors)ERRORS_INIT;
}
