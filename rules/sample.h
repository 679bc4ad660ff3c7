/*
 * Events from JSON lines, as `holdfast watch --json` and `history --json` print them, or written by hand to try rules
 * on. Beside their keys: "fields", an object of field names and values that outvote the event ("evt.type" among them
 * makes it a call with no other fields than these), and "process.argv", a list.
 */
#ifndef RULES_SAMPLE_H
#define RULES_SAMPLE_H

#include <jansson.h>

#include "event/field.h"

#define SAMPLE_PRESETS_MAX 128

struct sample {
	struct event *event;
	struct arena arena;
	struct field_preset presets[SAMPLE_PRESETS_MAX];
	size_t n_presets;
};

/* 0; -EINVAL with what is wrong in err; -ENOMEM. ret is empty on failure. */
int sample_parse(const char *line, size_t len, struct sample *ret, struct buf *err);
/*
 * Sets values from an object of names of fields, as an alert's output_fields; s->event is the caller's and given away.
 * What is no field, or no value of it, is left out. NULL: none. -ENOMEM.
 */
int sample_fields(struct sample *s, const json_t *fields);
void sample_free(struct sample *s);
/* Points v at it. */
void sample_begin(const struct sample *s, struct field_view *v);

#define _cleanup_sample_ __attribute__((cleanup(sample_free)))

#endif
