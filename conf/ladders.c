/* Steps of ladders: "ACTION [WORD...] [after DURATION]". No state; the thread that loads. */
#include "conf/ladders.h"

#include <errno.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

/* Steps that a ladder can have: what is done by commands alone is none. */
#define STEP_ACTIONS ACTION_RELEASE

struct words {
	const char *word[CONF_ARGV_MAX + 4];
	size_t n;
	bool too_many;
};

/* Split at blanks; there is no quoting, as there is no shell. */
static bool split(struct arena *a, const char *text, struct words *ret)
{
	*ret = (struct words){ .n = 0 };
	while (*(text += strspn(text, " \t"))) {
		size_t len = strcspn(text, " \t");
		const char *word = arena_strndup(a, text, len);

		if (!word)
			return false;
		if (ret->n == ARRAY_SIZE(ret->word)) {
			ret->too_many = true;
			return true;
		}
		ret->word[ret->n++] = word;
		text += len;
	}
	return true;
}

static void unknown_action(const char *word, const struct node *n, struct errors *e)
{
	_cleanup_buf_ struct buf shown = BUF_INIT;
	const char *nearest = strlen(word) < 64 ? text_nearest(word, action_names, STEP_ACTIONS) : NULL;

	text_escape(&shown, word, MIN(strlen(word), (size_t)80));
	errors_add(e, n->line, n->column, "respond.ladders: steps: '%s' is no action%s%s%s", shown.data ?: "",
		   nearest ? "; did you mean '" : "", nearest ?: "", nearest ? "'?" : "");
}

/* What is wrong, or NULL. */
static const char *step_words(struct words *w, struct conf_step *s)
{
	if (w->too_many)
		return "a step of too many words";
	if (w->n >= 3 && streq(w->word[w->n - 2], "after")) {
		if (text_parse_duration(w->word[w->n - 1], &s->after) < 0 || s->after > 24 * 3600 * NSEC_PER_SEC)
			return "behind `after` stands a duration of a day at most";
		w->n -= 2;
	}
	if (s->action != ACTION_RUN)
		return w->n > 1 ? "an action stands alone, or with `after DURATION`" : NULL;
	if (w->n < 2 || w->word[1][0] != '/')
		return "`run` wants the absolute path of a program";
	if (w->n - 1 > CONF_ARGV_MAX)
		return "a step of too many words";
	memcpy(s->argv, w->word + 1, (w->n - 1) * sizeof(*s->argv));
	return NULL;
}

static int step_parse(struct conf *c, const char *text, struct conf_step *s, const struct node *n, struct errors *e)
{
	struct words w;
	const char *wrong;

	if (!split(&c->arena, text, &w))
		return -ENOMEM;
	if (!w.n || action_by_name(w.word[0], &s->action) < 0 || s->action >= STEP_ACTIONS) {
		unknown_action(w.n ? w.word[0] : "", n, e);
		return 0;
	}
	wrong = step_words(&w, s);
	if (wrong)
		errors_add(e, n->line, n->column, "respond.ladders: steps: %s", wrong);
	return 0;
}

static void check_name(const struct conf *c, const struct conf_ladder *l, const struct node *n, struct errors *e)
{
	if (!l->name) {
		errors_add(e, n->line, n->column, "respond.ladders: has no `name`");
		return;
	}
	for (size_t i = 0; i < c->respond.n_ladders; i++)
		if (c->respond.ladders[i].name && streq(c->respond.ladders[i].name, l->name))
			errors_add(e, n->line, n->column, "respond.ladders: two of the same `name`");
}

int ladder_check(struct conf *c, struct conf_ladder *l, const struct node *n, struct errors *e)
{
	int r = 0;

	check_name(c, l, n, e);
	if (!l->texts.n || l->texts.n > CONF_STEPS_MAX) {
		errors_add(e, n->line, n->column, "respond.ladders: wants 1 to %d `steps`", CONF_STEPS_MAX);
		return 0;
	}
	if (l->containers.n && l->where == CONF_WHERE_HOST)
		errors_add(e, n->line, n->column, "respond.ladders: `containers` with `where: host` is for nobody");
	l->steps = arena_zalloc(&c->arena, l->texts.n * sizeof(*l->steps));
	if (!l->steps)
		return -ENOMEM;
	for (size_t i = 0; i < l->texts.n && r == 0; i++)
		r = step_parse(c, l->texts.items[i], &l->steps[i], n, e);
	l->n_steps = l->texts.n;
	return r;
}
