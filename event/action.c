/* Names of actions and results. Constant data; any thread. */
#include "event/action.h"

#include <errno.h>

#include "lib/util.h"

const char *const action_names[ACTION_COUNT] = {
	[ACTION_LOG] = "log",
	[ACTION_ALERT] = "alert",
	[ACTION_FREEZE] = "freeze",
	[ACTION_THAW] = "thaw",
	[ACTION_EVIDENCE] = "evidence",
	[ACTION_KILL] = "kill",
	[ACTION_KILL_TREE] = "kill-tree",
	[ACTION_STOP_CONTAINER] = "stop-container",
	[ACTION_KILL_CONTAINER] = "kill-container",
	[ACTION_QUARANTINE] = "quarantine",
	[ACTION_DENY] = "deny",
	[ACTION_RUN] = "run",
	[ACTION_RELEASE] = "release",
	[ACTION_RESTORE] = "restore",
	[ACTION_DELETE] = "delete",
};

const char *const action_result_names[RESULT_COUNT] = {
	[RESULT_DONE] = "done",	      [RESULT_DRY_RUN] = "dry-run", [RESULT_REFUSED] = "refused",
	[RESULT_LIMITED] = "limited", [RESULT_GONE] = "gone",	    [RESULT_FAILED] = "failed",
};

int action_by_name(const char *name, enum action_kind *ret)
{
	for (unsigned i = 0; i < ACTION_COUNT; i++) {
		if (streq(action_names[i], name)) {
			*ret = (enum action_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}
