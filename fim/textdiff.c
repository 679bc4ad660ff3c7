/*
 * Myers' algorithm (An O(ND) difference algorithm, 1986) over lines, with a bound: where more than EDITS_MAX lines
 * differ, all between the first and the last of them is told as taken out and put in. Any thread, no state.
 */
#include "fim/textdiff.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fim/redact.h"
#include "lib/cleanup.h"
#include "lib/util.h"

#define EDITS_MAX 200
#define CONTEXT	  3
#define LINE_SEEN                                                                                                      \
	4096 /* bytes of a long line in which secrets are looked for: what is shown lies well before their end */

struct row {
	const char *s;
	uint32_t len;
	bool secret; /* of a private key */
	bool edited; /* taken out of the one, or put into the other */
};

struct side {
	struct row *rows;
	int n;
	bool open_end; /* the last line has no newline */
};

bool textdiff_is_text(const char *s, size_t len)
{
	return len <= TEXTDIFF_SIZE_MAX && !memchr(s, '\0', len);
}

static int split(const char *s, size_t len, struct side *ret)
{
	size_t n = 0, at = 0;
	bool inside = false;

	for (size_t i = 0; i < len; i++)
		n += s[i] == '\n';
	*ret = (struct side){ .rows = calloc(n + 1, sizeof(*ret->rows)), .open_end = len && s[len - 1] != '\n' };
	if (!ret->rows)
		return -ENOMEM;
	while (at < len) {
		const char *end = memchr(s + at, '\n', len - at);
		size_t line = end ? (size_t)(end - s) - at : len - at;

		ret->rows[ret->n++] =
			(struct row){ s + at, (uint32_t)line, redact_block(s + at, line, &inside), false };
		at += line + 1;
	}
	return 0;
}

/* Lines of both sides from `from` on, n of the one and m of the other. */
struct compare {
	struct row *a, *b;
	int n, m;
	bool last_differs; /* their last lines differ in the newline alone */
};

static bool same(const struct compare *c, int x, int y)
{
	const struct row *a = &c->a[x], *b = &c->b[y];

	return a->len == b->len && memcmp(a->s, b->s, a->len) == 0 &&
	       !(c->last_differs && (x == c->n - 1 || y == c->m - 1));
}

/* The furthest x on diagonal k from those of the step before; -1: it is not reached. Downwards: *ret_down. */
static int furthest(const struct compare *c, const int *v, int k, bool *ret_down)
{
	int down = v[k + 1], right = v[k - 1] >= 0 ? v[k - 1] + 1 : -1;

	if (down - k > c->m)
		down = -1;
	if (right > c->n)
		right = -1;
	*ret_down = down >= right;
	return MAX(down, right);
}

/* Marks what is edited, back from the end. trace: the diagonals before each step. */
static void mark(struct compare *c, const int *trace, int edits)
{
	int x = c->n, y = c->m;

	for (int d = edits; d > 0; d--) {
		const int *v = trace + (size_t)d * (2 * EDITS_MAX + 3) + EDITS_MAX + 1;
		int k = x - y;
		bool down;

		x = furthest(c, v, k, &down);
		y = x - k;
		if (down)
			c->b[--y].edited = true;
		else
			c->a[--x].edited = true;
	}
}

static int compare(struct compare *c)
{
	const size_t width = 2 * EDITS_MAX + 3;
	_cleanup_free_ int *trace = malloc((EDITS_MAX + 2) * width * sizeof(*trace));
	int *v;

	if (!trace)
		return -ENOMEM;
	for (size_t i = 0; i < width; i++)
		trace[i] = -1;
	v = trace + EDITS_MAX + 1;
	v[1] = 0;
	for (int d = 0; d <= EDITS_MAX; d++) {
		int *next = v + width;

		memcpy(next - EDITS_MAX - 1, v - EDITS_MAX - 1, width * sizeof(*v));
		for (int k = -d; k <= d; k += 2) {
			bool down;
			int x = furthest(c, v, k, &down);

			while (x >= 0 && x < c->n && x - k < c->m && same(c, x, x - k))
				x++;
			next[k] = x;
			if (k == c->n - c->m && x == c->n) {
				mark(c, trace, d);
				return 0;
			}
		}
		v = next;
	}
	for (int i = 0; i < c->n; i++)
		c->a[i].edited = true;
	for (int i = 0; i < c->m; i++)
		c->b[i].edited = true;
	return 0;
}

static int find_edits(struct side *a, struct side *b)
{
	struct compare c = { a->rows, b->rows, a->n, b->n, a->open_end != b->open_end };

	while (c.n && c.m && same(&c, 0, 0)) {
		c.a++;
		c.b++;
		c.n--;
		c.m--;
	}
	while (c.n && c.m && same(&c, c.n - 1, c.m - 1)) {
		c.n--;
		c.m--;
		c.last_differs = false;
	}
	return compare(&c);
}

/* --- in words */

static void put_row(struct buf *b, char sign, const struct row *r)
{
	buf_char(b, sign);
	if (r->secret) {
		buf_str(b, REDACTED "\n");
		return;
	}
	if (r->len <= TEXTDIFF_LINE_MAX) {
		redact_line(b, r->s, r->len);
	} else {
		_cleanup_buf_ struct buf whole = BUF_INIT;

		/* A secret that is cut is no less one: hidden first. */
		redact_line(&whole, r->s, MIN(r->len, (uint32_t)LINE_SEEN));
		buf_add(b, whole.data ? whole.data : "", MIN(whole.len, (size_t)TEXTDIFF_LINE_MAX));
		buf_printf(b, "[...%u bytes]", r->len);
		b->failed |= whole.failed;
	}
	buf_char(b, '\n');
}

/* One hunk: lines x to xe of the one, y to ye of the other. Where there is no room for a line, it is counted. */
static void put_hunk(struct buf *b, size_t limit, const struct side *a, const struct side *o, int x, int xe, int y,
		     int ye, uint64_t *ret_left)
{
	if (b->len < limit)
		buf_printf(b, "@@ -%d,%d +%d,%d @@\n", xe > x ? x + 1 : x, xe - x, ye > y ? y + 1 : y, ye - y);
	while (x < xe || y < ye) {
		bool out = x < xe && a->rows[x].edited, in = !out && y < ye && o->rows[y].edited;

		if (b->len < limit)
			put_row(b, out ? '-' : in ? '+' : ' ', in ? &o->rows[y] : &a->rows[x]);
		else
			(*ret_left)++;
		x += !in;
		y += !out;
	}
}

static void put_all(struct buf *b, const struct side *a, const struct side *o)
{
	size_t limit = b->len + TEXTDIFF_OUT_MAX;
	uint64_t left = 0;
	int x = 0, y = 0;

	while (x < a->n || y < o->n) {
		int start = x, other, end, quiet = 0;

		while (start < a->n && !a->rows[start].edited &&
		       !(y + start - x < o->n && o->rows[y + start - x].edited))
			start++;
		other = y + (start - x);
		if (start >= a->n && other >= o->n)
			break;
		/* Back by the context, then on until twice of it holds nothing. */
		x = MAX(x, start - CONTEXT);
		y = other - (start - x);
		for (end = start; (end < a->n || other < o->n) && quiet <= 2 * CONTEXT;) {
			bool out = end < a->n && a->rows[end].edited,
			     in = !out && other < o->n && o->rows[other].edited;

			quiet = out || in ? 0 : quiet + 1;
			end += !in;
			other += !out;
		}
		if (quiet > CONTEXT) {
			end -= quiet - CONTEXT;
			other -= quiet - CONTEXT;
		}
		put_hunk(b, limit, a, o, x, end, y, other, &left);
		x = end;
		y = other;
	}
	if (left)
		buf_printf(b, "[...%llu more lines]\n", (unsigned long long)left);
}

int textdiff(const char *before, size_t n, const char *after, size_t m, struct buf *b)
{
	struct side a = { 0 }, o = { 0 };
	int r = n > TEXTDIFF_SIZE_MAX || m > TEXTDIFF_SIZE_MAX ? -EFBIG : 0;

	if (r == 0)
		r = split(before, n, &a);
	if (r == 0)
		r = split(after, m, &o);
	if (r == 0)
		r = find_edits(&a, &o);
	if (r == 0)
		put_all(b, &a, &o);
	free(a.rows);
	free(o.rows);
	return r < 0 ? r : b->failed ? -ENOMEM : 0;
}
