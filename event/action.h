/* Names of what can be done about an alert, and of what came of it. Shared by configuration, history and actions. */
#ifndef EVENT_ACTION_H
#define EVENT_ACTION_H

enum action_kind {
	ACTION_LOG, /* just the record */
	ACTION_ALERT,
	ACTION_FREEZE,
	ACTION_THAW,
	ACTION_EVIDENCE,
	ACTION_KILL,
	ACTION_KILL_TREE,
	ACTION_STOP_CONTAINER,
	ACTION_KILL_CONTAINER,
	ACTION_QUARANTINE,
	ACTION_DENY,
	ACTION_RUN,
	ACTION_RELEASE, /* somebody ended a ladder */
	ACTION_RESTORE, /* from quarantine; this and the next are commands, no steps */
	ACTION_DELETE,
	ACTION_COUNT
};

enum action_result {
	RESULT_DONE,
	RESULT_DRY_RUN, /* would have been done */
	RESULT_REFUSED, /* never to be touched */
	RESULT_LIMITED, /* too many in a minute */
	RESULT_GONE,	/* nothing there any more to act upon */
	RESULT_FAILED,
	RESULT_COUNT
};

extern const char *const action_names[ACTION_COUNT];
extern const char *const action_result_names[RESULT_COUNT];

/* -EINVAL when unknown. */
int action_by_name(const char *name, enum action_kind *ret);

#endif
