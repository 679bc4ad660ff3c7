/*
 * Actions in the monitor: the warden (forked before there are threads), the responder, and what the control socket says
 * to it. Parts run on the main thread; what was done is told on the responder's.
 */
#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/monitor.h"
#include "db/trusted.h"
#include "lib/clock.h"

/* Without a ladder nothing is ever frozen; one that a reload brings wants a restart to freeze. */
int warden_part_start(struct monitor *m)
{
	const struct conf_respond *c = &m->conf->respond;
	int r = c->mode == CONF_RESPOND_ACT && c->n_ladders ? warden_start(&m->warden) : 0;

	if (r == 0)
		return 0;
	log_error("the warden does not start: %s", strerror(-r));
	return EX_OSERR;
}

void warden_part_stop(struct monitor *m)
{
	warden_stop(TAKE_PTR(m->warden));
}

static void respond_tell(struct event *e, void *data)
{
	pipeline_emit(e, data);
}

static void respond_lost(bool losing, uint64_t lost, void *data)
{
	struct monitor *m = data;

	if (losing)
		gapbook_open(m->gaps, GAP_LIMIT, "actions", "more alerts than actions could be started for", lost, 0);
	else
		gapbook_end(m->gaps, GAP_LIMIT, "actions", "actions keep up again");
}

static bool respond_trusted(const uint8_t digest[32], const char *path _unused_, void *data)
{
	return exec_part_vouches(data, digest);
}

static int respond_store_denied(struct db *d, void *data)
{
	struct trusted *t = data;

	return trusted_add(d, t, &t->id);
}

static int respond_deny(const uint8_t digest[32], const char *path, const char *reason, uint64_t until, void *data)
{
	struct trusted t = { .kind = TRUSTED_DENIED,
			     .digest = digest,
			     .path = path,
			     .reason = reason,
			     .added_by = "holdfast",
			     .added = clock_real_ns(),
			     .until = until };
	struct monitor *m = data;
	int r = exec_part_denies(m, digest);

	if (r == 0)
		r = writer_change(m->writer, respond_store_denied, &t);
	if (r == 0)
		exec_part_renew(m);
	return r;
}

int respond_part_start(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	const struct respond_options o = {
		.conf = m->conf,
		.state_dir = m->state_dir,
		.procfs = "/proc",
		.warden = m->warden,
		.tell = respond_tell,
		.lost = respond_lost,
		.deny = respond_deny,
		.trusted = respond_trusted,
		.data = m,
	};
	int r = respond_start(&o, &m->respond, &err);

	if (r == 0)
		return 0;
	log_error("actions: %s", err.len ? err.data : strerror(-r));
	return EX_OSERR;
}

void respond_part_stop(struct monitor *m)
{
	respond_stop(TAKE_PTR(m->respond));
}

static struct respond_request request_of(const struct alert *a)
{
	const struct container *c = a->event->container;

	return (struct respond_request){ .event = a->event,
					 .about = a->row,
					 .rule = a->rule,
					 .priority = a->priority,
					 .tags = a->tags,
					 .n_tags = a->n_tags,
					 .container = c ? c->id : a->container,
					 .container_name = c ? c->name : NULL,
					 .image = c ? c->image : NULL };
}

/* On the thread "alert", which ends before the responder does. */
bool respond_answered(const struct alert *a, void *data)
{
	struct monitor *m = data;
	const struct respond_request q = request_of(a);

	return respond_answers(m->respond, &q);
}

void respond_raised(struct alert *a, void *data)
{
	struct monitor *m = data;
	const struct respond_request q = request_of(a);

	respond_put(m->respond, &q);
}

json_t *respond_status(struct monitor *m)
{
	static const char *const modes[] = { "off", "dry-run", "act" };
	const struct conf *c = m->latest ? m->latest : m->conf;
	struct respond_stats s;

	respond_get_stats(m->respond, &s);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "mode", modes[c->respond.mode],
			 "ladders", (json_int_t)c->respond.n_ladders, "requests", (json_int_t)s.requests, "merged",
			 (json_int_t)s.merged, "lost", (json_int_t)s.lost, "actions", (json_int_t)s.actions, "limited",
			 (json_int_t)s.limited, "refused", (json_int_t)s.refused, "failed", (json_int_t)s.failed,
			 "active", (json_int_t)s.active, "frozen", (json_int_t)s.frozen);
}

json_t *respond_request_list(struct monitor *m, json_t *body _unused_)
{
	return json_pack("{s:b, s:o}", "ok", 1, "responses", respond_list(m->respond));
}

json_t *respond_request_release(struct monitor *m, json_t *body)
{
	json_int_t id = json_integer_value(json_object_get(body, "id"));

	if (id <= 0 || respond_release(m->respond, (uint64_t)id, json_string_value(json_object_get(body, "user"))) < 0)
		return control_error("no response of that number is at work");
	return json_pack("{s:b}", "ok", 1);
}
