/*
 * A pattern becomes states: each takes a set of bytes, or forks, or accepts. Matching walks all states that are
 * possible at once. The pattern may be hostile: states and depth are bounded.
 */
#include "rules/regex.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "lib/util.h"

#define DEPTH_MAX 50
#define COUNT_MAX 255

enum state_kind { STATE_SET, STATE_FORK, STATE_BEGIN, STATE_END, STATE_ACCEPT };

struct state {
	enum state_kind kind;
	uint16_t out, out2; /* of a fork: both */
	uint8_t set[32];
};

struct regex {
	uint16_t start, n;
	struct state *states;
};

struct builder {
	const char *p, *end;
	struct state *states;
	uint16_t n;
	unsigned depth;
	const char *why;
};

/* A piece with one way in; ways out are states whose out is still HOLE, from `first` on. */
#define HOLE UINT16_MAX
struct piece {
	uint16_t in, first, last; /* states [first, last) belong to it */
};

static uint16_t add_state(struct builder *b, enum state_kind kind, uint16_t out, uint16_t out2)
{
	if (b->n == REGEX_STATES_MAX) {
		b->why = "the pattern is too large";
		return 0;
	}
	b->states[b->n] = (struct state){ .kind = kind, .out = out, .out2 = out2 };
	return b->n++;
}

static void patch(struct builder *b, const struct piece *p, uint16_t target)
{
	for (uint16_t i = p->first; i < p->last; i++) {
		if (b->states[i].out == HOLE)
			b->states[i].out = target;
		if (b->states[i].out2 == HOLE)
			b->states[i].out2 = target;
	}
}

static void set_add(uint8_t *set, unsigned c)
{
	set[c / 8] |= (uint8_t)(1u << c % 8);
}

static int is_word(int c)
{
	return isalnum(c) || c == '_';
}

static void set_class(uint8_t *set, int (*is)(int), bool not )
{
	for (int c = 0; c < 256; c++) {
		if (!is(c) == not )
			set_add(set, (unsigned)c);
	}
}

/* \d and the like; false for a letter that stands for itself. */
static bool escape_class(uint8_t *set, char c)
{
	static const struct {
		char letter;
		int (*is)(int);
	} rows[] = { { 'd', isdigit }, { 'w', is_word }, { 's', isspace } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (tolower((unsigned char)c) == rows[i].letter) {
			set_class(set, rows[i].is, c != rows[i].letter);
			return true;
		}
	}
	return false;
}

static char escape_char(char c)
{
	static const char from[] = "nrtfv", to[] = "\n\r\t\f\v";
	const char *at = c ? strchr(from, c) : NULL;

	return at ? to[at - from] : c;
}

static bool named_class(struct builder *b, uint8_t *set)
{
	static const struct {
		const char *name;
		int (*is)(int);
	} rows[] = { { "[:alpha:]", isalpha }, { "[:digit:]", isdigit },   { "[:alnum:]", isalnum },
		     { "[:space:]", isspace }, { "[:upper:]", isupper },   { "[:lower:]", islower },
		     { "[:punct:]", ispunct }, { "[:xdigit:]", isxdigit }, { "[:print:]", isprint } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].name);

		if ((size_t)(b->end - b->p) >= len && memcmp(b->p, rows[i].name, len) == 0) {
			set_class(set, rows[i].is, false);
			b->p += len;
			return true;
		}
	}
	return false;
}

static void bracket(struct builder *b, uint8_t *set)
{
	bool not = b->p < b->end && *b->p == '^', first = true;

	b->p += not ;
	for (; b->p < b->end && (*b->p != ']' || first); first = false) {
		unsigned from, to;

		if (*b->p == '[' && named_class(b, set))
			continue;
		if (*b->p == '\\' && b->p + 1 < b->end) {
			b->p++;
			if (escape_class(set, *b->p)) {
				b->p++;
				continue;
			}
			from = (uint8_t)escape_char(*b->p++);
		} else {
			from = (uint8_t)*b->p++;
		}
		to = from;
		if (b->end - b->p >= 2 && *b->p == '-' && b->p[1] != ']') {
			to = (uint8_t)b->p[1];
			b->p += 2;
		}
		if (to < from)
			b->why = "a range that runs backwards";
		for (unsigned c = from; c <= to; c++)
			set_add(set, c);
	}
	if (b->p == b->end)
		b->why = "a [ without its ]";
	else
		b->p++;
	for (size_t i = 0; not &&i < 32; i++)
		set[i] = (uint8_t)~set[i];
}

static struct piece parse_alternatives(struct builder *b);

static struct piece parse_atom(struct builder *b)
{
	struct piece p = { .first = b->n };
	uint8_t *set;
	char c = *b->p++;

	if (c == '(') {
		if (b->end - b->p >= 2 && b->p[0] == '?' && b->p[1] == ':')
			b->p += 2;
		p = parse_alternatives(b);
		if (b->p == b->end || *b->p != ')')
			b->why = b->why ? b->why : "a ( without its )";
		else
			b->p++;
		return p;
	}
	if (c == '^' || c == '$') {
		p.in = add_state(b, c == '^' ? STATE_BEGIN : STATE_END, HOLE, 0);
		p.last = b->n;
		return p;
	}
	if (strchr("*+?{", c) && c)
		b->why = "nothing to repeat";
	p.in = add_state(b, STATE_SET, HOLE, 0);
	p.last = b->n;
	set = b->states[p.in].set;
	if (c == '.')
		memset(set, 0xff, 32);
	else if (c == '[')
		bracket(b, set);
	else if (c == '\\' && b->p == b->end)
		b->why = "a backslash at the end";
	else if (c == '\\' && !escape_class(set, *b->p))
		set_add(set, (uint8_t)escape_char(*b->p++));
	else if (c == '\\')
		b->p++;
	else
		set_add(set, (uint8_t)c);
	return p;
}

static struct piece empty_piece(struct builder *b)
{
	struct piece p = { .first = b->n };

	p.in = add_state(b, STATE_FORK, HOLE, HOLE);
	p.last = b->n;
	return p;
}

static struct piece concat(struct builder *b, struct piece x, struct piece y)
{
	patch(b, &x, y.in);
	return (struct piece){ x.in, MIN(x.first, y.first), y.last };
}

static struct piece optional(struct builder *b, struct piece p, bool many, bool zero)
{
	uint16_t fork = add_state(b, STATE_FORK, p.in, HOLE);

	if (many)
		patch(b, &(struct piece){ p.in, p.first, fork }, fork);
	b->states[fork].out2 = HOLE;
	return (struct piece){ zero ? fork : p.in, p.first, b->n };
}

/* {m}, {m,}, {m,n}: false when it is not one. */
static bool parse_count(struct builder *b, unsigned *min, unsigned *max)
{
	const char *p = b->p + 1;
	unsigned n[2] = { 0, 0 };
	bool comma = false, digits[2] = { false, false };

	for (; p < b->end && *p != '}'; p++) {
		if (*p == ',' && !comma)
			comma = true;
		else if (isdigit((unsigned char)*p) && n[comma] <= COUNT_MAX) {
			n[comma] = n[comma] * 10 + (unsigned)(*p - '0');
			digits[comma] = true;
		} else
			return false;
	}
	if (p == b->end || !digits[0])
		return false;
	*min = n[0];
	*max = digits[1] ? n[1] : comma ? 0 : n[0];
	if (n[0] > COUNT_MAX || n[1] > COUNT_MAX || (digits[1] && n[1] < n[0]) || (!*max && !(comma && !digits[1])))
		b->why = "a repetition out of bounds";
	b->p = p + 1;
	return true;
}

/* The atom is read again for each copy. max 0: no end. */
static struct piece repeat(struct builder *b, const char *atom, const char *after, unsigned min, unsigned max)
{
	struct piece all = empty_piece(b), one;

	for (unsigned i = 0; i < MAX(max, min + (max == 0)) && !b->why; i++) {
		b->p = atom;
		one = parse_atom(b);
		if (b->why)
			break;
		if (i >= min)
			one = optional(b, one, max == 0, true);
		all = concat(b, all, one);
	}
	b->p = after;
	return all;
}

static struct piece parse_repeated(struct builder *b)
{
	const char *atom = b->p;
	uint16_t n = b->n;
	struct piece p = parse_atom(b);
	unsigned min, max;

	while (!b->why && b->p < b->end) {
		char c = *b->p;

		if (c == '*' || c == '+' || c == '?') {
			p = optional(b, p, c != '?', c != '+');
			b->p++;
		} else if (c == '{' && parse_count(b, &min, &max)) {
			const char *after = b->p;

			b->n = n; /* begin again */
			p = repeat(b, atom, after, min, max);
		} else {
			break;
		}
	}
	return p;
}

static struct piece parse_sequence(struct builder *b)
{
	struct piece p = empty_piece(b);

	while (!b->why && b->p < b->end && *b->p != '|' && *b->p != ')')
		p = concat(b, p, parse_repeated(b));
	return p;
}

static struct piece parse_alternatives(struct builder *b)
{
	struct piece p;

	if (++b->depth > DEPTH_MAX) {
		b->why = "nested too deep";
		return (struct piece){ 0 };
	}
	p = parse_sequence(b);
	while (!b->why && b->p < b->end && *b->p == '|') {
		struct piece other;

		b->p++;
		other = parse_sequence(b);
		p = (struct piece){ add_state(b, STATE_FORK, p.in, other.in), p.first, b->n };
	}
	b->depth--;
	return p;
}

int regex_compile(struct arena *a, const char *pattern, size_t len, const struct regex **ret, const char **ret_why)
{
	struct state states[REGEX_STATES_MAX];
	struct builder b = { .p = pattern, .end = pattern + len, .states = states };
	struct piece p = parse_alternatives(&b);
	struct regex *r;

	if (!b.why && b.p < b.end)
		b.why = "a ) without its (";
	patch(&b, &p, add_state(&b, STATE_ACCEPT, 0, 0));
	if (b.why) {
		*ret_why = b.why;
		return -EINVAL;
	}
	r = arena_zalloc(a, sizeof(*r));
	if (r)
		r->states = arena_dup(a, states, b.n * sizeof(*states));
	if (!r || !r->states)
		return -ENOMEM;
	r->start = p.in;
	r->n = b.n;
	*ret = r;
	return 0;
}

/* --- matching */

struct active {
	uint16_t list[REGEX_STATES_MAX];
	uint16_t n;
	uint8_t in[REGEX_STATES_MAX / 8 + 1];
};

static void activate(const struct regex *r, struct active *act, uint16_t state)
{
	if (act->in[state / 8] >> state % 8 & 1)
		return;
	act->in[state / 8] |= (uint8_t)(1u << state % 8);
	act->list[act->n++] = state;
	(void)r;
}

/* Follows what takes no byte; the list grows while it is walked. True when it accepts here. */
static bool close_over(const struct regex *r, struct active *act, bool begin, bool end)
{
	bool accept = false;

	for (uint16_t i = 0; i < act->n; i++) {
		const struct state *s = &r->states[act->list[i]];

		if (s->kind == STATE_FORK) {
			activate(r, act, s->out);
			activate(r, act, s->out2);
		} else if ((s->kind == STATE_BEGIN && begin) || (s->kind == STATE_END && end)) {
			activate(r, act, s->out);
		} else if (s->kind == STATE_ACCEPT) {
			accept = true;
		}
	}
	return accept;
}

bool regex_match(const struct regex *r, const char *s, size_t len)
{
	struct active sets[2], *now = &sets[0], *next = &sets[1], *swap;
	bool accept;

	memset(now->in, 0, sizeof(now->in));
	now->n = 0;
	activate(r, now, r->start);
	accept = close_over(r, now, true, len == 0);
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)s[i];

		memset(next->in, 0, sizeof(next->in));
		next->n = 0;
		for (uint16_t k = 0; k < now->n; k++) {
			const struct state *state = &r->states[now->list[k]];

			if (state->kind == STATE_SET && state->set[c / 8] >> c % 8 & 1)
				activate(r, next, state->out);
		}
		accept = close_over(r, next, false, i + 1 == len);
		swap = now;
		now = next;
		next = swap;
		if (!now->n)
			return false;
	}
	return accept;
}
