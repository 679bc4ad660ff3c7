/* Events: made, counted, dropped; their names. What they look like is in event_json.c and event_line.c. Any thread. */
#include "event/event.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/util.h"

const char *const event_kind_names[EVENT_KIND_COUNT] = {
	[EVENT_CHANGE] = "change",	   [EVENT_OPEN] = "open",	[EVENT_EXEC] = "exec",
	[EVENT_ALERT] = "alert",	   [EVENT_ACTION] = "action",	[EVENT_GAP] = "gap",
	[EVENT_ACCEPT] = "accept",	   [EVENT_NOTE] = "note",	[EVENT_ACCESS] = "access",
	[EVENT_CONNECTION] = "connection", [EVENT_SESSION] = "session",
};

const char *const priority_names[PRIORITY_COUNT] = {
	[PRIORITY_EMERGENCY] = "Emergency",
	[PRIORITY_ALERT] = "Alert",
	[PRIORITY_CRITICAL] = "Critical",
	[PRIORITY_ERROR] = "Error",
	[PRIORITY_WARNING] = "Warning",
	[PRIORITY_NOTICE] = "Notice",
	[PRIORITY_INFORMATIONAL] = "Informational",
	[PRIORITY_DEBUG] = "Debug",
};

const char *const exec_verdict_names[EXEC_VERDICT_COUNT] = {
	[EXEC_UNJUDGED] = "unjudged", [EXEC_ALLOWED] = "allowed", [EXEC_UNEXPECTED] = "unexpected",
	[EXEC_DENIED] = "denied",     [EXEC_KILLED] = "killed",
};

const char *const exec_type_names[EXEC_TYPE_COUNT] = {
	[EXEC_TYPE_UNKNOWN] = "unknown", [EXEC_TYPE_STATIC] = "static", [EXEC_TYPE_DYNAMIC] = "dynamic",
	[EXEC_TYPE_SCRIPT] = "script",	 [EXEC_TYPE_OTHER] = "other",	[EXEC_TYPE_LIBRARY] = "library",
};

const char *const change_names[CHANGE_COUNT] = {
	[CHANGE_ADDED] = "added",	[CHANGE_REMOVED] = "removed",	  [CHANGE_CHANGED] = "changed",
	[CHANGE_REPLACED] = "replaced", [CHANGE_RENAMED] = "renamed",	  [CHANGE_ATTRIBUTES] = "attributes",
	[CHANGE_REVERTED] = "reverted", [CHANGE_TRANSIENT] = "transient",
};

const char *const status_names[STATUS_COUNT] = {
	[STATUS_OPEN] = "open",
	[STATUS_ACCEPTED] = "accepted",
	[STATUS_EXCUSED] = "excused",
	[STATUS_REVERTED] = "reverted",
};

const char *const gap_reason_names[GAP_REASON_COUNT] = {
	[GAP_DOWN] = "down",
	[GAP_QUEUE_OVERFLOW] = "queue-overflow",
	[GAP_PROC_LOST] = "proc-lost",
	[GAP_MARK_FAILED] = "mark-failed",
	[GAP_FS_SKIPPED] = "fs-skipped",
	[GAP_UNREADABLE] = "unreadable",
	[GAP_LIMIT] = "limit",
	[GAP_UNMOUNTED] = "unmounted",
	[GAP_STORE] = "store",
	[GAP_NO_PATH] = "no-path",
	[GAP_CANARY] = "canary",
	[GAP_DEVICE_WRITTEN] = "device-written",
	[GAP_WEAK_SENSOR] = "weak-sensor",
};

int event_kind_by_name(const char *name, enum event_kind *ret)
{
	for (unsigned i = 0; i < EVENT_KIND_COUNT; i++) {
		if (streq(event_kind_names[i], name)) {
			*ret = (enum event_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

struct event *event_new(enum event_kind kind)
{
	struct event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	atomic_init(&e->refs, 1);
	e->kind = kind;
	e->count = 1;
	return e;
}

struct event *event_ref(struct event *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

void event_unref(struct event *e)
{
	if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	process_unref(e->process);
	event_unref(e->about);
	container_unref(e->container);
	arena_free(&e->arena);
	free(e);
}
