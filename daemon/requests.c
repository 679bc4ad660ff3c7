/* What the control socket can be asked: the table of requests. Runs on the main thread. */
#include <errno.h>
#include <string.h>

#include "daemon/monitor.h"
#include "lib/util.h"

/* The loop is waited for by the watchdog, a disk may take longer than that. */
#define REQUEST_FLUSH_NS (500 * NSEC_PER_MSEC)

static json_t *request_status(struct monitor *m, json_t *body)
{
	(void)body;
	return status_answer(m);
}

static json_t *request_forget(struct monitor *m, json_t *body)
{
	const char *path = json_string_value(json_object_get(body, "path"));

	live_forget(m->live, path);
	if (!path)
		monitor_rescope(m);
	exec_part_reload(m);
	drift_part_baselines(m);
	return json_pack("{s:b}", "ok", 1);
}

/* Answers at once: status says when what is trusted now is in force. */
static json_t *request_trust(struct monitor *m, json_t *body)
{
	(void)body;
	return json_pack("{s:b, s:I}", "ok", 1, "load", (json_int_t)exec_part_relist(m));
}

static json_t *request_approvals(struct monitor *m, json_t *body)
{
	(void)body;
	live_approvals(m->live);
	return json_pack("{s:b}", "ok", 1);
}

static json_t *request_flush(struct monitor *m, json_t *body)
{
	(void)body;
	if (writer_flush_within(m->writer, REQUEST_FLUSH_NS) < 0)
		return json_pack("{s:b, s:s}", "ok", 0, "error", "history is not committed yet: its disk is slow");
	return json_pack("{s:b}", "ok", 1);
}

static const struct {
	const char *name;
	json_t *(*answer)(struct monitor *m, json_t *body);
} requests[] = {
	{ "status", request_status },
	{ "forget", request_forget },
	{ "flush", request_flush },
	{ "responses", respond_request_list },
	{ "release", respond_request_release },
	{ "trust", request_trust },
	{ "approvals", request_approvals },
};

json_t *requests_answer(const char *request, json_t *body, void *data)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (streq(requests[i].name, request))
			return requests[i].answer(data, body);
	}
	return control_error("unknown request");
}
