/*
 * Rules: Falco's condition language over the field table. A rule set is read from files, checked, compiled, and then
 * immutable and counted: threads share it, each with a state of its own. What the language is: holdfast-rules(5).
 */
#ifndef RULES_RULES_H
#define RULES_RULES_H

#include <jansson.h>

#include "event/field.h"

/* Case does not matter; "info" is informational. -EINVAL. */
int priority_by_name(const char *name, enum priority *ret);

struct rules;
struct rule {
	const char *name, *desc;
	const char *condition; /* as written, macros and exceptions aside */
	enum priority priority;
	bool enabled;
	const char *const *tags;
	size_t n_tags;
	const char *file;
	uint32_t line;
	const struct rule_code *code; /* inside */
};

#define RULES_FILE_MAX (8u << 20)
#define RULES_MAX      10000

struct rules_text {
	const char *name; /* for messages */
	const char *text;
	size_t len;
};

/* What loading said: "file:line:column: error: ...\n". */
struct rules_messages {
	struct buf text;
	size_t errors, warnings;
};

/*
 * Reads the texts in order: later ones may append to and replace what earlier ones defined. Everything that is wrong is
 * said; with any error there is no rule set: -EINVAL. -ENOMEM.
 */
int rules_parse(const struct rules_text *texts, size_t n, struct rules **ret, struct rules_messages *m);
/* The same from files; one that cannot be read is an error among the messages. */
int rules_load(const char *const *paths, size_t n, struct rules **ret, struct rules_messages *m);
struct rules *rules_ref(struct rules *r);
void rules_unref(struct rules *r);
/*
 * Which rules are in force. A pattern is a rule's name or a glob for it, or "tag:NAME" (NAME may be a glob). Rules that
 * match disable are off unless they match enable too, whatever their files say; rules less urgent than minimum are off
 * in any case. Before the set is shared. -ENOMEM; -EINVAL when a pattern that is no glob matches nothing, with the
 * patterns in err.
 */
struct rules_selection {
	const char *const *enable, *const *disable;
	size_t n_enable, n_disable;
	enum priority minimum;
};
int rules_select(struct rules *r, const struct rules_selection *s, struct buf *err);
size_t rules_count(const struct rules *r);
size_t rules_enabled(const struct rules *r);
const struct rule *rules_get(const struct rules *r, size_t i);

/* --- evaluation: nothing is allocated, no call is made but those of the view's fetch function */

struct rules_state; /* values of the event at hand; of one thread and one rule set */
struct rules_state *rules_state_new(struct rules *r);
void rules_state_free(struct rules_state *s);

/*
 * The enabled rules that match v's event (field_view_begin was called), in the order of the files, at most max of them;
 * returns how many there were. first: stop at the first one. ret_faces, when not NULL: the face each matched.
 */
size_t rules_eval(struct rules_state *s, struct field_view *v, bool first, const struct rule **ret,
		  enum face *ret_faces, size_t max);
/* Fills in the rule's output for the event it matched as that face. Escaped; "<NA>" for what is not known. */
void rule_output(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule, struct buf *b);
/* The fields of the output and their values. New reference. */
json_t *rule_output_fields(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule);
/* The fields of the condition and their values, as far as the event alone tells them. New reference. */
json_t *rule_condition_fields(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule);

/* --- what this node can evaluate */

/*
 * How well the rule is evaluated with these sensors. Reasons, when not exact: one line each ("field: why"), appended
 * to b (may be NULL).
 */
enum quality rule_quality(const struct rule *rule, sensor_mask sensors, struct buf *b);

/* Each field that the condition names, macros resolved, exceptions included; each once. */
void rule_each_field(const struct rule *rule, void (*fn)(const struct field_ref *ref, void *data), void *data);

/*
 * Whether an enabled rule names the call as a value of evt.type. One that is seen as a change too (call_info.is_change)
 * is asked for only by rules that name its arguments or its result and nothing of the file (fd.*, hf.*) but its path
 * where the call is about one (call_info.of_file): those are asked about the call then, not about what came of it.
 */
bool rules_ask_call(const struct rules *r, const struct call_info *call);
/* Whether an enabled rule names the field in its condition. */
bool rules_ask_field(const struct rules *r, const char *name);
/* Whether an enabled rule asks about calls on sockets and may mean unix sockets: it names nothing that only IP has. */
bool rules_ask_unix(const struct rules *r);

DEFINE_CLEANUP(struct rules *, rules_unref)
DEFINE_CLEANUP(struct rules_state *, rules_state_free)

#endif
