/*
 * The state file: the number of the next response, and the responses that wait, so that they go on after a restart.
 * Written whole beside the old one and renamed over it; of the thread "respond", but for the load at the start. What it
 * says is checked as anything that comes from outside: a response goes on only on the very process it was for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "event/json.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "respond/internal.h"

#define STATE_MAX     (4 * MIB)
#define STATE_TMP     CONF_RESPOND CONF_NEW
#define STATE_RESERVE 64 /* numbers given out between two writes */

/* --- writing */

static bool is_kept(const struct response *x)
{
	return x->id && !x->released && x->step < x->ladder->n_steps;
}

static json_t *state_response(const struct response *x, uint64_t now_mono, uint64_t now_real)
{
	const struct process *p = x->event->process;
	json_t *o = json_object();

	json_object_set_new(o, "id", json_u64(x->id));
	json_put_string(o, "ladder", x->ladder->name);
	json_object_set_new(o, "step", json_integer((json_int_t)x->step));
	json_object_set_new(o, "due", json_u64(now_real + (x->due > now_mono ? x->due - now_mono : 0)));
	json_put_string(o, "rule", x->rule);
	json_put_string(o, "container", x->container);
	json_put_string(o, "path", x->event->path);
	json_object_set_new(o, "kind", json_string(event_kind_names[x->event->kind]));
	json_object_set_new(o, "change", json_integer(x->event->change));
	if (x->event->has_after && x->event->after.have & ATTR_BIT(ATTR_INO)) {
		json_object_set_new(o, "dev", json_u64(x->event->after.dev));
		json_object_set_new(o, "ino", json_u64(x->event->after.ino));
	}
	if (p && p->known & PROCESS_START) {
		json_object_set_new(o, "pid", json_integer(p->pid));
		json_object_set_new(o, "start", json_u64(p->start_ns));
		json_put_string(o, "exe", p->known & PROCESS_EXE ? p->exe : NULL);
		json_put_string(o, "cgroup", p->known & PROCESS_CGROUP ? p->cgroup : NULL);
	}
	if (x->frozen)
		json_object_set_new(o, "frozen", json_true());
	if (x->entry)
		json_object_set_new(o, "entry", json_true());
	return o;
}

static bool boot_id(const struct respond *r, char ret[64])
{
	_cleanup_close_ int fd = openat(r->procfd, "sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, 63);

	if (n <= 0)
		return false;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

static int state_write(int dirfd, const json_t *o)
{
	_cleanup_close_ int fd = openat(dirfd, STATE_TMP, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (json_dumpfd(o, fd, JSON_INDENT(1) | JSON_ENSURE_ASCII) < 0)
		return -ENOSPC;
	if (fsync(fd) < 0 || renameat(dirfd, STATE_TMP, dirfd, CONF_RESPOND) < 0)
		return -errno;
	return 0;
}

void state_save(struct respond *r)
{
	_cleanup_close_ int dirfd = -1;
	uint64_t mono = clock_mono_ns(), real = clock_real_ns();
	json_t *o, *list;
	char boot[64];
	int e;

	if (!r->dirty && r->next_id < r->saved_id)
		return;
	o = json_object();
	list = json_array();
	r->saved_id = r->next_id + STATE_RESERVE;
	json_object_set_new(o, "next", json_u64(r->saved_id));
	if (boot_id(r, boot))
		json_object_set_new(o, "boot", json_string(boot));
	for (size_t i = 0; i < RESPOND_MAX; i++)
		if (is_kept(&r->responses[i]))
			json_array_append_new(list, state_response(&r->responses[i], mono, real));
	json_object_set_new(o, "waiting", list);
	dirfd = open(r->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	e = dirfd < 0 ? -errno : state_write(dirfd, o);
	if (e < 0)
		log_error("responses that wait could not be kept: %s", strerror(-e));
	json_decref(o);
	r->dirty = false;
}

/* --- reading */

static uint64_t number_of(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

static const struct conf_ladder *ladder_named(const struct conf *c, const char *name)
{
	for (size_t i = 0; name && i < c->respond.n_ladders; i++)
		if (streq(c->respond.ladders[i].name, name))
			return &c->respond.ladders[i];
	return NULL;
}

static struct process *state_process(const json_t *o)
{
	struct process values = { .pid = (int32_t)number_of(o, "pid"),
				  .start_ns = number_of(o, "start"),
				  .exe = json_string_value(json_object_get(o, "exe")),
				  .cgroup = json_string_value(json_object_get(o, "cgroup")) };

	if (!values.pid || !values.start_ns)
		return NULL;
	values.known = PROCESS_START | (values.exe ? PROCESS_EXE : 0) | (values.cgroup ? PROCESS_CGROUP : 0);
	return process_new(&values);
}

static struct event *state_event(const json_t *o)
{
	const char *path = json_string_value(json_object_get(o, "path")),
		   *kind = json_string_value(json_object_get(o, "kind"));
	struct event *e;
	enum event_kind k;

	if (!kind || event_kind_by_name(kind, &k) < 0 || !(e = event_new(k)))
		return NULL;
	e->time = clock_real_ns();
	/* A name that is not UTF-8 was kept escaped: nothing stands there, so nothing is taken for it. */
	e->path = path ? arena_strdup(&e->arena, path) : NULL;
	e->change = (enum change)MIN(number_of(o, "change"), (uint64_t)CHANGE_COUNT - 1);
	if (number_of(o, "ino")) {
		e->has_after = true;
		e->after.have = ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO);
		e->after.dev = number_of(o, "dev");
		e->after.ino = number_of(o, "ino");
	}
	e->process = state_process(o);
	return e;
}

static void state_resume(struct respond *r, const json_t *o, struct response *x)
{
	const struct conf_ladder *ladder = ladder_named(r->conf, json_string_value(json_object_get(o, "ladder")));
	uint64_t due = number_of(o, "due"), real = clock_real_ns(), left = due > real ? due - real : 0;
	const char *rule = json_string_value(json_object_get(o, "rule")),
		   *container = json_string_value(json_object_get(o, "container"));
	struct event *e = ladder ? state_event(o) : NULL;

	if (!e || !number_of(o, "id") || number_of(o, "step") >= ladder->n_steps) {
		log_warn("a response that waited does not go on: its ladder is no longer there");
		event_unref(e);
		return;
	}
	*x = (struct response){ .id = number_of(o, "id"),
				.conf = conf_ref(r->conf),
				.ladder = ladder,
				.step = number_of(o, "step"),
				.due = clock_mono_ns() +
				       MAX(MIN(left, 24 * 3600 * NSEC_PER_SEC), r->o.resume_ns ?: RESPOND_RESUME_NS),
				.event = e,
				.rule = rule ? strdup(rule) : NULL,
				.container = container ? strdup(container) : NULL,
				.target = TARGET_INIT,
				.group = CGROUP_INIT,
				.resumed = json_is_true(json_object_get(o, "frozen")),
				.entry = json_is_true(json_object_get(o, "entry")) };
}

static int state_read(struct respond *r, json_t **ret)
{
	_cleanup_close_ int dirfd = open(r->state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;
	json_error_t error;

	if (dirfd < 0)
		return -errno;
	fd = openat(dirfd, CONF_RESPOND, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_size > (off_t)STATE_MAX)
		return -EFBIG;
	*ret = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);
	return json_is_object(*ret) ? 0 : -EBADMSG;
}

/* Numbers of quarantine entries are taken. */
static int highest(uint64_t id, const json_t *meta _unused_, void *data)
{
	uint64_t *next = data;

	*next = MAX(*next, id + 1);
	return 0;
}

static void state_next(struct respond *r)
{
	_cleanup_quarantine_ struct quarantine q = { .fd = -1 };

	if (quarantine_open(r->state_dir, false, NULL, &q) == 0)
		quarantine_each(&q, highest, &r->next_id);
	r->saved_id = 0;
}

int state_load(struct respond *r, struct buf *err)
{
	json_t *o = NULL, *one;
	char boot[64];
	const char *then;
	size_t i, n = 0;
	int e = state_read(r, &o);

	r->next_id = 1;
	if (e == 0) {
		r->next_id = MAX(number_of(o, "next"), (uint64_t)1);
		then = json_string_value(json_object_get(o, "boot"));
		/* Of another boot: no process of then is here now. */
		if (then && boot_id(r, boot) && streq(boot, then))
			json_array_foreach(json_object_get(o, "waiting"), i, one) if (n < RESPOND_MAX)
				state_resume(r, one, &r->responses[n++]);
	} else if (e == -EBADMSG || e == -EFBIG) {
		log_error("%s/%s cannot be read: what waited does not go on", r->state_dir, CONF_RESPOND);
	} else if (e != -ENOENT) {
		buf_printf(err, "%s/%s: %s", r->state_dir, CONF_RESPOND, strerror(-e));
	}
	json_decref(o);
	state_next(r);
	return e == -ENOENT || e == -EBADMSG || e == -EFBIG ? 0 : e;
}
