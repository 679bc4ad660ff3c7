/* Rules from a condition, and events from a line of JSON. */
#ifndef TESTS_RULES_RULE_H
#define TESTS_RULES_RULE_H

#include "tests/test.h"

#include <errno.h>
#include <stdio.h>

#include "rules/rules.h"
#include "rules/sample.h"

/* A rule file with one rule of that condition, in a literal scalar. */
static inline void rule_text(struct buf *b, const char *condition)
{
	buf_str(b, "- rule: r\n  desc: d\n  output: o\n  priority: INFO\n  condition: |\n    ");
	for (; *condition; condition++) {
		buf_char(b, *condition);
		if (*condition == '\n')
			buf_str(b, "    ");
	}
	buf_char(b, '\n');
}

static inline int load_text(const char *text, struct rules **ret, struct rules_messages *m)
{
	struct rules_text t = { "t.yaml", text, strlen(text) };

	return rules_parse(&t, 1, ret, m);
}

static inline int load_condition(const char *condition, struct rules **ret, struct rules_messages *m)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	rule_text(&b, condition);
	return load_text(b.data, ret, m);
}

/* How many rules of r match the event. */
static inline size_t count_matches(struct rules *r, const char *json, const struct rule **ret, size_t max)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_sample_ struct sample sample = { 0 };
	_cleanup_(rules_state_free_p) struct rules_state *s = rules_state_new(r);
	_cleanup_(field_view_free_p) struct field_view *v = field_view_new();

	if (sample_parse(json, strlen(json), &sample, &err) < 0)
		fail_msg("%s: %s", json, err.data);
	sample_begin(&sample, v);
	return rules_eval(s, v, false, ret, NULL, max);
}

/* 1 true, 0 false, negative: did not load. */
static inline int eval_condition(const char *condition, const char *json)
{
	struct rules_messages m = { 0 };
	const struct rule *rule;
	struct rules *r = NULL;
	int result = load_condition(condition, &r, &m);

	if (result < 0)
		print_error("%s: %s\n", condition, m.text.data);
	if (result == 0) {
		result = count_matches(r, json, &rule, 1) > 0;
		rules_unref(r);
	}
	buf_free(&m.text);
	return result;
}

#endif
