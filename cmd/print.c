/*
 * Output of the commands, on the thread that runs the command. Nothing else writes to stdout.
 */
#include "cmd/print.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "event/json.h"
#include "lib/log.h"
#include "lib/text.h"

#define OUT_BUFFER ((size_t)64 * 1024)

static const char *const colour_codes[] = {
	[COLOUR_NONE] = "\033[0m",  [COLOUR_BOLD] = "\033[1m",	 [COLOUR_DIM] = "\033[2m",
	[COLOUR_RED] = "\033[31m",  [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
	[COLOUR_BLUE] = "\033[34m",
};

/* --- stdout */

void out_init(struct out *o, int fd)
{
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

	*o = (struct out){ .fd = fd, .buf = BUF_INIT, .terminal = isatty(fd) };
	o->colour = o->terminal && term && !streq(term, "dumb") && !(no_colour && *no_colour);
}

static void out_write(struct out *o, const char *p, size_t len)
{
	while (len && !o->error) {
		struct pollfd wait = { .fd = o->fd, .events = POLLOUT };
		ssize_t n = write(o->fd, p, len);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			poll(&wait, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			o->error = errno;
		}
	}
}

void out_flush(struct out *o)
{
	if (o->buf.failed && !o->error)
		o->error = ENOMEM;
	out_write(o, o->buf.data, o->buf.len);
	buf_reset(&o->buf);
}

static void out_check(struct out *o)
{
	if (o->buf.len >= OUT_BUFFER)
		out_flush(o);
}

void out_printf(struct out *o, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	out_str(o, line);
}

void out_str(struct out *o, const char *s)
{
	buf_str(&o->buf, s);
	out_check(o);
}

void out_text(struct out *o, const char *s)
{
	text_escape(&o->buf, s, strlen(s));
	out_check(o);
}

void out_sanitized(struct out *o, const char *s)
{
	text_sanitize(&o->buf, s, strlen(s));
	out_check(o);
}

void out_colour(struct out *o, enum colour c)
{
	if (o->colour)
		buf_str(&o->buf, colour_codes[c]);
}

void out_json(struct out *o, json_t *j)
{
	if (j)
		json_line(&o->buf, j);
	else
		o->error = o->error ? o->error : ENOMEM;
	json_decref(j);
	buf_char(&o->buf, '\n');
	out_check(o);
}

int out_finish(struct out *o)
{
	out_flush(o);
	buf_free(&o->buf);
	if (!o->error || o->error == EPIPE)
		return 0;
	log_error("output was lost: %s", strerror(o->error));
	return EX_IOERR;
}

/* --- tables */

size_t print_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80; /* each character but its continuation bytes */
	return n;
}

void table_init(struct table *t, const char *const *titles, size_t columns, size_t right)
{
	*t = (struct table){ .titles = titles, .columns = columns, .right = right };
}

static void table_add(struct table *t, const char *escaped, enum colour c)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		const char **cells = realloc(t->cells, cap * sizeof(*cells));
		enum colour *colours;

		if (cells)
			t->cells = cells;
		colours = cells ? realloc(t->colours, cap * sizeof(*colours)) : NULL;
		if (!colours) {
			t->failed = true;
			return;
		}
		t->colours = colours;
		t->cap = cap;
	}
	t->cells[t->n] = arena_strdup(&t->arena, escaped);
	if (!t->cells[t->n])
		t->failed = true;
	else
		t->colours[t->n++] = c;
}

void table_cell_colour(struct table *t, const char *s, enum colour c)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (s)
		text_sanitize(&b, s, strlen(s));
	if (b.failed)
		t->failed = true;
	else
		table_add(t, b.data ? b.data : "", c);
}

void table_cell(struct table *t, const char *s)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (s)
		text_escape(&b, s, strlen(s));
	if (b.failed)
		t->failed = true;
	else
		table_add(t, b.data ? b.data : "", COLOUR_NONE);
}

void table_printf(struct table *t, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_cell_colour(t, text, COLOUR_NONE);
}

static void table_pad(struct out *o, size_t n)
{
	while (n--)
		buf_char(&o->buf, ' ');
}

static void table_row(const struct table *t, struct out *o, const char *indent, const char *const *cells,
		      const enum colour *colours, const size_t *widths)
{
	size_t last = t->columns;

	while (last && !*cells[last - 1]) /* no blanks at the end of a line */
		last--;
	out_str(o, indent);
	for (size_t i = 0; i < last; i++) {
		size_t width = print_width(cells[i]), pad = widths[i] > width ? widths[i] - width : 0;
		bool right = t->right & ((size_t)1 << i);

		if (i)
			table_pad(o, 2);
		if (right)
			table_pad(o, pad);
		if (colours[i] != COLOUR_NONE)
			out_colour(o, colours[i]);
		out_str(o, cells[i]);
		if (colours[i] != COLOUR_NONE)
			out_colour(o, COLOUR_NONE);
		if (!right && i + 1 < last)
			table_pad(o, pad);
	}
	out_str(o, "\n");
}

#define TABLE_COLUMNS_MAX 16

static void table_measure(const struct table *t, const char *const *cells, size_t *widths)
{
	size_t last = t->columns;

	while (last && !*cells[last - 1])
		last--;
	if (last <= 1 && t->columns > 1 && !t->titles) /* a line of its own, of any length */
		return;
	for (size_t i = 0; i < t->columns; i++)
		widths[i] = MAX(widths[i], print_width(cells[i]));
}

void table_print(struct table *t, struct out *o, const char *indent)
{
	size_t widths[TABLE_COLUMNS_MAX] = { 0 };
	enum colour bold[TABLE_COLUMNS_MAX];

	if (t->failed)
		o->error = o->error ? o->error : ENOMEM;
	for (size_t i = 0; i < t->columns && i < TABLE_COLUMNS_MAX; i++) {
		widths[i] = t->titles ? print_width(t->titles[i]) : 0;
		bold[i] = COLOUR_BOLD;
	}
	for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
		table_measure(t, t->cells + i, widths);
	if (t->titles && t->n)
		table_row(t, o, indent, t->titles, bold, widths);
	for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
		table_row(t, o, indent, t->cells + i, t->colours + i, widths);
}

void table_free(struct table *t)
{
	arena_free(&t->arena);
	free(t->cells);
	free(t->colours);
	*t = (struct table){ 0 };
}
