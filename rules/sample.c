/* Reads events from JSON. The text may be anything; what is not understood is said, or left out. One thread. */
#include "rules/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/text.h"

#define ANCESTORS_MAX PROCESS_DEPTH_MAX

struct reading {
	struct sample *s;
	struct arena *a;
	struct buf *err;
	int error;
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s;
}

static void complain(struct reading *r, const char *what, const char *word)
{
	buf_printf(r->err, "%s '", what);
	text_escape(r->err, word, MIN(strlen(word), (size_t)60));
	buf_str(r->err, "'");
	r->error = -EINVAL;
}

static const char *keep(struct reading *r, const json_t *o, const char *key)
{
	const char *s = text_of(o, key);
	char *copy = s ? arena_strdup(r->a, s) : NULL;

	if (s && !copy)
		r->error = -ENOMEM;
	return copy;
}

struct text_key {
	const char *key;
	size_t at; /* a const char * in what is filled in */
};

static void keep_all(struct reading *r, const json_t *o, const struct text_key *keys, size_t n, void *into)
{
	for (size_t i = 0; i < n; i++)
		*(const char **)((char *)into + keys[i].at) = keep(r, o, keys[i].key);
}

/* --- records */

static bool number_of(const json_t *o, const char *key, uint64_t *ret)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

static void read_type(struct record *rec, const char *name)
{
	static const char letters[] = "fdlpsbc";

	for (const char *c = letters; *c; c++) {
		if ((name[0] == *c && !name[1]) || streq(name, attr_type_name(*c))) {
			rec->type = *c;
			rec->have |= ATTR_BIT(ATTR_TYPE);
		}
	}
}

static void read_digest(struct record *rec, const char *hex)
{
	size_t n = strlen(hex) / 2;

	if (!n || n > DIGEST_MAX || strspn(hex, "0123456789abcdef") != n * 2 || hex[n * 2])
		return;
	for (size_t i = 0; i < n; i++) {
		char pair[] = { hex[2 * i], hex[2 * i + 1], '\0' };

		rec->digest[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	rec->digest_len = (uint8_t)n;
	rec->have |= ATTR_BIT(ATTR_DIGEST);
}

static void read_record(struct reading *r, const json_t *o, struct record *rec)
{
	const char *type = text_of(o, "type"), *mode = text_of(o, "mode"), *digest = text_of(o, "digest");
	uint64_t n;

	if (type)
		read_type(rec, type);
	if (mode) {
		rec->mode = (uint16_t)(strtoul(mode, NULL, 8) & 07777);
		rec->have |= ATTR_BIT(ATTR_MODE);
	}
	if (digest)
		read_digest(rec, digest);
	if (number_of(o, "uid", &n)) {
		rec->uid = (uint32_t)n;
		rec->have |= ATTR_BIT(ATTR_UID);
	}
	if (number_of(o, "size", &n)) {
		rec->size = n;
		rec->have |= ATTR_BIT(ATTR_SIZE);
	}
	if (number_of(o, "nlink", &n)) {
		rec->nlink = (uint32_t)n;
		rec->have |= ATTR_BIT(ATTR_NLINK);
	}
	rec->target = keep(r, o, "target");
	if (rec->target)
		rec->have |= ATTR_BIT(ATTR_TARGET);
	rec->mime = keep(r, o, "mime");
	if (rec->mime)
		rec->have |= ATTR_BIT(ATTR_MIME);
}

/* --- processes */

static void read_comm(struct process *p, const char *comm)
{
	const char *slash = strrchr(comm, '/');

	if (slash)
		comm = slash + 1;
	memcpy(p->comm, comm, MIN(strlen(comm), sizeof(p->comm) - 1));
	p->known |= PROCESS_COMM;
}

/* argv as a list is exact; a command line is taken apart at its blanks. */
static void read_argv(struct reading *r, const json_t *o, struct process *p)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const json_t *argv = json_object_get(o, "argv");
	const char *line = text_of(o, "cmdline");

	if (json_is_array(argv)) {
		for (size_t i = 0; i < json_array_size(argv); i++) {
			const char *s = json_string_value(json_array_get(argv, i));

			buf_add(&b, s ? s : "", strlen(s ? s : "") + 1);
		}
	} else if (line) {
		buf_add(&b, line, strlen(line) + 1);
		for (size_t i = 0; i < b.len && !b.failed; i++)
			b.data[i] = b.data[i] == ' ' ? '\0' : b.data[i];
	} else {
		return;
	}
	p->cmdline = b.failed ? NULL : arena_dup(r->a, b.len ? b.data : "", MAX(b.len, (size_t)1));
	p->cmdline_len = (uint32_t)b.len;
	p->known |= PROCESS_CMDLINE;
}

static void read_ids(const json_t *o, struct process *p)
{
	const json_t *login = json_object_get(o, "loginuid");
	uint64_t n;

	if (number_of(o, "uid", &n)) {
		p->uid = p->euid = (uint32_t)n;
		p->known |= PROCESS_IDS;
	}
	if (number_of(o, "gid", &n))
		p->gid = p->egid = (uint32_t)n;
	if (number_of(o, "loginuid", &n)) {
		p->loginuid = (uint32_t)n;
		p->known |= PROCESS_LOGINUID;
	} else if (json_is_integer(login)) {
		p->known |= PROCESS_NO_LOGINUID;
	}
}

static void read_tty(struct reading *r, const json_t *o, struct process *p)
{
	p->tty = keep(r, o, "tty");
	if (p->tty)
		p->known |= PROCESS_TTY;
	else if (json_is_null(json_object_get(o, "tty")))
		p->known |= PROCESS_NO_TTY;
}

static struct process *read_process(struct reading *r, const json_t *o, struct process *parent)
{
	struct process p = { .parent = parent };
	uint64_t n;

	if (number_of(o, "pid", &n))
		p.pid = (int32_t)n;
	if (number_of(o, "ppid", &n)) {
		p.ppid = (int32_t)n;
		p.known |= PROCESS_PPID;
	}
	p.exe = keep(r, o, "exe");
	if (p.exe)
		p.known |= PROCESS_EXE;
	if (text_of(o, "comm") || p.exe)
		read_comm(&p, text_of(o, "comm") ? text_of(o, "comm") : p.exe);
	p.cwd = keep(r, o, "cwd");
	if (p.cwd)
		p.known |= PROCESS_CWD;
	p.cgroup = keep(r, o, "cgroup");
	if (p.cgroup)
		p.known |= PROCESS_CGROUP;
	read_argv(r, o, &p);
	read_ids(o, &p);
	read_tty(r, o, &p);
	return r->error ? NULL : process_new(&p);
}

/* The farthest ancestor first: each is made with its parent. */
static struct process *read_lineage(struct reading *r, const json_t *o)
{
	const json_t *list = json_object_get(o, "ancestors");
	struct process *parent = NULL, *p;

	for (size_t i = MIN(json_array_size(list), (size_t)ANCESTORS_MAX); i-- > 0;) {
		p = read_process(r, json_array_get(list, i), parent);
		if (parent)
			process_unref(parent);
		parent = p;
		if (!p)
			return NULL;
	}
	p = read_process(r, o, parent);
	if (parent)
		process_unref(parent);
	return p;
}

/* --- containers */

static void read_labels(struct reading *r, const json_t *o, struct container *c)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)o, key, value)
	{
		struct container_label *l = &c->labels[c->n_labels];

		if (c->n_labels == CONTAINER_LABELS_MAX || !json_is_string(value))
			break;
		l->key = arena_strdup(&c->arena, key);
		l->value = arena_strdup(&c->arena, json_string_value(value));
		if (!l->key || !l->value)
			r->error = -ENOMEM;
		else
			c->n_labels++;
	}
}

static void read_container(struct reading *r, const json_t *o)
{
	static const struct text_key texts[] = {
		{ "name", offsetof(struct container, name) },
		{ "image", offsetof(struct container, image) },
		{ "image_digest", offsetof(struct container, image_digest) },
		{ "image_id", offsetof(struct container, image_id) },
		{ "pod", offsetof(struct container, pod) },
		{ "namespace", offsetof(struct container, namespace) },
		{ "runtime", offsetof(struct container, runtime) },
	};
	struct container *c = container_new();
	const json_t *privileged = json_object_get(o, "privileged");

	if (!c) {
		r->error = -ENOMEM;
		return;
	}
	r->s->event->container = c;
	c->id = keep(r, o, "id") ?: "";
	keep_all(r, o, texts, ARRAY_SIZE(texts), c);
	c->have_privileged = json_is_boolean(privileged);
	c->privileged = json_is_true(privileged);
	read_labels(r, json_object_get(o, "labels"), c);
}

/* --- fields */

static int set_item(struct reading *r, const struct field_info *info, const json_t *value, struct field_value *ret)
{
	const char *s = json_string_value(value);
	char number[32];

	if (json_is_boolean(value))
		s = json_is_true(value) ? "true" : "false";
	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		s = number;
	}
	s = s ? arena_strdup(r->a, s) : NULL;
	return s ? field_parse(info, s, r->a, ret) : -EINVAL;
}

static int set_items(struct reading *r, const struct field_info *info, const json_t *list, struct field_value *ret)
{
	size_t n = json_array_size(list);
	struct field_item *items = arena_alloc(r->a, (n + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct field_value one = { 0 };

		if (set_item(r, info, json_array_get(list, i), &one) < 0)
			return -EINVAL;
		items[i] = one.one;
	}
	ret->items = items;
	ret->one = n ? items[0] : (struct field_item){ 0 };
	ret->n = (uint32_t)n;
	return 0;
}

static void read_field(struct reading *r, const char *name, const json_t *value)
{
	size_t len = strcspn(name, "[");
	const struct field_info *info = field_by_name(name, len);
	struct field_preset *p = &r->s->presets[r->s->n_presets];
	int failed = 0;

	if (!info || r->s->n_presets == SAMPLE_PRESETS_MAX) {
		complain(r, info ? "too many fields" : "unknown field", name);
		return;
	}
	*p = (struct field_preset){ .info = info };
	if (name[len])
		p->arg = arena_strndup(r->a, name + len + 1, strcspn(name + len + 1, "]"));
	if (json_is_array(value))
		failed = set_items(r, info, value, &p->value);
	else if (!json_is_null(value))
		failed = set_item(r, info, value, &p->value);
	if (failed == -EINVAL)
		complain(r, "not a value of its type: field", name);
	else if (failed < 0)
		r->error = failed;
	r->s->n_presets++;
}

/* --- events */

static int by_name(const char *const *names, size_t n, const char *word)
{
	for (size_t i = 0; word && i < n; i++) {
		if (names[i] && streq(names[i], word))
			return (int)i;
	}
	return -EINVAL;
}

static void read_attributes(struct event *e, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		enum attr a;

		if (name && attr_by_name(name, &a) == 0)
			e->attributes |= ATTR_BIT(a);
	}
}

static void read_change(struct reading *r, const json_t *o, struct event *e)
{
	const json_t *before = json_object_get(o, "before"), *after = json_object_get(o, "after");
	int change = by_name(change_names, CHANGE_COUNT, text_of(o, "change"));
	int verdict = by_name(exec_verdict_names, EXEC_VERDICT_COUNT, text_of(o, "verdict"));
	int status = by_name(status_names, STATUS_COUNT, text_of(o, "status"));
	int gap = by_name(gap_reason_names, GAP_REASON_COUNT, text_of(o, "reason"));

	if (e->kind == EVENT_CHANGE && change < 0)
		complain(r, "unknown change", text_of(o, "change") ? text_of(o, "change") : "");
	if (e->kind == EVENT_GAP && gap < 0)
		complain(r, "unknown reason of a gap", text_of(o, "reason") ? text_of(o, "reason") : "");
	e->gap_reason = gap < 0 ? GAP_DOWN : (enum gap_reason)gap;
	e->verdict = verdict < 0 ? EXEC_UNJUDGED : (enum exec_verdict)verdict;
	e->change = change < 0 ? CHANGE_CHANGED : (enum change)change;
	e->status = status < 0 ? STATUS_OPEN : (enum deviation_status)status;
	read_attributes(e, json_object_get(o, "attributes"));
	e->has_before = json_is_object(before);
	e->has_after = json_is_object(after);
	if (e->has_before)
		read_record(r, before, &e->before);
	if (e->has_after)
		read_record(r, after, &e->after);
	if (!e->has_after && e->kind == EVENT_EXEC && text_of(o, "digest")) {
		e->has_after = true;
		read_digest(&e->after, text_of(o, "digest"));
	}
}

static void read_time(const json_t *o, struct event *e)
{
	const char *time = text_of(o, "time");

	if (!time || text_parse_time(time, 0, &e->time) < 0)
		e->time = clock_real_ns();
}

static void read_event(struct reading *r, const json_t *o)
{
	static const struct text_key texts[] = {
		{ "path", offsetof(struct event, path) },	    { "path2", offsetof(struct event, path2) },
		{ "host_path", offsetof(struct event, host_path) }, { "baseline", offsetof(struct event, baseline) },
		{ "reason", offsetof(struct event, reason) },	    { "cause", offsetof(struct event, cause) },
		{ "text", offsetof(struct event, text) },
	};
	int kind = by_name(event_kind_names, EVENT_KIND_COUNT, text_of(o, "kind"));
	const json_t *fields = json_object_get(o, "fields"), *process = json_object_get(o, "process"),
		     *container = json_object_get(o, "container");
	struct event *e;
	const char *key;
	json_t *value;

	if (kind < 0 && !fields) {
		complain(r, "unknown kind", text_of(o, "kind") ? text_of(o, "kind") : "");
		return;
	}
	e = r->s->event = event_new(kind < 0 ? EVENT_NOTE : (enum event_kind)kind);
	if (!e) {
		r->error = -ENOMEM;
		return;
	}
	read_time(o, e);
	keep_all(r, o, texts, ARRAY_SIZE(texts), e);
	read_change(r, o, e);
	if (json_is_object(process))
		e->process = read_lineage(r, process);
	if (json_is_object(container))
		read_container(r, container);
	json_object_foreach((json_t *)(uintptr_t)fields, key, value) read_field(r, key, value);
}

int sample_parse(const char *line, size_t len, struct sample *ret, struct buf *err)
{
	struct reading r = { .s = ret, .a = &ret->arena, .err = err };
	json_error_t why;
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);

	memset(ret, 0, sizeof(*ret));
	if (!json_is_object(o)) {
		buf_str(err, o ? "not an object" : why.text);
		json_decref(o);
		return -EINVAL;
	}
	read_event(&r, o);
	json_decref(o);
	if (r.error)
		sample_free(ret);
	return r.error;
}

int sample_fields(struct sample *s, const json_t *fields)
{
	_cleanup_buf_ struct buf ignored = BUF_INIT;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)fields, key, value)
	{
		struct reading r = { .s = s, .a = &s->arena, .err = &ignored };

		read_field(&r, key, value);
		if (r.error == -ENOMEM)
			return r.error;
	}
	return 0;
}

void sample_free(struct sample *s)
{
	if (s->event)
		event_unref(s->event);
	s->event = NULL;
	arena_free(&s->arena);
}

void sample_begin(const struct sample *s, struct field_view *v)
{
	field_view_begin(v, s->event);
	v->presets = s->presets;
	v->n_presets = s->n_presets;
}
