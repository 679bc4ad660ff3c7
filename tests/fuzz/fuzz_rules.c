/*
 * Fuzz target: rule files, and events as JSON behind a line "---EVENT". What loads is asked about the event, classified
 * and printed; what does not load says why.
 */
#include <stdlib.h>
#include <string.h>

#include "rules/rules.h"
#include "rules/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static void eval(struct rules *r, const char *json, size_t len)
{
	struct rules_state *s = rules_state_new(r);
	struct field_view *v = field_view_new();
	struct sample *sample = malloc(sizeof(*sample));
	_cleanup_buf_ struct buf b = BUF_INIT;
	const struct rule *found[8];
	enum face faces[8];

	if (sample_parse(json, len, sample, &b) == 0) {
		size_t n;

		sample_begin(sample, v);
		n = rules_eval(s, v, false, found, faces, 8);
		for (size_t i = 0; i < MIN(n, (size_t)8); i++) {
			check(found[i]->enabled);
			rule_output(s, v, faces[i], found[i], &b);
			json_decref(rule_output_fields(s, v, faces[i], found[i]));
		}
		sample_free(sample);
	}
	free(sample);
	field_view_free(v);
	rules_state_free(s);
}

static void judge(struct rules *r)
{
	for (size_t i = 0; i < rules_count(r); i++) {
		_cleanup_buf_ struct buf why = BUF_INIT;
		enum quality few = rule_quality(rules_get(r, i), SENSOR_BIT(SENSOR_CHANGES), &why);
		enum quality all = rule_quality(rules_get(r, i), SENSOR_BIT(SENSOR_COUNT) - 1, NULL);

		/* A sensor more never makes it worse. */
		check(all <= few);
		check((few == QUALITY_EXACT) == (why.len == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char mark[] = "---EVENT\n";
	const char *text = (const char *)data, *event = memmem(text, size, mark, strlen(mark));
	struct rules_text t = { "fuzz", text, event ? (size_t)(event - text) : size };
	struct rules_messages m = { 0 };
	struct rules *r = NULL;
	int result = rules_parse(&t, 1, &r, &m);

	check((result == 0) == (r != NULL));
	if (result < 0)
		check(m.errors > 0 && m.text.len > 0 && m.text.data[m.text.len - 1] == '\n');
	if (r) {
		judge(r);
		if (event)
			eval(r, event + strlen(mark), size - (size_t)(event + strlen(mark) - text));
		rules_unref(r);
	}
	buf_free(&m.text);
	return 0;
}
