/* Alerts: made, copied, turned into rows. Made on the thread "alert"; any thread reads. */
#include "alert/alert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "event/json.h"
#include "lib/clock.h"
#include "lib/text.h"

/* RFC 9562, version 4. Without randomness (early in a boot) the clock still makes them differ. */
static void make_id(char ret[ALERT_ID_SIZE])
{
	uint8_t b[16] = { 0 };
	uint64_t clocks[2];

	if (getrandom(b, sizeof(b), GRND_NONBLOCK) != sizeof(b)) {
		clocks[0] = clock_real_ns();
		clocks[1] = clock_boot_ns() ^ (uint64_t)(uintptr_t)ret;
		memcpy(b, clocks, sizeof(b));
	}
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(ret, ALERT_ID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static struct alert *alloc_alert(void)
{
	struct alert *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	atomic_init(&a->refs, 1);
	make_id(a->id);
	a->source = "syscall";
	return a;
}

/* The rule set may be gone before the alert is. */
static bool copy_rule(struct alert *a, const char *name, const char *const *tags, size_t n)
{
	const char **list = arena_zalloc(&a->arena, (n + 1) * sizeof(*list));

	a->rule = arena_strdup(&a->arena, name);
	for (size_t i = 0; list && i < n; i++) {
		list[i] = arena_strdup(&a->arena, tags[i]);
		if (!list[i])
			return false;
	}
	a->tags = list;
	a->n_tags = n;
	return a->rule && list;
}

static const char *container_of_view(struct alert *a, struct field_view *v)
{
	struct field_ref ref = { .info = field_by_name("container.id", strlen("container.id")) };
	struct field_value value;

	if (!ref.info)
		return NULL;
	field_get(v, &ref, &value);
	return value.n && value.items[0].s ? arena_strndup(&a->arena, value.items[0].s, value.items[0].len) : NULL;
}

/* Without what is told anyway. */
static json_t *looked_at(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule,
			 json_t *told)
{
	json_t *o = rule_condition_fields(s, v, face, rule), *value;
	const char *key;

	json_object_foreach(told, key, value) json_object_del(o, key);
	return o;
}

struct alert *alert_new(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule,
			struct event *event)
{
	_cleanup_alert_ struct alert *a = alloc_alert();
	_cleanup_buf_ struct buf text = BUF_INIT;

	if (!a || !copy_rule(a, rule->name, rule->tags, rule->n_tags))
		return NULL;
	rule_output(s, v, face, rule, &text);
	a->output = text.failed ? NULL : arena_strdup(&a->arena, text.data ? text.data : "");
	a->fields = rule_output_fields(s, v, face, rule);
	a->looked_at = looked_at(s, v, face, rule, a->fields);
	a->container = container_of_view(a, v);
	a->priority = rule->priority;
	a->time = event->time;
	a->event = event_ref(event);
	return a->output && a->fields ? TAKE_PTR(a) : NULL;
}

static json_t *sum_fields(const struct alert *last, uint64_t suppressed)
{
	json_t *fields = json_copy(last->fields);

	if (fields)
		json_object_set_new(fields, "hf.suppressed", json_u64(suppressed));
	return fields;
}

struct alert *alert_sum(const struct alert *last, uint64_t suppressed, uint64_t since)
{
	_cleanup_alert_ struct alert *a = alloc_alert();
	_cleanup_buf_ struct buf text = BUF_INIT;
	char time[TEXT_TIME_MAX];

	if (!a || !copy_rule(a, last->rule, last->tags, last->n_tags))
		return NULL;
	text_time(time, since, 0);
	buf_printf(&text, "%s (the last of %" PRIu64 " more since %s)", last->output, suppressed, time);
	a->output = text.failed ? NULL : arena_strdup(&a->arena, text.data);
	a->fields = sum_fields(last, suppressed);
	a->looked_at = json_incref(last->looked_at);
	a->container = last->container ? arena_strdup(&a->arena, last->container) : NULL;
	a->priority = last->priority;
	a->time = last->time;
	a->event = event_ref(last->event);
	a->suppressed = suppressed;
	a->since = since;
	return a->output && a->fields ? TAKE_PTR(a) : NULL;
}

struct alert *alert_ref(struct alert *a)
{
	atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

void alert_unref(struct alert *a)
{
	struct arena arena;

	if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
		return;
	json_decref(a->fields);
	json_decref(a->looked_at);
	event_unref(a->event);
	event_unref(a->row);
	arena = a->arena;
	arena_free(&arena);
	free(a);
}

/* --- history */

static const char *details(const struct alert *a, struct arena *arena)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	json_t *o = json_object(), *tags = json_array();

	json_object_set_new(o, "uuid", json_string(a->id));
	json_object_set_new(o, "source", json_string(a->source));
	for (size_t i = 0; i < a->n_tags; i++)
		json_array_append_new(tags, json_string(a->tags[i]));
	json_object_set_new(o, "tags", tags);
	json_object_set(o, "output_fields", a->fields);
	if (json_object_size(a->looked_at))
		json_object_set(o, "condition_fields", a->looked_at);
	json_ascii(&b, o);
	json_decref(o);
	return b.failed || !b.data ? NULL : arena_strdup(arena, b.data);
}

struct event *alert_event(const struct alert *a, uint64_t count)
{
	_cleanup_event_ struct event *e = event_new(EVENT_ALERT);
	const struct event *cause = a->event;

	if (!e)
		return NULL;
	e->time = a->time;
	e->boot_time = cause->boot_time;
	e->path = cause->path ? arena_strdup(&e->arena, cause->path) : NULL;
	e->path2 = cause->path2 ? arena_strdup(&e->arena, cause->path2) : NULL;
	e->process = cause->process ? process_ref(cause->process) : NULL;
	e->container = cause->container ? container_ref(cause->container) : NULL;
	e->process_why = cause->process_why ? arena_strdup(&e->arena, cause->process_why) : NULL;
	e->baseline_id = cause->baseline_id;
	e->baseline = cause->baseline ? arena_strdup(&e->arena, cause->baseline) : NULL;
	e->reason = arena_strdup(&e->arena, a->rule);
	e->text = arena_strdup(&e->arena, a->output);
	e->details = details(a, &e->arena);
	e->priority = a->priority;
	e->repeated = a->repeated;
	e->count = count;
	if (cause->kind != EVENT_ACCESS)
		e->about = event_ref(a->event);
	return e->reason && e->text && e->details ? TAKE_PTR(e) : NULL;
}
